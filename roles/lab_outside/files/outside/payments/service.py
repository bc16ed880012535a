"""The payment provider as one HTTP handler over one database."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..database import Database
from ..web import Request, Response, Router
from . import endpoints
from .api import Api
from .books import Books
from .control import Control
from .hosted import HostedPages
from .postman import Postman
from .schema import SCHEMA


@dataclass(frozen=True)
class Settings:
    """What the provider is told; times in seconds."""

    database: Path
    secret_key: str
    page_url: str
    merchant: str = "the shop"
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    backoff: list[float] = field(default_factory=lambda: [1, 2, 5, 15, 30, 60, 120, 300, 600, 1800, 3600])
    trust: list[Path] = field(default_factory=list)


class Provider:
    """Routes requests to the API, the hosted pages and the levers, and owns the postman."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.database, SCHEMA)
        with self._database.transaction() as connection:
            endpoints.configure(Books(connection), settings.endpoints)
        self._api = Api(self._database, settings.secret_key, settings.page_url)
        self._pages = Router()
        HostedPages(self._database, self._pages, settings.page_url, settings.merchant)
        Control(self._database, self._pages)
        self._postman = Postman(self._database, settings.backoff, settings.trust)

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        return self._api(request) if request.path.startswith("/v1") else self._pages(request)

    def start(self) -> None:
        """Begin to deliver."""
        self._postman.start()

    def stop(self) -> None:
        """End cleanly; a kill would lose nothing either."""
        self._postman.stop()
        self._database.close()
