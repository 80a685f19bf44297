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
