"""Members of the staff, by the group they are in."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.test import Client

from pasargad.accounts.models import User
from pasargad.staff.services import groups_ensure


def make_member(*groups: str, email: str = "") -> User:
    """Make somebody of these groups; of none, somebody who may log in and do nothing."""
    groups_ensure()
    name = email or f"{'-'.join(groups) or 'nobody'}@staff.example"
    user, _ = User.objects.get_or_create(email=name, defaults={"is_staff": True})
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def log_in(client: Client, *groups: str) -> User:
    user = make_member(*groups)
    client.force_login(user)
    return user
