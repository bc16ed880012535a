"""Places as shoppers know them."""

from __future__ import annotations

from django import template

from pasargad.orders.countries import country_name

register = template.Library()
register.filter("country", country_name)
