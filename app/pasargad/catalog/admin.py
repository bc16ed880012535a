from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from . import services
from .models import Category, Product, ProductImage, Reservation, StockMovement, Variant
from .stock import stock_move


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ("name", "parent", "position", "is_active")
    list_select_related = ("parent",)
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}

    def save_model(self, request: HttpRequest, obj: Category, form: Any, change: bool) -> None:
        services.category_save(obj)


class VariantInline(admin.TabularInline):
    model = Variant
    extra = 0
    fields = ("sku", "name", "options", "color", "price_minor", "currency", "made_to_order", "lead_days",
              "weight_grams", "print_minutes", "on_hand", "reserved", "position", "is_active")  # fmt: skip
    readonly_fields = ("on_hand", "reserved")


class ImageForm(forms.ModelForm):
    class Meta:
        model = ProductImage
        fields = ("alt", "variant", "position")


class ImageInline(admin.TabularInline):
    model = ProductImage
    form = ImageForm
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ProductForm(forms.ModelForm):
    picture = forms.ImageField(required=False, help_text="PNG, JPEG, WebP or AVIF; sizes for pages are made from it.")
    picture_alt = forms.CharField(required=False, max_length=200, label="What the picture shows")

    class Meta:
        model = Product
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("picture") and not cleaned.get("picture_alt"):
            self.add_error("picture_alt", "Say what the picture shows, for those who cannot see it.")
        return cleaned


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    form = ProductForm
    list_display = ("name", "category", "state", "price_minor", "featured", "published_at")
    list_filter = ("state", "featured", "category")
    list_select_related = ("category",)
    search_fields = ("name", "variants__sku")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (VariantInline, ImageInline)
    actions = ("publish",)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if picture := form.cleaned_data.get("picture"):
            picture.seek(0)
            services.image_add(product=form.instance, content=picture.read(), alt=form.cleaned_data["picture_alt"])
        services.product_refresh(form.instance)

    @admin.action(description="Publish")
    def publish(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        for product in queryset:
            services.product_publish(product)


class ReadOnly(admin.ModelAdmin):
    """Books are written by the shop, not by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Variant)
class VariantAdmin(ReadOnly):
    list_display = ("sku", "product", "on_hand", "reserved", "made_to_order", "is_active")
    list_select_related = ("product",)
    search_fields = ("sku", "product__name")


class MovementForm(forms.ModelForm):
    def clean(self) -> dict[str, Any]:
        """Refuse what would leave less than is held; the service checks again when it writes."""
        cleaned = super().clean() or {}
        variant, quantity = cleaned.get("variant"), cleaned.get("quantity")
        if variant and quantity and variant.on_hand + quantity < variant.reserved:
            self.add_error("quantity", f"Only {variant.available} can leave: {variant.reserved} are held for orders.")
        return cleaned


@admin.register(StockMovement)
class StockMovementAdmin(ReadOnly):
    """Stock is received and corrected here: a movement, never an edited number."""

    form = MovementForm
    list_display = ("at", "variant", "kind", "quantity", "reference", "note")
    list_filter = ("kind",)
    list_select_related = ("variant",)
    autocomplete_fields = ("variant",)
    fields = ("variant", "kind", "quantity", "note")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("catalog.add_stockmovement")  # type: ignore[union-attr]

    def save_model(self, request: HttpRequest, obj: StockMovement, form: Any, change: bool) -> None:
        obj.pk = stock_move(obj.variant_id, obj.quantity, kind=obj.kind, note=obj.note).pk


@admin.register(Reservation)
class ReservationAdmin(ReadOnly):
    list_display = ("reference", "variant", "quantity", "state", "expires_at")
    list_filter = ("state",)
    list_select_related = ("variant",)
