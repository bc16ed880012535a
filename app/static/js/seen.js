// What was looked at stays in this browser; the shop is only asked for the cards, and told nothing else.
(() => {
  const place = document.querySelector("[data-seen]");
  if (!place) return;
  const key = "pp_seen";
  const slug = place.dataset.slug;
  let seen = [];
  try {
    seen = JSON.parse(localStorage.getItem(key) || "[]").filter((item) => typeof item === "string" && item !== slug);
    localStorage.setItem(key, JSON.stringify([slug, ...seen].slice(0, 7)));
  } catch {
    return; // Storage is switched off, or holds something that is not ours.
  }
  seen = seen.slice(0, 4);
  if (!seen.length) return;
  const query = seen.map((item) => `p=${encodeURIComponent(item)}`).join("&");
  fetch(`${place.dataset.seen}?${query}`, { credentials: "omit" })
    .then((answer) => (answer.ok ? answer.text() : ""))
    .then((text) => {
      if (!text.trim()) return;
      place.innerHTML = text;
      place.hidden = false;
    })
    .catch(() => {});
})();
