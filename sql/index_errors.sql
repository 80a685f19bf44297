-- What the index refuses, with what it says; and that a refusal loses nothing.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TABLE items (id int, v real[], n int[], d float8[], t text, x real);
INSERT INTO items SELECT i, vec(i, 3) FROM generate_series(1, 100) i;

-- What togg does not do
CREATE UNIQUE INDEX ON items USING togg (v);
\echo :LAST_ERROR_SQLSTATE
CREATE INDEX ON items USING togg (v, v);
CREATE INDEX ON items USING togg (v DESC);
CREATE INDEX ON items USING togg (v NULLS FIRST);
\set VERBOSITY sqlstate
ALTER TABLE items ADD EXCLUDE USING togg (v WITH <->);
\set VERBOSITY default
CREATE INDEX items_v ON items USING togg (v);
CLUSTER items USING items_v;
ALTER TABLE items CLUSTER ON items_v;
DROP INDEX items_v;

-- Types and operator classes that do not go together
CREATE INDEX ON items USING togg (n);
CREATE INDEX ON items USING togg (n array_l2_ops);
CREATE INDEX ON items USING togg (d array_cosine_ops);
CREATE INDEX ON items USING togg (t array_ip_ops);
CREATE INDEX ON items USING togg (x);
CREATE INDEX ON items USING togg (v array_hamming_ops);
CREATE INDEX ON items USING btree (v array_l2_ops);

-- Options
CREATE INDEX ON items USING togg (v) WITH (lists = 100);
\echo :LAST_ERROR_SQLSTATE
CREATE INDEX ON items USING togg (v) WITH (fillfactor = 90);
CREATE INDEX ON items USING togg (v) WITH (m = 1);
\echo :LAST_ERROR_SQLSTATE
CREATE INDEX ON items USING togg (v) WITH (m = 129);
CREATE INDEX ON items USING togg (v) WITH (m = many);
CREATE INDEX ON items USING togg (v) WITH (ef_construction = 3);
CREATE INDEX ON items USING togg (v) WITH (ef_construction = 10001);
CREATE INDEX ON items USING togg (v) WITH (clusters = 0);
CREATE INDEX ON items USING togg (v) WITH (clusters = 9);
CREATE INDEX ON items USING togg (v) WITH (bits = -2);
CREATE INDEX ON items USING togg (v) WITH (bits = 3);
CREATE INDEX ON items USING togg (v) WITH (graph = vamana);
\echo :LAST_ERROR_SQLSTATE
CREATE INDEX ON items USING togg (v) WITH (guide = kd);
CREATE INDEX ON items USING togg (v) WITH (kdtree_interval = 0);
CREATE INDEX ON items USING togg (v) WITH (kdtree_interval = 0.999);
CREATE INDEX ON items USING togg (v) WITH (kdtree_interval = 1e10);
CREATE INDEX ON items USING togg (v) WITH (kdtree_interval = NaN);
CREATE INDEX ON items USING togg (v) WITH (kdtree_interval = wide);
CREATE INDEX ON items USING togg (v) WITH (dimensions = -1);
CREATE INDEX ON items USING togg (v) WITH (dimensions = 16001);
CREATE INDEX ON items USING togg (v) WITH (ef_search = -1);
CREATE INDEX ON items USING togg (v) WITH (ef_search = 1000001);
CREATE INDEX items_v ON items USING togg (v);
ALTER INDEX items_v SET (ef_search = 1000001);
ALTER INDEX items_v SET (dimension = 3);
DROP INDEX items_v;

-- Settings
SET togg.ef_search = 0;
\echo :LAST_ERROR_SQLSTATE
SET togg.ef_search = 1000001;
SET togg.ef_search = 'all';
SET togg.stage1_width = -1;
SET togg.stage1_width = 1000001;
SET togg.routing = 'random';
SET togg.simd = 'mmx';
SET togg.no_such_setting = 1;

-- Building on what is no vector
CREATE TABLE bad (v real[]);
INSERT INTO bad VALUES ('{1,2,3}'), ('{4,NULL,6}');
CREATE INDEX ON bad USING togg (v);
\echo :LAST_ERROR_SQLSTATE
UPDATE bad SET v = '{{1,2,3},{4,5,6}}' WHERE v <> '{1,2,3}';
CREATE INDEX ON bad USING togg (v);
\echo :LAST_ERROR_SQLSTATE
UPDATE bad SET v = '{}' WHERE v <> '{1,2,3}';
CREATE INDEX ON bad USING togg (v);
\echo :LAST_ERROR_SQLSTATE
UPDATE bad SET v = '{1,NaN,3}' WHERE v <> '{1,2,3}';
CREATE INDEX ON bad USING togg (v);
\echo :LAST_ERROR_SQLSTATE
UPDATE bad SET v = '{1,2,Infinity}' WHERE v <> '{1,2,3}';
CREATE INDEX ON bad USING togg (v);
UPDATE bad SET v = '{-Infinity,2,3}' WHERE v <> '{1,2,3}';
CREATE INDEX ON bad USING togg (v array_cosine_ops);
UPDATE bad SET v = '{1,2}' WHERE v <> '{1,2,3}';
CREATE INDEX bad_v ON bad USING togg (v);
\echo :LAST_ERROR_SQLSTATE
CREATE INDEX bad_v ON bad USING togg (v) WITH (dimensions = 4);
UPDATE bad SET v = '{0,0}' WHERE v <> '{1,2,3}';
CREATE INDEX bad_v ON bad USING togg (v array_cosine_ops);
UPDATE bad SET v = array_fill(1::real, '{16001}') WHERE v <> '{1,2,3}';
CREATE INDEX ON bad USING togg (v);
\echo :LAST_ERROR_SQLSTATE
UPDATE bad SET v = '{4,5,6}' WHERE v <> '{1,2,3}';
CREATE INDEX bad_v ON bad USING togg (v);
SELECT rows FROM togg_index_info('bad_v');

-- Inserting it: the error undoes the row and nothing else
CREATE INDEX items_v ON items USING togg (v);
INSERT INTO items VALUES (101, '{1,NULL,3}');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO items VALUES (101, '{{1,2,3}}');
INSERT INTO items VALUES (101, '{}');
INSERT INTO items VALUES (101, '{1,2,NaN}');
INSERT INTO items VALUES (101, '{1,-Infinity,3}');
INSERT INTO items VALUES (101, '{1,2}');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO items VALUES (101, '{1,2,3,4}');
INSERT INTO items VALUES (101, array_fill(1::real, '{16001}'));
UPDATE items SET v = v || 1::real WHERE id = 5;
INSERT INTO items SELECT i, CASE i WHEN 150 THEN '{1}' ELSE vec(i, 3) END FROM generate_series(101, 200) i;
COPY items (id, v) FROM stdin;
101	{1,2,3}
102	{1,2}
\.
SELECT count(*) FROM items;
SET togg.ef_search = 1000;
SELECT compare('SELECT id, v <-> ''{1,2,3}'' FROM items ORDER BY 2');
VACUUM items;
SELECT compare('SELECT id, v <-> ''{1,2,3}'' FROM items ORDER BY 2');
SELECT rows FROM togg_index_info('items_v');
SELECT count(*) AS findings FROM togg_check('items_v', true);
RESET togg.ef_search;

-- Zero vectors have dimensions, too
DROP INDEX items_v;
CREATE INDEX items_v ON items USING togg (v array_cosine_ops);
INSERT INTO items VALUES (101, '{0,0}');
DROP INDEX items_v;
CREATE INDEX items_v ON items USING togg (v);

-- Asking with it
SET enable_seqscan = off;
SELECT id FROM items ORDER BY v <-> '{1,NULL,3}' LIMIT 1;
\echo :LAST_ERROR_SQLSTATE
SELECT id FROM items ORDER BY v <-> '{{1,2,3}}' LIMIT 1;
SELECT id FROM items ORDER BY v <-> '{}' LIMIT 1;
SELECT id FROM items ORDER BY v <-> '{1,NaN,3}' LIMIT 1;
SELECT id FROM items ORDER BY v <-> '{1,2,Infinity}' LIMIT 1;
SELECT id FROM items ORDER BY v <-> '{1,2}' LIMIT 1;
\echo :LAST_ERROR_SQLSTATE
SELECT id FROM items ORDER BY v <-> array_fill(1::real, '{16001}') LIMIT 1;
-- the session goes on
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> '{1,2,3}' LIMIT 5) s;
RESET enable_seqscan;

-- The dimensions of an empty table: those of the option
CREATE TABLE empty (id int, v real[]);
CREATE INDEX empty_v ON empty USING togg (v) WITH (dimensions = 3);
INSERT INTO empty VALUES (1, '{1,2}');
SELECT id FROM empty ORDER BY v <-> '{1,2}' LIMIT 1;
INSERT INTO empty VALUES (1, '{1,2,3}'), (2, NULL);
SELECT id FROM empty ORDER BY v <-> '{1,2,3}';
DROP INDEX empty_v;
-- or those of the first row
TRUNCATE empty;
CREATE INDEX empty_v ON empty USING togg (v);
INSERT INTO empty VALUES (1, NULL);
INSERT INTO empty VALUES (2, '{1,2}'), (3, '{1,2,3}');
INSERT INTO empty VALUES (3, '{1,2,3,4}');
INSERT INTO empty VALUES (4, '{1,2,3}');
-- even if the first row was rolled back
TRUNCATE empty;
BEGIN;
INSERT INTO empty VALUES (1, '{1,2}');
ROLLBACK;
INSERT INTO empty VALUES (2, '{1,2,3}');
\echo :LAST_ERROR_SQLSTATE
REINDEX INDEX empty_v;
INSERT INTO empty VALUES (2, '{1,2,3}');
SELECT dimensions, rows FROM togg_index_info('empty_v');

-- Functions on what is no togg index
CREATE INDEX items_id ON items (id);
SELECT * FROM togg_index_info('items_id');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM togg_index_info('items');
SELECT * FROM togg_index_info('pg_class_oid_index');
SELECT * FROM togg_index_info(0);
SELECT * FROM togg_index_info(NULL);
SELECT * FROM togg_check('items_id');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM togg_check('items');
CREATE TABLE parts (v real[]) PARTITION BY RANGE (v);
CREATE INDEX parts_v ON parts USING togg (v);
SELECT * FROM togg_index_info('parts_v');
SELECT * FROM togg_check('parts_v');
