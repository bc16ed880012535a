from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from pasargad.readonly import ReadOnly

from . import services, transport
from .kinds import Kind
from .models import Attempt, Delivery, Endpoint


class EndpointForm(forms.ModelForm):
    url = forms.URLField(label="Address", assume_scheme="https", max_length=500)
    events = forms.MultipleChoiceField(choices=Kind.choices, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = Endpoint
        fields = ("name", "url", "events")

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        try:
            host, port, _path = transport.parts_of(url)
            transport.resolve(host, port)
        except transport.Forbidden as error:
            raise forms.ValidationError(str(error)) from error
        except OSError as error:
            raise forms.ValidationError("This name is not known.") from error
        return url


@admin.register(Endpoint)
class EndpointAdmin(admin.ModelAdmin):
    """The secret is shown when it is made, and never again; a new one replaces it within a day."""

    form = EndpointForm
    list_display = ("name", "url", "events", "is_enabled", "failing_since", "disabled_reason")
    list_filter = ("is_enabled",)
    actions = ("enable", "disable", "rotate")

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "url", "events"])
            return
        made = services.endpoint_create(name=obj.name, url=obj.url, events=obj.events)
        obj.pk = made.pk
        self.message_user(request, f"The secret, which is shown only now: {made.secret}", messages.WARNING)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        for row in queryset:
            services.endpoint_enable(row.pk)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        queryset.update(is_enabled=False)

    @admin.action(description="Make a new secret", permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        for row in queryset:
            secret = services.secret_rotate(row.pk)
            self.message_user(request, f"{row.name}, shown only now: {secret}", messages.WARNING)


class AttemptInline(admin.TabularInline):
    model = Attempt
    extra = 0
    can_delete = False
    fields = readonly_fields = ("at", "status", "error", "took_ms")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly):
    list_display = ("event", "endpoint", "state", "attempts", "next_attempt_at", "delivered_at")
    list_filter = ("state", "endpoint", "event__kind")
    list_select_related = ("event", "endpoint")
    search_fields = ("event__message_id",)
    readonly_fields = ("body",)
    inlines = (AttemptInline,)
    actions = ("again",)

    @admin.display(description="what was told")
    def body(self, row: Delivery) -> str:
        return str(row.event.body)

    @admin.action(description="Send again", permissions=["change"])
    def again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        sent = services.redeliver(queryset.values_list("pk", flat=True))
        self.message_user(request, f"{sent} will be sent again.")
