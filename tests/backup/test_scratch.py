"""A scratch cluster is out of everybody's reach, whatever the data that was restored into it says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pasargad_ops.backup.scratch import ScratchPlace, initdb, running, scratch_root
from tests.backup.pgbackrest_rig import own
from tests.services import postgres_programs


@pytest.fixture
def place() -> Iterator[ScratchPlace]:
    directory = Path(tempfile.mkdtemp(prefix="pasargad-scratch-"))
    own(directory, 0o755)
    yield ScratchPlace(directory / "scratch", postgres_programs())
    shutil.rmtree(directory)


def test_what_was_set_by_alter_system_opens_nothing(place: ScratchPlace) -> None:
    asked = {"listen_addresses": "127.0.0.1", "port": "5498", "archive_mode": "on", "archive_command": "touch %f"}
    asked |= {"hba_file": "/etc/hostname", "unix_socket_directories": "/nowhere", "ssl": "on"}
    with scratch_root(place):
        initdb(place)
        with (place.data_dir / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in asked.items())
        with running(place, {"work_mem": "7MB"}) as cluster:
            connection = cluster.connect()
            with connection.cursor() as cursor:
                cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY (%s)", ([*asked, "work_mem"],))
                found = dict(cursor.fetchall())
            connection.close()
    assert found == {
        "listen_addresses": "",
        "port": str(place.port),
        "archive_mode": "off",
        "archive_command": "(disabled)",
        "hba_file": str(place.sockets / "hba.conf"),
        "unix_socket_directories": str(place.sockets),
        "ssl": "off",
        "work_mem": "7168",
    }
    assert not place.root.exists()
