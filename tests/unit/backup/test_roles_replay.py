"""What pg_dumpall writes is taken apart at its statements, whatever roles are called."""

from __future__ import annotations

from pasargad_ops.backup.roles_replay import statements, wanted

SCRIPT = r"""\restrict aSecretOfThisDump
--
-- Roles; not a statement
--
SET client_encoding = 'UTF8';
CREATE ROLE "shop";
ALTER ROLE "shop" WITH NOSUPERUSER LOGIN;
CREATE ROLE "o;dd""na'me";
ALTER ROLE "o;dd""na'me" SET "search_path" TO 'a;b', 'it''s';
COMMENT ON ROLE "shop" IS 'sells; -- things';
CREATE TABLESPACE "fast" OWNER "shop" LOCATION '/mnt/fast';
GRANT ALL ON TABLESPACE "fast" TO "shop";
GRANT "shop" TO "o;dd""na'me" WITH ADMIN OPTION GRANTED BY "old boss";
GRANT SET ON PARAMETER "log_min_messages" TO "shop";
\unrestrict aSecretOfThisDump
"""


def test_statements_end_where_they_end() -> None:
    found = list(statements(SCRIPT))
    assert len(found) == 10
    assert found[1:3] == ['CREATE ROLE "shop"', 'ALTER ROLE "shop" WITH NOSUPERUSER LOGIN']
    assert found[4] == """ALTER ROLE "o;dd""na'me" SET "search_path" TO 'a;b', 'it''s'"""
    assert not any("restrict" in one for one in found)


def test_an_empty_cluster_gets_every_role_but_no_directory_and_no_foreign_grantor() -> None:
    found = list(wanted(SCRIPT, frozenset()))
    assert len(found) == 8
    assert not any("TABLESPACE" in one for one in found)
    assert """GRANT "shop" TO "o;dd""na'me" WITH ADMIN OPTION""" in found


def test_roles_that_exist_are_left_as_they_are() -> None:
    assert list(wanted(SCRIPT, frozenset({"shop", """o;dd"na'me"""}))) == [
        "SET client_encoding = 'UTF8'",
        'GRANT SET ON PARAMETER "log_min_messages" TO "shop"',
    ]
    assert not any('ROLE "shop"' in one for one in wanted(SCRIPT, frozenset({"shop"})))
