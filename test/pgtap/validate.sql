-- amvalidate(): operator classes that are sound, and some that are not.
BEGIN;
SELECT plan(39);

CREATE FUNCTION valid(name text) RETURNS boolean LANGUAGE SQL AS
$$
	SELECT amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
	WHERE amname = 'togg' AND opcname = name
$$;

SELECT ok(valid(name), name)
FROM unnest(ARRAY['array_l2_ops', 'array_ip_ops', 'array_cosine_ops']) name;

-- From here on, amvalidate() tells the client what it finds: INFO is no error
CREATE OPERATOR CLASS sound_ops FOR TYPE real[] USING togg AS
	OPERATOR 1 <-> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 togg_array_l2_ops(internal);
SELECT ok(valid('sound_ops'), 'one like ours');

CREATE OPERATOR CLASS no_function_ops FOR TYPE real[] USING togg AS
	OPERATOR 1 <-> (real[], real[]) FOR ORDER BY pg_catalog.float_ops;
SELECT ok(NOT valid('no_function_ops'), 'without a support function');

CREATE OPERATOR CLASS no_operator_ops FOR TYPE real[] USING togg AS
	FUNCTION 1 togg_array_l2_ops(internal);
SELECT ok(NOT valid('no_operator_ops'), 'without an operator');

CREATE OPERATOR CLASS strategy_ops FOR TYPE real[] USING togg AS
	OPERATOR 2 <-> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 togg_array_l2_ops(internal);
SELECT ok(NOT valid('strategy_ops'), 'with a strategy that there is not');

CREATE OPERATOR CLASS search_ops FOR TYPE real[] USING togg AS
	OPERATOR 1 = (anyarray, anyarray),
	FUNCTION 1 togg_array_l2_ops(internal);
SELECT ok(NOT valid('search_ops'), 'with an operator to search by');

CREATE FUNCTION whole_distance(real[], real[]) RETURNS integer
LANGUAGE SQL IMMUTABLE STRICT AS $$ SELECT l2_distance($1, $2)::integer $$;
CREATE OPERATOR <~> (LEFTARG = real[], RIGHTARG = real[], FUNCTION = whole_distance);
CREATE OPERATOR CLASS result_ops FOR TYPE real[] USING togg AS
	OPERATOR 1 <~> (real[], real[]) FOR ORDER BY pg_catalog.integer_ops,
	FUNCTION 1 togg_array_l2_ops(internal);
SELECT ok(NOT valid('result_ops'), 'with distances that are no double precision');

CREATE OPERATOR CLASS signature_ops FOR TYPE real[] USING togg AS
	OPERATOR 1 <-> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (real[], real[]) vector_dims(real[]);
SELECT ok(NOT valid('signature_ops'), 'with a support function of SQL');

-- Stopping at a distance
CREATE OPERATOR CLASS within_ops FOR TYPE real[] USING togg AS
	OPERATOR 1 <-> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	OPERATOR 2 <-< (real[], togg_sphere),
	FUNCTION 1 (real[], real[]) togg_array_l2_ops(internal);
SELECT ok(valid('within_ops'), 'with an operator of spheres');
CREATE TYPE pair AS (center real[], radius real);
CREATE FUNCTION within_pair(real[], pair) RETURNS boolean LANGUAGE SQL IMMUTABLE STRICT AS $$ SELECT true $$;
CREATE OPERATOR <-< (LEFTARG = real[], RIGHTARG = pair, FUNCTION = within_pair);
CREATE OPERATOR CLASS pair_ops FOR TYPE real[] USING togg AS
	OPERATOR 1 <-> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	OPERATOR 2 <-< (real[], pair),
	FUNCTION 1 (real[], real[]) togg_array_l2_ops(internal);
SELECT ok(NOT valid('pair_ops'), 'with an operator of something else');

-- Classes to filter by
SELECT ok(valid(opcname::text), opcname::text)
FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE amname = 'togg' AND opcintype <> 'real[]'::regtype ORDER BY opcname;
CREATE OPERATOR CLASS mac_ops FOR TYPE macaddr USING togg AS OPERATOR 3 =;
SELECT ok(valid('mac_ops'), 'one operator is enough');
CREATE OPERATOR CLASS jsonb_ops FOR TYPE jsonb USING togg AS OPERATOR 3 =;
SELECT ok(valid('jsonb_ops'), 'without a fixed length, equality');
CREATE OPERATOR CLASS text_less_ops FOR TYPE text USING togg AS OPERATOR 1 <, OPERATOR 3 =;
SELECT ok(NOT valid('text_less_ops'), 'and no more');
CREATE OPERATOR CLASS text_name_ops FOR TYPE text USING togg AS
	OPERATOR 3 =, OPERATOR 3 = (text, name);
SELECT ok(NOT valid('text_name_ops'), 'of the same type');
CREATE OPERATOR CLASS array_equal_ops FOR TYPE text[] USING togg AS OPERATOR 3 = (anyarray, anyarray);
SELECT ok(NOT valid('array_equal_ops'), 'not of arrays');
CREATE OPERATOR CLASS not_ops FOR TYPE integer USING togg AS OPERATOR 6 <>;
SELECT ok(NOT valid('not_ops'), 'a strategy that is for arrays');
CREATE OPERATOR CLASS point_ops FOR TYPE point USING togg AS
	OPERATOR 1 <-> (point, point) FOR ORDER BY pg_catalog.float_ops;
SELECT ok(NOT valid('point_ops'), 'a distance without vectors');
CREATE OPERATOR CLASS empty_ops FOR TYPE integer USING togg AS STORAGE integer;
SELECT ok(NOT valid('empty_ops'), 'no operator');

SELECT * FROM finish();
ROLLBACK;
