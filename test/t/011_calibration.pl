# 011_calibration.pl
#	What an index learns about recall: by workers, on standbys, after a crash, in
#	an index of version 0.1.0, and in sessions that knew it before.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use ToggTest;

# Seconds that a command may wait for a worker, as in 010_clustering.pl.
use constant PROMPTLY => 10;

# A metapage of 0.1.0 ended here; its pd_lower is at this offset.
use constant { OLD_END => 144, PD_LOWER => 12 };

my $node = new_node('main', allows_streaming => 1, conf => <<'CONF');
max_worker_processes = 4
wal_consistency_checking = 'generic'
ignore_checksum_failure = on
CONF
my $running = q{SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'togg clustering worker'};

sub value
{
	my ($sql, $on) = @_;

	return ($on // $node)->safe_psql('postgres', $sql);
}

# All that was learnt; and the same without the time.
sub learnt
{
	my ($index, $on) = @_;

	return value("SELECT * FROM togg_calibration('$index')", $on);
}

sub set_conf
{
	my ($conf) = @_;

	$node->append_conf('postgresql.conf', $conf);
	$node->reload;
	usleep(200_000);
	return;
}

sub ask
{
	my ($table) = @_;

	return value(<<"SQL");
INSERT INTO $table (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 640) AS i;
SQL
}

# A table whose index has grown without a worker.  Its lists are not divided,
# so that there is nothing to do for one but to calibrate.
sub grow
{
	my ($table) = @_;

	return value(<<"SQL");
CREATE TABLE $table (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX ${table}_idx ON $table USING togg (embedding) WITH (guide = none);
SET togg.clustering_workers = off;
SELECT setseed(0.5);
INSERT INTO $table (embedding)
	SELECT clustered(16, i % 20) FROM generate_series(1, 3000) AS i;
SQL
}

#
# An index that began empty is calibrated by a worker.
#

set_conf("autovacuum_vacuum_cost_delay = 0\n");
grow('grown');
is(learnt('grown_idx'), '', 'off: nothing is learnt');
ask('grown');
ok( $node->poll_query_until('postgres',
		q{SELECT count(*) = 18 AND NOT bool_or(stale) FROM togg_calibration('grown_idx')}),
	'on: a worker calibrates');
ok($node->poll_query_until('postgres', $running, 0), 'and goes');
cmp_ok(value(q{SELECT max(vertices) FROM togg_calibration('grown_idx')}), '>=', 3000,
	'all of the index was seen');
is_sound($node, 'grown_idx', 'calibrated');

# What was learnt holds for queries that are not in the table.
value('CREATE TABLE asked (id int PRIMARY KEY, embedding real[])');
add_vectors($node, 'asked', 16, 1, 200, 0.25);
for my $target (0.8, 0.9, 0.95, 0.99)
{
	my $recall = value(<<"SQL");
SET togg.target_recall = $target;
SELECT recall FROM togg_recall('grown_idx', 10, 200, 'SELECT embedding FROM asked');
SQL

	cmp_ok(abs($recall - $target), '<=', 0.03, "recall $target is reached");
	cmp_ok(value("SET togg.target_recall = $target; SELECT recall('grown', 'asked', '<->', 10)"),
		'==', $recall, 'by queries, too');
}
cmp_ok(value(<<'SQL'), '>', 0, 'and costs what it takes');
SELECT max(ef) FILTER (WHERE recall = 0.99) - max(ef) FILTER (WHERE recall = 0.8)
FROM togg_calibration('grown_idx') WHERE k = 10
SQL

#
# Growth, deletes and clustering make a calibration stale, each alone, and a worker
# renews it.
#

sub info
{
	my ($columns, $table) = @_;

	return value("SELECT $columns FROM togg_index_info('${table}_idx')");
}

sub is_stale
{
	my ($table, $name) = @_;

	is(info('calibration_stale', $table), 't', "$name: it is stale");
	is(value(<<"SQL"), 't|t', "$name: as all functions tell");
SELECT (SELECT bool_and(stale) FROM togg_calibration('${table}_idx')),
	   (SELECT calibration_stale FROM togg_stat WHERE indexrelname = '${table}_idx')
SQL
	return;
}

sub is_renewed
{
	my ($table, $name) = @_;
	my $before = info('calibrated', $table);

	ask($table);
	ok($node->poll_query_until('postgres',
			"SELECT calibrated > '$before' AND NOT calibration_stale FROM togg_index_info('${table}_idx')"),
		"$name: a worker renews it");
	ok($node->poll_query_until('postgres', $running, 0), "$name: and goes");
	return;
}

# Of indexes without a guide no list is clustered.
value(<<'SQL');
SELECT setseed(0.5);
CREATE TABLE grows (id serial PRIMARY KEY, embedding real[]);
INSERT INTO grows (embedding) SELECT clustered(16, i % 20) FROM generate_series(1, 2500) AS i;
CREATE TABLE shrinks (id serial PRIMARY KEY, embedding real[]);
INSERT INTO shrinks (embedding) SELECT clustered(16, i % 20) FROM generate_series(1, 6000) AS i;
CREATE INDEX grows_idx ON grows USING togg (embedding) WITH (guide = none);
CREATE INDEX shrinks_idx ON shrinks USING togg (embedding) WITH (guide = none);
CREATE TABLE turns (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX turns_idx ON turns USING togg (embedding);
SQL
is(info(q{calibrated > now() - interval '1 min', calibration_stale}, 'grows'), 't|f',
	'a build calibrates');
is(info('calibrated, calibration_stale', 'turns'), '|', 'not where there is nothing');
value(<<'SQL');
SET togg.clustering_workers = off;
INSERT INTO grows (embedding) SELECT clustered(16, i % 20) FROM generate_series(1, 4000) AS i;
SQL
is_stale('grows', 'growth');
is_renewed('grows', 'growth');
# Of what is left, half is more than ask() inserts.
value('DELETE FROM shrinks WHERE id % 20 < 11');
is(info('calibration_stale', 'shrinks'), 'f', 'deletes: not before VACUUM');
value('VACUUM shrinks');
is_stale('shrinks', 'deletes');
is_renewed('shrinks', 'deletes');

# By hand, and nothing has changed but the order of lists; then by a worker that
# comes for these, so that only when it has done so is there a second thing to do.
for my $by_hand (1, 0)
{
	my $name = $by_hand ? 'clustering by hand' : 'clustering by a worker';

	value(<<'SQL');
SET togg.clustering_workers = off;
INSERT INTO turns (embedding) SELECT clustered(16, i % 20) FROM generate_series(1, 4000) AS i;
SELECT togg_calibrate('turns_idx');
SQL
	is(info('calibration_stale', 'turns'), 'f', "$name: as long as nothing is clustered");
	if ($by_hand)
	{
		value(q{SELECT togg_cluster('turns_idx')});
		value('CREATE TABLE flushed ()');
		$node->stop('immediate');
		$node->start;
		is_stale('turns', "$name, after a crash");
		value(q{SELECT togg_calibrate('turns_idx')});
		is(info('calibration_stale', 'turns'), 'f', "$name: and by hand it is renewed");
	}
	else
	{
		is_renewed('turns', $name);
		is(info('calibrated > last_clustered', 'turns'), 't', "$name: after it has clustered");
	}
}

#
# A worker that is slow gives way.
#

set_conf("autovacuum_vacuum_cost_delay = 20ms\nautovacuum_vacuum_cost_limit = 1\n");
grow('slow');
ask('slow');
ok($node->poll_query_until('postgres', <<'SQL'), 'pg_stat_activity tells what it does');
SELECT count(*) = 1 FROM pg_stat_activity
WHERE backend_type ~ 'togg' AND query = 'calibrating index public.slow_idx'
SQL
my $start = time;
value('ALTER INDEX slow_idx SET (ef_search = 100)');
cmp_ok(time - $start, '<', PROMPTLY, 'ALTER INDEX does not wait for long');
ok($node->poll_query_until('postgres', $running, 0), 'the worker is gone');
is(learnt('slow_idx'), '', 'and has left nothing half done');
value(q{SELECT togg_calibrate('slow_idx')});
value('ALTER INDEX slow_idx RESET (ef_search)');
is(value(q{SELECT bool_or(stale) FROM togg_calibration('slow_idx')}), 'f', 'by hand it is done');
set_conf("togg.clustering_workers = off\n");

#
# A session that has used the index before goes by what is learnt since.
#

my $session = $node->background_psql('postgres', on_error_stop => 1)
  if $node->can('background_psql');
SKIP:
{
	skip 'no background_psql here', 1 unless $session;
	my $ef = q{SELECT ef FROM togg_recall('slow_idx', sample => 1);};
	my $before = $session->query("SET togg.target_recall = 0.9; $ef");

	value('TRUNCATE slow');
	value(<<'SQL');
INSERT INTO slow (embedding)
	SELECT (SELECT array_agg(random()::real) FROM generate_series(1, 16) WHERE i > 0)
	FROM generate_series(1, 6000) AS i
SQL
	value(q{SELECT togg_calibrate('slow_idx')});
	isnt($session->query($ef), $before, 'a session takes up what is learnt');
	$session->quit;
}

#
# Crash and standby.
#

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
value('DELETE FROM grown WHERE id % 2 = 0');
value('VACUUM grown');
value(q{SELECT togg_calibrate('grown_idx')});
my $learnt = learnt('grown_idx');
$node->wait_for_catchup($standby);
is(learnt('grown_idx', $standby), $learnt, 'a standby knows it');
is( value(q{SET togg.target_recall = 0.95; SELECT ef FROM togg_recall('grown_idx')}, $standby),
	value(q{SELECT ef FROM togg_calibration('grown_idx') WHERE k = 10 AND recall = 0.95}),
	'and goes by it');
my ($status, undef, $error) = $standby->psql('postgres', q{SELECT togg_calibrate('grown_idx')});
like($error, qr/recovery is in progress/, 'but learns nothing itself');
$node->stop('immediate');
$node->start;
is(learnt('grown_idx'), $learnt, 'it outlives a crash');

#
# An index of 0.1.0 has a shorter metapage: it reads as one that has learnt
# nothing, and what it learns is not lost in a crash.
#

value('CHECKPOINT');
my $file = $node->data_dir . '/' . value(q{SELECT pg_relation_filepath('grown_idx')});
$node->stop;
my $contents = slurp_file($file);
substr($contents, PD_LOWER, 2) = pack 'v', OLD_END;
substr($contents, OLD_END, 1024) = "\0" x 1024;
open my $handle, '+<:raw', $file or die "$file: $!";
print $handle substr($contents, 0, 8192);
close $handle or die "$file: $!";
$node->start;
is(learnt('grown_idx'), '', 'an index of 0.1.0 has learnt nothing');
cmp_ok(value(q{SET togg.target_recall = 0.95; SELECT recall FROM togg_recall('grown_idx')}),
	'>=', 0.9, 'and finds its rows');
value('CHECKPOINT');
value(q{SELECT togg_calibrate('grown_idx')});
$learnt = learnt('grown_idx');
isnt($learnt, '', 'it learns');
# No transaction ID was taken, so that nobody waited for the WAL to be written.
value('CREATE TABLE written ()');
$node->stop('immediate');
$node->start;
is(learnt('grown_idx'), $learnt, 'and keeps it');
is_sound($node, 'grown_idx', 'an index of 0.1.0');

done_testing();
