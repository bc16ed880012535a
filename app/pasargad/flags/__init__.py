"""Feature flags: declared in code, switched by staff, read without a query."""

from .declared import FlagError, NotDeclared, NotForEverybody
from .evaluating import Features, is_on, is_on_for, kept_for_long, public_flags, same_for_everybody, subject_of

__all__ = [
    "Features",
    "FlagError",
    "NotDeclared",
    "NotForEverybody",
    "is_on",
    "is_on_for",
    "kept_for_long",
    "public_flags",
    "same_for_everybody",
    "subject_of",
]
