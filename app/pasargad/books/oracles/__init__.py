"""What must always be true of stock, orders and money, as questions that can be asked at any time.

`check()` asks the database; `check_provider()` compares with the payment provider's own lists. Both return what is
wrong, in words. The same questions are asked by unit tests, by the model-based test, after planned crashes, and by
`manage.py verify_books` in production.
"""

from .base import ORACLES, Finding, check, names
from .provider import check_provider

__all__ = ["ORACLES", "Finding", "check", "check_provider", "names"]
