"""Prove on a deployed shop that money is never wrong: races, faults, deaths."""
