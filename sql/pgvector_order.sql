-- On pgvector's types rows come in the order of the distances that pgvector
-- computes, to the last bit: exact ties, near ties, extremes.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
SET client_min_messages = warning;
CREATE EXTENSION togg_pgvector SCHEMA public CASCADE;
RESET client_min_messages;
\set ECHO all

-- The table holds 200 vectors of a type; "element" is an expression of e, the
-- element of vec(i), and of i and j, the numbers of vector and element.
--
-- By each metric, the rows nearest to a vector of the table, to one that is
-- none of it, and to one far from all, from a pool as large as the table: all
-- in order.  From the smallest pool, most rows come by the sweep of the whole
-- index, in order, too; only what the search overlooked, once for each time
-- that it went on, may come late.
CREATE FUNCTION compare_all(type text, element text, dims int)
RETURNS TABLE (op text, storage text, own text, other text, far text, sweep boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS
$$
DECLARE
	class text;
	query text;
	vector text;
	results text[];
BEGIN
	EXECUTE format('CREATE TABLE items (id int, v %s)', type);
	EXECUTE format('INSERT INTO items SELECT i, (SELECT array_agg((%s)::real ORDER BY j) '
				   'FROM unnest(vec(i, %s, 100)) WITH ORDINALITY u(e, j)) '
				   'FROM generate_series(1, 200) i', element, dims);
	FOR op, class IN VALUES ('<->', 'l2'), ('<#>', 'ip'), ('<=>', 'cosine'), ('<+>', 'l1') LOOP
		EXECUTE format('CREATE INDEX items_v ON items USING togg (v %s_%s_ops)', type, class);
		storage := (SELECT i.storage FROM togg_index_info('items_v') i);
		results := '{}';
		sweep := true;
		FOREACH vector IN ARRAY ARRAY[
			(SELECT v::text FROM items WHERE id = 14),
			(SELECT array_agg(x * 0.3::real ORDER BY j)::vector::text
			 FROM items, unnest(v::real[]) WITH ORDINALITY u(x, j) WHERE id = 77),
			(SELECT array_agg((x * CASE type WHEN 'vector' THEN 1e14 ELSE 3e2 END)::real ORDER BY j)::vector::text
			 FROM unnest(vec(77, dims, 100)) WITH ORDINALITY u(x, j))] LOOP
			query := format('SELECT id, v %s %L AS d FROM items ORDER BY 2', op, vector);
			SET LOCAL togg.ef_search = 1000;
			results := results || compare(query);
			SET LOCAL togg.ef_search = 1;
			EXECUTE format('SELECT %L AND count(DISTINCT id) = 200 AND '
						   'count(*) FILTER (WHERE nearer) < 10 FROM '
						   '(SELECT id, d < lag(d) OVER () AS nearer FROM (%s) s) t',
						   sweep, query) INTO sweep;
		END LOOP;
		own := results[1];
		other := results[2];
		far := results[3];
		DROP INDEX items_v;
		RETURN NEXT;
	END LOOP;
	DROP TABLE items;
END
$$;

-- Small integers: many exact ties at few dimensions
SELECT * FROM compare_all('vector', 'e', 3);
SELECT * FROM compare_all('halfvec', 'e', 3);
SELECT * FROM compare_all('vector', 'i % 5', 900);
SELECT * FROM compare_all('halfvec', 'i % 5', 900);

-- One element differs, by a little: what sums of many terms make of that depends
-- on the order in which they are made, so that most of these tie or do not
-- according to who sums
SELECT * FROM compare_all('vector', '1 + j % 7 * 0.3 + CASE j WHEN 5 THEN i * 37 % 101 * 1e-6 ELSE 0 END', 100);
SELECT * FROM compare_all('vector', '1 + j % 7 * 0.3 + CASE j WHEN 5 THEN i * 37 % 101 * 1e-6 ELSE 0 END', 1536);
SELECT * FROM compare_all('halfvec', '1 + j % 7 * 0.3 + CASE j WHEN 5 THEN i * 37 % 101 * 1e-3 ELSE 0 END', 1536);
-- The elements of all vectors are the same, in another order: distances from
-- the third query agree but for the order in which they are summed
SELECT * FROM compare_all('vector', '((i * j) % 211)::real / 7', 210);
SELECT * FROM compare_all('halfvec', '((i * j) % 211)::real / 7', 210);
SELECT * FROM compare_all('halfvec', '((i * j) % 1511)::real / 7', 1510);

-- Beyond the dimensions of pgvector's own indexes
SELECT * FROM compare_all('vector', 'e / 7', 2001);
SELECT * FROM compare_all('halfvec', 'e / 7', 4001);

-- Large and small, as far as pgvector's sums reach
SELECT * FROM compare_all('vector', 'CASE WHEN j = 3 AND i % 7 = 0 THEN 1e6 * e ELSE e / 7 END', 900);
SELECT * FROM compare_all('vector', 'e * 1e-6', 900);
SELECT * FROM compare_all('vector', 'e * 1e-19', 300);
SELECT * FROM compare_all('vector', 'e * (ARRAY[1e-12, 1, 1e12])[i % 3 + 1]', 900);
SELECT * FROM compare_all('halfvec', 'e * 6e-8', 300);
SELECT * FROM compare_all('halfvec', 'e * 600', 300);

-- and beyond: distances are infinite, or zero, or NaN where they should not be,
-- but rows come by them.  Only a cosine that pgvector cannot compute is as that
-- of a zero vector: such rows come last, whatever it makes of them.
SELECT * FROM compare_all('vector', 'e * 1e-25', 300) WHERE op <> '<=>';
SELECT * FROM compare_all('vector', 'e * (ARRAY[1e-25, 1, 1e17])[i % 3 + 1]', 5) WHERE op <> '<=>';
SELECT * FROM compare_all('vector', 'e * (ARRAY[1e-25, 1, 1e18])[i % 3 + 1]', 900) WHERE op <> '<=>';
CREATE TABLE lengths (id int, v vector);
INSERT INTO lengths VALUES (1, '[1,1]'), (2, '[1e-30,1e-30]'), (3, '[1e30,1e30]'),
	(4, '[0,0]'), (5, '[3e-18,0]'), (6, '[0,-7e17]'), (7, NULL);
CREATE INDEX lengths_v ON lengths USING togg (v vector_cosine_ops);
SELECT rows, vertices, unranked FROM togg_index_info('lengths_v');
SET enable_seqscan = off;
SELECT id, round((v <=> '[1,0]')::numeric, 3) FROM lengths WHERE id NOT IN (2, 3) ORDER BY v <=> '[1,0]';
SELECT id FROM (SELECT id FROM lengths ORDER BY v <=> '[1,0]' OFFSET 3) AS last ORDER BY id;
RESET enable_seqscan;

-- Rows that come one by one into an index that keeps halves
CREATE TABLE grown (id int, v vector(900));
CREATE INDEX grown_v ON grown USING togg (v);
INSERT INTO grown SELECT i, vec(i, 900)::vector FROM generate_series(1, 150) i;
INSERT INTO grown SELECT i, (SELECT array_agg((e / 7)::real ORDER BY j)::vector
							 FROM unnest(vec(i, 900)) WITH ORDINALITY u(e, j))
FROM generate_series(151, 200) i;
INSERT INTO grown SELECT id + 200, v FROM grown;
SELECT storage, vertices, rows FROM togg_index_info('grown_v');
SET togg.ef_search = 1000;
SELECT compare(format('SELECT id, v <-> %L FROM grown ORDER BY 2', v)) FROM grown WHERE id IN (50, 151, 199);
SELECT count(*) FROM togg_check('grown_v', true);
-- and far beyond the range of halves: inner products leave that of float
DROP INDEX grown_v;
DELETE FROM grown WHERE id > 150;
CREATE INDEX grown_v ON grown USING togg (v vector_ip_ops);
INSERT INTO grown SELECT i, (SELECT array_agg((e * 1e16)::real ORDER BY j)::vector
							 FROM unnest(vec(i, 900)) WITH ORDINALITY u(e, j))
FROM generate_series(151, 200) i;
SELECT storage, vertices FROM togg_index_info('grown_v');
SELECT compare(format('SELECT id, v <#> %L FROM grown ORDER BY 2', v)) FROM grown WHERE id IN (50, 151, 199);
SELECT compare(format('SELECT id, v <#> %L FROM grown ORDER BY 2', (SELECT array_agg((e * 1e20)::real ORDER BY j)::vector
																	FROM unnest(vec(i, 900)) WITH ORDINALITY u(e, j))))
FROM unnest(ARRAY[50, 151]) AS i;
RESET togg.ef_search;

-- Equal rows are at one distance, which need not be computed from each: they come
-- one by one
CREATE TABLE equal_rows (id serial, v vector(3));
INSERT INTO equal_rows (v) SELECT '[0.1,0.2,0.3]' FROM generate_series(1, 2000);
INSERT INTO equal_rows (v) SELECT vec(i, 3)::vector FROM generate_series(1, 100) i;
CREATE INDEX equal_rows_v ON equal_rows USING togg (v);
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM equal_rows ORDER BY v <-> '[0.1,0.2,0.4]' LIMIT 5) s;
SELECT rows FROM togg_last_scan();
RESET enable_seqscan;

-- Several distances in ORDER BY
CREATE TABLE two AS SELECT i AS id, format('[%s,%s]', (i * 7) % 13 + 1, i)::halfvec AS v FROM generate_series(1, 300) i;
CREATE INDEX two_v ON two USING togg (v);
SET enable_seqscan = off;
SET enable_sort = off;
SET togg.ef_search = 1000;
SELECT plan($$SELECT id FROM two ORDER BY v <-> '[1,5]', v <-> '[0,7]' LIMIT 4$$);
SELECT id FROM two ORDER BY v <-> '[1,5]', v <-> '[0,7]' LIMIT 4;
RESET enable_seqscan;
RESET enable_sort;
SET enable_indexscan = off;
SELECT id FROM two ORDER BY v <-> '[1,5]', v <-> '[0,7]' LIMIT 4;
RESET enable_indexscan;
RESET togg.ef_search;

SET client_min_messages = warning;
DROP EXTENSION vector CASCADE;
