-- togg_tune(): learning the options of an index.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET togg.clustering_workers = off;

CREATE TABLE items (id int, v real[]);
INSERT INTO items SELECT i, vec(i, 24) FROM generate_series(1, 3000) i;
CREATE INDEX items_v ON items USING togg (v);
CREATE TABLE asked AS SELECT i AS id, vec(-i, 24) AS v FROM generate_series(1, 80) i;
CREATE VIEW options AS SELECT reloptions FROM pg_class WHERE oid = 'items_v'::regclass;

-- The same each time, with counters for a clock
CREATE TABLE first AS
SELECT * FROM togg_tune('items_v', queries => 'SELECT v FROM asked', seed => 1);
SELECT array_agg(target) AS targets, count(DISTINCT before) AS before, count(DISTINCT after) AS after,
	   bool_and(ef_before > 0 AND ef_after > 0) AS pools,
	   bool_and(abs(recall_before - target) < 0.1 AND recall_after >= recall_before - 0.005) AS found,
	   bool_and(cost_before >= 7 AND avg_after <= avg_before) AS no_dearer
FROM first, (SELECT avg(ln(cost_before)) AS avg_before, avg(ln(cost_after)) AS avg_after FROM first) s;
ALTER INDEX items_v RESET (stage1_width, pool_growth);
TABLE first
EXCEPT
SELECT * FROM togg_tune('items_v', queries => 'SELECT v FROM asked', seed => 1);
ALTER INDEX items_v RESET (stage1_width, pool_growth);

-- Options that cost much are left: by them the smallest pool is far too large
-- for this recall.  What the index has learnt is learnt anew.
ALTER INDEX items_v SET (stage1_width = 0, pool_growth = 16);
SELECT togg_calibrate('items_v');
CREATE TABLE learnt AS SELECT k, recall, ef FROM togg_calibration('items_v');
BEGIN;
SELECT before, after <> before AS changed, recall_after > 0.4 AS found, cost_after < 0.7 * cost_before AS cheaper
FROM togg_tune('items_v', '{0.5}', queries => 'SELECT v FROM asked', seed => 1);
SELECT reloptions <> '{stage1_width=0,pool_growth=16}' AS changed FROM options;
SELECT count(*) < 18 AS new FROM learnt JOIN togg_calibration('items_v') USING (k, recall, ef);
-- a transaction that fails has not changed them; what was learnt for others is
-- stale
SELECT bool_or(stale) AS stale FROM togg_calibration('items_v');
ROLLBACK;
SELECT reloptions FROM options;
SELECT bool_or(stale) AS stale FROM togg_calibration('items_v');
SELECT compare('SELECT id, v <-> ''{1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4}'' FROM items ORDER BY 2', false);
SELECT count(*) FROM togg_check('items_v', true);

-- Held out: clusters of 15, and queries by turns within one and far from all.  From
-- within, a pool that does not grow finds as much, and costs less; from afar it
-- misses rows.  What was learnt from the former must not be what is kept.
CREATE TABLE planted AS
SELECT (SELECT array_agg((a + b / 1000)::real ORDER BY n)
		FROM unnest(vec(i % 200, 24), vec(i, 24)) WITH ORDINALITY AS u (a, b, n)) AS v
FROM generate_series(1, 3000) i;
CREATE INDEX planted_v ON planted USING togg (v) WITH (pool_growth = 16);
CREATE TABLE kinds AS
SELECT i AS id, afar, (SELECT array_agg((CASE WHEN afar THEN 30 * a ELSE a + b / 1000 END)::real ORDER BY n)
					   FROM unnest(vec(i, 24), vec(-i, 24)) WITH ORDINALITY AS u (a, b, n)) AS v
FROM generate_series(1, 60) i, unnest('{f,t}'::boolean[]) afar;
SELECT after = before AS kept, cost_after > 50 AS afar
FROM togg_tune('planted_v', '{0.95}', queries => 'SELECT v FROM kinds ORDER BY id, afar', seed => 1);
SELECT reloptions FROM pg_class WHERE oid = 'planted_v'::regclass;
SELECT after = before AS kept, cost_after > 50 AS afar
FROM togg_tune('planted_v', '{0.95}', queries => 'SELECT v FROM kinds WHERE NOT afar', seed => 1);

-- Options alone
ALTER INDEX items_v SET (stage1_width = -1, pool_growth = 16);
ALTER INDEX items_v SET (stage1_width = -2);
ALTER INDEX items_v SET (pool_growth = 0);
ALTER INDEX items_v SET (pool_growth = 17);
ALTER INDEX items_v RESET (stage1_width, pool_growth);
CREATE FUNCTION hops() RETURNS float8 LANGUAGE SQL AS
$$ SELECT hops FROM togg_recall('items_v', queries => 'SELECT v FROM asked') $$;
SELECT hops() AS hops \gset
ALTER INDEX items_v SET (pool_growth = 1);
SELECT hops() < :hops AS less;
SELECT hops() AS hops \gset
SET togg.stage1_width = 0;
SELECT hops() AS of_session \gset
SELECT :of_session <> :hops AS differs;
ALTER INDEX items_v SET (stage1_width = 1);
SELECT hops() = :hops AS index_first;
RESET togg.stage1_width;
ALTER INDEX items_v RESET (stage1_width, pool_growth);

-- Errors
SELECT togg_tune('items_v', '{}');
SELECT togg_tune('items_v', '{0}');
SELECT togg_tune('items_v', '{1}');
SELECT togg_tune('items_v', '{NULL}');
SELECT togg_tune('items_v', k => 0);
SELECT togg_tune('items_v', k => 1001);
SELECT togg_tune('items_v', queries => 'SELECT v FROM asked LIMIT 31');
SELECT togg_tune('items_v', queries => 'SELECT ''{1}''::real[]');
SELECT togg_tune('items_v', queries => 'SELECT id FROM asked');
CREATE TABLE few (v real[]);
CREATE INDEX few_v ON few USING togg (v);
SELECT togg_tune('few_v');
INSERT INTO few SELECT vec(i, 4) FROM generate_series(1, 20) i;
SELECT togg_tune('few_v');
BEGIN READ ONLY;
SELECT togg_tune('items_v');
ROLLBACK;
SELECT togg_tune('items');
SELECT togg_tune(NULL);
SELECT reloptions FROM options;

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
