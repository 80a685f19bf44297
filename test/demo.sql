--
-- demo.sql
--	What test/demo shows, in 80 columns.  The tables "words" (most frequent
--	first) and "queries" (other words) are loaded; psql prints bare values.
--

SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET plan_cache_mode = force_generic_plan;
VACUUM ANALYZE words;
VACUUM ANALYZE queries;

\echo
SELECT format('%s words, %s dimensions, cosine distance',
			  to_char(count(*), 'FM999,999'), min(cardinality(embedding)))
FROM words;

--
-- The index
--

\echo
\echo 'CREATE INDEX ON words USING togg (embedding array_cosine_ops);'
SELECT clock_timestamp() AS start \gset
CREATE INDEX ON words USING togg (embedding array_cosine_ops);
SELECT format('  built in %s s, %s KB = %s bytes a row (the table has %s KB)',
			  round(extract(epoch FROM clock_timestamp() - :'start')::numeric, 2),
			  pg_relation_size('words_embedding_idx') / 1024,
			  pg_relation_size('words_embedding_idx') / count(*),
			  pg_relation_size('words') / 1024)
FROM words;

-- The same query twice.  Which plan the first one takes is for the planner to
-- say, the second one must read every row.
CREATE FUNCTION nearest_by_index(query real[]) RETURNS int[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN ARRAY(SELECT id FROM words ORDER BY embedding <=> query LIMIT 10);
END $$;

CREATE FUNCTION nearest_by_scan(query real[]) RETURNS int[]
LANGUAGE plpgsql STABLE SET enable_indexscan = off AS $$
BEGIN
	RETURN ARRAY(SELECT id FROM words ORDER BY embedding <=> query LIMIT 10);
END $$;

--
-- Nearest words of some words, other than the word itself
--

\echo
SELECT format('  %-12s%-16s%8s      %-16s%8s', '', 'by index', 'distance',
			  'by seq. scan', 'distance');
WITH
	asked AS (
		SELECT place, words.*
		FROM unnest('{paris,queen,violin,thirty}'::text[])
			 WITH ORDINALITY AS list (word, place)
		JOIN words USING (word)),
	answers AS (
		SELECT place, asked.word AS asked, method, answer.word,
			   to_char(asked.embedding <=> answer.embedding, '0.0000') AS distance,
			   row_number() OVER (PARTITION BY place, method ORDER BY rank) AS rank
		FROM asked,
			 LATERAL (VALUES ('index', nearest_by_index(asked.embedding)),
							 ('scan', nearest_by_scan(asked.embedding)))
					 AS result (method, ids),
			 LATERAL unnest(ids) WITH ORDINALITY AS found (id, rank)
		JOIN words AS answer USING (id)
		WHERE answer.id <> asked.id)
SELECT format('  %-12s%-16s%8s      %-16s%8s',
			  CASE WHEN rank = 1 THEN by_index.asked ELSE '' END,
			  by_index.word, by_index.distance, by_scan.word, by_scan.distance)
FROM (SELECT * FROM answers WHERE method = 'index') AS by_index
FULL JOIN (SELECT * FROM answers WHERE method = 'scan') AS by_scan
	USING (place, rank)
WHERE rank <= 4
ORDER BY place, rank;

--
-- Recall and time of 100 words that are not in the table
--

CREATE TABLE exact AS
	SELECT id, nearest_by_scan(embedding) AS ids FROM queries;

-- Recall against the exact answers and mean milliseconds, of the method that
-- "nearest" names.  The times are the second pass's, when all is cached.
CREATE FUNCTION measure(nearest text, ef int, OUT recall numeric, OUT ms numeric)
LANGUAGE plpgsql AS $$
DECLARE
	query queries;
	start timestamptz;
	hits int := 0;
BEGIN
	IF ef IS NOT NULL THEN
		PERFORM set_config('togg.ef_search', ef::text, true);
	END IF;
	FOR pass IN 1..2 LOOP
		ms := 0;
		FOR query IN SELECT * FROM queries LOOP
			start := clock_timestamp();
			IF nearest = 'index' THEN
				PERFORM nearest_by_index(query.embedding);
			ELSE
				PERFORM nearest_by_scan(query.embedding);
			END IF;
			ms := ms + extract(epoch FROM clock_timestamp() - start) * 1000;
		END LOOP;
	END LOOP;
	FOR query IN SELECT * FROM queries LOOP
		hits := hits + (
			SELECT count(*)
			FROM exact, unnest(exact.ids) AS wanted
			WHERE exact.id = query.id AND wanted = ANY (
				CASE nearest WHEN 'index' THEN nearest_by_index(query.embedding)
							 ELSE nearest_by_scan(query.embedding) END));
	END LOOP;
	recall := hits / (SELECT 10.0 * count(*) FROM queries);
	ms := ms / (SELECT count(*) FROM queries);
END $$;

\echo
\echo '  100 other words, 10 nearest of each     recall@10   milliseconds a query'
SELECT current_setting('togg.ef_search') AS default_ef \gset
WITH settings AS (
	SELECT ef, ef = :default_ef AS is_default
	FROM (SELECT unnest(ARRAY[20, 50, 100, 200]) UNION SELECT :default_ef)
		 AS list (ef))
SELECT format('  %-40s%9s%14s', what, round(recall, 4), round(ms, 3))
FROM (SELECT 0 AS place, 'sequential scan' AS what, m.*
	  FROM measure('scan', NULL) AS m
	  UNION ALL
	  SELECT ef, 'index, togg.ef_search = ' || ef
			 || CASE WHEN is_default THEN ' (default)' ELSE '' END, m.*
	  FROM settings, measure('index', ef) AS m) AS measured
ORDER BY place;

--
-- How it gets there
--

PREPARE nearest (real[]) AS
	SELECT word FROM words ORDER BY embedding <=> $1 LIMIT 10;
SELECT embedding FROM words WHERE word = 'violin' \gset
\echo
\echo 'EXPLAIN SELECT word FROM words ORDER BY embedding <=> $1 LIMIT 10;'
EXPLAIN (ANALYZE, BUFFERS, COSTS off, TIMING off, SUMMARY off)
	EXECUTE nearest (:'embedding');

\echo
\echo 'SELECT * FROM togg_index_info(''words_embedding_idx'');'
\pset format aligned
\pset expanded on
SELECT * FROM togg_index_info('words_embedding_idx');
