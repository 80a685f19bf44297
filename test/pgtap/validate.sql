-- amvalidate(): operator classes that are sound, and some that are not.
BEGIN;
SELECT plan(10);

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

SELECT * FROM finish();
ROLLBACK;
