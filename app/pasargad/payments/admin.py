from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from pasargad.orders.return_models import ReturnEvent, ReturnLine, ReturnRequest
from pasargad.readonly import FrozenInline, ReadOnly

from . import staff_views
from .exceptions import RefundRefused
from .messages import messages_refused
from .models import Dispute, PaymentAttempt, Refund, RefundFailure, RefundLine, WebhookEvent
from .refunds import refund_again, refund_withdraw


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(ReadOnly):
    list_display = (
        "order",
        "number",
        "status",
        "amount_minor",
        "received_minor",
        "refunded_minor",
        "disputed_minor",
        "intent_id",
        "error",
    )
    list_filter = ("status",)
    list_select_related = ("order",)
    search_fields = ("order__number", "intent_id")
    exclude = ("client_secret",)


class RefundLineInline(FrozenInline):
    model = RefundLine
    fields = ("line", "quantity", "sent_quantity", "restocked")


class FailureInline(FrozenInline):
    model = RefundFailure
    fields = readonly_fields = ("at", "number", "idempotency_key", "provider_id", "error")


@admin.register(Refund)
class RefundAdmin(ReadOnly):
    list_display = ("attempt", "status", "amount_minor", "reason", "actor", "sending", "provider_id", "error")
    list_filter = ("status",)
    list_select_related = ("attempt",)
    search_fields = ("attempt__order__number", "provider_id", "idempotency_key")
    inlines = (RefundLineInline, FailureInline)
    actions = ("send_again", "withdraw")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(staff_views.refund_order)
        return [path("order/<int:order_id>/", view, name="payments_refund_order"), *super().get_urls()]

    @admin.action(description="Send failed refunds again", permissions=["change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        self._each(request, queryset, refund_again, "sent again")

    @admin.action(description="Withdraw failed refunds (the money stays here)", permissions=["change"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        self._each(request, queryset, refund_withdraw, "withdrawn")

    def _each(self, request: HttpRequest, queryset: QuerySet[Refund], deed: Any, done: str) -> None:
        count = 0
        for pk in queryset.order_by("pk").values_list("pk", flat=True):
            try:
                deed(pk, actor=str(request.user))
                count += 1
            except RefundRefused as error:
                self.message_user(request, str(error), messages.WARNING)
        self.message_user(request, f"{count} refunds {done}")


@admin.register(Dispute)
class DisputeAdmin(ReadOnly):
    list_display = ("created_at", "due_at", "attempt", "status", "amount_minor", "reason", "provider_id")
    list_filter = ("status",)
    list_select_related = ("attempt",)


class RefusedFilter(admin.SimpleListFilter):
    title = "what was refused"
    parameter_name = "refused"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Waits although its payment is here")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> QuerySet[WebhookEvent]:
        return queryset.filter(pk__in=messages_refused().values("pk")) if self.value() == "yes" else queryset


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnly):
    list_display = ("received_at", "type", "event_id", "waiting")
    list_filter = (RefusedFilter, "type", "waiting")


class ReturnLineInline(FrozenInline):
    model = ReturnLine
    fields = ("line", "quantity", "restocked", "written_off")


class ReturnEventInline(FrozenInline):
    model = ReturnEvent
    fields = readonly_fields = ("at", "before", "after", "actor", "note")


@admin.register(ReturnRequest)
class ReturnRequestAdmin(ReadOnly):
    """Returns are read here; their steps are the buttons above."""

    list_display = ("created_at", "order", "number", "state", "reason", "comment")
    list_filter = ("state", "reason")
    list_select_related = ("order",)
    search_fields = ("order__number", "order__email")
    exclude = ("request_key",)
    inlines = (ReturnLineInline, ReturnEventInline)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(staff_views.return_step)
        return [path("<int:request_id>/step/<slug:name>/", view, name="orders_return_step"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = self.get_object(request, object_id)
        open_steps = staff_views.steps_of(found) if isinstance(found, ReturnRequest) else []
        steps = [step for step in open_steps if staff_views.may_do(request.user, step[0])]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "steps": steps})
