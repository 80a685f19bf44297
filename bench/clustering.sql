-- clustering.sql
--	What clustering lists again buys an index that has grown tenfold by
--	inserts: counters of searches before and after, beside a new index.
--
-- By a superuser, in a database of its own with the extension, on a server of
-- the same machine:
--
--	psql -v base="perl $PWD/test/copy-vectors.pl DIR/words50k/base.f16bin.gz" \
--		 -v query="perl $PWD/test/copy-vectors.pl DIR/words50k/query.f16bin" \
--		 -v options="bits = 2" -v width=1 -f bench/clustering.sql
--
-- width is togg.stage1_width; options are those of the indexes.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET togg.stage1_width = :width;
CREATE TABLE base (id int PRIMARY KEY, embedding real[]);
CREATE TABLE query (id int PRIMARY KEY, embedding real[]);
ALTER TABLE base ALTER embedding SET STORAGE EXTERNAL;
SELECT format('COPY base FROM PROGRAM %L', :'base'), format('COPY query FROM PROGRAM %L', :'query') \gexec

-- Distance of each query's tenth neighbour
CREATE TABLE truth AS
SELECT query.id, query.embedding, tenth.distance
FROM query, LATERAL (
	SELECT max(d) AS distance FROM (
		SELECT base.embedding <=> query.embedding AS d FROM base ORDER BY d LIMIT 10) AS nearest) AS tenth;

-- Recall of the ten nearest, and the mean cost of a search
CREATE FUNCTION measure(data regclass, routing text, ef int)
RETURNS TABLE (recall numeric, hops numeric, pages numeric, distances numeric, stage1_hops numeric)
LANGUAGE plpgsql AS
$$
DECLARE
	one record;
	found bigint;
	found_all bigint := 0;
	n int := 0;
	scan record;
	sums numeric[] := '{0,0,0,0}';
BEGIN
	PERFORM set_config('togg.ef_search', ef::text, true), set_config('togg.routing', routing, true),
			set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
	FOR one IN SELECT * FROM truth LOOP
		EXECUTE format('SELECT count(*) FROM (SELECT embedding <=> $1 AS d FROM %s
						ORDER BY embedding <=> $1 LIMIT 10) AS nearest WHERE d <= $2', data)
			INTO found USING one.embedding, one.distance;
		SELECT * INTO scan FROM togg_last_scan();
		found_all := found_all + found;
		n := n + 1;
		sums := ARRAY[sums[1] + scan.hops, sums[2] + scan.pages, sums[3] + scan.distances, sums[4] + scan.stage1_hops];
	END LOOP;
	RETURN QUERY SELECT round(found_all / (10.0 * n), 4), round(sums[1] / n, 1), round(sums[2] / n, 1),
						round(sums[3] / n, 1), round(sums[4] / n, 1);
END
$$;
CREATE FUNCTION sweep(data regclass)
RETURNS TABLE (routing text, ef int, recall numeric, hops numeric, pages numeric, distances numeric, stage1_hops numeric)
LANGUAGE sql AS
$$
	SELECT r, e, measured.*
	FROM (VALUES ('two_stage', 40), ('two_stage', 80), ('two_stage', 160), ('greedy', 80), ('guided', 80), ('guided', 160))
		 AS runs (r, e), LATERAL measure(data, r, e) AS measured
$$;

\echo a new index
CREATE INDEX base_idx ON base USING togg (embedding array_cosine_ops) WITH (:options);
SELECT * FROM sweep('base');

SET togg.clustering_workers = off;
CREATE TABLE grown (LIKE base INCLUDING STORAGE);
INSERT INTO grown SELECT * FROM base ORDER BY hashint4(id) LIMIT (SELECT count(*) / 10 FROM base);
CREATE INDEX grown_idx ON grown USING togg (embedding array_cosine_ops) WITH (:options);
SELECT pg_current_wal_lsn() AS start \gset
INSERT INTO grown SELECT * FROM base WHERE id NOT IN (SELECT id FROM grown) ORDER BY hashint4(id);
\echo grown from a tenth of the rows by inserts
SELECT vertices, stale_lists, pg_wal_lsn_diff(pg_current_wal_lsn(), :'start') / (vertices * 0.9) AS wal_bytes_per_insert
FROM togg_index_info('grown_idx');
SELECT * FROM sweep('grown');

\echo clustered
\timing on
SELECT pg_current_wal_lsn() AS start, togg_cluster('grown_idx') AS lists \gset
\timing off
SELECT :lists AS lists, pg_wal_lsn_diff(pg_current_wal_lsn(), :'start') / :lists AS wal_bytes_per_list;
SELECT * FROM sweep('grown');
