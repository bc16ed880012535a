// Comforts only: every page works without this file.
(() => {
  const pieces = Number((document.cookie.match(/(?:^|; )pp_cart_count=(\d+)/) || [])[1] || 0);
  for (const badge of document.querySelectorAll("[data-cart-count]")) {
    badge.textContent = pieces;
    badge.hidden = pieces === 0;
  }

  // A button that needs a script is there only where it works.
  if (window.PublicKeyCredential) for (const key of document.querySelectorAll("[data-passkeys]")) key.hidden = false;

  for (const stepper of document.querySelectorAll(".stepper")) {
    const input = stepper.querySelector("input");
    const step = (by, label, sign) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = sign;
      button.setAttribute("aria-label", label);
      button.addEventListener("click", () => {
        const low = Number(input.min || 0);
        const high = Number(input.max || 999);
        input.value = Math.min(high, Math.max(low, Number(input.value || 0) + by));
        input.dispatchEvent(new Event("change", { bubbles: true }));
      });
      return button;
    };
    stepper.prepend(step(-1, stepper.dataset.less, "−"));
    stepper.append(step(1, stepper.dataset.more, "+"));
  }

  const price = document.querySelector("[data-price-shown]");
  if (price) {
    const stock = document.querySelector("[data-stock-shown]");
    document.addEventListener("change", (event) => {
      const { price: amount, stock: text, state } = event.target.dataset;
      if (!amount) return;
      price.textContent = amount;
      if (stock) {
        stock.textContent = text;
        stock.className = `stock ${state}`;
      }
    });
  }

  // A double click must not send a form twice; coming back to the page frees it again.
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.addEventListener("submit", () => {
      for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = true;
    });
  }
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form[data-once] button[type=submit]")) button.disabled = false;
  });

  for (const address of document.querySelectorAll("[data-address-for]")) {
    const choices = document.querySelectorAll(`input[name="${address.dataset.addressFor}"]`);
    const show = () => {
      const chosen = [...choices].find((choice) => choice.checked);
      address.hidden = Boolean(chosen) && chosen.value === "pickup";
    };
    for (const choice of choices) choice.addEventListener("change", show);
    show();
  }

  // Nothing depends on it: without it the shop only cannot be read without a network.
  if ("serviceWorker" in navigator) addEventListener("load", () => navigator.serviceWorker.register("/sw.js").catch(() => {}));

  for (const button of document.querySelectorAll("button[data-viewer]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      if (button.hasAttribute("aria-busy")) return;
      button.setAttribute("aria-busy", "true");
      try {
        await (await import(button.dataset.viewer)).open(button);
      } catch {
        location.href = button.dataset.model; // The file itself, as without scripts.
      }
      button.removeAttribute("aria-busy");
    });
  }

  const waiting = document.querySelector("[data-refresh-seconds]");
  if (waiting) setTimeout(() => location.reload(), 1000 * Number(waiting.dataset.refreshSeconds));
})();
