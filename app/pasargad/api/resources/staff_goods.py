"""Stock and products, for staff and their programs."""

from __future__ import annotations

from django.db import transaction

from pasargad.catalog.exceptions import OutOfStock
from pasargad.catalog.models import Product, Variant
from pasargad.catalog.services import product_edit, product_lock, product_publish
from pasargad.catalog.stock import stock_move

from .. import answers, showing
from ..etags import require_match
from ..operations import Call, operation
from ..problems import Problem
from ..schemas import ProductToChange, StockToMove
from ..scopes import Scope


@operation(
    "GET",
    "/staff/stock/{sku}",
    tag="Staff: goods",
    summary="How many pieces there are",
    access=Scope.STOCK_WRITE,
    answer=answers.StockShown,
)
def stock_show(call: Call) -> answers.StockShown:
    return showing.stock_of(_variant(call))


@operation(
    "POST",
    "/staff/stock/{sku}/movements",
    tag="Staff: goods",
    summary="Receive or correct stock",
    access=Scope.STOCK_WRITE,
    body=StockToMove,
    answer=answers.StockMoved,
    status=201,
    keyed=True,
    refusals=True,
)
def stock_change(call: Call) -> answers.StockMoved:
    body: StockToMove = call.body
    variant = _variant(call)
    if body.kind == "received" and body.quantity < 0:
        raise Problem("refused", "What is received comes; what goes is a correction.")
    try:
        # The note of who did it stands beside what they wrote.
        moved = stock_move(variant.pk, body.quantity, kind=body.kind, note=f"{call.actor}: {body.note.strip()}"[:200])
    except OutOfStock as error:
        raise Problem("refused", "That would leave fewer pieces than are held for orders.") from error
    variant.refresh_from_db()
    return answers.StockMoved(
        movement=moved.pk, kind=moved.kind, quantity=moved.quantity, stock=showing.stock_of(variant)
    )


@operation(
    "GET",
    "/staff/products/{slug}",
    tag="Staff: goods",
    summary="A product in any state",
    access=Scope.PRODUCTS_WRITE,
    answer=answers.StaffProduct,
)
def staff_product_show(call: Call) -> answers.StaffProduct:
    found = Product.objects.filter(slug=call.path["slug"]).first()
    if found is None:
        raise Problem("not-found", "There is no such product.")
    return showing.staff_product(found)


@operation(
    "PATCH",
    "/staff/products/{slug}",
    tag="Staff: goods",
    summary="Change what a product says of itself",
    detail="Send the ETag of what you have read as If-Match.",
    access=Scope.PRODUCTS_WRITE,
    body=ProductToChange,
    answer=answers.StaffProduct,
    guarded="required",
)
def staff_product_change(call: Call) -> answers.StaffProduct:
    body: ProductToChange = call.body
    changes = {
        name: value.strip() if isinstance(value, str) else value
        for name, value in body.model_dump(exclude_unset=True).items()
        if value is not None
    }
    with transaction.atomic():
        product = _locked(call)
        require_match(call.request, showing.staff_product(product), demanded=True)
        if changes:
            product_edit(product, changes)
    return showing.staff_product(product)


@operation(
    "POST",
    "/staff/products/{slug}/publish",
    tag="Staff: goods",
    summary="Show a product to shoppers",
    access=Scope.PRODUCTS_WRITE,
    answer=answers.StaffProduct,
    refusals=True,
)
def staff_product_publish(call: Call) -> answers.StaffProduct:
    with transaction.atomic():
        product = _locked(call)
        if not product.variants.filter(is_active=True).exists():
            raise Problem("refused", "A product without a variant cannot be bought.")
        return showing.staff_product(product_publish(product))


def _variant(call: Call) -> Variant:
    found = Variant.objects.filter(sku=call.path["sku"]).first()
    if found is None:
        raise Problem("not-found", "There is no such article.")
    return found


def _locked(call: Call) -> Product:
    try:
        return product_lock(call.path["slug"])
    except Product.DoesNotExist:
        raise Problem("not-found", "There is no such product.") from None
