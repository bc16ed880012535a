"""Give a job what it works with: storage, keys, the database and pgbackrest, each opened when it is first asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from ..masking import mask
from .channels import Channel, Mail, Slack
from .config import CONVERGE, BackupConfig
from .errors import BackupError, Code
from .objects import Objects, open_objects
from .pgbackrest import Repository
from .pgbackrest_program import RepositoryConfig
from .places import Place
from .signatures import Signer, Trusted, load_signer, trusted_keys
from .walk import Chain, walk

# pgbackrest itself tries for a minute before it says that the storage does not answer.
HURRIED_SECONDS = 20.0


@dataclass(frozen=True)
class Context:
    """The doors of one host's jobs; opening one raises BackupError."""

    config: BackupConfig
    is_hurried: bool = False

    @property
    def hurried(self) -> Context:
        """The same doors, which give up soon: for who waits at a screen; one that is open stays as it is."""
        return self if "objects" in self.__dict__ else dataclasses.replace(self, is_hurried=True)

    @cached_property
    def objects(self) -> Objects:
        return open_objects(self.config.storage, hurried=self.is_hurried)

    @cached_property
    def place(self) -> Place:
        return Place(self.config.env, self.config.cluster.system_id)

    @cached_property
    def trusted(self) -> Trusted:
        return trusted_keys(self.config.trusted_keys)

    @cached_property
    def signer(self) -> Signer:
        return load_signer(self.config.signing_key_file)

    @cached_property
    def repository(self) -> Repository:
        physical = self.config.physical
        known = RepositoryConfig(
            physical.stanza,
            config_file=physical.config_file,
            user=self.config.cluster.user,
            lock_dir=physical.lock_dir,
            log_dir=physical.log_dir,
        )
        return Repository(dataclasses.replace(known, short_seconds=HURRIED_SECONDS) if self.is_hurried else known)

    def chain(self) -> Chain:
        """Walk the chain as it is now, and compare its head with what this host remembers."""
        return walk(self.objects, self.place, self.trusted, memory=self.config.memory_file)

    def channels(self) -> tuple[Channel, ...]:
        """Return the ways to people that are set."""
        mail = self.config.mail
        found: list[Channel] = []
        if mail.recipients:
            found.append(
                Mail(
                    mail.host,
                    mail.port,
                    mail.sender,
                    mail.recipients,
                    starttls=mail.starttls,
                    user=mail.user,
                    password_file=mail.password_file,
                    ca_file=mail.ca_file,
                )
            )
        if self.config.slack_webhook_file is not None:
            found.append(Slack(self.config.slack_webhook_file))
        return tuple(found)

    def libpq(self, database: str = "") -> dict[str, str]:
        """Return libpq's variables for programs that read the living cluster; no password is needed on its own host."""
        cluster = self.config.cluster
        return {
            "PGHOST": str(cluster.socket_dir),
            "PGPORT": str(cluster.port),
            "PGUSER": cluster.role,
            "PGDATABASE": database or cluster.database,
            "PGAPPNAME": "pasargad-backup",
        }

    @contextmanager
    def database(self, name: str = "") -> Iterator[Connection]:
        """Open a session in the living cluster, having made sure that it is the cluster of the settings.

        Raises DATABASE_UNREACHABLE, and CONFIG for another cluster.
        """
        with self.session(name) as connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
                (found,) = cursor.fetchone() or ("",)
            connection.rollback()
            if found != self.config.cluster.system_id:
                raise BackupError(
                    Code.CONFIG,
                    f"the running cluster is {found}, the settings are for {self.config.cluster.system_id}",
                    hint=f"a cluster that was made anew gets a chain of its own: {CONVERGE}",
                )
            yield connection

    @contextmanager
    def session(self, name: str = "") -> Iterator[Connection]:
        """Open a session in whatever cluster runs; raises DATABASE_UNREACHABLE."""
        with closing(self._connect(name)) as connection:
            yield connection

    def _connect(self, name: str) -> Connection:
        libpq = self.libpq(name)
        try:
            return psycopg2.connect(
                host=libpq["PGHOST"],
                port=libpq["PGPORT"],
                user=libpq["PGUSER"],
                dbname=libpq["PGDATABASE"],
                application_name=libpq["PGAPPNAME"],
                connect_timeout=10,
            )
        except psycopg2.OperationalError as error:
            raise BackupError(
                Code.DATABASE_UNREACHABLE,
                f"the database does not let us in: {mask(' '.join(str(error).split()))}",
                hint=f"systemctl status {self.config.cluster.service}; journalctl -u {self.config.cluster.service} -e",
            ) from error


def open_context(path: Path) -> Context:
    """Return the context of the host whose settings are in `path`."""
    return Context(BackupConfig.load(path))
