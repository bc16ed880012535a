from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from .models import PaymentAttempt, Refund, WebhookEvent


class ReadOnly(admin.ModelAdmin):
    """Books are written by the shop, not by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(ReadOnly):
    list_display = (
        "order",
        "number",
        "status",
        "amount_minor",
        "received_minor",
        "refunded_minor",
        "intent_id",
        "error",
    )
    list_filter = ("status",)
    list_select_related = ("order",)
    search_fields = ("order__number", "intent_id")
    exclude = ("client_secret",)


@admin.register(Refund)
class RefundAdmin(ReadOnly):
    list_display = ("attempt", "status", "amount_minor", "reason", "provider_id", "error")
    list_filter = ("status",)
    list_select_related = ("attempt",)


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnly):
    list_display = ("received_at", "type", "event_id")
    list_filter = ("type",)
