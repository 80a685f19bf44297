# 010_clustering.pl
#	Lists that have changed are clustered again, by hand and by background
#	workers; that changes no answer, and is in nobody's way.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use ToggTest;

# Seconds that a command may wait for a worker: many times what it needs, as
# the machine may be busy, but fewer than a slow worker takes.
use constant PROMPTLY => 10;

my $node = new_node('main', conf => "max_worker_processes = 4\n");
my $running = q{SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'togg clustering worker'};

sub value
{
	my ($sql, $database) = @_;

	return $node->safe_psql($database // 'postgres', $sql);
}

sub info
{
	my ($column, $index) = @_;

	return value("SELECT $column FROM togg_index_info('$index')");
}

sub set_conf
{
	my ($conf) = @_;

	$node->append_conf('postgresql.conf', $conf);
	$node->reload;
	# Every backend to come has read it once this one has.
	usleep(200_000);
	return;
}

# How long a worker sleeps after each list: 80 ms, or not at all.
sub be_slow { set_conf("autovacuum_vacuum_cost_delay = 20ms\nautovacuum_vacuum_cost_limit = 1\n"); return; }
sub be_quick { set_conf("autovacuum_vacuum_cost_delay = 0\n"); return; }

# A table with an index that has grown so much by inserts that a worker is due,
# but was not asked for; then one is.
sub grow
{
	my ($table, $rows) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX ${table}_idx ON $table USING togg (embedding);
SET togg.clustering_workers = off;
SELECT setseed(0.5);
INSERT INTO $table (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, $rows) AS i;
SQL
	return;
}

sub ask
{
	my ($table, $database) = @_;

	# One insert in 64 on the average looks whether a worker is due.
	return $node->safe_psql($database // 'postgres', <<"SQL");
INSERT INTO $table (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 640) AS i;
SQL
}

sub wait_for_worker
{
	my ($name) = @_;

	return ok($node->poll_query_until('postgres', "$running", 1),
		"$name: there is one worker");
}

sub wait_until_gone
{
	my ($name) = @_;

	return ok($node->poll_query_until('postgres', "$running", 0),
		"$name: the worker is gone");
}

sub judge
{
	my ($table, $name) = @_;

	is_sound($node, "${table}_idx", $name);
	is_found($node, $table, '<->', $name);
	is_complete($node, $table, '<->', '{' . join(',', (0.5) x 16) . '}', $name);
	return;
}

#
# By hand.
#

$node->safe_psql('postgres', 'CREATE TABLE asked (id int PRIMARY KEY, embedding real[])');
add_vectors($node, 'asked', 16, 1, 40, 0.25);
grow('hand', 4000);
my $before = recalls_well($node, 'hand', 'asked', '<->', 0.95, 'grown');
my $links = info('mean_degree', 'hand_idx');
cmp_ok(info('stale_lists', 'hand_idx'), '>', 1000, 'inserts make lists stale');
is(info('lists_clustered || coalesce(last_clustered::text, \' never\')', 'hand_idx'),
	'0 never', 'nothing is clustered without asking');
my $clustered = value(q{SELECT togg_cluster('hand_idx')});
cmp_ok($clustered, '>=', 1000, 'togg_cluster() tells how many it clustered');
is(info('stale_lists', 'hand_idx'), 0, 'none is stale any more');
is(info('lists_clustered', 'hand_idx'), $clustered, 'and the index knows');
is(info(q{last_clustered > now() - interval '1 min'}, 'hand_idx'), 't', 'when, too');
is(value(q{SELECT togg_cluster('hand_idx')}), 0, 'once is enough');
is(info('mean_degree', 'hand_idx'), $links, 'no link has come or gone');
judge('hand', 'clustered');
my $after = recalls_well($node, 'hand', 'asked', '<->', 0.95, 'clustered');
cmp_ok($after, '>=', $before - 0.01, 'clustered: recall as before');

# What clusters are for: the guided stage alone finds its way by them, as well
# as in an index that was built at once.
my $guided = value(<<'SQL');
SET togg.routing = guided;
SELECT recall('hand', 'asked', '<->', 10);
SQL
value('REINDEX INDEX hand_idx');
cmp_ok($guided, '>=', value(<<'SQL') - 0.05, 'guided recall as in a new index');
SET togg.routing = guided;
SELECT recall('hand', 'asked', '<->', 10);
SQL

# Lists of four pages and of nine; a change of one page of them is logged alone.
$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect');
for my $dims (1500, 4000)
{
	my $name = "$dims dimensions";

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS wide;
CREATE TABLE wide (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX wide_idx ON wide USING togg (embedding) WITH (m = 64);
SELECT setseed(0.5);
INSERT INTO wide (embedding)
	SELECT clustered($dims, i % 20) FROM generate_series(1, 150) AS i;
SQL
	is_sound($node, 'wide_idx', "$name, grown");
	cmp_ok(info('stale_lists', 'wide_idx'), '>', 50, "$name: inserts make lists stale");
	cmp_ok(value(q{SELECT togg_cluster('wide_idx')}), '>', 50, "$name: they are clustered");
	is(info('stale_lists', 'wide_idx'), 0, "$name: none is stale any more");
	is_sound($node, 'wide_idx', "$name, clustered");
	is_found($node, 'wide', '<->', "$name, clustered");

	cmp_ok(value(<<'SQL'), '<=', 2, "$name: an equal vector is logged in one page");
SELECT pg_current_wal_insert_lsn() AS before \gset
INSERT INTO wide (embedding) SELECT embedding FROM wide WHERE id = 70;
SELECT pg_current_wal_insert_lsn() AS after \gset
SELECT count(*) FROM pg_get_wal_records_info(:'before', :'after')
	WHERE resource_manager = 'Generic' OR record_type ~ 'FPI';
SQL
}

# Lists of 34 pages are left in the order they have.  VACUUM, which changes all
# pages of a list here, takes two records for it, and recovery reads both.
$node->safe_psql('postgres', <<'SQL');
DROP TABLE wide;
CREATE TABLE wide (id serial PRIMARY KEY, embedding real[]);
SELECT setseed(0.5);
INSERT INTO wide (embedding)
	SELECT clustered(8400, i % 20) FROM generate_series(1, 240) AS i;
CREATE INDEX wide_idx ON wide USING togg (embedding) WITH (m = 128);
CHECKPOINT;
DELETE FROM wide WHERE id % 2 = 0;
VACUUM wide;
SQL
is(info('vertices', 'wide_idx'), 120, '8400 dimensions: VACUUM takes out half');
is(info('stale_lists', 'wide_idx') . value(q{SELECT togg_cluster('wide_idx')}), '00',
	'8400 dimensions: such lists are not clustered');
$node->stop('immediate');
$node->start;
is_sound($node, 'wide_idx', '8400 dimensions, recovered');
is_found($node, 'wide', '<->', '8400 dimensions, recovered');

#
# A worker comes when it is due, and goes when it is done.
#

be_quick();
grow('grown', 4000);
is(info('lists_clustered', 'grown_idx'), 0, 'off: no list is clustered');
is(value($running), 0, 'off: no worker comes');
ask('grown');
ok( $node->poll_query_until('postgres',
		q{SELECT last_clustered IS NOT NULL AND lists_clustered > 1000
		  FROM togg_index_info('grown_idx')}),
	'on: a worker clusters');
wait_until_gone('done');
cmp_ok(info('stale_lists', 'grown_idx'), '<', 500, 'hardly a list is stale any more');
judge('grown', 'clustered by a worker');
recalls_well($node, 'grown', 'asked', '<->', 0.95, 'clustered by a worker');
ask('grown');
usleep(500_000);
is(value($running), 0, 'not due: no worker comes');

#
# One that is slow can be seen, gives way to others, and can be stopped.
#

be_slow();
grow('slow', 4000);

# Begin with a worker at work on a table that has grown.
sub with_worker
{
	my ($name) = @_;

	value(<<'SQL');
REINDEX INDEX slow_idx;
SET togg.clustering_workers = off;
TRUNCATE slow;
INSERT INTO slow (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 3000) AS i;
SQL
	ask('slow');
	return wait_for_worker($name);
}

with_worker('activity');
is(value(q{SELECT query FROM pg_stat_activity WHERE backend_type ~ 'togg'}),
	'clustering neighbour lists of index public.slow_idx',
	'pg_stat_activity tells what it does');
ok( $node->poll_query_until('postgres', <<'SQL'), 'pg_stat_progress_create_index tells how far it is');
SELECT index_relid = 'slow_idx'::regclass AND relid = 'slow'::regclass AND
	   phase = 'building index: clustering neighbour lists' AND
	   blocks_done BETWEEN 2 AND blocks_total - 1
FROM pg_stat_progress_create_index
SQL
ask('slow') for 1 .. 2;
is(value($running), 1, 'there is never more than one');
my $start = time;
ask('slow');
value('VACUUM slow');
value('ANALYZE slow');
cmp_ok(time - $start, '<', PROMPTLY, 'inserts and VACUUM do not wait for it');
is(value($running), 1, 'nor stop it');

for my $case (
	[ 'pg_cancel_backend', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type ~ 'togg'} ],
	[ 'pg_terminate_backend', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ~ 'togg'} ],
	[ 'togg_cluster', q{SELECT togg_cluster('slow_idx')} ],
	[ 'ALTER INDEX', 'ALTER INDEX slow_idx SET (ef_search = 100)' ],
	[ 'REINDEX', 'REINDEX INDEX slow_idx' ],
	[ 'REINDEX CONCURRENTLY', 'REINDEX INDEX CONCURRENTLY slow_idx' ],
	[ 'TRUNCATE', 'TRUNCATE slow' ],
	[ 'DROP INDEX CONCURRENTLY', 'DROP INDEX CONCURRENTLY slow_idx' ],
	[ 'DROP INDEX', 'DROP INDEX slow_idx' ],
	[ 'DROP TABLE', 'DROP TABLE slow' ])
{
	my ($name, $sql) = @$case;

	with_worker($name);
	$start = time;
	value($sql);
	cmp_ok(time - $start, '<', PROMPTLY, "$name does not wait for long");
	wait_until_gone($name);
	value('CREATE INDEX slow_idx ON slow USING togg (embedding)')
	  if $name =~ /DROP INDEX/;
	judge('slow', $name) if $name ne 'DROP TABLE';
}

# Nobody is connected to a database that is dropped, renamed or copied.
value('CREATE DATABASE other');
value('CREATE EXTENSION togg', 'other');
add_functions($node, 'other');
for my $case (
	[ 'CREATE DATABASE', 'CREATE DATABASE copy TEMPLATE other' ],
	[ 'ALTER DATABASE', 'ALTER DATABASE other RENAME TO another' ],
	[ 'DROP DATABASE', 'DROP DATABASE another' ])
{
	my ($name, $sql) = @$case;
	my $database = $name =~ /DROP/ ? 'another' : 'other';

	value(<<'SQL', $database);
DROP TABLE IF EXISTS data;
CREATE TABLE data (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX data_idx ON data USING togg (embedding);
SQL
	ask('data', $database) for 1 .. 4;
	wait_for_worker($name);
	$start = time;
	value($sql);
	cmp_ok(time - $start, '<', PROMPTLY, "$name does not wait for long");
	wait_until_gone($name);
}

#
# Switched off.
#

grow('slow', 3000);
ask('slow');
wait_for_worker('switch');
set_conf("togg.clustering_workers = off\n");
wait_until_gone('switched off');
value(q{UPDATE asked SET id = id});
ask('slow');
is(value($running), 0, 'switched off: none comes');
value('ALTER DATABASE postgres SET togg.clustering_workers = on');
with_worker('switched on for the database');
value('ALTER DATABASE postgres RESET togg.clustering_workers');
value(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ~ 'togg'});
wait_until_gone('terminated');
set_conf("togg.clustering_workers = on\n");

#
# None to be had.
#

$node->append_conf('postgresql.conf', "max_worker_processes = 0\n");
$node->restart;
grow('exhausted', 3000);
ask('exhausted');
is(value($running), 0, 'no worker processes: none comes');
is(info('lists_clustered', 'exhausted_idx'), 0, 'nothing is clustered');
judge('exhausted', 'no worker processes');
cmp_ok(value(q{SELECT togg_cluster('exhausted_idx')}), '>', 1000,
	'it can be done by hand');
$node->append_conf('postgresql.conf', "max_worker_processes = 4\n");
$node->restart;

#
# Crashes.
#

be_quick();
grow('crashed', 3000);
for my $round (1 .. 5)
{
	my $name = "crash $round";

	$node->safe_psql('postgres', <<'SQL');
SET togg.clustering_workers = off;
DELETE FROM crashed WHERE id % 4 = 0;
VACUUM crashed;
INSERT INTO crashed (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 1500) AS i;
SQL
	$node->safe_psql('postgres', 'CHECKPOINT') if $round % 2;
	my $cluster = start_sql($node, q{SELECT togg_cluster('crashed_idx')});
	usleep(5_000 + 20_000 * $round);
	$node->stop('immediate');
	$node->start;
	finish_program($cluster);
	judge('crashed', $name);
}
value(q{SELECT togg_cluster('crashed_idx')});
judge('crashed', 'clustered after crashes');
recalls_well($node, 'crashed', 'asked', '<->', 0.95, 'clustered after crashes');

#
# Beside everything else.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE data (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX data_idx ON data USING togg (embedding);
CREATE INDEX data_built_idx ON data USING togg (embedding array_cosine_ops);
INSERT INTO data (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 2000) AS i;
SQL
my @maintenance = (
	start_pgbench($node, '-c 1 -T 12', "VACUUM data;\n\\sleep 50 ms\n"),
	start_pgbench($node, '-c 1 -T 12', "SELECT togg_cluster('data_idx');\n"),
	start_pgbench($node, '-c 1 -T 12', "\\sleep 2 s\nREINDEX INDEX CONCURRENTLY data_built_idx;\n"));
run_pgbench(
	$node, '-c 5 -j 2 -R 800 -T 12', 'readers and writers meet no error',
	<<'SQL' . '@4', <<'SQL' . '@3', <<'SQL' . '@2');
INSERT INTO data (embedding) SELECT clustered(16, (random() * 19)::int);
SQL
DELETE FROM data WHERE id = (SELECT (random() * max(id))::int FROM data);
SQL
SET enable_seqscan = off;
\set one random(1, 40)
SELECT 1 / (count(*) = 10 AND count(DISTINCT id) = 10)::int FROM (
	SELECT id FROM data ORDER BY embedding <->
		(SELECT embedding FROM asked WHERE id = :one) LIMIT 10) AS found;
SQL
ok(finish_program($_) && $_->{err} !~ /error|aborted/i, 'neither does maintenance')
  or diag($_->{err})
  for @maintenance;
cmp_ok(info('lists_clustered', 'data_idx'), '>', 0, 'lists were clustered meanwhile');
judge('data', 'beside everything else');
is_sound($node, 'data_built_idx', 'beside everything else, rebuilt');
recalls_well($node, 'data', 'asked', '<->', 0.95, 'beside everything else');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal (?!9\b)/,
	'nothing has crashed');

$node->stop;
done_testing();
