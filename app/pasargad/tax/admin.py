from django.contrib import admin

from .models import TaxAssignment, TaxClass, TaxRate, TaxZone


class RateInline(admin.TabularInline):
    model = TaxRate
    extra = 1


class AssignmentInline(admin.TabularInline):
    model = TaxAssignment
    extra = 1
    raw_id_fields = ("product",)


@admin.register(TaxZone)
class TaxZoneAdmin(admin.ModelAdmin):
    list_display = ("name", "countries", "states", "prices_contain_tax", "position", "is_active")
    list_filter = ("is_active",)
    search_fields = ("name",)
    inlines = (RateInline,)


@admin.register(TaxClass)
class TaxClassAdmin(admin.ModelAdmin):
    list_display = ("name", "code")
    search_fields = ("name", "code")
    inlines = (AssignmentInline,)
