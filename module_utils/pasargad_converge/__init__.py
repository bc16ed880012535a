"""Tells whether a host was provisioned by what the repository and its inventory say now; stays on the control node."""
