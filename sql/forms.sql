-- Forms of queries around the nearest rows: grouped, paged, held, locked, of two
-- indexes, beside full text.  Each by the index, with the rows of a sort.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET max_parallel_workers_per_gather = 0;
SET togg.ef_search = 1000;

CREATE TABLE items (id int, kind int, done bool DEFAULT false, note text, v real[]);
INSERT INTO items (id, kind, note, v)
SELECT i, i % 7, (ARRAY['red', 'green', 'blue'])[i % 3 + 1] || ' ' || (ARRAY['car', 'boat', 'house', 'tree'])[i % 4 + 1], vec(i, 6)
FROM generate_series(1, 4000) i;
CREATE INDEX items_v ON items USING togg (v, kind);
CREATE INDEX items_note ON items USING gin (to_tsvector('simple', note));
CREATE TABLE archive (id int, v real[]);
INSERT INTO archive SELECT i, vec(i, 6) FROM generate_series(4001, 7000) i;
CREATE INDEX archive_v ON archive USING togg (v);
VACUUM ANALYZE items, archive;
CREATE VIEW everything AS SELECT id, v FROM items UNION ALL SELECT id, v FROM archive;
CREATE FUNCTION q() RETURNS real[] LANGUAGE SQL IMMUTABLE AS $$ SELECT '{1.1,2.23,3.07,4.003,5.71,6.31}'::real[] $$;

-- The rows of a query by the planner's choice and by sorting all
CREATE FUNCTION same(query text) RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
	ours text;
	theirs text;
	n int;
BEGIN
	EXECUTE format('SELECT count(*), string_agg(round(d::numeric, 4)::text, '','') FROM (%s) s', query) INTO n, ours;
	SET LOCAL enable_indexscan = off;
	SET LOCAL enable_indexonlyscan = off;
	EXECUTE format('SELECT string_agg(round(d::numeric, 4)::text, '','') FROM (%s) s', query) INTO theirs;
	RESET enable_indexscan;
	RESET enable_indexonlyscan;
	RETURN format('%s rows, %s', n, CASE WHEN ours = theirs THEN 'the same' ELSE 'others' END);
END
$$;

-- DISTINCT ON: of the nearest, the first of each kind; and the nearest of each kind
\set nearest_of_kinds 'SELECT DISTINCT ON (kind) kind, id, d FROM (SELECT kind, id, v <-> q() AS d FROM items ORDER BY d LIMIT 100) n ORDER BY kind, d, id'
SELECT plan(:'nearest_of_kinds');
SELECT same(:'nearest_of_kinds');
SET enable_seqscan = off;
\set nearest_of_each 'SELECT k, n.* FROM generate_series(0, 6) k, LATERAL (SELECT id, v <-> q() AS d FROM items WHERE kind = k ORDER BY v <-> q() LIMIT 2) n ORDER BY k, d'
SELECT plan(:'nearest_of_each');
SELECT same(:'nearest_of_each');
RESET enable_seqscan;
SELECT plan('SELECT DISTINCT ON (v <-> q()) id, v <-> q() AS d FROM items ORDER BY v <-> q() LIMIT 5');
SELECT same('SELECT DISTINCT ON (v <-> q()) id, v <-> q() AS d FROM items ORDER BY v <-> q() LIMIT 5');

-- OFFSET: pages, each after the other, without gap or overlap
SELECT plan('SELECT id FROM items ORDER BY v <-> q() LIMIT 10 OFFSET 90');
SELECT page, same(format('SELECT v <-> q() AS d FROM items ORDER BY v <-> q() LIMIT 10 OFFSET %s', page * 10))
FROM unnest(ARRAY[0, 1, 9, 50]) page;

-- A cursor held over transactions: the rows that there were when it was declared
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT id, v <-> q() AS d FROM items ORDER BY v <-> q() LIMIT 300;
COMMIT;
CREATE TABLE before AS SELECT id, row_number() OVER (ORDER BY v <-> q()) AS n, v <-> q() AS d FROM items;
DELETE FROM items WHERE id IN (SELECT id FROM before WHERE n <= 5);
VACUUM items;
FETCH 1 FROM held \gset first_
MOVE 251 IN held;
FETCH 1 FROM held \gset late_
SELECT :first_d = (SELECT d FROM before WHERE n = 1) AS first, :late_d = (SELECT d FROM before WHERE n = 253) AS late;
CLOSE held;

-- FOR UPDATE: the nearest that are not taken; test/t/042_locked.pl has two takers
SELECT plan('SELECT id FROM items WHERE NOT done ORDER BY v <-> q() LIMIT 3 FOR UPDATE SKIP LOCKED');
BEGIN;
CREATE TABLE taken AS
WITH taken AS (UPDATE items SET done = true WHERE id IN
	(SELECT id FROM items WHERE NOT done ORDER BY v <-> q() LIMIT 3 FOR UPDATE SKIP LOCKED) RETURNING id)
SELECT id FROM taken;
SELECT count(*) AS taken, count(*) FILTER (WHERE n BETWEEN 6 AND 8) AS nearest FROM taken JOIN before USING (id);
COMMIT;

-- UNION ALL of two indexes: merged by distance
SELECT plan('SELECT id FROM everything ORDER BY v <-> q() LIMIT 10');
SELECT same('SELECT id, v <-> q() AS d FROM everything ORDER BY v <-> q() LIMIT 10');
SELECT same('SELECT id, v <-> q() AS d FROM everything ORDER BY v <-> q() LIMIT 300');
SELECT same('(SELECT id, v <-> q() AS d FROM items ORDER BY d LIMIT 10) UNION ALL (SELECT id, v <-> q() FROM archive ORDER BY v <-> q() LIMIT 10) ORDER BY d LIMIT 10');

-- Hybrid search: the ranks by distance and by full text, added as reciprocals
CREATE FUNCTION hybrid() RETURNS text LANGUAGE SQL AS
$$
	SELECT $q$
		WITH near AS MATERIALIZED (
			SELECT id, row_number() OVER (ORDER BY d) AS rank
			FROM (SELECT id, v <-> q() AS d FROM items ORDER BY d LIMIT 40) n),
		worded AS MATERIALIZED (
			SELECT id, row_number() OVER (ORDER BY ts_rank(to_tsvector('simple', note), query) DESC, id) AS rank
			FROM items, to_tsquery('simple', 'blue & house') query
			WHERE to_tsvector('simple', note) @@ query
			ORDER BY rank LIMIT 40)
		SELECT id, coalesce(1.0 / (60 + near.rank), 0) + coalesce(1.0 / (60 + worded.rank), 0) AS d
		FROM near FULL JOIN worded USING (id)
		ORDER BY d DESC LIMIT 10
	$q$
$$;
SELECT line FROM plan(hybrid()) AS line WHERE line ~ 'Scan|Order By:|Index Cond';
SELECT same(hybrid());

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
