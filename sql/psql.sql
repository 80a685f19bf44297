-- What psql offers beyond plain statements: variables, results in pieces, \gexec; and
-- COPY in each format.
\getenv abs_srcdir PG_ABS_SRCDIR
\getenv abs_builddir PG_ABS_BUILDDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TABLE items (id int, v real[]);
INSERT INTO items SELECT i, ARRAY[i, 0] FROM generate_series(1, 1000) i;
CREATE INDEX items_v ON items USING togg (v);
SET enable_seqscan = off;

-- A vector in a variable
SELECT v AS query FROM items WHERE id = 400 \gset
SELECT id FROM items ORDER BY v <-> :'query' LIMIT 1;
SELECT plan(format('SELECT id FROM items ORDER BY v <-> %L LIMIT 1', :'query'));

-- A result read by a cursor, some rows at a time
\set FETCH_COUNT 2
SELECT id, v <-> '{0,0}' AS distance FROM items ORDER BY v <-> '{0,0}' LIMIT 5;
\unset FETCH_COUNT

-- Out, nearest first, and in again, in each format
CREATE TABLE nearest (n serial, id int, v real[]);
CREATE INDEX nearest_v ON nearest USING togg (v);
\set file :abs_builddir '/results/nearest.copy'
\set to_file 'COPY (SELECT id, v FROM items ORDER BY v <-> ''{700.25,0}'' LIMIT 3) TO ' :'file'
\set from_file 'COPY nearest (id, v) FROM ' :'file'
:to_file;
:from_file;
:to_file (FORMAT csv);
:from_file (FORMAT csv);
:to_file (FORMAT binary);
:from_file (FORMAT binary);
SELECT array_agg(id ORDER BY n) FROM nearest;
SELECT rows, vertices FROM togg_index_info('nearest_v');

-- A statement for each row of another
SELECT format('SELECT id FROM items ORDER BY v <-> %L LIMIT 1', ARRAY[i * 10 + 0.25, 0]) FROM generate_series(1, 2) i \gexec
