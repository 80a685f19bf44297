-- An index that follows its table: INSERT, UPDATE, DELETE, VACUUM, rollback.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

-- The first rows at default options; all rows in order from a pool as large as
-- the table; and what a check of the index finds.
CREATE FUNCTION check_items()
RETURNS TABLE (first text, every text, findings text) LANGUAGE plpgsql AS
$$
BEGIN
	first := compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2 LIMIT 10');
	SET LOCAL togg.ef_search = 10000;
	every := compare('SELECT id, v <-> ''{1,2,3,4}'' FROM items ORDER BY 2');
	SELECT coalesce(string_agg(DISTINCT finding, ', '), 'none') INTO findings
	FROM togg_check('items_v', true);
	RETURN NEXT;
END
$$;

CREATE TABLE items (id int PRIMARY KEY, note int DEFAULT 0, v real[])
WITH (fillfactor = 50, autovacuum_enabled = off);
CREATE INDEX items_v ON items USING togg (v);

-- From nothing
SELECT * FROM check_items();
INSERT INTO items VALUES (1, 0, vec(1, 4));
SELECT * FROM check_items();
INSERT INTO items VALUES (2, 0, vec(2, 4)), (3, 0, vec(1, 4)), (4, 0, NULL), (5, 0, '{0,0,0,0}');
SELECT * FROM check_items();
INSERT INTO items SELECT i, 0, vec(i, 4) FROM generate_series(6, 800) i;
SELECT * FROM check_items();
SELECT rows, unranked, dead FROM togg_index_info('items_v');
-- as good as built at once
REINDEX INDEX items_v;
SELECT * FROM check_items();
INSERT INTO items SELECT i, 0, vec(i, 4) FROM generate_series(801, 1200) i;
SELECT * FROM check_items();
COPY items FROM stdin;
1201	0	{1,2,3,4}
1202	0	{4,3,2,1}
1203	0	\N
\.
SELECT * FROM check_items();

-- Another column changes: a HOT update needs nothing from the index
UPDATE items SET note = note + 1 WHERE id % 10 = 0;
SELECT * FROM check_items();
SELECT rows FROM togg_index_info('items_v');
-- any other adds the new row to the old vector
CREATE INDEX items_note ON items (note);
UPDATE items SET note = note + 1 WHERE id % 10 = 0;
SELECT * FROM check_items();
SELECT rows > 1203 AS more, vertices = (SELECT count(DISTINCT v) FROM items) AS shared
FROM togg_index_info('items_v');
UPDATE items SET v = v || '{}' WHERE id % 10 = 1;
SELECT * FROM check_items();
-- The vector changes
UPDATE items SET v = vec(id + 10000, 4) WHERE id % 10 = 2;
SELECT * FROM check_items();
UPDATE items SET v = NULL WHERE id % 100 = 3;
UPDATE items SET v = vec(id, 4) WHERE v IS NULL AND id % 200 = 3;
SELECT * FROM check_items();
INSERT INTO items SELECT i, 0, vec(i, 4) FROM generate_series(1195, 1210) i
ON CONFLICT (id) DO UPDATE SET v = excluded.v, note = -1;
SELECT * FROM check_items();

-- Rows go, with and without VACUUM
DELETE FROM items WHERE id % 3 = 0;
SELECT * FROM check_items();
VACUUM items;
SELECT * FROM check_items();
SELECT rows = (SELECT count(*) FROM items) AS rows,
	   unranked = (SELECT count(*) FROM items WHERE v IS NULL) AS unranked
FROM togg_index_info('items_v');
-- and come
INSERT INTO items SELECT i, 0, vec(i, 4) FROM generate_series(2001, 2400) i;
SELECT * FROM check_items();
DELETE FROM items WHERE v <-> '{7,-7,7,-7}' < 9;
VACUUM items;
SELECT * FROM check_items();
VACUUM items;
VACUUM (INDEX_CLEANUP on, PARALLEL 2) items;
VACUUM (FREEZE) items;
SELECT * FROM check_items();
VACUUM FULL items;
SELECT * FROM check_items();

-- All rows of a table that was full
DELETE FROM items;
SELECT * FROM check_items();
VACUUM items;
SELECT * FROM check_items();
INSERT INTO items SELECT i, 0, vec(i, 4) FROM generate_series(1, 300) i;
SELECT * FROM check_items();

-- Space is used again: the index of a table whose rows are replaced again and
-- again stops growing.  Each round's VACUUM is the first that may reuse what
-- the round before left.
CREATE TABLE sizes (round int, bytes bigint);
DELETE FROM items WHERE id % 3 = 0;
VACUUM items;
INSERT INTO items SELECT i * 3, 0, vec(20000 + i, 4) FROM generate_series(1, 100) i;
INSERT INTO sizes VALUES (1, pg_relation_size('items_v'));
DELETE FROM items WHERE id % 3 = 0;
VACUUM items;
INSERT INTO items SELECT i * 3, 0, vec(30000 + i, 4) FROM generate_series(1, 100) i;
INSERT INTO sizes VALUES (2, pg_relation_size('items_v'));
DELETE FROM items WHERE id % 3 = 0;
VACUUM items;
INSERT INTO items SELECT i * 3, 0, vec(40000 + i, 4) FROM generate_series(1, 100) i;
INSERT INTO sizes VALUES (3, pg_relation_size('items_v'));
DELETE FROM items WHERE id % 3 = 0;
VACUUM items;
INSERT INTO items SELECT i * 3, 0, vec(50000 + i, 4) FROM generate_series(1, 100) i;
INSERT INTO sizes VALUES (4, pg_relation_size('items_v'));
SELECT max(bytes) FILTER (WHERE round > 2) <= max(bytes) FILTER (WHERE round <= 2) AS reused FROM sizes;
SELECT * FROM check_items();

-- Thousands of rows of one vector, of which some go
INSERT INTO items SELECT i, 0, '{1,2,3,4}' FROM generate_series(10001, 13000) i;
DELETE FROM items WHERE id > 10000 AND id % 2 = 0;
VACUUM items;
SELECT * FROM check_items();
INSERT INTO items SELECT i, 0, '{1,2,3,4}' FROM generate_series(20001, 20500) i;
SELECT * FROM check_items();
DELETE FROM items WHERE v = '{1,2,3,4}';
VACUUM items;
SELECT * FROM check_items();
INSERT INTO items VALUES (1000, 0, '{1,2,3,4}');
SELECT * FROM check_items();
DELETE FROM items WHERE id >= 1000;

-- What is rolled back was never there
BEGIN;
INSERT INTO items SELECT i, 0, vec(i, 4) FROM generate_series(5001, 5100) i;
DELETE FROM items WHERE id < 100;
SELECT * FROM check_items();
ROLLBACK;
SELECT * FROM check_items();
BEGIN;
INSERT INTO items VALUES (5001, 0, '{1,2,3,4}');
SAVEPOINT a;
INSERT INTO items VALUES (5002, 0, '{1,2,3,5}');
UPDATE items SET v = NULL WHERE id = 5001;
ROLLBACK TO a;
INSERT INTO items VALUES (5003, 0, '{1,2,3,6}');
SAVEPOINT b;
INSERT INTO items VALUES (5004, 0, '{1,2}');
ROLLBACK TO b;
COMMIT;
SET enable_seqscan = off;
SELECT id FROM items ORDER BY v <-> '{1,2,3,4}', id LIMIT 2;
RESET enable_seqscan;
SELECT * FROM check_items();
VACUUM items;
SELECT * FROM check_items();

-- An index that was itself made in a transaction that goes on, or goes back
BEGIN;
DROP INDEX items_v;
CREATE INDEX items_v ON items USING togg (v);
INSERT INTO items VALUES (6001, 0, '{1,2,3,4}');
SELECT * FROM check_items();
ROLLBACK;
SELECT * FROM check_items();
BEGIN;
TRUNCATE items;
INSERT INTO items SELECT i, 0, vec(i, 6) FROM generate_series(1, 100) i;
ROLLBACK;
SELECT * FROM check_items();

-- Rows inserted while the index is used by the same command
INSERT INTO items
SELECT 7000 + n.id, 0, n.v FROM
	(SELECT id, v FROM items ORDER BY v <-> '{1,2,3,4}' LIMIT 50) n;
SELECT * FROM check_items();

-- By trigger, by foreign key
CREATE TABLE owners (id int PRIMARY KEY);
INSERT INTO owners SELECT generate_series(0, 1);
ALTER TABLE items ADD owner int REFERENCES owners ON DELETE CASCADE;
UPDATE items SET owner = id % 2;
DELETE FROM owners WHERE id = 1;
SELECT * FROM check_items();
ALTER TABLE items DROP owner;
SELECT * FROM check_items();
ALTER TABLE items ALTER v TYPE real[] USING array_append(v, 0);
SELECT compare('SELECT id, v <-> ''{1,2,3,4,0}'' FROM items ORDER BY 2 LIMIT 10');
SELECT dimensions FROM togg_index_info('items_v');
ALTER TABLE items DROP v;
SELECT to_regclass('items_v');
