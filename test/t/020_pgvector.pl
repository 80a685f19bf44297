# 020_pgvector.pl
#	Columns of pgvector's types: an index finds the nearest rows, and returns all
#	of them, by each metric and also beyond the dimensions of pgvector's own
#	indexes; after a build, after inserts, updates, deletes and VACUUM.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main');
if ($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == 0)
{
	$node->stop;
	plan skip_all => 'no pgvector here';
}
$node->safe_psql('postgres', 'CREATE EXTENSION togg_pgvector CASCADE');

my %class = ('<->' => 'l2', '<#>' => 'ip', '<=>' => 'cosine');

# A table of a type with an index for each metric, made when it has so many of
# its rows, and one of queries.
sub make_tables
{
	my ($type, $dims, $rows, $built) = @_;
	my $indexes = join("\n",
		map { "CREATE INDEX data_$class{$_} ON data USING togg (embedding ${type}_$class{$_}_ops);" }
		  sort keys %class);

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS data, asked;
CREATE TABLE data (id int PRIMARY KEY, other int, embedding $type($dims));
CREATE TABLE asked (id int PRIMARY KEY, embedding $type($dims));
SQL
	add_vectors($node, 'asked', $dims, 1, 20, 0.25);
	add_vectors($node, 'data', $dims, 1, $built);
	$node->safe_psql('postgres', $indexes);
	add_vectors($node, 'data', $dims, $built + 1, $rows, 0.75);
	$node->safe_psql('postgres', 'ANALYZE data');
	return;
}

# What is expected of all three indexes.
sub judge
{
	my ($name) = @_;
	my $query = $node->safe_psql('postgres',
		'SELECT embedding FROM asked WHERE id = 1');

	for my $op (sort keys %class)
	{
		my $by = "$name by $op";

		is_sound($node, "data_$class{$op}", $by);
		recalls_well($node, 'data', 'asked', $op, 0.95, $by);
		is_complete($node, 'data', $op, $query, $by);
	}
	return;
}

for my $case (
	[ 'vector', 48, 1500 ], [ 'halfvec', 48, 1500 ],
	[ 'vector', 2001, 160 ], [ 'halfvec', 4000, 100 ])
{
	my ($type, $dims, $rows) = @$case;
	my $name = "$type($dims)";

	make_tables($type, $dims, $rows, $rows);
	judge("$name, built");

	make_tables($type, $dims, $rows, $rows / 4);
	judge("$name, grown");

	# Rows change their vectors, or other columns only, or go; rows come that
	# have no vector, or none with a direction, or one that is there already.
	$node->safe_psql('postgres', <<"SQL");
UPDATE data SET embedding = (SELECT embedding FROM asked WHERE id = 1 + data.id % 20)
	WHERE id % 10 = 0;
UPDATE data SET other = id WHERE id % 3 = 0;
DELETE FROM data WHERE id % 4 = 1;
VACUUM data;
INSERT INTO data (id, embedding)
	SELECT $rows + 1 + i, CASE i % 3 WHEN 0 THEN NULL
							 WHEN 1 THEN array_fill(0::real, '{$dims}')::$type
							 ELSE (SELECT embedding FROM data WHERE id = 2) END
	FROM generate_series(1, 60) AS i;
INSERT INTO data (id, embedding) SELECT id + 10 * $rows, embedding FROM data WHERE id % 4 = 2;
SQL
	judge("$name, changed");
}

#
# A column with an hnsw index moves to togg while it is read and written.
#

$node->safe_psql('postgres', <<'SQL');
DROP TABLE data;
CREATE TABLE data (id serial PRIMARY KEY, embedding vector(16));
SELECT setseed(0.5);
INSERT INTO data (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 3000) AS i;
CREATE INDEX data_hnsw ON data USING hnsw (embedding vector_cosine_ops);
CREATE TABLE asked16 AS
	SELECT i AS id, clustered(16, i % 20)::vector(16) AS embedding FROM generate_series(1, 20) AS i;
SQL
my $clients = start_pgbench($node, '-c 2 -j 2 -T 6', <<'SQL');
INSERT INTO data (embedding) SELECT clustered(16, (random() * 20)::int);
SELECT id FROM data ORDER BY embedding <=> (SELECT embedding FROM asked16 WHERE id = 7) LIMIT 10;
SQL
$node->safe_psql('postgres', <<'SQL');
CREATE INDEX CONCURRENTLY data_togg ON data USING togg (embedding vector_cosine_ops);
SQL
$node->safe_psql('postgres', 'DROP INDEX CONCURRENTLY data_hnsw');
ok(finish_program($clients) && $clients->{err} !~ /error|aborted/i,
	'clients go on while an index takes the place of another')
  or diag($clients->{err});
is_sound($node, 'data_togg', 'moved from hnsw');
recalls_well($node, 'data', 'asked16', '<=>', 0.95, 'moved from hnsw');
is_found($node, 'data', '<=>', 'moved from hnsw');

$node->stop;
done_testing();
