from django.contrib import admin

from .models import PickupPoint, ShippingMethod, ShippingZone, WeightBand


class MethodInline(admin.TabularInline):
    model = ShippingMethod
    extra = 0
    show_change_link = True
    fields = ("name", "base_minor", "per_kilogram_minor", "free_from_minor", "position", "is_active")


class BandInline(admin.TabularInline):
    model = WeightBand
    extra = 1


@admin.register(ShippingZone)
class ShippingZoneAdmin(admin.ModelAdmin):
    list_display = ("name", "countries", "postcodes", "position", "is_active")
    list_filter = ("is_active",)
    search_fields = ("name",)
    inlines = (MethodInline,)


@admin.register(ShippingMethod)
class ShippingMethodAdmin(admin.ModelAdmin):
    list_display = ("name", "zone", "base_minor", "per_kilogram_minor", "free_from_minor", "carrier", "is_active")
    list_filter = ("zone", "carrier", "is_active")
    list_select_related = ("zone",)
    search_fields = ("name",)
    inlines = (BandInline,)


@admin.register(PickupPoint)
class PickupPointAdmin(admin.ModelAdmin):
    list_display = ("name", "street", "city", "country", "position", "is_active")
    list_filter = ("is_active",)
