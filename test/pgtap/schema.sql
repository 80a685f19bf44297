-- What CREATE EXTENSION makes, no more and no less.
BEGIN;
SELECT plan(84);

-- Functions
CREATE FUNCTION function_like(name text, args text[], result text, volatility text, parallel "char")
RETURNS SETOF text LANGUAGE SQL AS
$$
	SELECT function_returns(name, args, result)
	UNION ALL SELECT volatility_is(name, args, volatility)
	UNION ALL SELECT is(p.proparallel, parallel, 'Function ' || name || ' has the right parallel safety')
	FROM pg_proc p WHERE p.proname = name
$$;
SELECT function_like('l2_distance', '{real[],real[]}', 'double precision', 'immutable', 's');
SELECT function_like('inner_product', '{real[],real[]}', 'double precision', 'immutable', 's');
SELECT function_like('negative_inner_product', '{real[],real[]}', 'double precision', 'immutable', 's');
SELECT function_like('cosine_distance', '{real[],real[]}', 'double precision', 'immutable', 's');
SELECT function_like('l1_distance', '{real[],real[]}', 'double precision', 'immutable', 's');
SELECT function_like('l2_normalize', '{real[]}', 'real[]', 'immutable', 's');
SELECT function_like('vector_norm', '{real[]}', 'double precision', 'immutable', 's');
SELECT function_like('vector_dims', '{real[]}', 'integer', 'immutable', 's');
SELECT function_like('togg_index_info', '{regclass}', 'record', 'volatile', 'r');
SELECT function_like('togg_last_scan', '{}', 'record', 'volatile', 'r');
SELECT function_like('togg_check', '{regclass,boolean}', 'setof record', 'volatile', 'r');
SELECT function_like('togg_cluster', '{regclass}', 'bigint', 'volatile', 'u');
SELECT function_like('togg_recall', '{regclass,integer,integer,text,integer[]}', 'setof record', 'volatile', 'r');
SELECT function_like('togg_tune', '{regclass,"double precision[]",integer,text,interval,bigint}', 'setof record', 'volatile', 'u');
SELECT function_like('togg_calibrate', '{regclass}', 'void', 'volatile', 'u');
SELECT function_like('togg_calibration', '{regclass}', 'setof record', 'volatile', 'r');
SELECT function_like('togg_estimate_build_memory', '{bigint,integer,text[]}', 'bigint', 'stable', 's');
SELECT function_like('togg_tune_build', '{regclass,name,text,integer,interval,"double precision[]",integer,"double precision","double precision",bigint}', 'setof record', 'volatile', 'u');
SELECT function_like('togg_stat_get', '{oid}', 'record', 'volatile', 'r');
SELECT function_like('togg_stat_reset', '{regclass}', 'void', 'volatile', 'r');
SELECT function_returns('togg_handler', ARRAY['internal'], 'index_am_handler');

CREATE VIEW members AS
SELECT classid::regclass::text AS catalog, classid, objid, objsubid
FROM pg_depend
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND
	  refobjid = (SELECT oid FROM pg_extension WHERE extname = 'togg');

SELECT set_eq(
	$$ SELECT proname::text FROM pg_proc JOIN members ON objid = oid AND catalog = 'pg_proc' $$,
	ARRAY['l2_distance', 'inner_product', 'negative_inner_product', 'cosine_distance',
		  'l1_distance', 'l2_normalize', 'vector_norm', 'vector_dims', 'togg_handler',
		  'togg_array_l2_ops', 'togg_array_ip_ops', 'togg_array_cosine_ops', 'togg_array_l1_ops',
		  'togg_index_info', 'togg_last_scan', 'togg_check', 'togg_cluster',
		  'togg_estimate_build_memory', 'togg_recall', 'togg_calibrate', 'togg_calibration', 'togg_tune',
		  'togg_stat_get', 'togg_stat_reset', 'togg_tune_build',
		  'togg_l2_within', 'togg_ip_within', 'togg_cosine_within', 'togg_l1_within'],
	'no other function');
SELECT is_empty(
	$$ SELECT oid::regprocedure FROM pg_proc JOIN members ON objid = oid AND catalog = 'pg_proc'
	   WHERE prosecdef $$,
	'no function runs with the rights of its owner');
SELECT is_empty(
	$$ SELECT oid::regprocedure FROM pg_proc JOIN members ON objid = oid AND catalog = 'pg_proc'
	   WHERE NOT proisstrict AND pronargs > 0 AND proname NOT IN ('togg_handler', 'togg_recall', 'togg_tune', 'togg_tune_build', 'togg_stat_reset') $$,
	'functions of arguments are strict');

-- Views
SELECT columns_are('togg_stat',
	ARRAY['relid', 'indexrelid', 'schemaname', 'relname', 'indexrelname', 'scans', 'rows_returned', 'hops',
		  'pages', 'distances', 'widenings', 'sweeps', 'mean_hops', 'mean_pages', 'mean_distances', 'sampled',
		  'sample_k', 'sample_queries', 'target_recall', 'recall', 'calibrated', 'calibration_age',
		  'calibration_stale', 'stale_lists', 'worker_runs', 'counted_since']);

-- Operators
SELECT set_eq(
	$$ SELECT oprname::text, oprcode::text, oprresult::regtype::text FROM pg_operator JOIN members ON objid = oid AND catalog = 'pg_operator' $$,
	$$ VALUES ('<->', 'l2_distance', 'double precision'),
			  ('<#>', 'negative_inner_product', 'double precision'),
			  ('<=>', 'cosine_distance', 'double precision'),
			  ('<+>', 'l1_distance', 'double precision'),
			  ('<-<', 'togg_l2_within', 'boolean'),
			  ('<#<', 'togg_ip_within', 'boolean'),
			  ('<=<', 'togg_cosine_within', 'boolean'),
			  ('<+<', 'togg_l1_within', 'boolean') $$,
	'operators, their functions and results');
SELECT is_empty(
	$$ SELECT o.oid::regoperator FROM pg_operator o JOIN members ON objid = o.oid AND catalog = 'pg_operator'
	   WHERE oprcom <> o.oid AND oprright = 'real[]'::regtype $$,
	'operators of two vectors are their own commutators');

-- Access method and operator classes
SELECT set_eq(
	$$ SELECT amname::text, amtype, amhandler::text FROM pg_am JOIN members ON objid = oid AND catalog = 'pg_am' $$,
	$$ VALUES ('togg', 'i'::"char", 'togg_handler') $$,
	'access method');
SELECT has_opclass('array_l2_ops');
SELECT has_opclass('array_ip_ops');
SELECT has_opclass('array_cosine_ops');
SELECT has_opclass('array_l1_ops');
SELECT set_eq(
	$$ SELECT opcname::text, opcintype::regtype::text, opcdefault, opfname::text
	   FROM pg_opclass c JOIN pg_opfamily f ON f.oid = opcfamily JOIN pg_am a ON a.oid = opcmethod
	   WHERE amname = 'togg' AND opcintype = 'real[]'::regtype $$,
	$$ VALUES ('array_l2_ops', 'real[]', true, 'array_l2_ops'),
			  ('array_ip_ops', 'real[]', false, 'array_ip_ops'),
			  ('array_cosine_ops', 'real[]', false, 'array_cosine_ops'),
			  ('array_l1_ops', 'real[]', false, 'array_l1_ops') $$,
	'operator classes and families of vectors; Euclidean distance is the default');
SELECT set_eq(
	$$ SELECT opfname::text, amopstrategy::int, amopopr::regoperator::text, amoppurpose::text, s.sort::text
	   FROM pg_amop JOIN pg_opfamily f ON f.oid = amopfamily JOIN pg_am a ON a.oid = amopmethod,
			LATERAL (SELECT opfname AS sort FROM pg_opfamily WHERE oid = amopsortfamily) s
	   WHERE amname = 'togg' AND amoppurpose = 'o' $$,
	$$ VALUES ('array_l2_ops', 1, '<->(real[],real[])', 'o', 'float_ops'),
			  ('array_ip_ops', 1, '<#>(real[],real[])', 'o', 'float_ops'),
			  ('array_cosine_ops', 1, '<=>(real[],real[])', 'o', 'float_ops'),
			  ('array_l1_ops', 1, '<+>(real[],real[])', 'o', 'float_ops') $$,
	'each ranks by one operator');
SELECT set_eq(
	$$ SELECT opfname::text, amprocnum::int, amproc::text
	   FROM pg_amproc JOIN pg_opfamily f ON f.oid = amprocfamily JOIN pg_am a ON a.oid = opfmethod
	   WHERE amname = 'togg' $$,
	$$ VALUES ('array_l2_ops', 1, 'togg_array_l2_ops'),
			  ('array_ip_ops', 1, 'togg_array_ip_ops'),
			  ('array_cosine_ops', 1, 'togg_array_cosine_ops'),
			  ('array_l1_ops', 1, 'togg_array_l1_ops') $$,
	'and has one support function');

-- Operator classes to filter by
SELECT set_eq(
	$$ SELECT opfname::text, string_agg(opcintype::regtype::text, ', ' ORDER BY opcintype)
	   FROM pg_opclass c JOIN pg_opfamily f ON f.oid = opcfamily JOIN pg_am a ON a.oid = opcmethod
	   WHERE amname = 'togg' AND opcintype <> 'real[]'::regtype AND opcdefault AND opckeytype = 0
	   GROUP BY opfname $$,
	$$ VALUES ('integer_ops', 'bigint, smallint, integer'), ('float_ops', 'real, double precision'),
			  ('datetime_ops', 'date, timestamp without time zone, timestamp with time zone'),
			  ('bool_ops', 'boolean'), ('oid_ops', 'oid'), ('time_ops', 'time without time zone'),
			  ('interval_ops', 'interval'), ('uuid_ops', 'uuid'), ('enum_ops', 'anyenum'),
			  ('text_ops', 'text'), ('bpchar_ops', 'character'), ('numeric_ops', 'numeric'),
			  ('inet_ops', 'inet'), ('array_ops', 'anyarray') $$,
	'all are the defaults of their types');
SELECT is_empty(
	$$ SELECT amopopr::regoperator FROM pg_amop JOIN pg_opfamily f ON f.oid = amopfamily
			  JOIN pg_am a ON a.oid = amopmethod, pg_operator o
	   WHERE amname = 'togg' AND amoppurpose = 's' AND o.oid = amopopr AND
			 amoplefttype <> 'real[]'::regtype AND
			 oprname <> (ARRAY['<', '<=', '=', '>=', '>', '&&', '@>'])[amopstrategy] $$,
	'each strategy is one operator');
SELECT set_eq(
	$$ SELECT opfname::text, count(*)::int FROM pg_amop JOIN pg_opfamily f ON f.oid = amopfamily
			  JOIN pg_am a ON a.oid = amopmethod
	   WHERE amname = 'togg' AND amoppurpose = 's' GROUP BY opfname HAVING max(amopstrategy) <> 2 $$,
	$$ VALUES ('integer_ops', 45), ('float_ops', 20), ('datetime_ops', 45), ('bool_ops', 5), ('oid_ops', 5),
			  ('time_ops', 5), ('interval_ops', 5), ('uuid_ops', 5), ('enum_ops', 5), ('text_ops', 1),
			  ('bpchar_ops', 1), ('numeric_ops', 1), ('inet_ops', 1), ('array_ops', 2) $$,
	'for all pairs of types of a family');

SELECT set_eq(
	$$ SELECT opfname::text, amopopr::regoperator::text
	   FROM pg_amop JOIN pg_opfamily f ON f.oid = amopfamily JOIN pg_am a ON a.oid = amopmethod
	   WHERE amname = 'togg' AND amoppurpose = 's' AND amopstrategy = 2 AND amoplefttype = 'real[]'::regtype $$,
	$$ VALUES ('array_l2_ops', '<-<(real[],togg_sphere)'), ('array_ip_ops', '<#<(real[],togg_sphere)'),
			  ('array_cosine_ops', '<=<(real[],togg_sphere)'), ('array_l1_ops', '<+<(real[],togg_sphere)') $$,
	'vectors are looked up in spheres');

-- What the access method can do
SELECT set_eq(
	$$ SELECT name FROM unnest(ARRAY['can_order', 'can_unique', 'can_multi_col', 'can_exclude', 'can_include']) name,
			  pg_am a
	   WHERE amname = 'togg' AND pg_indexam_has_property(a.oid, name) $$,
	ARRAY['can_multi_col', 'can_exclude', 'can_include'],
	'properties of the access method');
CREATE TABLE items (v real[], a int);
CREATE INDEX items_v ON items USING togg (v, a);
SELECT set_eq(
	$$ SELECT name FROM unnest(ARRAY['clusterable', 'index_scan', 'bitmap_scan', 'backward_scan']) name
	   WHERE pg_index_has_property('items_v', name) $$,
	ARRAY['index_scan'],
	'properties of an index');
SELECT set_eq(
	$$ SELECT n, name FROM generate_series(1, 2) n,
			  unnest(ARRAY['asc', 'desc', 'nulls_first', 'nulls_last', 'orderable', 'returnable',
						   'distance_orderable', 'search_array', 'search_nulls']) name
	   WHERE pg_index_column_has_property('items_v', n, name) $$,
	$$ VALUES (1, 'distance_orderable'), (1, 'search_array'), (1, 'search_nulls'),
			  (2, 'search_array'), (2, 'search_nulls'), (2, 'returnable') $$,
	'properties of index columns');

-- Comments
SELECT is_empty(
	$$ SELECT pg_describe_object(classid, objid, objsubid) FROM members m
	   WHERE catalog NOT IN ('pg_amop', 'pg_amproc') AND
			 coalesce(obj_description(objid, catalog), '') = '' AND
			 /* PostgreSQL makes types of its own: of arrays, and of a view's rows. */
			 NOT (catalog = 'pg_type' AND
				  EXISTS (SELECT FROM pg_type t LEFT JOIN pg_class c ON c.oid = typrelid
						  WHERE t.oid = objid AND (typcategory = 'A' OR relkind = 'v'))) $$,
	'every object has a comment');
SELECT isnt(obj_description(oid, 'pg_extension'), NULL, 'the extension has one, too')
FROM pg_extension WHERE extname = 'togg';

SELECT * FROM finish();
ROLLBACK;
