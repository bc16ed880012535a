from typing import Any

from django.db import migrations


def make(apps: Any, editor: Any) -> None:
    """Make the groups with the code's own list; `manage.py ensure_groups` adds what a later list brings."""
    from pasargad.staff.services import groups_ensure

    groups_ensure()


class Migration(migrations.Migration):
    # Rows that old code does not look at.
    pasargad_phase = "expand"

    dependencies = [
        ("staff", "0001_initial"),
        ("accounts", "0001_initial"),
        ("audit", "0002_chain"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
