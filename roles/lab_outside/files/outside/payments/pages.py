"""The HTML of the hosted pages: one small style, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape

from ..look import page
from .books import Object

_ZERO_DECIMAL = ("jpy",)
_HINTS = (
    ("4242 4242 4242 4242", "is paid"),
    ("4000 0025 0000 3155", "asks the bank first"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has too little money"),
    ("4000 0082 6000 3178", "asks, then is declined"),
)


def money(amount: int, currency: str) -> str:
    """Return an amount of minor units as shoppers read it."""
    if currency in _ZERO_DECIMAL:
        return f"{currency.upper()} {amount:,}"
    return f"{currency.upper()} {amount // 100:,}.{amount % 100:02d}"


def _page(title: str, body: str) -> str:
    return page(title, f'<main class="card">{body}</main>')


def _hidden(**fields: str) -> str:
    return "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items())


def card_form(
    merchant: str, intent: Object, secret: str, return_url: str, leave: str, values: dict[str, str], error: str | None
) -> str:
    """Return the card form; what was typed stands in it again, except the security code."""
    total = money(intent["amount"], intent["currency"])
    problem = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    note = f'<p class="soft">{escape(intent["description"])}</p>' if intent["description"] else '<p class="soft"></p>'
    hidden = _hidden(client_secret=secret, return_url=return_url, amount=str(intent["amount"]))
    hints = "".join(f"<tr><td><code>{number}</code></td><td>{effect}</td></tr>" for number, effect in _HINTS)

    def field(name: str, text: str, more: str) -> str:
        value = "" if name == "cvc" else escape(values.get(name, ""))
        return f'<label>{text}<input name="{name}" value="{value}" {more}></label>'

    return _page(
        f"Pay {merchant}",
        f'<h1>Pay {escape(merchant)}</h1><p class="amount">{escape(total)}</p>{note}{problem}'
        f'<form method="post" action="/pay/{escape(intent["id"])}">{hidden}'
        + field(
            "number",
            "Card number",
            'required inputmode="numeric" autocomplete="cc-number" placeholder="4242 4242 4242 4242"',
        )
        + '<div class="two">'
        + field("expiry", "Expires (MM/YY)", 'required inputmode="numeric" autocomplete="cc-exp" placeholder="12/34"')
        + field(
            "cvc", "Security code", 'required inputmode="numeric" autocomplete="cc-csc" maxlength="4" placeholder="123"'
        )
        + "</div>"
        + field("name", "Name on card", 'autocomplete="cc-name" maxlength="200"')
        + f'<button type="submit">Pay {escape(total)}</button></form>'
        f'<p class="leave"><a href="{escape(leave)}">Back to {escape(merchant)} without paying</a></p>'
        f"<details open><summary>Test mode: no money moves</summary><table>{hints}</table>"
        '<p class="soft">Any future date and any three digits will do.</p></details>',
    )


def bank_question(merchant: str, intent: Object, secret: str, return_url: str) -> str:
    """Return the page on which the shopper's bank asks for approval."""
    total = escape(money(intent["amount"], intent["currency"]))
    return _page(
        "Approve the payment",
        f'<h1>Your bank asks</h1><p class="amount">{total}</p><p>Do you approve this payment to {escape(merchant)}?</p>'
        f'<form method="post" action="/3ds/{escape(intent["id"])}">'
        + _hidden(client_secret=secret, return_url=return_url)
        + '<button name="answer" value="approve">Approve</button>'
        '<button class="plain" name="answer" value="refuse">Refuse</button></form>',
    )


def not_yours(merchant: str) -> str:
    """Return the page for a link that does not work; it does not tell why, so that payments cannot be guessed."""
    return _page(
        "Payment link not valid",
        "<h1>This payment link is not valid</h1><p>It may be incomplete. Go back to "
        f"{escape(merchant)} and start the payment again.</p>",
    )
