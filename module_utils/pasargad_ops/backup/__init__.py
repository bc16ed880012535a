"""Backups that are proven by restoring: a physical leg with point in time, a logical leg for portability."""
