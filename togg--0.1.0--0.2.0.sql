/* togg--0.1.0--0.2.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION togg UPDATE TO '0.2.0'" to load this file. \quit

-- Taxicab distance of real[].  The graph ranks by Euclidean distance, which
-- the nearest by the one and by the other mostly share, and rows are returned
-- by taxicab distance.

CREATE FUNCTION togg_array_l1_ops(internal)
RETURNS internal
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_array_l1_ops(internal) IS
'togg support for array_l1_ops';

CREATE OPERATOR CLASS array_l1_ops
	FOR TYPE real[] USING togg AS
	OPERATOR 1 <+> (real[], real[]) FOR ORDER BY pg_catalog.float_ops,
	FUNCTION 1 (real[], real[]) togg_array_l1_ops(internal);

COMMENT ON OPERATOR CLASS array_l1_ops USING togg IS
'real[] by taxicab distance';

COMMENT ON OPERATOR FAMILY array_l1_ops USING togg IS
'real[] by taxicab distance';

-- rows: number of rows, of different vectors; those of equal vectors take less.
-- dimensions: of the vectors, 1 to 16000.
-- options: as in WITH, in the form that pg_class.reloptions has them,
-- '{m=32,graph=hnsw}'.
--
-- Returns bytes: with maintenance_work_mem of as much, a build keeps all rows in
-- memory.  It depends on max_parallel_maintenance_workers, a little.
--
-- Errors: 22023 for a negative number of rows, for dimensions or options out of
-- range; 22003 if the result is.
CREATE FUNCTION togg_estimate_build_memory(
	rows bigint,
	dimensions integer,
	options text[] DEFAULT '{}')
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION togg_estimate_build_memory(bigint, integer, text[]) IS
'bytes of maintenance_work_mem that building a togg index takes to keep all rows in memory';
