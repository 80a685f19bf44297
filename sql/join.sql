-- The nearest rows for each row of another table: one scan, asked again and again
-- (LATERAL), is right each time, costs as much as a scan by itself, and keeps
-- nothing of what it was asked before.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_memoize = off;

CREATE TABLE items (id int, kind int, note text, v real[]);
INSERT INTO items SELECT i, i % 200, repeat('n', i % 50), vec(i % 4000, 8) FROM generate_series(1, 5000) i;
INSERT INTO items (id, kind) SELECT i, 1 FROM generate_series(5001, 5020) i;
CREATE INDEX items_v ON items USING togg (v, kind) INCLUDE (id, note);
CREATE TABLE queries (q int, kind int, v real[]);
INSERT INTO queries SELECT i, i % 200, CASE WHEN i % 50 <> 0 THEN vec(i * 11, 8) END FROM generate_series(1, 400) i;
VACUUM ANALYZE items, queries;

-- Ways to ask: of the graph, of it with a filter, of the sweep that a rare filter
-- and a NULL query take, of more rows than the first pool has, to a radius, and
-- with columns that only the table has
CREATE TABLE forms (form text, asks text);
INSERT INTO forms VALUES
	('nearest', 'SELECT id, note, v <-> %1$s AS d FROM items ORDER BY v <-> %1$s LIMIT 5'),
	('filter', 'SELECT id, note, v <-> %1$s AS d FROM items WHERE kind > 100 ORDER BY v <-> %1$s LIMIT 5'),
	('sweep', 'SELECT id, note, v <-> %1$s AS d FROM items WHERE kind = 7 ORDER BY v <-> %1$s LIMIT 5'),
	('many', 'SELECT id, note, v <-> %1$s AS d FROM items ORDER BY v <-> %1$s LIMIT 150'),
	('radius', 'SELECT id, note, v <-> %1$s AS d FROM items WHERE v <-> %1$s < 8 ORDER BY v <-> %1$s'),
	('table', 'SELECT ctid, id, note, v <-> %1$s AS d FROM items ORDER BY v <-> %1$s LIMIT 5');

-- The inner scan, and each query's rows as they come when it is asked by itself
CREATE FUNCTION asked_by_itself(asks text, v real[])
RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT string_agg(n::text, '','') FROM (%s) n', format(asks, quote_nullable(v) || '::real[]')) INTO result;
	RETURN result;
END
$$;
CREATE FUNCTION asked_together(asks text, tail text DEFAULT '')
RETURNS text LANGUAGE SQL AS
$$
	SELECT format('SELECT q.q, n.rows FROM queries q, LATERAL (SELECT string_agg(n::text, '','') AS rows FROM (%s) n OFFSET 0) n %s', format(asks, 'q.v'), tail)
$$;
SELECT form, substring(line FROM 'Index[^(]*using') AS scan FROM forms, plan(asked_together(asks)) AS line WHERE line ~ 'Index.*Scan' ORDER BY form;
CREATE FUNCTION differ(asks text, OUT asked bigint, OUT differ bigint) LANGUAGE plpgsql AS
$$
BEGIN
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE j.rows IS DISTINCT FROM asked_by_itself(%L, q.v)) FROM (%s) j JOIN queries q USING (q) WHERE q.v IS NOT NULL',
				   asks, asked_together(asks)) INTO asked, differ;
END
$$;
SELECT form, asked, differ FROM forms, differ(asks) ORDER BY form;

-- What the last of many costs is what it costs by itself
CREATE FUNCTION last_cost(query text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT count(s::text) FROM (%s) s', query) INTO result;
	SELECT format('%s %s %s %s', hops, pages, distances, sweep) INTO result FROM togg_last_scan();
	RETURN result;
END
$$;
SELECT form, last_cost(asked_together(asks, 'WHERE q < 400')) = last_cost(format(asks, quote_literal((SELECT v FROM queries WHERE q = 399)) || '::real[]')) AS same
FROM forms ORDER BY form;

-- Nothing is left: after four times the queries the scan has what it had after two
-- times
CREATE FUNCTION kept(asks text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
	c refcursor;
	before bigint;
	after bigint;
BEGIN
	OPEN c FOR EXECUTE format('SELECT q.q, n.rows FROM (SELECT queries.* FROM generate_series(1, 4), queries OFFSET 0) q, '
							  'LATERAL (SELECT count(n::text) AS rows FROM (%s) n OFFSET 0) n', format(asks, 'q.v'));
	MOVE 800 IN c;
	SELECT sum(total_bytes) INTO before FROM pg_backend_memory_contexts WHERE name IN ('togg scan', 'togg index-only row', 'ExecutorState');
	MOVE 800 IN c;
	SELECT sum(total_bytes) INTO after FROM pg_backend_memory_contexts WHERE name IN ('togg scan', 'togg index-only row', 'ExecutorState');
	CLOSE c;
	RETURN CASE WHEN after = before THEN 'nothing' ELSE format('%s bytes', after - before) END;
END
$$;
SELECT form, kept(asks) FROM forms ORDER BY form;

-- Inside of each other, and one that is not asked
SELECT q.q, round(n.d::numeric, 3) AS nearest, round(m.d::numeric, 3) AS nearest_to_that
FROM queries q, LATERAL (SELECT id, v, v <-> q.v AS d FROM items ORDER BY v <-> q.v OFFSET 2 LIMIT 1) n,
	LATERAL (SELECT id, v <-> n.v AS d FROM items ORDER BY v <-> n.v OFFSET 2 LIMIT 1) m
WHERE q.q < 6 ORDER BY q.q;
SELECT count(*) FROM queries q LEFT JOIN LATERAL (SELECT id FROM items WHERE q.kind < 0 ORDER BY v <-> q.v LIMIT 2) n ON true;

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
