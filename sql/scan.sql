-- Ways to read an index: limits and offsets, filters, rescans, joins, cursors,
-- prepared statements, around parallel queries.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

-- Row i is at distance |i - x| of {x,0}, so that the answers are plain to see.
CREATE TABLE line (id int PRIMARY KEY, v real[]);
INSERT INTO line SELECT i, ARRAY[i, 0] FROM generate_series(1, 2000) i;
INSERT INTO line SELECT i, NULL FROM generate_series(2001, 2010) i;
CREATE INDEX line_v ON line USING togg (v) WITH (bits = 2);
CREATE TABLE queries (id int, q real[]);
INSERT INTO queries SELECT i, ARRAY[i * 100 + 0.25, 0] FROM generate_series(1, 15) i;
ANALYZE line;
ANALYZE queries;
SET enable_seqscan = off;
SET enable_sort = off;

-- LIMIT and OFFSET
SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 5;
SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 5 OFFSET 3;
SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 1 OFFSET 500;
SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 0;
SELECT id, v FROM line ORDER BY v <-> '{500.25,0}' LIMIT 3 OFFSET 1998;
SELECT id FROM line ORDER BY v <-> '{500.25,0}' OFFSET 2010;
SELECT compare('SELECT id, v <-> ''{500.25,0}'' FROM line ORDER BY 2');
SELECT compare('SELECT id, v <-> ''{500.25,0}'' FROM line ORDER BY 2 LIMIT 65');
SELECT compare('SELECT id, v <-> ''{500.25,0}'' FROM line ORDER BY 2 LIMIT 1000');
SELECT compare('SELECT id, v <-> ''{500.25,0}'' FROM line ORDER BY 2 FETCH FIRST 700 ROWS WITH TIES');
SET togg.ef_search = 1;
SELECT compare('SELECT id, v <-> ''{500.25,0}'' FROM line ORDER BY 2 LIMIT 300', false);
RESET togg.ef_search;

-- What the last scan did
SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 3;
SELECT rows, hops >= 40 AS hops, pages > 0 AS pages, distances > 0 AS distances,
	   estimates > 0 AS estimates, widenings, sweep FROM togg_last_scan();
SELECT count(*) FROM (SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 100) s;
SELECT rows, widenings > 0 AS widened, sweep FROM togg_last_scan();
SELECT count(*) FROM (SELECT id FROM line ORDER BY v <-> '{500.25,0}') s;
SELECT rows, sweep FROM togg_last_scan();
SET togg.ef_search = 10;	-- gives ten rows as it is
SELECT count(*) FROM (SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 10) s;
SELECT rows, widenings FROM togg_last_scan();
SELECT count(*) FROM (SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 11) s;
SELECT rows, widenings FROM togg_last_scan();
RESET togg.ef_search;

-- The vector may stand on either side
SELECT id FROM line ORDER BY '{500.25,0}'::real[] <-> v LIMIT 3;

-- Filters get their rows, however few pass
SELECT id FROM line WHERE id % 1000 = 7 ORDER BY v <-> '{500.25,0}' LIMIT 10;
SELECT id FROM line WHERE id % 100 = 7 ORDER BY v <-> '{500.25,0}' LIMIT 4;
SELECT id FROM line WHERE v <-> '{500.25,0}' > 400 ORDER BY v <-> '{500.25,0}' LIMIT 3;
SELECT count(*) FROM (SELECT FROM line WHERE v <-> '{500.25,0}' < 400 ORDER BY v <-> '{500.25,0}') s;
SELECT id FROM line WHERE id = -1 ORDER BY v <-> '{500.25,0}' LIMIT 10;
SELECT id FROM line WHERE v IS NULL ORDER BY v <-> '{500.25,0}' LIMIT 1;
SET togg.ef_search = 5;
SELECT id FROM line WHERE id % 1000 = 7 ORDER BY v <-> '{500.25,0}' LIMIT 10;
RESET togg.ef_search;

-- Asked for NULL: no row is nearer than another
SELECT plan FROM plan('SELECT id FROM line ORDER BY v <-> (SELECT NULL::real[])') WHERE plan ~ 'Scan';
SELECT count(DISTINCT id) FROM (SELECT id FROM line ORDER BY v <-> (SELECT NULL::real[])) s;
SELECT count(DISTINCT id) FROM (SELECT id FROM line ORDER BY v <-> (SELECT NULL::real[]) LIMIT 100) s;

-- Order by distance and more
SET enable_sort = on;
SELECT id FROM line ORDER BY v <-> '{500.5,0}', id LIMIT 6;
SELECT id FROM line ORDER BY v <-> '{500.5,0}', id DESC LIMIT 6;
-- farthest first is not the index's order
SELECT plan('SELECT id FROM line ORDER BY v <-> ''{500.5,0}'' DESC LIMIT 3');
SELECT id FROM line ORDER BY v <-> '{500.25,0}' DESC NULLS LAST LIMIT 3;
SET enable_sort = off;

-- A query of its own for each outer row: rescans
SELECT plan('SELECT q.id, n.id FROM queries q, LATERAL (SELECT id FROM line ORDER BY v <-> q.q LIMIT 2) n');
SELECT q.id, n.id FROM queries q, LATERAL (SELECT id FROM line ORDER BY v <-> q.q LIMIT 2) n;
SELECT q.id, (SELECT l.id FROM line l ORDER BY l.v <-> q.q LIMIT 1) FROM queries q;
-- not each of them has a query, not each reads as far
SELECT i, count(DISTINCT n.id), min(n.id) FILTER (WHERE q IS NOT NULL), max(n.id) FILTER (WHERE q IS NOT NULL)
FROM (VALUES (1, '{10.25,0}'::real[]), (2, NULL), (3, '{1990.25,0}'), (4, '{10.25,0}')) q(i, q),
	 LATERAL (SELECT id FROM line ORDER BY v <-> q.q LIMIT i * 600) n
GROUP BY i ORDER BY i;
SELECT q.id, m.id FROM queries q,
	 LATERAL (SELECT n.id FROM (SELECT id FROM line ORDER BY v <-> q.q) n WHERE n.id % 500 = 3 LIMIT 1) m
WHERE q.id <= 3;
-- the same query again and again
SELECT count(*), count(DISTINCT n.id)
FROM generate_series(1, 50) i,
	 LATERAL (SELECT id FROM line ORDER BY v <-> ARRAY[1000.25, 0 * i]::real[] LIMIT 3) n;
-- an error in one of them
SELECT i, (SELECT id FROM line ORDER BY v <-> q LIMIT 1)
FROM (VALUES (1, '{1,0}'::real[]), (2, '{1}')) s(i, q);

-- Several scans at a time
SELECT a.id, b.id FROM
	(SELECT id, row_number() OVER () AS n FROM (SELECT id FROM line ORDER BY v <-> '{100.25,0}' LIMIT 5) s) a
	JOIN (SELECT id, row_number() OVER () AS n FROM (SELECT id FROM line ORDER BY v <-> '{1900.25,0}' LIMIT 5) s) b
	USING (n) ORDER BY n;

-- Cursors
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM line ORDER BY v <-> '{500.25,0}';
FETCH 3 FROM c;
DECLARE d CURSOR FOR SELECT id FROM line ORDER BY v <-> '{1500.25,0}';
FETCH 2 FROM d;
FETCH 2 FROM c;
MOVE 995 FROM c;
FETCH 2 FROM c;
MOVE FORWARD ALL FROM c;
FETCH 1 FROM c;
FETCH 2 FROM d;
FETCH BACKWARD 1 FROM d;
COMMIT;
-- backwards needs the rows kept
SELECT plan('DECLARE s SCROLL CURSOR FOR SELECT id FROM line ORDER BY v <-> ''{500.25,0}''');
BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT id FROM line ORDER BY v <-> '{500.25,0}';
FETCH 4 FROM s;
FETCH BACKWARD 2 FROM s;
FETCH ABSOLUTE 300 FROM s;
FETCH RELATIVE -299 FROM s;
FETCH LAST FROM s;
FETCH FIRST FROM s;
COMMIT;
-- held beyond its transaction
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 70;
FETCH 2 FROM h;
COMMIT;
UPDATE line SET v = v WHERE id = 501;
FETCH 2 FROM h;
MOVE 64 FROM h;
FETCH 9 FROM h;
CLOSE h;
-- what a cursor sees is what was there when it was opened
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM line ORDER BY v <-> '{500.25,0}';
FETCH 1 FROM c;
DELETE FROM line WHERE id BETWEEN 400 AND 600;
INSERT INTO line VALUES (0, '{500.5,0}');
FETCH 2 FROM c;
DECLARE d CURSOR FOR SELECT id FROM line ORDER BY v <-> '{500.25,0}';
FETCH 3 FROM d;
FETCH 2 FROM c;
ROLLBACK;

-- Rows changed by the command that reads them
BEGIN;
UPDATE line SET v = ARRAY[v[1] + 5000, 0]
WHERE id IN (SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 100);
SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 2;
SELECT id FROM line ORDER BY v <-> '{5500.25,0}' LIMIT 2;
WITH gone AS (DELETE FROM line WHERE id IN (SELECT id FROM line ORDER BY v <-> '{5500.25,0}' LIMIT 10) RETURNING id)
SELECT count(*), min(id), max(id) FROM gone;
SELECT id FROM line ORDER BY v <-> '{5500.25,0}' LIMIT 2;
ROLLBACK;
BEGIN;
SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 2 FOR UPDATE;
SELECT id FROM line ORDER BY v <-> '{500.25,0}' LIMIT 2 FOR SHARE SKIP LOCKED;
ROLLBACK;

-- Prepared statements: planned for each value, and once for all
PREPARE nearest(real[], int) AS SELECT id FROM line ORDER BY v <-> $1 LIMIT $2;
SET plan_cache_mode = force_custom_plan;
EXECUTE nearest('{500.25,0}', 2);
SET plan_cache_mode = force_generic_plan;
EXECUTE nearest('{500.25,0}', 2);
EXECUTE nearest('{1500.25,0}', 3);
EXECUTE nearest(NULL, 0);
SELECT plan('EXECUTE nearest(''{1,0}'', 1)');
EXECUTE nearest('{500.25}', 2);
EXECUTE nearest('{500.25,0}', 2);
RESET plan_cache_mode;
DEALLOCATE nearest;
-- PL/pgSQL plans for each value five times, then perhaps no more
DO $$
DECLARE
	got int[];
BEGIN
	FOR i IN 1 .. 12 LOOP
		got := got || (SELECT id FROM line ORDER BY v <-> ARRAY[i * 100 + 0.25, 0]::real[] LIMIT 1);
	END LOOP;
	RAISE NOTICE '%', got;
END
$$;

-- Scans inside parallel workers
SET enable_seqscan = on;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT plan('SELECT q.id, (SELECT l.id FROM line l ORDER BY l.v <-> q.q LIMIT 1) FROM queries q');
SELECT sum(id), sum(nearest) FROM
	(SELECT q.id, (SELECT l.id FROM line l ORDER BY l.v <-> q.q LIMIT 1) AS nearest FROM queries q) s;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- The statistics count scans and rows
SELECT pg_stat_force_next_flush();
SELECT idx_scan > 0 AS scans, idx_tup_read > 2010 AS read, idx_tup_fetch > 2010 AS fetched
FROM pg_stat_user_indexes WHERE indexrelid = 'line_v'::regclass;
