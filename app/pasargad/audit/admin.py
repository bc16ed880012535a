from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.text import Truncator

from pasargad.readonly import ReadOnly

from .export import csv_rows, in_pages
from .models import Entry
from .services import audit_record

LONGEST_EXPORT = 100_000
LONGEST_BRIEF = 160


@admin.register(Entry)
class EntryAdmin(ReadOnly):
    """The log is read here; the database refuses to change it."""

    list_display = ("at", "actor", "address", "action", "target_type", "target_id", "target", "brief")
    list_filter = ("at", "action", "target_type")
    search_fields = ("actor", "target", "target_id", "address", "request_id")
    search_help_text = "Who, what it was about, its number, an address or the number of a request"
    date_hierarchy = "at"
    list_per_page = 50
    show_full_result_count = False
    change_list_template = "admin/audit/entry/change_list.html"
    fields = readonly_fields = ("at", "actor", "address", "action", "target_type", "target_id", "target", "summary",
                                "request_id", "place")  # fmt: skip

    @admin.display(description="before → after")
    def brief(self, entry: Entry) -> str:
        return Truncator(self.summary(entry)).chars(LONGEST_BRIEF)

    @admin.display(description="before → after")
    def summary(self, entry: Entry) -> str:
        parts = []
        for name, change in entry.changes.items():
            pair = change if isinstance(change, list) and len(change) == 2 else [None, change]
            before, after = (_words(value) for value in pair)
            parts.append(f"{name}: {before} → {after}")
        return "; ".join(parts)

    @admin.display(description="place in the chain")
    def place(self, entry: Entry) -> str:
        link = getattr(entry, "link", None)
        return f"{link.position}: {bytes(link.digest).hex()}" if link else "-"

    def get_urls(self) -> list[URLPattern]:
        return [path("export/", self.admin_site.admin_view(self.export), name="audit_export"), *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Answer with what the list shows, filters included, as CSV; that it was exported is itself an act."""
        if request.method != "POST" or not request.user.has_perm("audit.export_entry"):  # type: ignore[union-attr]
            raise PermissionDenied
        found = self.get_changelist_instance(request).get_queryset(request)
        rows = found.count()
        if rows > LONGEST_EXPORT:
            messages.error(request, f"That is {rows:,} rows. Narrow the list down to {LONGEST_EXPORT:,} or fewer.")
            return self.changelist_view(request)
        audit_record("exported", target_type="audit.entry", changes={"rows": [None, rows]})
        name = f"audit-{timezone.localdate():%Y-%m-%d}.csv"
        response = StreamingHttpResponse(csv_rows(in_pages(found)), content_type="text/csv")
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        response.headers["Cache-Control"] = "no-store"
        return response


def _words(value: Any) -> str:
    if value is None or value == "":
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
