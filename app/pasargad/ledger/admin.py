from django.contrib import admin

from pasargad.readonly import FrozenInline, ReadOnly

from .models import Entry, Posting


class PostingInline(FrozenInline):
    model = Posting


@admin.register(Entry)
class EntryAdmin(ReadOnly):
    """The books are read here; the database refuses to change them."""

    list_display = ("at", "key", "subject", "currency", "note")
    search_fields = ("key", "subject")
    inlines = (PostingInline,)
