-- Conditions on further columns, tested in the index: the rows of a sequential
-- scan, for every type and operator.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET max_parallel_workers_per_gather = 0;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION filtered(condition text)
RETURNS text LANGUAGE SQL AS
$$
	SELECT compare(format('SELECT id, v <-> ''{1,2,3,4}'' FROM items WHERE %s ORDER BY 2', condition), false)
$$;

-- Vectors many times over, NULL ones, and NULL in every column
CREATE TABLE items (id int, a_bool bool, a_int2 int2, a_int4 int4, a_int8 int8,
	a_float4 float4, a_float8 float8, a_date date, a_time time, a_timestamp timestamp,
	a_timestamptz timestamptz, a_interval interval, a_uuid uuid, a_oid oid, a_mood mood,
	a_positive positive, a_text text, a_varchar varchar(20), a_char char(5), a_numeric numeric,
	a_inet inet, an_int4s int4[], a_texts text[], v real[]);
INSERT INTO items SELECT i, i % 2 = 0, n, n, n, n, n, date '2024-01-01' + n,
	time '00:00' + n * interval '1 minute', timestamp '2024-01-01' + n * interval '1 hour',
	timestamptz '2024-01-01 UTC' + n * interval '1 hour', n * interval '1 hour',
	lpad(n::text, 32, '0')::uuid, n, (ARRAY['sad', 'ok', 'happy'])[n % 3 + 1]::mood, n + 1,
	'text ' || n, 'varchar ' || n, 'c' || n % 100, n / 4.0, inet '10.0.0.0' + n,
	ARRAY[n % 5, n % 7, NULL], ARRAY['a' || n % 5, 'b' || n % 7],
	CASE WHEN i % 50 <> 0 THEN vec(i % 700, 4) END
FROM generate_series(1, 2000) i, LATERAL (SELECT CASE WHEN i % 11 <> 0 THEN i % 200 END) x(n);
UPDATE items SET a_bool = NULL WHERE id % 11 = 0;
CREATE INDEX items_v ON items USING togg (v, a_bool, a_int2, a_int4, a_int8, a_float4, a_float8,
	a_date, a_time, a_timestamp, a_timestamptz, a_interval, a_uuid, a_oid, a_mood, a_positive,
	a_text, a_varchar, a_char, a_numeric, a_inet, an_int4s, a_texts);
ANALYZE items;
SELECT * FROM togg_check('items_v', true);

-- The condition is the index's, not the executor's
SELECT plan('SELECT id FROM items WHERE a_int4 = 7 ORDER BY v <-> ''{1,2,3,4}'' LIMIT 10');
SELECT plan('SELECT id FROM items WHERE a_int4 = 7 AND a_text = ''text 7'' ORDER BY v <-> ''{1,2,3,4}'' LIMIT 10');

-- Every type and operator
SELECT type, string_agg(replace(operator || ' ' || result, ' rows, the same', ''), ', ' ORDER BY n) AS "same rows",
	   bool_and(result ~ 'rows, the same$') AS "all"
FROM (VALUES (1, '<'), (2, '<='), (3, '='), (4, '>='), (5, '>')) AS o(n, operator),
	 (VALUES ('int2', '7'), ('int4', '7'), ('int8', '7'), ('float4', '7'), ('float8', '7'),
			 ('date', '2024-01-08'), ('time', '00:07'), ('timestamp', '2024-01-01 07:00'),
			 ('timestamptz', '2024-01-01 07:00 UTC'), ('interval', '7 hours'),
			 ('uuid', '00000000-0000-0000-0000-000000000007'), ('oid', '7'), ('mood', 'ok'),
			 ('positive', '8')) AS t(type, value),
	 LATERAL filtered(format('a_%s %s %L', type, operator, value)) AS f(result)
GROUP BY type ORDER BY type;
SELECT filtered('a_bool >= true'), filtered('a_bool <= false');
SELECT filtered('a_text = ''text 7'''), filtered('a_varchar = ''varchar 7'''), filtered('a_char = ''c7''');
SELECT filtered('a_numeric = 1.75'), filtered('a_numeric = 1.750'), filtered('a_inet = ''10.0.0.7''');
-- of different types
SELECT filtered('a_int2 = 7::bigint'), filtered('a_int8 < 7::smallint'), filtered('a_int4 >= 7::bigint');
SELECT filtered('a_float4 = 7::float8'), filtered('a_float8 > 7::float4');
SELECT filtered('a_date < timestamptz ''2024-01-08 UTC'''), filtered('a_timestamp >= date ''2024-01-08''');
-- ranges, and conditions on several columns
SELECT filtered('a_int4 BETWEEN 7 AND 20'), filtered('a_int4 > 7 AND a_int4 < 7');
SELECT filtered('a_int4 < 100 AND a_text = ''text 7'' AND a_mood = ''ok''');

-- Arrays
SELECT filtered('an_int4s && ''{3}'''), filtered('an_int4s && ''{3,6}'''), filtered('an_int4s @> ''{3,6}''');
SELECT filtered('a_texts && ''{a3}'''), filtered('a_texts @> ''{a3,b6}'''), filtered('a_texts @> ''{a3,c}''');
SELECT filtered('an_int4s @> ''{}'''), filtered('an_int4s && ''{}'''), filtered('an_int4s @> ''{NULL}''');
SELECT filtered('an_int4s && ''{NULL,3}'''), filtered('an_int4s @> ''{NULL,3}''');

-- NULL
SELECT filtered('a_int4 IS NULL'), filtered('a_int4 IS NOT NULL'), filtered('a_text IS NULL');
SELECT filtered('a_text IS NOT NULL AND an_int4s IS NULL'), filtered('a_uuid IS NULL AND a_mood IS NULL');
SELECT filtered('v IS NULL'), filtered('v IS NOT NULL'), filtered('v IS NULL AND v IS NOT NULL');
SELECT filtered('v IS NULL AND a_int4 = 50'), filtered('v IS NOT NULL AND a_int4 = 50');
PREPARE nothing(int) AS SELECT id FROM items WHERE a_int4 = $1 ORDER BY v <-> '{1,2,3,4}' LIMIT 10;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
EXECUTE nothing(NULL);
RESET plan_cache_mode;

-- = ANY: a condition of the index from PostgreSQL 17 on, otherwise a filter
SELECT filtered('a_int4 = ANY (''{7,8,NULL}'')'), filtered('a_text = ANY (''{text 7,text 8}'')');
SELECT filtered('a_int4 = ANY (''{}''::int[])'), filtered('a_int4 < ANY (''{7,3}'')'), filtered('a_int4 IN (1, 2, 3)');

-- A query that cannot be ranked returns the rows in any order, but only those
SELECT count(*) FROM (SELECT id FROM items WHERE a_int4 = 7 ORDER BY v <-> NULL OFFSET 0) n;
SELECT count(*) FROM (SELECT id FROM items WHERE a_int4 < 7 ORDER BY v <-> '{1,2,3,4}' OFFSET 0) n;

-- LIMIT is filled, whatever passes
SELECT a, count(*)
FROM generate_series(1, 199, 33) a,
	 LATERAL (SELECT * FROM items WHERE a_int4 < a ORDER BY v <-> '{1,2,3,4}' LIMIT 10) n
GROUP BY a ORDER BY a;
-- by the graph where many pass, by reading what may pass where few do
SELECT count(*) FROM (SELECT * FROM items WHERE a_int4 >= 7 ORDER BY v <-> '{1,2,3,4}' LIMIT 10) n;
SELECT rows, sweep FROM togg_last_scan();
SELECT count(*) FROM (SELECT * FROM items WHERE a_int4 = 7 ORDER BY v <-> '{1,2,3,4}' LIMIT 1000) n;
SELECT rows, sweep FROM togg_last_scan();

-- Rows that come, go and change
UPDATE items SET a_int4 = 1000 WHERE id % 7 = 0;
DELETE FROM items WHERE id % 13 = 0;
INSERT INTO items (id, a_int4, a_text, v) SELECT i, 1000, 'new', vec(i % 900, 4) FROM generate_series(2001, 2500) i;
SELECT filtered('a_int4 = 1000'), filtered('a_int4 = 7'), filtered('a_text = ''new''');
VACUUM items;
SELECT filtered('a_int4 = 1000'), filtered('a_int4 = 7'), filtered('a_text = ''new''');
SELECT * FROM togg_check('items_v', true);
DELETE FROM items WHERE a_int4 = 1000 OR v IS NULL;
VACUUM items;
SELECT filtered('a_int4 = 1000'), filtered('a_int4 < 20'), filtered('a_int4 IS NULL');
SELECT * FROM togg_check('items_v', true);

-- More rows of one vector than fit beside it
TRUNCATE items;
INSERT INTO items (id, a_int4, v) SELECT i, i % 100, CASE WHEN i % 3 <> 0 THEN vec(i % 2, 4) END FROM generate_series(1, 3000) i;
SELECT filtered('a_int4 = 7'), filtered('a_int4 <> 7'), filtered('a_int4 > 97');
REINDEX INDEX items_v;
SELECT filtered('a_int4 = 7'), filtered('a_int4 > 97'), filtered('v IS NULL AND a_int4 = 7');
SELECT * FROM togg_check('items_v', true);

-- An index that began empty, and one whose build does not fit in memory
CREATE TABLE grown (id int, a int, v real[]);
CREATE INDEX grown_v ON grown USING togg (v, a);
INSERT INTO grown SELECT i, i % 10, vec(i, 4) FROM generate_series(1, 1500) i;
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM grown WHERE a = 3 ORDER BY 2', false);
SELECT * FROM togg_check('grown_v', true);
SET maintenance_work_mem = '1MB';
SET client_min_messages = warning;
REINDEX INDEX grown_v;
RESET client_min_messages;
RESET maintenance_work_mem;
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM grown WHERE a = 3 ORDER BY 2', false);
SELECT * FROM togg_check('grown_v', true);

-- Without codes, in layers, and over several pages a vertex
CREATE INDEX grown_plain ON grown USING togg (v, a) WITH (bits = 0);
DROP INDEX grown_v;
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM grown WHERE a = 3 ORDER BY 2', false);
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM grown WHERE a = 3 ORDER BY 2 LIMIT 10');
CREATE INDEX grown_hnsw ON grown USING togg (v, a) WITH (graph = hnsw);
DROP INDEX grown_plain;
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM grown WHERE a = 3 ORDER BY 2', false);
CREATE TABLE long (id int, a int, v real[]);
INSERT INTO long SELECT i, i % 4, vec(i, 2500) FROM generate_series(1, 40) i;
CREATE INDEX long_v ON long USING togg (v, a);
INSERT INTO long SELECT i, i % 4, vec(i, 2500) FROM generate_series(1, 60) i;
SELECT compare('SELECT id || ctid::text, v <-> vec(1, 2500) FROM long WHERE a = 3 ORDER BY 2', false);
SELECT * FROM togg_check('long_v', true);

-- Expressions, partial indexes, INCLUDE columns, which are no conditions
CREATE INDEX grown_expression ON grown USING togg (v, (a % 5)) INCLUDE (id) WHERE a < 8;
DROP INDEX grown_hnsw;
SELECT plan('SELECT id FROM grown WHERE a % 5 = 3 AND a < 8 ORDER BY v <-> ''{1,2,3,4}'' LIMIT 10');
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM grown WHERE a % 5 = 3 AND a < 8 ORDER BY 2', false);
SELECT plan('SELECT id FROM grown WHERE id = 3 AND a < 8 ORDER BY v <-> ''{1,2,3,4}'' LIMIT 10');
SELECT * FROM togg_check('grown_expression', true);

-- What is no index column, and what makes no index
CREATE INDEX ON grown USING togg (v, v);
CREATE INDEX ON grown USING togg (a, v);
CREATE INDEX ON grown USING togg (a);
CREATE INDEX ON items USING togg (v, (row(a_int4, a_text)));
CREATE TABLE points (p point, j json, v real[]);
CREATE INDEX ON points USING togg (v, p);
CREATE INDEX ON points USING togg (v, j);
CREATE INDEX ON points USING togg (v) INCLUDE (p);

-- A type of one's own takes an operator class
CREATE OPERATOR CLASS macaddr_ops DEFAULT FOR TYPE macaddr USING togg AS
	OPERATOR 1 <, OPERATOR 3 =, OPERATOR 5 >;
CREATE TABLE cards (id int, mac macaddr, v real[]);
INSERT INTO cards SELECT i, ('08:00:2b:01:02:' || lpad(to_hex(i % 50), 2, '0'))::macaddr, vec(i, 4)
FROM generate_series(1, 1000) i;
CREATE INDEX cards_v ON cards USING togg (v, mac);
ANALYZE cards;
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM cards WHERE mac = ''08:00:2b:01:02:07'' ORDER BY 2', false);
SELECT compare('SELECT id, v <-> ''{1,2,3,4}'' FROM cards WHERE mac > ''08:00:2b:01:02:07'' ORDER BY 2', false);

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
