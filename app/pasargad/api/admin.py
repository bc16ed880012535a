from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from . import keys
from .models import ApiKey
from .scopes import RIGHTS, Scope


class KeyForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(choices=Scope.choices, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "per_minute", "expires_at")

    # Of whoever fills it in: nobody makes a key that may do more than its maker.
    allowed: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "scopes" in self.fields:
            self.fields["scopes"].choices = [pair for pair in Scope.choices if pair[0] in self.allowed]

    def clean_expires_at(self) -> Any:
        value = self.cleaned_data["expires_at"]
        keys.require_future(value)
        return value


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    """Keys are made here, shown once, and revoked; a key is never changed, so nobody can widen one unseen."""

    form = KeyForm
    list_display = ("name", "prefix", "scopes", "created_by", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = ("revoked_at",)
    search_fields = ("name", "prefix")
    actions = ("revoke",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.allowed = tuple(scope for scope, right in RIGHTS.items() if request.user.has_perm(right))
        return form

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        data = form.cleaned_data
        made, text = keys.key_create(
            name=data["name"],
            scopes=data["scopes"],
            created_by=str(request.user),
            per_minute=data["per_minute"],
            expires_at=data["expires_at"],
        )
        obj.pk, obj.prefix = made.pk, made.prefix
        self.message_user(request, f"The key, which is shown only now: {text}", messages.WARNING)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        ended = sum(keys.key_revoke(pk) for pk in queryset.values_list("pk", flat=True))
        self.message_user(request, f"{ended} keys have ended.")
