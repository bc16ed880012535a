"""Makes what is searched of the goods that are there, so that the new release finds them from its first minute.

In batches, each its own transaction. What is left out here (attributes, categories' names) comes with the first
periodic run, because the entries are marked as old.
"""

from django.db import migrations

BATCH = 2000
# The release before knows nothing of these rows, and must still be able to delete a product or category.
CASCADE = """
DO $$
DECLARE key record;
BEGIN
  FOR key IN
    SELECT conname, conrelid::regclass AS place, pg_get_constraintdef(oid) AS rule FROM pg_constraint
    WHERE contype = 'f' AND confdeltype = 'a' AND conrelid = ANY(ARRAY['catalog_searchentry'::regclass, 'catalog_formerslug'::regclass])
      AND confrelid IN ('catalog_product'::regclass, 'catalog_category'::regclass)
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s', key.place, key.conname, key.conname,
                   replace(key.rule, ' DEFERRABLE', ' ON DELETE CASCADE DEFERRABLE'));
  END LOOP;
END $$;
"""

ENTRIES = """
INSERT INTO catalog_searchentry (product_id, name, words, body, facets, indexed_at)
SELECT p.id, p.name, concat_ws(' ', p.summary, p.material), left(p.description, 4000),
       CASE WHEN p.material = '' THEN '{}'::text[] ELSE ARRAY['material:' || p.material] END, 'epoch'
FROM catalog_product p WHERE p.id > %s AND p.id <= %s
ON CONFLICT DO NOTHING
"""
WORDS = """
INSERT INTO catalog_searchword (word)
SELECT DISTINCT word FROM catalog_searchentry e,
  unnest(tsvector_to_array(to_tsvector('simple', catalog_plain(concat_ws(' ', e.name, e.words, e.body))))) AS word
WHERE e.product_id > %s AND e.product_id <= %s AND word ~ '^[[:alpha:]]{3,40}$'
ON CONFLICT DO NOTHING
"""


def fill(apps, schema_editor):
    last = apps.get_model("catalog", "Product").objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    for first in range(0, last, BATCH):
        with schema_editor.connection.cursor() as cursor:
            for statement in (ENTRIES, WORDS):
                cursor.execute(statement, [first, first + BATCH])


class Migration(migrations.Migration):
    # Only tables that old code does not know are changed.
    pasargad_phase = "expand"
    atomic = False
    dependencies = [("catalog", "0004_attributes_search")]

    operations = [
        migrations.RunSQL(CASCADE, migrations.RunSQL.noop),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
