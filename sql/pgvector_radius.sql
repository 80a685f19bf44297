-- Scans of pgvector's types that end at a distance: the rows of a sequential scan,
-- and not all of the index read for them.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
SET client_min_messages = warning;
CREATE EXTENSION togg_pgvector SCHEMA public CASCADE;
RESET client_min_messages;
\set ECHO all
SET max_parallel_workers_per_gather = 0;

CREATE TABLE source AS SELECT i AS id, vec(i, 6) AS v FROM generate_series(1, 3000) i;
INSERT INTO source SELECT i, vec(i % 3, 6) FROM generate_series(3001, 3100) i;
INSERT INTO source SELECT i, CASE i % 2 WHEN 0 THEN array_fill(0::real, '{6}') END FROM generate_series(3101, 3120) i;

-- Radii that no row, the nearest ones, several and all are within, and that of
-- just some row, by each metric: without LIMIT and with one
CREATE FUNCTION compare_all(type text, expression text, query text)
RETURNS TABLE (op text, ends boolean, nothing text, nearest text, several text, just text, everything text, limited text, few_hops boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS
$$
DECLARE
	class text;
	radius float8[];
	results text[];
	ask text;
	r float8;
BEGIN
	EXECUTE format('CREATE TABLE items AS SELECT id, id %% 10 AS kind, (%s)::%s AS v FROM source', expression, type);
	FOR op, class IN VALUES ('<->', 'l2_ops'), ('<#>', 'ip_ops'), ('<=>', 'cosine_ops'), ('<+>', 'l1_ops'), ('<~>', 'hamming_ops') LOOP
		CONTINUE WHEN (type ~ 'bit') <> (op = '<~>');
		EXECUTE format('CREATE INDEX items_v ON items USING togg (v %s_%s)',
					   CASE WHEN type ~ 'bit' THEN 'bit' ELSE substring(type FROM '^\w+') END, class);
		EXECUTE format('SELECT ARRAY[min(d) - 1, min(d), percentile_disc(0.01) WITHIN GROUP (ORDER BY d) + 1e-3, '
					   'percentile_disc(0.005) WITHIN GROUP (ORDER BY d), ''Infinity''] FROM '
					   '(SELECT v %s %L FROM items) s(d) WHERE d < ''NaN''', op, query) INTO radius;
		results := '{}';
		FOREACH r IN ARRAY radius LOOP
			ask := format('SELECT id, v %1$s %2$L FROM items WHERE v %1$s %2$L <= %3$L ORDER BY 2', op, query, r);
			results := results || compare(ask, false);
			IF r = radius[2] THEN
				few_hops := (SELECT hops < 300 AND NOT sweep FROM togg_last_scan());
			END IF;
		END LOOP;
		nothing := results[1];
		nearest := results[2];
		several := results[3];
		just := results[4];
		everything := results[5];
		ask := format('SELECT id, v %1$s %2$L FROM items WHERE v %1$s %2$L < %3$L ORDER BY 2 LIMIT 5', op, query, radius[3]);
		limited := compare(ask, false);
		ends := EXISTS (SELECT FROM plan(ask) AS p(line) WHERE line ~ 'Index Cond: .*_sphere');
		DROP INDEX items_v;
		RETURN NEXT;
	END LOOP;
	DROP TABLE items;
END
$$;
SELECT * FROM compare_all('vector(6)', 'v', '[1,2,3,4,5,6]');
SELECT * FROM compare_all('halfvec(6)', 'v::vector(6)', '[1,2,3,4,5,6]');
\set bits 'SELECT string_agg((x > 0)::int::text || (x > 3)::int || (x > 6)::int, '''') FROM unnest(v) x'
SELECT * FROM compare_all('bit(18)', :'bits', '111000111100010011');
SELECT * FROM compare_all('varbit', :'bits', '111000111100010011');

-- In order of halves and singles that rounding moves, and with a filter
CREATE TABLE rounded AS SELECT id, id % 10 AS kind, ARRAY(SELECT (x * 0.37)::real FROM unnest(vec(id, 1300)) x)::vector(1300) AS v FROM generate_series(1, 300) id;
CREATE INDEX rounded_v ON rounded USING togg (v, kind);
SELECT storage FROM togg_index_info('rounded_v');
SET enable_seqscan = off;
SET enable_sort = off;
SELECT d AS radius, compare(format('SELECT id, v <-> %1$L FROM rounded WHERE v <-> %1$L < %2$L::float8 AND kind < 5 ORDER BY 2',
	(SELECT v FROM rounded WHERE id = 9), d), false) FROM (VALUES (1), (115), (118), (200)) r(d);
SELECT op, compare(format('SELECT id, v <-> %1$L FROM rounded WHERE v <-> %1$L %2$s (SELECT v <-> %1$L FROM rounded WHERE id = 11) ORDER BY 2',
	(SELECT v FROM rounded WHERE id = 9), op), false) FROM unnest(ARRAY['<', '<=']) op;

-- The operators, by hand
SELECT '[1,2]'::vector <-< ('[4,6]', 5)::togg_vector_sphere AS l2, '[1,2]'::vector <-< ('[4,6]', 4.9)::togg_vector_sphere,
	   '[1,2]'::vector <#< ('[4,6]', -16)::togg_vector_sphere AS ip, '[1,2]'::halfvec <#< ('[4,6]', -17)::togg_halfvec_sphere,
	   '[1,2]'::halfvec <=< ('[2,4]', 1e-6)::togg_halfvec_sphere AS cosine, '[1,2]'::vector <=< ('[-1,2]', 0)::togg_vector_sphere,
	   '[1,2]'::halfvec <+< ('[4,6]', 7)::togg_halfvec_sphere AS l1, '[1,2]'::vector <+< ('[4,6]', 6)::togg_vector_sphere,
	   B'101' <~< (B'111', 1)::togg_bit_sphere AS bit, B'101' <~< (B'010', 2)::togg_bit_sphere,
	   '[0,0]'::vector <=< ('[1,1]', 2)::togg_vector_sphere AS nan, '[0,0]'::vector <=< ('[1,1]', 'NaN')::togg_vector_sphere;
SELECT '[1,2]'::vector <-< (NULL, 5)::togg_vector_sphere, '[1,2]'::vector <-< ('[1,2]', NULL)::togg_vector_sphere, NULL::vector <-< ('[1,2]', 1)::togg_vector_sphere;
\set VERBOSITY terse
SELECT '[1,2]'::vector <-< ('[1,2,3]', 5)::togg_vector_sphere;
\set VERBOSITY default
-- A row that changes while FOR UPDATE waits is tested again: by these operators
SELECT id FROM rounded WHERE v <-> (SELECT v FROM rounded WHERE id = 9) < 1 ORDER BY v <-> (SELECT v FROM rounded WHERE id = 9) LIMIT 1 FOR UPDATE;
WITH q AS MATERIALIZED (SELECT v FROM rounded WHERE id = 9)
SELECT n.id FROM q, LATERAL (SELECT id FROM rounded r WHERE r.v <-> q.v < 1 ORDER BY r.v <-> q.v LIMIT 1) n;

SET client_min_messages = warning;
DROP EXTENSION vector CASCADE;
