"""English names of the countries the shop may ship to; a code that is missing here is shown as it is."""

NAMES = {
    "AT": "Austria", "AU": "Australia", "BE": "Belgium", "CA": "Canada", "CH": "Switzerland", "CZ": "Czechia",
    "DE": "Germany", "DK": "Denmark", "ES": "Spain", "FI": "Finland", "FR": "France", "GB": "United Kingdom",
    "GR": "Greece", "IE": "Ireland", "IR": "Iran", "IT": "Italy", "JP": "Japan", "LU": "Luxembourg", "MX": "Mexico",
    "NL": "Netherlands", "NO": "Norway", "NZ": "New Zealand", "PL": "Poland", "PT": "Portugal", "SE": "Sweden",
    "TR": "Türkiye", "US": "United States",
}  # fmt: skip
