-- INCLUDE columns of any type, returned by index-only scans as a sequential scan
-- returns them.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET max_parallel_workers_per_gather = 0;

-- Values from nothing to more than a row keeps, compressed and out of line, too
CREATE TYPE pair AS (a int, b text);
CREATE TABLE items (id int, a_text text, a_varchar varchar(40), a_jsonb jsonb, a_numeric numeric, a_uuid uuid,
	a_bytea bytea, an_array int[], a_bit varbit, a_pair pair, a_point point, a_name name, v real[]);
INSERT INTO items SELECT i, repeat('x', i % 50), 'varchar ' || i, jsonb_build_object('n', i, 'm', repeat('y', i % 30)),
	i / 7.0, lpad(i::text, 32, '0')::uuid, decode(repeat('ab', i % 20), 'hex'), array_fill(i, ARRAY[i % 6]),
	repeat('10', i % 9)::varbit, ROW(i, 'b' || i)::pair, point(i, -i), 'name ' || i, vec(i % 700, 4)
FROM generate_series(1, 1000) i;
INSERT INTO items (id, v) SELECT i, vec(i, 4) FROM generate_series(1001, 1050) i;
INSERT INTO items (id, a_text, v) SELECT i, repeat('long ', i * 10), vec(i, 4) FROM generate_series(1051, 1060) i;
ALTER TABLE items ALTER a_jsonb SET STORAGE EXTERNAL;
INSERT INTO items (id, a_jsonb, v) SELECT i, to_jsonb(repeat('long ', i * 10)), vec(i, 4) FROM generate_series(1061, 1070) i;
INSERT INTO items (id, a_text) SELECT i, 'no vector' FROM generate_series(1071, 1080) i;

-- One column, several that share the room, and one index with all
CREATE TABLE results (columns text, size int, built text, grown text, findings bigint);
DO $$
DECLARE
	columns text;
	size int;
	built text;
	query text;
BEGIN
	FOR columns, size IN
		VALUES ('a_text', 64), ('a_varchar', 64), ('a_jsonb', 64), ('a_numeric', 64), ('a_uuid', 64), ('a_bytea', 64),
			   ('an_array', 64), ('a_bit', 64), ('a_pair', 64), ('a_point', 64), ('a_name', 64), ('a_text', 0),
			   ('a_text', 7), ('a_text', 1900), ('id, a_text, a_uuid, a_jsonb, a_numeric', 100),
			   ('id, a_text, a_varchar, a_jsonb, a_numeric, a_uuid, a_bytea, an_array, a_bit, a_pair, a_point, a_name', 300) LOOP
		CREATE TABLE copied (LIKE items INCLUDING STORAGE);
		INSERT INTO copied SELECT * FROM items;
		EXECUTE format('CREATE INDEX copied_v ON copied USING togg (v) INCLUDE (%s) WITH (include_size = %s)', columns, size);
		query := format('SELECT %s, v FROM copied ORDER BY v <-> ''{1,2,3,4}''', columns);
		built := by_index(query);
		INSERT INTO copied SELECT * FROM copied WHERE id % 5 = 0;
		UPDATE copied SET a_text = a_text || 'y', a_numeric = a_numeric * 10 WHERE id % 6 = 0;
		INSERT INTO results VALUES (columns, size, built, by_index(query), (SELECT count(*) FROM togg_check('copied_v', true)));
		DROP TABLE copied;
	END LOOP;
END
$$;
SELECT * FROM results ORDER BY length(columns), columns, size;

-- The table is not read for what the room has a place for
CREATE TABLE short AS SELECT id, a_text, a_jsonb, v FROM items WHERE id <= 1000;
CREATE INDEX short_v ON short USING togg (v) INCLUDE (id, a_text, a_jsonb) WITH (include_size = 110);
VACUUM ANALYZE short;
SELECT pages_read('short', $$SELECT id, a_text, a_jsonb, v FROM short ORDER BY v <-> '{1,2,3,4}'$$);
UPDATE short SET a_text = repeat('z', 111) WHERE id = 500;
VACUUM short;
SELECT pages_read('short', $$SELECT id, a_text, a_jsonb, v FROM short ORDER BY v <-> '{1,2,3,4}'$$);

-- What is longer than the room is read from the table, by scans with and without
-- a filter, in order
CREATE INDEX items_v ON items USING togg (v, id) INCLUDE (a_text);
SELECT plan($$SELECT a_text FROM items WHERE id < 30 ORDER BY v <-> '{1,2,3,4}' LIMIT 10$$);
SELECT by_index($$SELECT id, a_text FROM items WHERE id % 2 = 0 ORDER BY v <-> '{1,2,3,4}'$$);
SELECT by_index($$SELECT id, a_text FROM items WHERE id > 1040 ORDER BY v <-> '{1,2,3,4}'$$);
SELECT by_index($$SELECT id, a_text FROM items WHERE v IS NULL ORDER BY v <-> '{1,2,3,4}'$$);
DROP INDEX items_v;

-- Half floats: index-only where they lose nothing; a row that they would round
-- comes in its place
CREATE TABLE rounded (id int, v real[]);
INSERT INTO rounded SELECT i, vec(i, 200) FROM generate_series(1, 300) i;
CREATE INDEX rounded_v ON rounded USING togg (v) INCLUDE (id);
INSERT INTO rounded SELECT id + 1000, ARRAY(SELECT x + 0.001 * (id % 7) FROM unnest(v) x) FROM rounded WHERE id <= 100;
SELECT storage FROM togg_index_info('rounded_v');
SET togg.ef_search = 1000;
SELECT by_index('SELECT id, v FROM rounded ORDER BY v <-> vec(1000, 200)');
SELECT in_order('SELECT id, v <-> vec(1000, 200) AS d FROM rounded ORDER BY 2');
-- equal when rounded, of which one vertex has many
INSERT INTO rounded SELECT i, ARRAY(SELECT x + 1e-5 * (i % 7) FROM unnest(vec(1, 200)) x) FROM generate_series(2001, 2100) i;
SELECT by_index('SELECT id, v FROM rounded ORDER BY v <-> vec(1000, 200)');
SELECT in_order('SELECT id, v <-> vec(1, 200) AS d FROM rounded ORDER BY 2');
SET togg.ef_search = 1;
SELECT by_index('SELECT id, v FROM rounded ORDER BY v <-> vec(1000, 200)');
RESET togg.ef_search;

-- Limits
CREATE INDEX ON items USING togg (v) INCLUDE (a_text) WITH (include_size = -1);
CREATE INDEX ON items USING togg (v) INCLUDE (a_text) WITH (include_size = 2049);
CREATE INDEX ON items USING togg (v) INCLUDE (a_text) WITH (include_size = 2040);
\echo :LAST_ERROR_SQLSTATE
-- an index keeps the room that it was made with
CREATE INDEX items_v ON items USING togg (v) INCLUDE (id, a_text);
ALTER INDEX items_v SET (include_size = 8);
INSERT INTO items (id, a_text, v) VALUES (2000, 'a text of 26 characters   ', vec(1, 4));
SELECT * FROM togg_check('items_v', true);
SELECT by_index($$SELECT id, a_text FROM items ORDER BY v <-> '{1,2,3,4}'$$);
REINDEX INDEX items_v;
SELECT by_index($$SELECT id, a_text FROM items ORDER BY v <-> '{1,2,3,4}'$$);
SELECT * FROM togg_check('items_v', true);

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
