-- togg_recall(): recall and cost of an index; togg.target_recall and what an
-- index learns for it.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
LOAD 'togg';
SET togg.clustering_workers = off;

CREATE TABLE items (id int, v real[]);
INSERT INTO items SELECT i, vec(i, 8) FROM generate_series(1, 3000) i;
CREATE INDEX items_v ON items USING togg (v);
CREATE TABLE asked AS SELECT i AS id, vec(-i, 8) AS v FROM generate_series(1, 50) i;

-- The same as SQL finds out by itself
CREATE FUNCTION recall(k int) RETURNS float8 LANGUAGE plpgsql AS
$$
DECLARE
	found float8;
BEGIN
	PERFORM set_config('enable_indexscan', 'off', true);
	CREATE TEMP TABLE nearest AS
	SELECT asked.id, (SELECT max(d) FROM (SELECT items.v <-> asked.v AS d FROM items ORDER BY 1 LIMIT k) s) AS limit
	FROM asked;
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true),
			set_config('enable_sort', 'off', true);
	SELECT sum((d <= nearest.limit)::int)::float8 / (50 * k) INTO found
	FROM nearest JOIN asked USING (id),
		 LATERAL (SELECT items.v <-> asked.v AS d FROM items ORDER BY 1 LIMIT k) s;
	PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true);
	DROP TABLE nearest;
	RETURN found;
END
$$;
SET togg.ef_search = 10;
SELECT ef, asked, recall < 1 AS misses, abs(recall - recall(10)) < 1e-9 AS right,
	   hops > 10 AND pages >= hops AND distances >= 10 AS counted, ms > 0 AS timed
FROM togg_recall('items_v', queries => 'SELECT v FROM asked');
SELECT abs(recall - recall(3)) < 1e-9 AS right FROM togg_recall('items_v', 3, queries => 'SELECT v FROM asked');
RESET togg.ef_search;
-- several pools at once; a large one misses nothing
SELECT ef, asked, recall = 1 AS all FROM togg_recall('items_v', 10, 20, 'SELECT v FROM asked', '{10,375}');
-- the first of many queries; NULL and what a distance cannot rank is left out
SELECT asked FROM togg_recall('items_v', 10, 7, 'SELECT v FROM asked');
SELECT asked FROM togg_recall('items_v', queries => 'SELECT v FROM asked WHERE false');
SELECT asked FROM togg_recall('items_v', queries => 'SELECT NULL::real[] UNION ALL (SELECT v FROM asked LIMIT 2)');

-- Vectors of the index: they do not find themselves, nor their own copies
SELECT ef, asked, recall > 0.9 AS most FROM togg_recall('items_v');
SELECT asked, recall = 1 AS all FROM togg_recall('items_v', 10, 100, ef_search => '{375}');
SELECT recall < 0.95 AS held_out FROM togg_recall('items_v', 1, 1000, ef_search => '{1}');
CREATE TABLE few (id int, v real[]);
CREATE INDEX few_v ON few USING togg (v);
SELECT * FROM togg_recall('few_v');
INSERT INTO few VALUES (1, '{1,0}'), (2, '{1,0}'), (3, NULL);
SELECT asked, recall FROM togg_recall('few_v');
INSERT INTO few VALUES (4, '{0,1}'), (5, '{0,1}'), (6, '{2,2}');
SELECT asked, recall FROM togg_recall('few_v');
SELECT asked, recall FROM togg_recall('few_v', 2);
-- rows that nobody sees are no queries
DELETE FROM few WHERE id < 6;
SELECT asked, recall FROM togg_recall('few_v');
DROP TABLE few;

-- Other indexes: metrics, half floats, graphs, expressions, part of the rows
CREATE FUNCTION try(column_and_class text, options text, condition text DEFAULT 'true')
RETURNS TABLE (asked int, right boolean, asked_own int, right_own boolean) LANGUAGE plpgsql AS
$$
BEGIN
	EXECUTE format('CREATE INDEX other ON items USING togg (%s) WITH (%s) WHERE %s',
				   column_and_class, options, condition);
	SELECT r.asked, r.recall = 1 INTO asked, "right"
	FROM togg_recall('other', queries => 'SELECT v FROM asked', ef_search => '{300}') r;
	SELECT r.asked, r.recall = 1 INTO asked_own, right_own FROM togg_recall('other', ef_search => '{300}') r;
	DROP INDEX other;
	RETURN NEXT;
END
$$;
SELECT * FROM try('v array_cosine_ops', 'm = 16');
SELECT asked, "right", asked_own FROM try('v array_ip_ops', 'm = 16');
SELECT * FROM try('v', 'graph = hnsw');
SELECT * FROM try('v', 'bits = 0');
SELECT * FROM try('v', 'graph = hnsw, bits = 0');
SELECT * FROM try('v', 'm = 16', 'id % 2 = 0');
SELECT * FROM try('(v::float8[]::real[])', 'm = 16');

-- Errors
SELECT togg_recall('items_v', 0);
SELECT togg_recall('items_v', 1001);
SELECT togg_recall('items_v', NULL);
SELECT togg_recall('items_v', 10, 0);
SELECT togg_recall('items_v', 10, 10001);
SELECT togg_recall('items_v', ef_search => '{0}');
SELECT togg_recall('items_v', ef_search => '{NULL}');
SELECT togg_recall('items_v', queries => 'SELECT id FROM asked');
SELECT togg_recall('items_v', queries => 'SELECT v, v FROM asked');
SELECT togg_recall('items_v', queries => 'DELETE FROM asked');
SELECT togg_recall('items_v', queries => 'SHOW work_mem');
SELECT togg_recall('items_v', queries => 'SELECT ''{1,2}''::real[]');
SELECT togg_recall('items_v', queries => 'SELECT ''{1,2,3,4,5,6,7,NaN}''::real[]');
SELECT togg_recall('items');
SELECT togg_recall(0);
SELECT togg_recall(NULL);

-- What a build learns
SELECT k, count(*), bool_and(ef > 0), bool_and(ef >= before) AS rising, max(vertices) AS vertices, max(changed) AS changed, bool_or(stale) AS stale, bool_and(calibrated > now() - interval '1 hour') AS lately
FROM (SELECT *, lag(ef, 1, 0) OVER (PARTITION BY k ORDER BY recall) AS before FROM togg_calibration('items_v')) s
GROUP BY k ORDER BY k;
-- the same each time
CREATE TEMP TABLE learnt AS SELECT k, recall, ef FROM togg_calibration('items_v');
REINDEX INDEX items_v;
SELECT count(*) FROM learnt JOIN togg_calibration('items_v') USING (k, recall, ef);
SELECT togg_calibrate('items_v');
SELECT count(*) FROM learnt JOIN togg_calibration('items_v') USING (k, recall, ef);
-- nothing, of few vertices, and before there are any
CREATE TABLE few (v real[]);
CREATE INDEX few_v ON few USING togg (v);
SELECT * FROM togg_calibration('few_v');
SELECT togg_calibrate('few_v');
INSERT INTO few SELECT vec(i, 4) FROM generate_series(1, 499) i;
REINDEX INDEX few_v;
SELECT * FROM togg_calibration('few_v');
-- until they are more
INSERT INTO few SELECT vec(i, 4) FROM generate_series(500, 8000) i;
SELECT count(*) FROM togg_calibration('few_v');
SELECT togg_calibrate('few_v');
SELECT count(*), max(vertices), bool_or(stale) AS stale FROM togg_calibration('few_v');
INSERT INTO few SELECT vec(i, 4) FROM generate_series(8001, 20000) i;
SELECT max(changed) > 4000 AS changed, bool_or(stale) AS stale FROM togg_calibration('few_v');
SELECT togg_calibrate('few_v');
SELECT max(changed), bool_or(stale) AS stale FROM togg_calibration('few_v');
SELECT max(vertices) AS vertices FROM togg_calibration('few_v') \gset
DELETE FROM few WHERE v[1] > 1;
VACUUM few;
SELECT max(changed) > :vertices / 4 AS changed FROM togg_calibration('few_v');
SELECT count(*) FROM togg_check('few_v', true);

-- The recall asked for: the index's ef comes first, then its recall, then the
-- session's
CREATE FUNCTION ef() RETURNS int LANGUAGE SQL AS
$$ SELECT ef FROM togg_recall('items_v', sample => 1) $$;
CREATE FUNCTION learnt(recall float8) RETURNS int LANGUAGE SQL AS
$$ SELECT ef FROM learnt WHERE k = 10 AND learnt.recall = $1 $$;
SELECT ef();
SET togg.target_recall = 0.99;
SELECT ef() = learnt(0.99) AS session;
ALTER INDEX items_v SET (target_recall = 0.8);
SELECT ef() = learnt(0.8) AS index;
ALTER INDEX items_v SET (ef_search = 33);
SELECT ef();
ALTER INDEX items_v RESET (target_recall, ef_search);
SET togg.ef_search = 77;
SELECT ef() = learnt(0.99) AS session;
SET togg.target_recall = 0;
SELECT ef();
RESET togg.ef_search;
SET togg.target_recall = 0.995;
SELECT recall >= 0.98 AS reached FROM togg_recall('items_v', 10, 1000);
SELECT recall >= 0.98 AS reached FROM togg_recall('items_v', 10, queries => 'SELECT v FROM asked');
SELECT recall >= 0.98 AS reached FROM togg_recall('items_v', 50, queries => 'SELECT v FROM asked');
-- any number of rows comes, however small the pool
SET togg.target_recall = 0.01;
SELECT compare('SELECT id, v <-> ''{1,2,3,4,5,6,7,8}'' FROM items ORDER BY 2', false);
-- without anything learnt
SET togg.target_recall = 0.99;
TRUNCATE few;
INSERT INTO few SELECT vec(i, 4) FROM generate_series(1, 100) i;
SELECT count(*) FROM togg_calibration('few_v');
SELECT recall FROM togg_recall('few_v');
RESET togg.target_recall;

-- Errors
SET togg.target_recall = 1;
SET togg.target_recall = -0.1;
ALTER INDEX items_v SET (target_recall = 1);
SELECT togg_calibrate('items');
SELECT togg_calibration('items');
SELECT togg_calibrate(NULL);

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
