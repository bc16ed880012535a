"""Returns: what a buyer wants to send back, what became of it, and every step of it."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from .models import Order, OrderLine


class ReturnState(models.TextChoices):
    REQUESTED = "requested", _("Requested")
    ACCEPTED = "accepted", _("Accepted")
    REFUSED = "refused", _("Refused")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    RECEIVED = "received", _("Received")
    REFUNDING = "refunding", _("Refund under way")
    REFUNDED = "refunded", _("Refunded")
    CLOSED = "closed", _("Closed without refund")


# The only ways a return may go.
RETURN_TRANSITIONS: dict[ReturnState, frozenset[ReturnState]] = {
    ReturnState.REQUESTED: frozenset({ReturnState.ACCEPTED, ReturnState.REFUSED, ReturnState.WITHDRAWN}),
    ReturnState.ACCEPTED: frozenset({ReturnState.RECEIVED, ReturnState.WITHDRAWN, ReturnState.CLOSED}),
    ReturnState.RECEIVED: frozenset({ReturnState.REFUNDING, ReturnState.CLOSED}),
    ReturnState.REFUNDING: frozenset({ReturnState.REFUNDED, ReturnState.RECEIVED}),
    # The bank sent the money back: it is on its way once more.
    ReturnState.REFUNDED: frozenset({ReturnState.REFUNDING}),
    ReturnState.REFUSED: frozenset(),
    ReturnState.WITHDRAWN: frozenset(),
    ReturnState.CLOSED: frozenset(),
}
# Pieces in such a return cannot be asked back a second time.
COUNTING = (
    ReturnState.REQUESTED, ReturnState.ACCEPTED, ReturnState.RECEIVED, ReturnState.REFUNDING, ReturnState.REFUNDED,
    ReturnState.CLOSED,
)  # fmt: skip


class ReturnReason(models.TextChoices):
    UNWANTED = "unwanted", _("I do not want it any more")
    DAMAGED = "damaged", _("It arrived broken")
    WRONG = "wrong", _("It is not what I ordered")
    FAULTY = "faulty", _("It does not work as described")
    OTHER = "other", _("Something else")


class ReturnRequest(models.Model):
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="returns")
    number = models.PositiveSmallIntegerField()
    request_key = models.CharField(max_length=32, unique=True)
    state = models.CharField(max_length=10, choices=ReturnState, default=ReturnState.REQUESTED)
    reason = models.CharField(max_length=10, choices=ReturnReason)
    comment = models.CharField(max_length=500, blank=True)
    answer = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "return"
        constraints = [models.UniqueConstraint(fields=["order", "number"], name="orders_return_number")]
        indexes = [
            models.Index(
                fields=["state", "id"],
                condition=Q(state__in=["requested", "accepted", "received", "refunding"]),
                name="orders_return_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.order_id} / {self.number}"

    @property
    def reference(self) -> str:
        """What names this return in the stock's books."""
        return f"return:{self.pk}"


class ReturnLine(models.Model):
    """Of the pieces asked for, some are put back into stock and some are written off; both counts are set once."""

    request = models.ForeignKey(ReturnRequest, on_delete=models.CASCADE, related_name="lines")
    line = models.ForeignKey(OrderLine, on_delete=models.PROTECT, related_name="returns")
    quantity = models.PositiveIntegerField()
    restocked = models.PositiveIntegerField(default=0)
    written_off = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["request", "line"], name="orders_returnline_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="orders_returnline_quantity"),
            models.CheckConstraint(
                condition=Q(quantity__gte=F("restocked") + F("written_off")), name="orders_returnline_received"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x line {self.line_id}"


class ReturnEvent(models.Model):
    """One step of a return's history; replaying the steps gives its state."""

    request = models.ForeignKey(ReturnRequest, on_delete=models.CASCADE, related_name="events")
    before = models.CharField(max_length=10, choices=ReturnState, blank=True)
    after = models.CharField(max_length=10, choices=ReturnState)
    actor = models.CharField(max_length=100)
    note = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.before or 'new'} → {self.after}"
