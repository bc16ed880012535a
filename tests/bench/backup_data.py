"""Fill a database with what a shop holds: words that compress as words do, documents, many small rows, indexes."""

from __future__ import annotations

from collections.abc import Callable

WORDS = (
    "printed bracket vase holder planter hook lamp shade gear hinge stand clip dragon figure tray organiser cover "
    "matte silk glossy recycled flexible strong light heavy small large medium white black green orange blue grey "
    "for kitchen desk wall garden bath shelf camera phone tablet keyboard bicycle tent boat car piano guitar with "
    "and without from our workshop made to order within two days in any colour you like sanded by hand"
)
SCHEMA = """
CREATE FUNCTION phrase(length int, seed bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  words text[] := ARRAY[{words}];
  said text := '';
  number bigint;
BEGIN
  FOR i IN 1..length LOOP
    number := abs(hashint8extended(i, seed));
    said := said || words[1 + number % array_length(words, 1)]
      || CASE WHEN i % 4 = 0 THEN (number % 100000)::text || ' ' ELSE ' ' END;
  END LOOP;
  RETURN said;
END $$;
CREATE TABLE product (id bigint PRIMARY KEY, sku text UNIQUE, name text, about text, details jsonb, price int,
  made timestamptz);
CREATE TABLE customer (id bigint PRIMARY KEY, email text UNIQUE, name text, address jsonb);
CREATE TABLE purchase (id bigint PRIMARY KEY, customer bigint REFERENCES customer, token uuid, placed timestamptz,
  total int, state text);
CREATE TABLE line (id bigint PRIMARY KEY, purchase bigint REFERENCES purchase, product bigint REFERENCES product,
  pieces int, price int, note text);
"""
# Rows of each table for one part in a thousand of a gigabyte.
ROWS = {"product": 350, "customer": 400, "purchase": 1400, "line": 3500}
FILL = {
    "product": """
        INSERT INTO product SELECT g, 'P-' || lpad(g::text, 9, '0'), phrase(4, g), phrase(90, g),
          jsonb_build_object('weight', g % 900, 'colour', phrase(1, g), 'layers', (g * 7919) % 400, 'tags',
          jsonb_build_array(phrase(1, g + 1), phrase(2, g + 2))), 100 + (g * 37) % 9000,
          '2024-01-01'::timestamptz + g * interval '3 min' FROM generate_series({first}, {last}) g""",
    "customer": """
        INSERT INTO customer SELECT g, md5(g::text) || '@example.org', phrase(2, g),
          jsonb_build_object('street', phrase(3, g), 'zip', lpad((g % 99999)::text, 5, '0'), 'city', phrase(1, g))
          FROM generate_series({first}, {last}) g""",
    "purchase": """
        INSERT INTO purchase SELECT g, 1 + abs(hashint8(g)::bigint) % {customer}, md5('t' || g)::uuid,
          '2024-01-01'::timestamptz + g * interval '20 sec', 500 + (g * 31) % 20000,
          (ARRAY['paid','shipped','delivered','cancelled'])[1 + g % 4] FROM generate_series({first}, {last}) g""",
    "line": """
        INSERT INTO line SELECT g, 1 + g::bigint * {purchase} / ({line} + 1),
          1 + abs(hashint8(g)::bigint) % {product}, 1 + g % 4, 100 + (g * 37) % 9000,
          CASE WHEN g % 5 = 0 THEN phrase(6, g) END FROM generate_series({first}, {last}) g""",
}
AFTER = """
CREATE INDEX ON purchase (customer, placed);
CREATE INDEX ON line (purchase);
CREATE INDEX ON line (product);
CREATE INDEX ON product USING gin (details);
ANALYZE;
CHECKPOINT;
"""


def fill(sql: Callable[[str], str], megabytes: int) -> int:
    """Create the tables with about so many megabytes, indexes included; return the rows. The same every time."""
    counts = {name: per * megabytes for name, per in ROWS.items()}
    words = ",".join(f"'{word}'" for word in WORDS.split())
    sql(SCHEMA.format(words=words))
    for name, count in counts.items():
        sql(FILL[name].format(first=1, last=count, **counts))
    for statement in AFTER.strip().split(";\n"):
        sql(statement)
    return sum(counts.values())
