# 013_stat.pl
#	What togg_stat counts: by several sessions, workers, on standbys, after
#	crashes; of more indexes than there is room for; and without the memory for it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

# Indexes that the memory has room for.
use constant ROOM => 2048;

my $node = new_node('main', allows_streaming => 1, conf => <<'CONF');
max_worker_processes = 4
enable_seqscan = off
enable_sort = off
CONF

sub value
{
	my ($sql, $on) = @_;

	return ($on // $node)->safe_psql('postgres', $sql);
}

# Columns of the view for an index.
sub of_view
{
	my ($columns, $index, $on) = @_;

	return value("SELECT $columns FROM togg_stat WHERE indexrelname = '$index'", $on);
}

# A query; what it cost is the last line.
my $query = q{SELECT id FROM items ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 7) LIMIT 10};
my $cost = 'SELECT 1, rows, hops, pages, distances FROM togg_last_scan()';
my $sums = 'scans, rows_returned, hops, pages, distances';

value(<<'SQL');
CREATE TABLE items (id int PRIMARY KEY, embedding real[]);
CREATE TABLE others (id int PRIMARY KEY, embedding real[]);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, embedding real[]);
CREATE DATABASE other;
SQL
add_vectors($node, 'items', 16, 1, 2000);
value(<<'SQL');
CREATE INDEX items_idx ON items USING togg (embedding);
CREATE INDEX others_idx ON others USING togg (embedding);
CREATE INDEX unlogged_idx ON unlogged USING togg (embedding);
SQL

#
# Memory for it.
#

if ($node->pg_version < 17)
{
	value($query);
	is(of_view("$sums, sampled, counted_since", 'items_idx'), '||||||', 'not preloaded, nothing is counted');
	is(of_view('calibrated IS NOT NULL, calibration_stale, stale_lists', 'items_idx'),
		't|f|0', 'but the index is looked at');
	is(value(q{SELECT togg_stat_reset(); SELECT recall IS NOT NULL FROM togg_recall('items_idx')}),
		"\nt", 'and nothing fails');
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'togg'");
	$node->restart;
}

#
# Counting.
#

is(of_view($sums, 'items_idx'), '0|0|0|0|0', 'at first there is nothing');
is(of_view('mean_hops, recall', 'items_idx'), '|', 'nor is there a mean of it');
my $once = (split /\n/, value("$query; $cost"))[-1];
is(of_view($sums, 'items_idx'), $once, 'a query is counted as togg_last_scan() has it');
is(of_view('mean_hops = hops AND mean_pages = pages AND mean_distances = distances', 'items_idx'),
	't', 'which is the mean, too');
value("BEGIN; $query; ROLLBACK");
my ($scans, @costs) = split /\|/, $once;
is(of_view($sums, 'items_idx'), join('|', 2, map { 2 * $_ } @costs), 'in a transaction that fails as well');
is(value("BEGIN; $query; SELECT scans FROM togg_stat WHERE indexrelname = 'items_idx'; COMMIT") =~ s/.*\n//sr,
	3, 'a session sees its own at once');
is(of_view('scans', 'others_idx'), 0, 'others have their own counts');
# A temporary index, and one that is made and dropped, leave nothing.
value(<<'SQL');
CREATE TEMP TABLE mine AS SELECT * FROM items WHERE id < 50;
CREATE INDEX mine_idx ON mine USING togg (embedding);
SELECT id FROM mine ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 7) LIMIT 1;
SELECT 1 / (count(*) - count(*) FILTER (WHERE scans > 0)) FROM togg_stat WHERE indexrelname = 'mine_idx';
SQL
pass('temporary indexes are not counted');

# Several sessions at once, of which none waits for another.
value('SELECT togg_stat_reset()');
is(of_view($sums, 'items_idx'), '0|0|0|0|0', 'reset');
run_pgbench($node, '-c 8 -j 2 -t 250', 'eight sessions', "$query;");
is(of_view('scans, rows_returned', 'items_idx'), '2000|20000', 'none of their queries is lost');
is(of_view('hops', 'items_idx'), 2000 * $costs[1], 'nor is what they cost');

#
# Samples.
#

my $recall = value(<<'SQL');
SET togg.target_recall = 0.9;
SELECT recall FROM togg_recall('items_idx', 5, 60);
SQL
is(of_view('sampled > counted_since, sample_k, sample_queries, target_recall, recall', 'items_idx'),
	"t|5|60|0.9|$recall", 'a sample of recall');
value(q{SELECT recall FROM togg_recall('items_idx', ef_search => '{10,100}')});
is(of_view('sample_k', 'items_idx'), 5, 'with pools of its own it is none');
value(q{SELECT recall FROM togg_recall('items_idx')});
is(of_view('sample_k, target_recall', 'items_idx'), '10|', 'without a target there is none');
is(of_view('scans', 'items_idx'), 2000, 'and its queries are not counted');

#
# What the index tells.
#

is(of_view(q{calibration_age >= '0' AND calibration_age < '1 hour'}, 'items_idx'), 't', 'age of a calibration');
is(of_view('calibrated, calibration_age, calibration_stale, stale_lists', 'others_idx'), '|||0',
	'an empty index has none');
value('SET togg.clustering_workers = off; INSERT INTO others SELECT id, embedding FROM items WHERE id <= 70');
my $stale = value(q{SELECT stale_lists FROM togg_index_info('others_idx')});
cmp_ok($stale, '>', 10, 'lists that changed');
is(of_view('stale_lists', 'others_idx'), $stale, 'are counted where there are few');
value(q{SELECT togg_cluster('others_idx')});
is(of_view('stale_lists', 'others_idx'), 0, 'and clustered');
value('SET togg.clustering_workers = off; INSERT INTO others SELECT id, embedding FROM items WHERE id > 70');
$stale = value(q{SELECT stale_lists FROM togg_index_info('others_idx')});
my $estimate = of_view('stale_lists', 'others_idx');
cmp_ok(abs($estimate - $stale), '<', 500, "and estimated where there are more ($estimate of $stale)");

add_vectors($node, 'others', 16, 10000, 13000, 0.25);
ok( $node->poll_query_until('postgres',
		q{SELECT worker_runs > 0 FROM togg_stat WHERE indexrelname = 'others_idx'}),
	'workers are counted');

# A lock keeps nobody waiting.
my $locker = start_sql($node, q{BEGIN; LOCK items; REINDEX INDEX items_idx; SELECT pg_sleep(60)});
ok($node->poll_query_until('postgres', <<'SQL'), 'somebody has the index');
SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'
SQL
is( value(q{SET lock_timeout = '1s'; SELECT scans, calibrated, stale_lists
		FROM togg_stat WHERE indexrelname = 'items_idx'}),
	'2000||', 'what cannot be read is left out');
value(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
finish_program($locker);

# An index that CREATE INDEX CONCURRENTLY has not finished may have any pages.
value(q{UPDATE pg_index SET indisready = false WHERE indexrelid = 'unlogged_idx'::regclass});
is(of_view('calibrated, stale_lists', 'unlogged_idx'), '|', 'nor is one read that is not ready');
value(q{UPDATE pg_index SET indisready = true WHERE indexrelid = 'unlogged_idx'::regclass});

#
# Resets, and what outlives what.
#

value('SELECT id FROM others ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 7) LIMIT 1');
value(q{SELECT togg_stat_reset('items_idx')});
is(of_view('scans, sampled', 'items_idx'), '0|', 'one index is reset');
is(of_view('scans', 'others_idx'), 1, 'others are not');
value("$query; REINDEX INDEX items_idx");
is(of_view('scans', 'items_idx'), 1, 'counts outlive REINDEX');
$node->safe_psql('other', 'CREATE EXTENSION togg; SELECT togg_stat_reset()');
is($node->safe_psql('other', 'SELECT count(*) FROM togg_stat'), 0, 'another database has its own');
is(of_view('scans', 'items_idx'), 1, 'and resets its own');
my (undef, undef, $error) = $node->psql('postgres', q{SELECT togg_stat_reset('items')});
like($error, qr/"items" is not a togg index/, 'a table has none');

# Indexes that come and go take the places of each other, and not of those used.
value(<<"SQL");
CREATE TABLE passing (embedding real[]);
INSERT INTO passing VALUES ('{1}');
SET client_min_messages = warning;
DO \$\$
BEGIN
	FOR i IN 1 .. @{[ROOM + 1000]} LOOP
		CREATE INDEX passing_idx ON passing USING togg (embedding);
		PERFORM * FROM passing ORDER BY embedding <-> '{1}' LIMIT 1;
		IF (SELECT scans FROM togg_stat WHERE indexrelname = 'passing_idx') <> 1 THEN
			RAISE 'not counted';
		END IF;
		DROP INDEX passing_idx;
		IF i % 10 = 0 THEN
			PERFORM id FROM items ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 7) LIMIT 1;
		END IF;
		COMMIT;
	END LOOP;
END \$\$;
SQL
is(of_view('scans', 'items_idx'), 1 + (ROOM + 1000 - (ROOM + 1000) % 10) / 10, 'who is used keeps its place');
is(of_view('scans', 'others_idx'), 0, 'who is not begins anew');

#
# Standby and crash.
#

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
value($query, $standby);
is(of_view('scans, stale_lists', 'items_idx', $standby), '1|0', 'a standby counts its own');
is(of_view('scans, stale_lists', 'unlogged_idx', $standby), '0|', 'and has nothing of what is not there');
$standby->stop;

my $session = start_sql($node, "$query; SELECT pg_sleep(60)");
ok($node->poll_query_until('postgres', <<'SQL'), 'a session is in the middle of it');
SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'
SQL
restart_killed($node, server_pids($node));
finish_program($session);
is(of_view($sums, 'items_idx'), '0|0|0|0|0', 'a crash takes the counts with it');
is((split /\n/, value("$query; $cost"))[-1], of_view($sums, 'items_idx'), 'and counting goes on');

done_testing();
