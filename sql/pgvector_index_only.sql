-- Index-only scans on pgvector's types: values, distances and order are those of
-- a sequential scan, and the table is not read.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
SET client_min_messages = warning;
CREATE EXTENSION togg_pgvector SCHEMA public CASCADE;
RESET client_min_messages;
\set ECHO all
SET max_parallel_workers_per_gather = 0;
SET togg.ef_search = 1000;

CREATE TABLE source AS SELECT i AS id, repeat('t', i % 40) AS t, ARRAY(SELECT x * 0.37::real FROM unnest(vec(i, 24)) x)::real[] AS v
FROM generate_series(1, 400) i;

-- Each type by each metric
CREATE FUNCTION compare_all(type text, expression text)
RETURNS TABLE (op text, storage text, rows text, in_order boolean)
LANGUAGE plpgsql AS
$$
DECLARE
	class text;
	query text;
BEGIN
	EXECUTE format('CREATE TABLE items AS SELECT id, t, (%s)::%s AS v FROM source', expression, type);
	FOR op, class IN VALUES ('<->', 'l2_ops'), ('<#>', 'ip_ops'), ('<=>', 'cosine_ops'), ('<+>', 'l1_ops'), ('<~>', 'hamming_ops') LOOP
		CONTINUE WHEN (type ~ 'bit') <> (op = '<~>');
		EXECUTE format('CREATE INDEX items_v ON items USING togg (v %s_%s) INCLUDE (id, t)',
					   CASE WHEN type ~ 'bit' THEN 'bit' ELSE substring(type FROM '^\w+') END, class);
		storage := (SELECT i.storage FROM togg_index_info('items_v') i);
		query := format('v %s %L', op, (SELECT v FROM items WHERE id = 7));
		rows := by_index(format('SELECT id, t, v FROM items ORDER BY %s', query));
		in_order := in_order(format('SELECT id, %1$s AS d FROM items ORDER BY %1$s', query));
		DROP INDEX items_v;
		RETURN NEXT;
	END LOOP;
	DROP TABLE items;
END
$$;
SELECT * FROM compare_all('vector(24)', 'v');
SELECT * FROM compare_all('halfvec(24)', 'v::vector(24)');
SELECT * FROM compare_all('bit(24)', $$SELECT string_agg((x > 0)::int::text, '') FROM unnest(v) x$$);
SELECT * FROM compare_all('varbit', $$SELECT string_agg((x > 0)::int::text, '') FROM unnest(v) x$$);

-- The table is not read
CREATE TABLE items AS SELECT id, t, v::vector(24) AS v, v::vector(24)::halfvec(24) AS h,
	(SELECT string_agg((x > 0)::int::text, '')::bit(24) FROM unnest(v) x) AS b FROM source;
CREATE INDEX items_v ON items USING togg (v vector_cosine_ops) INCLUDE (id, t);
CREATE INDEX items_h ON items USING togg (h) INCLUDE (id, t);
CREATE INDEX items_b ON items USING togg (b) INCLUDE (id, t);
VACUUM ANALYZE items;
SELECT pages_read('items', format('SELECT id, t FROM items ORDER BY v <=> %L LIMIT 10', array_fill(1, '{24}')::vector)) AS vector,
	   pages_read('items', format('SELECT id, t FROM items ORDER BY h <-> %L LIMIT 10', array_fill(1, '{24}')::halfvec)) AS halfvec,
	   pages_read('items', format('SELECT id, t FROM items ORDER BY b <~> %L LIMIT 10', B'1'::bit(24))) AS bit;
-- nor where many distances are so near to each other that they are computed
UPDATE items SET v = (ARRAY[id]::real[] || array_fill(1e6::real, '{23}'))::vector;
VACUUM FULL items;
VACUUM ANALYZE items;
SELECT pages_read('items', format('SELECT id, t FROM items ORDER BY v <=> %L', array_fill(1, '{24}')::vector)) AS near,
	   in_order(format('SELECT id, v <=> %1$L AS d FROM items ORDER BY v <=> %1$L', array_fill(1, '{24}')::vector));

-- Distances that float32 has no room for: infinite both ways, and NaN
CREATE TABLE vast AS SELECT i AS id, (ARRAY[i]::real[] || array_fill(1::real, '{15}'))::vector(16) AS v FROM generate_series(1, 20) i;
INSERT INTO vast SELECT 100 + i, ARRAY(SELECT CASE WHEN x = i OR i = 16 AND x % 4 = 0 THEN 1e30 ELSE 0 END FROM generate_series(1, 16) x)::real[]::vector
FROM generate_series(1, 16) i;
CREATE INDEX vast_v ON vast USING togg (v vector_ip_ops) INCLUDE (id);
\set query 'v <#> \'[1e30,-1e30,1,1e30,1,1,1,-1e30,1,1,1,1,1,1,1,1]\''
SELECT by_index(format('SELECT id FROM vast ORDER BY %s', :'query')),
	   in_order(format('SELECT id, %1$s AS d FROM vast ORDER BY %1$s', :'query'));

SET client_min_messages = warning;
DROP EXTENSION vector CASCADE;
