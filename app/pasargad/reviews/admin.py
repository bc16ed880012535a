from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from . import services
from .models import Review, Status


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    """The queue of reviews: read, then shown or not. What a buyer wrote is nobody's to change."""

    list_display = ("created_at", "product", "rating", "title", "author", "status")
    list_filter = ("status", "rating")
    list_select_related = ("product",)
    search_fields = ("product__name", "title", "text", "author")
    date_hierarchy = "created_at"
    ordering = ("-status", "created_at")
    fields = ("product", "rating", "author", "title", "text", "status", "reply", "order", "created_at", "decided_by")
    readonly_fields = tuple(name for name in fields if name not in ("status", "reply"))
    actions = ("approve", "reject")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Review, form: Any, change: bool) -> None:
        """The status goes through the service, which counts; only the answer is written here."""
        services.review_reply(obj.pk, obj.reply)
        services.review_decide(obj.pk, Status(obj.status), actor=str(request.user))

    def delete_model(self, request: HttpRequest, obj: Review) -> None:
        services.review_delete(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            services.review_delete(pk)

    @admin.action(description="Show these reviews", permissions=["change"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            services.review_decide(pk, Status.APPROVED, actor=str(request.user))

    @admin.action(description="Do not show these reviews", permissions=["change"])
    def reject(self, request: HttpRequest, queryset: QuerySet[Review]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            services.review_decide(pk, Status.REJECTED, actor=str(request.user))
