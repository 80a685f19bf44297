# 010_killed_rows.pl
#	Scans remember which rows are dead to all, so that later ones need not fetch
#	them; nobody who may see a row misses it for that.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node(
	'main',
	allows_streaming => 1,
	conf => "wal_consistency_checking = 'all'\nmax_standby_streaming_delay = -1\n");
my $query = '{' . join(',', (0.5) x 16) . '}';

# What the index gives the executor, and pages it reads, for the nearest ten.
sub cost
{
	my ($table, $server) = @_;

	return split /\|/, ($server // $node)->safe_psql('postgres', <<"SQL");
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM $table ORDER BY embedding <-> '$query' LIMIT 10 \\g /dev/null
SELECT rows, pages FROM togg_last_scan();
SQL
}

# Read everything, so that all the dead come up.
sub read_all
{
	my ($table) = @_;

	$node->safe_psql('postgres', <<"SQL");
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM $table ORDER BY embedding <-> '$query' \\g /dev/null
SQL
	return;
}

#
# Deleted rows, in tables of each kind, are fetched once.
#

for my $kind ('', 'UNLOGGED')
{
	my $table = lc "dead$kind";
	my $name = $kind || 'logged';

	$node->safe_psql('postgres', <<"SQL");
CREATE $kind TABLE $table (id int PRIMARY KEY, embedding real[]);
CREATE INDEX ${table}_idx ON $table USING togg (embedding);
SQL
	add_vectors($node, $table, 16, 1, 5000);
	my (undef, $pages_before) = cost($table);

	$node->safe_psql('postgres', "DELETE FROM $table WHERE id % 10 <> 0");
	my ($rows_once, $pages_once) = cost($table);
	my ($rows, $pages) = cost($table);
	cmp_ok($rows_once, '>', 30, "$name: the first scan meets the dead");
	cmp_ok($rows, '<', 20, "$name: the next one hardly any");
	cmp_ok($pages, '<', 10 * $pages_before, "$name: and reads few pages more");
	is_complete($node, $table, '<->', $query, "$name, most deleted");
	($rows, $pages) = cost($table);
	is($rows, 10, "$name: none, when all were met");
	is_sound($node, "${table}_idx", "$name, most deleted");

	# Addresses in the table are used again, for vectors in the index.
	$node->safe_psql('postgres', "VACUUM $table");
	is_sound($node, "${table}_idx", "$name, after VACUUM");
	add_vectors($node, $table, 16, 5001, 9000);
	is_sound($node, "${table}_idx", "$name, filled again");
	is_complete($node, $table, '<->', $query, "$name, filled again");
}

#
# Equal vectors and NULLs: what is dead of a chain is skipped.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE equal (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX equal_idx ON equal USING togg (embedding);
INSERT INTO equal (embedding)
	SELECT CASE i % 2 WHEN 0 THEN array_fill(0.5::real, '{16}') END
	FROM generate_series(1, 4000) AS i;
DELETE FROM equal WHERE id > 400;
SQL
is_complete($node, 'equal', '<->', $query, 'chains') for 1 .. 2;
is( $node->safe_psql('postgres', <<"SQL"),
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM equal ORDER BY embedding <-> '$query' \\g /dev/null
SELECT rows FROM togg_last_scan();
SQL
	400, 'chains: no dead row is fetched again');
is_sound($node, 'equal_idx', 'chains');
$node->safe_psql('postgres', <<'SQL');
INSERT INTO equal (embedding)
	SELECT CASE i % 2 WHEN 0 THEN array_fill(0.5::real, '{16}') END
	FROM generate_series(1, 1000) AS i;
SQL
is_complete($node, 'equal', '<->', $query, 'chains, added to');

#
# A row takes the place of a dead one, in the table and in the index, after a
# scan saw that one and before it remembers it.
#

my $go = $node->basedir . '/go';
my $wait = <<"SQL";
DO 'BEGIN WHILE pg_stat_file(''$go'', true) IS NULL LOOP PERFORM pg_sleep(0.05); END LOOP; END';
SQL
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE place (id int PRIMARY KEY, embedding real[]);
CREATE INDEX place_idx ON place USING togg (embedding);
INSERT INTO place
	SELECT i, CASE WHEN i IN (1, 999, 1000) THEN '$query'::real[] END
	FROM generate_series(1, 1000) AS i;
DELETE FROM place WHERE id <= 50;
SQL
my $scan = start_sql($node, <<"SQL");
SET enable_seqscan = off;
SET enable_sort = off;
BEGIN;
DECLARE scan CURSOR FOR SELECT id FROM place ORDER BY embedding <-> '$query';
FETCH 1 FROM scan;
$wait
FETCH ALL FROM scan;
COMMIT;
SQL
$node->poll_query_until('postgres',
	q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'})
  or die 'the scan did not begin';
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) place');
is( $node->safe_psql('postgres',
		"INSERT INTO place VALUES (1, '$query') RETURNING ctid"),
	'(0,1)',
	'a row takes the place of a dead one');
append_to_file($go, 'go');
ok(finish_program($scan), 'the scan goes on') or diag($scan->{err});
is_complete($node, 'place', '<->', $query, 'taken place');
is_sound($node, 'place_idx', 'taken place');
unlink $go;

#
# Rows that somebody still sees: by an older snapshot, or on a standby.  Few
# rows to a page, so that none is pruned from the table, which a standby would
# have to wait for.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE seen (id int PRIMARY KEY, embedding real[],
				   filler text DEFAULT repeat('x', 2000));
ALTER TABLE seen ALTER filler SET STORAGE PLAIN, ALTER embedding SET STORAGE PLAIN;
CREATE INDEX seen_idx ON seen USING togg (embedding);
SQL
add_vectors($node, 'seen', 16, 1, 1000);

my $standby = PostgreSQL::Test::Cluster->new('standby');
$node->backup('backup');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;

# Read the table's ids in a transaction that began before $meanwhile runs.
sub read_before
{
	my ($server, $meanwhile) = @_;
	my $reader = start_sql($server, <<"SQL");
SET enable_seqscan = off;
SET enable_sort = off;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT 'snapshot' FROM pg_class LIMIT 1;
$wait
SELECT id FROM seen ORDER BY embedding <-> '$query';
COMMIT;
SQL
	$server->poll_query_until('postgres',
		q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'})
	  or die 'the reader did not begin';
	$meanwhile->();
	append_to_file($go, 'go');
	finish_program($reader) or diag($reader->{err});
	unlink $go;
	return scalar grep { /^\d+$/ } split "\n", $reader->{out};
}

is( read_before(
		$node,
		sub {
			$node->safe_psql('postgres', 'DELETE FROM seen WHERE id <= 300');
			read_all('seen') for 1 .. 2;
		}),
	1000,
	'an older snapshot sees what was deleted meanwhile');
is( read_before(
		$standby,
		sub {
			$node->safe_psql('postgres', 'DELETE FROM seen WHERE id <= 600');
			read_all('seen') for 1 .. 2;
			is((cost('seen'))[0], 10, 'killed on the primary');
			my $lsn = $node->lsn('insert');
			$standby->poll_query_until('postgres',
				"SELECT pg_last_wal_replay_lsn() >= '$lsn'")
			  or die 'the standby did not catch up';
		}),
	700,
	'a standby sees what was killed on the primary');
cmp_ok((cost('seen', $standby))[0], '>', 10, 'a standby fetches the dead');
is_complete($standby, 'seen', '<->', $query, 'standby');
is_sound($standby, 'seen_idx', 'standby');

$node->stop;
$standby->promote;
is((cost('seen', $standby))[0], 10, 'once promoted, it knows which are dead');
is_complete($standby, 'seen', '<->', $query, 'promoted');
is_sound($standby, 'seen_idx', 'promoted');
unlike(slurp_file($standby->logfile), qr/inconsistent page|FATAL:  WAL|PANIC/,
	'replay made the pages that the primary made');

$standby->stop;
done_testing();
