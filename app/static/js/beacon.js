// Counts this view, without a cookie and without knowing whose it is. Whoever asks not to be counted is not.
(() => {
  const target = document.currentScript && document.currentScript.dataset.beacon;
  if (!target || !navigator.sendBeacon || navigator.webdriver) return;
  if (navigator.globalPrivacyControl || navigator.doNotTrack === "1") return;
  if (/^(\/[a-z]{2})?\/orders\//.test(location.pathname)) return;
  const told = { p: location.pathname.slice(0, 300) };
  let from = "";
  try {
    from = document.referrer ? new URL(document.referrer).origin : "";
  } catch {
    from = "";
  }
  if (from && from !== location.origin) told.r = from.slice(0, 300);
  const place = document.querySelector("[data-found]");
  const term = new URLSearchParams(location.search).get("q");
  if (term) {
    told.q = term.slice(0, 80);
    if (place) told.n = Number(place.dataset.found);
  }
  const send = () => navigator.sendBeacon(target, JSON.stringify(told));
  // A page that is only prepared in the background was not looked at yet.
  if (document.prerendering) document.addEventListener("prerenderingchange", send, { once: true });
  else send();
})();
