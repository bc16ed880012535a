"""The release before knows nothing of these tables, and must still be able to delete an account.

Accounts of staff were made by operators: their addresses count as confirmed."""

from django.db import migrations

CASCADE = """
DO $$
DECLARE key record;
BEGIN
  FOR key IN
    SELECT conname, conrelid::regclass AS place, pg_get_constraintdef(oid) AS rule FROM pg_constraint
    WHERE contype = 'f' AND confdeltype = 'a' AND confrelid = 'accounts_user'::regclass
      AND conrelid = ANY(ARRAY[
        'accounts_address', 'account_emailaddress', 'mfa_authenticator', 'socialaccount_socialaccount',
        'usersessions_usersession']::regclass[])
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s', key.place, key.conname, key.conname,
                   replace(key.rule, ' DEFERRABLE', ' ON DELETE CASCADE DEFERRABLE'));
  END LOOP;
END $$;
"""
VOUCH = """
INSERT INTO account_emailaddress (user_id, email, verified, "primary")
SELECT id, lower(email), true, true FROM accounts_user WHERE is_staff ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    # Only tables that old code does not know are changed.
    pasargad_phase = "expand"
    dependencies = [
        ("accounts", "0002_address"),
        ("account", "0001_initial"),
        ("mfa", "0001_initial"),
        ("socialaccount", "0001_initial"),
        ("usersessions", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(CASCADE, migrations.RunSQL.noop),
        migrations.RunSQL(VOUCH, migrations.RunSQL.noop),
    ]
