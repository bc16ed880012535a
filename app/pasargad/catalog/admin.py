from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from pasargad.readonly import ReadOnly

from . import pictures, selectors, services, shapes
from .exceptions import OutOfStock, PictureRefused, ShapeRefused
from .models import (
    Attribute,
    AttributeChoice,
    AttributeValue,
    Category,
    FormerSlug,
    Product,
    ProductImage,
    Reservation,
    StockMovement,
    Variant,
    Workshop,
)
from .stock import stock_move


class ChoiceInline(admin.TabularInline):
    model = AttributeChoice
    extra = 0


@admin.register(Attribute)
class AttributeAdmin(admin.ModelAdmin):
    list_display = ("name", "code", "type", "unit", "is_facet", "position")
    prepopulated_fields = {"code": ("name",)}
    inlines = (ChoiceInline,)


@admin.register(Workshop)
class WorkshopAdmin(admin.ModelAdmin):
    """One row: how much the shop can print. Lead times that follow from it are worked out anew."""

    list_display = ("printers", "minutes_per_day", "finishing_days")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not Workshop.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Workshop, form: Any, change: bool) -> None:
        obj.pk = 1
        obj.save()
        services.lead_times_refresh()


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ("name", "parent", "position", "is_active")
    list_select_related = ("parent",)
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}

    def save_model(self, request: HttpRequest, obj: Category, form: Any, change: bool) -> None:
        services.category_save(obj)


class VariantForm(forms.ModelForm):
    class Meta:
        model = Variant
        fields = "__all__"

    def save(self, commit: bool = True) -> Any:
        self.instance.currency = self.instance.currency or settings.SHOP.currency
        return super().save(commit)


class VariantInline(admin.TabularInline):
    model = Variant
    form = VariantForm
    extra = 0
    fields = ("sku", "name", "options", "color", "price_minor", "currency", "made_to_order", "lead_days",
              "lead_from_print_time", "weight_grams", "width_mm", "depth_mm", "height_mm", "print_minutes",
              "low_stock_from", "on_hand", "reserved", "position", "is_active")  # fmt: skip
    # One shop, one currency: another one in a single row would be money nobody counts.
    readonly_fields = ("on_hand", "reserved", "currency")


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


class AttributeValueInline(admin.TabularInline):
    model = AttributeValue
    extra = 0
    fields = ("attribute", "variant", "text", "number", "choice")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AttributeValue]:
        return super().get_queryset(request).select_related("attribute", "choice", "variant")


class FormerSlugInline(admin.TabularInline):
    """Addresses that lead here. One that is deleted leads nowhere any more."""

    model = FormerSlug
    extra = 0
    fields = readonly_fields = ("slug", "at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ProductForm(forms.ModelForm):
    picture = forms.ImageField(required=False, help_text="PNG, JPEG, WebP or AVIF; sizes for pages are made from it.")
    picture_alt = forms.CharField(required=False, max_length=200, label="What the picture shows")
    shape = forms.FileField(required=False, label="Shape in 3D", help_text="A binary glTF file (.glb).")
    shape_remove = forms.BooleanField(required=False, label="Remove the shape")
    content: bytes = b""
    rendered: pictures.Rendered | None = None

    class Meta:
        model = Product
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if picture := cleaned.get("picture"):
            if cleaned.get("picture_alt"):
                self._render(picture)
            else:
                self.add_error("picture_alt", "Say what the picture shows, for those who cannot see it.")
        if shape := cleaned.get("shape"):
            try:
                # Too large a file is not read to its end.
                shapes.check(shape.read(shapes.MAX_BYTES + 1))
            except ShapeRefused as error:
                self.add_error("shape", str(error))
        return cleaned

    def _render(self, picture: UploadedFile) -> None:
        """Make all sizes before anything is written: once the variants are, orders wait for their rows."""
        picture.seek(0)
        self.content = picture.read()
        try:
            self.rendered = pictures.render(self.content)
        except PictureRefused as error:
            self.add_error("picture", str(error))


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    form = ProductForm
    list_display = ("name", "category", "state", "price_minor", "featured", "published_at")
    list_filter = ("state", "featured", "category")
    list_select_related = ("category",)
    search_fields = ("name", "variants__sku")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (VariantInline, AttributeValueInline, ImageInline, FormerSlugInline)
    actions = ("publish",)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if form.rendered:
            alt = form.cleaned_data["picture_alt"]
            services.image_add(product=form.instance, content=form.content, alt=alt, rendered=form.rendered)
        if shape := form.cleaned_data.get("shape"):
            shape.seek(0)
            services.shape_set(product=form.instance, content=shape.read())
        elif form.cleaned_data.get("shape_remove"):
            services.shape_remove(form.instance)
        services.product_refresh(form.instance)

    @admin.action(description="Publish", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        for product in queryset:
            services.product_publish(product)


class StockFilter(admin.SimpleListFilter):
    title = "stock"
    parameter_name = "stock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("low", "Low: print more")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Variant]) -> QuerySet[Variant]:
        return queryset.filter(pk__in=selectors.variants_low().values("pk")) if self.value() == "low" else queryset


@admin.register(Variant)
class VariantAdmin(ReadOnly):
    list_display = ("sku", "product", "on_hand", "reserved", "low_stock_from", "made_to_order", "is_active", "adjust")
    list_filter = (StockFilter, "made_to_order", "is_active")
    list_select_related = ("product",)
    search_fields = ("sku", "product__name")

    @admin.display(description="stock")
    def adjust(self, variant: Variant) -> SafeString:
        address = f"{reverse('admin:catalog_stockmovement_add')}?variant={variant.pk}"
        return format_html('<a href="{}">Adjust<span class="visually-hidden"> {}</span></a>', address, variant.sku)


class MovementForm(forms.ModelForm):
    """What is sold and what comes back is written by orders; people receive and correct, and say why."""

    BY_HAND = (StockMovement.Kind.RECEIVED, StockMovement.Kind.CORRECTED)
    kind = forms.ChoiceField(choices=[(kind.value, kind.label) for kind in BY_HAND])
    note = forms.CharField(label="Reason", max_length=200, help_text="For example: counted, broken, new batch.")

    def clean(self) -> dict[str, Any]:
        """Refuse what would leave less than is held; the service checks again when it writes."""
        cleaned = super().clean() or {}
        variant, quantity = cleaned.get("variant"), cleaned.get("quantity")
        if variant and quantity and variant.on_hand + quantity < variant.reserved:
            self.add_error("quantity", f"Only {variant.available} can leave: {variant.reserved} are held for orders.")
        if quantity is not None and cleaned.get("kind") == StockMovement.Kind.RECEIVED and quantity < 0:
            self.add_error("quantity", "What is received is counted upwards.")
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

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        try:
            return super().add_view(request, form_url, extra_context)
        except OutOfStock:
            self.message_user(request, "Orders took the pieces meanwhile. Nothing was changed.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_model(self, request: HttpRequest, obj: StockMovement, form: Any, change: bool) -> None:
        obj.pk = stock_move(obj.variant_id, obj.quantity, kind=obj.kind, note=obj.note).pk


@admin.register(Reservation)
class ReservationAdmin(ReadOnly):
    list_display = ("reference", "variant", "quantity", "state", "expires_at")
    list_filter = ("state",)
    list_select_related = ("variant",)
