-- What the tests of the index share: a schema of their own, data, and comparing
-- an index scan with the sequential scan of the same query.  Included by \i.

SET client_min_messages = warning;
DROP SCHEMA IF EXISTS togg_test CASCADE;
RESET client_min_messages;
CREATE SCHEMA togg_test;
SET search_path = togg_test, public;

-- Up to PostgreSQL 17 a plan that goes against enable_sort or enable_seqscan is
-- priced so high that it is compiled, which takes far longer than running it.
SET jit = off;

-- The vector numbered n: elements are integers from -spread to spread, the
-- same on every machine.
CREATE FUNCTION vec(n bigint, dims int, spread int DEFAULT 10)
RETURNS real[] LANGUAGE SQL IMMUTABLE AS
$$
	SELECT array_agg((y * y % 2147483647 % (2 * spread + 1) - spread)::real ORDER BY i)
	FROM generate_series(1, dims) i,
		 LATERAL (SELECT (n * 7919 + i * 104729 + 12345) % 2147483647) AS a(x),
		 LATERAL (SELECT (x * x + n) % 2147483647) AS b(y)
$$;

-- The lines of a query's plan, but for one that only some versions print: that
-- a setting speaks against a node.
CREATE FUNCTION plan(query text)
RETURNS SETOF text LANGUAGE plpgsql AS
$$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line !~ '^ *Disabled: ' THEN
			RETURN NEXT line;
		END IF;
	END LOOP;
END
$$;

-- Run a query that returns (id, distance) in the order of distance by index
-- scan and by sequential scan, and say whether both returned the same: the same
-- distances in the same order and, unless there is a LIMIT, the same rows.
-- Which of the rows at one distance comes first is nobody's promise.  Without
-- "exact" nor is the order: a search may overlook a row until later.
CREATE FUNCTION compare(query text, exact boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql
SET enable_seqscan = on SET enable_indexscan = off SET enable_sort = on AS
$$
DECLARE
	limited boolean := query ~* '\mlimit\M';
	scan text := format('SELECT array_agg(s.id::text), array_agg(s.distance::float8) '
						'FROM (%s) s(id, distance)', query);
	seq_ids text[];
	seq_distances float8[];
	seq_n int;
	ids text[];
	distances float8[];
	n int;
	at int;
BEGIN
	EXECUTE scan INTO seq_ids, seq_distances;
	SELECT count(DISTINCT id) INTO seq_n FROM unnest(seq_ids) AS u(id);
	SET LOCAL enable_indexscan = on;
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	IF NOT EXISTS (SELECT FROM plan(query) AS p(line) WHERE line ~ 'Index Scan using') THEN
		RETURN 'no index scan';
	END IF;
	EXECUTE scan INTO ids, distances;
	SELECT count(DISTINCT id) INTO n FROM unnest(ids) AS u(id);

	IF n <> coalesce(cardinality(ids), 0) THEN
		RETURN format('%s rows, only %s of them distinct', cardinality(ids), n);
	ELSIF n <> seq_n THEN
		RETURN format('%s rows, should be %s', n, seq_n);
	ELSIF exact AND distances IS DISTINCT FROM seq_distances THEN
		SELECT min(i) INTO at FROM generate_subscripts(distances, 1) i
		WHERE distances[i] IS DISTINCT FROM seq_distances[i];
		RETURN format('distance %s is %s, should be %s', at, distances[at],
					  seq_distances[at]);
	ELSIF NOT limited AND
		EXISTS (SELECT unnest(ids) EXCEPT SELECT unnest(seq_ids)) THEN
		RETURN 'other rows';
	END IF;
	RETURN format('%s rows, the same', n);
END
$$;

-- Run any query by index and by sequential scan, and say whether both returned
-- the same rows, in whatever order; and what sort of scan the first one was.
CREATE FUNCTION by_index(query text)
RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off SET enable_indexscan = on SET enable_indexonlyscan = on AS
$$
DECLARE
	scan text := (SELECT substring(line FROM '[IS](?:ndex|eq)(?: Only)? Scan') FROM plan(query) AS p(line) WHERE line ~ 'Scan' LIMIT 1);
	ours text;
	theirs text;
	n int;
BEGIN
	EXECUTE format('SELECT count(*), string_agg(s::text, E''\n'' ORDER BY s::text) FROM (%s) s', query) INTO n, ours;
	SET LOCAL enable_seqscan = on;
	SET LOCAL enable_indexscan = off;
	SET LOCAL enable_indexonlyscan = off;
	SET LOCAL enable_sort = on;
	EXECUTE format('SELECT string_agg(s::text, E''\n'' ORDER BY s::text) FROM (%s) s', query) INTO theirs;
	RETURN format('%s: %s rows, %s', scan, n, CASE WHEN ours IS NOT DISTINCT FROM theirs THEN 'the same' ELSE 'others' END);
END
$$;

-- Do the rows (d, ...) of an index scan come in order?
CREATE FUNCTION in_order(query text)
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS
$$
DECLARE
	result boolean;
BEGIN
	EXECUTE format('SELECT bool_and(d >= before) FROM (SELECT d, lag(d) OVER () AS before FROM (%s) s) s', query) INTO result;
	RETURN result;
END
$$;

-- Pages of a table that a query by index reads, its visibility map included.
CREATE FUNCTION pages_read(tab regclass, query text)
RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS
$$
DECLARE
	before bigint := pg_stat_get_xact_blocks_fetched(tab);
BEGIN
	EXECUTE format('SELECT string_agg(s::text, '''') FROM (%s) s', query) INTO query;
	RETURN pg_stat_get_xact_blocks_fetched(tab) - before;
END
$$;
