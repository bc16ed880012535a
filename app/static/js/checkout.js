// Prices follow what is chosen; without this file the button "Update prices" does the same.
(() => {
  const form = document.querySelector("form[data-quote]");
  const depends = new Set(["country", "state", "zip", "delivery", "method", "point"]);
  const parts = ["ways", "review-box"];
  let latest = 0;
  document.querySelector(".update").hidden = true;

  form.addEventListener("change", async (event) => {
    if (!depends.has(event.target.name)) return;
    const mine = ++latest;
    const body = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(form.dataset.quote, { method: "POST", body });
      if (!answer.ok || answer.redirected || mine !== latest) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== latest) return;
      const focused = document.activeElement && document.activeElement.id;
      const typed = document.getElementById("id_coupon");
      for (const id of parts) document.getElementById(id).replaceWith(page.getElementById(id));
      form.elements.agree_total_minor.value = page.querySelector("[name=agree_total_minor]").value;
      const coupon = document.getElementById("id_coupon");
      if (coupon && typed) coupon.value = typed.value;
      if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
      const total = document.querySelector("#review-box dd.grand");
      document.querySelector("[data-quote-status]").textContent = total ? total.textContent : "";
    } catch {
      // No connection: the total is compared again when the order is placed.
    }
  });
})();
