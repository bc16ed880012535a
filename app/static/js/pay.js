// Mounts Stripe's Payment Element; the order page takes over when Stripe sends the shopper back.
addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("payment");
  const problem = document.getElementById("payment-error");
  const button = form.querySelector("button");
  if (typeof Stripe === "undefined") {
    problem.textContent = form.dataset.notLoaded;
    return;
  }
  const stripe = Stripe(form.dataset.key, { locale: form.dataset.language || "auto" });
  const elements = stripe.elements({ clientSecret: form.dataset.secret });
  const element = elements.create("payment");
  document.getElementById("payment-element").replaceChildren();
  element.mount("#payment-element");
  element.on("ready", () => { button.disabled = false; });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    const { error } = await stripe.confirmPayment({ elements, confirmParams: { return_url: form.dataset.return } });
    problem.textContent = error.message;
    button.disabled = false;
  });
});
