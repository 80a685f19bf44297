/* togg_pgvector--0.1.0--0.2.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION togg_pgvector UPDATE TO '0.2.0'" to load this file. \quit

-- Taxicab distance of vector and halfvec: see array_l1_ops of togg

CREATE FUNCTION togg_vector_l1_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_vector_l1_ops(internal) IS
'togg support for vector_l1_ops';

CREATE OPERATOR CLASS vector_l1_ops
	FOR TYPE vector USING togg AS
	OPERATOR 1 <+> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (vector, vector) togg_vector_l1_ops(internal);

COMMENT ON OPERATOR CLASS vector_l1_ops USING togg IS
'vector by taxicab distance';

COMMENT ON OPERATOR FAMILY vector_l1_ops USING togg IS
'vector by taxicab distance';

CREATE FUNCTION togg_halfvec_l1_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_halfvec_l1_ops(internal) IS
'togg support for halfvec_l1_ops';

CREATE OPERATOR CLASS halfvec_l1_ops
	FOR TYPE halfvec USING togg AS
	OPERATOR 1 <+> (halfvec, halfvec) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (halfvec, halfvec) togg_halfvec_l1_ops(internal);

COMMENT ON OPERATOR CLASS halfvec_l1_ops USING togg IS
'halfvec by taxicab distance';

COMMENT ON OPERATOR FAMILY halfvec_l1_ops USING togg IS
'halfvec by taxicab distance';

-- bit and varbit by pgvector's operator: number of bits that differ.  All rows
-- and queries of an index have the same number of bits.

CREATE FUNCTION togg_bit_hamming_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_bit_hamming_ops(internal) IS
'togg support for bit_hamming_ops';

CREATE OPERATOR CLASS bit_hamming_ops
	DEFAULT FOR TYPE bit USING togg AS
	OPERATOR 1 <~> (bit, bit) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (bit, bit) togg_bit_hamming_ops(internal);

COMMENT ON OPERATOR CLASS bit_hamming_ops USING togg IS
'bit by Hamming distance';

COMMENT ON OPERATOR FAMILY bit_hamming_ops USING togg IS
'bit by Hamming distance';

-- Stopping at a distance, as togg has it for real[]: the planner adds "v is within
-- the sphere" to WHERE v <-> q < r ORDER BY v <-> q.  It means that the distance
-- from the center, by pgvector's operator, is at most the radius.  NULL if the
-- vector, the center or the radius is; an error if dimensions differ.

CREATE TYPE togg_vector_sphere AS (center vector, radius double precision);

COMMENT ON TYPE togg_vector_sphere IS
'vectors at most so far from a center';

CREATE FUNCTION togg_l2_within(vector, togg_vector_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <-> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_l2_within(vector, togg_vector_sphere) IS
'is the vector within the sphere by Euclidean distance?';

CREATE OPERATOR <-< (
	LEFTARG = vector,
	RIGHTARG = togg_vector_sphere,
	FUNCTION = togg_l2_within
);

COMMENT ON OPERATOR <-< (vector, togg_vector_sphere) IS
'is the vector within the sphere by Euclidean distance?';

ALTER OPERATOR FAMILY vector_l2_ops USING togg ADD
	OPERATOR 2 <-< (vector, togg_vector_sphere);

CREATE FUNCTION togg_ip_within(vector, togg_vector_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <#> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_ip_within(vector, togg_vector_sphere) IS
'is the vector within the sphere by negative inner product?';

CREATE OPERATOR <#< (
	LEFTARG = vector,
	RIGHTARG = togg_vector_sphere,
	FUNCTION = togg_ip_within
);

COMMENT ON OPERATOR <#< (vector, togg_vector_sphere) IS
'is the vector within the sphere by negative inner product?';

ALTER OPERATOR FAMILY vector_ip_ops USING togg ADD
	OPERATOR 2 <#< (vector, togg_vector_sphere);

CREATE FUNCTION togg_cosine_within(vector, togg_vector_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <=> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_cosine_within(vector, togg_vector_sphere) IS
'is the vector within the sphere by cosine distance?';

CREATE OPERATOR <=< (
	LEFTARG = vector,
	RIGHTARG = togg_vector_sphere,
	FUNCTION = togg_cosine_within
);

COMMENT ON OPERATOR <=< (vector, togg_vector_sphere) IS
'is the vector within the sphere by cosine distance?';

ALTER OPERATOR FAMILY vector_cosine_ops USING togg ADD
	OPERATOR 2 <=< (vector, togg_vector_sphere);

CREATE FUNCTION togg_l1_within(vector, togg_vector_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <+> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_l1_within(vector, togg_vector_sphere) IS
'is the vector within the sphere by taxicab distance?';

CREATE OPERATOR <+< (
	LEFTARG = vector,
	RIGHTARG = togg_vector_sphere,
	FUNCTION = togg_l1_within
);

COMMENT ON OPERATOR <+< (vector, togg_vector_sphere) IS
'is the vector within the sphere by taxicab distance?';

ALTER OPERATOR FAMILY vector_l1_ops USING togg ADD
	OPERATOR 2 <+< (vector, togg_vector_sphere);

CREATE TYPE togg_halfvec_sphere AS (center halfvec, radius double precision);

COMMENT ON TYPE togg_halfvec_sphere IS
'vectors of half precision at most so far from a center';

CREATE FUNCTION togg_l2_within(halfvec, togg_halfvec_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <-> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_l2_within(halfvec, togg_halfvec_sphere) IS
'is the vector within the sphere by Euclidean distance?';

CREATE OPERATOR <-< (
	LEFTARG = halfvec,
	RIGHTARG = togg_halfvec_sphere,
	FUNCTION = togg_l2_within
);

COMMENT ON OPERATOR <-< (halfvec, togg_halfvec_sphere) IS
'is the vector within the sphere by Euclidean distance?';

ALTER OPERATOR FAMILY halfvec_l2_ops USING togg ADD
	OPERATOR 2 <-< (halfvec, togg_halfvec_sphere);

CREATE FUNCTION togg_ip_within(halfvec, togg_halfvec_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <#> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_ip_within(halfvec, togg_halfvec_sphere) IS
'is the vector within the sphere by negative inner product?';

CREATE OPERATOR <#< (
	LEFTARG = halfvec,
	RIGHTARG = togg_halfvec_sphere,
	FUNCTION = togg_ip_within
);

COMMENT ON OPERATOR <#< (halfvec, togg_halfvec_sphere) IS
'is the vector within the sphere by negative inner product?';

ALTER OPERATOR FAMILY halfvec_ip_ops USING togg ADD
	OPERATOR 2 <#< (halfvec, togg_halfvec_sphere);

CREATE FUNCTION togg_cosine_within(halfvec, togg_halfvec_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <=> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_cosine_within(halfvec, togg_halfvec_sphere) IS
'is the vector within the sphere by cosine distance?';

CREATE OPERATOR <=< (
	LEFTARG = halfvec,
	RIGHTARG = togg_halfvec_sphere,
	FUNCTION = togg_cosine_within
);

COMMENT ON OPERATOR <=< (halfvec, togg_halfvec_sphere) IS
'is the vector within the sphere by cosine distance?';

ALTER OPERATOR FAMILY halfvec_cosine_ops USING togg ADD
	OPERATOR 2 <=< (halfvec, togg_halfvec_sphere);

CREATE FUNCTION togg_l1_within(halfvec, togg_halfvec_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <+> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_l1_within(halfvec, togg_halfvec_sphere) IS
'is the vector within the sphere by taxicab distance?';

CREATE OPERATOR <+< (
	LEFTARG = halfvec,
	RIGHTARG = togg_halfvec_sphere,
	FUNCTION = togg_l1_within
);

COMMENT ON OPERATOR <+< (halfvec, togg_halfvec_sphere) IS
'is the vector within the sphere by taxicab distance?';

ALTER OPERATOR FAMILY halfvec_l1_ops USING togg ADD
	OPERATOR 2 <+< (halfvec, togg_halfvec_sphere);

CREATE TYPE togg_bit_sphere AS (center pg_catalog."bit", radius double precision);

COMMENT ON TYPE togg_bit_sphere IS
'bit strings at most so far from a center';

CREATE FUNCTION togg_hamming_within(pg_catalog."bit", togg_bit_sphere)
RETURNS boolean
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 10
RETURN $1 <~> ($2).center <= ($2).radius;

COMMENT ON FUNCTION togg_hamming_within(pg_catalog."bit", togg_bit_sphere) IS
'is the vector within the sphere by Hamming distance?';

CREATE OPERATOR <~< (
	LEFTARG = pg_catalog."bit",
	RIGHTARG = togg_bit_sphere,
	FUNCTION = togg_hamming_within
);

COMMENT ON OPERATOR <~< (pg_catalog."bit", togg_bit_sphere) IS
'is the vector within the sphere by Hamming distance?';

ALTER OPERATOR FAMILY bit_hamming_ops USING togg ADD
	OPERATOR 2 <~< (pg_catalog."bit", togg_bit_sphere);
