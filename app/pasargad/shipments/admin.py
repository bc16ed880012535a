from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import translation
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pasargad.languages import known
from pasargad.orders.presenting import order_view
from pasargad.readonly import FrozenInline

from .exceptions import CarrierError, ShipmentRefused
from .models import Shipment, ShipmentLine, TrackingEvent
from .services import label_buy, shipment_cancel, shipment_prepare, shipment_rates, shipment_send


class LineInline(FrozenInline):
    model = ShipmentLine


class EventInline(FrozenInline):
    model = TrackingEvent
    fields = ("at", "status", "text", "place")


class PrepareForm(forms.ModelForm):
    """A new parcel takes everything of the order that is in none yet; what does not fit goes into the next."""

    class Meta:
        model = Shipment
        fields = ("order", "carrier")


@admin.register(Shipment)
class ShipmentAdmin(admin.ModelAdmin):
    """Parcels to pack, label and hand over."""

    list_display = ("id", "order", "state", "carrier", "service", "tracking_number", "created_at", "slip_link")
    list_filter = ("state", "carrier", "created_at")
    list_select_related = ("order",)
    search_fields = ("order__number", "tracking_number", "order__email")
    date_hierarchy = "created_at"
    raw_id_fields = ("order",)
    actions = ("buy_label", "hand_over", "unpack")
    inlines = (LineInline, EventInline)
    readonly_fields = ("state", "service", "cost_minor", "currency", "label_link", "slip_link", "error", "sent_at",
                       "delivered_at")  # fmt: skip

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = PrepareForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ("order", "carrier")
        return ("order", "carrier", "grams", "length_mm", "width_mm", "height_mm", "tracking_carrier",
                "tracking_number", "tracking_url", *self.readonly_fields)  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("order", *self.readonly_fields) if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj else ()

    def save_model(self, request: HttpRequest, obj: Shipment, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=[*form.changed_data, "updated_at"])
            return
        made = shipment_prepare(obj.order_id, carrier=obj.carrier)
        obj.__dict__.update(made.__dict__)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        try:
            return super().add_view(request, form_url, extra_context)
        except ShipmentRefused as error:
            self.message_user(request, str(error), messages.ERROR)
            request.method = "GET"
            return super().add_view(request, form_url, extra_context)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="packing slip")
    def slip_link(self, shipment: Shipment) -> SafeString:
        return format_html('<a href="{}">Print</a>', reverse("admin:shipments_slip", args=[shipment.pk]))

    @admin.display(description="label")
    def label_link(self, shipment: Shipment) -> SafeString | str:
        return format_html('<a href="{}">Print</a>', shipment.label_url) if shipment.label_url else "-"

    @admin.action(description="Buy the cheapest label", permissions=["change"])
    def buy_label(self, request: HttpRequest, queryset: QuerySet[Shipment]) -> None:
        for shipment in queryset.select_related("order"):
            try:
                rates = shipment_rates(shipment)
                wanted = [rate for rate in rates if rate.service == shipment.service] or rates
                if not wanted:
                    raise ShipmentRefused("The carrier offers nothing for this parcel.")
                label_buy(shipment.pk, wanted[0])
            except (CarrierError, ShipmentRefused) as error:
                self.message_user(request, f"{shipment}: {error}", messages.WARNING)
            else:
                self.message_user(request, f"{shipment}: label for {wanted[0].name}")

    @admin.action(description="Handed over", permissions=["change"])
    def hand_over(self, request: HttpRequest, queryset: QuerySet[Shipment]) -> None:
        self._each(request, queryset, lambda pk: shipment_send(pk, actor=str(request.user)))

    @admin.action(description="Unpack", permissions=["change"])
    def unpack(self, request: HttpRequest, queryset: QuerySet[Shipment]) -> None:
        self._each(request, queryset, lambda pk: shipment_cancel(pk, actor=str(request.user)))

    def _each(self, request: HttpRequest, queryset: QuerySet[Shipment], act: Any) -> None:
        done = 0
        for pk in queryset.order_by("pk").values_list("pk", flat=True):
            try:
                act(pk)
                done += 1
            except ShipmentRefused as error:
                self.message_user(request, f"Parcel {pk}: {error}", messages.WARNING)
        self.message_user(request, f"{done} parcels")

    def get_urls(self) -> list[URLPattern]:
        slip = path("<int:pk>/slip/", self.admin_site.admin_view(self.slip), name="shipments_slip")
        return [slip, *super().get_urls()]

    def slip(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The paper that goes into the parcel."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Shipment.objects.select_related("order").prefetch_related("lines__order_line").filter(pk=pk).first()
        if found is None:
            raise Http404
        # The buyer reads it.
        with translation.override(known(found.order.language)):
            return render(request, "shipments/slip.html", {"shipment": found, "order": order_view(found.order)})
