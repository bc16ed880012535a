from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest

from pasargad.catalog.money import Money
from pasargad.readonly import ReadOnly

from . import selectors
from .models import Coupon, Promotion, Redemption

COUNTED = ~Q(redemptions__state=Redemption.State.RELEASED)

FOR_WHOM = {
    "first_order_only": "Only for customers with an account: a guest's typed address proves nothing.",
    "per_customer_limit": (
        "Over all coupons of this promotion. Empty: no limit. A campaign with a limit is only for customers with an "
        "account."
    ),
}


class CouponForm(forms.ModelForm):
    def clean_code(self) -> str:
        return str(self.cleaned_data["code"]).upper()

    code = forms.RegexField(
        r"^[A-Za-z0-9-]{3,40}$", error_messages={"invalid": "Letters, digits and dashes, at least three."}
    )

    class Meta:
        model = Coupon
        fields = ("code", "limit", "is_active")


class CouponInline(admin.TabularInline):
    model = Coupon
    form = CouponForm
    extra = 1
    fields = ("code", "limit", "used", "is_active")
    readonly_fields = ("used",)


class RunningFilter(admin.SimpleListFilter):
    title = "running"
    parameter_name = "running"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("now", "Now"), ("ending", "Ends within a week")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Promotion]) -> QuerySet[Promotion]:
        wanted = {"now": selectors.promotions_running, "ending": selectors.promotions_ending}.get(self.value() or "")
        return queryset.filter(pk__in=wanted().values("pk")) if wanted else queryset


@admin.register(Promotion)
class PromotionAdmin(admin.ModelAdmin):
    """The list is the report of use: how often, by how many customers, for how much."""

    list_display = ("name", "kind", "is_automatic", "is_active", "starts_at", "ends_at", "uses", "customers", "saved")
    list_filter = (RunningFilter, "is_active", "is_automatic", "kind")
    search_fields = ("name", "coupons__code")
    autocomplete_fields = ("categories",)
    raw_id_fields = ("products",)
    inlines = (CouponInline,)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, help_texts=FOR_WHOM, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Promotion]:
        return super().get_queryset(request).annotate(
            use_count=Count("redemptions", filter=COUNTED),
            customer_count=Count("redemptions__customer_key", filter=COUNTED, distinct=True),
            saved_minor=Sum("redemptions__amount_minor", filter=COUNTED),
        )  # fmt: skip

    @admin.display(description="uses", ordering="use_count")
    def uses(self, promotion: Any) -> int:
        return int(promotion.use_count)

    @admin.display(description="customers", ordering="customer_count")
    def customers(self, promotion: Any) -> int:
        return int(promotion.customer_count)

    @admin.display(description="saved by shoppers", ordering="saved_minor")
    def saved(self, promotion: Any) -> Money:
        return Money(promotion.saved_minor or 0, settings.SHOP.currency)


@admin.register(Redemption)
class RedemptionAdmin(ReadOnly):
    list_display = ("at", "promotion", "coupon", "reference", "amount", "state")
    list_filter = ("state", "promotion")
    list_select_related = ("promotion", "coupon")
    search_fields = ("reference", "coupon__code")
    date_hierarchy = "at"

    @admin.display(description="saved", ordering="amount_minor")
    def amount(self, redemption: Redemption) -> Money:
        return Money(redemption.amount_minor, settings.SHOP.currency)
