-- Vectors as real[]: what the functions and operators return.
-- Kernels differ in the order in which they add; so printed values are exact
-- in float32, and the others are compared within a tolerance.

CREATE FUNCTION near(a float8, b float8, scale float8 DEFAULT 0)
RETURNS boolean LANGUAGE SQL IMMUTABLE AS
$$ SELECT abs(a - b) <= 1e-5 * greatest(abs(a), abs(b), scale) $$;

-- By hand
SELECT l2_distance('{0,0}', '{3,4}');
SELECT l2_distance('{1,2,3}', '{1,2,3}');
SELECT inner_product('{1,2,3}', '{4,5,6}');
SELECT inner_product('{1,-1}', '{1,1}');
SELECT negative_inner_product('{1,2,3}', '{4,5,6}');
SELECT cosine_distance('{1,0}', '{2,0}');
SELECT cosine_distance('{1,0}', '{0,3}');
SELECT cosine_distance('{1,2}', '{-2,-4}');
SELECT round(cosine_distance('{1,0}', '{1,1}')::numeric, 6);
SELECT l1_distance('{0,0}', '{3,-4}');
SELECT vector_norm('{3,4}');
SELECT vector_norm('{0,0,0}');
SELECT vector_dims('{7,8,9}');
SELECT l2_normalize('{3,4}');
SELECT l2_normalize('{0,0}');
SELECT l2_normalize('{-2}');

-- Operators
SELECT '{0,0}'::real[] <-> '{3,4}';
SELECT '{1,2,3}'::real[] <#> '{4,5,6}';
SELECT '{1,0}'::real[] <=> '{0,3}';
SELECT '{0,0}'::real[] <+> '{3,-4}';
SELECT ARRAY[1, 2] <-> ARRAY[4, 6];
SELECT ARRAY[0.5, 2] <+> ARRAY[0, 1.5];
SELECT oprname, oprcode, oprcom = oid AS own_commutator
FROM pg_operator
WHERE oprleft = 'real[]'::regtype AND oprright = 'real[]'::regtype
ORDER BY oprname COLLATE "C";

-- A NULL vector has no distance
SELECT '{1}'::real[] <-> NULL, NULL <#> '{1}'::real[], l2_normalize(NULL::real[]),
	   vector_norm(NULL::real[]), vector_dims(NULL::real[]);

-- A zero vector has no direction
SELECT cosine_distance('{0,0}', '{1,1}'), cosine_distance('{1,1}', '{0,0}'),
	   cosine_distance('{0,0}', '{0,0}');

-- Rounding does not take a cosine out of its range
SELECT bool_and((v <=> v) BETWEEN 0 AND 1e-6), bool_and((v <=> w) BETWEEN 2 - 1e-6 AND 2)
FROM (SELECT array_agg(sin(i * n)::real ORDER BY i) AS v,
			 array_agg(-sin(i * n)::real ORDER BY i) AS w
	  FROM generate_series(1, 50) n, generate_series(1, 100) i
	  GROUP BY n) s;

-- Every length, against sums made by SQL: tails of all kernels
CREATE TABLE pairs (n int, a real[], b real[]);
INSERT INTO pairs
SELECT n, array_agg((sin(n * 31 + i) * 3)::real ORDER BY i),
	   array_agg((cos(n * 17 + i * i) * 2)::real ORDER BY i)
FROM (SELECT generate_series(1, 140) UNION ALL VALUES (257), (784), (1023), (1536)) s(n),
	 LATERAL generate_series(1, n) i
GROUP BY n;

CREATE VIEW sums AS
SELECT p.*, e.*
FROM pairs p,
	 LATERAL (SELECT sum((x::float8 - y) ^ 2) AS l2sq, sum(x::float8 * y) AS dot,
					 sum(abs(x::float8 * y)) AS dot_scale,
					 sum(abs(x::float8 - y)) AS l1,
					 sum(x::float8 ^ 2) AS aa, sum(y::float8 ^ 2) AS bb
			  FROM unnest(a, b) AS u(x, y)) e;

SELECT count(*),
	   bool_and(near(a <-> b, sqrt(l2sq))) AS l2,
	   bool_and(near(a <#> b, -dot, dot_scale)) AS ip,
	   bool_and(near(inner_product(a, b), dot, dot_scale)) AS inner_product,
	   bool_and(near(a <=> b, 1 - dot / sqrt(aa * bb), 1)) AS cosine,
	   bool_and(near(a <+> b, l1)) AS l1,
	   bool_and(near(vector_norm(a), sqrt(aa))) AS norm,
	   bool_and(near(vector_norm(l2_normalize(a)), 1)) AS normalized,
	   bool_and(near(l2_normalize(a) <-> l2_normalize(b), sqrt(2 * (a <=> b)), 1)) AS on_sphere,
	   bool_and(vector_dims(a) = n) AS dims
FROM sums;

-- Both ways, to the bit
SELECT bool_and((a <-> b) = (b <-> a)) AS l2, bool_and((a <#> b) = (b <#> a)) AS ip,
	   bool_and((a <=> b) = (b <=> a)) AS cosine, bool_and((a <+> b) = (b <+> a)) AS l1
FROM pairs;

-- However a value is stored: plain, short header, compressed, out of line.
-- All sums are exact.
CREATE TABLE stored (kind text, v real[]);
ALTER TABLE stored ALTER v SET STORAGE EXTERNAL;
INSERT INTO stored SELECT 'external', array_agg(i % 7) FROM generate_series(1, 3000) i;
ALTER TABLE stored ALTER v SET STORAGE EXTENDED;
INSERT INTO stored SELECT 'extended', array_agg(i % 7) FROM generate_series(1, 3000) i;
ALTER TABLE stored ALTER v SET STORAGE MAIN;
INSERT INTO stored SELECT 'main', array_agg(i % 7) FROM generate_series(1, 3000) i;
ALTER TABLE stored ALTER v SET STORAGE PLAIN;
INSERT INTO stored SELECT 'plain', array_agg(i % 7) FROM generate_series(1, 300) i;
ALTER TABLE stored ALTER v SET STORAGE EXTENDED;
INSERT INTO stored SELECT 'short header', array_agg(i % 7) FROM generate_series(1, 14) i;

SELECT kind, vector_dims(v), pg_column_compression(v) IS NOT NULL AS compressed,
	   v <-> array_fill(0::real, ARRAY[cardinality(v)]) = sqrt(inner_product(v, v)) AS l2,
	   v <#> v AS ip, v <+> array_fill(0::real, ARRAY[cardinality(v)]) AS l1,
	   near(v <=> v, 0, 1) AS cosine,
	   near(vector_norm(v), sqrt(inner_product(v, v))) AS norm,
	   near(vector_norm(l2_normalize(v)), 1) AS normalized
FROM stored ORDER BY kind;
SELECT a.kind, b.kind, a.v <-> b.v
FROM stored a, stored b
WHERE a.kind < b.kind AND cardinality(a.v) = 3000 AND cardinality(b.v) = 3000
ORDER BY 1, 2;

-- Values of PL/pgSQL variables, which are kept in expanded form
DO $$
DECLARE
	v real[] := '{0,0}';
BEGIN
	v[1] := 3;
	v := v || 12::real;
	v[2] := 4;
	RAISE NOTICE '% % %', v <-> '{0,0,0}', vector_dims(v), l2_normalize(v[1:2]);
END $$;

-- Subscripts need not begin at 1
SELECT '[0:1]={0,0}'::real[] <-> '{3,4}', '[-5:-4]={1,2}'::real[] <#> '[8:9]={3,4}'::real[];
SELECT vector_dims('[-3:0]={1,2,3,4}'), l2_normalize('[0:1]={3,4}');

-- A NULL bitmap without a NULL
CREATE TABLE patched (v real[]);
INSERT INTO patched VALUES ('{3,NULL,12}');
UPDATE patched SET v[2] = 4;
SELECT v, vector_norm(v), v <-> '{3,4,11}', v <#> v, l2_normalize(v) = l2_normalize('{3,4,12}')
FROM patched;

-- One element, and as many as there may be
SELECT '{2}'::real[] <-> '{5}', '{2}'::real[] <#> '{5}', '{2}'::real[] <=> '{5}',
	   '{2}'::real[] <=> '{-5}', '{2}'::real[] <+> '{5}', vector_norm('{-2}');
SELECT vector_dims(v), v <-> w, v <#> w, round((v <=> w)::numeric, 5), v <+> w,
	   near(vector_norm(l2_normalize(v)), 1)
FROM (SELECT array_fill(3::real, '{16000}') AS v,
			 array_fill(0::real, '{6000}') || array_fill(3::real, '{10000}') AS w) s;

-- Negative zero is zero
SELECT '{-0,1}'::real[] <-> '{0,1}', '{-0,1}'::real[] <=> '{0,1}',
	   '{-0,1}'::real[] <+> '{0,1}', inner_product('{-0}', '{1}'),
	   '{-0}'::real[] <=> '{1}', l2_normalize('{-0}');

-- Sums that overflow float32
SELECT near('{1e30,1e30}'::real[] <-> '{-1e30,1e30}', 2e30) AS l2,
	   near('{1e30,1e30}'::real[] <#> '{1e30,1e30}', -2e60) AS ip,
	   near(inner_product('{1e30,1e30}', '{1e30,1e30}'), 2e60) AS inner_product,
	   '{1e30,1e30}'::real[] <#> '{1e30,-1e30}' AS ip_zero,
	   '{1e30,1e30}'::real[] <=> '{1e30,-1e30}' AS cosine,
	   near('{1e30,1e30}'::real[] <=> '{1,1}', 0, 1) AS cosine_mixed,
	   near('{3e38,-3e38}'::real[] <+> '{-3e38,3e38}', 1.2e39) AS l1,
	   near(vector_norm('{3e30,4e30}'), 5e30) AS norm,
	   near(l2_normalize('{3e30,4e30}') <-> '{0.6,0.8}', 0, 1) AS normalized;
SELECT near(v <-> w, 2 * 3.4e38::real::float8 * sqrt(16000)) AS l2,
	   near(v <#> w, 3.4e38::real::float8 ^ 2 * 16000) AS ip, near(v <=> w, 2) AS cosine,
	   near(v <+> w, 2 * 3.4e38::real::float8 * 16000) AS l1
FROM (SELECT array_fill(3.4e38::real, '{16000}') AS v,
			 array_fill(-3.4e38::real, '{16000}') AS w) s;

-- Squares that underflow float32: the direction remains
SELECT '{1e-30,0}'::real[] <=> '{0,1e-30}', near('{1e-30,1e-30}'::real[] <=> '{1,1}', 0, 1),
	   near('{1e-40,0}'::real[] <=> '{-1e-40,0}', 2), near('{1e-21,0}'::real[] <=> '{1,1}', 1 - sqrt(0.5)),
	   near('{1e-30,0}'::real[] <=> '{1e30,0}', 0, 1);
SELECT near(vector_norm('{3e-40,4e-40}'), 5e-40), near(l2_normalize('{3e-30,4e-30}') <-> '{0.6,0.8}', 0, 1);

-- Order by distance, without an index
CREATE TABLE points (id int PRIMARY KEY, v real[]);
INSERT INTO points SELECT i, ARRAY[i % 10, i / 10] FROM generate_series(0, 99) i;
INSERT INTO points VALUES (100, NULL);
SELECT id, v <-> '{4.25,5.5}' AS distance FROM points ORDER BY v <-> '{4.25,5.5}', id LIMIT 5;
SELECT id, v <#> '{1,-2}' AS distance FROM points ORDER BY v <#> '{1,-2}', id LIMIT 3;
SELECT id, v <+> '{3,3}' AS distance FROM points ORDER BY '{3,3}' <+> v, id LIMIT 5;
SELECT id FROM points ORDER BY v <=> '{1,2}', id LIMIT 4;
-- last come what has no direction (NaN), then what is no vector (NULL)
SELECT id, v <=> '{1,2}' AS distance FROM points ORDER BY v <=> '{1,2}' DESC NULLS FIRST LIMIT 2;
SELECT count(*) FROM points WHERE v <-> '{0,0}' < 2.5;

DROP VIEW sums;
DROP TABLE pairs, stored, patched, points;
DROP FUNCTION near;
