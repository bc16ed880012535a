"""Extensions and functions of the search.

The role `postgres` creates the extensions; here they are made where nobody else did, which their owner may (both are
trusted extensions), and skipped where they are, so that the migrator needs no more rights than its tables.
"""

from django.db import migrations

EXTENSIONS = """
DO $$
DECLARE wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['pg_trgm', 'unaccent'] LOOP
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = wanted) THEN
      EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA public', wanted);
    END IF;
  END LOOP;
END $$;
"""

# unaccent() is only “stable”, because its rules could be edited. Ours are not; both names are qualified, so a
# restore, which runs with an empty search path, works too.
FUNCTIONS = """
CREATE FUNCTION catalog_plain(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
  AS $$ SELECT public.unaccent('public.unaccent'::regdictionary, lower(words)) $$;
CREATE FUNCTION catalog_vector(words text, weight text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
  AS $$ SELECT setweight(to_tsvector('pg_catalog.english'::regconfig, public.catalog_plain(words)), weight::"char") $$;
"""


class Migration(migrations.Migration):
    # Functions that old code does not call.
    pasargad_phase = "expand"
    dependencies = [("catalog", "0002_slug_redirects")]

    operations = [
        migrations.RunSQL(EXTENSIONS, migrations.RunSQL.noop),
        migrations.RunSQL(FUNCTIONS, "DROP FUNCTION catalog_vector(text, text); DROP FUNCTION catalog_plain(text);"),
    ]
