-- Index options and settings: what they do, and that no value of theirs
-- changes the rows of small tables.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TABLE items (id int, v real[]);
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1, 400) i;
CREATE VIEW nearest AS
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2 LIMIT 10') AS first,
	   compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2', false) AS every;

-- Settings: defaults and limits
LOAD 'togg';
SELECT name, boot_val, min_val, max_val, enumvals, context
FROM pg_settings WHERE name LIKE 'togg.%' ORDER BY name COLLATE "C";

-- Options of the graph
CREATE FUNCTION try(options text)
RETURNS TABLE (degree int, bits int, graph text, guide text, first text, every text, findings bigint)
LANGUAGE plpgsql SET togg.ef_search = 100 AS
$$
BEGIN
	EXECUTE format('CREATE INDEX items_v ON items USING togg (v) WITH (%s)', options);
	RETURN QUERY SELECT i.degree, i.bits, i.graph, i.guide, n.*,
						(SELECT count(*) FROM togg_check('items_v', true))
				 FROM togg_index_info('items_v') i, nearest n;
	DROP INDEX items_v;
END
$$;
SELECT * FROM try('m = 16');
SELECT * FROM try('m = 2');
SELECT * FROM try('m = 17');
SELECT * FROM try('m = 128');
SELECT * FROM try('ef_construction = 4');
SELECT * FROM try('ef_construction = 10000');
SELECT * FROM try('clusters = 1');
SELECT * FROM try('clusters = 8');
SELECT * FROM try('graph = nsg');
SELECT * FROM try('graph = nssg');
SELECT * FROM try('graph = hnsw');
SELECT * FROM try('guide = kmeans');
SELECT * FROM try('guide = kdtree');
SELECT * FROM try('guide = none');
SELECT * FROM try('guide = kdtree, kdtree_interval = 1');
SELECT * FROM try('guide = kdtree, kdtree_interval = 2.5');
SELECT * FROM try('guide = kdtree, kdtree_interval = 1e9');
SELECT * FROM try('bits = 0');
SELECT * FROM try('bits = 1');
SELECT * FROM try('bits = 2');
SELECT * FROM try('bits = -1');
SELECT * FROM try('graph = hnsw, guide = none, bits = 0, m = 8');
SELECT * FROM try('dimensions = 4');
SELECT * FROM try('m = 32, ef_construction = 64, clusters = 2, bits = 1, ef_search = 300');

-- The default number of bits falls as dimensions rise
CREATE TABLE wide (v real[]);
INSERT INTO wide VALUES (array_fill(1::real, '{256}'));
CREATE INDEX wide_v ON wide USING togg (v);
SELECT dimensions, bits FROM togg_index_info('wide_v');
TRUNCATE wide;
INSERT INTO wide VALUES (array_fill(1::real, '{257}'));
SELECT dimensions, bits FROM togg_index_info('wide_v');
ALTER INDEX wide_v SET (bits = 2);
SELECT dimensions, bits FROM togg_index_info('wide_v');
REINDEX INDEX wide_v;
SELECT dimensions, bits FROM togg_index_info('wide_v');

-- An index keeps how it was built until it is built anew
ALTER INDEX wide_v SET (bits = 0, graph = hnsw, guide = kdtree, kdtree_interval = 20);
SELECT dimensions, bits, graph, guide FROM togg_index_info('wide_v');
\d+ wide_v
REINDEX INDEX wide_v;
SELECT dimensions, bits, graph, guide FROM togg_index_info('wide_v');
ALTER INDEX wide_v RESET (bits, graph, guide, kdtree_interval);
SELECT reloptions FROM pg_class WHERE relname = 'wide_v';
REINDEX INDEX wide_v;
SELECT dimensions, bits, graph, guide FROM togg_index_info('wide_v');

-- What an index says of itself
CREATE INDEX items_v ON items USING togg (v array_ip_ops);
SELECT format_version, dimensions, metric, storage, bits, degree, graph, guide, vertices, dead, free_slots >= 0 AS free_slots, rows,
	   unranked, pages * 8192 = pg_relation_size('items_v') AS pages,
	   bytes_per_row = pg_relation_size('items_v') / 400.0 AS bytes_per_row,
	   mean_degree BETWEEN 1 AND 32 AS mean_degree
FROM togg_index_info('items_v');
DROP INDEX items_v;
CREATE INDEX items_v ON items USING togg (v array_cosine_ops);
INSERT INTO items VALUES (401, '{0,0,0,0}'), (402, NULL);
SELECT metric, vertices, rows, unranked FROM togg_index_info('items_v');
DELETE FROM items WHERE id > 400;
DROP INDEX items_v;
CREATE TABLE empty (v real[]);
CREATE INDEX empty_v ON empty USING togg (v) WITH (m = 40);
SELECT format_version, dimensions, metric, storage, bits, degree, vertices, rows, pages, bytes_per_row, mean_degree
FROM togg_index_info('empty_v');
REINDEX INDEX empty_v;
ALTER INDEX empty_v SET (dimensions = 12);
REINDEX INDEX empty_v;
SELECT dimensions, bits, degree, vertices, rows FROM togg_index_info('empty_v');

-- togg.ef_search, and for one index the option of that name: no pool changes
-- which rows there are, a large one finds all of them in order
CREATE INDEX items_v ON items USING togg (v);
SET togg.ef_search = 1;
SELECT every FROM nearest;
SET togg.ef_search = 30;
SELECT * FROM nearest;
SET togg.ef_search = 1000000;
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2');
RESET togg.ef_search;

-- A larger pool takes more work; the index's option comes first
CREATE FUNCTION hops() RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS
$$
BEGIN
	PERFORM id FROM items ORDER BY v <-> '{1,2,3,4}' LIMIT 1;
	RETURN (SELECT s.hops FROM togg_last_scan() s);
END
$$;
SET togg.ef_search = 10;
SELECT hops() BETWEEN 10 AND 99 AS ten;
SET togg.ef_search = 100;
SELECT hops() BETWEEN 100 AND 249 AS hundred;
ALTER INDEX items_v SET (ef_search = 250);
SELECT hops() BETWEEN 250 AND 401 AS option;
ALTER INDEX items_v RESET (ef_search);
SELECT hops() BETWEEN 100 AND 249 AS hundred;
-- for one transaction only
BEGIN;
SET LOCAL togg.ef_search = 10;
SELECT hops() BETWEEN 10 AND 99 AS ten;
COMMIT;
SHOW togg.ef_search;
BEGIN;
SET togg.ef_search = 10;
ROLLBACK;
SHOW togg.ef_search;
-- for one function
ALTER FUNCTION hops() SET togg.ef_search = 10;
SELECT hops() BETWEEN 10 AND 99 AS ten;
RESET togg.ef_search;
SHOW togg.ef_search;
-- a LIMIT beyond the pool
SET togg.ef_search = 10;
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2 LIMIT 100', false);
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2 LIMIT 399', false);
RESET togg.ef_search;

-- togg.routing
SET togg.ef_search = 400;
SET togg.routing = two_stage;
SELECT *, compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2') FROM nearest;
SELECT stage1_hops BETWEEN 1 AND hops AS stage1 FROM togg_last_scan();
SET togg.routing = greedy;
SELECT *, compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2') FROM nearest;
SELECT stage1_hops FROM togg_last_scan();
SET togg.routing = guided;
SELECT * FROM nearest;
RESET togg.routing;

-- togg.stage1_width: a wider stage 1 expands more of the pool, 0 all of it
CREATE FUNCTION stage1_hops(width int) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS
$$
BEGIN
	PERFORM set_config('togg.stage1_width', width::text, true);
	PERFORM id FROM items ORDER BY v <-> '{1,2,3,4}' LIMIT 1;
	RETURN (SELECT s.stage1_hops FROM togg_last_scan() s);
END
$$;
SHOW togg.stage1_width;
SELECT stage1_hops(1) < stage1_hops(20) AS wider, stage1_hops(20) < stage1_hops(100) AS widest,
	   stage1_hops(0) = stage1_hops(1000000) AS whole, stage1_hops(0) BETWEEN 390 AND 400 AS pool;
SET togg.stage1_width = 0;
SHOW togg.stage1_width;
SELECT *, compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2') FROM nearest;
SET togg.stage1_width = 20;
SELECT *, compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2') FROM nearest;
RESET togg.stage1_width;
SHOW togg.stage1_width;
RESET togg.ef_search;

-- togg.simd: whatever the processor can do gives the same rows
DO $$
DECLARE
	kernels text;
	op text;
	opclass text;
	result text;
BEGIN
	FOREACH kernels IN ARRAY '{scalar,neon,avx2,avx512,auto}'::text[] LOOP
		BEGIN
			PERFORM set_config('togg.simd', kernels, false);
		EXCEPTION WHEN invalid_parameter_value THEN
			CONTINUE;
		END;
		FOR op, opclass IN VALUES ('<->', 'array_l2_ops'), ('<#>', 'array_ip_ops'),
								  ('<=>', 'array_cosine_ops') LOOP
			-- built by these kernels
			EXECUTE format('CREATE INDEX items_simd ON items USING togg (v %s)', opclass);
			result := compare(format('SELECT id, v %s ''{1,2,3,4}'' FROM items ORDER BY 2 LIMIT 10', op));
			IF result <> '10 rows, the same' THEN
				RAISE WARNING '% %: %', kernels, op, result;
			END IF;
			-- and asked by others
			SET togg.simd = scalar;
			result := compare(format('SELECT id, v %s ''{1,2,3,4}'' FROM items ORDER BY 2 LIMIT 10', op));
			IF result <> '10 rows, the same' THEN
				RAISE WARNING '% %, read by scalar: %', kernels, op, result;
			END IF;
			PERFORM set_config('togg.simd', kernels, false);
			DROP INDEX items_simd;
		END LOOP;
	END LOOP;
END
$$;
RESET togg.simd;

-- A vector of less than a cache line on another page than its list
CREATE TABLE apart (id serial, v real[]);
INSERT INTO apart (v) SELECT ARRAY(SELECT ((i * j * 7) % 31)::real FROM generate_series(1, 26) j)
FROM generate_series(1, 500) i;
CREATE INDEX apart_v ON apart USING togg (v) WITH (m = 128, bits = 1);
SELECT compare('SELECT id, v <-> (SELECT v FROM apart WHERE id = 77) FROM apart ORDER BY 2 LIMIT 10') FROM generate_series(1, 2);
