-- What CREATE EXTENSION togg_pgvector makes.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION togg_pgvector CASCADE;
SELECT plan(8);

CREATE VIEW members AS
SELECT classid, objid, objsubid
FROM pg_depend
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND
	  refobjid = (SELECT oid FROM pg_extension WHERE extname = 'togg_pgvector');

SELECT set_eq(
	$$ SELECT opcname::text, opcintype::regtype::text, opcdefault, amopopr::regoperator::text, amproc::text
	   FROM members JOIN pg_opclass c ON objid = c.oid AND classid = 'pg_opclass'::regclass
	   LEFT JOIN pg_amop ON amopfamily = opcfamily AND amoppurpose = 'o' LEFT JOIN pg_amproc ON amprocfamily = opcfamily $$,
	$$ VALUES ('vector_l2_ops', 'vector', true, '<->(vector,vector)', 'togg_vector_l2_ops'),
			  ('vector_ip_ops', 'vector', false, '<#>(vector,vector)', 'togg_vector_ip_ops'),
			  ('vector_cosine_ops', 'vector', false, '<=>(vector,vector)', 'togg_vector_cosine_ops'),
			  ('vector_l1_ops', 'vector', false, '<+>(vector,vector)', 'togg_vector_l1_ops'),
			  ('halfvec_l2_ops', 'halfvec', true, '<->(halfvec,halfvec)', 'togg_halfvec_l2_ops'),
			  ('halfvec_ip_ops', 'halfvec', false, '<#>(halfvec,halfvec)', 'togg_halfvec_ip_ops'),
			  ('halfvec_cosine_ops', 'halfvec', false, '<=>(halfvec,halfvec)', 'togg_halfvec_cosine_ops'),
			  ('halfvec_l1_ops', 'halfvec', false, '<+>(halfvec,halfvec)', 'togg_halfvec_l1_ops'),
			  ('bit_hamming_ops', 'bit', true, '<~>(bit,bit)', 'togg_bit_hamming_ops') $$,
	'operator classes, their operators and support functions');
SELECT set_eq(
	$$ SELECT opcname::text, amopstrategy::int, amopopr::regoperator::text
	   FROM members JOIN pg_opclass c ON objid = c.oid AND classid = 'pg_opclass'::regclass
	   JOIN pg_amop ON amopfamily = opcfamily AND amoppurpose = 's' $$,
	$$ SELECT format('%s_%s_ops', type, metric) AS class, 2 AS strategy, format('%s(%s,togg_%2$s_sphere)', operator, type) AS op
	   FROM (VALUES ('l2', '<-<'), ('ip', '<#<'), ('cosine', '<=<'), ('l1', '<+<')) m(metric, operator),
			(VALUES ('vector'), ('halfvec')) t(type)
	   UNION ALL VALUES ('bit_hamming_ops', 2, '<~<(bit,togg_bit_sphere)') $$,
	'each stops at a distance');
SELECT is_empty(
	$$ SELECT opcname FROM members JOIN pg_opclass c ON objid = c.oid AND classid = 'pg_opclass'::regclass
	   WHERE NOT amvalidate(c.oid) $$,
	'the access method accepts them');
SELECT is_empty(
	$$ SELECT objid::regprocedure FROM members JOIN pg_proc p ON objid = p.oid AND classid = 'pg_proc'::regclass
	   WHERE (provolatile, proparallel, proisstrict, prosecdef) <> ('i', 's', true, false) $$,
	'functions are immutable, strict and parallel safe');
SELECT set_eq(
	$$ SELECT objid::regtype::text FROM members JOIN pg_type t ON objid = t.oid
	   WHERE classid = 'pg_type'::regclass AND typcategory <> 'A' $$,
	ARRAY['togg_vector_sphere', 'togg_halfvec_sphere', 'togg_bit_sphere'], 'types are those of spheres');
SELECT is((SELECT count(*) FROM members WHERE classid NOT IN ('pg_opclass'::regclass,
	'pg_opfamily'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass,
	'pg_amop'::regclass, 'pg_amproc'::regclass)),
	0::bigint, 'nothing else');
SELECT is_empty(
	$$ SELECT pg_describe_object(classid, objid, objsubid) FROM members
	   WHERE classid NOT IN ('pg_amop'::regclass, 'pg_amproc'::regclass) AND
			 coalesce(obj_description(objid, classid::regclass::name), '') = '' AND
			 /* PostgreSQL makes an array type of each type. */
			 NOT (classid = 'pg_type'::regclass AND
				  EXISTS (SELECT FROM pg_type WHERE oid = objid AND typcategory = 'A')) $$,
	'every object has a comment');
SELECT isnt(obj_description(oid, 'pg_extension'), NULL, 'the extension has one, too')
FROM pg_extension WHERE extname = 'togg_pgvector';

SELECT * FROM finish();
ROLLBACK;
