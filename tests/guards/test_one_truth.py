"""What two roles have to agree on stands in one place."""

from __future__ import annotations

import yaml

from tests.environments import ROOT


def test_the_proxy_and_the_shop_agree_on_strict_transport_security() -> None:
    """Whoever binds subdomains of somebody else's domain cannot take it back for a year."""
    shared = yaml.safe_load((ROOT / "group_vars/all/tls.yml").read_text())
    roles = {
        name: yaml.safe_load((ROOT / f"roles/{name}/defaults/main.yml").read_text())
        for name in ("app_env", "web_proxy")
    }
    for name in ("hsts_seconds", "hsts_include_subdomains", "hsts_preload"):
        wanted = f"{{{{ pasargad_{name} }}}}"
        assert roles["app_env"][f"app_env_secure_{name}"] == wanted
        assert roles["web_proxy"][f"web_proxy_{name}"] == wanted
    assert not shared["pasargad_hsts_include_subdomains"]
    assert not shared["pasargad_hsts_preload"]
