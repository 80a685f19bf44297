-- Rows come in the order of the distances that SQL computes, also where the
-- index keeps vectors in half precision: near ties, outliers, extremes.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TABLE items (id int, v real[]);

-- The table holds 200 vectors; "element" is an expression of e, the element of
-- vec(i), and of i and j, the numbers of vector and element.
--
-- By each metric, the rows nearest to two vectors of the table, to one that is
-- none of it, and to one far from all, from a pool as large as the table: all
-- in order.  From the smallest pool most rows come by the sweep of the whole
-- index, in order, too; only what the search overlooked, once for each time
-- that it went on, may come late.
CREATE FUNCTION compare_all(element text, dims int)
RETURNS TABLE (op text, storage text, a text, b text, other text, far text, sweep boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS
$$
DECLARE
	opclass text;
	query text;
	vector real[];
	results text[];
BEGIN
	TRUNCATE items;
	EXECUTE format('INSERT INTO items SELECT i, (SELECT array_agg((%s)::real ORDER BY j) '
				   'FROM unnest(vec(i, %s, 100)) WITH ORDINALITY u(e, j)) '
				   'FROM generate_series(1, 200) i', element, dims);
	FOR op, opclass IN VALUES ('<->', 'array_l2_ops'), ('<#>', 'array_ip_ops'),
							  ('<=>', 'array_cosine_ops'), ('<+>', 'array_l1_ops') LOOP
		EXECUTE format('CREATE INDEX items_v ON items USING togg (v %s)', opclass);
		storage := (SELECT i.storage FROM togg_index_info('items_v') i);
		results := '{}';
		sweep := true;
		FOR vector IN SELECT v FROM items WHERE id IN (14, 33) UNION ALL
					  SELECT array_agg(x * 0.3::real ORDER BY j)
					  FROM items, unnest(v) WITH ORDINALITY u(x, j) WHERE id = 77 UNION ALL
					  SELECT array_agg((x * 1e30)::real ORDER BY j)
					  FROM unnest(vec(77, dims)) WITH ORDINALITY u(x, j) LOOP
			query := format('SELECT id, v %s %L AS d FROM items ORDER BY 2', op, vector);
			SET LOCAL togg.ef_search = 1000;
			results := results || compare(query);
			SET LOCAL togg.ef_search = 1;
			EXECUTE format('SELECT %L AND count(DISTINCT id) = 200 AND '
						   'count(*) FILTER (WHERE nearer) < 10 FROM '
						   '(SELECT id, d < lag(d) OVER () AS nearer FROM (%s) s) t',
						   sweep, query) INTO sweep;
		END LOOP;
		a := results[1];
		b := results[2];
		other := results[3];
		far := results[4];
		DROP INDEX items_v;
		RETURN NEXT;
	END LOOP;
END
$$;

-- Half precision keeps small integers as they are
SELECT * FROM compare_all('e', 300);

-- It rounds these; up to some 100 dimensions there is room for more precision
SELECT * FROM compare_all('e / 7', 40);
SELECT * FROM compare_all('e / 7', 300);
SELECT * FROM compare_all('e / 7', 800);

-- Near ties: vectors that differ in the fifth digit
SELECT * FROM compare_all('0.1 + j % 7 + i * 37 % 101 * 1e-5 * (j % 3)', 300);
SELECT * FROM compare_all('0.1 + j % 7 + i * 37 % 101 * 1e-5 * (j % 3)', 800);
-- and in one element only
SELECT * FROM compare_all('CASE j WHEN 5 THEN 1 + i * 37 % 101 * 1e-5 ELSE j % 7 END', 500);
-- many vectors become one by rounding
SELECT * FROM compare_all('1.1 + j % 7 + CASE j WHEN i THEN 1e-6 ELSE 0 END', 300);

-- Outliers in a column: within the range of half precision, beyond it, far
-- beyond it
SELECT * FROM compare_all('CASE WHEN j = 3 AND i % 7 = 0 THEN 60000 + e ELSE e / 7 END', 300);
SELECT * FROM compare_all('CASE WHEN j = 3 AND i % 7 = 0 THEN 1e6 * e ELSE e / 7 END', 300);
SELECT * FROM compare_all('CASE WHEN j = 3 AND i % 7 = 0 THEN 1e6 * e ELSE e / 7 END', 800);
SELECT * FROM compare_all('1e6 + e', 300);
SELECT * FROM compare_all('CASE WHEN j = 3 AND i % 7 = 0 THEN 1e15 * e ELSE e / 7 END', 300);
SELECT * FROM compare_all('CASE WHEN j = 3 AND i % 7 = 0 THEN 1e30 * e ELSE e / 7 END', 300);
SELECT * FROM compare_all('CASE WHEN j = 3 AND i % 7 = 0 THEN 1e30 * e ELSE e / 7 END', 3);
SELECT * FROM compare_all('CASE WHEN i % 7 = 0 THEN 3e36 * e ELSE e / 7 END', 300);

-- Small: below the normal range of half precision, below its range, below that
-- of float
SELECT * FROM compare_all('e * 1e-6', 300);
SELECT * FROM compare_all('e * 1e-12', 300);
SELECT * FROM compare_all('e * 1e-40', 300);
SELECT * FROM compare_all('e * 1e-40', 3);

-- The directions of vectors of all lengths
SELECT * FROM compare_all('e * (ARRAY[1e-27, 1, 1e23])[i % 3 + 1]', 300) WHERE op = '<=>';
SELECT * FROM compare_all('e * (ARRAY[1e-27, 1, 1e23])[i % 3 + 1]', 5) WHERE op = '<=>';

-- Rows that come one by one into an index of exact halves, which do not suit
-- them, rounded and out of range
CREATE FUNCTION compare_inserted(element text)
RETURNS TABLE (op text, storage text, old text, new text, newer text, findings bigint)
LANGUAGE plpgsql SET togg.ef_search = 1000 AS
$$
DECLARE
	opclass text;
	query text := 'SELECT id, v %s %L FROM items ORDER BY 2';
BEGIN
	FOR op, opclass IN VALUES ('<->', 'array_l2_ops'), ('<#>', 'array_ip_ops'),
							  ('<=>', 'array_cosine_ops'), ('<+>', 'array_l1_ops') LOOP
		TRUNCATE items;
		INSERT INTO items SELECT i, vec(i, 300) FROM generate_series(1, 150) i;
		EXECUTE format('CREATE INDEX items_v ON items USING togg (v %s)', opclass);
		EXECUTE format('INSERT INTO items SELECT i, (SELECT array_agg((%s)::real ORDER BY j) '
					   'FROM unnest(vec(i, 300, 100)) WITH ORDINALITY u(e, j)) '
					   'FROM generate_series(151, 200) i', element);
		storage := (SELECT i.storage FROM togg_index_info('items_v') i);
		old := compare(format(query, op, v)) FROM items WHERE id = 50;
		new := compare(format(query, op, v)) FROM items WHERE id = 151;
		newer := compare(format(query, op, v)) FROM items WHERE id = 199;
		findings := count(*) FROM togg_check('items_v', true);
		DROP INDEX items_v;
		RETURN NEXT;
	END LOOP;
END
$$;
SELECT * FROM compare_inserted('e / 7');
SELECT * FROM compare_inserted('0.1 + j % 7 + i * 37 % 101 * 1e-5 * (j % 3)');
SELECT * FROM compare_inserted('CASE WHEN j = 3 THEN 1e6 * e ELSE e / 7 END');
SELECT * FROM compare_inserted('CASE WHEN j = 3 THEN 1e30 * e ELSE e / 7 END');
SELECT * FROM compare_inserted('3e36 * e');
SELECT * FROM compare_inserted('1e-40 * e');

-- Several distances in ORDER BY: ties of the first are sorted by the second,
-- also where the first cannot tell rows apart
CREATE TABLE two AS SELECT i AS id, ARRAY[(i * 7) % 13 + 1, i]::real[] AS v FROM generate_series(1, 300) i;
CREATE INDEX two_v ON two USING togg (v);
SET enable_seqscan = off;
SET enable_sort = off;
SET togg.ef_search = 1000;
SELECT plan($$SELECT id FROM two ORDER BY v <-> '{1,5}', v <-> '{0,7}' LIMIT 4$$);
SELECT id FROM two ORDER BY v <-> '{1,5}', v <-> '{0,7}' LIMIT 4;
SELECT id FROM two ORDER BY v <-> NULL, v <-> '{0,7}' LIMIT 4;
DROP INDEX two_v;
CREATE INDEX two_v ON two USING togg (v array_cosine_ops);
SELECT id FROM two ORDER BY v <=> '{0,0}', v <=> '{1,2}' LIMIT 4;
RESET enable_seqscan;
RESET enable_sort;
SET enable_indexscan = off;
SELECT id FROM two ORDER BY v <-> '{1,5}', v <-> '{0,7}' LIMIT 4;
SELECT id FROM two ORDER BY v <-> NULL, v <-> '{0,7}' LIMIT 4;
SELECT id FROM two ORDER BY v <=> '{0,0}', v <=> '{1,2}' LIMIT 4;
RESET enable_indexscan;
DROP TABLE two;

-- Half precision may make different vectors equal: they share a vertex, and
-- come in the order of their own distances all the same
CREATE TABLE near (id serial, v real[]);
INSERT INTO near (v) SELECT (SELECT array_agg((sin(i * 7.1 + j * 3.3) * 3)::real) FROM generate_series(1, 300) j)
	FROM generate_series(1, 500) i;
CREATE INDEX near_v ON near USING togg (v);
INSERT INTO near (v) SELECT array_agg((CASE WHEN j = 1 THEN 1.0002 ELSE 1 END)::real) FROM generate_series(1, 300) j;
INSERT INTO near (v) SELECT array_agg((CASE WHEN j = 65 THEN 1.0002 ELSE 1 END)::real) FROM generate_series(1, 300) j;
SELECT storage, vertices FROM togg_index_info('near_v');
SET enable_seqscan = off;
SELECT id FROM near ORDER BY v <-> (SELECT v FROM near WHERE id = 502) LIMIT 2;
SELECT id FROM near ORDER BY v <-> (SELECT v FROM near WHERE id = 501) LIMIT 2;
RESET enable_seqscan;
RESET togg.ef_search;
DROP TABLE near;
