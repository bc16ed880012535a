"""Unpacks the locked wheels for the Python of the target hosts; nothing is downloaded twice."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path

from .archive import pack, tree
from .inputs import LOCK, Inputs
from .tools import digest_of, file_digest, read_json, run, write_json

# Debian 12 and newer bring a C library that wheels for this one run on.
PLATFORM = "x86_64-manylinux_2_28"
PYTHONS = {"cp311": "3.11", "cp313": "3.13"}


def build_deps(inputs: Inputs, tag: str, cache: Path, uv: Path, python: Path) -> Path:
    """Return the archive of site-packages for a Python; built once for each lock, kept in the cache."""
    key = digest_of([inputs.lock_digest, inputs.builder_digest, tag, PLATFORM])[:16]
    archive, proof = cache / f"{tag}-{key}.tar.zst", cache / f"{tag}-{key}.json"
    if archive.is_file() and read_json(proof) == {"sha256": file_digest(archive)}:
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"{tag}-{key}.{os.getpid()}.tmp"
    shutil.rmtree(target, ignore_errors=True)
    try:
        run(
            [
                *(uv, "pip", "install", "--quiet", "--no-config", "--python", python, "--target", target),
                *("--python-version", PYTHONS[tag], "--python-platform", PLATFORM),
                *("--only-binary", ":all:", "--require-hashes", "--link-mode", "copy", "-r", inputs.repo / LOCK),
            ],
            cwd=inputs.repo,
            env={**os.environ, "VIRTUAL_ENV": ""},
            what=f"install the locked packages for Python {PYTHONS[tag]}",
            hint="make lock, if a hash or a version is refused; else mend the network and run the same command again",
        )
        _forget_machine(target)
        pack(tree(target), archive)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    write_json(proof, {"sha256": file_digest(archive)})
    return archive


def _forget_machine(target: Path) -> None:
    """Remove what names this machine: scripts carry the path of its Python, and the records carry their digests.

    The shop starts its programs with `python3 -m`, so it misses no script.
    """
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for record in target.glob("*.dist-info/RECORD"):
        rows = list(csv.reader(io.StringIO(record.read_text(encoding="utf-8"))))
        kept = sorted(row for row in rows if row and not row[0].startswith(("bin/", "../", "/")))
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(kept)
        record.write_text(text.getvalue(), encoding="utf-8")
