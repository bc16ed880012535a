"""What buyers type about their goods."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from .forms import AccessibleForm

STARS = [(5, _("5 stars: excellent")), (4, _("4 stars: good")), (3, _("3 stars: fair")), (2, _("2 stars: poor")),
         (1, _("1 star: bad"))]  # fmt: skip


class ReviewForm(AccessibleForm):
    rating = forms.TypedChoiceField(
        label=_("How do you like it?"),
        choices=STARS,
        coerce=int,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one to five stars."), "invalid_choice": _("Choose one to five stars.")},
    )
    title = forms.CharField(label=_("In a few words"), max_length=120, required=False)
    text = forms.CharField(
        label=_("Your review"), max_length=4000, required=False, widget=forms.Textarea(attrs={"rows": 6})
    )
    author = forms.CharField(
        label=_("Name to show"),
        max_length=60,
        error_messages={"required": _("Please fill this in.")},
        help_text=_("A first name will do."),
    )
