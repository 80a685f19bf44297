# 040_filter.pl
#	Under a filter an index finds the nearest rows that pass, as many as were
#	asked for, whatever the share that passes and wherever those rows are; also
#	while rows come, change and go.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main');

# Share of the k nearest rows that pass which the index finds, over all queries;
# -1 if it once returned fewer rows than there are, up to k.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION filtered_recall(data text, queries text, op text, condition text, k int)
RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
	nearest text := format('SELECT id, embedding %1$s $1 AS d FROM %2$s WHERE %3$s
							ORDER BY embedding %1$s $1 LIMIT %4$s', op, data, condition, k);
	query real[];
	farthest float8;
	n int;
	returned int;
	found int;
	hits float8 := 0;
	wanted float8 := 0;
BEGIN
	FOR query IN EXECUTE format('SELECT embedding FROM %s', queries) LOOP
		PERFORM by_index(false);
		EXECUTE format('SELECT max(d), count(*) FROM (%s) AS nearest', nearest)
			INTO farthest, n USING query;
		PERFORM by_index(true);
		EXECUTE format('SELECT count(DISTINCT id), count(DISTINCT id) FILTER (WHERE d <= $2)
						FROM (%s) AS nearest', nearest)
			INTO returned, found USING query, farthest;
		IF returned <> n THEN
			RETURN -1;
		END IF;
		hits := hits + found;
		wanted := wanted + n;
	END LOOP;
	RETURN hits / wanted;
END $$;
SQL

# Is the condition the index's, and its recall at default options good enough?
sub recalls_filtered
{
	my ($table, $op, $condition, $name) = @_;
	my $plan = $node->safe_psql('postgres', <<"SQL");
SELECT by_index(true);
EXPLAIN (COSTS off) SELECT id FROM $table WHERE $condition
ORDER BY embedding $op (SELECT embedding FROM ${table}_asked LIMIT 1) LIMIT 10;
SQL
	my $recall;

	like($plan, qr/Index Cond/, "$name: $condition is the index's")
	  if $condition !~ /ANY/;
	$recall = $node->safe_psql('postgres',
		"SELECT filtered_recall('$table', '${table}_asked', '$op', \$\$$condition\$\$, 10)");
	cmp_ok($recall, '>=', 0.95, "$name: recall where $condition");
	return;
}

# Columns to filter by: one that has nothing to do with the vectors, and the
# rank by distance from one vector, near which the queries are.
sub add_columns
{
	my ($table, $op) = @_;

	$node->safe_psql('postgres', <<"SQL");
ALTER TABLE $table ADD chance float8, ADD rank int, ADD name text;
SELECT setseed(0.25);
UPDATE $table SET chance = random(), name = 'name ' || id % 20;
UPDATE $table SET rank = n FROM (
	SELECT id AS i, row_number() OVER (ORDER BY embedding $op
		(SELECT embedding FROM ${table}_asked ORDER BY id LIMIT 1)) AS n FROM $table) r
WHERE i = id;
DELETE FROM ${table}_asked WHERE id NOT IN (
	SELECT id FROM ${table}_asked ORDER BY embedding $op
		(SELECT embedding FROM ${table}_asked ORDER BY id LIMIT 1) LIMIT 40);
VACUUM FULL ANALYZE $table;
SQL
	return;
}

sub recalls_all
{
	my ($table, $op, $rows, $name) = @_;

	recalls_filtered($table, $op, "chance < $_", $name)
	  for (0.5, 0.1, 0.01, 0.001);
	recalls_filtered($table, $op, "rank <= " . int($rows * $_), "$name, near")
	  for (0.5, 0.1, 0.01, 0.001);
	recalls_filtered($table, $op, "rank > " . int($rows * (1 - $_)), "$name, far")
	  for (0.5, 0.1, 0.01, 0.001);
	recalls_filtered($table, $op, "name = 'name 3'", $name);
	recalls_filtered($table, $op, "name = 'name 3' AND chance < 0.5", $name);
	return;
}

load_vectors($node, 'words', 'words.f16bin.gz');
load_vectors($node, 'words_asked', 'words100.f16bin.gz');
add_columns('words', '<=>');
$node->safe_psql('postgres',
	'CREATE INDEX words_idx ON words USING togg (embedding array_cosine_ops, chance, rank, name)');
recalls_all('words', '<=>', 15000, 'built');
is_sound($node, 'words_idx', 'built');

# By several processes.
$node->safe_psql('postgres', <<'SQL');
DROP INDEX words_idx;
ALTER TABLE words SET (parallel_workers = 2);
SET max_parallel_maintenance_workers = 2;
CREATE INDEX words_idx ON words USING togg (embedding array_cosine_ops, chance, rank, name);
SQL
recalls_filtered('words', '<=>', 'chance < 0.1', 'built by several');
is_sound($node, 'words_idx', 'built by several');

# Without codes, in layers.
for my $with ('bits = 0', 'graph = hnsw')
{
	$node->safe_psql('postgres', <<"SQL");
DROP INDEX words_idx;
CREATE INDEX words_idx ON words USING togg (embedding array_cosine_ops, chance, rank, name) WITH ($with);
SQL
	recalls_filtered('words', '<=>', 'chance < 0.1', $with);
	recalls_filtered('words', '<=>', 'rank > 13500', $with);
}

# Half of the rows come later, and columns change, while others ask and VACUUM
# goes by.
load_vectors($node, 'mnist', 'mnist2k.u8bin.gz');
load_vectors($node, 'mnist_asked', 'mnist100.u8bin.gz');
add_columns('mnist', '<->');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE mnist_later AS SELECT * FROM mnist WHERE id > 1000;
DELETE FROM mnist WHERE id > 1000;
CREATE INDEX mnist_idx ON mnist USING togg (embedding, chance, rank, name);
SQL
my $asking = start_pgbench($node, '-c 2 -T 10', <<'SQL');
\set low random(0, 9)
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*), 1 / (count(*) FILTER (WHERE chance BETWEEN :low / 10.0 AND (:low + 1) / 10.0) = count(*))::int
FROM (SELECT chance FROM mnist WHERE chance BETWEEN :low / 10.0 AND (:low + 1) / 10.0
	  ORDER BY embedding <-> (SELECT embedding FROM mnist_asked LIMIT 1) LIMIT 50) AS n;
SQL
for my $part (0 .. 4)
{
	$node->safe_psql('postgres', <<"SQL");
INSERT INTO mnist SELECT * FROM mnist_later WHERE id % 5 = $part;
UPDATE mnist SET chance = 1 - chance WHERE id % 10 = $part;
UPDATE mnist SET name = 'changed' WHERE id % 10 = $part + 5;
DELETE FROM mnist WHERE id % 50 = $part;
VACUUM mnist;
SQL
}
ok(finish_program($asking), 'queries in the meantime were answered right')
  or diag($asking->{err});
recalls_all('mnist', '<->', 2000, 'changed');
is_sound($node, 'mnist_idx', 'changed');

# What was written is in the WAL.
$node->stop('immediate');
$node->start;
is_sound($node, 'mnist_idx', 'recovered');
recalls_filtered('mnist', '<->', 'chance < 0.1', 'recovered');

$node->stop;
done_testing();
