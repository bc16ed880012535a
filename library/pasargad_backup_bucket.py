#!/usr/bin/python
"""Sets up the bucket for backups, or audits it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: pasargad_backup_bucket
short_description: Set up the bucket for backups, or audit it
description:
  - Makes the bucket with Object Lock and keeps versions, lock, lifecycle, access block, encryption and policy no weaker
    than asked.
  - What is stronger stays as it is. What the storage lacks is a finding, and so is all that this module may not change.
  - Needs python3-boto3 where it runs, and keys that may set up buckets; nothing of them is written down.
options:
  state:
    description: Whether to set the bucket up, or only to tell what is weaker than asked.
    type: str
    choices: [present, audited]
    default: present
  bucket:
    description: Its name.
    type: str
    required: true
  environment:
    description: Whose backups it holds; they lie under C(v1/ENVIRONMENT/).
    type: str
    required: true
  prefix:
    description: What lies before every key.
    type: str
    default: ""
  endpoint_url:
    description: The address of the storage. Plain HTTP is refused beyond this machine.
    type: str
    required: true
  region:
    description: Where the bucket is, or is made.
    type: str
    default: us-east-1
  addressing_style:
    description: Where the bucket's name stands in addresses.
    type: str
    choices: [auto, path, virtual]
    default: auto
  ca_bundle:
    description: A file with the authority of the storage's certificate; empty for the public ones.
    type: str
    default: ""
  access_key_id:
    description: The key of whoever may set up the bucket.
    type: str
    required: true
  secret_access_key:
    description: Its secret.
    type: str
    required: true
  owner:
    description: The number of the account that must own the bucket; empty where storages have none.
    type: str
    default: ""
  retention_days:
    description: How long every set is kept.
    type: int
    default: 30
  weekly:
    description: How many weeks keep one set each after that.
    type: int
    default: 12
  monthly:
    description: How many months keep one set each after that.
    type: int
    default: 12
  lock_days:
    description: How long nobody can delete what was written; at least ten days more than O(retention_days).
    type: int
    default: 40
  undo_days:
    description: How long hidden versions at least remain.
    type: int
    default: 7
  backstop_days:
    description: So long after retention should have taken a set, lifecycle takes it.
    type: int
    default: 60
  archive:
    description: Storage class by tier (C(weekly), C(monthly)), from the thirtieth day on.
    type: dict
    default: {}
  kms_key:
    description: ARN of the key that encrypts objects; empty for the storage's own (AES256).
    type: str
    default: ""
  admin_arns:
    description: Who alone may weaken the bucket.
    type: list
    elements: str
    default: []
  partition:
    description: The part of AWS that ARNs begin with.
    type: str
    default: aws
  lock_existing:
    description: Whether to turn Object Lock on in a bucket that has none; this cannot be taken back.
    type: bool
    default: false
  accept:
    description: Ids of findings to live with.
    type: list
    elements: str
    default: []
author:
  - Pasargad Prints developers
"""

EXAMPLES = r"""
- name: Set up the bucket
  pasargad_backup_bucket:
    bucket: pasargad-production-backups
    environment: production
    endpoint_url: https://s3.amazonaws.com
    region: eu-central-1
    access_key_id: "{{ backup_bucket_admin_access_key_id }}"
    secret_access_key: "{{ backup_bucket_admin_secret_access_key }}"
    admin_arns: ["arn:aws:iam::123456789012:role/break-glass"]
"""

RETURN = r"""
findings:
  description: What is wrong, each with C(id), C(problem), C(evidence) and C(fix).
  type: list
  elements: dict
  returned: always
lines:
  description: The same, each in one line.
  type: list
  elements: str
  returned: always
accepted:
  description: Ids of the findings that are lived with.
  type: list
  elements: str
  returned: always
created:
  description: Whether the bucket was made.
  type: bool
  returned: always
settings:
  description: Names of the settings that were changed.
  type: list
  elements: str
  returned: always
documents:
  description: The IAM documents of the roles C(writer), C(reader) and C(janitor).
  type: dict
  returned: always
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

try:
    from ansible.module_utils.pasargad_ops.backup.bucket import BucketRequest, bucket_apply, bucket_audit
except ImportError as error:
    if "pasargad_ops" in str(error):
        raise
    MISSING = str(error)
else:
    MISSING = ""
from ansible.module_utils.pasargad_ops.backup.bucket_rules import BucketRules
from ansible.module_utils.pasargad_ops.outcome import OperationError


def argument_spec() -> dict[str, dict[str, Any]]:
    """The module's parameters; DOCUMENTATION describes them."""
    texts = {"prefix": "", "region": "us-east-1", "ca_bundle": "", "owner": "", "kms_key": "", "partition": "aws"}
    days = {"retention_days": 30, "weekly": 12, "monthly": 12, "lock_days": 40, "undo_days": 7, "backstop_days": 60}
    return {
        "state": {"type": "str", "choices": ["present", "audited"], "default": "present"},
        "addressing_style": {"type": "str", "choices": ["auto", "path", "virtual"], "default": "auto"},
        **{name: {"type": "str", "required": True} for name in ("bucket", "environment", "endpoint_url")},
        **{name: {"type": "str", "required": True, "no_log": True} for name in ("access_key_id", "secret_access_key")},
        **{name: {"type": "str", "default": default} for name, default in texts.items()},
        **{name: {"type": "int", "default": default} for name, default in days.items()},
        **{name: {"type": "list", "elements": "str", "default": []} for name in ("admin_arns", "accept")},
        "archive": {"type": "dict", "default": {}},
        "lock_existing": {"type": "bool", "default": False},
    }


def request_of(params: dict[str, Any]) -> Any:
    """Return what the parameters ask for; raises OperationError for those that cannot be."""
    same = ("prefix", "retention_days", "weekly", "monthly", "lock_days", "undo_days", "backstop_days", "archive")
    rules = BucketRules(
        bucket=params["bucket"],
        env=params["environment"],
        kms_key=params["kms_key"],
        partition=params["partition"],
        admins=tuple(params["admin_arns"]),
        **{name: params[name] for name in same},
    )
    return BucketRequest(
        rules=rules,
        key_id=params["access_key_id"],
        secret=params["secret_access_key"],
        ca_bundle=Path(params["ca_bundle"]) if params["ca_bundle"] else None,
        accept=tuple(params["accept"]),
        **{name: params[name] for name in ("endpoint_url", "region", "addressing_style", "owner", "lock_existing")},
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if MISSING:
        module.fail_json(msg=f"S3 cannot be used: {MISSING}", hint="apt-get install python3-boto3")
    try:
        request = request_of(module.params)
        if module.params["state"] == "audited":
            outcome = bucket_audit(request)
        else:
            outcome = bucket_apply(request, dry_run=module.check_mode)
    except OperationError as error:
        module.fail_json(msg=error.message, hint=error.hint, code=int(getattr(error, "code", 1)))
    details = dict(outcome.details)
    sides = {side: json.dumps(details.pop(side), indent=1, sort_keys=True) + "\n" for side in ("before", "after")}
    module.exit_json(changed=outcome.changed, msg=outcome.summary, diff=sides if outcome.changed else {}, **details)


if __name__ == "__main__":
    main()
