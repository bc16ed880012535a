"""Hears of every row that is written while somebody of the staff acts, and of every change of permissions.

What services change by UPDATE statements of their own sends no signal: their histories (events of orders and returns,
movements of stock, the ledger) are rows that do, and the staff's pages write down which act they began.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import models
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest

from pasargad.clients import client_address

from .acting import Actor, acting_now, actor_of
from .masking import MASK, shown
from .services import audit_record

# Not acts: how Django and the log itself keep their books.
IGNORED_APPS = {"audit", "admin", "sessions", "contenttypes", "django_tasks_database", "background"}
IGNORED_FIELDS = {"updated_at", "last_login"}
RIGHTS = {"is_staff", "is_superuser", "is_active", "password", "email"}
_BEFORE = "_audit_before"


def connect() -> None:
    pre_save.connect(_before_save, dispatch_uid="audit.before")
    post_save.connect(_saved, dispatch_uid="audit.saved")
    post_delete.connect(_deleted, dispatch_uid="audit.deleted")
    m2m_changed.connect(_related, dispatch_uid="audit.related")
    user_logged_in.connect(_logged_in, dispatch_uid="audit.in")
    user_logged_out.connect(_logged_out, dispatch_uid="audit.out")
    user_login_failed.connect(_login_failed, dispatch_uid="audit.failed")


def _watched(sender: Any) -> bool:
    if sender._meta.app_label in IGNORED_APPS or not sender._meta.managed:
        return False
    return acting_now() is not None or _is_about_rights(sender)


def _is_about_rights(sender: Any) -> bool:
    """Whether a row decides what staff may do: watched also when a command writes it."""
    from django.contrib.auth import get_user_model

    return issubclass(sender, Group | get_user_model())


def _before_save(sender: Any, instance: models.Model, raw: bool = False, **kwargs: Any) -> None:
    if raw or not _watched(sender):
        return
    written = kwargs.get("update_fields")
    if acting_now() is None and written is not None and not RIGHTS & set(written):
        # A shopper who logs in changes no rights: nothing is read for it.
        return
    fields = [field.attname for field in sender._meta.concrete_fields]
    found = sender._base_manager.filter(pk=instance.pk).values(*fields).first() if instance.pk else None
    setattr(instance, _BEFORE, found)


def _saved(sender: Any, instance: models.Model, created: bool, raw: bool = False, **kwargs: Any) -> None:
    if raw or not _watched(sender):
        return
    before = instance.__dict__.pop(_BEFORE, None) or {}
    written = kwargs.get("update_fields")
    changes = {
        field.name: [shown(field, before.get(field.attname)), shown(field, _plain(field, instance))]
        for field in sender._meta.concrete_fields
        if (written is None or field.name in written or field.attname in written)
        and field.name not in IGNORED_FIELDS
        and not field.primary_key
        and before.get(field.attname) != _plain(field, instance)
    }
    if acting_now() is None and not (_touches_staff(instance, before) and (created or RIGHTS & changes.keys())):
        return
    if created:
        audit_record("created", target=instance, changes=changes)
    elif changes:
        audit_record("changed", target=instance, changes=changes)


def _touches_staff(instance: models.Model, before: dict[str, Any]) -> bool:
    """A shopper's own account is no matter of the staff's log, unless it becomes one of theirs."""
    return isinstance(instance, Group) or bool(getattr(instance, "is_staff", False) or before.get("is_staff"))


def _plain(field: Any, instance: models.Model) -> Any:
    """Return the value as the database gives it back: a form leaves texts where numbers belong."""
    value = getattr(instance, field.attname)
    return value if hasattr(value, "resolve_expression") else field.to_python(value)


def _deleted(sender: Any, instance: models.Model, **kwargs: Any) -> None:
    if _watched(sender) and (acting_now() is not None or _touches_staff(instance, {})):
        gone = {
            field.name: [shown(field, getattr(instance, field.attname)), None]
            for field in sender._meta.concrete_fields
            if not field.primary_key
        }
        audit_record("deleted", target=instance, changes=gone)


def _related(sender: Any, instance: models.Model, action: str, model: Any, pk_set: Any, **kwargs: Any) -> None:
    """Note what was joined or parted; `pre_clear` comes while it is still known what will go."""
    if action not in ("post_add", "post_remove", "pre_clear"):
        return
    rights = model in (Group, Permission) or isinstance(instance, Group | Permission)
    if acting_now() is None and not rights:
        return
    keys = pk_set
    if action == "pre_clear":
        field = next((f for f in instance._meta.many_to_many if f.remote_field.through is sender), None)
        keys = set(getattr(instance, field.name).values_list("pk", flat=True)) if field else set()
    if not keys:
        return
    names = sorted(map(str, model._base_manager.filter(pk__in=keys))) if rights else sorted(map(str, keys))
    what = {"post_add": [None, names[:100]]}.get(action, [names[:100], None])
    audit_record("added to" if action == "post_add" else "taken from", target=instance,
                 changes={model._meta.label_lower: what})  # fmt: skip


def _logged_in(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if user.is_staff:
        audit_record("logged in", target=user, actor=actor_of(user, _from(request)))


def _logged_out(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if user is not None and getattr(user, "is_staff", False):
        audit_record("logged out", target=user, actor=actor_of(user, _from(request)))


def _login_failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Note an attempt at the staff's door or at a staff account; what was typed may be a password and is not kept."""
    from django.conf import settings
    from django.contrib.auth import get_user_model

    model = get_user_model()
    typed = str(credentials.get("username") or credentials.get(model.USERNAME_FIELD) or "")[:254]
    meant = model._default_manager.filter(**{f"{model.USERNAME_FIELD}__iexact": typed}).first() if typed else None
    at_the_door = request is not None and request.path.startswith(f"/{settings.ADMIN_URL_PATH}/")
    if not at_the_door and not (meant and meant.is_staff):
        return
    who = Actor(None, "somebody", _from(request))
    typed_mask = {} if meant else {"account": [None, f"unknown: {MASK}"]}
    audit_record("log-in failed", target=meant, changes=typed_mask, actor=who)


def _from(request: HttpRequest | None) -> str:
    return client_address(request) if request is not None else ""
