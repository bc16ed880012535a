"""How urgent a task is: workers take the most urgent first, and an ordinary task (0) before whatever is patient."""

from __future__ import annotations

# Money, and goods that are held for nobody.
URGENT = 50
# What waits for the servers of others, who may let us wait in turn.
PATIENT = -50
