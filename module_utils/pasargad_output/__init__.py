"""What the operator sees of a run, as pure functions and small classes.

callback_plugins/pasargad.py wires them to Ansible; this package stays on the control node.
"""
