# 003_vacuum.pl
#	VACUUM takes deleted rows out of an index, loses no others, keeps the graph
#	whole, and gives the room to later rows.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use ToggTest;

my $node = new_node('main');

sub size
{
	my ($index) = @_;

	return $node->safe_psql('postgres', "SELECT pg_relation_size('$index')");
}

sub index_info
{
	my ($column, $index) = @_;

	return $node->safe_psql('postgres',
		"SELECT $column FROM togg_index_info('$index')");
}

# Dead vertices are freed once no transaction is left that may link to them,
# which the transaction that VACUUM itself leaves behind can delay by one.
sub vacuum
{
	my ($table) = @_;

	$node->safe_psql('postgres', 'SELECT pg_current_xact_id()');
	$node->safe_psql('postgres', "VACUUM $table");
	return;
}

#
# Deletes: fewer and fewer words.
#

load_vectors($node, 'words', 'words.f16bin.gz');
load_vectors($node, 'asked', 'words100.f16bin.gz');
$node->safe_psql('postgres',
	'CREATE INDEX words_idx ON words USING togg (embedding array_cosine_ops)');
my $query = $node->safe_psql('postgres',
	'SELECT embedding FROM asked ORDER BY id LIMIT 1');
my $before = recall($node, 'words', 'asked', '<=>');
for my $percent (10, 30, 50)
{
	my $name = "words without $percent %";

	$node->safe_psql('postgres',
		"DELETE FROM words WHERE hashint4(id) & 1023 < 10.24 * $percent");
	is_complete($node, 'words', '<=>', $query, "$name, not vacuumed");
	vacuum('words');
	is_sound($node, 'words_idx', $name);
	is_complete($node, 'words', '<=>', $query, $name);
	is(index_info('rows', 'words_idx'),
		$node->safe_psql('postgres', 'SELECT count(*) FROM words'),
		"$name: the index has as many rows as the table");
	my $recall = recalls_well($node, 'words', 'asked', '<=>', 0.95, $name);
	cmp_ok($recall, '>=', $before - ($percent > 10 ? 0.015 : 0.005),
		"$name: recall as before");
}

# Where a cluster was, and all that led through it.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE clusters (id int PRIMARY KEY, embedding real[]);
CREATE TABLE clusters_asked (id int PRIMARY KEY, embedding real[]);
SQL
add_vectors($node, 'clusters', 16, 1, 6000);
add_vectors($node, 'clusters_asked', 16, 1, 40, 0.25);
$node->safe_psql('postgres', 'CREATE INDEX clusters_idx ON clusters USING togg (embedding)');
for my $left (15, 10, 5, 1)
{
	my $name = "$left clusters of 20";

	$node->safe_psql('postgres', "DELETE FROM clusters WHERE id % 20 >= $left");
	vacuum('clusters');
	is_sound($node, 'clusters_idx', $name);
	is_found($node, 'clusters', '<->', $name);
	$node->safe_psql('postgres', <<"SQL");
CREATE OR REPLACE VIEW asked_left AS
	SELECT * FROM clusters_asked WHERE id % 20 < $left
SQL
	recalls_well($node, 'clusters', 'asked_left', '<->', 0.95, $name);
}

#
# Churn: the index does not grow by it.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE churn (id int PRIMARY KEY, embedding real[]);
CREATE TABLE churn_asked (id int PRIMARY KEY, embedding real[]);
CREATE INDEX churn_idx ON churn USING togg (embedding);
SQL
add_vectors($node, 'churn', 16, 1, 4000);
add_vectors($node, 'churn_asked', 16, 1, 40, 0.25);
my $full = size('churn_idx');
my $at_first = recall($node, 'churn', 'churn_asked', '<->');
for my $cycle (1 .. 20)
{
	my $from = $cycle * 400;

	$node->safe_psql('postgres', "DELETE FROM churn WHERE id <= $from");
	vacuum('churn');
	add_vectors($node, 'churn', 16, $from + 3601, $from + 4000, $cycle / 25);
	next if $cycle % 5 != 0;
	is_found($node, 'churn', '<->', "churn $cycle");
	is_sound($node, 'churn_idx', "churn $cycle");
}
is_complete($node, 'churn', '<->', '{' . join(',', (0) x 16) . '}', 'churn');
recalls_well($node, 'churn', 'churn_asked', '<->', $at_first - 0.005,
	'churn, as before');
cmp_ok(size('churn_idx'), '<=', 1.1 * $full,
	'churn: the index stays as large as it was');

# Updates that leave the vector alone are churn of heap TIDs, not of vertices.
my $vertices = index_info('vertices', 'churn_idx');
$node->safe_psql('postgres', 'ALTER TABLE churn ADD note int');
$node->safe_psql('postgres', 'CREATE INDEX ON churn (note)');
for my $cycle (1 .. 6)
{
	$node->safe_psql('postgres', "UPDATE churn SET note = $cycle");
	vacuum('churn');
}
is(index_info('vertices', 'churn_idx'), $vertices,
	'updates of another column add no vertices');
is_sound($node, 'churn_idx', 'updates of another column');

# From here on pages are counted: those that a worker looks at are not meant.
$node->append_conf('postgresql.conf', 'togg.clustering_workers = off');
$node->reload;
$node->poll_query_until('postgres', <<'SQL') or die 'a worker does not end';
SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ 'togg'
SQL

# Pages of an index that a statement looks at.
sub pages
{
	my ($index, $statement) = @_;
	my $seen = <<"SQL";
SELECT idx_blks_hit + idx_blks_read FROM pg_statio_user_indexes
	WHERE indexrelname = '$index';
SQL
	my $before = $node->safe_psql('postgres', $seen);

	$node->safe_psql('postgres',
		"$statement; SELECT pg_stat_force_next_flush()");
	return $node->safe_psql('postgres', $seen) - $before;
}

my $added = pages('churn_idx',
	'INSERT INTO churn (id, embedding) SELECT id + 100000, embedding FROM churn LIMIT 400');
my $updated = pages('churn_idx',
	'UPDATE churn SET note = 0 WHERE id IN (SELECT id FROM churn ORDER BY id LIMIT 400)');
cmp_ok($updated, '<', $added / 2,
	'an update of another column does not look far for its vector');
$node->safe_psql('postgres', 'DELETE FROM churn WHERE id > 100000');
is_complete($node, 'churn', '<->', '{' . join(',', (0) x 16) . '}',
	'updates of another column');

#
# Everything goes, and something else comes.
#

$full = size('churn_idx');
$node->safe_psql('postgres', 'DELETE FROM churn');
vacuum('churn');
vacuum('churn');
is(index_info('rows', 'churn_idx'), 0, 'all deleted: no rows in the index');
is(index_info('vertices', 'churn_idx'), 0, 'all deleted: no vertices either');
is_sound($node, 'churn_idx', 'all deleted');
is_complete($node, 'churn', '<->', '{' . join(',', (0) x 16) . '}',
	'all deleted');
add_vectors($node, 'churn', 16, 1, 4000, 0.75);
is_sound($node, 'churn_idx', 'filled again');
is_found($node, 'churn', '<->', 'filled again');
is_complete($node, 'churn', '<->', '{' . join(',', (0) x 16) . '}',
	'filled again');
recalls_well($node, 'churn', 'churn_asked', '<->', 0.95, 'filled again');
cmp_ok(size('churn_idx'), '<=', 1.1 * $full, 'filled again: room is reused');

#
# What has to wait for a transaction is done by the next VACUUM, though that
# has no row to remove; and then there is nothing to be read.
#

# Buffers that VACUUM looks at in the table and all of its indexes.
sub vacuum_reads
{
	my ($table) = @_;
	my (undef, undef, $said) =
	  $node->psql('postgres', "VACUUM (VERBOSE) $table");
	my $reads = 0;

	$reads += $_ for $said =~ /buffer usage: (\d+) hits/g;
	return $reads;
}

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE waits AS SELECT * FROM churn;
CREATE INDEX waits_idx ON waits USING togg (embedding);
SQL
$node->safe_psql('postgres', 'DELETE FROM waits WHERE id % 4 = 0');
my $holder = start_sql($node, <<'SQL');
BEGIN;
SELECT pg_current_xact_id();
SELECT pg_sleep(60);
SQL
$node->poll_query_until('postgres',
	q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'})
  or die 'the transaction did not begin';
$node->safe_psql('postgres', 'VACUUM waits');
cmp_ok(index_info('dead', 'waits_idx'), '>', 900,
	'dead vertices wait for a transaction');
cmp_ok(vacuum_reads('waits'), '<', 500,
	'as long as it runs, VACUUM does not look for them');
$node->safe_psql('postgres',
	q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
finish_program($holder);
cmp_ok(vacuum_reads('waits'), '>', 1000, 'VACUUM comes for them');
is(index_info('dead', 'waits_idx'), 0, 'then they are gone');
is_sound($node, 'waits_idx', 'those that waited');
is_found($node, 'waits', '<->', 'those that waited');
vacuum('waits');
cmp_ok(vacuum_reads('waits'), '<', 500, 'then VACUUM does not read the index');

#
# Rows that share a vertex, and rows that have none.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE odd (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX odd_idx ON odd USING togg (embedding array_cosine_ops);
INSERT INTO odd (embedding)
	SELECT clustered(8, i % 20) FROM generate_series(1, 500) AS i;
SQL
my $odd_size;
for my $cycle (1 .. 4)
{
	my $name = "equal, zero and NULL vectors $cycle";

	$node->safe_psql('postgres', <<'SQL');
INSERT INTO odd (embedding)
	SELECT (ARRAY[NULL, '{0,0,0,0,0,0,0,0}', '{1,2,3,4,5,6,7,8}', '{8,7,6,5,4,3,2,1}'])[1 + i % 4]::real[]
	FROM generate_series(1, 8000) AS i;
SQL
	$odd_size //= size('odd_idx');
	is_sound($node, 'odd_idx', "$name, inserted");
	$node->safe_psql('postgres',
		"DELETE FROM odd WHERE id > 500 AND hashint4(id) & 7 <> $cycle");
	vacuum('odd');
	is_sound($node, 'odd_idx', "$name, most deleted");
	is_complete($node, 'odd', '<=>', '{1,2,3,4,5,6,7,7}',
		"$name, most deleted");
	$node->safe_psql('postgres', 'DELETE FROM odd WHERE id > 500');
	vacuum('odd');
	is_sound($node, 'odd_idx', "$name, all deleted");
	is_complete($node, 'odd', '<=>', '{1,2,3,4,5,6,7,7}',
		"$name, all deleted");
}
is(index_info('rows', 'odd_idx'), 500, 'as many rows as at first');
is(index_info('unranked', 'odd_idx'), 0, 'none of them unranked');
cmp_ok(size('odd_idx'), '<=', 1.1 * $odd_size,
	'equal, zero and NULL vectors: room is reused');

# Time is measured in pages looked at: as many rows, as many pages, up to
# 100,000 equal ones, and down again.
my $equal = <<'SQL';
INSERT INTO odd (embedding)
	SELECT '{1,1,1,1,2,2,2,2}'::real[] FROM generate_series(1, 20000)
SQL
my $once = pages('odd_idx', $equal);
pages('odd_idx', $equal) for 1 .. 3;
my $last = pages('odd_idx', $equal);
cmp_ok($last, '<', 1.2 * $once, 'more equal vectors cost no more each');
$node->safe_psql('postgres', 'DELETE FROM odd WHERE id > 500');
my $gone = pages('odd_idx', 'VACUUM odd');
cmp_ok($gone, '<', 50000, 'a long chain of equal vectors goes in one walk');
is(index_info('rows', 'odd_idx'), 500, 'all of it');
is_sound($node, 'odd_idx', '100,000 equal vectors, deleted');

#
# VACUUM says what it did; autovacuum does the same.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE said AS SELECT * FROM churn LIMIT 2000;
CREATE INDEX said_idx ON said USING togg (embedding);
DELETE FROM said WHERE ctid IN (SELECT ctid FROM said LIMIT 500);
SELECT pg_current_xact_id();
SQL
my (undef, undef, $said) = $node->psql('postgres', 'VACUUM (VERBOSE) said');
my $pages = index_info('pages', 'said_idx');
my $free = int(index_info('free_slots', 'said_idx') / 2000 * $pages);
like($said, qr/index "said_idx": pages: $pages in total, 0 newly deleted, (\d+) currently deleted/,
	'VACUUM tells how many pages the index has');
my ($deleted) = $said =~ /"said_idx".* (\d+) currently deleted/;
cmp_ok(abs($deleted - $free), '<=', 0.1 * $pages, 'and about how many are free');
is($node->safe_psql('postgres', q{SELECT reltuples FROM pg_class WHERE relname = 'said_idx'}),
	1500, 'and how many rows are left');

$node->append_conf('postgresql.conf', <<'CONF');
autovacuum = on
autovacuum_naptime = 1s
autovacuum_vacuum_cost_delay = 0
CONF
$node->reload;
$node->safe_psql('postgres', 'DELETE FROM said WHERE ctid IN (SELECT ctid FROM said LIMIT 700)');
ok($node->poll_query_until('postgres',
		q{SELECT rows = 800 FROM togg_index_info('said_idx')}),
	'autovacuum takes out deleted rows');
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->reload;
is_sound($node, 'said_idx', 'after autovacuum');

# Another process of it, at work on another table, may have had a transaction ID
# then: vertices of the rows are left to the next VACUUM.
$node->poll_query_until('postgres', <<'SQL') or die 'autovacuum does not end';
SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ 'autovacuum'
SQL
$node->safe_psql('postgres', 'VACUUM said');
is(index_info('vertices', 'said_idx'), 800, 'VACUUM frees what is left of them');

# Both of its passes sleep as they are told: a page costs a millisecond here.
$node->safe_psql('postgres', <<'SQL');
DELETE FROM said WHERE ctid IN (SELECT ctid FROM said LIMIT 100);
SELECT pg_current_xact_id();
SQL
my $start = time;
$node->safe_psql('postgres', <<'SQL');
SET vacuum_cost_delay = 1;
SET vacuum_cost_limit = 1;
SET vacuum_cost_page_hit = 1;
VACUUM (INDEX_CLEANUP ON) said;
SQL
cmp_ok(time - $start, '>', 1.5 * $pages / 1000, 'VACUUM is slowed down by cost');
is(index_info('vertices', 'said_idx'), 700, 'and does all of its work');

#
# A scan that began before VACUUM goes on after it, while others use the room.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE flag ();
CREATE TABLE held (id int PRIMARY KEY, embedding real[]);
SQL
add_vectors($node, 'held', 16, 1, 3000);
$node->safe_psql('postgres', <<'SQL');
CREATE INDEX held_idx ON held USING togg (embedding);
DELETE FROM held WHERE id % 3 = 0;
SQL
my $expected = $node->safe_psql('postgres', 'SELECT id FROM held ORDER BY id');
my $reader = start_sql($node, <<"SQL");
SET enable_seqscan = off;
SET enable_sort = off;
BEGIN;
DECLARE reader CURSOR FOR
	SELECT id FROM held ORDER BY embedding <-> '{@{[ join ',', (0.5) x 16 ]}}';
FETCH 100 FROM reader;
DO 'BEGIN WHILE NOT EXISTS (SELECT FROM flag) LOOP PERFORM pg_sleep(0.05); END LOOP; END';
FETCH ALL FROM reader;
COMMIT;
SQL
$node->poll_query_until('postgres',
	q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'})
  or die 'the reader did not begin';
for my $round (1 .. 2)
{
	vacuum('held');
	add_vectors($node, 'held', 16, 3000 + 500 * $round, 3499 + 500 * $round);
}
$node->safe_psql('postgres', 'INSERT INTO flag DEFAULT VALUES');
ok(finish_program($reader), 'a cursor is read on after VACUUM');
is(join("\n", sort { $a <=> $b } grep { /^\d+$/ } split("\n", $reader->{out})),
	$expected, 'a cursor returns what it saw when it began');
vacuum('held');
is_sound($node, 'held_idx', 'after the cursor');
is_complete($node, 'held', '<->', '{' . join(',', (0.5) x 16) . '}',
	'after the cursor');

$node->stop;
done_testing();
