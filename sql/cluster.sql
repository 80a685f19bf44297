-- togg_cluster(): lists in another order, rows in the same.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
LOAD 'togg';
SET togg.clustering_workers = off;

CREATE TABLE items (id int, v real[]);
CREATE VIEW nearest AS
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2 LIMIT 10') AS first,
	   compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2', false) AS every;
-- Nothing to cluster: before there are dimensions, and in a new index
CREATE INDEX items_v ON items USING togg (v);
CREATE VIEW state AS
SELECT stale_lists > 0 AS stale, lists_clustered > 0 AS clustered,
	   last_clustered > now() - interval '1 hour' AS lately, mean_degree
FROM togg_index_info('items_v');
SELECT togg_cluster('items_v');
INSERT INTO items VALUES (0, NULL);
SELECT togg_cluster('items_v');
SELECT stale, clustered, lately FROM state;
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 200) i;
REINDEX INDEX items_v;
SELECT togg_cluster('items_v');

-- What inserts append, and VACUUM replaces, is clustered once
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(201, 1500) i;
SELECT stale, clustered, lately FROM state;
SELECT mean_degree FROM state \gset
SELECT togg_cluster('items_v') > 200 AS many;
SELECT togg_cluster('items_v');
SELECT stale, clustered, lately, mean_degree = :mean_degree AS same FROM state;
SELECT * FROM nearest;
SELECT count(*) AS findings FROM togg_check('items_v', true);
DELETE FROM items WHERE id % 3 = 0;
VACUUM items;
SELECT togg_cluster('items_v') >= 0;
SELECT togg_cluster('items_v');
SELECT * FROM nearest;
SELECT count(*) AS findings FROM togg_check('items_v', true);
-- also when that is rolled back: it is no part of a transaction
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1501, 3000) i;
BEGIN;
SELECT togg_cluster('items_v') > 200 AS many;
ROLLBACK;
SELECT togg_cluster('items_v');
SELECT togg_cluster(NULL);

-- Slowly, as VACUUM does
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(3001, 3100) i;
SET vacuum_cost_delay = '0.1ms';
SELECT togg_cluster('items_v') > 0 AS some;
RESET vacuum_cost_delay;

-- Indexes of other metrics and options
DROP VIEW state;
CREATE FUNCTION try(opclass text, options text)
RETURNS TABLE (many boolean, again bigint, stale bigint, first text, findings bigint)
LANGUAGE plpgsql SET togg.ef_search = 100 AS
$$
BEGIN
	CREATE TEMP TABLE new AS TABLE items;
	TRUNCATE items;
	EXECUTE format('DROP INDEX items_v; CREATE INDEX items_v ON items USING togg (v %s) WITH (%s)',
				   opclass, options);
	INSERT INTO items TABLE new;
	DROP TABLE new;
	many := togg_cluster('items_v') > 200;
	again := togg_cluster('items_v');
	SELECT stale_lists INTO stale FROM togg_index_info('items_v');
	SELECT n.first INTO first FROM nearest n;
	SELECT count(*) INTO findings FROM togg_check('items_v', true);
	RETURN NEXT;
END
$$;
SELECT * FROM try('array_l2_ops', 'clusters = 1');
SELECT * FROM try('array_l2_ops', 'clusters = 8');
SELECT * FROM try('array_l2_ops', 'm = 128');
SELECT many, again, stale, findings FROM try('array_cosine_ops', 'm = 2');
SELECT many, again, stale, findings FROM try('array_ip_ops', 'm = 33');
-- other graphs and guides, with codes or without
SELECT * FROM try('array_l2_ops', 'guide = kdtree');
SELECT * FROM try('array_l2_ops', 'bits = 0');
SELECT * FROM try('array_l2_ops', 'bits = 0, guide = kdtree, graph = hnsw');
SELECT * FROM try('array_l2_ops', 'graph = nssg');
-- nothing to divide lists for
SELECT * FROM try('array_l2_ops', 'guide = none');
DROP INDEX items_v;

-- Lists that span pages
CREATE TABLE wide (id int, v real[]);
CREATE INDEX wide_v ON wide USING togg (v);
INSERT INTO wide SELECT i, vec(i, 2000) FROM generate_series(1, 60) i;
SELECT togg_cluster('wide_v') > 40 AS many;
SELECT stale_lists FROM togg_index_info('wide_v');
SELECT count(*) AS findings FROM togg_check('wide_v', true);

-- Temporary and unlogged tables
CREATE TEMP TABLE temp (id int, v real[]);
CREATE INDEX temp_v ON temp USING togg (v);
INSERT INTO temp SELECT i, vec(i, 4) FROM generate_series(1, 1000) i;
SELECT togg_cluster('temp_v') > 200 AS many;
SELECT togg_cluster('temp_v');
CREATE UNLOGGED TABLE unlogged (id int, v real[]);
CREATE INDEX unlogged_v ON unlogged USING togg (v);
INSERT INTO unlogged SELECT i, vec(i, 4) FROM generate_series(1, 1000) i;
SELECT togg_cluster('unlogged_v') > 200 AS many;
SELECT count(*) AS findings FROM togg_check('unlogged_v', true);

-- What is no togg index
CREATE INDEX wide_id ON wide (id);
SELECT togg_cluster('wide_id');
SELECT togg_cluster('wide');
SELECT togg_cluster(0);
CREATE TABLE parts (v real[]) PARTITION BY RANGE (v);
CREATE INDEX parts_v ON parts USING togg (v);
SELECT togg_cluster('parts_v');

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
