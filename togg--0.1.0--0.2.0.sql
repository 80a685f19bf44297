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

-- Filter columns: operator classes for the columns of an index after the
-- vector.
--
-- CREATE INDEX ON items USING togg (embedding, tenant_id, created_at);
--
-- A class lists the operators that a scan may test, by the numbers that btree
-- gives them: 1 <, 2 <=, 3 =, 4 >=, 5 >.  It needs no function.  A type of a
-- fixed length is one CREATE OPERATOR CLASS away; one without needs a default
-- hash operator class, and can have = alone, as only a hash is kept.

CREATE OPERATOR FAMILY integer_ops USING togg;

COMMENT ON OPERATOR FAMILY integer_ops USING togg IS
'integers, compared with each other';

CREATE OPERATOR CLASS int2_ops
DEFAULT FOR TYPE smallint USING togg FAMILY integer_ops AS
	OPERATOR 1 < (smallint, smallint),
	OPERATOR 2 <= (smallint, smallint),
	OPERATOR 3 = (smallint, smallint),
	OPERATOR 4 >= (smallint, smallint),
	OPERATOR 5 > (smallint, smallint);

COMMENT ON OPERATOR CLASS int2_ops USING togg IS
'filter by a column of type smallint';

CREATE OPERATOR CLASS int4_ops
DEFAULT FOR TYPE integer USING togg FAMILY integer_ops AS
	OPERATOR 1 < (integer, integer),
	OPERATOR 2 <= (integer, integer),
	OPERATOR 3 = (integer, integer),
	OPERATOR 4 >= (integer, integer),
	OPERATOR 5 > (integer, integer);

COMMENT ON OPERATOR CLASS int4_ops USING togg IS
'filter by a column of type integer';

CREATE OPERATOR CLASS int8_ops
DEFAULT FOR TYPE bigint USING togg FAMILY integer_ops AS
	OPERATOR 1 < (bigint, bigint),
	OPERATOR 2 <= (bigint, bigint),
	OPERATOR 3 = (bigint, bigint),
	OPERATOR 4 >= (bigint, bigint),
	OPERATOR 5 > (bigint, bigint);

COMMENT ON OPERATOR CLASS int8_ops USING togg IS
'filter by a column of type bigint';

ALTER OPERATOR FAMILY integer_ops USING togg ADD
	OPERATOR 1 < (smallint, integer),
	OPERATOR 2 <= (smallint, integer),
	OPERATOR 3 = (smallint, integer),
	OPERATOR 4 >= (smallint, integer),
	OPERATOR 5 > (smallint, integer),
	OPERATOR 1 < (smallint, bigint),
	OPERATOR 2 <= (smallint, bigint),
	OPERATOR 3 = (smallint, bigint),
	OPERATOR 4 >= (smallint, bigint),
	OPERATOR 5 > (smallint, bigint),
	OPERATOR 1 < (integer, smallint),
	OPERATOR 2 <= (integer, smallint),
	OPERATOR 3 = (integer, smallint),
	OPERATOR 4 >= (integer, smallint),
	OPERATOR 5 > (integer, smallint),
	OPERATOR 1 < (integer, bigint),
	OPERATOR 2 <= (integer, bigint),
	OPERATOR 3 = (integer, bigint),
	OPERATOR 4 >= (integer, bigint),
	OPERATOR 5 > (integer, bigint),
	OPERATOR 1 < (bigint, smallint),
	OPERATOR 2 <= (bigint, smallint),
	OPERATOR 3 = (bigint, smallint),
	OPERATOR 4 >= (bigint, smallint),
	OPERATOR 5 > (bigint, smallint),
	OPERATOR 1 < (bigint, integer),
	OPERATOR 2 <= (bigint, integer),
	OPERATOR 3 = (bigint, integer),
	OPERATOR 4 >= (bigint, integer),
	OPERATOR 5 > (bigint, integer);

CREATE OPERATOR FAMILY float_ops USING togg;

COMMENT ON OPERATOR FAMILY float_ops USING togg IS
'floating point numbers, compared with each other';

CREATE OPERATOR CLASS float4_ops
DEFAULT FOR TYPE real USING togg FAMILY float_ops AS
	OPERATOR 1 < (real, real),
	OPERATOR 2 <= (real, real),
	OPERATOR 3 = (real, real),
	OPERATOR 4 >= (real, real),
	OPERATOR 5 > (real, real);

COMMENT ON OPERATOR CLASS float4_ops USING togg IS
'filter by a column of type real';

CREATE OPERATOR CLASS float8_ops
DEFAULT FOR TYPE double precision USING togg FAMILY float_ops AS
	OPERATOR 1 < (double precision, double precision),
	OPERATOR 2 <= (double precision, double precision),
	OPERATOR 3 = (double precision, double precision),
	OPERATOR 4 >= (double precision, double precision),
	OPERATOR 5 > (double precision, double precision);

COMMENT ON OPERATOR CLASS float8_ops USING togg IS
'filter by a column of type double precision';

ALTER OPERATOR FAMILY float_ops USING togg ADD
	OPERATOR 1 < (real, double precision),
	OPERATOR 2 <= (real, double precision),
	OPERATOR 3 = (real, double precision),
	OPERATOR 4 >= (real, double precision),
	OPERATOR 5 > (real, double precision),
	OPERATOR 1 < (double precision, real),
	OPERATOR 2 <= (double precision, real),
	OPERATOR 3 = (double precision, real),
	OPERATOR 4 >= (double precision, real),
	OPERATOR 5 > (double precision, real);

CREATE OPERATOR FAMILY datetime_ops USING togg;

COMMENT ON OPERATOR FAMILY datetime_ops USING togg IS
'dates and times of day, compared with each other';

CREATE OPERATOR CLASS date_ops
DEFAULT FOR TYPE date USING togg FAMILY datetime_ops AS
	OPERATOR 1 < (date, date),
	OPERATOR 2 <= (date, date),
	OPERATOR 3 = (date, date),
	OPERATOR 4 >= (date, date),
	OPERATOR 5 > (date, date);

COMMENT ON OPERATOR CLASS date_ops USING togg IS
'filter by a column of type date';

CREATE OPERATOR CLASS timestamp_ops
DEFAULT FOR TYPE timestamp USING togg FAMILY datetime_ops AS
	OPERATOR 1 < (timestamp, timestamp),
	OPERATOR 2 <= (timestamp, timestamp),
	OPERATOR 3 = (timestamp, timestamp),
	OPERATOR 4 >= (timestamp, timestamp),
	OPERATOR 5 > (timestamp, timestamp);

COMMENT ON OPERATOR CLASS timestamp_ops USING togg IS
'filter by a column of type timestamp';

CREATE OPERATOR CLASS timestamptz_ops
DEFAULT FOR TYPE timestamptz USING togg FAMILY datetime_ops AS
	OPERATOR 1 < (timestamptz, timestamptz),
	OPERATOR 2 <= (timestamptz, timestamptz),
	OPERATOR 3 = (timestamptz, timestamptz),
	OPERATOR 4 >= (timestamptz, timestamptz),
	OPERATOR 5 > (timestamptz, timestamptz);

COMMENT ON OPERATOR CLASS timestamptz_ops USING togg IS
'filter by a column of type timestamptz';

ALTER OPERATOR FAMILY datetime_ops USING togg ADD
	OPERATOR 1 < (date, timestamp),
	OPERATOR 2 <= (date, timestamp),
	OPERATOR 3 = (date, timestamp),
	OPERATOR 4 >= (date, timestamp),
	OPERATOR 5 > (date, timestamp),
	OPERATOR 1 < (date, timestamptz),
	OPERATOR 2 <= (date, timestamptz),
	OPERATOR 3 = (date, timestamptz),
	OPERATOR 4 >= (date, timestamptz),
	OPERATOR 5 > (date, timestamptz),
	OPERATOR 1 < (timestamp, date),
	OPERATOR 2 <= (timestamp, date),
	OPERATOR 3 = (timestamp, date),
	OPERATOR 4 >= (timestamp, date),
	OPERATOR 5 > (timestamp, date),
	OPERATOR 1 < (timestamp, timestamptz),
	OPERATOR 2 <= (timestamp, timestamptz),
	OPERATOR 3 = (timestamp, timestamptz),
	OPERATOR 4 >= (timestamp, timestamptz),
	OPERATOR 5 > (timestamp, timestamptz),
	OPERATOR 1 < (timestamptz, date),
	OPERATOR 2 <= (timestamptz, date),
	OPERATOR 3 = (timestamptz, date),
	OPERATOR 4 >= (timestamptz, date),
	OPERATOR 5 > (timestamptz, date),
	OPERATOR 1 < (timestamptz, timestamp),
	OPERATOR 2 <= (timestamptz, timestamp),
	OPERATOR 3 = (timestamptz, timestamp),
	OPERATOR 4 >= (timestamptz, timestamp),
	OPERATOR 5 > (timestamptz, timestamp);

CREATE OPERATOR CLASS bool_ops
DEFAULT FOR TYPE boolean USING togg AS
	OPERATOR 1 < (boolean, boolean),
	OPERATOR 2 <= (boolean, boolean),
	OPERATOR 3 = (boolean, boolean),
	OPERATOR 4 >= (boolean, boolean),
	OPERATOR 5 > (boolean, boolean);

COMMENT ON OPERATOR CLASS bool_ops USING togg IS
'filter by a column of type boolean';

COMMENT ON OPERATOR FAMILY bool_ops USING togg IS
'filter by a column of type boolean';

CREATE OPERATOR CLASS oid_ops
DEFAULT FOR TYPE oid USING togg AS
	OPERATOR 1 < (oid, oid),
	OPERATOR 2 <= (oid, oid),
	OPERATOR 3 = (oid, oid),
	OPERATOR 4 >= (oid, oid),
	OPERATOR 5 > (oid, oid);

COMMENT ON OPERATOR CLASS oid_ops USING togg IS
'filter by a column of type oid';

COMMENT ON OPERATOR FAMILY oid_ops USING togg IS
'filter by a column of type oid';

CREATE OPERATOR CLASS time_ops
DEFAULT FOR TYPE time USING togg AS
	OPERATOR 1 < (time, time),
	OPERATOR 2 <= (time, time),
	OPERATOR 3 = (time, time),
	OPERATOR 4 >= (time, time),
	OPERATOR 5 > (time, time);

COMMENT ON OPERATOR CLASS time_ops USING togg IS
'filter by a column of type time';

COMMENT ON OPERATOR FAMILY time_ops USING togg IS
'filter by a column of type time';

CREATE OPERATOR CLASS interval_ops
DEFAULT FOR TYPE interval USING togg AS
	OPERATOR 1 < (interval, interval),
	OPERATOR 2 <= (interval, interval),
	OPERATOR 3 = (interval, interval),
	OPERATOR 4 >= (interval, interval),
	OPERATOR 5 > (interval, interval);

COMMENT ON OPERATOR CLASS interval_ops USING togg IS
'filter by a column of type interval';

COMMENT ON OPERATOR FAMILY interval_ops USING togg IS
'filter by a column of type interval';

CREATE OPERATOR CLASS uuid_ops
DEFAULT FOR TYPE uuid USING togg AS
	OPERATOR 1 < (uuid, uuid),
	OPERATOR 2 <= (uuid, uuid),
	OPERATOR 3 = (uuid, uuid),
	OPERATOR 4 >= (uuid, uuid),
	OPERATOR 5 > (uuid, uuid);

COMMENT ON OPERATOR CLASS uuid_ops USING togg IS
'filter by a column of type uuid';

COMMENT ON OPERATOR FAMILY uuid_ops USING togg IS
'filter by a column of type uuid';

CREATE OPERATOR CLASS enum_ops
DEFAULT FOR TYPE anyenum USING togg AS
	OPERATOR 1 < (anyenum, anyenum),
	OPERATOR 2 <= (anyenum, anyenum),
	OPERATOR 3 = (anyenum, anyenum),
	OPERATOR 4 >= (anyenum, anyenum),
	OPERATOR 5 > (anyenum, anyenum);

COMMENT ON OPERATOR CLASS enum_ops USING togg IS
'filter by a column of any enum type';

COMMENT ON OPERATOR FAMILY enum_ops USING togg IS
'filter by a column of any enum type';

CREATE OPERATOR CLASS text_ops
DEFAULT FOR TYPE text USING togg AS
	OPERATOR 3 = (text, text);

COMMENT ON OPERATOR CLASS text_ops USING togg IS
'filter by a column of type text, kept as a hash';

COMMENT ON OPERATOR FAMILY text_ops USING togg IS
'filter by a column of type text, kept as a hash';

CREATE OPERATOR CLASS bpchar_ops
DEFAULT FOR TYPE character USING togg AS
	OPERATOR 3 = (character, character);

COMMENT ON OPERATOR CLASS bpchar_ops USING togg IS
'filter by a column of type character, kept as a hash';

COMMENT ON OPERATOR FAMILY bpchar_ops USING togg IS
'filter by a column of type character, kept as a hash';

CREATE OPERATOR CLASS numeric_ops
DEFAULT FOR TYPE numeric USING togg AS
	OPERATOR 3 = (numeric, numeric);

COMMENT ON OPERATOR CLASS numeric_ops USING togg IS
'filter by a column of type numeric, kept as a hash';

COMMENT ON OPERATOR FAMILY numeric_ops USING togg IS
'filter by a column of type numeric, kept as a hash';

CREATE OPERATOR CLASS inet_ops
DEFAULT FOR TYPE inet USING togg AS
	OPERATOR 3 = (inet, inet);

COMMENT ON OPERATOR CLASS inet_ops USING togg IS
'filter by a column of type inet, kept as a hash';

COMMENT ON OPERATOR FAMILY inet_ops USING togg IS
'filter by a column of type inet, kept as a hash';

CREATE OPERATOR CLASS array_ops
DEFAULT FOR TYPE anyarray USING togg AS
	OPERATOR 6 && (anyarray, anyarray),
	OPERATOR 7 @> (anyarray, anyarray);

COMMENT ON OPERATOR CLASS array_ops USING togg IS
'filter by an array, kept as a signature of its elements';

COMMENT ON OPERATOR FAMILY array_ops USING togg IS
'filter by an array, kept as a signature of its elements';

-- Stopping at a distance: WHERE v <-> q < r ORDER BY v <-> q.  The planner adds
-- "v is within the sphere" to such a scan by itself; there is no need to write
-- it.  It means that the distance from the center is at most the radius.  NULL
-- if the vector, the center or the radius is; an error if dimensions differ.

CREATE TYPE togg_sphere AS (center real[], radius double precision);

COMMENT ON TYPE togg_sphere IS
'vectors at most so far from a center';

CREATE FUNCTION togg_l2_within(real[], togg_sphere)
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION togg_l2_within(real[], togg_sphere) IS
'is the vector within the sphere by Euclidean distance?';

CREATE OPERATOR <-< (
	LEFTARG = real[],
	RIGHTARG = togg_sphere,
	FUNCTION = togg_l2_within
);

COMMENT ON OPERATOR <-< (real[], togg_sphere) IS
'is the vector within the sphere by Euclidean distance?';

ALTER OPERATOR FAMILY array_l2_ops USING togg ADD
	OPERATOR 2 <-< (real[], togg_sphere);

CREATE FUNCTION togg_ip_within(real[], togg_sphere)
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION togg_ip_within(real[], togg_sphere) IS
'is the vector within the sphere by negative inner product?';

CREATE OPERATOR <#< (
	LEFTARG = real[],
	RIGHTARG = togg_sphere,
	FUNCTION = togg_ip_within
);

COMMENT ON OPERATOR <#< (real[], togg_sphere) IS
'is the vector within the sphere by negative inner product?';

ALTER OPERATOR FAMILY array_ip_ops USING togg ADD
	OPERATOR 2 <#< (real[], togg_sphere);

CREATE FUNCTION togg_cosine_within(real[], togg_sphere)
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION togg_cosine_within(real[], togg_sphere) IS
'is the vector within the sphere by cosine distance?';

CREATE OPERATOR <=< (
	LEFTARG = real[],
	RIGHTARG = togg_sphere,
	FUNCTION = togg_cosine_within
);

COMMENT ON OPERATOR <=< (real[], togg_sphere) IS
'is the vector within the sphere by cosine distance?';

ALTER OPERATOR FAMILY array_cosine_ops USING togg ADD
	OPERATOR 2 <=< (real[], togg_sphere);

CREATE FUNCTION togg_l1_within(real[], togg_sphere)
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;

COMMENT ON FUNCTION togg_l1_within(real[], togg_sphere) IS
'is the vector within the sphere by taxicab distance?';

CREATE OPERATOR <+< (
	LEFTARG = real[],
	RIGHTARG = togg_sphere,
	FUNCTION = togg_l1_within
);

COMMENT ON OPERATOR <+< (real[], togg_sphere) IS
'is the vector within the sphere by taxicab distance?';

ALTER OPERATOR FAMILY array_l1_ops USING togg ADD
	OPERATOR 2 <+< (real[], togg_sphere);

-- How well an index finds the nearest.  One row for each ef_search, or for the
-- settings in force: of the true k nearest of each query, the share that the
-- index finds (0 to 1; NULL if there are none), and the averages of what a query
-- costs; ms is the time inside the index scan.  queries is a SELECT of one
-- column of the index's type, run with the caller's rights, of which the first
-- rows are taken, as many as sample says; NULL for vectors of the index, each as
-- if it were not there.  Reads the whole table once.  Errors: no right to SELECT
-- from the table, or row-level security; k not within 1 to 1000, sample not
-- within 1 to 10000.

CREATE FUNCTION togg_recall(
	index regclass,
	k integer DEFAULT 10,
	sample integer DEFAULT 100,
	queries text DEFAULT NULL,
	ef_search integer[] DEFAULT NULL)
RETURNS TABLE (
	ef integer,
	asked integer,
	recall double precision,
	hops double precision,
	pages double precision,
	distances double precision,
	ms double precision)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION togg_recall(regclass, integer, integer, text, integer[]) IS
'recall of a togg index, and what its searches cost';

-- togg_index_info() tells when the index was calibrated, NULL if it never was, and
-- whether so much has changed since that it should be calibrated again.  A function
-- that returns more has to be made anew: views on it must be dropped first.

DROP FUNCTION togg_index_info(regclass);

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
	OUT last_clustered timestamp with time zone,
	OUT calibrated timestamp with time zone,
	OUT calibration_stale boolean)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION togg_index_info(regclass) IS
'format, contents and size of a togg index';

-- What an index has learnt about how large a pool takes which recall

CREATE FUNCTION togg_calibrate(index regclass)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION togg_calibrate(regclass) IS
'learn again how large a pool a togg index needs for a recall';

-- One row for each of two ranks k (10 and 100 rows) and some recalls: the ef
-- that finds the first k rows with that recall.  On the whole of it: when, of
-- how many vertices, how many have come, died or had their lists clustered since,
-- about, and whether that is enough to calibrate again.  No rows: nothing was learnt.

CREATE FUNCTION togg_calibration(index regclass)
RETURNS TABLE (
	k integer,
	recall double precision,
	ef integer,
	calibrated timestamp with time zone,
	vertices bigint,
	changed bigint,
	stale boolean)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION togg_calibration(regclass) IS
'how large a pool a togg index needs for a recall, as far as it has learnt';

-- Learn the options stage1_width and pool_growth by which searches are fastest
-- at equal recall, and set them if they are faster than those in force.  One row
-- for each recall: options, pools, recall and cost before and after, on queries
-- held out; after is as before where nothing better was found.  Cost is
-- milliseconds of search, or, given a seed, vertices visited: then the result is
-- the same each time, and budget is of no meaning.  queries: as in
-- togg_recall().  Errors: not the owner; on a standby or in a read-only
-- transaction; fewer than 32 queries; recalls not within 0 to 0.9999; k not
-- within 1 to 1000.

CREATE FUNCTION togg_tune(
	index regclass,
	recalls double precision[] DEFAULT '{0.9,0.95,0.99}',
	k integer DEFAULT 10,
	queries text DEFAULT NULL,
	budget interval DEFAULT '60 s',
	seed bigint DEFAULT NULL)
RETURNS TABLE (
	target double precision,
	before text,
	after text,
	ef_before integer,
	ef_after integer,
	recall_before double precision,
	recall_after double precision,
	cost_before double precision,
	cost_after double precision)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION togg_tune(regclass, double precision[], integer, text, interval, bigint) IS
'learn the fastest search options of a togg index, and set them';

-- Learn by which options an index of a column should be built: on a sample of
-- the table, by building indexes and asking them.  One row for each that was
-- built, the recommended one first, then by speed: the command that makes it;
-- whether it is recommended; options that are not defaults; seconds that the
-- build took, and bytes, both of the sample; how many times as fast as default
-- options it answers at equal recall, on the average of the recalls; the same on
-- queries held out, for the best alone.
--
-- opclass: NULL for the default one.  sample: rows, 1,000 to 1,000,000.  budget:
-- of time, which building the first and the last may exceed.  max_seconds,
-- max_bytes: what is recommended takes no more than so many times what default
-- options take, at least 1.  With a seed, the same result each time: a measure
-- of work stands for the time of queries, that of builds is not looked at, and
-- budget is of no meaning.  recalls, k: as in togg_tune().
--
-- Works in a table of its own in the schema of "table", which is gone
-- afterwards, within maintenance_work_mem.  Errors: no right to SELECT the column
-- or to create in the schema; row-level security; on a standby or in a read-only
-- transaction; fewer than 1,000 vectors.
CREATE FUNCTION togg_tune_build(
	"table" regclass,
	"column" name,
	opclass text DEFAULT NULL,
	sample integer DEFAULT 50000,
	budget interval DEFAULT '10 min',
	recalls double precision[] DEFAULT '{0.9,0.95,0.99}',
	k integer DEFAULT 10,
	max_seconds double precision DEFAULT 2,
	max_bytes double precision DEFAULT 1.5,
	seed bigint DEFAULT NULL)
RETURNS TABLE (
	command text,
	recommended boolean,
	options text,
	build_seconds double precision,
	bytes bigint,
	speed double precision,
	speed_held_out double precision)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION togg_tune_build(regclass, name, text, integer, interval, double precision[], integer, double precision, double precision, bigint) IS
'learn the fastest options for building a togg index';

-- What is counted of each index, by all sessions: see togg_stat, which names the
-- columns.
CREATE FUNCTION togg_stat_get(
	index oid,
	OUT scans bigint,
	OUT rows_returned bigint,
	OUT hops bigint,
	OUT pages bigint,
	OUT distances bigint,
	OUT widenings bigint,
	OUT sweeps bigint,
	OUT worker_runs bigint,
	OUT sampled timestamp with time zone,
	OUT sample_k integer,
	OUT sample_queries integer,
	OUT target_recall double precision,
	OUT recall double precision,
	OUT calibrated timestamp with time zone,
	OUT calibration_stale boolean,
	OUT stale_lists bigint,
	OUT counted_since timestamp with time zone)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION togg_stat_get(oid) IS
'what is counted of a togg index';

-- A row for each togg index of the database, as in pg_stat_all_indexes, for
-- everybody.
--
-- Sums since counted_since, of queries that have come to their end in
-- transactions that have ended, but not those of togg_recall() and togg_tune():
-- scans; rows_returned; hops (vertices expanded), pages (accesses to the
-- index's), exact distances computed; widenings (continued with a larger pool)
-- and sweeps (the whole index read).  mean_*: of a scan.  worker_runs: of
-- background workers that found something to do.
-- Of the last togg_recall() that was asked without ef_search: when, for how many
-- rows of how many queries, target_recall in force (NULL: none), recall found.
-- Of the index, as it is now: when its calibration was made, how long that is
-- ago, whether enough has changed since to renew it; how many neighbour lists
-- wait for clustering, estimated from a hundred.  NULL while the index is locked
-- against readers, or has no pages here.
--
-- Counts are in shared memory, and begin anew with each start of the server.
-- Before PostgreSQL 17 that takes togg in shared_preload_libraries; without,
-- counted_since and all counts are NULL.  Of temporary indexes nothing is
-- counted.  Of more than about 2,000 indexes the ones longest unused are
-- forgotten, and begin anew.
CREATE VIEW togg_stat AS
SELECT t.oid AS relid,
	   i.oid AS indexrelid,
	   n.nspname AS schemaname,
	   t.relname,
	   i.relname AS indexrelname,
	   s.scans,
	   s.rows_returned,
	   s.hops,
	   s.pages,
	   s.distances,
	   s.widenings,
	   s.sweeps,
	   s.hops::double precision / nullif(s.scans, 0)::double precision AS mean_hops,
	   s.pages::double precision / nullif(s.scans, 0)::double precision AS mean_pages,
	   s.distances::double precision / nullif(s.scans, 0)::double precision AS mean_distances,
	   s.sampled,
	   s.sample_k,
	   s.sample_queries,
	   s.target_recall,
	   s.recall,
	   s.calibrated,
	   clock_timestamp() - s.calibrated AS calibration_age,
	   s.calibration_stale,
	   s.stale_lists,
	   s.worker_runs,
	   s.counted_since
FROM pg_catalog.pg_am a
	 JOIN pg_catalog.pg_class i ON i.relam = a.oid AND i.relkind = 'i'
	 JOIN pg_catalog.pg_index x ON x.indexrelid = i.oid
	 JOIN pg_catalog.pg_class t ON t.oid = x.indrelid
	 JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
	 CROSS JOIN LATERAL togg_stat_get(i.oid) s
WHERE a.amname = 'togg';

COMMENT ON VIEW togg_stat IS
'what searches of each togg index cost, and what state it is in';

GRANT SELECT ON togg_stat TO PUBLIC;

-- Begin to count anew: one index, or by default all of the database.  For
-- superusers and those whom they grant it, as pg_stat_reset().
CREATE FUNCTION togg_stat_reset(index regclass DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION togg_stat_reset(regclass) IS
'begin to count anew what togg_stat shows';

REVOKE EXECUTE ON FUNCTION togg_stat_reset(regclass) FROM PUBLIC;
