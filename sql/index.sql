-- The index gives what a sequential scan gives: every operator class, tables
-- of all sizes, ties, duplicates, NULLs and vectors without a direction.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TABLE metrics (op text, opclass text);
INSERT INTO metrics VALUES
	('<->', 'array_l2_ops'), ('<#>', 'array_ip_ops'), ('<=>', 'array_cosine_ops'),
	('<+>', 'array_l1_ops');
CREATE TABLE items (id int, v real[]);

-- Index "items" for each operator class; compare the first 10 rows, twice as
-- many as the pool holds, and all rows.  The last two need a pool as large as
-- the table to be exact.
CREATE FUNCTION compare_all(query real[])
RETURNS TABLE (op text, first text, many text, every text, each_once text, findings bigint)
LANGUAGE plpgsql AS
$$
DECLARE
	opclass text;
	ordered text;
BEGIN
	FOR op, opclass IN SELECT * FROM metrics LOOP
		EXECUTE format('CREATE INDEX items_v ON items USING togg (v %s)', opclass);
		ordered := format('SELECT id, v %s %L FROM items ORDER BY v %1$s %2$L', op, query);
		IF op = '<+>' THEN
			-- searched by another distance
			SET LOCAL togg.ef_search = 200;
		END IF;
		first := compare(ordered || ' LIMIT 10');
		each_once := compare(ordered, false);
		SET LOCAL togg.ef_search = 4000;
		many := compare(ordered || ' LIMIT 128');
		every := compare(ordered);
		RESET togg.ef_search;
		SELECT count(*) INTO findings FROM togg_check('items_v', true);
		DROP INDEX items_v;
		RETURN NEXT;
	END LOOP;
END
$$;

-- No rows, a few, fewer than the pool of a search holds, and more
SELECT * FROM compare_all('{1,2,3,4}');
INSERT INTO items VALUES (1, vec(1, 4));
SELECT * FROM compare_all('{1,2,3,4}');
INSERT INTO items VALUES (2, vec(2, 4));
SELECT * FROM compare_all('{1,2,3,4}');
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(3, 10) i;
SELECT * FROM compare_all('{1,2,3,4}');
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(11, 1000) i;
SELECT * FROM compare_all('{1,2,3,4}');
SELECT * FROM compare_all(vec(500, 4));
INSERT INTO items SELECT i, vec(i, 4) FROM generate_series(1001, 3000) i;
SELECT * FROM compare_all('{1,2,3,4}');
SELECT * FROM compare_all('{-10,10,0,0}');
SELECT * FROM compare_all('{1000,-1000,1000,1000}');

-- NULL vectors come last
INSERT INTO items SELECT i, NULL FROM generate_series(3001, 3300) i;
SELECT * FROM compare_all('{1,2,3,4}');

-- Zero vectors: near others by <->, without direction under <=>, where they
-- come after all that have one, and before NULL
INSERT INTO items SELECT i, '{0,0,0,0}' FROM generate_series(3301, 3400) i;
SELECT * FROM compare_all('{1,2,3,4}');
DELETE FROM items WHERE id BETWEEN 4 AND 3000;
SELECT * FROM compare_all('{1,2,3,4}');
CREATE INDEX items_v ON items USING togg (v array_cosine_ops);
SET enable_seqscan = off;
SELECT kind, count(*) FROM
	(SELECT CASE WHEN d IS NULL THEN 'NULL' WHEN d = 'NaN' THEN 'NaN' ELSE 'ranked' END AS kind,
			row_number() OVER () AS at
	 FROM (SELECT v <=> '{1,2,3,4}' AS d FROM items ORDER BY 1) s) k
GROUP BY kind ORDER BY min(at);
-- a query without direction ranks nothing: all distances are NaN or NULL
SELECT compare('SELECT id, v <=> ''{0,0,0,0}'' FROM items ORDER BY 2');
SELECT compare('SELECT id, v <=> ''{0,0,0,0}'' FROM items ORDER BY 2 LIMIT 150');
RESET enable_seqscan;
DROP INDEX items_v;

-- Nothing but NULL, nothing but zero
TRUNCATE items;
INSERT INTO items SELECT i, NULL FROM generate_series(1, 500) i;
SELECT * FROM compare_all('{1,2,3,4}');
INSERT INTO items SELECT i, '{0,0,0,0}' FROM generate_series(501, 600) i;
SELECT * FROM compare_all('{1,2,3,4}');
-- -0 is no direction either
TRUNCATE items;
INSERT INTO items SELECT i, CASE WHEN i % 2 = 0 THEN '{0,-0}' ELSE '{-0,0}' END::real[]
FROM generate_series(1, 20) i;
SELECT * FROM compare_all('{1,2}');

-- All vectors equal
TRUNCATE items;
INSERT INTO items SELECT i, '{1,2,3,4}' FROM generate_series(1, 5000) i;
SELECT * FROM compare_all('{1,2,3,4}');
SELECT * FROM compare_all('{-1,2,0,4}');

-- Three vectors, thousands of each, among others
INSERT INTO items SELECT i, ARRAY[i % 3, 1, 1, 1] FROM generate_series(5001, 11000) i;
INSERT INTO items SELECT i, vec(i, 4, 3) FROM generate_series(11001, 11300) i;
SELECT * FROM compare_all('{1,2,3,4}');
CREATE INDEX items_v ON items USING togg (v);
SELECT rows, vertices = (SELECT count(DISTINCT v) FROM items) AS shared FROM togg_index_info('items_v');
DROP INDEX items_v;

-- Duplicates that come one by one
TRUNCATE items;
CREATE INDEX items_v ON items USING togg (v);
INSERT INTO items SELECT i, ARRAY[i % 7, 1, 1] FROM generate_series(1, 3000) i;
SELECT rows, vertices FROM togg_index_info('items_v');
SELECT compare('SELECT id, v <-> ''{3,2,1}'' FROM items ORDER BY 2');
SELECT count(*) AS findings FROM togg_check('items_v', true);
DROP INDEX items_v;

-- Ties: all on a grid, most distances shared by many
TRUNCATE items;
INSERT INTO items SELECT x * 30 + y, ARRAY[x, y] FROM generate_series(0, 29) x, generate_series(0, 29) y;
SELECT * FROM compare_all('{15,15}');
SELECT * FROM compare_all('{14.5,14.5}');

-- One dimension, and more than fit one page
TRUNCATE items;
INSERT INTO items SELECT i, ARRAY[i] FROM generate_series(-300, 300) i;
SELECT * FROM compare_all('{17.25}');
TRUNCATE items;
INSERT INTO items SELECT i, vec(i, 5000) FROM generate_series(1, 40) i;
SELECT * FROM compare_all(vec(7, 5000));
TRUNCATE items;
INSERT INTO items SELECT i, array_fill(i::real, '{16000}') FROM generate_series(1, 12) i;
SELECT * FROM compare_all(array_fill(5::real, '{16000}'));

-- Subscripts are no part of a vector
TRUNCATE items;
INSERT INTO items VALUES (1, '[0:1]={1,2}'), (2, '{1,2}'), (3, '[-7:-6]={2,1}');
SELECT * FROM compare_all('[5:6]={1,2}');

-- An index on an expression, on part of a table, on two columns, and twice
-- on the same
CREATE TABLE docs (id int, kind int, numbers int[], a real[], b real[]);
INSERT INTO docs
SELECT i, i % 10, vec(i, 3)::int[], vec(i, 4), vec(-i, 6) FROM generate_series(1, 1000) i;
CREATE INDEX docs_numbers ON docs USING togg ((numbers::real[]));
SELECT compare('SELECT id, numbers::real[] <-> ''{1,2,3}'' FROM docs ORDER BY 2 LIMIT 10');
DROP INDEX docs_numbers;
CREATE INDEX docs_normal ON docs USING togg (l2_normalize(a));
SET togg.ef_search = 1000;
SELECT compare('SELECT id, l2_normalize(a) <-> ''{0.5,0.5,-0.5,0.5}'' FROM docs ORDER BY 2');
RESET togg.ef_search;
DROP INDEX docs_normal;

SET togg.ef_search = 1000;
CREATE INDEX docs_part ON docs USING togg (a) WHERE kind = 3;
SELECT compare('SELECT id, a <-> ''{1,2,3,4}'' FROM docs WHERE kind = 3 ORDER BY 2');
SELECT compare('SELECT id, a <-> ''{1,2,3,4}'' FROM docs ORDER BY 2');
SELECT rows FROM togg_index_info('docs_part');
UPDATE docs SET kind = 3 WHERE id BETWEEN 1 AND 9;
UPDATE docs SET kind = 4 WHERE id BETWEEN 11 AND 19;
SELECT compare('SELECT id, a <-> ''{1,2,3,4}'' FROM docs WHERE kind = 3 ORDER BY 2');
RESET togg.ef_search;
DROP INDEX docs_part;

CREATE INDEX docs_a ON docs USING togg (a);
CREATE INDEX docs_b ON docs USING togg (b);
CREATE INDEX docs_b_cosine ON docs USING togg (b array_cosine_ops);
SELECT plan('SELECT id FROM docs ORDER BY a <-> ''{1,2,3,4}'' LIMIT 10');
SELECT plan('SELECT id FROM docs ORDER BY b <-> ''{1,2,3,4,5,6}'' LIMIT 10');
SELECT plan('SELECT id FROM docs ORDER BY b <=> ''{1,2,3,4,5,6}'' LIMIT 10');
SELECT compare('SELECT id, a <-> ''{1,2,3,4}'' FROM docs ORDER BY 2 LIMIT 10');
SET togg.ef_search = 1000;
SELECT compare('SELECT id, b <-> ''{1,2,3,4,5,6}'' FROM docs ORDER BY 2 LIMIT 10');
SELECT compare('SELECT id, b <=> ''{1,2,3,4,5,6}'' FROM docs ORDER BY 2 LIMIT 10');
RESET togg.ef_search;
