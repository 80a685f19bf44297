/* togg_pgvector--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION togg_pgvector" to load this file. \quit

-- Names of operator classes are those that pgvector's own access methods have.
-- Operators are pgvector's; support function 1 tells how to read a value and
-- which metric ranks values.

-- vector

CREATE FUNCTION togg_vector_l2_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_vector_l2_ops(internal) IS
'togg support for vector_l2_ops';

CREATE FUNCTION togg_vector_ip_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_vector_ip_ops(internal) IS
'togg support for vector_ip_ops';

CREATE FUNCTION togg_vector_cosine_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_vector_cosine_ops(internal) IS
'togg support for vector_cosine_ops';

CREATE OPERATOR CLASS vector_l2_ops
	DEFAULT FOR TYPE vector USING togg AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (vector, vector) togg_vector_l2_ops(internal);

COMMENT ON OPERATOR CLASS vector_l2_ops USING togg IS
'vector by Euclidean distance';

COMMENT ON OPERATOR FAMILY vector_l2_ops USING togg IS
'vector by Euclidean distance';

CREATE OPERATOR CLASS vector_ip_ops
	FOR TYPE vector USING togg AS
	OPERATOR 1 <#> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (vector, vector) togg_vector_ip_ops(internal);

COMMENT ON OPERATOR CLASS vector_ip_ops USING togg IS
'vector by inner product';

COMMENT ON OPERATOR FAMILY vector_ip_ops USING togg IS
'vector by inner product';

CREATE OPERATOR CLASS vector_cosine_ops
	FOR TYPE vector USING togg AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (vector, vector) togg_vector_cosine_ops(internal);

COMMENT ON OPERATOR CLASS vector_cosine_ops USING togg IS
'vector by cosine distance';

COMMENT ON OPERATOR FAMILY vector_cosine_ops USING togg IS
'vector by cosine distance';

-- halfvec

CREATE FUNCTION togg_halfvec_l2_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_halfvec_l2_ops(internal) IS
'togg support for halfvec_l2_ops';

CREATE FUNCTION togg_halfvec_ip_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_halfvec_ip_ops(internal) IS
'togg support for halfvec_ip_ops';

CREATE FUNCTION togg_halfvec_cosine_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_halfvec_cosine_ops(internal) IS
'togg support for halfvec_cosine_ops';

CREATE OPERATOR CLASS halfvec_l2_ops
	DEFAULT FOR TYPE halfvec USING togg AS
	OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (halfvec, halfvec) togg_halfvec_l2_ops(internal);

COMMENT ON OPERATOR CLASS halfvec_l2_ops USING togg IS
'halfvec by Euclidean distance';

COMMENT ON OPERATOR FAMILY halfvec_l2_ops USING togg IS
'halfvec by Euclidean distance';

CREATE OPERATOR CLASS halfvec_ip_ops
	FOR TYPE halfvec USING togg AS
	OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (halfvec, halfvec) togg_halfvec_ip_ops(internal);

COMMENT ON OPERATOR CLASS halfvec_ip_ops USING togg IS
'halfvec by inner product';

COMMENT ON OPERATOR FAMILY halfvec_ip_ops USING togg IS
'halfvec by inner product';

CREATE OPERATOR CLASS halfvec_cosine_ops
	FOR TYPE halfvec USING togg AS
	OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (halfvec, halfvec) togg_halfvec_cosine_ops(internal);

COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING togg IS
'halfvec by cosine distance';

COMMENT ON OPERATOR FAMILY halfvec_cosine_ops USING togg IS
'halfvec by cosine distance';
