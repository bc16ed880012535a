from typing import Any

from django.core.management.base import BaseCommand

from pasargad.staff.services import groups_ensure


class Command(BaseCommand):
    help = "Make the staff's groups (packing, support, catalogue, finance, manager) and add rights they lack"

    def handle(self, **options: Any) -> None:
        for name, added in groups_ensure().items():
            self.stdout.write(f"{name}: {added} rights added" if added else f"{name}: unchanged")
