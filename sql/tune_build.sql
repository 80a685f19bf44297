-- togg_tune_build(): learning the options of an index yet to be made.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET max_parallel_maintenance_workers = 0;

-- Ten clusters so far from each other that two bits of codes, the default, are
-- worse than one, or than another rule for links.
CREATE TABLE items (id int, "A vector" real[]);
INSERT INTO items SELECT i, (
	SELECT array_agg((near + 60 * far)::real ORDER BY n)
	FROM unnest(vec(i, 12), vec(-1 - i % 10, 12)) WITH ORDINALITY AS u (near, far, n))
FROM generate_series(1, 1500) i;
INSERT INTO items VALUES (0, NULL);
ANALYZE items;
CREATE VIEW left_behind AS
SELECT relname FROM pg_class WHERE relname LIKE 'togg\_tune\_build%';

-- With counters for a clock
CREATE TABLE first AS
SELECT * FROM togg_tune_build('items', 'A vector', sample => 1500, recalls => '{0.9}', seed => 1);
SELECT count(*) > 10 AS several, count(*) FILTER (WHERE recommended) AS recommended,
	   count(*) FILTER (WHERE speed_held_out IS NOT NULL) <= 1 AS held_out,
	   count(DISTINCT options) = count(*) AS different, min(speed) < 1 AS slower
FROM first;
SELECT command, speed FROM first WHERE options = '';
SELECT options <> '' AS others, speed > 1.1 AS faster, speed_held_out > 1.1 AS held_out
FROM first WHERE recommended;
SELECT bytes <= 1.5 * (SELECT bytes FROM first WHERE options = '') AS within
FROM first WHERE recommended;
TABLE left_behind;

-- What it recommends can be run
\set ECHO none
SELECT command FROM first WHERE recommended \gexec
\set ECHO all
SELECT count(*) FROM pg_indexes WHERE tablename = 'items';

-- A limit is kept: larger indexes are built, and none is recommended.  What was
-- measured before comes to the same.
CREATE TABLE second AS
SELECT * FROM togg_tune_build('items', 'A vector', sample => 1500, recalls => '{0.9}', max_bytes => 1, seed => 1);
SELECT max(bytes) > 1.5 * min(bytes) AS larger,
	   max(bytes) FILTER (WHERE recommended) <= max(bytes) FILTER (WHERE options = '') AS kept
FROM second;
SELECT count(*) > 4 AS several, bool_and(f.bytes = s.bytes AND abs(f.speed - s.speed) < 1e-9) AS same
FROM first f JOIN second s USING (options);

-- Other operator classes, tables and samples
SET client_min_messages = warning;
SELECT command FROM togg_tune_build('items', 'A vector', 'public.array_cosine_ops',
	sample => 1000, budget => '0 s', recalls => '{0.9}') WHERE options = '';
CREATE TABLE parts (v real[]) PARTITION BY HASH (v);
CREATE TABLE part PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO parts SELECT "A vector" FROM items;
SELECT command FROM togg_tune_build('parts', 'v', sample => 1000, budget => '0 s') WHERE options = '';
RESET client_min_messages;
TABLE left_behind;

-- Errors
SELECT togg_tune_build('items', 'v');
\set VERBOSITY terse
SELECT togg_tune_build('items', 'id');
SELECT togg_tune_build('items', 'A vector', 'no_ops');
\set VERBOSITY default
SELECT togg_tune_build('left_behind', 'relname');
SELECT togg_tune_build('items', 'A vector', sample => 999);
SELECT togg_tune_build('items', 'A vector', sample => 1000001);
SELECT togg_tune_build('items', 'A vector', recalls => '{2}');
SELECT togg_tune_build('items', 'A vector', max_seconds => 0.5);
SELECT togg_tune_build('items', 'A vector', max_bytes => 'NaN');
SELECT togg_tune_build(NULL, 'v');
CREATE TABLE few AS SELECT "A vector" AS v FROM items LIMIT 20;
SELECT togg_tune_build('few', 'v');
CREATE TABLE alike AS SELECT '{1,2}'::real[] AS v FROM items;
SELECT togg_tune_build('alike', 'v');
BEGIN READ ONLY;
SELECT togg_tune_build('items', 'A vector');
ROLLBACK;
TABLE left_behind;

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
