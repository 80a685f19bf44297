/* togg--0.1.0--0.2.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION togg UPDATE TO '0.2.0'" to load this file. \quit

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

-- What an index has learnt about how large a pool takes which recall

CREATE FUNCTION togg_calibrate(index regclass)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION togg_calibrate(regclass) IS
'learn again how large a pool a togg index needs for a recall';

-- One row for each of two ranks k (10 and 100 rows) and some recalls: the ef
-- that finds the first k rows with that recall.  On the whole of it: when, of
-- how many vertices, how many have come or died since, about, and whether that
-- is enough to calibrate again.  No rows: nothing was learnt.

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
