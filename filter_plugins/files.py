"""Filters that read the repository's own files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ansible.errors import AnsibleFilterError


def read_text(path: str) -> str:
    """Return a file's text exactly as it is; lookups strip the last newline."""
    try:
        return Path(path).read_text()
    except OSError as error:
        raise AnsibleFilterError(f"cannot read {path}: {error.strerror}") from error


class FilterModule:
    """Names the filters for Ansible."""

    def filters(self) -> dict[str, Callable[..., object]]:
        return {"read_text": read_text}
