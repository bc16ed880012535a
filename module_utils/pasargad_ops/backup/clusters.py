"""Find the clusters whose sets lie in a storage: what a host that was made anew has to know first."""

from __future__ import annotations

from ..outcome import Outcome
from .chain import newest, read_entry
from .context import Context
from .errors import BackupError
from .objects import AlreadyThere
from .places import Place
from .records import canonical
from .windows import told


def _index(env: str) -> str:
    return f"v1/{env}/clusters/"


def announce(context: Context) -> None:
    """Leave a mark under which this cluster is found again; what is believed of it is signed in its own place."""
    place = context.place
    key = f"{_index(place.env)}{place.system_id}.json"
    if context.objects.head(key) is None:
        try:
            context.objects.put(key, canonical({"env": place.env, "system_id": place.system_id}), once=True)
        except AlreadyThere:
            return


def clusters(context: Context) -> Outcome:
    """List the clusters of this environment, the one with the newest set first; those without a set come last."""
    found = []
    for stored in context.objects.list(_index(context.config.env)):
        system_id = stored.key.rpartition("/")[2].removesuffix(".json")
        try:
            place = Place(context.config.env, system_id)
        except BackupError:
            continue
        link = newest(context.objects, place, context.trusted)
        made = 0
        if link.seq:
            head = context.objects.head(place.manifest(link.seq))
            made = read_entry(context.objects, place, head, context.trusted).manifest.times.end_ms if head else 0
        found.append((made // 1000, system_id, link.seq))
    found.sort(reverse=True)
    lines = [f"{system_id}  {seq:>5} sets, newest {_told(second)}" for second, system_id, seq in found]
    records = [{"system_id": system_id, "seq": seq, "made": second} for second, system_id, seq in found]
    words = f"{len(found)} clusters of {context.config.env}"
    return Outcome(False, words, {"code": 0, "lines": lines, "clusters": records})


def _told(second: int) -> str:
    return told(second) if second else "none"
