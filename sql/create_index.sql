-- Building an index: any number of dimensions, any data, by one process and by
-- several, in memory and beyond; what it takes.
\getenv abs_srcdir PG_ABS_SRCDIR
\set include :abs_srcdir '/sql/include/compare.sql'
\set ECHO none
\i :include
\set ECHO all

-- Memory, beforehand: more for more of anything
SELECT togg_estimate_build_memory(0, 16) AS nothing,
	   togg_estimate_build_memory(1, 100) * 1000 = togg_estimate_build_memory(1000, 100) AS by_row,
	   togg_estimate_build_memory(1, 101) - togg_estimate_build_memory(1, 100) AS dimension,
	   togg_estimate_build_memory(1, 100, '{m=32}') - togg_estimate_build_memory(1, 100) AS m,
	   togg_estimate_build_memory(1, 100, '{graph=hnsw}') > togg_estimate_build_memory(1, 100) AS layers,
	   togg_estimate_build_memory(1, 100, '{guide=kdtree}') - togg_estimate_build_memory(1, 100) AS kdtree;
SELECT togg_estimate_build_memory(NULL, 16) IS NULL AS null;
SELECT togg_estimate_build_memory(-1, 16);
SELECT togg_estimate_build_memory(1, 0);
SELECT togg_estimate_build_memory(1, 16001);
SELECT togg_estimate_build_memory(1, 16, '{m=1000}');
SELECT togg_estimate_build_memory(1, 16, '{speed=1}');
SELECT togg_estimate_build_memory(9000000000000000000, 16);

-- Build an index on a table's v in three ways, read it to the end and look for
-- the nearest ten with a pool that holds most of it.  Returns what is wrong.
CREATE FUNCTION builds(target regclass, query real[])
RETURNS TABLE (how text, nearest text, every text, findings bigint)
LANGUAGE plpgsql SET togg.ef_search = 500 SET client_min_messages = warning AS
$$
BEGIN
	FOREACH how IN ARRAY '{alone,by three,in 1MB}'::text[] LOOP
		EXECUTE format('ALTER TABLE %s SET (parallel_workers = %s)', target,
					   CASE how WHEN 'alone' THEN 0 ELSE 2 END);
		PERFORM set_config('max_parallel_maintenance_workers', '2', true),
				set_config('maintenance_work_mem',
						   CASE how WHEN 'in 1MB' THEN '1MB' ELSE '64MB' END, true);
		EXECUTE format('CREATE INDEX built ON %s USING togg (v)', target);
		nearest := compare(format('SELECT id, v <-> %L FROM %s ORDER BY 2 LIMIT 10', query, target));
		every := compare(format('SELECT id, v <-> %L FROM %s ORDER BY 2', query, target), false);
		SELECT count(*) INTO findings FROM togg_check('built', true);
		RETURN NEXT;
		DROP INDEX built;
	END LOOP;
END
$$;

-- Dimensions, logged and unlogged
CREATE FUNCTION dimensions(dims int, persistence text)
RETURNS TABLE (dimensions int, how text, nearest text, every text, findings bigint)
LANGUAGE plpgsql SET client_min_messages = warning AS
$$
BEGIN
	EXECUTE format('CREATE %s TABLE items AS SELECT i AS id, vec(i, %s) AS v FROM generate_series(1, 150) i',
				   persistence, dims);
	RETURN QUERY SELECT dims, b.* FROM builds('items', vec(-5, dims)) AS b;
	DROP TABLE items;
END
$$;
SELECT d.* FROM unnest('{1,2,3,7,63,64,65}'::int[]) AS n, dimensions(n, '') AS d;
SELECT d.* FROM unnest('{2000,2001,4096,16000}'::int[]) AS n, dimensions(n, '') AS d;
SELECT d.* FROM unnest('{1,2,3,7,63,64,65}'::int[]) AS n, dimensions(n, 'UNLOGGED') AS d
WHERE (nearest, every, findings) IS DISTINCT FROM ('10 rows, the same', '150 rows, the same', 0);
SELECT d.* FROM unnest('{2000,2001,4096,16000}'::int[]) AS n, dimensions(n, 'UNLOGGED') AS d
WHERE (nearest, every, findings) IS DISTINCT FROM ('10 rows, the same', '150 rows, the same', 0);

-- Data that no graph is made for
CREATE FUNCTION data(name text, vector text, query real[])
RETURNS TABLE (data text, how text, nearest text, every text, findings bigint)
LANGUAGE plpgsql SET client_min_messages = warning AS
$$
BEGIN
	EXECUTE format('CREATE TABLE items AS SELECT i AS id, %s AS v FROM generate_series(1, 3000) i',
				   vector);
	RETURN QUERY SELECT name, b.* FROM builds('items', query) AS b;
	DROP TABLE items;
END
$$;
SELECT * FROM data('all equal', 'ARRAY[1,2,3]::real[]', '{1,1,1}');
SELECT * FROM data('few different', 'ARRAY[i % 7, i % 3, 1]::real[]', '{4,1,1}');
SELECT * FROM data('two clusters apart', 'vec(i, 8) || ARRAY[i % 2 * 100]::real[]', vec(-5, 8) || ARRAY[100]::real[]);
SELECT * FROM data('two clusters far apart', 'vec(i, 8) || ARRAY[i % 2 * 1e6]::real[]', vec(-5, 8) || ARRAY[1e6]::real[]);
SELECT * FROM data('one outlier', 'CASE i WHEN 1234 THEN ARRAY[1e30, 0, 0, 0, 0, 0, 0, 0]::real[] ELSE vec(i, 8) END', vec(-5, 8));
SELECT * FROM data('an outlier in fifty', 'vec(i, 8) || ARRAY[CASE WHEN i % 50 = 0 THEN i * 1e9 ELSE 0 END]::real[]', vec(-5, 8) || ARRAY[0]::real[]);
SELECT data, how, every, findings FROM data('largest', 'ARRAY[3.4e38 * sin(i), 3.4e38 * cos(i)]::real[]', '{3e38,1e38}');
SELECT data, how, nearest, every FROM data('denormals', 'ARRAY[i * 1.4e-45, 3e-45, 0]::real[]', '{0,0,0}');
SELECT * FROM data('one dimension constant', 'vec(i, 8) || ARRAY[1000::real]', vec(-5, 8) || ARRAY[1000::real]);
SELECT * FROM data('all but one constant', 'ARRAY[5, i, 5, 5]::real[]', '{5,1700.2,5,5}');
SELECT * FROM data('sorted by distance', 'ARRAY[i, i]::real[]', '{0,0}');
SELECT * FROM data('farthest first', 'ARRAY[-i, i]::real[]', '{0,0}');
SELECT * FROM data('nested doll', 'ARRAY[2 ^ (i / 150.0), i % 2]::real[]', '{1,1}');
SELECT * FROM data('beside the outlier', 'CASE i WHEN 1234 THEN ARRAY[1e30, 0, 0, 0, 0, 0, 0, 0]::real[] ELSE vec(i, 8) END', '{1e29,0,0,0,0,0,0,0}');
SELECT * FROM data('corners', 'array_fill(0::real, ARRAY[i % 60]) || ARRAY[1::real] || array_fill(0::real, ARRAY[59 - i % 60])', array_fill(0::real, '{60}'));

-- Codes are left out where they tell nothing, unless they are asked for
CREATE TABLE items AS SELECT i AS id, vec(i, 16) || ARRAY[i % 2 * 100]::real[] AS near, vec(i, 16) || ARRAY[i % 2 * 1e5]::real[] AS far FROM generate_series(1, 1000) i;
CREATE INDEX near ON items USING togg (near);
CREATE INDEX far ON items USING togg (far);
CREATE INDEX far_by_angle ON items USING togg (far array_cosine_ops);
CREATE INDEX far_with_codes ON items USING togg (far) WITH (bits = 2);
SELECT index, bits FROM unnest('{near,far,far_by_angle,far_with_codes}'::regclass[]) AS index, togg_index_info(index);
DROP TABLE items;

-- What is wrong is said at once: options before a row is read, the first row
-- that does not fit as it is read.
CREATE TABLE items AS SELECT i AS id, vec(i, 4 + i / 100) AS v FROM generate_series(1, 100) i;
CREATE INDEX ON items USING togg (v) WITH (dimensions = 16001);
CREATE INDEX ON items USING togg (v) WITH (dimensions = 3);
CREATE INDEX ON items USING togg (v);
