"""The release before knows nothing of reminders, and must still be able to delete an account."""

from django.db import migrations

CASCADE = """
DO $$
DECLARE key record;
BEGIN
  FOR key IN
    SELECT conname, conrelid::regclass AS place, pg_get_constraintdef(oid) AS rule FROM pg_constraint
    WHERE contype = 'f' AND confdeltype = 'a' AND confrelid = 'accounts_user'::regclass
      AND conrelid = ANY(ARRAY['reminders_reminderconsent']::regclass[])
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s', key.place, key.conname, key.conname,
                   replace(key.rule, ' DEFERRABLE', ' ON DELETE CASCADE DEFERRABLE'));
  END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    # Only a table that old code does not know is changed.
    pasargad_phase = "expand"
    dependencies = [("reminders", "0001_initial"), ("accounts", "0003_library_tables")]

    operations = [migrations.RunSQL(CASCADE, migrations.RunSQL.noop)]
