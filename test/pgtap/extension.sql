-- CREATE, ALTER and DROP EXTENSION.
BEGIN;
SELECT plan(22);

SELECT results_eq(
	$$ SELECT relocatable, trusted, superuser, requires IS NULL FROM pg_available_extension_versions
	   WHERE name = 'togg' AND version = '0.2.0' $$,
	$$ VALUES (true, true, true, true) $$,
	'relocatable, trusted, and in need of nothing');
SELECT is((SELECT default_version FROM pg_available_extensions WHERE name = 'togg'), '0.2.0', 'the default version');
SELECT extensions_are(ARRAY['pgtap', 'plpgsql', 'togg']);

-- Indexes depend on it
CREATE TABLE items (id int, v real[]);
INSERT INTO items SELECT i, ARRAY[i, 1] FROM generate_series(1, 100) i;
CREATE INDEX items_v ON items USING togg (v);
CREATE INDEX items_cosine ON items USING togg (v array_cosine_ops);
CREATE VIEW distances AS SELECT id, v <-> '{5.25,1}' AS distance FROM items;
SELECT throws_ok('DROP EXTENSION togg', '2BP01', NULL, 'what uses it is not dropped unasked');

-- It moves, and what uses it goes on
CREATE SCHEMA elsewhere;
SELECT lives_ok('ALTER EXTENSION togg SET SCHEMA elsewhere', 'it moves to another schema');
SELECT hasnt_function('public', 'l2_distance', '{real[],real[]}'::name[]);
SELECT has_function('elsewhere', 'l2_distance', '{real[],real[]}'::name[]);
SET LOCAL enable_seqscan = off;
SELECT is((SELECT id FROM items ORDER BY v OPERATOR(elsewhere.<->) '{5.25,1}' LIMIT 1), 5, 'the index is found');
SELECT is((SELECT min(distance) FROM distances), 0.25::float8, 'views still measure');
SELECT lives_ok('INSERT INTO items VALUES (101, ''{101,1}'')', 'rows are inserted');
SELECT lives_ok('REINDEX TABLE items', 'indexes are built');
SELECT throws_ok('SELECT ''{1}''::real[] <-> ''{1}''::real[]', '42883', NULL, 'operators are where the extension is');
SELECT is((SELECT rows FROM elsewhere.togg_index_info('items_v')), 101::bigint, 'functions as well');

-- It goes, with what uses it; tables stay
SET LOCAL client_min_messages = warning;
SELECT lives_ok('DROP EXTENSION togg CASCADE', 'it is dropped with what uses it');
SELECT hasnt_index('public', 'items', 'items_v', 'its indexes are gone');
SELECT hasnt_view('distances');
SELECT is((SELECT count(*) FROM items), 101::bigint, 'the table is as it was');
SELECT is_empty($$ SELECT FROM pg_am WHERE amname = 'togg' $$, 'nothing is left');

-- Who may create in a database may create it, superuser or not
CREATE ROLE togg_creator;
GRANT CREATE ON SCHEMA elsewhere TO togg_creator;
SELECT throws_ok('SET LOCAL ROLE togg_creator; CREATE EXTENSION togg SCHEMA elsewhere; RESET ROLE',
	'42501', NULL, 'not everybody makes extensions');
CREATE FUNCTION elsewhere.divide(bigint, float8) RETURNS float8 LANGUAGE SQL AS 'SELECT 0::float8';
CREATE OPERATOR elsewhere./ (LEFTARG = bigint, RIGHTARG = float8, FUNCTION = elsewhere.divide);
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO togg_creator', current_database()); END $$;
SELECT lives_ok('SET LOCAL ROLE togg_creator; CREATE EXTENSION togg SCHEMA elsewhere; RESET ROLE',
	'an ordinary user with the right to create does');
SELECT is((SELECT extowner::regrole::text FROM pg_extension WHERE extname = 'togg'), 'togg_creator', 'and owns it');
SELECT is_empty(
	$$ SELECT d.refobjid::regoperator FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
	   WHERE r.ev_class = 'elsewhere.togg_stat'::regclass AND d.refclassid = 'pg_operator'::regclass $$,
	'its view has taken no operator that was in the schema before');

SELECT * FROM finish();
ROLLBACK;
