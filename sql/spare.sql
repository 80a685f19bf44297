--
-- Distances that only order rows are not computed once more by the executor.
--
LOAD 'togg';
SET enable_seqscan = off;
SET enable_sort = off;
CREATE TABLE spare (id int PRIMARY KEY, embedding real[]);
INSERT INTO spare
	SELECT i, ARRAY[i / 5, 0, 1]::real[] FROM generate_series(1, 500) AS i;
CREATE INDEX ON spare USING togg (embedding);

-- Rows, how many scans return NULL in the place of a distance, and how many return
-- the distance.
CREATE FUNCTION asked(query text) RETURNS TABLE (ids int[], spared bigint, kept bigint)
LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	spared := 0;
	kept := 0;
	FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
		spared := spared + (line ~ 'Output:.*[^(]NULL::double')::int;
		kept := kept + (line ~ 'Output:.*[^(]\((\w+\.)?embedding <->')::int;
	END LOOP;
	EXECUTE format('SELECT array_agg(id) FROM (%s) AS s', query) INTO ids;
	RETURN NEXT;
END
$$;

-- LIMIT and OFFSET, no LIMIT, subqueries, joins, set operations, CTEs.
SELECT * FROM asked($$SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' LIMIT 5$$);
SELECT * FROM asked($$SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' LIMIT 5 OFFSET 5$$);
SELECT cardinality(ids), spared, kept
	FROM asked($$SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}'$$);
SELECT * FROM asked($$
	SELECT id FROM (SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' LIMIT 5) AS s
	WHERE id % 2 = 0$$);
SELECT * FROM asked($$
	SELECT s.id FROM spare AS q, LATERAL (
		SELECT id FROM spare ORDER BY embedding <-> q.embedding LIMIT 2 OFFSET 3) AS s
	WHERE q.id IN (22, 62)$$);
SELECT * FROM asked($$
	(SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' LIMIT 2)
	UNION ALL (SELECT id FROM spare ORDER BY embedding <-> '{9,0,1}' LIMIT 2)$$);
SELECT * FROM asked($$
	WITH near AS MATERIALIZED (SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' LIMIT 3)
	SELECT id FROM near ORDER BY id$$);
SELECT * FROM asked($$
	SELECT unnest(ARRAY(SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' LIMIT 3)) AS id$$);

-- Who reads the distance gets it: WITH TIES compares distances, FOR UPDATE may
-- need another, and the last two ask for it.
SELECT * FROM asked($$
	SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' FETCH FIRST 2 ROWS WITH TIES$$);
EXPLAIN (VERBOSE, COSTS OFF)
	SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' LIMIT 2 FOR UPDATE;
SELECT id, embedding <-> '{4,0,1}' AS distance FROM spare
	ORDER BY distance, id LIMIT 2;
SELECT id, embedding <-> '{5,0,1}' AS distance FROM spare
	ORDER BY embedding <-> '{5,0,1}' LIMIT 2;

-- Partitions are merged by their distances.
CREATE TABLE parts (id int, embedding real[]) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (250);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (250) TO (501);
INSERT INTO parts SELECT id, embedding FROM spare;
CREATE INDEX ON parts USING togg (embedding);
SELECT * FROM asked($$SELECT id FROM parts ORDER BY embedding <-> '{50,0,1}' LIMIT 5$$);

-- A cursor, and another access method's scan.
BEGIN;
DECLARE near CURSOR FOR SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}';
FETCH 3 FROM near;
COMMIT;
CREATE TABLE points (id int, embedding point);
INSERT INTO points SELECT i, point(i, 0) FROM generate_series(1, 500) AS i;
CREATE INDEX ON points USING gist (embedding);
SELECT * FROM asked($$SELECT id FROM points ORDER BY embedding <-> '(7,0)' LIMIT 1$$);

-- Writing what was found.
CREATE TABLE kept AS SELECT id FROM spare ORDER BY embedding <-> '{4,0,1}' LIMIT 2;
INSERT INTO kept SELECT id FROM spare ORDER BY embedding <-> '{9,0,1}' LIMIT 2;
SELECT * FROM kept;
DROP TABLE kept, points, parts, spare;
DROP FUNCTION asked;
