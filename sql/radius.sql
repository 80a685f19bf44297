-- Scans that end at a distance: WHERE v <-> q < r ORDER BY v <-> q.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all
SET max_parallel_workers_per_gather = 0;

CREATE TABLE items (id int, kind int, v real[], w real[]);
INSERT INTO items SELECT i, i % 10, vec(i, 6), vec(i + 1, 6) FROM generate_series(1, 4000) i;
INSERT INTO items SELECT i, i % 10, CASE WHEN i % 2 = 0 THEN '{0,0,0,0,0,0}'::real[] END FROM generate_series(4001, 4040) i;
INSERT INTO items SELECT i, i % 10, vec(i % 3, 6) FROM generate_series(4041, 4200) i;
CREATE INDEX items_v ON items USING togg (v, kind);
ANALYZE items;

-- The index knows where to end, the executor where exactly
SELECT plan('SELECT id FROM items WHERE v <-> ''{1,2,3,4,5,6}'' < 9 ORDER BY v <-> ''{1,2,3,4,5,6}'' LIMIT 10');
-- however the condition is put
SELECT query, count(*) FILTER (WHERE line ~ 'Index Cond: .*<-<') AS "ends there"
FROM unnest(ARRAY[
	'v <-> ''{1,2,3,4,5,6}'' <= 9', '9 > v <-> ''{1,2,3,4,5,6}''', '9 >= ''{1,2,3,4,5,6}'' <-> v',
	'v <-> ''{1,2,3,4,5,6}'' BETWEEN 3 AND 9', 'v <-> ''{1,2,3,4,5,6}'' < 9 AND kind = 3',
	'v <-> ''{1,2,3,4,5,6}'' < (SELECT 9.0::float8)']) query,
	LATERAL plan(format('SELECT id FROM items WHERE %s ORDER BY v <-> ''{1,2,3,4,5,6}'' LIMIT 10', query)) AS line
GROUP BY query ORDER BY query;
-- and not where it is another distance, another column, or another side
SELECT query, count(*) FILTER (WHERE line ~ '<-<') AS "ends there"
FROM unnest(ARRAY[
	'v <-> ''{1,2,3,4,5,7}'' < 9', 'v <=> ''{1,2,3,4,5,6}'' < 9', 'w <-> ''{1,2,3,4,5,6}'' < 9',
	'v <-> ''{1,2,3,4,5,6}'' > 9', 'v <-> ''{1,2,3,4,5,6}'' < kind', 'v <-> ''{1,2,3,4,5,6}'' < random() * 100',
	'v <-> ''{1,2,3,4,5,6}'' = 9', 'v <-> ''{1,2,3,4,5,6}'' < 9 OR kind = 3']) query,
	LATERAL plan(format('SELECT id FROM items WHERE %s ORDER BY v <-> ''{1,2,3,4,5,6}'' LIMIT 10', query)) AS line
GROUP BY query ORDER BY query;

-- The rows of a sequential scan, and not all of the index read for them
CREATE FUNCTION within(radius float8, op text DEFAULT '<', condition text DEFAULT 'true', q real[] DEFAULT '{1,2,3,4,5,6}')
RETURNS TABLE (result text, hops bigint, swept boolean) LANGUAGE plpgsql AS
$$
BEGIN
	result := compare(format('SELECT id, v <-> %2$L FROM items WHERE v <-> %2$L %1$s %3$L AND %4$s ORDER BY 2', op, q, radius, condition), false);
	SELECT s.hops, sweep INTO hops, swept FROM togg_last_scan() s;
	RETURN NEXT;
END
$$;
SELECT radius, result, hops < 250 AND NOT swept AS few FROM unnest(ARRAY[-1, 0, 6]) radius, within(radius);
SELECT radius, result FROM unnest(ARRAY[8, 9, 10, 20, 30, 'Infinity', 'NaN'::float8]) radius, within(radius);
-- a radius that is just some row's distance
SELECT op, result FROM unnest(ARRAY['<', '<=']) op, within(l2_distance(vec(17, 6), '{1,2,3,4,5,6}'), op);
SELECT op, result FROM unnest(ARRAY['<', '<=']) op, within(0, op, q => vec(2, 6));
-- with conditions on other columns
SELECT radius, result FROM unnest(ARRAY[6, 10, 20]) radius, within(radius, condition => 'kind = 3');
SELECT radius, result FROM unnest(ARRAY[6, 10, 20]) radius, within(radius, condition => 'kind > 3');
SELECT result FROM within(10, condition => 'v IS NOT NULL');
SELECT result FROM within(10, condition => 'v IS NULL');

-- Prepared, with a radius that is not known, or NULL
PREPARE near(real[], float8) AS SELECT id FROM items WHERE v <-> $1 < $2 ORDER BY v <-> $1 LIMIT 5;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
SELECT plan('EXECUTE near(''{1,2,3,4,5,6}'', 9)');
EXECUTE near(vec(2, 6), 0.5);
EXECUTE near(vec(2, 6), NULL);
EXECUTE near(NULL, 9);
RESET plan_cache_mode;
RESET enable_seqscan;

-- For each of many
SET enable_seqscan = off;
SELECT plan('SELECT q.id, n.id FROM (SELECT * FROM items WHERE id < 4) q,
	LATERAL (SELECT id FROM items i WHERE i.v <-> q.v < 7 ORDER BY i.v <-> q.v LIMIT 3) n');
SELECT q.id, count(n.id) FROM (SELECT * FROM items WHERE id < 4) q,
	LATERAL (SELECT id FROM items i WHERE i.v <-> q.v < 7 ORDER BY i.v <-> q.v LIMIT 3) n
GROUP BY q.id ORDER BY q.id;

-- A row that changes while FOR UPDATE waits is tested again: by these operators
SELECT id FROM items WHERE v <-> vec(1, 6) < 0.5 ORDER BY v <-> vec(1, 6) LIMIT 1 FOR UPDATE;
SELECT '{1,2}'::real[] <-< ('{4,6}', 5)::togg_sphere AS l2, '{1,2}'::real[] <-< ('{4,6}', 4.9)::togg_sphere,
	   '{1,2}'::real[] <#< ('{4,6}', -16)::togg_sphere AS ip, '{1,2}'::real[] <#< ('{4,6}', -17)::togg_sphere,
	   '{1,2}'::real[] <=< ('{2,4}', 0)::togg_sphere AS cosine, '{1,2}'::real[] <=< ('{-1,2}', 0)::togg_sphere,
	   '{1,2}'::real[] <+< ('{4,6}', 7)::togg_sphere AS l1, '{1,2}'::real[] <+< ('{4,6}', 6)::togg_sphere,
	   '{1,2}'::real[] <-< ('{4,6}', 'NaN')::togg_sphere AS nan;
SELECT '{1,2}'::real[] <-< (NULL, 5)::togg_sphere, '{1,2}'::real[] <-< ('{1,2}', NULL)::togg_sphere, NULL::real[] <-< ('{1,2}', 1)::togg_sphere;
SELECT '{1,2}'::real[] <-< ('{1,2,3}', 5)::togg_sphere;
-- written by hand, about another center than the query, or without one
SELECT compare('SELECT id, v <-> ''{1,2,3,4,5,6}'' FROM items WHERE v <-< (''{6,5,4,3,2,1}'', 9)::togg_sphere ORDER BY 2', false);
SELECT count(*) FROM items WHERE v <-< ('{6,5,4,3,2,1}', 9)::togg_sphere;
RESET enable_seqscan;

-- Other metrics
DROP INDEX items_v;
CREATE INDEX items_ip ON items USING togg (v array_ip_ops);
SELECT compare('SELECT id, v <#> ''{1,2,3,4,5,6}'' FROM items WHERE v <#> ''{1,2,3,4,5,6}'' < -120 ORDER BY 2', false);
CREATE INDEX items_cosine ON items USING togg (v array_cosine_ops);
DROP INDEX items_ip;
SELECT compare('SELECT id, v <=> ''{1,2,3,4,5,6}'' FROM items WHERE v <=> ''{1,2,3,4,5,6}'' < 0.2 ORDER BY 2', false);
SELECT compare('SELECT id, v <=> ''{1,2,3,4,5,6}'' FROM items WHERE v <=> ''{1,2,3,4,5,6}'' < ''NaN'' ORDER BY 2', false);
CREATE INDEX items_l1 ON items USING togg (v array_l1_ops);
DROP INDEX items_cosine;
SELECT compare('SELECT id, v <+> ''{1,2,3,4,5,6}'' FROM items WHERE v <+> ''{1,2,3,4,5,6}'' < 20 ORDER BY 2', false);

-- Rows hidden by a policy are not shown to a condition before it
CREATE ROLE togg_radius_reader;
GRANT USAGE ON SCHEMA togg_test TO togg_radius_reader;
GRANT SELECT ON items TO togg_radius_reader;
ALTER TABLE items ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON items USING (kind = 3);
SET ROLE togg_radius_reader;
SELECT plan('SELECT id FROM items WHERE v <+> ''{1,2,3,4,5,6}'' < 20 ORDER BY v <+> ''{1,2,3,4,5,6}'' LIMIT 10');
RESET ROLE;
DROP OWNED BY togg_radius_reader;
DROP ROLE togg_radius_reader;

SET client_min_messages = warning;
DROP SCHEMA togg_test CASCADE;
