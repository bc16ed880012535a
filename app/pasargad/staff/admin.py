from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pasargad.orders.admin import OrderAdmin
from pasargad.orders.models import Order

from . import pages
from .queues import ORDER_QUEUES


class QueueFilter(admin.SimpleListFilter):
    title = "queue"
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, label) for key, (label, _) in ORDER_QUEUES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        wanted = ORDER_QUEUES.get(self.value() or "")
        return queryset.filter(wanted[1]) if wanted else queryset


class OrderWorkAdmin(OrderAdmin):
    """The list of orders leads to their work pages; the frozen rows behind them stay readable."""

    list_display = ("number_link", "placed_at", "status", "name", "email", "delivery", "total")
    list_display_links = None
    list_filter = (QueueFilter, *OrderAdmin.list_filter)
    actions = (*OrderAdmin.actions, "print_picking", "print_slips")
    change_form_template = "staff/order_change_form.html"

    @admin.display(description="number", ordering="number")
    def number_link(self, order: Order) -> SafeString:
        return format_html('<a href="{}"><strong>{}</strong></a>', pages.page_of(order), order.number)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("picking/", view(pages.picking_list), name="orders_order_picking"),
            path("slips/", view(pages.packing_slips), name="orders_order_slips"),
            path("<int:order_id>/desk/", view(pages.order_page), name="orders_order_work"),
            path("<int:order_id>/desk/<slug:name>/", view(pages.order_step), name="orders_order_step"),
            path(
                "<int:order_id>/desk/parcels/<int:parcel_id>/<slug:name>/",
                view(pages.parcel_step),
                name="orders_order_parcel",
            ),
            path(
                "<int:order_id>/desk/reviews/<int:review_id>/<slug:name>/",
                view(pages.review_step),
                name="orders_order_review",
            ),
        ]
        return [*own, *super().get_urls()]

    @admin.action(description="Print a picking list", permissions=["view"])
    def print_picking(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponseRedirect:
        return _printed("picking", queryset)

    @admin.action(description="Print packing slips", permissions=["view"])
    def print_slips(self, request: HttpRequest, queryset: QuerySet[Order]) -> HttpResponseRedirect:
        return _printed("slips", queryset)


def _printed(what: str, queryset: QuerySet[Order]) -> HttpResponseRedirect:
    keys = ",".join(map(str, queryset.order_by("pk").values_list("pk", flat=True)[: pages.MOST_PRINTED]))
    return HttpResponseRedirect(f"{reverse(f'admin:orders_order_{what}')}?orders={keys}")


admin.site.unregister(Order)
admin.site.register(Order, OrderWorkAdmin)
