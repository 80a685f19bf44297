# 005_replication.pl
#	A standby answers as the primary does, while that goes on writing, and takes
#	its place.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $primary = new_node(
	'primary',
	allows_streaming => 1,
	conf => <<'CONF');
wal_consistency_checking = 'all'
wal_keep_size = 2GB
togg.clustering_workers = off	# servers are compared while none writes
CONF
my $standby = PostgreSQL::Test::Cluster->new('standby');

$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE data (id serial PRIMARY KEY, embedding real[]);
CREATE TABLE long (id serial PRIMARY KEY, embedding real[]);
CREATE TABLE asked (id int PRIMARY KEY, embedding real[]);
CREATE INDEX long_idx ON long USING togg (embedding) WITH (m = 64);
SELECT setseed(0.5);
INSERT INTO data (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 3000) AS i;
SQL
add_vectors($primary, 'asked', 16, 1, 40, 0.25);
$primary->backup('backup');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

# The nearest rows of some vectors, and all rows in the order of one.  The pool
# holds all rows: a smaller one may find others on the primary, which skips those
# that are dead to all.  Rows at one distance come in any order.
my $nearest = <<'SQL';
SET togg.ef_search = 20000;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT asked.id, array_agg(found.id ORDER BY found.d, found.id)
	FROM asked, LATERAL (
		SELECT id, embedding <-> asked.embedding AS d FROM data
		ORDER BY embedding <-> asked.embedding LIMIT 20) AS found
	GROUP BY asked.id ORDER BY asked.id;
SELECT md5(string_agg(id::text, ',' ORDER BY d, id)) FROM (
	SELECT id, embedding <-> (SELECT embedding FROM asked WHERE id = 1) AS d FROM data
	ORDER BY embedding <-> (SELECT embedding FROM asked WHERE id = 1)) AS read;
SQL

sub is_same
{
	my ($name) = @_;

	$primary->wait_for_catchup($standby);
	is( $standby->safe_psql('postgres', $nearest),
		$primary->safe_psql('postgres', $nearest),
		"$name: the standby answers as the primary does");
	is_complete($standby, 'data', '<->', '{' . join(',', (0.5) x 16) . '}',
		"$name, standby");
	is_sound($standby, 'data_idx', "$name, standby");
	return;
}

$primary->safe_psql('postgres',
	'CREATE INDEX data_idx ON data USING togg (embedding)');
is_same('build');
recalls_well($standby, 'data', 'asked', '<->', 0.95, 'standby after build');

$primary->safe_psql('postgres', <<'SQL');
SELECT setseed(0.5);
INSERT INTO data (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 1000) AS i;
INSERT INTO data (embedding) SELECT NULL FROM generate_series(1, 1500);
INSERT INTO data (embedding)
	SELECT array_fill(0.5::real, '{16}') FROM generate_series(1, 1500);
SQL
is_same('inserts');
$primary->safe_psql('postgres', q{SELECT togg_cluster('data_idx')});
is_same('clustering');
my ($status, $out, $err) =
  $standby->psql('postgres', q{SELECT togg_cluster('data_idx')});
like($err, qr/recovery is in progress/, 'a standby does not cluster by itself');
for my $round (0 .. 2)
{
	$primary->safe_psql('postgres',
		"DELETE FROM data WHERE hashint4(id) & 3 = $round");
	$primary->safe_psql('postgres', 'VACUUM data');
	$primary->safe_psql('postgres', <<'SQL');
INSERT INTO data (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 500) AS i;
SQL
	is_same("VACUUM $round");
}

#
# Both at work.
#

my $insert = <<'SQL';
INSERT INTO data (embedding) SELECT clustered(16, (random() * 19)::int);
SQL
my $long = <<'SQL';
INSERT INTO long (embedding) SELECT clustered(1500, (random() * 19)::int);
SQL
my $delete = <<'SQL';
DELETE FROM data WHERE id = (random() * 8000)::int;
SQL
my $read = <<'SQL';
SET enable_seqscan = off;
\set one random(1, 40)
SELECT 1 / (count(DISTINCT id) = 10)::int FROM (
	SELECT id FROM data
	ORDER BY embedding <-> (SELECT embedding FROM asked WHERE id = :one)
	LIMIT 10) AS found;
SQL
my @writers = (
	start_pgbench($primary, '-c 3 -j 1 -R 600 -T 6', "$insert\@10", "$delete\@10", $long),
	start_pgbench($primary, '-c 1 -R 5 -T 6', "VACUUM data;\n"),
	start_pgbench($primary, '-c 1 -R 5 -T 6', "SELECT togg_cluster('data_idx');\n"));
run_pgbench($standby, '-c 2 -j 1 -T 6', 'the standby answers all the time', $read);
ok(finish_program($_) && $_->{err} !~ /error|aborted/i, 'the primary goes on writing')
  or diag($_->{err})
  for @writers;
is_same('both at work');

#
# The standby becomes the primary.
#

$primary->stop;
$standby->promote;
for my $table ('data', 'long')
{
	my $dims = $table eq 'long' ? 1500 : 16;

	is_sound($standby, "${table}_idx", "$table, promoted");
	$standby->safe_psql('postgres', "DELETE FROM $table WHERE id % 3 = 0");
	$standby->safe_psql('postgres', "VACUUM $table");
	$standby->safe_psql('postgres', <<"SQL");
INSERT INTO $table (embedding)
	SELECT clustered($dims, i % 20) FROM generate_series(1, 200) AS i;
SQL
	is_sound($standby, "${table}_idx", "$table, promoted and written to");
	is_found($standby, $table, '<->', "$table, promoted and written to");
	is_complete($standby, $table, '<->', '{' . join(',', (0.5) x $dims) . '}',
		"$table, promoted and written to");
}
recalls_well($standby, 'data', 'asked', '<->', 0.95, 'promoted');
unlike(slurp_file($standby->logfile), qr/inconsistent page|FATAL:  WAL|PANIC/,
	'replay made the pages that the primary made');

$standby->stop;
done_testing();
