-- When the planner chooses the index.  Costs are not shown, only what wins.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET max_parallel_workers_per_gather = 0;

CREATE TABLE items (id int, kind int, v real[]);

-- A few of the nearest rows, from 1,000 rows and up
INSERT INTO items SELECT i, i % 500, vec(i, 8) FROM generate_series(1, 1000) i;
CREATE INDEX items_v ON items USING togg (v);
-- as it is before the first ANALYZE
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
ANALYZE items;
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 1');
SELECT plan('SELECT id, v <-> ''{1,2,3,4,5,6,7,8}'' AS distance FROM items ORDER BY distance LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY ''{1,2,3,4,5,6,7,8}'' <-> v LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY l2_distance(v, ''{1,2,3,4,5,6,7,8}'') LIMIT 10');
-- not for all of them
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}''');
-- few rows are sorted sooner than searched
CREATE TABLE few AS SELECT * FROM items LIMIT 20;
CREATE INDEX few_v ON few USING togg (v);
ANALYZE few;
SELECT plan('SELECT id FROM few ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
DROP TABLE few;

-- A larger table
INSERT INTO items SELECT i, i % 500, vec(i, 8) FROM generate_series(1001, 6000) i;
CREATE INDEX items_id ON items (id);
CREATE INDEX items_kind ON items (kind);
VACUUM ANALYZE items;
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 100');
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}''');
SELECT plan('SELECT id FROM items WHERE v IS NOT NULL');
SELECT plan('SELECT v FROM items');

-- A filter that most rows pass leaves the index its advantage, one that few
-- rows pass does not where another index finds these
SELECT plan('SELECT id FROM items WHERE kind <> 7 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items WHERE kind = 7 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items WHERE id = 7 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items WHERE id BETWEEN 7 AND 20 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
-- a distance is where the scan ends, but no condition by itself
SELECT plan('SELECT id FROM items WHERE v <-> ''{1,2,3,4,5,6,7,8}'' < 3 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items WHERE v <-> ''{1,2,3,4,5,6,7,8}'' < 3');
SELECT plan('SELECT id FROM items WHERE v = ''{1,2,3,4,5,6,7,8}''');

-- Only the operator of the operator class, only from the nearest on, only as
-- the first key, only alone, only for a vector from elsewhere
SELECT plan('SELECT id FROM items ORDER BY v <=> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY v <#> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY v <+> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' DESC LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' NULLS FIRST LIMIT 10');
SET enable_incremental_sort = off;
SELECT plan('SELECT id FROM items ORDER BY kind, v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
RESET enable_incremental_sort;
SELECT plan('SELECT id FROM items ORDER BY (v <-> ''{1,2,3,4,5,6,7,8}'') + 1 LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY v <-> v LIMIT 10');
-- forced or not, there is no plan by the index where none can be
SET enable_seqscan = off;
SET enable_sort = off;
SELECT plan('SELECT id FROM items ORDER BY v <=> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT v FROM items');
RESET enable_seqscan;
RESET enable_sort;

-- A query that comes from elsewhere
SELECT plan FROM plan('SELECT id FROM items ORDER BY v <-> (SELECT v FROM items WHERE id = 5) LIMIT 10')
WHERE plan ~ 'Scan';
SELECT plan('SELECT q.id, n.id FROM (SELECT * FROM items WHERE id < 4) q,
	LATERAL (SELECT id FROM items i ORDER BY i.v <-> q.v LIMIT 3) n');
SELECT plan('SELECT DISTINCT ON (v <-> ''{1,2,3,4,5,6,7,8}'') id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan FROM plan('SELECT id, rank() OVER (ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'') FROM items LIMIT 10')
WHERE plan ~ 'Scan';
SELECT plan FROM plan('SELECT min(v <-> ''{1,2,3,4,5,6,7,8}'') FROM items') WHERE plan ~ 'Scan';

-- Of two indexes the one on part of the table
CREATE INDEX items_v_7 ON items USING togg (v) WHERE kind < 250;
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
DROP INDEX items_v;
SELECT plan('SELECT id FROM items WHERE kind < 250 ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'' LIMIT 10');
-- which is not for reading that part in no order
DROP INDEX items_kind;
SELECT plan('SELECT id FROM items WHERE kind < 250');
SET enable_seqscan = off;
SELECT plan('SELECT id FROM items WHERE kind < 250');
RESET enable_seqscan;

-- Vectors of many dimensions: out of line in the table, so that reading the
-- table is dear however few pages it has
CREATE TABLE wide (id int, v real[]);
INSERT INTO wide SELECT i, vec(i, 768) FROM generate_series(1, 1000) i;
CREATE INDEX wide_v ON wide USING togg (v);
ANALYZE wide;
SELECT regexp_replace(plan(format('SELECT id FROM wide ORDER BY v <-> %L LIMIT 10', v)), '\{.*\}', '...')
FROM wide WHERE id = 1;

-- Nothing to estimate from
CREATE TABLE empty (id int, v real[]);
CREATE INDEX empty_v ON empty USING togg (v);
SELECT id FROM empty ORDER BY v <-> '{1,2}' LIMIT 10;
ANALYZE empty;
SELECT id FROM empty ORDER BY v <-> '{1,2}' LIMIT 10;
