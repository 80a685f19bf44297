# 006_concurrency.pl
#	Readers, writers, VACUUM, REINDEX and clustering at the same time: no errors,
#	no row lost, none returned twice, and no assertion fails.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main');

use_variant($node, build_variant('-DUSE_ASSERT_CHECKING=1'));
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE data (id serial PRIMARY KEY, embedding real[]);
CREATE TABLE asked (id int PRIMARY KEY, embedding real[]);
CREATE INDEX data_idx ON data USING togg (embedding);
CREATE INDEX data_cosine_idx ON data USING togg (embedding array_cosine_ops);
CREATE TABLE wide (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX wide_idx ON wide USING togg (embedding) WITH (m = 64);
SELECT setseed(0.5);
INSERT INTO data (embedding)
	SELECT clustered(8, i % 20) FROM generate_series(1, 3000) AS i;
SQL
add_vectors($node, 'asked', 8, 1, 40, 0.25);

# Some vectors come many times, so that rows share a vertex.
my $insert = <<'SQL';
INSERT INTO data (embedding) SELECT clustered(8, (random() * 19)::int);
SQL
my $insert_alike = <<'SQL';
\set x random(1, 4)
INSERT INTO data (embedding)
	VALUES (array_fill(:x::real, '{8}')), (array_fill(0::real, '{8}')), (NULL);
SQL
my $update = <<'SQL';
UPDATE data SET embedding = clustered(8, (random() * 19)::int)
	WHERE id = (SELECT (random() * max(id))::int FROM data);
SQL
my $delete = <<'SQL';
DELETE FROM data WHERE id = (SELECT (random() * max(id))::int FROM data);
SQL
my $move = <<'SQL';
BEGIN;
DELETE FROM data WHERE id = (SELECT (random() * max(id))::int FROM data)
	RETURNING embedding;
INSERT INTO data (embedding) VALUES (array_fill(2::real, '{8}'));
ROLLBACK;
SQL
my @select = map { <<"SQL" } ('<->', '<=>');
SET enable_seqscan = off;
\\set one random(1, 40)
SELECT 1 / (count(*) = 10 AND count(DISTINCT id) = 10)::int FROM (
	SELECT id FROM data ORDER BY embedding $_
		(SELECT embedding FROM asked WHERE id = :one) LIMIT 10) AS found;
SQL
my $read_all = <<'SQL';
SET enable_seqscan = off;
SELECT 1 / (count(*) = count(DISTINCT id))::int FROM (
	SELECT id FROM data ORDER BY embedding <-> array_fill(0.5::real, '{8}')
	LIMIT 1000000) AS found;
SQL

# Lists of several pages.
my $wide = <<'SQL';
INSERT INTO wide (embedding) SELECT clustered(1500, (random() * 19)::int);
SQL
my $wide_delete = <<'SQL';
DELETE FROM wide WHERE id = (SELECT (random() * max(id))::int FROM wide);
SQL
my $wide_select = <<'SQL';
SET enable_seqscan = off;
SELECT 1 / (count(*) = count(DISTINCT id))::int FROM (
	SELECT id FROM wide ORDER BY embedding <-> array_fill(0.5::real, '{1500}')
	LIMIT 20) AS found;
SQL

# Clustering gives way to REINDEX, and neither waits for the other for long.
my @maintenance = (
	start_pgbench($node, '-c 1 -T 15', <<'SQL'),
VACUUM data;
\sleep 100 ms
VACUUM data, wide;
\sleep 100 ms
REINDEX INDEX CONCURRENTLY data_idx;
SQL
	start_pgbench($node, '-c 1 -T 15', <<'SQL'));
SELECT togg_cluster('data_cosine_idx');
SELECT togg_cluster('wide_idx');
\sleep 100 ms
SQL
run_pgbench(
	$node, '-c 6 -j 2 -R 800 -T 15', 'readers and writers meet no error',
	"$insert\@4", "$insert_alike\@2", "$update\@4", "$delete\@4", $move,
	"$select[0]\@4", "$select[1]\@4", $read_all, $wide, $wide_delete, $wide_select);
for my $program (@maintenance)
{
	ok( finish_program($program) && $program->{err} !~ /error|aborted/i,
		'neither do VACUUM, REINDEX and clustering')
	  or diag($program->{err});
	note($program->{out} =~ /(number of transactions.*)/);
}
cmp_ok($node->safe_psql('postgres',
		q{SELECT lists_clustered FROM togg_index_info('data_cosine_idx')}),
	'>', 0, 'lists were clustered meanwhile');

for my $state ('as it is', 'vacuumed')
{
	$node->safe_psql('postgres', 'VACUUM data') if $state eq 'vacuumed';
	for my $case ([ 'data_idx', '<->' ], [ 'data_cosine_idx', '<=>' ])
	{
		my ($index, $op) = @$case;
		my $name = "$index, $state";

		is_sound($node, $index, $name);
		is_complete($node, 'data', $op, '{1,2,3,4,5,6,7,8}', $name);
		is_found($node, 'data', $op, $name) if $op eq '<->';
		recalls_well($node, 'data', 'asked', $op, 0.95, $name);
		next if $state ne 'vacuumed';
		is( $node->safe_psql('postgres', "SELECT rows FROM togg_index_info('$index')"),
			$node->safe_psql('postgres', 'SELECT count(*) FROM data'),
			"$name: as many rows as the table");
	}
	is_sound($node, 'wide_idx', "wide, $state");
	is_found($node, 'wide', '<->', "wide, $state");
	is_complete($node, 'wide', '<->', '{' . join(',', (0.5) x 1500) . '}', "wide, $state");
}
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/,
	'nothing has crashed');

$node->stop;
done_testing();
