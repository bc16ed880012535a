"""Fields that several apps of the shop use."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

COUNTRY_CODE = RegexValidator(r"^[A-Z]{2}$", "Write country codes in two capital letters, for example US.")


def validate_country_codes(codes: list[str]) -> None:
    if wrong := [code for code in codes if not re.fullmatch("[A-Z]{2}", code)]:
        raise ValidationError(f"Write country codes in two capital letters, for example US: not {', '.join(wrong)}.")


def country_codes(**options: Any) -> ArrayField[Any, Any]:
    options.setdefault("validators", [validate_country_codes])
    return ArrayField(models.CharField(max_length=20), default=list, blank=True, **options)


def texts(longest: int, **options: Any) -> ArrayField[Any, Any]:
    return ArrayField(models.CharField(max_length=longest), default=list, blank=True, **options)
