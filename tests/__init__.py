"""Tests and the programs that run them."""
