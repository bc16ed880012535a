"""Django's admin, beginning with the work of today; actions on lists are written to the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from pasargad.audit.services import audit_record

LONGEST_LIST = 100
# Nothing happens but that something is shown; `delete_selected` asks first, and each deletion is noted by itself.
SILENT = {"delete_selected"}


class Audited:
    """Writes down which action was begun on which rows, before it runs: also where it reaches beyond the database."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)  # type: ignore[misc]
        return {name: (_noted(name, deed), name, label) for name, (deed, _, label) in actions.items()}


def _noted(name: str, deed: Callable[..., Any]) -> Callable[..., Any]:
    def noted(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        if name not in SILENT:
            keys = [str(pk) for pk in queryset.order_by("pk").values_list("pk", flat=True)[:LONGEST_LIST]]
            audit_record(f"began {name}", target_type=queryset.model._meta.label_lower, changes={"rows": [None, keys]})
        return deed(model_admin, request, queryset)

    return noted


class StaffSite(AdminSite):
    index_template = "staff/today.html"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        base = admin_class or ModelAdmin
        if not issubclass(base, Audited):
            base = type(base.__name__, (Audited, base), {"__module__": base.__module__, "__doc__": base.__doc__})
        super().register(model_or_iterable, base, **options)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from .queues import queues_for

        return super().index(request, {"title": "Today", "queues": queues_for(request.user), **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        from .figures import figures

        return [path("figures/", self.admin_view(figures), name="figures"), *super().get_urls()]
