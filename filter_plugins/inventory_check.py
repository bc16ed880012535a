"""Finds out, from a host's variables, what an operator still has to fill in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

PLACEHOLDER = "CHANGEME"


def _state(variables: Mapping[str, Any], setting: Mapping[str, Any]) -> str | None:
    """Says what is wrong with one setting of one host, never showing its value."""
    name = setting["name"]
    if name not in variables:
        like = get_close_matches(name, [known for known in variables if known.startswith(name.split("_")[0])], 1, 0.85)
        return f"is not set (did you mean it by {like[0]}?)" if like and like[0] != name else "is not set"
    value = variables[name]
    if value is None or (str(value).strip() == "" and not setting.get("may_be_empty", False)):
        return "is empty"
    if PLACEHOLDER in str(value):
        return f"is still {PLACEHOLDER}"
    return None


def _file(name: str) -> str:
    """Returns where a setting belongs, relative to its inventory."""
    if name.startswith("vault_"):
        return "group_vars/store/vault.yml"
    return "hosts.yml" if name.startswith("ansible_") else "group_vars/store/main.yml"


def inventory_problems(
    hostvars: Mapping[str, Mapping[str, Any]], hosts: Iterable[str], required: Iterable[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Returns one entry per setting that is missing, empty or a placeholder: `name`, `text` and the `file` to mend."""
    names = list(hosts)
    problems = []
    for setting in required:
        found: dict[str, list[str]] = {}
        for host in names:
            state = _state(hostvars[host], setting)
            if state:
                found.setdefault(state, []).append(host)
        for state, affected in found.items():
            of = "" if len(affected) == len(names) else f" for {', '.join(affected)}"
            about = f": {setting['about']}" if setting.get("about") else ""
            problems.append(
                {
                    "name": setting["name"],
                    "text": f"{setting['name']} {state}{of}{about}",
                    "file": _file(setting["name"]),
                }
            )
    return problems


def inventory_shape_problems(groups: Mapping[str, Iterable[str]]) -> list[str]:
    """Returns a sentence for each way in which the groups ask for what the roles cannot do; empty groups have none."""
    web, edge, db = (list(groups.get(f"store_{name}", [])) for name in ("web", "edge", "db"))
    problems = []
    if web and edge and set(web) != set(edge):
        pairs = (("store_edge", edge, web), ("store_web", web, edge))
        alone = {name: [host for host in hosts if host not in others] for name, hosts, others in pairs}
        where = "; ".join(f"only in {name}: {', '.join(hosts)}" for name, hosts in alone.items() if hosts)
        problems.append(
            f"groups store_edge and store_web must hold the same hosts ({where}): nginx reaches the shop by a socket "
            "of its own machine, so each web host is an edge, too"
        )
    if len(db) > 1:
        problems.append(
            f"group store_db holds {', '.join(db)} and must hold one host: there is no replication, so each of them "
            "would be a database of its own"
        )
    return problems


def inventory_secret(name: str, optional: Iterable[str] = ()) -> dict[str, Any]:
    """Returns a secret's variable as a required setting."""
    return {"name": name, "may_be_empty": name in list(optional)}


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Any]:
        """Returns the filters by name."""
        return {
            "inventory_problems": inventory_problems,
            "inventory_secret": inventory_secret,
            "inventory_shape_problems": inventory_shape_problems,
        }
