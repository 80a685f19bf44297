# 004_crash_recovery.pl
#	After a crash at any moment an index is whole, and every committed row is in
#	it.  (011_crash_points.pl has crashes at chosen moments.)
#
# TOGG_CRASHES says how many crashes there are at least.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use ToggTest;

# Rounds of each kind of work; there are three, and a few crashes beside them.
my $rounds = int(($ENV{TOGG_CRASHES} // 12) / 3 + 0.999);

my $crashes = 0;

# wal_level = minimal would let a build do without WAL.
my $node = new_node('main', conf => <<'CONF');
wal_level = replica
full_page_writes = on
checkpoint_timeout = 30s
CONF

# All processes at once, or only the postmaster, without which the others end.
sub crash
{
	my @pids = server_pids($node);

	kill 'KILL', @pids if ++$crashes % 2;
	restart_killed($node, @pids);
	return;
}

sub judge
{
	my ($table, $name) = @_;

	is_sound($node, "${table}_idx", $name);
	is_found($node, $table, '<->', $name);
	is_complete($node, $table, '<->', '{' . join(',', (0.5) x 16) . '}', $name);
	return;
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE data (id serial PRIMARY KEY, embedding real[]);
CREATE TABLE asked (id int PRIMARY KEY, embedding real[]);
SELECT setseed(0.5);
INSERT INTO data (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 2000) AS i;
SQL
add_vectors($node, 'asked', 16, 1, 40, 0.25);

#
# During a build: there is no index, and the next build works.
#

for my $milliseconds (20, 200, 500)
{
	my $build = start_sql($node,
		'CREATE INDEX data_idx ON data USING togg (embedding)');

	usleep(1000 * $milliseconds);
	crash();
	finish_program($build);
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS data_idx');
}
$node->safe_psql('postgres',
	'CREATE INDEX data_idx ON data USING togg (embedding)');

# Right after one, too, its pages are there.
crash();
judge('data', 'crash after build');
recalls_well($node, 'data', 'asked', '<->', 0.95, 'crash after build');

#
# During inserts, updates and deletes, beside VACUUM.
#

my $insert = <<'SQL';
INSERT INTO data (embedding) SELECT clustered(16, (random() * 19)::int);
SQL
my $odd = <<'SQL';
INSERT INTO data (embedding) VALUES
	(NULL), (array_fill(0.5::real, '{16}')), (array_fill(0.5::real, '{16}'));
SQL
my $update = <<'SQL';
UPDATE data SET embedding = clustered(16, (random() * 19)::int)
	WHERE id = (random() * 2000)::int;
SQL
my $delete = <<'SQL';
DELETE FROM data WHERE id BETWEEN :client_id * 400 + (random() * 300)::int
	AND :client_id * 400 + (random() * 300)::int + 10;
SQL

for my $round (1 .. $rounds)
{
	my $name = "crash during inserts $round";
	my $clients = start_pgbench($node, '-c 4 -j 2 -R 600 -T 30', $insert, $odd);

	usleep(700_000 + 250_000 * ($round % 5));
	$node->safe_psql('postgres', 'CHECKPOINT') if $round % 2;
	usleep(100_000);
	crash();
	finish_program($clients);
	judge('data', $name);
}
for my $round (1 .. $rounds)
{
	my $name = "crash during VACUUM $round";
	my $clients =
	  start_pgbench($node, '-c 4 -j 2 -R 600 -T 30', "$insert\@2", $update, $delete);
	my $vacuum = start_pgbench($node, '-c 1 -R 20 -T 30', 'VACUUM data;');

	usleep(900_000 + 170_000 * ($round % 5));
	$node->safe_psql('postgres', 'CHECKPOINT') if $round % 2;
	usleep(100_000);
	crash();
	finish_program($clients);
	finish_program($vacuum);
	judge('data', $name);
}

# What a crash has left behind does not get in the way of later work.
$node->safe_psql('postgres', 'DELETE FROM data WHERE id % 3 = 0');
$node->safe_psql('postgres', 'VACUUM data');
$node->safe_psql('postgres', 'VACUUM data');
$node->safe_psql('postgres', <<'SQL');
INSERT INTO data (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 1000) AS i;
SQL
judge('data', 'after all crashes');
recalls_well($node, 'data', 'asked', '<->', 0.95, 'after all crashes');

#
# Lists and vectors that take several pages each, and clustering beside VACUUM.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE long (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX long_idx ON long USING togg (embedding) WITH (m = 64);
SQL
for my $round (1 .. $rounds)
{
	my $clients = start_pgbench($node, '-c 3 -j 2 -R 200 -T 30', <<'SQL');
INSERT INTO long (embedding) SELECT clustered(1500, (random() * 19)::int);
SQL
	my $vacuum = start_pgbench($node, '-c 1 -T 30',
		"DELETE FROM long WHERE id % 7 = (random() * 6)::int;\nVACUUM long;\n");
	my $cluster = start_pgbench($node, '-c 1 -T 30', "SELECT togg_cluster('long_idx');\n");

	usleep(1_500_000);
	crash();
	finish_program($_) for $clients, $vacuum, $cluster;
	is_sound($node, 'long_idx', "long vectors $round");
	is_found($node, 'long', '<->', "long vectors $round");
	is_complete($node, 'long', '<->', '{' . join(',', (0.5) x 1500) . '}',
		"long vectors $round");
}

#
# An unlogged table is empty after a crash, and its index with it.
#

$node->safe_psql('postgres', <<'SQL');
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, embedding real[]);
CREATE INDEX unlogged_idx ON unlogged USING togg (embedding);
SQL
add_vectors($node, 'unlogged', 16, 1, 500);
crash();
is_sound($node, 'unlogged_idx', 'unlogged, emptied');
is_complete($node, 'unlogged', '<->', '{' . join(',', (0.5) x 16) . '}',
	'unlogged, emptied');
add_vectors($node, 'unlogged', 16, 1, 500);
judge('unlogged', 'unlogged, filled again');

$node->stop;
done_testing();
