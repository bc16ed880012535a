from django.db import migrations

# The running shop's role owns no table: it can neither drop these triggers nor replace their functions.
# The chain's lock is taken while a transaction commits, after the row locks of its act: no act waits for another's work.
FORWARDS = """
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION audit_content(found audit_entry) RETURNS bytea LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT convert_to(jsonb_build_array(found.id, (extract(epoch FROM found.at) * 1000000)::bigint, found.actor_id,
        found.actor, found.address, found.action, found.target_type, found.target_id, found.target, found.changes,
        found.request_id)::text, 'UTF8')
$$;

CREATE FUNCTION audit_entry_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION audit_entry_link() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_link (position, entry_id, previous, digest) VALUES (0, NEW.id, '', '');
    RETURN NULL;
END $$;

CREATE FUNCTION audit_link_place() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    head audit_link%ROWTYPE;
    found audit_entry%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock(4715023811);
    SELECT * INTO head FROM audit_link ORDER BY position DESC LIMIT 1;
    SELECT * INTO STRICT found FROM audit_entry WHERE id = NEW.entry_id;
    NEW.position := coalesce(head.position, 0) + 1;
    NEW.previous := coalesce(head.digest, decode(repeat('00', 32), 'hex'));
    NEW.digest := sha256(NEW.previous || audit_content(found));
    RETURN NEW;
END $$;

CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_entry_keep BEFORE TRUNCATE ON audit_entry EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_entry_stamp BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_entry_stamp();
CREATE CONSTRAINT TRIGGER audit_entry_linked AFTER INSERT ON audit_entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_entry_link();
CREATE TRIGGER audit_link_append_only BEFORE UPDATE OR DELETE ON audit_link
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_link_keep BEFORE TRUNCATE ON audit_link EXECUTE FUNCTION audit_refuse_change();
CREATE TRIGGER audit_link_place BEFORE INSERT ON audit_link FOR EACH ROW EXECUTE FUNCTION audit_link_place();
"""
BACKWARDS = """
DROP TRIGGER audit_entry_append_only ON audit_entry;
DROP TRIGGER audit_entry_keep ON audit_entry;
DROP TRIGGER audit_entry_stamp ON audit_entry;
DROP TRIGGER audit_entry_linked ON audit_entry;
DROP TRIGGER audit_link_append_only ON audit_link;
DROP TRIGGER audit_link_keep ON audit_link;
DROP TRIGGER audit_link_place ON audit_link;
DROP FUNCTION audit_link_place();
DROP FUNCTION audit_entry_link();
DROP FUNCTION audit_entry_stamp();
DROP FUNCTION audit_content(audit_entry);
DROP FUNCTION audit_refuse_change();
"""


class Migration(migrations.Migration):
    # Old code does not know these tables.
    pasargad_phase = "expand"

    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
