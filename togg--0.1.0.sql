/* togg--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION togg" to load this file. \quit

-- Vectors as real[]: functions

CREATE FUNCTION l2_distance(real[], real[])
RETURNS double precision
AS 'MODULE_PATHNAME', 'togg_l2_distance'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION l2_distance(real[], real[]) IS
'Euclidean distance';

CREATE FUNCTION inner_product(real[], real[])
RETURNS double precision
AS 'MODULE_PATHNAME', 'togg_inner_product'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION inner_product(real[], real[]) IS
'inner product';

CREATE FUNCTION negative_inner_product(real[], real[])
RETURNS double precision
AS 'MODULE_PATHNAME', 'togg_negative_inner_product'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION negative_inner_product(real[], real[]) IS
'inner product with its sign changed, so that the best match is the least';

CREATE FUNCTION cosine_distance(real[], real[])
RETURNS double precision
AS 'MODULE_PATHNAME', 'togg_cosine_distance'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION cosine_distance(real[], real[]) IS
'cosine distance, 0 to 2; NaN if one of the vectors is zero';

CREATE FUNCTION l1_distance(real[], real[])
RETURNS double precision
AS 'MODULE_PATHNAME', 'togg_l1_distance'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION l1_distance(real[], real[]) IS
'taxicab distance';

CREATE FUNCTION l2_normalize(real[])
RETURNS real[]
AS 'MODULE_PATHNAME', 'togg_l2_normalize'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION l2_normalize(real[]) IS
'vector of the same direction and of length 1';

CREATE FUNCTION vector_norm(real[])
RETURNS double precision
AS 'MODULE_PATHNAME', 'togg_vector_norm'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION vector_norm(real[]) IS
'Euclidean length';

CREATE FUNCTION vector_dims(real[])
RETURNS integer
AS 'MODULE_PATHNAME', 'togg_vector_dims'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION vector_dims(real[]) IS
'number of dimensions';

-- Vectors as real[]: operators

CREATE OPERATOR <-> (
	LEFTARG = real[],
	RIGHTARG = real[],
	FUNCTION = l2_distance,
	COMMUTATOR = <->
);

COMMENT ON OPERATOR <-> (real[], real[]) IS
'Euclidean distance';

CREATE OPERATOR <#> (
	LEFTARG = real[],
	RIGHTARG = real[],
	FUNCTION = negative_inner_product,
	COMMUTATOR = <#>
);

COMMENT ON OPERATOR <#> (real[], real[]) IS
'negative inner product';

CREATE OPERATOR <=> (
	LEFTARG = real[],
	RIGHTARG = real[],
	FUNCTION = cosine_distance,
	COMMUTATOR = <=>
);

COMMENT ON OPERATOR <=> (real[], real[]) IS
'cosine distance';

CREATE OPERATOR <+> (
	LEFTARG = real[],
	RIGHTARG = real[],
	FUNCTION = l1_distance,
	COMMUTATOR = <+>
);

COMMENT ON OPERATOR <+> (real[], real[]) IS
'taxicab distance';

-- The access method

CREATE FUNCTION togg_handler(internal)
RETURNS index_am_handler
AS 'MODULE_PATHNAME'
LANGUAGE C;

COMMENT ON FUNCTION togg_handler(internal) IS
'togg index access method handler';

CREATE ACCESS METHOD togg TYPE INDEX HANDLER togg_handler;

COMMENT ON ACCESS METHOD togg IS
'togg index access method';

-- Operator classes: support function 1 tells the access method how to read
-- a value and which metric ranks values

CREATE FUNCTION togg_array_l2_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_array_l2_ops(internal) IS
'togg support for array_l2_ops';

CREATE FUNCTION togg_array_ip_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_array_ip_ops(internal) IS
'togg support for array_ip_ops';

CREATE FUNCTION togg_array_cosine_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_array_cosine_ops(internal) IS
'togg support for array_cosine_ops';

CREATE OPERATOR CLASS array_l2_ops
	DEFAULT FOR TYPE real[] USING togg AS
	OPERATOR 1 <-> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (real[], real[]) togg_array_l2_ops(internal);

COMMENT ON OPERATOR CLASS array_l2_ops USING togg IS
'real[] by Euclidean distance';

COMMENT ON OPERATOR FAMILY array_l2_ops USING togg IS
'real[] by Euclidean distance';

CREATE OPERATOR CLASS array_ip_ops
	FOR TYPE real[] USING togg AS
	OPERATOR 1 <#> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (real[], real[]) togg_array_ip_ops(internal);

COMMENT ON OPERATOR CLASS array_ip_ops USING togg IS
'real[] by inner product';

COMMENT ON OPERATOR FAMILY array_ip_ops USING togg IS
'real[] by inner product';

CREATE OPERATOR CLASS array_cosine_ops
	FOR TYPE real[] USING togg AS
	OPERATOR 1 <=> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (real[], real[]) togg_array_cosine_ops(internal);

COMMENT ON OPERATOR CLASS array_cosine_ops USING togg IS
'real[] by cosine distance';

COMMENT ON OPERATOR FAMILY array_cosine_ops USING togg IS
'real[] by cosine distance';

-- What an index holds, what a scan did, and whether an index is sound.
-- None may run in a parallel worker: indexes of temporary tables are read by
-- their own session only, and so is the account of its last scan.

CREATE FUNCTION togg_index_info(
	index regclass,
	OUT format_version integer,
	OUT dimensions integer,
	OUT metric text,
	OUT storage text,
	OUT bits integer,
	OUT degree integer,
	OUT graph text,
	OUT guide text,
	OUT vertices bigint,
	OUT dead bigint,
	OUT free_slots bigint,
	OUT rows bigint,
	OUT unranked bigint,
	OUT pages bigint,
	OUT bytes_per_row double precision,
	OUT mean_degree double precision,
	OUT stale_lists bigint,
	OUT lists_clustered bigint,
	OUT last_clustered timestamp with time zone)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION togg_index_info(regclass) IS
'format, contents and size of a togg index';

CREATE FUNCTION togg_last_scan(
	OUT rows bigint,
	OUT hops bigint,
	OUT pages bigint,
	OUT distances bigint,
	OUT estimates bigint,
	OUT stage1_hops bigint,
	OUT widenings integer,
	OUT sweep boolean)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION togg_last_scan() IS
'work done by the last togg index scan of this session';

CREATE FUNCTION togg_check(
	index regclass,
	heapallindexed boolean DEFAULT false)
RETURNS TABLE (block bigint, slot integer, finding text)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION togg_check(regclass, boolean) IS
'findings of a check of a togg index; no rows if it is sound';

-- A check reads the whole index and, if asked to, the whole table.
REVOKE EXECUTE ON FUNCTION togg_check(regclass, boolean) FROM PUBLIC;

CREATE FUNCTION togg_cluster(index regclass)
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION togg_cluster(regclass) IS
'cluster the neighbour lists of a togg index that have changed; how many there were';
