"""Mails about accounts. They are written when they are sent: no link that opens anything is ever stored."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from allauth.account import app_settings
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from pasargad.accounts.models import User
from pasargad.notifications.content import Content, NotWanted, tidy, writes
from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_queue

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as Text


@dataclass(frozen=True)
class Words:
    subject: Text
    text: Text
    link: Text | None = None


_WARNING = _("If this was not you, set a new password at once and tell us.")
WORDS: dict[str, Words] = {
    "account_verify": Words(
        _("Please confirm your mail address"),
        _(
            "Somebody, most likely you, gave this address for an account with us. The link below confirms it; it works "
            "once, for a day. If it was not you, do nothing: without you the account opens to nobody."
        ),
        _("Confirm this address"),
    ),
    "account_reset": Words(
        _("Set a new password"),
        _(
            "The link below sets a new password for your account; it works once, for an hour. If you did not ask, "
            "do nothing: your password stays as it is."
        ),
        _("Set a new password"),
    ),
    "account_exists": Words(
        _("You have an account already"),
        _(
            "Somebody, most likely you, tried to open an account with this address. There is one. If you forgot "
            "its password, set a new one."
        ),
        _("Set a new password"),
    ),
    "account_unknown": Words(
        _("There is no account with this address"),
        _(
            "Somebody, most likely you, asked for a new password, but this address has no account. Perhaps you used "
            "another one; or you would like to open an account."
        ),
        _("Open an account"),
    ),
    "notice_password": Words(_("Your password was changed"), _("The password of your account was changed.")),
    "notice_email": Words(
        _("Your mail address was changed"), _("The mail address of your account was changed or confirmed anew.")
    ),
    "notice_factor_added": Words(
        _("A second factor was added"), _("Signing in to your account now takes a second factor that was just added.")
    ),
    "notice_factor_removed": Words(_("A second factor was removed"), _("A second factor of your account was removed.")),
    "notice_codes": Words(
        _("New recovery codes were made"), _("Your account has new recovery codes; the former ended.")
    ),
    "notice_login": Words(
        _("Another way to sign in was changed"), _("A login of another provider was connected or removed.")
    ),
}
KIND_OF_NOTICE = {
    "account/email/unknown_account": "account_unknown",
    "account/email/password_changed": "notice_password",
    "account/email/password_set": "notice_password",
    "account/email/password_reset": "notice_password",
    "account/email/email_changed": "notice_email",
    "account/email/email_confirm": "notice_email",
    "account/email/email_deleted": "notice_email",
    "mfa/email/totp_activated": "notice_factor_added",
    "mfa/email/webauthn_added": "notice_factor_added",
    "mfa/email/totp_deactivated": "notice_factor_removed",
    "mfa/email/webauthn_removed": "notice_factor_removed",
    "mfa/email/recovery_codes_generated": "notice_codes",
    "socialaccount/email/account_connected": "notice_login",
    "socialaccount/email/account_disconnected": "notice_login",
}


def account_mail(kind: str, *, about: str, recipient: str) -> None:
    """Queue a mail about an account, in the language of the page that caused it.

    Each is one of its own, so its key ends in something random. `about` names the account wherever there is one, as
    `user-7`: by it the mail is found when the person wants to be forgotten, whatever address it went to.
    """
    mail_queue(kind, key=f"{about}-{secrets.token_hex(8)}", recipient=recipient, language=get_language() or "")


@writes(*WORDS)
def write(mail: Mail) -> Content:
    words = WORDS[mail.kind]
    context = {
        "heading": words.subject,
        "text": words.text,
        "warning": _WARNING if mail.kind.startswith("notice_") else "",
        "link": words.link,
        "url": _url(mail),
        "business": settings.BUSINESS,
        "shipping": settings.SHIPPING,
        "site_url": settings.SITE_URL,
    }
    return Content(
        subject=f"{settings.BUSINESS.name}: {words.subject}",
        text=tidy(render_to_string("customers/mail.txt", context)),
        html=render_to_string("customers/mail.html", context),
        copies=False,
    )


def _url(mail: Mail) -> str:
    if mail.kind == "account_verify":
        address = EmailAddress.objects.filter(pk=_number(mail), email=mail.recipient, verified=False).first()
        if address is None:
            raise NotWanted("confirmed meanwhile, or given up")
        return _site(reverse("account_confirm_email", args=[EmailConfirmationHMAC(address).key]))
    if mail.kind == "account_reset":
        user = User.objects.filter(pk=_number(mail), is_active=True).first()
        if user is None:
            raise NotWanted("there is no such account any more")
        key = app_settings.PASSWORD_RESET_TOKEN_GENERATOR().make_token(user)
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return _site(path.replace("UID-KEY", quote(f"{user_pk_to_url_str(user)}-{key}")))
    names = {"account_exists": "account_reset_password", "account_unknown": "account_signup"}
    return _site(reverse(names[mail.kind])) if mail.kind in names else ""


def _number(mail: Mail) -> int:
    return int(mail.key.split("-")[1])


def _site(path: str) -> str:
    return f"{settings.SITE_URL}{path}"
