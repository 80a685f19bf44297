-- bit and varbit by Hamming distance, pgvector's operator on PostgreSQL's types.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
SET client_min_messages = warning;
CREATE EXTENSION togg_pgvector SCHEMA public CASCADE;
RESET client_min_messages;
\set ECHO all

-- The bit string numbered n
CREATE FUNCTION bits(n bigint, length int) RETURNS varbit LANGUAGE sql IMMUTABLE AS
$$ SELECT string_agg((e > 0)::int::text, '' ORDER BY i)::varbit FROM unnest(vec(n, length)) WITH ORDINALITY u(e, i) $$;

-- Rows in order, NULL last, and nothing but its own operator
CREATE TABLE few (val bit(3));
INSERT INTO few VALUES (B'000'), (B'100'), (B'111'), (NULL);
CREATE INDEX few_val ON few USING togg (val bit_hamming_ops);
INSERT INTO few VALUES (B'110');
SET enable_seqscan = off;
SELECT val, val <~> B'111' AS distance FROM few ORDER BY 2;
SELECT count(*) FROM (SELECT * FROM few ORDER BY val <~> (SELECT NULL::bit)) s;
SELECT plan($$SELECT * FROM few ORDER BY val <~> B'111'$$);
SELECT plan($$SELECT * FROM few ORDER BY val <%> B'111'$$);
SELECT dimensions, metric, storage, rows, unranked FROM togg_index_info('few_val');
TRUNCATE few;
SELECT * FROM few ORDER BY val <~> B'111';

-- Lengths: those of the first row, of 1 to 16,000 bits
INSERT INTO few VALUES (B'000');
SELECT * FROM few ORDER BY val <~> B'1111';
RESET enable_seqscan;
CREATE TABLE strings (val varbit);
CREATE INDEX strings_val ON strings USING togg (val bit_hamming_ops);
INSERT INTO strings VALUES (B'');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO strings VALUES (B'101');
INSERT INTO strings VALUES (B'1010');
DROP INDEX strings_val;
INSERT INTO strings VALUES (B'1010');
CREATE INDEX ON strings USING togg (val bit_hamming_ops);
CREATE INDEX ON strings USING togg ((val::bit(3)));
CREATE TABLE long (val bit(16001));
CREATE INDEX long_val ON long USING togg (val bit_hamming_ops);
INSERT INTO long VALUES (B'1'::bit(16001));
\echo :LAST_ERROR_SQLSTATE
DROP TABLE long, strings;

-- Any number of bits, whole bytes or not, built and inserted: in the order of
-- the operator's distances, many of which are equal
CREATE FUNCTION compare_all(length int, type text DEFAULT 'bit(%s)')
RETURNS TABLE (storage text, bits int, own text, other text, each_once text, findings bigint)
LANGUAGE plpgsql AS
$$
DECLARE
	query text := 'SELECT id, v <~> %L FROM items ORDER BY 2';
BEGIN
	EXECUTE format('CREATE TABLE items (id int, v %s)', format(type, length));
	INSERT INTO items SELECT i, bits(i, length) FROM generate_series(1, 200) i;
	CREATE INDEX items_v ON items USING togg (v bit_hamming_ops);
	INSERT INTO items SELECT i, bits(i, length) FROM generate_series(201, 300) i;
	SELECT i.storage, i.bits INTO storage, bits FROM togg_index_info('items_v') i;
	each_once := compare(format(query, bits(1000, length)), false);
	SET LOCAL togg.ef_search = 1000;
	own := compare(format(query, bits(250, length)));
	other := compare(format(query, bits(1000, length)));
	findings := (SELECT count(*) FROM togg_check('items_v', true));
	DROP TABLE items;
	RETURN NEXT;
END
$$;
SELECT length, c.* FROM unnest(ARRAY[1, 7, 8, 9, 64, 257, 1024]) AS length, compare_all(length) c;
SELECT * FROM compare_all(100, 'varbit');

-- The farthest there is: all bits of the most
CREATE TABLE longest (id int, v bit(16000));
INSERT INTO longest VALUES (1, repeat('0', 16000)::varbit), (2, repeat('1', 16000)::varbit),
	(3, repeat('01', 8000)::varbit), (4, '1'::bit(16000));
CREATE INDEX longest_v ON longest USING togg (v);
SET enable_seqscan = off;
SELECT id, v <~> repeat('0', 16000)::varbit AS distance FROM longest ORDER BY v <~> repeat('0', 16000)::varbit;
RESET enable_seqscan;
DROP TABLE longest;

-- Signs of a vector's elements
CREATE TABLE items (id int, v vector(64));
INSERT INTO items SELECT i, vec(i, 64)::vector FROM generate_series(1, 500) i;
CREATE INDEX items_signs ON items USING togg ((binary_quantize(v)::bit(64)) bit_hamming_ops);
SET togg.ef_search = 1000;
SELECT compare(format('SELECT id, binary_quantize(v)::bit(64) <~> binary_quantize(%L::vector) FROM items ORDER BY 2', v))
FROM items WHERE id IN (7, 77);
RESET togg.ef_search;

SET client_min_messages = warning;
DROP EXTENSION vector CASCADE;
