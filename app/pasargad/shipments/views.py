"""Where the carrier tells of parcels."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .carriers import shippo
from .exceptions import WebhookRefused
from .selectors import shipment_by_tracking
from .services import tracking_record

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def shippo_webhook(request: HttpRequest) -> HttpResponse:
    """Answer 200 only when what was told is stored: anything else makes the carrier send it again."""
    try:
        tracking = shippo.webhook_read(request.body, request.headers.get("Shippo-Auth-Signature", ""))
    except WebhookRefused as error:
        logger.warning("webhook refused", extra={"reason": str(error)})
        return JsonResponse({"error": str(error)}, status=400)
    shipment = shipment_by_tracking(tracking.carrier, tracking.number) if tracking else None
    new = tracking_record(shipment.pk, tracking) if shipment and tracking else 0
    return JsonResponse({"received": True, "new": new})


# The carrier is no browser: its signature stands for what an origin says of a form.
shippo_webhook.accepts_any_origin = True  # type: ignore[attr-defined]
