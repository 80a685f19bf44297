# 022_pg_upgrade.pl
#	pg_upgrade takes indexes over as they are: their pages, their options, and
#	what they have learnt.  Old and new cluster are of one version here, which
#	goes the same way as from one to the next.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

# A worker that clusters lists again would change what small pools find.
my $conf = "togg.clustering_workers = off\n";
my $old = new_node('old', conf => $conf);
my %order = (tuned => '<->', layers => '<=>', grown => '<->');

# All that can be asked of an index: what it is, how its options are set, what it
# has learnt, what it finds by a small pool and in reaching a recall, what that
# costs, and whether it is sound.
sub answers
{
	my ($node) = @_;
	my $sql = "SET enable_seqscan = off; SET enable_sort = off;\n";

	for my $table (sort keys %order)
	{
		my $nearest = "ORDER BY embedding $order{$table} (SELECT embedding FROM asked WHERE id = 1) LIMIT 10";

		$sql .= <<"SQL";
SELECT reloptions, pg_relation_size(oid) FROM pg_class WHERE relname = '${table}_idx';
SELECT * FROM togg_index_info('${table}_idx');
SELECT * FROM togg_calibration('${table}_idx');
SELECT calibrated, calibration_stale, stale_lists FROM togg_stat WHERE relname = '$table';
SELECT * FROM togg_check('${table}_idx', true);
SELECT id FROM $table $nearest;
SELECT id FROM $table WHERE tenant = 7 $nearest;
SELECT * FROM togg_last_scan();
SELECT ef, recall, hops, pages, distances
FROM togg_recall('${table}_idx', queries => 'SELECT embedding FROM asked', ef_search => '{10,100}');
SET togg.target_recall = 0.95;
SELECT ef, recall, hops, pages, distances
FROM togg_recall('${table}_idx', queries => 'SELECT embedding FROM asked');
RESET togg.target_recall;
SQL
	}
	return $node->safe_psql('postgres', $sql);
}

sub value
{
	my ($node, $sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

#
# An index by options that togg_tune() has found better, one of layers, and one
# that has grown from nothing.  All have had rows inserted and removed since.
# Vertices that VACUUM has marked dead wait for transactions to end, by a stamp
# that must mean the same in the new cluster.
#

value($old, <<'SQL');
SELECT setseed(0.5);
CREATE TABLE asked AS
	SELECT i AS id, clustered(16, i % 20) AS embedding FROM generate_series(1, 40) AS i;
CREATE TABLE tuned AS
	SELECT i AS id, i % 50 AS tenant, clustered(16, i % 20) AS embedding
	FROM generate_series(1, 3000) AS i;
CREATE TABLE layers AS TABLE tuned;
CREATE TABLE grown (LIKE tuned);
CREATE INDEX tuned_idx ON tuned USING togg (embedding, tenant)
	WITH (stage1_width = 0, pool_growth = 16);
CREATE INDEX layers_idx ON layers USING togg (embedding array_cosine_ops, tenant)
	WITH (graph = hnsw);
CREATE INDEX grown_idx ON grown USING togg (embedding, tenant);
INSERT INTO grown TABLE tuned;
SELECT togg_calibrate('grown_idx');
INSERT INTO tuned SELECT id + 3000, tenant, embedding FROM asked, generate_series(1, 3) AS tenant;
INSERT INTO layers SELECT id + 3000, 7, embedding FROM asked;
SQL
is(value($old, <<'SQL'), 't', 'an index is tuned');
SELECT bool_and(before <> after) FROM togg_tune('tuned_idx', '{0.5}', seed => 1,
	queries => 'SELECT embedding FROM asked')
SQL
value($old, "DELETE FROM $_ WHERE id % 3 = 0") for keys %order;
my $writer = start_sql($old, 'BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep(600)');
my $asleep = q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'};
ok($old->poll_query_until('postgres', "SELECT count(*) = 1 FROM ($asleep) AS writer"),
	'a transaction goes on');
for my $table (sort keys %order)
{
	value($old, "VACUUM $table");
	value($old, "INSERT INTO $table SELECT id + 5000, 7, embedding FROM asked WHERE id <= 20");
	cmp_ok(value($old, "SELECT dead FROM togg_index_info('${table}_idx')"), '>', 500,
		"$table: vertices are dead and not free yet");
}
value($old, "SELECT pg_terminate_backend(($asleep))");
finish_program($writer);
my $before = answers($old);
like($before, qr/stage1_width=.*\n(?:.*\n)*10\|0\.95\|/, 'there is something to keep');

#
# The upgrade.
#

$old->stop;
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
$new->append_conf('postgresql.conf',
	"shared_buffers = 64MB\nautovacuum = off\njit = off\nmax_parallel_workers_per_gather = 0\n$conf");
my ($bin) = run_command([ 'pg_config', '--bindir' ]);
chdir $PostgreSQL::Test::Utils::tmp_check or die $!;
command_ok(
	[
		'pg_upgrade', '--no-sync',
		'-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $bin, '-B', $bin,
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	],
	'pg_upgrade');
$new->start;
is(answers($new), $before, 'indexes are what they were, and answer as they did');

#
# They go on: VACUUM frees what was dead, and what was learnt grows old.
#

value($new, <<'SQL');
SELECT setseed(0.25);
INSERT INTO grown SELECT i + 10000, 7, clustered(16, i % 20) FROM generate_series(1, 4000) AS i;
DELETE FROM layers WHERE id % 2 = 0;
SQL
for my $table (sort keys %order)
{
	value($new, "VACUUM $table");
	value($new, "VACUUM $table");
	is(value($new, "SELECT dead, free_slots > 500 FROM togg_index_info('${table}_idx')"), '0|t',
		"$table: what was dead is free");
	is_sound($new, "${table}_idx", $table);
	is_found($new, $table, $order{$table}, $table);
}
is(value($new, q{SELECT calibration_stale FROM togg_index_info('grown_idx')}), 't',
	'a calibration becomes stale as ever');
my $options = q{SELECT reloptions FROM pg_class WHERE relname = 'tuned_idx'};
my $tuned = value($new, $options);
value($new, 'REINDEX INDEX tuned_idx');
is(value($new, $options), $tuned, 'REINDEX keeps the options');

$new->stop;
done_testing();
