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


def test_the_release_starts_with_the_environment_that_the_run_made() -> None:
    """Check mode does not write it: a release that asked for the newest one on the host would foretell nothing."""
    plays = yaml.safe_load((ROOT / "playbooks/deploy.yml").read_text())
    release = next(role for play in plays for role in play.get("roles", []) if role["role"] == "app_release")
    assert release["app_release_env_digest"] == "{{ app_env_digest | default('') }}"
    assert release["app_release_env_foretold"] == "{{ app_env_foretold | default(false) }}"
    facts = (ROOT / "roles/app_env/tasks/write.yml").read_text()
    assert "app_env_digest:" in facts
    assert "app_env_foretold:" in facts
