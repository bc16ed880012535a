"""How urgent a task is, and how long it may keep its worker.

Workers take the most urgent first, and an ordinary task (0) before whatever is patient.
"""

from __future__ import annotations

# Money, and goods that are held for nobody.
URGENT = 50
# What waits for the servers of others, who may let us wait in turn.
PATIENT = -50
# A sweep leaves the worker to others after this: a server of others that is silent lets us wait at every question.
SWEEP_SECONDS = 45.0
