"""How people sign in: what is the same wherever the shop runs (django-allauth's own names)."""

from typing import Any

AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "account"
PASSWORD_RESET_TIMEOUT = 3600

ACCOUNT_ADAPTER = "pasargad.customers.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "signup": "pasargad.customers.forms.SignupForm",
    "login": "pasargad.customers.forms.LoginForm",
}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
# A link holds a signature instead of a secret that would have to be stored; it ends with its use or after a day.
ACCOUNT_EMAIL_CONFIRMATION_HMAC = True
ACCOUNT_EMAIL_CONFIRMATION_EXPIRE_DAYS = 1
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_REAUTHENTICATION_METHODS = ["password", "mfa"]
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""

MFA_ADAPTER = "pasargad.customers.adapter.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate_webauthn": "pasargad.customers.passkeys.AuthenticateForm",
    "login_webauthn": "pasargad.customers.passkeys.LoginForm",
    "reauthenticate_webauthn": "pasargad.customers.passkeys.ReauthenticateForm",
    "add_webauthn": "pasargad.customers.passkeys.AddForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# Clocks of telephones are some seconds off: one step of 30 seconds before and after is taken too.
MFA_TOTP_TOLERANCE = 1
# Whoever is staff needs a second factor on the staff's pages.
STAFF_SECOND_FACTOR = True

SOCIALACCOUNT_ADAPTER = "pasargad.customers.adapter.OtherLoginsAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_QUERY_EMAIL = True
# What each provider is asked for, and where browsers are sent.
SOCIAL_LOGINS: dict[str, tuple[dict[str, Any], str]] = {
    "GOOGLE": ({"SCOPE": ["profile", "email"], "OAUTH_PKCE_ENABLED": True}, "https://accounts.google.com"),
    "FACEBOOK": ({"METHOD": "oauth2", "SCOPE": ["email", "public_profile"]}, "https://www.facebook.com"),
    "GITHUB": ({"SCOPE": ["user:email"], "OAUTH_PKCE_ENABLED": True}, "https://github.com"),
}

# One migration for each of the library's apps, written for a release that runs beside the one before
# (docs/decisions/accounts.md).
MIGRATION_MODULES = {
    "account": "pasargad.accounts.signin_tables.account",
    "mfa": "pasargad.accounts.signin_tables.mfa",
    "socialaccount": "pasargad.accounts.signin_tables.socialaccount",
    "usersessions": "pasargad.accounts.signin_tables.usersessions",
}
