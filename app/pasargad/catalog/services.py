"""Changes of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Max, Min
from django.utils import timezone

from . import pictures, shapes
from .indexing import index_products
from .leadtime import lead_days
from .models import Category, Product, ProductImage, ProductModel, Variant, Workshop
from .signals import product_changed

# What a product says of itself and others may change in words.
EDITABLE = {"name", "summary", "description", "material", "care", "featured"}


def category_save(category: Category) -> Category:
    """Store a category and the paths of everything below it."""
    with transaction.atomic():
        if category.pk is None:
            category.save()
        above = category.parent.path if category.parent else "/"
        former, category.path = category.path, f"{above}{category.pk}/"
        category.save()
        if former and former != category.path:
            below = Category.objects.filter(path__startswith=former).exclude(pk=category.pk)
            for child in below.select_for_update():
                child.path = category.path + child.path.removeprefix(former)
                child.save(update_fields=["path"])
    return category


def product_publish(product: Product) -> Product:
    """Show a product to shoppers; the time of its first publication stays."""
    with transaction.atomic():
        product.state = Product.State.PUBLISHED
        product.published_at = product.published_at or timezone.now()
        product.save(update_fields=["state", "published_at", "updated_at"])
        product_refresh(product)
    return product


def product_lock(slug: str) -> Product:
    """Return a product of any state, locked until the transaction ends; raises Product.DoesNotExist."""
    return Product.objects.select_for_update(of=("self",)).select_related("category").get(slug=slug)


def product_edit(product: Product, changes: Mapping[str, str | bool]) -> Product:
    """Change what a locked product says of itself (EDITABLE), and what follows from it."""
    if unknown := set(changes) - EDITABLE:
        raise ValueError(f"not to be edited: {sorted(unknown)}")
    for name, value in changes.items():
        setattr(product, name, value)
    product.clean_fields(exclude=_besides(changes))
    product.save(update_fields=[*changes, "updated_at"])
    product_refresh(product)
    return product


def product_refresh(product: Product) -> None:
    """Bring what a product repeats of its variants and pictures up to date."""
    with transaction.atomic():
        prices = Variant.objects.filter(product=product, is_active=True).aggregate(
            low=Min("price_minor"), high=Max("price_minor")
        )
        product.price_minor, product.price_to_minor = prices["low"] or 0, prices["high"] or 0
        product.cover = ProductImage.objects.filter(product=product).order_by("position", "id").first()
        product.save(update_fields=["price_minor", "price_to_minor", "cover", "updated_at"])
        lead_times_refresh(product)
        index_products([product.pk])
        product_changed.send(sender=Product, product=product)


def lead_times_refresh(product: Product | None = None) -> int:
    """Work out the lead times that follow from print times, of one product or of all; returns how many changed."""
    variants = Variant.objects.filter(lead_from_print_time=True, made_to_order=True)
    if product is not None:
        variants = variants.filter(product=product)
    changed = 0
    found = list(variants.only("pk", "print_minutes", "lead_days"))
    if not found:
        return 0
    workshop = Workshop.objects.first() or Workshop()
    for variant in found:
        days = lead_days(
            variant.print_minutes,
            printers=workshop.printers,
            minutes_per_day=workshop.minutes_per_day,
            finishing_days=workshop.finishing_days,
        )
        if days != variant.lead_days:
            changed += Variant.objects.filter(pk=variant.pk).update(lead_days=days)
    return changed


def shape_set(*, product: Product, content: bytes) -> ProductModel:
    """Store a product's shape (binary glTF) under a name that follows from its content. Raises ShapeRefused."""
    shapes.check(content)
    digest = pictures.digest_of(content)
    name = _store(f"shapes/{digest[:2]}/{digest[:20]}.glb", content)
    shape, _ = ProductModel.objects.update_or_create(
        product=product, defaults={"name": name, "size_bytes": len(content)}
    )
    return shape


def shape_remove(product: Product) -> None:
    ProductModel.objects.filter(product=product).delete()


def image_add(
    *,
    product: Product,
    content: bytes,
    alt: str,
    variant: Variant | None = None,
    position: int | None = None,
    rendered: pictures.Rendered | None = None,
) -> ProductImage:
    """Store a picture and its renditions under names that follow from the content; the same picture is added once.

    `rendered` is what `pictures.render` made of the content, if that was done elsewhere. Raises PictureRefused.
    """
    digest = pictures.digest_of(content)
    if known := ProductImage.objects.filter(product=product, digest=digest).first():
        return known
    rendered = rendered or pictures.render(content)
    base = f"products/{digest[:2]}/{digest[:20]}"
    stored = [
        {
            "format": item.format,
            "width": item.width,
            "height": item.height,
            "name": _store(f"{base}-{item.width}.{item.format}", item.content),
        }
        for item in rendered.renditions
    ]
    original = _store(f"{base}.{rendered.original_format}", content)
    with transaction.atomic():
        Product.objects.select_for_update().get(pk=product.pk)
        if position is None:
            position = ProductImage.objects.filter(product=product).count()
        image, _ = ProductImage.objects.get_or_create(
            product=product,
            digest=digest,
            defaults={
                "variant": variant,
                "alt": alt,
                "original": original,
                "width": rendered.width,
                "height": rendered.height,
                "color": rendered.color,
                "renditions": stored,
                "position": position,
            },
        )
        product_refresh(product)
    return image


def _store(name: str, content: bytes) -> str:
    """Write a file whose name follows from its content: one that is there already is the same."""
    return name if default_storage.exists(name) else default_storage.save(name, ContentFile(content))


def _besides(names: Iterable[str]) -> set[str]:
    return {field.name for field in Product._meta.fields} - set(names)
