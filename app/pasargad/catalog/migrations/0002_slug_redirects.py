"""Addresses that once led somewhere. The triggers work for the code of the release before, too."""

import django.db.models.deletion
from django.db import migrations, models

TRIGGERS = """
CREATE FUNCTION catalog_slug_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF TG_ARGV[0] = 'product' THEN
      INSERT INTO catalog_formerslug (kind, slug, product_id, at) VALUES ('product', OLD.slug, OLD.id, now())
        ON CONFLICT (kind, slug) DO UPDATE SET product_id = excluded.product_id, at = excluded.at;
    ELSE
      INSERT INTO catalog_formerslug (kind, slug, category_id, at) VALUES ('category', OLD.slug, OLD.id, now())
        ON CONFLICT (kind, slug) DO UPDATE SET category_id = excluded.category_id, at = excluded.at;
    END IF;
  END IF;
  -- Who has an address now, has it alone.
  DELETE FROM catalog_formerslug WHERE kind = TG_ARGV[0] AND slug = NEW.slug;
  RETURN NULL;
END $$;
CREATE TRIGGER catalog_product_slug_kept AFTER UPDATE OF slug ON catalog_product
  FOR EACH ROW WHEN (OLD.slug IS DISTINCT FROM NEW.slug) EXECUTE FUNCTION catalog_slug_kept('product');
CREATE TRIGGER catalog_product_slug_taken AFTER INSERT ON catalog_product
  FOR EACH ROW EXECUTE FUNCTION catalog_slug_kept('product');
CREATE TRIGGER catalog_category_slug_kept AFTER UPDATE OF slug ON catalog_category
  FOR EACH ROW WHEN (OLD.slug IS DISTINCT FROM NEW.slug) EXECUTE FUNCTION catalog_slug_kept('category');
CREATE TRIGGER catalog_category_slug_taken AFTER INSERT ON catalog_category
  FOR EACH ROW EXECUTE FUNCTION catalog_slug_kept('category');
"""

NO_TRIGGERS = """
DROP TRIGGER catalog_product_slug_kept ON catalog_product;
DROP TRIGGER catalog_product_slug_taken ON catalog_product;
DROP TRIGGER catalog_category_slug_kept ON catalog_category;
DROP TRIGGER catalog_category_slug_taken ON catalog_category;
DROP FUNCTION catalog_slug_kept();
"""


class Migration(migrations.Migration):
    # Old code writes the tables as before; the triggers only add rows of their own.
    pasargad_phase = "expand"
    dependencies = [("catalog", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="FormerSlug",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=[("product", "Product"), ("category", "Category")], max_length=10)),
                ("slug", models.SlugField(max_length=120)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "product",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="former_slugs",
                        to="catalog.product",
                    ),
                ),
                (
                    "category",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="former_slugs",
                        to="catalog.category",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "slug"), name="catalog_formerslug_once"),
                    models.CheckConstraint(
                        condition=models.Q(("category__isnull", True), ("kind", "product"), ("product__isnull", False))
                        | models.Q(("category__isnull", False), ("kind", "category"), ("product__isnull", True)),
                        name="catalog_formerslug_target",
                    ),
                ],
            },
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
    ]
