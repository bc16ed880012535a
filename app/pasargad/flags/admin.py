from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from pasargad.readonly import ReadOnly

from . import services
from .declared import FLAGS, FlagError
from .models import FlagChange, FlagRule
from .rules import Rule


class RuleForm(forms.ModelForm):
    """The rule of a declared flag; a name can be chosen once and then stays."""

    class Meta:
        model = FlagRule
        fields = ("name", "is_on", "percentage", "for_staff", "starts_at", "ends_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "name" in self.fields:
            names = [(flag.name, f"{flag.name}: {flag.about} ({flag.owner})") for flag in FLAGS.values()]
            self.fields["name"] = forms.ChoiceField(choices=names)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        name = cleaned.get("name") or self.instance.name
        if not self.errors:
            try:
                services.require_possible(name, self.rule)
            except FlagError as error:
                self.add_error("percentage", str(error))
        return cleaned

    @property
    def rule(self) -> Rule:
        data = self.cleaned_data
        return Rule(data["is_on"], data["percentage"], data["for_staff"], data["starts_at"], data["ends_at"])


@admin.register(FlagRule)
class FlagRuleAdmin(admin.ModelAdmin):
    form = RuleForm
    list_display = ("name", "about", "is_on", "percentage", "for_staff", "starts_at", "ends_at", "updated_at")

    @admin.display(description="what it does")
    def about(self, row: FlagRule) -> str:
        flag = FLAGS.get(row.name)
        return f"{flag.about} ({flag.owner})" if flag else "No code asks for it any more."

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the flags that nobody switched, too: they have their default."""
        switched = set(FlagRule.objects.values_list("name", flat=True))
        declared = [
            {**vars(flag), "default": flag.default(), "switched": flag.name in switched} for flag in FLAGS.values()
        ]
        return super().changelist_view(request, {"declared": declared, **(extra_context or {})})

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def save_model(self, request: HttpRequest, obj: FlagRule, form: Any, change: bool) -> None:
        obj.pk = services.flag_set(obj.name, form.rule, actor=str(request.user)).pk

    def delete_model(self, request: HttpRequest, obj: FlagRule) -> None:
        services.flag_reset(obj.name, actor=str(request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[FlagRule]) -> None:
        for row in queryset:
            self.delete_model(request, row)


@admin.register(FlagChange)
class FlagChangeAdmin(ReadOnly):
    list_display = ("at", "name", "actor", "before", "after")
    list_filter = ("name",)
    search_fields = ("name", "actor")
