"""Names of the countries the shop may sell to or sit in."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

NAMES = {
    "AE": _("United Arab Emirates"), "AT": _("Austria"), "AU": _("Australia"), "BE": _("Belgium"),
    "BG": _("Bulgaria"), "BR": _("Brazil"), "CA": _("Canada"), "CH": _("Switzerland"), "CY": _("Cyprus"),
    "CZ": _("Czechia"), "DE": _("Germany"), "DK": _("Denmark"), "EE": _("Estonia"), "ES": _("Spain"),
    "FI": _("Finland"), "FR": _("France"), "GB": _("United Kingdom"), "GR": _("Greece"), "HR": _("Croatia"),
    "HU": _("Hungary"), "IE": _("Ireland"), "IL": _("Israel"), "IN": _("India"), "IR": _("Iran"), "IS": _("Iceland"),
    "IT": _("Italy"), "JP": _("Japan"), "KR": _("South Korea"), "LI": _("Liechtenstein"), "LT": _("Lithuania"),
    "LU": _("Luxembourg"), "LV": _("Latvia"), "MT": _("Malta"), "MX": _("Mexico"), "NL": _("Netherlands"),
    "NO": _("Norway"), "NZ": _("New Zealand"), "PL": _("Poland"), "PT": _("Portugal"), "RO": _("Romania"),
    "SE": _("Sweden"), "SG": _("Singapore"), "SI": _("Slovenia"), "SK": _("Slovakia"), "TR": _("Türkiye"),
    "US": _("United States"), "ZA": _("South Africa"),
}  # fmt: skip


def country_name(code: str) -> str:
    """The name of an ISO 3166 code; a code that is missing here is shown as it is."""
    return str(NAMES.get(code, code))
