# 041_index_only.pl
#	Index-only scans return what a sequential scan returns, without looking at
#	the table where the visibility map allows, and never a row that VACUUM has
#	removed in the meantime.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main', allows_streaming => 1);
my $query = '{' . join(',', (0.5) x 16) . '}';
my $other = '{' . join(',', (0.75) x 16) . '}';
my $by_index = "SET enable_seqscan = off; SET enable_sort = off; SET jit = off;";

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE items (id int, tag uuid, note text, embedding real[]);
SELECT setseed(0.5);
INSERT INTO items SELECT i, md5(i::text)::uuid, 'note', clustered(16, i % 20) FROM generate_series(1, 3000) AS i;
CREATE INDEX items_idx ON items USING togg (embedding, note) INCLUDE (id, tag);
VACUUM ANALYZE items;
SQL

# Plan and heap fetches of a query, and how its rows differ from a sort's.
sub explained
{
	my ($columns, $tail) = @_;

	return $node->safe_psql('postgres',
		"$by_index EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off)
		 SELECT $columns FROM items ORDER BY embedding <-> '$query' $tail");
}

sub same_rows
{
	my ($columns, $name) = @_;
	my $by_sort = $node->safe_psql('postgres', <<"SQL");
SET enable_indexscan = off; SET enable_indexonlyscan = off;
SELECT array_agg($columns\::text ORDER BY d, id), count(*) FROM (SELECT *, embedding <-> '$query' AS d FROM items) s;
SQL
	my $only = $node->safe_psql('postgres', <<"SQL");
$by_index
SELECT array_agg($columns\::text ORDER BY d, id), count(*) FROM (
	SELECT id, tag, embedding, embedding <-> '$query' AS d FROM items ORDER BY embedding <-> '$query' OFFSET 0) s;
SQL

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(explained('id, tag, embedding', ''), qr/Index Only Scan/, "$name: the scan is index-only");
	is($only, $by_sort, "$name: $columns as by a sequential scan");
	return;
}

my $plan = explained('id', 'LIMIT 10');
like($plan, qr/Index Only Scan/, 'INCLUDE (id) lets SELECT id be index-only');
like($plan, qr/Heap Fetches: 0/, 'the table is not read');
unlike(explained('note', 'LIMIT 10'), qr/Index Only Scan/, 'not of a column that is kept as a hash');
unlike(explained('id', ", embedding <-> '$other' LIMIT 10"), qr/Index Only Scan/, 'nor by several distances');
same_rows('id', 'built');
same_rows('tag', 'built');
same_rows('embedding', 'built');

# Rows of every kind: many of one vector, NULL, arrays that are not usual ones.
$node->safe_psql('postgres', <<'SQL');
INSERT INTO items SELECT i, NULL, 'more', array_fill(0.25::real, '{16}') FROM generate_series(3001, 3100) AS i;
INSERT INTO items SELECT i, md5(i::text)::uuid, NULL, NULL FROM generate_series(3101, 3200) AS i;
INSERT INTO items SELECT i, md5(i::text)::uuid, 'low', array_fill(0.125::real, '{16}', '{0}') FROM generate_series(3201, 3210) AS i;
INSERT INTO items SELECT id + 4000, tag, note, embedding FROM items WHERE id <= 100;
UPDATE items SET id = id + 10000 WHERE id % 7 = 0;
DELETE FROM items WHERE id % 11 = 0;
SQL
for my $name ('changed', 'vacuumed')
{
	same_rows('id', $name);
	same_rows('tag', $name);
	same_rows('embedding', $name);
	is_sound($node, 'items_idx', $name);
	$node->safe_psql('postgres', 'VACUUM items');
}

# By cosine distance, with vectors that are not kept as they are.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE extreme (id int, embedding real[]);
INSERT INTO extreme SELECT i, clustered(16, i % 5) FROM generate_series(1, 200) AS i;
INSERT INTO extreme SELECT i, array_agg(x * (CASE i % 2 WHEN 0 THEN 1e-30 ELSE 1e20 END)::real)
FROM generate_series(201, 220) AS i, unnest(clustered(16, i % 5)) AS x GROUP BY i;
INSERT INTO extreme SELECT i, array_fill(0::real, '{16}') FROM generate_series(221, 230) AS i;
CREATE INDEX extreme_idx ON extreme USING togg (embedding array_cosine_ops) INCLUDE (id);
VACUUM ANALYZE extreme;
SQL
my $extreme = "SELECT string_agg(concat_ws(' ', id, embedding, d), ',' ORDER BY %s) FROM (
	SELECT id, embedding, embedding <=> '$query' AS d FROM extreme ORDER BY embedding <=> '$query' OFFSET 0) s";
is( $node->safe_psql('postgres', $by_index . sprintf($extreme, 'd, id')),
	$node->safe_psql('postgres', 'SET enable_indexscan = off; SET enable_indexonlyscan = off;' . sprintf($extreme, 'd, id')),
	'vectors that were normalised come as they were');
is( $node->safe_psql('postgres', <<"SQL"), 't', 'and in their order');
$by_index
SET togg.ef_search = 1000;
SELECT bool_and(d >= before) FROM (
	SELECT d, lag(d) OVER () AS before FROM (
		SELECT id, embedding <=> '$query' AS d FROM extreme ORDER BY embedding <=> '$query' OFFSET 0) s) s;
SQL

#
# The interlock with VACUUM.
#

# A row that is dead before the scan begins, and removed while it runs: what the
# scan has read of it is stale.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE stale (id int, embedding real[]);
INSERT INTO stale SELECT i, ARRAY[i + 0.1, 0] FROM generate_series(1, 400) AS i;
CREATE INDEX stale_idx ON stale USING togg (embedding) INCLUDE (id);
VACUUM ANALYZE stale;
DELETE FROM stale WHERE id > 1;
SQL
my $scan = $node->background_psql('postgres', on_error_stop => 0);
my $select = 'SELECT id FROM';
my $tail = "ORDER BY embedding <-> '{0,0}'";
my $cursor = "DECLARE c CURSOR FOR $select %s $tail";

sub ask
{
	my ($statement) = @_;

	return $scan->query_safe($statement);
}

ask('SET enable_seqscan = off');
ask('SET enable_sort = off');
ask('BEGIN');
like(ask('EXPLAIN ' . $select . ' stale ' . $tail), qr/Index Only Scan/, 'scans of this table are index-only');
ask(sprintf $cursor, 'stale');
is(ask('FETCH 1 FROM c'), '1', 'a scan begins, and has read of rows that are dead');
my $vacuum = start_sql($node, 'VACUUM (DISABLE_PAGE_SKIPPING) stale');
my $pinned = "SELECT EXISTS (SELECT FROM pg_stat_activity
	WHERE query ~ '^VACUUM' AND wait_event_type = 'BufferPin')";
ok($node->poll_query_until('postgres', $pinned),
	'VACUUM waits for the scan where that may be about to return a row');
is(ask('FETCH ALL FROM c'), '', 'none of them is returned');
ask('COMMIT');
ok(finish_program($vacuum), 'VACUUM ends');

# The same with VACUUM going by unhindered, because the scan stands elsewhere.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE gone (id int, embedding real[]);
INSERT INTO gone SELECT i, ARRAY[i + 0.1, 0] FROM generate_series(1, 400) AS i;
CREATE INDEX gone_idx ON gone USING togg (embedding) INCLUDE (id);
VACUUM ANALYZE gone;
DELETE FROM gone WHERE id BETWEEN 20 AND 30;
SQL
ask('BEGIN');
ask(sprintf $cursor, 'gone');
is(ask('FETCH 1 FROM c'), '1', 'another scan begins');
$vacuum = start_sql($node, 'VACUUM (DISABLE_PAGE_SKIPPING) gone');
$node->poll_query_until('postgres', "$pinned OR
	(SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'gone') > 1");
ask('FETCH 5 FROM c');
ok(finish_program($vacuum), 'VACUUM removes rows that it has read of');
is(join(' ', split /\n/, ask('FETCH 25 FROM c')), join(' ', 7 .. 19, 31 .. 42),
	'they are not returned');
ask('COMMIT');
$scan->quit;

#
# A standby's plans are not index-only.
#

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
my $explain = "$by_index EXPLAIN SELECT id FROM items ORDER BY embedding <-> '$query' LIMIT 10";
like($node->safe_psql('postgres', $explain), qr/Index Only Scan/, 'index-only on the primary');
unlike($standby->safe_psql('postgres', $explain), qr/Index Only Scan/, 'not on the standby');
$standby->promote;
like($standby->safe_psql('postgres', $explain), qr/Index Only Scan/, 'again when it is promoted');
$standby->stop;

$node->stop;
done_testing();
