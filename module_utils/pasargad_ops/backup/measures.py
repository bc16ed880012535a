"""Name the values that jobs give to Prometheus, so that two jobs never call one thing by two names.

A name may stand in the files of several jobs only where its labels differ, or the collector drops them all: what two
jobs measure carries the label `job`.
"""

from __future__ import annotations

OLDEST_RESTORABLE = (
    "pasargad_backup_oldest_restorable_timestamp_seconds",
    "The first second from which every later one can be restored.",
)
REPO_BYTES = ("pasargad_backup_repo_bytes", "What pgbackrest's repository takes in the storage.")
SETS = ("pasargad_backup_sets", "Sets that can be restored, by kind.")
SETS_BYTES = ("pasargad_backup_sets_bytes", "What the sets that can be restored take in the storage.")
SETS_MARKED = ("pasargad_backup_sets_marked", "Sets that the last retention gave up; the next one deletes them.")
SETS_DELETED = ("pasargad_backup_sets_deleted", "Sets that the last retention deleted.")
VERIFY_SUCCESS = ("pasargad_backup_last_verify_success", "Whether the last check of this level found nothing wrong.")
VERIFY_AT = ("pasargad_backup_last_verify_timestamp_seconds", "When a check of this level last ended.")
WAL_GAP = ("pasargad_backup_wal_gap_segments", "WAL segments missing since the oldest backup.")
WAL_LAST = ("pasargad_backup_wal_last_archived_timestamp_seconds", "When the last WAL segment arrived.")
WAL_WAITING = (
    "pasargad_backup_wal_oldest_ready_seconds",
    "How long the oldest WAL segment has waited to be archived, 0 where none waits.",
)
WAL_FAILED = ("pasargad_backup_wal_failed_total", "How often archiving a segment has failed since the last reset.")
WAL_FAILING = ("pasargad_backup_wal_failing", "Whether archiving fails now.")
HEARTBEAT = ("pasargad_backup_heartbeat_timestamp_seconds", "When the last row of the heartbeat was written.")
WAL_READY = ("pasargad_backup_wal_ready_segments", "WAL segments that wait to be archived.")
CHAIN_SEQ = ("pasargad_backup_chain_seq", "The number of the newest set in the chain.")
CHAIN_OK = ("pasargad_backup_chain_ok", "Whether the chain of the sets is whole.")
LOCK_REMAINING = (
    "pasargad_backup_object_lock_min_remaining_seconds",
    "How long the least locked object of the sets that must be kept is still locked.",
)
NOTIFY_OUTBOX = ("pasargad_backup_notify_outbox", "Messages that some channel has still to take.")
NOTIFY_GIVEN_UP = ("pasargad_backup_notify_given_up", "Messages that a channel was given up for in the last round.")
NOTIFY_CHANNELS = ("pasargad_backup_notify_channels", "Ways to people that are set.")
ORPHANS = ("pasargad_backup_orphan_multipart_uploads", "Uploads of dead runs that are left in the storage.")
SKEW = ("pasargad_backup_clock_skew_seconds", "How far the host's clock is ahead of the storage's.")
