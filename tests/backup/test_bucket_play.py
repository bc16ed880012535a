"""The playbook that sets up the bucket, run as an operator runs it, against the lab's own S3."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.environments import Environments, said
from tests.outside.conftest import Service, free_port

KEY_ID, SECRET = "AKIAPLAY", "right/secret+key"


@pytest.fixture
def play(tmp_path: Path) -> Any:
    """Return a function that runs the playbook for a store whose host nobody can reach."""
    own = {"host": "127.0.0.1", "port": free_port(), "key_id": KEY_ID, "secret": SECRET, "buckets": []}
    service = Service("s3", tmp_path, {"state_dir": str(tmp_path), "s3": own})
    service.start()
    host = {
        "ansible_host": "192.0.2.1",
        "ansible_become": True,
        "pasargad_environment": "production",
        "pasargad_s3_backup_bucket": "backups",
        "pasargad_s3_endpoint_url": service.url,
        "pasargad_s3_addressing_style": "path",
        "vault_pasargad_s3_access_key_id": KEY_ID,
        "vault_pasargad_s3_secret_access_key": SECRET,
        "backup_bucket_admin_arns": ["arn:aws:iam::123456789012:root"],
        "backup_bucket_documents_dir": str(tmp_path / "documents"),
    }
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"children": {"store": {"hosts": {"shop": host}}}}}))
    environments = Environments(tmp_path)

    def run(*words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        more = ["-e", json.dumps(variables)] if variables else []
        ran = environments.run("ansible-playbook", "-i", str(inventory), "playbooks/backup-bucket.yml", *words, *more)
        assert SECRET not in said(ran)
        return ran

    yield run
    service.stop()


def test_set_up_again_and_audited(play: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    missing = play(backup_bucket_state="audited")
    assert (missing.returncode, "s3://backups does not exist" in said(missing)) == (2, True)
    foretold = play("--check", "--diff")
    assert (foretold.returncode, '"mode": "COMPLIANCE"' in said(foretold)) == (0, True), said(foretold)
    assert not documents.exists()
    made = play("-vvv")
    assert (made.returncode, "no findings" in said(made)) == (0, True), said(made)
    assert sorted(path.name for path in documents.iterdir()) == ["janitor.json", "reader.json", "writer.json"]
    writer = json.loads((documents / "writer.json").read_text())
    assert any("s3:PutObject" in statement["Action"] for statement in writer["Statement"])
    for again in (play(), play(backup_bucket_state="audited")):
        assert (again.returncode, "changed=0" in said(again)) == (0, True), said(again)
    short = play(backup_bucket_retention_days=60, backup_bucket_state="audited")
    assert (short.returncode, "object-lock.default" in said(short)) == (2, True)
    assert play(backup_bucket_lock_days=30).returncode == 2
    assert play(backup_bucket_accepted_findings=["policy.admins"], backup_bucket_admin_arns=[]).returncode == 0
