"""A coupon's page that was open while shoppers used it writes back what staff typed, and not how often it was used."""

from __future__ import annotations

import pytest
from testing.factories import make_coupon

from pasargad.promotions.models import Coupon


@pytest.mark.django_db
def test_saving_an_opened_coupon_keeps_its_uses():
    opened = make_coupon(limit=5)
    Coupon.objects.filter(pk=opened.pk).update(used=3)
    opened.limit = 7
    opened.save()
    opened.refresh_from_db()
    assert (opened.limit, opened.used) == (7, 3)
