"""Runs every kind of test of this repository in order: `python -m tests.run [STAGE ...]`."""
