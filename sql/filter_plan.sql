-- Which plan the planner chooses under a filter.  Costs are not shown, only what
-- wins.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET max_parallel_workers_per_gather = 0;

-- The scan of "items" in a plan, and whether its condition is looked up
CREATE FUNCTION choice(condition text, tail text DEFAULT 'LIMIT 10', data text DEFAULT 'items') RETURNS text LANGUAGE SQL AS
$$
	SELECT string_agg(trim(regexp_replace(line, '\(v <->.*', '..')), ' ')
	FROM plan(format('SELECT id FROM %s WHERE %s ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' %s', data, condition, tail)) AS line
	WHERE line ~ 'Scan|Cond|Filter'
$$;

CREATE TABLE items (id int, half int, tenth int, hundredth int, thousandth int, v real[]);
INSERT INTO items SELECT i, i % 2, i % 10, i % 100, i % 1000, vec(i, 8) FROM generate_series(1, 20000) i;
CREATE INDEX items_v ON items USING togg (v, half, tenth, hundredth, thousandth);
VACUUM ANALYZE items;

-- Without another index: the filter is the index's, whatever the share
SELECT condition, choice(condition)
FROM unnest(ARRAY['half = 1', 'tenth = 1', 'hundredth = 1', 'thousandth = 1', 'tenth < 3 AND half = 1', 'id = 1']) condition;
-- all rows are sorted sooner
SELECT condition, choice(condition, '') FROM unnest(ARRAY['half = 1', 'thousandth = 1']) condition;

-- With btree indexes on the columns: these where they bring few rows
CREATE INDEX items_half ON items (half);
CREATE INDEX items_tenth ON items (tenth);
CREATE INDEX items_hundredth ON items (hundredth);
CREATE INDEX items_thousandth ON items (thousandth);
CREATE INDEX items_id ON items (id);
SELECT condition, choice(condition)
FROM unnest(ARRAY['half = 1', 'tenth = 1', 'tenth < 3 AND half = 1', 'hundredth = 1', 'thousandth = 1',
				  'id = 1', 'id < 10', 'id < 10000', 'half = 1 AND id = 1']) condition;
SELECT choice('tenth = 1', 'LIMIT 1000');
SELECT choice('hundredth = 1', 'LIMIT 100');

-- A join
SELECT plan('SELECT q.id, n.id FROM (SELECT * FROM items WHERE id < 4) q,
	LATERAL (SELECT id FROM items i WHERE i.tenth = q.tenth ORDER BY i.v <-> q.v LIMIT 3) n');

-- The cells of 50 % to 0.01 %, and none, by which indexes there are: one of the
-- vector alone, one that has the column, and btrees
CREATE TABLE cells (id int, c1 int, c2 int, c3 int, c4 int, c5 int, v real[]);
INSERT INTO cells SELECT i, i % 2, i % 10, i % 100, i % 1000, i % 10000, vec(i, 8) FROM generate_series(1, 20000) i;
ANALYZE cells;
CREATE TABLE chosen (n int, share text, condition text, plain text, filter text, "both" text, "and btree" text);
INSERT INTO chosen VALUES (0, '100 %', 'true'), (1, '50 %', 'c1 = 1'), (2, '10 %', 'c2 = 1'), (3, '1 %', 'c3 = 1'),
	(4, '0.1 %', 'c4 = 1'), (5, '0.01 %', 'c5 = 1');
CREATE FUNCTION scans(condition text) RETURNS text LANGUAGE SQL AS
$$
	SELECT string_agg(coalesce(substring(line FROM 'using (\w+)'), substring(line FROM '(Bitmap Index Scan|Seq Scan)')), ', ')
	FROM plan(format('SELECT id FROM cells WHERE %s ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10', condition)) AS line
$$;
CREATE INDEX the_plain ON cells USING togg (v);
UPDATE chosen SET plain = scans(condition);
CREATE INDEX the_filter ON cells USING togg (v, c1, c2, c3, c4, c5);
UPDATE chosen SET "both" = scans(condition);
DROP INDEX the_plain;
UPDATE chosen SET filter = scans(condition);
CREATE INDEX the_plain ON cells USING togg (v);
CREATE INDEX ON cells (c1);
CREATE INDEX ON cells (c2);
CREATE INDEX ON cells (c3);
CREATE INDEX ON cells (c4);
CREATE INDEX ON cells (c5);
UPDATE chosen SET "and btree" = scans(condition);
SELECT share, plain, filter, "both", "and btree" FROM chosen ORDER BY n;

-- Small tables are sorted
CREATE TABLE few AS SELECT * FROM items LIMIT 30;
CREATE INDEX few_v ON few USING togg (v, half);
ANALYZE few;
SELECT choice('half = 1', data => 'few');

-- Partial and expression indexes
CREATE INDEX items_partial ON items USING togg (v, (half + 1)) WHERE tenth = 3;
SELECT condition, choice(condition)
FROM unnest(ARRAY['tenth = 3', 'tenth = 3 AND half + 1 = 2', 'tenth = 4 AND half + 1 = 2']) condition;
DROP INDEX items_partial;

-- Partitions with a filter key: pruned, and merged in the order of distance
CREATE TABLE parts (id int, tenant int, kind int, v real[]) PARTITION BY LIST (tenant);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2, 3);
INSERT INTO parts SELECT i, i % 3 + 1, i % 10, vec(i, 8) FROM generate_series(1, 9000) i;
CREATE INDEX parts_v ON parts USING togg (v, tenant, kind);
ANALYZE parts;
SELECT plan('SELECT id FROM parts WHERE tenant = 2 AND kind = 3 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM parts WHERE kind = 3 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT compare('SELECT id, v <-> ''{1,2,3,4,5,6,7,8}'' FROM parts WHERE tenant >= 2 AND kind = 3 ORDER BY 2', false);

-- Row-level security: what is not leakproof does not see a row before the policy
-- has, not even in the index
CREATE FUNCTION leaky_equal(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE STRICT COST 0.0001 AS
$$ BEGIN RAISE NOTICE 'saw %', $1; RETURN $1 = $2; END $$;
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = leaky_equal, RESTRICT = eqsel);
CREATE OPERATOR CLASS leaky_ops FOR TYPE int USING togg AS
	OPERATOR 1 < (int, int), OPERATOR 3 === (int, int);
CREATE TABLE secrets (id int, owner int, secret int, v real[]);
INSERT INTO secrets SELECT i, i % 10, 1000 + i, vec(i, 8) FROM generate_series(1, 50) i;
CREATE INDEX secrets_v ON secrets USING togg (v, owner, secret leaky_ops);
ANALYZE secrets;
CREATE ROLE togg_filter_reader;
GRANT USAGE ON SCHEMA togg_test TO togg_filter_reader;
GRANT SELECT ON secrets TO togg_filter_reader;
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets USING (owner = 3);
SET enable_seqscan = off;
SET ROLE togg_filter_reader;
SELECT plan('SELECT id FROM secrets WHERE secret === 1013 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}''');
SELECT id FROM secrets WHERE secret === 1013 ORDER BY v <-> '{1,2,3,4,5,6,7,8}';
-- leakproof ones are looked up
SELECT plan('SELECT id FROM secrets WHERE secret < 1013 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}''');
RESET ROLE;
-- who may see all rows shows them all
SET client_min_messages = warning;
SELECT plan('SELECT id FROM secrets WHERE secret === 1013 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}''');
SELECT id FROM secrets WHERE secret === 1013 ORDER BY v <-> '{1,2,3,4,5,6,7,8}';
DROP OWNED BY togg_filter_reader;
DROP ROLE togg_filter_reader;

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
