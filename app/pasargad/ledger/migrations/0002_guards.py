from django.db import migrations

# The running shop's role owns no table: it can neither drop these triggers nor truncate.
FORWARDS = """
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION ledger_require_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint;
    total numeric;
    pieces integer;
BEGIN
    IF TG_TABLE_NAME = 'ledger_entry' THEN wanted := NEW.id; ELSE wanted := NEW.entry_id; END IF;
    SELECT coalesce(sum(amount_minor), 0), count(*) INTO total, pieces FROM ledger_posting WHERE entry_id = wanted;
    IF total <> 0 OR pieces < 2 THEN
        RAISE EXCEPTION 'ledger entry % does not balance: % in % postings', wanted, total, pieces
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_posting_append_only BEFORE UPDATE OR DELETE ON ledger_posting
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE CONSTRAINT TRIGGER ledger_entry_balance AFTER INSERT ON ledger_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_require_balance();
CREATE CONSTRAINT TRIGGER ledger_posting_balance AFTER INSERT ON ledger_posting
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_require_balance();
"""
BACKWARDS = """
DROP TRIGGER ledger_entry_append_only ON ledger_entry;
DROP TRIGGER ledger_posting_append_only ON ledger_posting;
DROP TRIGGER ledger_entry_balance ON ledger_entry;
DROP TRIGGER ledger_posting_balance ON ledger_posting;
DROP FUNCTION ledger_refuse_change();
DROP FUNCTION ledger_require_balance();
"""


class Migration(migrations.Migration):
    # Old code does not know these tables.
    pasargad_phase = "expand"

    dependencies = [("ledger", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
