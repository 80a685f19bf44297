-- Every kind of table, and what may be done to a table or an index as a whole.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

-- All rows of table "items", in order
CREATE FUNCTION every() RETURNS text LANGUAGE plpgsql SET togg.ef_search = 1000 AS
$$ BEGIN RETURN compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2'); END $$;

-- Unlogged, and from and to logged
CREATE UNLOGGED TABLE items (id int, v real[]);
CREATE INDEX items_v ON items USING togg (v);
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 200) i;
SELECT every();
SELECT relpersistence FROM pg_class WHERE oid = 'items_v'::regclass;
ALTER TABLE items SET LOGGED;
SELECT every();
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(201, 300) i;
ALTER TABLE items SET UNLOGGED;
SELECT every();
VACUUM items;
SELECT every();
ALTER TABLE items SET LOGGED;

-- TRUNCATE
TRUNCATE items;
SELECT every();
SELECT dimensions, rows FROM togg_index_info('items_v');
-- after it the vectors may have other dimensions
INSERT INTO items VALUES (1, '{1,2,3}');
SELECT dimensions, rows FROM togg_index_info('items_v');
TRUNCATE items;
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 200) i;
SELECT every();
BEGIN;
TRUNCATE items;
INSERT INTO items SELECT i, vec(-i, 4) FROM generate_series(1, 150) i;
SELECT every();
COMMIT;
SELECT every();

-- REINDEX
DELETE FROM items WHERE id > 100;
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(201, 300) i;
REINDEX INDEX items_v;
SELECT every();
REINDEX TABLE items;
SELECT every();
REINDEX INDEX CONCURRENTLY items_v;
SELECT every();
REINDEX TABLE CONCURRENTLY items;
SELECT every();
DROP INDEX CONCURRENTLY items_v;
CREATE INDEX CONCURRENTLY items_v ON items USING togg (v);
SELECT every();
SELECT rows, dead FROM togg_index_info('items_v');
SELECT count(*) AS findings FROM togg_check('items_v', true);

-- The index under another name, in another schema, with other options
ALTER INDEX items_v RENAME TO items_vector;
CREATE SCHEMA elsewhere;
ALTER TABLE items SET SCHEMA elsewhere;
SELECT rows FROM togg_index_info('elsewhere.items_vector');
ALTER TABLE elsewhere.items SET SCHEMA togg_test;
DROP SCHEMA elsewhere;
SELECT every();
SELECT pg_get_indexdef('items_vector'::regclass);
ALTER INDEX items_vector SET (m = 24, ef_search = 100);
SELECT pg_get_indexdef('items_vector'::regclass);
DROP INDEX items_vector;
CREATE INDEX items_v ON items USING togg (v array_cosine_ops) WITH (m = 8);
SELECT pg_get_indexdef('items_v'::regclass);

-- Copies of a table's definition
CREATE TABLE copied (LIKE items INCLUDING ALL);
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'copied'::regclass;
DROP TABLE items, copied;

-- A materialized view
CREATE TABLE source AS SELECT i AS id, vec(i, 4) AS v FROM generate_series(1, 100) i;
CREATE MATERIALIZED VIEW items AS SELECT * FROM source;
CREATE INDEX items_v ON items USING togg (v);
SELECT every();
INSERT INTO source SELECT i, vec(i, 4) FROM generate_series(101, 150) i;
REFRESH MATERIALIZED VIEW items;
SELECT every();
CREATE UNIQUE INDEX items_id ON items (id);
DELETE FROM source WHERE id < 30;
REFRESH MATERIALIZED VIEW CONCURRENTLY items;
SELECT every();
DROP MATERIALIZED VIEW items;

-- Temporary tables, three ways to end a transaction
CREATE TEMP TABLE items (id int, v real[]);
CREATE INDEX items_v ON items USING togg (v);
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 200) i;
SELECT every();
DELETE FROM items WHERE id % 2 = 0;
VACUUM items;
SELECT every();
TRUNCATE items;
SELECT every();
DROP TABLE items;
CREATE TEMP TABLE items (id int, v real[]) ON COMMIT DELETE ROWS;
CREATE INDEX items_v ON items USING togg (v);
BEGIN;
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 200) i;
SELECT every();
COMMIT;
SELECT every();
BEGIN;
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 100) i;
SELECT every();
ROLLBACK;
SELECT every();
DROP TABLE items;
BEGIN;
CREATE TEMP TABLE items (id int, v real[]) ON COMMIT DROP;
CREATE INDEX items_v ON items USING togg (v);
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 200) i;
SELECT every();
COMMIT;
SELECT to_regclass('items');

-- Partitions: each has an index of its own, a query reads them as one
CREATE TABLE items (id int, v real[]) PARTITION BY RANGE (id);
CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (1) TO (101);
CREATE INDEX items_v ON items USING togg (v) WITH (m = 8);
CREATE TABLE items_2 PARTITION OF items FOR VALUES FROM (101) TO (201);
CREATE TABLE items_3 (id int, v real[]);
INSERT INTO items_3 SELECT i, vec(i, 4) FROM generate_series(201, 300) i;
ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES FROM (201) TO (301);
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 200) i;
SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) ~ 'm=.?8' AS options
FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relname ~ '^items' ORDER BY indexrelid::regclass::text COLLATE "C";
SET enable_seqscan = off;
SELECT plan('SELECT id FROM items ORDER BY v <-> ''{1,2,3,4}'' LIMIT 10');
RESET enable_seqscan;
SELECT every();
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items WHERE id > 150 ORDER BY 2 LIMIT 50');
UPDATE items SET v = NULL WHERE id IN (90, 190);
DELETE FROM items WHERE id BETWEEN 101 AND 120;
UPDATE items SET id = id + 100 WHERE id <= 20;
SELECT every();
ALTER TABLE items DETACH PARTITION items_2;
SELECT every();
REINDEX INDEX items_v;
SELECT every();
DROP TABLE items, items_2;

-- Inheritance
CREATE TABLE items (id int, v real[]);
CREATE TABLE child () INHERITS (items);
CREATE INDEX ON items USING togg (v);
CREATE INDEX ON child USING togg (v);
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 100) i;
INSERT INTO child SELECT i, vec(i, 4) FROM generate_series(101, 200) i;
SELECT every();
DROP TABLE items, child;

-- More rows than maintenance_work_mem holds: the rest is inserted
SET maintenance_work_mem = '1MB';
CREATE TABLE items WITH (autovacuum_enabled = off) AS SELECT i AS id, vec(i, 64) AS v FROM generate_series(1, 1500) i;
CREATE INDEX items_v ON items USING togg (v);
RESET maintenance_work_mem;
SELECT rows, vertices FROM togg_index_info('items_v');
SET togg.ef_search = 2000;
SELECT compare(format('SELECT id, v <-> %L FROM items ORDER BY 2', vec(-5, 64)));
RESET togg.ef_search;
SELECT count(*) AS findings FROM togg_check('items_v', true);
DROP TABLE items;

-- A table with domains over real[]
CREATE DOMAIN embedding AS real[] CHECK (cardinality(VALUE) = 4);
CREATE TABLE items (id int, v embedding);
CREATE INDEX items_v ON items USING togg (v);
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 100) i;
SELECT every();
DROP TABLE items;

-- The planner's and VACUUM's idea of the size of an index
CREATE TABLE items AS SELECT i AS id, CASE WHEN i % 10 > 0 THEN vec(i, 4) END AS v FROM generate_series(1, 1000) i;
CREATE INDEX items_v ON items USING togg (v);
SELECT reltuples, relpages * 8192 = pg_relation_size('items_v') AS relpages FROM pg_class WHERE relname = 'items_v';
SELECT reltuples FROM pg_class WHERE relname = 'items';
DELETE FROM items WHERE id <= 100;
VACUUM ANALYZE items;
SELECT reltuples FROM pg_class WHERE relname = 'items_v';
