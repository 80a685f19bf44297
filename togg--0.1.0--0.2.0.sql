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
