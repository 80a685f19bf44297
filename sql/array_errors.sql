-- Vectors as real[]: what is no vector, and what cannot be compared.

-- NULL elements
SELECT l2_distance('{1,NULL,3}', '{1,2,3}');
\echo :LAST_ERROR_SQLSTATE
SELECT inner_product('{1,2,3}', '{NULL,2,3}');
SELECT vector_norm('{1,2,3,4,5,6,7,8,NULL}');
SELECT l2_normalize('[0:1]={1,NULL}');
SELECT vector_dims('{NULL}');

-- More than one array dimension
SELECT l2_distance('{{1,2},{3,4}}', '{1,2,3,4}');
\echo :LAST_ERROR_SQLSTATE
SELECT cosine_distance('{1}', '{{{1}}}');
SELECT l2_normalize('{{1,2}}');
SELECT vector_dims('{{1,2}}');

-- No elements
SELECT '{}'::real[] <-> '{}'::real[];
\echo :LAST_ERROR_SQLSTATE
SELECT '{1}'::real[] <=> '{}'::real[];
SELECT vector_norm('{}');
SELECT vector_dims('{}');

-- Too many
SELECT vector_dims(array_fill(1::real, '{16001}'));
\echo :LAST_ERROR_SQLSTATE
SELECT array_fill(1::real, '{20000}') <-> array_fill(1::real, '{20000}');

-- Different numbers of dimensions
SELECT '{1,2}'::real[] <-> '{1,2,3}';
\echo :LAST_ERROR_SQLSTATE
SELECT '{1,2}'::real[] <#> '{1}';
SELECT '{1,2}'::real[] <=> '{1}';
SELECT '{1,2}'::real[] <+> '{1}';
SELECT inner_product('{1}', '{1,2}');

-- Elements that are no numbers
SELECT '{1,NaN}'::real[] <-> '{1,2}';
\echo :LAST_ERROR_SQLSTATE
SELECT '{1,2,3}'::real[] <-> '{1,2,-Infinity}';
SELECT '{Infinity}'::real[] <-> '{Infinity}';
SELECT '{Infinity,1}'::real[] <#> '{0,1}';
SELECT '{Infinity,-Infinity}'::real[] <#> '{1,1}';
SELECT inner_product('{1,NaN}', '{0,0}');
SELECT '{NaN,1}'::real[] <=> '{1,1}';
SELECT '{0,0}'::real[] <=> '{1,Infinity}';
SELECT '{1e30,1e30}'::real[] <=> '{1e30,NaN}';
SELECT '{1,Infinity}'::real[] <+> '{1,2}';
SELECT vector_norm('{1,NaN}');
SELECT vector_norm('{-Infinity}');
SELECT l2_normalize('{1,2,Infinity}');

-- The first element that is wrong is named, in the first vector that has one
SELECT '{1,1,NaN}'::real[] <-> '{NaN,1,1}';
SELECT '{1,Infinity,NaN}'::real[] <-> '{NaN,1,1}';

-- Counting elements does not look at their values
SELECT vector_dims('{1,NaN}');

-- In a table, the error ends the query
CREATE TABLE mixed (id int, v real[]);
INSERT INTO mixed VALUES (1, '{1,2}'), (2, '{1,2,3}'), (3, NULL);
SELECT id FROM mixed ORDER BY v <-> '{1,1}';
SELECT id FROM mixed WHERE id <> 2 ORDER BY v <-> '{1,1}';
DROP TABLE mixed;

-- Checking an index is nobody's right until it is granted
SELECT has_function_privilege('public', 'togg_check(regclass, boolean)', 'EXECUTE');
