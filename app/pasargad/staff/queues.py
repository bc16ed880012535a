"""What waits for the staff today: each queue is a count and the list that it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from pasargad.catalog.selectors import variants_low
from pasargad.notifications.models import Mail
from pasargad.orders.models import Delivery, Order, Status
from pasargad.orders.return_models import ReturnRequest, ReturnState
from pasargad.payments.messages import messages_refused
from pasargad.payments.models import Dispute, Refund
from pasargad.promotions.selectors import promotions_ending, promotions_running
from pasargad.reviews.models import Review
from pasargad.reviews.models import Status as ReviewStatus
from pasargad.shipments.models import Shipment
from pasargad.shipments.selectors import lines_left

# All was sent, then a refund was withdrawn: its pieces are owed again.
_OWED_AGAIN = Q(
    status=Status.SHIPPED,
    pk__in=lines_left().filter(refunds__refund__status=Refund.Status.WITHDRAWN).values("order"),
)
ORDER_QUEUES: dict[str, tuple[str, Q]] = {
    "pack": (
        "To pack",
        Q(delivery=Delivery.SHIPPING) & (Q(status__in=(Status.PAID, Status.PROCESSING)) | _OWED_AGAIN),
    ),
    "prepare": ("To prepare for pickup", Q(status__in=(Status.PAID, Status.PROCESSING), delivery=Delivery.PICKUP)),
    "collect": ("Waiting to be collected", Q(status=Status.READY_FOR_PICKUP)),
    "unpaid": ("Awaiting payment", Q(status=Status.AWAITING_PAYMENT)),
    "due": ("Money due back", Q(status=Status.REFUND_DUE)),
}


@dataclass(frozen=True)
class Queue:
    """`level` says how much it matters that something waits: `work`, `bad` or `calm`."""

    label: str
    count: int
    url: str
    level: str
    hint: str = ""


@dataclass(frozen=True)
class Source:
    """Where a queue comes from, and the right that its list needs."""

    label: str
    right: str
    rows: Callable[[], QuerySet[Any]]
    list_name: str
    query: str
    level: str = "work"
    hint: Callable[[QuerySet[Any]], str] = lambda rows: ""


@dataclass(frozen=True)
class Shelf:
    title: str
    queues: list[Queue]


def _orders(key: str, level: str = "work") -> Source:
    label, wanted = ORDER_QUEUES[key]
    return Source(
        label, "orders.view_order", lambda: Order.objects.filter(wanted), "orders_order", f"queue={key}", level
    )


def _returns(label: str, state: ReturnState) -> Source:
    rows = lambda: ReturnRequest.objects.filter(state=state)  # noqa: E731
    return Source(label, "orders.view_returnrequest", rows, "orders_returnrequest", f"state__exact={state}")


def _deadline(rows: QuerySet[Dispute]) -> str:
    first: datetime | None = rows.aggregate(first=Min("due_at"))["first"]
    if first is None:
        return ""
    days = (first - timezone.now()) // timedelta(days=1)
    when = timezone.localtime(first).strftime("%-d %B, %H:%M")
    return f"Answer by {when}" if days >= 0 else f"The time was over on {when}"


SHELVES: dict[str, tuple[Source, ...]] = {
    "Orders": (
        _orders("pack"),
        _orders("prepare"),
        _orders("collect", "calm"),
        _orders("unpaid", "calm"),
        Source(
            "Parcels held up or sent back",
            "shipments.view_shipment",
            lambda: Shipment.objects.filter(state__in=(Shipment.State.PROBLEM, Shipment.State.RETURNED)),
            "shipments_shipment",
            "state__in=problem,returned",
            "bad",
        ),
    ),
    "Returns and money": (
        _returns("Returns to answer", ReturnState.REQUESTED),
        _returns("Returns to receive", ReturnState.ACCEPTED),
        _returns("Returns to pay back", ReturnState.RECEIVED),
        _orders("due"),
        Source(
            "Refunds under way",
            "payments.view_refund",
            lambda: Refund.objects.filter(status__in=(Refund.Status.CREATED, Refund.Status.PENDING)),
            "payments_refund",
            "status__in=created,pending",
            "calm",
        ),
        Source(
            "Refunds that failed",
            "payments.view_refund",
            lambda: Refund.objects.filter(status=Refund.Status.FAILED),
            "payments_refund",
            "status__exact=failed",
            "bad",
        ),
        Source(
            "Disputes",
            "payments.view_dispute",
            lambda: Dispute.objects.filter(status__in=Dispute.UNDECIDED),
            "payments_dispute",
            "status__in=warning,open",
            "bad",
            _deadline,
        ),
        Source(
            "Messages about money that cannot be done",
            "payments.view_webhookevent",
            messages_refused,
            "payments_webhookevent",
            "refused=yes",
            "bad",
        ),
    ),
    "Goods and offers": (
        Source("Low stock", "catalog.view_variant", variants_low, "catalog_variant", "stock=low"),
        Source(
            "Reviews to read",
            "reviews.view_review",
            lambda: Review.objects.filter(status=ReviewStatus.PENDING),
            "reviews_review",
            "status__exact=pending",
        ),
        Source(
            "Promotions running",
            "promotions.view_promotion",
            promotions_running,
            "promotions_promotion",
            "running=now",
            "calm",
        ),
        Source(
            "Promotions that end within a week",
            "promotions.view_promotion",
            promotions_ending,
            "promotions_promotion",
            "running=ending",
        ),
    ),
    "Machinery": (
        Source(
            "Background tasks that failed",
            "django_tasks_database.view_dbtaskresult",
            lambda: DBTaskResult.objects.filter(status=TaskResultStatus.FAILED),
            "django_tasks_database_dbtaskresult",
            "status__exact=FAILED",
            "bad",
        ),
        Source(
            "Mails given up",
            "notifications.view_mail",
            lambda: Mail.objects.filter(state=Mail.State.GIVEN_UP),
            "notifications_mail",
            "state__exact=given_up",
            "bad",
        ),
    ),
}


def queues_for(user: Any) -> list[Shelf]:
    """Return the queues that somebody may see, by shelf: one count each."""
    shelves = (
        Shelf(title, [_queue(source) for source in sources if user.has_perm(source.right)])
        for title, sources in SHELVES.items()
    )
    return [shelf for shelf in shelves if shelf.queues]


def _queue(source: Source) -> Queue:
    rows = source.rows()
    count = rows.count()
    url = f"{reverse(f'admin:{source.list_name}_changelist')}?{source.query}"
    level = source.level if count else "done"
    return Queue(source.label, count, url, level, source.hint(rows) if count else "")
