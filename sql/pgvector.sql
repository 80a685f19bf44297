-- pgvector's types: operator classes, the statements of its users, formats.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
SET client_min_messages = warning;
CREATE EXTENSION togg_pgvector SCHEMA public CASCADE;
RESET client_min_messages;
\set ECHO all

-- A pool as large as the tables, so that no search overlooks a row
SET togg.ef_search = 1000;

-- Operator classes have the names of pgvector's own
SELECT opcname, opcintype::regtype, opcdefault, amvalidate(c.oid),
	   EXISTS (SELECT FROM pg_opclass h JOIN pg_am a ON a.oid = h.opcmethod
			   WHERE amname = 'hnsw' AND (h.opcname, h.opcintype) = (c.opcname, c.opcintype)) AS "as hnsw"
FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE amname = 'togg' AND opcintype <> 'real[]'::regtype AND
	  EXISTS (SELECT FROM pg_amproc WHERE amprocfamily = opcfamily)
ORDER BY 1;

-- and order by its operators
SELECT opfname, amopopr::regoperator
FROM pg_amop JOIN pg_opfamily f ON f.oid = amopfamily JOIN pg_am a ON a.oid = amopmethod
WHERE amname = 'togg' AND amoplefttype <> 'real[]'::regtype AND amoppurpose = 'o'
ORDER BY 1;

-- Every statement that makes an hnsw index makes one of togg; only what is the
-- default there need not be said any more
CREATE TABLE items (id int PRIMARY KEY, category int, embedding vector(3), half halfvec(3));
INSERT INTO items SELECT i, i % 3, vec(i, 3)::vector, vec(i, 3)::halfvec FROM generate_series(1, 300) i;
CREATE FUNCTION one_word_changed(statement text)
RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
	definition text;
	definitions text[] := '{}';
BEGIN
	FOREACH statement IN ARRAY ARRAY[statement, replace(statement, 'hnsw', 'togg')] LOOP
		EXECUTE statement;
		SELECT pg_get_indexdef(indexrelid) INTO definition
		FROM pg_index WHERE indrelid = 'items'::regclass AND NOT indisprimary;
		EXECUTE format('DROP INDEX %s', substring(definition FROM 'INDEX (\S+)'));
		definitions := definitions || definition;
	END LOOP;
	RETURN CASE WHEN regexp_replace(replace(definitions[1], 'hnsw', 'togg'), ' \w+_(l2|hamming)_ops', '') <> definitions[2]
		   THEN definitions[1] || ' became ' ELSE '' END || definitions[2];
END
$$;
SELECT one_word_changed(statement) FROM unnest(ARRAY[
	'CREATE INDEX ON items USING hnsw (embedding vector_l2_ops)',
	'CREATE INDEX ON items USING hnsw (embedding vector_ip_ops)',
	'CREATE INDEX ON items USING hnsw (embedding vector_cosine_ops)',
	'CREATE INDEX ON items USING hnsw (embedding vector_l1_ops)',
	'CREATE INDEX ON items USING hnsw (half halfvec_l2_ops)',
	'CREATE INDEX ON items USING hnsw (half halfvec_ip_ops)',
	'CREATE INDEX ON items USING hnsw (half halfvec_cosine_ops)',
	'CREATE INDEX ON items USING hnsw (half halfvec_l1_ops)',
	'CREATE INDEX ON items USING hnsw (embedding vector_l2_ops) WITH (m = 16, ef_construction = 64)',
	'CREATE INDEX ON items USING hnsw (embedding vector_l2_ops) WITH (m = 2, ef_construction = 4)',
	'CREATE INDEX ON items USING hnsw (embedding vector_l2_ops) WITH (m = 100, ef_construction = 1000)',
	'CREATE INDEX ON items USING hnsw (embedding vector_l2_ops) WHERE category = 1',
	'CREATE INDEX ON items USING hnsw ((embedding::halfvec(3)) halfvec_l2_ops)',
	'CREATE INDEX ON items USING hnsw ((subvector(embedding, 1, 2)::vector(2)) vector_cosine_ops)',
	'CREATE INDEX ON items USING hnsw ((binary_quantize(embedding)::bit(3)) bit_hamming_ops)',
	'CREATE INDEX named ON items USING hnsw (embedding vector_l2_ops)']) AS statement;

-- What hnsw has and togg has not
CREATE INDEX ON items USING togg ((binary_quantize(embedding)::bit(3)) bit_jaccard_ops);
CREATE INDEX ON items USING togg ((embedding::sparsevec(3)) sparsevec_l2_ops);
CREATE INDEX ON items USING togg ((embedding::sparsevec(3)));
-- and the reverse: a default operator class
CREATE INDEX items_embedding ON items USING togg (embedding);
CREATE INDEX items_half ON items USING togg (half);
SELECT indexdef FROM pg_indexes WHERE tablename = 'items' ORDER BY 1;
SELECT dimensions, metric, storage, rows FROM togg_index_info('items_embedding');
SELECT dimensions, metric, storage, rows FROM togg_index_info('items_half');

-- Rows in the order of each operator; NULL and zero vectors are rows, too
SET enable_seqscan = off;
CREATE FUNCTION nearest(type text)
RETURNS TABLE (op text, nearest text, unranked bigint, of_null bigint, of_zero bigint, after_truncate bigint)
LANGUAGE plpgsql AS
$$
DECLARE
	class text;
BEGIN
	EXECUTE format('CREATE TABLE few (val %s(3))', type);
	FOR op, class IN VALUES ('<->', 'l2'), ('<#>', 'ip'), ('<=>', 'cosine'), ('<+>', 'l1') LOOP
		INSERT INTO few VALUES ('[0,0,0]'), ('[1,2,3]'), ('[1,1,1]'), (NULL);
		EXECUTE format('CREATE INDEX few_val ON few USING togg (val %s_%s_ops)', type, class);
		INSERT INTO few VALUES ('[1,2,4]');
		EXECUTE format('SELECT string_agg(val::text, '' '') FROM '
					   '(SELECT * FROM few ORDER BY val %s ''[3,3,3]'') s', op) INTO nearest;
		unranked := (SELECT i.unranked FROM togg_index_info('few_val') i);
		EXECUTE format('SELECT count(*) FROM (SELECT * FROM few ORDER BY val %s (SELECT NULL::%s)) s',
					   op, type) INTO of_null;
		EXECUTE format('SELECT count(*) FROM (SELECT * FROM few ORDER BY val %s ''[0,0,0]'') s',
					   op) INTO of_zero;
		TRUNCATE few;
		EXECUTE format('SELECT count(*) FROM (SELECT * FROM few ORDER BY val %s ''[3,3,3]'') s',
					   op) INTO after_truncate;
		DROP INDEX few_val;
		RETURN NEXT;
	END LOOP;
	DROP TABLE few;
END
$$;
SELECT * FROM nearest('vector');
SELECT * FROM nearest('halfvec');
RESET enable_seqscan;

-- The index serves its operator on its type, not another
SELECT plan($$SELECT id FROM items ORDER BY embedding <-> '[1,2,3]' LIMIT 3$$);
SET enable_seqscan = off;
SELECT plan($$SELECT id FROM items ORDER BY '[1,2,3]' <-> half LIMIT 3$$);
SELECT plan($$SELECT id FROM items ORDER BY embedding <=> '[1,2,3]' LIMIT 3$$);
SELECT plan($$SELECT id FROM items ORDER BY embedding <-> '{1,2,3}'::real[] LIMIT 3$$);

-- Prepared, with a plan of its own and with one for all, and by a cursor
PREPARE nearest_half(halfvec, int) AS SELECT id FROM items ORDER BY half <-> $1 LIMIT $2;
SET plan_cache_mode = force_generic_plan;
SELECT plan($$EXECUTE nearest_half('[1,2,3]', 3)$$);
EXECUTE nearest_half('[9,2,3]', 3);
EXECUTE nearest_half('[1,2,3]', 1);
EXECUTE nearest_half('[1,2]', 1);
EXECUTE nearest_half(NULL, 0);
SET plan_cache_mode = force_custom_plan;
SELECT plan($$EXECUTE nearest_half('[1,2,3]', 3)$$);
EXECUTE nearest_half('[9,2,3]', 3);
RESET plan_cache_mode;
BEGIN;
DECLARE by_distance CURSOR FOR SELECT id FROM items ORDER BY embedding <-> '[9,2,3]';
FETCH 2 FROM by_distance;
FETCH 1 FROM by_distance;
MOVE ALL FROM by_distance;
COMMIT;

-- By expression: any width
CREATE TABLE wide (id int, v vector(4500));
INSERT INTO wide SELECT i, vec(i, 4500)::vector FROM generate_series(1, 60) i;
CREATE INDEX wide_v ON wide USING togg ((v::halfvec(4500)) halfvec_cosine_ops);
SELECT dimensions, storage, rows FROM togg_index_info('wide_v');
SELECT compare(format('SELECT id, v::halfvec(4500) <=> %L::halfvec(4500) FROM wide ORDER BY 2', v))
FROM wide WHERE id = 33;
DROP TABLE wide;
CREATE TABLE widest (id int, v halfvec(16000));
INSERT INTO widest SELECT i, vec(i, 16000)::halfvec FROM generate_series(1, 10) i;
CREATE INDEX widest_v ON widest USING togg (v);
INSERT INTO widest SELECT i, vec(i, 16000)::halfvec FROM generate_series(11, 15) i;
SELECT compare(format('SELECT id, v <-> %L FROM widest ORDER BY 2', v)) FROM widest WHERE id IN (3, 14);
SELECT count(*) FROM togg_check('widest_v', true);
DROP TABLE widest;

-- A column without dimensions takes those of the first row
CREATE TABLE loose (id int, v vector);
CREATE INDEX loose_v ON loose USING togg (v);
SELECT dimensions FROM togg_index_info('loose_v');
INSERT INTO loose VALUES (1, NULL), (2, '[1,2,3]');
SELECT dimensions FROM togg_index_info('loose_v');
INSERT INTO loose VALUES (3, '[1,2]');
SELECT id FROM loose ORDER BY v <-> '[1,2]';
SELECT id FROM loose ORDER BY v <-> '[1,2,3]';
DROP INDEX loose_v;
INSERT INTO loose VALUES (3, '[1,2]');
CREATE INDEX loose_v ON loose USING togg (v);
CREATE INDEX loose_2 ON loose USING togg ((v::vector(2))) WHERE vector_dims(v) = 2;
CREATE INDEX loose_3 ON loose USING togg ((v::vector(3))) WHERE vector_dims(v) = 3;
SELECT id FROM loose WHERE vector_dims(v) = 2 ORDER BY v::vector(2) <-> '[1,3]';
DROP TABLE loose;

-- Values that are stored in all ways: compressed, out of the row, in it, with a
-- short header
CREATE TABLE stored (id int, v halfvec(2000), w vector(2));
ALTER TABLE stored ALTER v SET STORAGE EXTENDED;
INSERT INTO stored SELECT i, array_fill((i % 20)::real, '{2000}')::halfvec, vec(i, 2)::vector FROM generate_series(1, 40) i;
ALTER TABLE stored ALTER v SET STORAGE EXTERNAL;
INSERT INTO stored SELECT 40 + i, array_fill((i % 20)::real, '{2000}')::halfvec, vec(i, 2)::vector FROM generate_series(1, 40) i;
ALTER TABLE stored ALTER v SET STORAGE PLAIN;
INSERT INTO stored SELECT 80 + i, array_fill((i % 20)::real, '{2000}')::halfvec, vec(i, 2)::vector FROM generate_series(1, 40) i;
SELECT DISTINCT pg_column_size(v) < 2000 AS compressed, pg_column_size(w) FROM stored ORDER BY 1, 2;
CREATE INDEX stored_v ON stored USING togg (v);
CREATE INDEX stored_w ON stored USING togg (w vector_ip_ops);
INSERT INTO stored SELECT id + 120, v, w FROM stored;
SELECT rows, vertices FROM togg_index_info('stored_v');
SELECT compare('SELECT id, v <-> (SELECT v FROM stored WHERE id = 7) FROM stored ORDER BY 2');
SELECT compare('SELECT id, w <#> (SELECT w FROM stored WHERE id = 7) FROM stored ORDER BY 2');
DROP TABLE stored;

-- COPY in both formats, into an index and out by it
CREATE TABLE copied (LIKE items);
CREATE INDEX copied_embedding ON copied USING togg (embedding);
CREATE INDEX copied_half ON copied USING togg (half halfvec_cosine_ops);
\getenv abs_builddir PG_ABS_BUILDDIR
\set text :abs_builddir '/results/pgvector.txt'
\set binary :abs_builddir '/results/pgvector.bin'
COPY items TO :'text';
COPY items TO :'binary' (FORMAT binary);
COPY copied FROM :'text';
SELECT compare('SELECT id, embedding <-> ''[3,1,2]'' FROM copied ORDER BY 2');
TRUNCATE copied;
COPY copied FROM :'binary' (FORMAT binary);
SELECT compare('SELECT id, embedding <-> ''[3,1,2]'' FROM copied ORDER BY 2');
SELECT compare('SELECT id, half <=> ''[3,1,2]'' FROM copied ORDER BY 2');
SET enable_sort = off;
COPY (SELECT id, embedding FROM copied ORDER BY half <=> '[3,1,2]' LIMIT 1) TO STDOUT;
RESET enable_sort;
SELECT * FROM togg_check('copied_embedding', true) UNION ALL SELECT * FROM togg_check('copied_half', true);

-- Writing
UPDATE copied SET embedding = vec(id + 1000, 3)::vector WHERE id % 3 = 0;
UPDATE copied SET category = 7 WHERE id % 5 = 0;
DELETE FROM copied WHERE id % 4 = 0;
VACUUM copied;
INSERT INTO copied SELECT id + 1000, 0, embedding, half FROM items WHERE id <= 30;
INSERT INTO copied VALUES (2000, 0, NULL, '[0,0,0]');
SELECT compare('SELECT id, embedding <-> ''[3,1,2]'' FROM copied ORDER BY 2');
SELECT compare('SELECT id, half <=> ''[3,1,2]'' FROM copied ORDER BY 2');
SELECT * FROM togg_check('copied_embedding', true) UNION ALL SELECT * FROM togg_check('copied_half', true);

-- A layout that is not known, as of a later pgvector, is refused
CREATE CAST (bytea AS vector) WITHOUT FUNCTION;
CREATE CAST (bytea AS halfvec) WITHOUT FUNCTION;
CREATE FUNCTION try(value bytea, type text)
RETURNS text LANGUAGE plpgsql AS
$$
DECLARE
	message text;
	detail text;
BEGIN
	EXECUTE format('CREATE TABLE strange (v %s)', type);
	EXECUTE format('INSERT INTO strange SELECT %L::bytea::%s', value, type);
	CREATE INDEX ON strange USING togg (v);
	DROP TABLE strange;
	RETURN 'understood';
EXCEPTION WHEN feature_not_supported THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN message || '; ' || detail;
END
$$;
-- the bytes are those of a little-endian machine
SELECT what, try(value, 'vector') AS vector, try(value, 'halfvec') AS halfvec FROM (VALUES
	('2 x 4 bytes', '\x02000000 0000803f 0000803f'::bytea),
	('4 x 2 bytes', '\x04000000 003c003c 003c003c'),
	('a reserved field in use', '\x02000100 0000803f 0000803f'),
	('one dimension too many', '\x05000000 0000803f 0000803f'),
	('no dimensions', '\x00000000'),
	('fewer than none', '\xfeff0000 0000803f 0000803f'),
	('no header', '\x0200'),
	('nothing', '\x')) AS v(what, value);
CREATE TABLE strange (v vector);
CREATE INDEX ON strange USING togg (v);
INSERT INTO strange SELECT '\x02000100 0000803f 0000803f'::bytea::vector;
\set VERBOSITY terse
SELECT * FROM items ORDER BY embedding <-> (SELECT '\x03000100 0000803f 0000803f 0000803f'::bytea::vector);
\set VERBOSITY default
DROP TABLE strange;

-- Unlogged and temporary tables
CREATE UNLOGGED TABLE unlogged AS SELECT * FROM items;
CREATE INDEX ON unlogged USING togg (half halfvec_ip_ops);
SELECT compare('SELECT id, half <#> ''[3,1,2]'' FROM unlogged ORDER BY 2');
CREATE TEMP TABLE temporary AS SELECT * FROM items;
CREATE INDEX ON temporary USING togg (embedding vector_cosine_ops);
SELECT compare('SELECT id, embedding <=> ''[3,1,2]'' FROM temporary ORDER BY 2');

-- The extension goes as it came: with its operator classes their indexes, and
-- nothing else
\set VERBOSITY terse
DROP EXTENSION togg_pgvector;
SET client_min_messages = warning;
DROP EXTENSION togg_pgvector CASCADE;
SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam WHERE amname = 'togg';
SELECT count(*) FROM items;
DROP EXTENSION vector CASCADE;
