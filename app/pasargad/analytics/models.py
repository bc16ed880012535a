"""What shoppers look at, without knowing who: no cookie, no address, nothing that tells two visits of one person.

Whether a view begins a session or a day's visit is found out when it is collected, in Redis, and stored as a switch.
The figures themselves are materialised views (migration 0002); only `analytics_refresh` renews them.
"""

from __future__ import annotations

from django.db import models


class Page(models.TextChoices):
    HOME = "home", "First page"
    LIST = "list", "List"
    SEARCH = "search", "Search"
    PRODUCT = "product", "Product"
    CART = "cart", "Cart"
    CHECKOUT = "checkout", "Checkout"
    OTHER = "other", "Other"


class Hit(models.Model):
    """One view of a page. `key` is the collector's, so that what is written twice counts once."""

    key = models.CharField(max_length=32, unique=True)
    at = models.DateTimeField()
    page = models.CharField(max_length=10, choices=Page)
    referrer = models.CharField(max_length=100, blank=True, help_text="Host that a session came from")
    term = models.CharField(max_length=80, blank=True)
    found = models.PositiveIntegerField(null=True, help_text="How many goods a search found")
    new_visitor = models.BooleanField(default=False, help_text="The first view of a visitor on this day")
    new_session = models.BooleanField(default=False)
    new_step = models.BooleanField(default=False, help_text="The first view of this page in its session")

    class Meta:
        ordering = ["id"]
        default_permissions = ()
        indexes = [models.Index(fields=["at"], name="analytics_hit_at")]

    def __str__(self) -> str:
        return f"{self.page} {self.at:%Y-%m-%d %H:%M}"


class PastHits(models.Model):
    """Views whose rows were dropped, counted by day: what is left of them."""

    day = models.DateField()
    page = models.CharField(max_length=10, choices=Page)
    referrer = models.CharField(max_length=100, blank=True)
    term = models.CharField(max_length=80, blank=True)
    found = models.BooleanField(help_text="Of searches: that found something")
    views = models.PositiveIntegerField()
    visitors = models.PositiveIntegerField()
    sessions = models.PositiveIntegerField()
    steps = models.PositiveIntegerField()

    class Meta:
        ordering = ["day"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["day", "page", "referrer", "term", "found"], name="analytics_past_once")
        ]

    def __str__(self) -> str:
        return f"{self.page} {self.day}"


class Zone(models.Model):
    """The shop's time zone, for the views: where a day begins."""

    name = models.CharField(max_length=60)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
