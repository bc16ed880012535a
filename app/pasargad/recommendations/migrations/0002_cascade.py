"""The release before knows nothing of recommendations, and must still be able to delete a product."""

from django.db import migrations

CASCADE = """
DO $$
DECLARE key record;
BEGIN
  FOR key IN
    SELECT conname, conrelid::regclass AS place, pg_get_constraintdef(oid) AS rule FROM pg_constraint
    WHERE contype = 'f' AND confdeltype = 'a' AND conrelid = ANY(ARRAY['recommendations_recommendation'::regclass])
      AND confrelid IN ('catalog_product'::regclass, 'catalog_category'::regclass)
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s', key.place, key.conname, key.conname,
                   replace(key.rule, ' DEFERRABLE', ' ON DELETE CASCADE DEFERRABLE'));
  END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    # Only a table that old code does not know is changed.
    pasargad_phase = "expand"
    dependencies = [("recommendations", "0001_initial")]

    operations = [migrations.RunSQL(CASCADE, migrations.RunSQL.noop)]
