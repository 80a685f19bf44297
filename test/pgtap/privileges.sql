-- Who may do what.
BEGIN;
SELECT plan(56);

CREATE ROLE togg_user;
CREATE ROLE togg_other;
CREATE SCHEMA togg_user AUTHORIZATION togg_user;

-- A command as one of these roles.  An error undoes the change of role.
CREATE FUNCTION by(role text, command text) RETURNS text LANGUAGE SQL AS
$$ SELECT format('SET LOCAL ROLE %I; %s; RESET ROLE', role, command) $$;

-- Everybody measures distances and uses indexes
SELECT is_empty(
	$$ SELECT p.oid::regprocedure FROM pg_proc p
	   WHERE (proname IN ('l2_distance', 'inner_product', 'negative_inner_product', 'cosine_distance',
						  'l1_distance', 'l2_normalize', 'vector_norm', 'vector_dims', 'togg_last_scan',
						  'togg_index_info', 'togg_recall', 'togg_calibration')) AND
			 NOT has_function_privilege('togg_user', p.oid, 'EXECUTE') $$,
	'functions are for everybody');
SELECT lives_ok(by('togg_user', 'CREATE TABLE togg_user.items (id int, v real[])'), 'an ordinary user makes a table');
SELECT lives_ok(by('togg_user', $$ INSERT INTO togg_user.items SELECT i, ARRAY[i, 1] FROM generate_series(1, 100) i $$), 'fills it');
SELECT lives_ok(by('togg_user', 'CREATE INDEX items_v ON togg_user.items USING togg (v) WITH (m = 8)'), 'indexes it');
SELECT lives_ok(by('togg_user', 'SET LOCAL enable_seqscan = off; DO $$ BEGIN
	ASSERT (SELECT id FROM togg_user.items ORDER BY v <-> ''{5.25,1}'' LIMIT 1) = 5; END $$'), 'asks it');
SELECT lives_ok(by('togg_user', 'ALTER INDEX togg_user.items_v SET (ef_search = 100)'), 'alters the index');
SELECT lives_ok(by('togg_user', 'REINDEX INDEX togg_user.items_v'), 'builds it again');
SELECT lives_ok(by('togg_user', 'SELECT * FROM togg_index_info(''togg_user.items_v'')'), 'looks at it');
SELECT lives_ok(by('togg_user', 'DROP INDEX togg_user.items_v; CREATE INDEX items_v ON togg_user.items USING togg (v)'), 'drops it');

-- and nothing of others
SELECT throws_ok(by('togg_other', $$ SELECT id FROM togg_user.items ORDER BY v <-> '{5,1}' LIMIT 1 $$), '42501', NULL,
	'a table is its owner''s');
GRANT USAGE ON SCHEMA togg_user TO togg_other;
SELECT throws_ok(by('togg_other', 'CREATE INDEX ON togg_user.items USING togg (v)'), '42501', NULL,
	'to index as well');

-- Checks read all of an index and of its table
SELECT ok(NOT has_function_privilege('togg_user', 'togg_check(regclass, boolean)', 'EXECUTE'),
	'togg_check() is not for everybody');
SELECT throws_ok(by('togg_user', 'SELECT * FROM togg_check(''togg_user.items_v'')'), '42501',
	'permission denied for function togg_check', 'not even for the owner of an index');
GRANT EXECUTE ON FUNCTION togg_check(regclass, boolean) TO togg_user;
SELECT lives_ok(by('togg_user', 'SELECT * FROM togg_check(''togg_user.items_v'')'), 'until it is granted');

-- and never let an owner's functions run with the rights of who checks
CREATE FUNCTION togg_user.watched(real[]) RETURNS real[] LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN
	IF current_user <> 'togg_user' THEN RAISE 'called by %', current_user; END IF;
	RETURN $1;
END $$;
SELECT lives_ok(by('togg_user', 'CREATE INDEX items_watched ON togg_user.items USING togg (togg_user.watched(v))'),
	'an index on a function');
SELECT is_empty($$ SELECT * FROM togg_check('togg_user.items_watched', true) $$,
	'is checked by a superuser, and the function called by its owner');
CREATE FUNCTION togg_user.noticed(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN
	IF current_user <> 'togg_user' THEN RAISE 'called by %', current_user; END IF;
	RETURN id;
END $$;
SELECT lives_ok(by('togg_user', $$
	CREATE TABLE togg_user.shifted AS SELECT i AS id, ARRAY[i, 1]::real[] AS v FROM generate_series(1, 9) i;
	UPDATE togg_user.shifted SET v = ('[0:1]={' || id || ',1}')::real[];
	CREATE INDEX ON togg_user.shifted USING togg (v, togg_user.noticed(id)) INCLUDE (id) $$),
	'an index with a function beside the vector');
SELECT lives_ok($$ SET LOCAL enable_seqscan = off; SELECT id FROM togg_user.shifted ORDER BY v <-> '{1,1}' $$,
	'is read, and the function not called at all');

-- Clustering writes to an index: its owner may
SELECT lives_ok(by('togg_user', 'SELECT togg_cluster(''togg_user.items_v'')'), 'an owner clusters the lists of an index');
SELECT throws_ok(by('togg_other', 'SELECT togg_cluster(''togg_user.items_v'')'), '42501',
	'must be owner of index items_v', 'nobody else does');
SELECT lives_ok('SELECT togg_cluster(''togg_user.items_v'')', 'but superusers');

-- and so does calibrating it
SELECT lives_ok(by('togg_user', 'SELECT togg_calibrate(''togg_user.items_v'')'), 'an owner calibrates an index');
SELECT throws_ok(by('togg_other', 'SELECT togg_calibrate(''togg_user.items_v'')'), '42501',
	'must be owner of index items_v', 'nobody else does');

SELECT throws_ok(by('togg_other', 'SELECT togg_tune(''togg_user.items_v'')'), '42501',
	'must be owner of index items_v', 'nor does anybody tune it');

-- Measuring recall reads the table: who may read all of it may
SELECT lives_ok(by('togg_user', 'SELECT * FROM togg_recall(''togg_user.items_v'')'), 'an owner measures recall');
SELECT throws_ok(by('togg_other', 'SELECT * FROM togg_recall(''togg_user.items_v'')'), '42501',
	'permission denied for table items', 'who may not read the table does not');
GRANT SELECT (v) ON togg_user.items TO togg_other;
SELECT throws_ok(by('togg_other', 'SELECT * FROM togg_recall(''togg_user.items_v'')'), '42501',
	'permission denied for table items', 'nor who may read some columns');
GRANT SELECT ON togg_user.items TO togg_other;
SELECT lives_ok(by('togg_other', 'SELECT * FROM togg_recall(''togg_user.items_v'')'), 'who may read it does');
ALTER TABLE togg_user.items ENABLE ROW LEVEL SECURITY;
SELECT throws_ok(by('togg_other', 'SELECT * FROM togg_recall(''togg_user.items_v'')'), '42501',
	'togg_recall() reads rows that row-level security hides', 'unless policies hide rows');
SELECT lives_ok(by('togg_user', 'SELECT * FROM togg_recall(''togg_user.items_v'')'), 'which they do not from the owner');
ALTER TABLE togg_user.items DISABLE ROW LEVEL SECURITY;

-- Its queries run as who asks, functions of the index as the owner
CREATE TABLE secret AS SELECT ARRAY[1, 2]::real[] AS v;
SELECT throws_ok(by('togg_other', 'SELECT * FROM togg_recall(''togg_user.items_v'', queries => ''SELECT v FROM secret'')'),
	'42501', 'permission denied for table secret', 'queries have the rights of the caller');
CREATE FUNCTION as_owner(v real[]) RETURNS real[] LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN ASSERT current_user = 'togg_user', current_user; RETURN v; END $$;
CREATE INDEX items_as ON togg_user.items USING togg (as_owner(v));
SELECT lives_ok('SELECT * FROM togg_recall(''togg_user.items_as'')', 'functions of the index those of the owner');
SELECT is(current_user::text, session_user::text, 'and nobody keeps them');
SELECT throws_ok('SELECT * FROM togg_recall(''togg_user.items_as'', queries => ''SELECT NULL'')', '42804', NULL, 'an error ends it');
SELECT is(current_user::text, session_user::text, 'and leaves the user as he was');
DROP INDEX togg_user.items_as;
-- and find nothing that the caller put in their way
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
CREATE FUNCTION trap.called(real, real) RETURNS real LANGUAGE plpgsql AS
$$ BEGIN RAISE 'called by %', current_user; END $$;
CREATE OPERATOR trap.* (LEFTARG = real, RIGHTARG = real, FUNCTION = trap.called);
CREATE FUNCTION togg_user.doubled(v real[]) RETURNS real[] LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN RETURN ARRAY[v[1] * 2::real, v[2]]; END $$;
CREATE INDEX items_doubled ON togg_user.items USING togg (togg_user.doubled(v));
CREATE FUNCTION recall_from_trap() RETURNS bigint LANGUAGE SQL SET search_path = trap, pg_catalog, public AS
$$ SELECT count(*) FROM togg_recall('togg_user.items_doubled') $$;
SELECT lives_ok(by('togg_other', 'SELECT recall_from_trap()'), 'functions of the index look into no schema of the caller''s');
DROP INDEX togg_user.items_doubled;
REVOKE SELECT ON togg_user.items FROM togg_other;

-- Options for a build are learnt by who may read the column, and index it
CREATE TABLE togg_user.many (id int, v real[]);
INSERT INTO togg_user.many SELECT i, ARRAY[i, i % 7, i % 11] FROM generate_series(1, 1100) i;
ALTER TABLE togg_user.many OWNER TO togg_user;
SELECT lives_ok(by('togg_user', 'SELECT * FROM togg_tune_build(''togg_user.many'', ''v'', sample => 1000, budget => ''0 s'')'),
	'an owner learns options');
CREATE FUNCTION trap.called(bigint, int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN RAISE 'called by %', current_user; END $$;
CREATE OPERATOR trap.% (LEFTARG = bigint, RIGHTARG = int, FUNCTION = trap.called);
CREATE FUNCTION tune_in_trap() RETURNS bigint LANGUAGE SQL SET search_path = public, trap AS
$$ SELECT count(*) FROM togg_tune_build('togg_user.many', 'v', sample => 1000, budget => '0 s') $$;
SELECT lives_ok('SELECT tune_in_trap()', 'by PostgreSQL''s own operators');
SELECT throws_ok(by('togg_other', 'SELECT * FROM togg_tune_build(''togg_user.many'', ''v'')'), '42501', NULL,
	'nobody else does');
GRANT SELECT ON togg_user.many TO togg_other;
SELECT throws_ok(by('togg_other', 'SELECT * FROM togg_tune_build(''togg_user.many'', ''v'')'), '42501',
	'permission denied for schema togg_user', 'who may only read it does not');
GRANT CREATE ON SCHEMA togg_user TO togg_other;
SELECT lives_ok(by('togg_other', 'SELECT * FROM togg_tune_build(''togg_user.many'', ''v'', sample => 1000, budget => ''0 s'')'),
	'unless there is room for a sample');
ALTER TABLE togg_user.many ENABLE ROW LEVEL SECURITY;
SELECT throws_ok(by('togg_other', 'SELECT * FROM togg_tune_build(''togg_user.many'', ''v'')'), '42501',
	'togg_tune_build() reads rows that row-level security hides', 'nor where policies hide rows');

-- Counts are for everybody, as in pg_stat_all_indexes; to reset them is not
SELECT lives_ok(by('togg_other', $$ DO $a$ BEGIN
	ASSERT (SELECT count(*) > 0 FROM togg_stat WHERE schemaname = 'togg_user'); END $a$ $$),
	'everybody sees what is counted of all indexes');
SELECT throws_ok(by('togg_user', $$ SELECT togg_stat_reset('togg_user.items_v') $$), '42501',
	'permission denied for function togg_stat_reset', 'an owner does not reset it');
SELECT throws_ok(by('togg_user', 'SELECT togg_stat_reset()'), '42501',
	'permission denied for function togg_stat_reset', 'nor all of it');
SELECT lives_ok('SELECT togg_stat_reset()', 'a superuser does');
GRANT EXECUTE ON FUNCTION togg_stat_reset(regclass) TO togg_user;
SELECT lives_ok(by('togg_user', 'SELECT togg_stat_reset()'), 'or whom it was granted');
SELECT throws_ok(by('togg_other', 'SELECT togg_stat_reset()'), '42501',
	'permission denied for function togg_stat_reset', 'and nobody else');

-- Settings
SELECT lives_ok(by('togg_user', 'SET LOCAL togg.ef_search = 200'), 'everybody may set togg.ef_search');
SELECT lives_ok(by('togg_user', 'SET LOCAL togg.routing = greedy'), 'and togg.routing');
SELECT throws_ok(by('togg_user', 'SET LOCAL togg.simd = scalar'), '42501',
	'permission denied to set parameter "togg.simd"', 'but not togg.simd');
SELECT lives_ok('SET LOCAL togg.simd = scalar', 'which superusers may set');
SELECT throws_ok(by('togg_user', 'SET LOCAL togg.clustering_workers = off'), '42501',
	'permission denied to set parameter "togg.clustering_workers"', 'nor togg.clustering_workers');
SELECT lives_ok('SET LOCAL togg.clustering_workers = off', 'which they may as well');
SELECT lives_ok(by('togg_user', 'ALTER ROLE togg_user SET togg.ef_search = 100'), 'a role has its own togg.ef_search');

-- Functions that are not for SQL
SELECT is_empty(
	$$ SELECT oid::regprocedure FROM pg_proc
	   WHERE proname IN ('togg_handler', 'togg_array_l2_ops', 'togg_array_ip_ops', 'togg_array_cosine_ops') AND
			 proargtypes <> ARRAY['internal'::regtype]::oidvector $$,
	'handler and support functions take what SQL cannot give');

SELECT * FROM finish();
ROLLBACK;
