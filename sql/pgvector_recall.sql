-- togg_recall() on the types of pgvector, with their own operators.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
SET client_min_messages = warning;
CREATE EXTENSION togg_pgvector SCHEMA public CASCADE;
RESET client_min_messages;
\set ECHO all

CREATE TABLE items (id int, v vector(8), h halfvec(8));
INSERT INTO items SELECT i, a::vector, a::vector::halfvec FROM generate_series(1, 2000) i, LATERAL (SELECT vec(i, 8)) s(a);
CREATE TABLE asked AS SELECT vec(-i, 8)::vector AS v FROM generate_series(1, 50) i;
CREATE FUNCTION try(column_and_class text, queries text)
RETURNS TABLE (asked int, of int, few boolean, "all" boolean, calibrated boolean) LANGUAGE plpgsql AS
$$
BEGIN
	EXECUTE format('CREATE INDEX other ON items USING togg (%s)', column_and_class);
	SELECT r.asked, r.recall < 1 INTO asked, few
	FROM togg_recall('other', queries => queries, ef_search => '{10}') r;
	SELECT r.asked, r.recall = 1 INTO of, "all" FROM togg_recall('other', queries => queries, ef_search => '{250}') r;
	SELECT count(*) = 18 INTO calibrated FROM togg_calibration('other');
	DROP INDEX other;
	RETURN NEXT;
END
$$;
SELECT * FROM try('v', 'SELECT v FROM asked');
SELECT * FROM try('v vector_cosine_ops', 'SELECT v FROM asked');
SELECT * FROM try('h', 'SELECT v::halfvec FROM asked');
SELECT * FROM try('h halfvec_cosine_ops', 'SELECT v::halfvec FROM asked');
SELECT * FROM try('(v::halfvec(8)) halfvec_l2_ops', 'SELECT v::halfvec FROM asked');
SELECT * FROM try('v', NULL);
SELECT * FROM try('h halfvec_cosine_ops', NULL);
SELECT * FROM try('h', 'SELECT v FROM asked');

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
DROP EXTENSION vector CASCADE;
