"""The nightly look at the books."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.core.mail import mail_admins
from django.utils import timezone

from pasargad.payments.exceptions import PaymentError
from pasargad.payments.services import events_pull

from .oracles import check, check_provider

logger = logging.getLogger(__name__)

LOOK_BACK = timedelta(days=30)
# What is younger may be under way between the provider and us.
ON_ITS_WAY = timedelta(minutes=10)


def books_verify() -> int:
    """Ask every invariant and tell the administrators of what is wrong; returns how many findings there are."""
    findings, now = check(), timezone.now()
    try:
        if check_provider(now - LOOK_BACK, now - ON_ITS_WAY):
            # Perhaps we only have not heard of it yet.
            events_pull()
            findings += check_provider(now - LOOK_BACK, now - ON_ITS_WAY)
    except PaymentError as error:
        logger.warning("cannot compare the books with the provider", extra={"reason": str(error)})
    for finding in findings:
        logger.error("the books are wrong", extra=vars(finding))
    if findings:
        mail_admins("The books are wrong", "\n".join(map(str, findings)), fail_silently=True)
    return len(findings)
