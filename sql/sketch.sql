-- What is known of rows before they are read: it spares pages, and never a row.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE items (id int, v real[], a int, f float8, t text, tags int[], m mood, u uuid);
CREATE FUNCTION put(first int, last int) RETURNS void LANGUAGE SQL AS
$$
	INSERT INTO items
	SELECT i, vec(i % 2700, 8), CASE WHEN i % 50 > 0 THEN i % 1000 END, i * 7919 % 10007 / 10007.0,
		'name ' || i % 300, CASE WHEN i % 40 > 0 THEN ARRAY[i % 60, i % 61 + 100] ELSE '{}' END,
		(enum_range(NULL::mood))[i % 3 + 1], md5((i % 500)::text)::uuid
	FROM generate_series(first, last) i
$$;
SELECT put(1, 3000);
CREATE INDEX items_v ON items USING togg (v, a, f, t, tags, m, u);
VACUUM ANALYZE items;

-- Do index scans of these conditions return the rows that sequential scans do?
CREATE VIEW conditions AS
SELECT unnest(ARRAY[
	'a = 7', 'a < 3', 'a <= 3', 'a > 995', 'a >= 995', 'a BETWEEN 100 AND 110', 'a = 7::bigint', 'a > 990::smallint',
	'a < -1', 'a IS NULL', 'a IS NOT NULL AND a < 5', 'a = 7 AND f < 0.5', 'f < 0.01', 'f >= 0.99', 'f > 0.5', 'f = 0',
	't = ''name 7''', 't = ''nobody''', 't IS NULL', 'tags && ''{7}''', 'tags && ''{7, 8, 150}''', 'tags @> ''{7, 107}''',
	'tags @> ''{}''', 'm = ''sad''', 'm > ''ok''', 'u = md5(''7'')::uuid', 'u < ''01000000-0000-0000-0000-000000000000''',
	't = ''name 7'' AND tags && ''{7}'' AND a < 500']) AS condition;
CREATE FUNCTION wrong() RETURNS TABLE (condition text, result text) LANGUAGE SQL AS
$$
	SELECT * FROM (
		SELECT c.condition, compare(format('SELECT id, v <-> ''{1,2,3,4,5,6,7,8}'' FROM items WHERE %s ORDER BY 2',
										   c.condition), false) AS result
		FROM conditions c) r
	WHERE result !~ ' rows, the same$'
$$;
SELECT compare('SELECT id, v <-> ''{1,2,3,4,5,6,7,8}'' FROM items WHERE a = 7 ORDER BY 2', false);
SELECT * FROM wrong();
SELECT * FROM togg_check('items_v', true);

-- Few pages are read where few rows pass, many where all may
CREATE FUNCTION pages(condition text) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS
$$
BEGIN
	EXECUTE format('SELECT count(*) FROM (SELECT id FROM items WHERE %s ORDER BY v <-> ''{1,2,3,4,5,6,7,8}'') n', condition);
	RETURN (SELECT pages FROM togg_last_scan());
END
$$;
SELECT condition, pages(condition) < pages('id > 0') / 5 AS few
FROM unnest(ARRAY['a = 7', 'f < 0.001', 't = ''name 7''', 'u = md5(''7'')::uuid', 'a IS NULL', 'f < 0.9']) condition;

-- Rows that come, change, go and come to the places of others; also in the
-- transaction that asks
SELECT put(3001, 4000);
SELECT * FROM wrong();
UPDATE items SET a = a + 1, f = 1 - f WHERE id % 3 = 0;
UPDATE items SET t = 'name 7', tags = '{7}', m = 'happy' WHERE id % 10 = 1;
SELECT * FROM wrong();
SELECT * FROM togg_check('items_v', true);
DELETE FROM items WHERE id % 4 = 0;
VACUUM items;
SELECT * FROM wrong();
BEGIN;
SELECT put(4001, 4500);
SELECT * FROM wrong();
ROLLBACK;
SELECT put(4501, 6000);
SELECT * FROM wrong();
VACUUM items;
SELECT * FROM wrong();
SELECT * FROM togg_check('items_v', true);

-- VACUUM forgets what changed rows were
CREATE TABLE changed (id int, v real[], a int);
INSERT INTO changed SELECT i, vec(i, 8), i % 1000 FROM generate_series(1, 3000) i;
CREATE INDEX changed_v ON changed USING togg (v, a);
CREATE FUNCTION changed_pages() RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET enable_sort = off AS
$$
BEGIN
	PERFORM id FROM changed WHERE a = 7 ORDER BY v <-> '{1,2,3,4,5,6,7,8}';
	RETURN (SELECT pages FROM togg_last_scan());
END
$$;
SELECT changed_pages() < 100 AS few;
UPDATE changed SET a = 999 - a;
SELECT changed_pages() < 100 AS few;
VACUUM changed;
SELECT changed_pages() < 100 AS few;

-- An index that began empty, of whose rows nothing is known
TRUNCATE items;
SELECT put(1, 1000);
SELECT * FROM wrong();
SELECT * FROM togg_check('items_v', true);
REINDEX INDEX items_v;
SELECT * FROM wrong();

-- Most rows are of one value; all have none
TRUNCATE items;
SELECT put(1, 1000);
UPDATE items SET a = 5 WHERE id > 3;
UPDATE items SET t = NULL, tags = NULL;
REINDEX INDEX items_v;
SELECT * FROM wrong();

-- What the relation cache has of an index goes while a scan begins, in a session
-- of its own that gives so much memory back to the system at once
CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql AS
$$ BEGIN UPDATE pg_class SET reltuples = reltuples WHERE oid = 'wide_v'::regclass; END $$;
CREATE FUNCTION at_most(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN
	IF to_regclass('wide_v') IS NOT NULL THEN PERFORM forget(); END IF;
	RETURN $1 <= $2;
END $$;
CREATE OPERATOR <== (LEFTARG = int, RIGHTARG = int, FUNCTION = at_most);
CREATE OPERATOR CLASS forgetful_ops FOR TYPE int USING togg AS OPERATOR 2 <== (int, int);
CREATE TABLE wide AS SELECT i AS id, array_fill(i::real, '{16000}') AS v FROM generate_series(1, 20) i;
CREATE INDEX wide_v ON wide USING togg (v, id forgetful_ops);
\c -
SET search_path = togg_test, public;
SET jit = off;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM wide WHERE id <== 10 ORDER BY v <-> array_fill(20::real, '{16000}') LIMIT 3;

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
