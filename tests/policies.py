"""The judge of bucket policies: the one that the lab's S3 obeys, told apart from what it judges."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

PATH = Path(__file__).parents[1] / "roles/lab_outside/files/outside/policy.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("outside_policy", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


judge = _load()
ADMIN, WRITER = "arn:aws:iam::123456789012:role/break-glass", "arn:aws:iam::123456789012:user/writer"


def effect(statements: Sequence[Mapping[str, Any]], action: str, resource: str, **about: str) -> str:
    """Return what statements say to a request: Deny, Allow, or nothing.

    Names of condition keys are written with `__` for the colon and `_` for the dash.
    """
    keys = {name.replace("__", ":").replace("_", "-"): value for name, value in about.items()}
    usual = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "aws:PrincipalArn": WRITER}
    return str(judge.decide({"Statement": list(statements)}, judge.Asked(action, resource, {**usual, **keys})))
