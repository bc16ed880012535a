"""Where the provider tells of payments."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from . import gateway, services
from .exceptions import WebhookRefused

logger = logging.getLogger(__name__)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Answer 200 only when the event's effect is stored: anything else makes the provider send it again."""
    try:
        event = gateway.webhook_event(request.body, request.headers.get("Stripe-Signature", ""))
    except WebhookRefused as error:
        logger.warning("webhook refused", extra={"reason": str(error)})
        return JsonResponse({"error": str(error)}, status=400)
    fresh = services.webhook_receive(event)
    return JsonResponse({"received": True, "duplicate": not fresh})


# The provider is no browser: its signature stands for what an origin says of a form.
stripe_webhook.accepts_any_origin = True  # type: ignore[attr-defined]
