-- Settings: what they are by default, and what they accept.
LOAD 'togg';
BEGIN;
SELECT plan(31);

SELECT set_eq(
	$$ SELECT name FROM pg_settings WHERE name LIKE 'togg.%' $$,
	ARRAY['togg.ef_search', 'togg.routing', 'togg.simd', 'togg.stage1_width', 'togg.target_recall',
		  'togg.clustering_workers'],
	'settings');
SELECT is_empty(
	$$ SELECT name FROM pg_settings WHERE name LIKE 'togg.%' AND (short_desc IS NULL OR extra_desc IS NULL) $$,
	'each is described');

SELECT results_eq(
	$$ SELECT boot_val, min_val, max_val, context, vartype FROM pg_settings WHERE name = 'togg.ef_search' $$,
	$$ VALUES ('40', '1', '1000000', 'user', 'integer') $$,
	'togg.ef_search');
SELECT lives_ok('SET LOCAL togg.ef_search = 1', 'the least');
SELECT lives_ok('SET LOCAL togg.ef_search = 1000000', 'the most');
SELECT throws_ok('SET LOCAL togg.ef_search = 0', '22023', NULL, 'too little');
SELECT throws_ok('SET LOCAL togg.ef_search = -1', '22023', NULL, 'negative');
SELECT throws_ok('SET LOCAL togg.ef_search = 1000001', '22023', NULL, 'too much');
SELECT throws_ok('SET LOCAL togg.ef_search = ''many''', '22023', NULL, 'no number');
SELECT is(current_setting('togg.ef_search'), '1000000', 'an error leaves the value');

SELECT results_eq(
	$$ SELECT boot_val, enumvals, context FROM pg_settings WHERE name = 'togg.routing' $$,
	$$ VALUES ('two_stage', ARRAY['two_stage', 'guided', 'greedy'], 'user') $$,
	'togg.routing');
SELECT lives_ok('SET LOCAL togg.routing = ' || value, value)
FROM unnest(ARRAY['two_stage', 'guided', 'greedy', 'GREEDY']) value;
SELECT throws_ok('SET LOCAL togg.routing = hnsw', '22023', NULL, 'no way of routing');

SELECT results_eq(
	$$ SELECT boot_val, min_val, max_val, context, vartype FROM pg_settings WHERE name = 'togg.stage1_width' $$,
	$$ VALUES ('1', '0', '1000000', 'user', 'integer') $$,
	'togg.stage1_width');
SELECT lives_ok('SET LOCAL togg.stage1_width = ' || value, value)
FROM unnest(ARRAY['0', '1000000']) value;
SELECT throws_ok('SET LOCAL togg.stage1_width = ' || value, '22023', NULL, value)
FROM unnest(ARRAY['-1', '1000001']) value;

SELECT results_eq(
	$$ SELECT boot_val, context, vartype FROM pg_settings WHERE name = 'togg.simd' $$,
	$$ VALUES ('auto', 'superuser', 'string') $$,
	'togg.simd');
SELECT lives_ok('SET LOCAL togg.simd = auto', 'what is there');
SELECT lives_ok('SET LOCAL togg.simd = scalar', 'what is everywhere');
SELECT throws_ok('SET LOCAL togg.simd = ''''', '22023', NULL, 'what is nowhere: nothing');
SELECT throws_ok('SET LOCAL togg.simd = sse', '22023', NULL, 'another');
SELECT is(current_setting('togg.simd'), 'scalar', 'an error leaves the value');
-- as long as it names kernels of this processor
SELECT is('{3,4}'::real[] <-> '{0,0}', 5::float8, 'distances by scalar kernels');

SELECT results_eq(
	$$ SELECT boot_val, context, vartype FROM pg_settings WHERE name = 'togg.clustering_workers' $$,
	$$ VALUES ('on', 'superuser', 'bool') $$,
	'togg.clustering_workers');
SELECT lives_ok('SET LOCAL togg.clustering_workers = off', 'no workers');

SELECT throws_ok('SET LOCAL togg.ef_serach = 100', '42602', NULL, 'a misspelled setting is an error');

SELECT * FROM finish();
ROLLBACK;
