from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from pasargad.readonly import FrozenInline, ReadOnly

from .exceptions import IllegalTransition
from .models import Order, OrderEvent, OrderLine, Status
from .services import order_lock, order_move


class LineInline(FrozenInline):
    model = OrderLine
    fields = ("sku", "product_name", "variant_name", "quantity", "unit_price_minor", "total_minor", "discount_minor",
              "tax_minor", "made_to_order")  # fmt: skip


class EventInline(FrozenInline):
    model = OrderEvent
    fields = readonly_fields = ("at", "before", "after", "actor", "note")


@admin.register(Order)
class OrderAdmin(ReadOnly):
    """Orders are read here and moved on by actions; what was bought is frozen."""

    list_display = ("number", "placed_at", "status", "email", "delivery", "total")
    list_filter = ("status", "delivery", "placed_at")
    search_fields = ("number", "email", "name", "lines__sku", "lines__product_name")
    search_help_text = "Number, e-mail, name, SKU or article"
    date_hierarchy = "placed_at"
    inlines = (LineInline, EventInline)
    actions = ("start", "ready_for_pickup", "ship", "deliver")
    exclude = ("token", "idempotency_key", "request_digest")
    readonly_fields = ("refunded_minor",)

    @admin.action(description="Start production", permissions=["change"])
    def start(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        self._move(request, queryset, Status.PROCESSING)

    @admin.action(description="Ready for pickup", permissions=["change"])
    def ready_for_pickup(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        self._move(request, queryset, Status.READY_FOR_PICKUP)

    @admin.action(description="Shipped", permissions=["change"])
    def ship(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        self._move(request, queryset, Status.SHIPPED)

    @admin.action(description="Delivered", permissions=["change"])
    def deliver(self, request: HttpRequest, queryset: QuerySet[Order]) -> None:
        self._move(request, queryset, Status.DELIVERED)

    def _move(self, request: HttpRequest, queryset: QuerySet[Order], to: Status) -> None:
        moved = 0
        for pk in queryset.order_by("pk").values_list("pk", flat=True):
            try:
                with transaction.atomic():
                    order_move(order_lock(pk), to, actor=str(request.user))
                moved += 1
            except IllegalTransition as error:
                self.message_user(request, str(error), messages.WARNING)
        self.message_user(request, f"{moved} orders: {to.label}")
