# 030_build.pl
#	Indexes built by several processes, or with less memory than they would
#	like, are as good as others; what goes wrong on the way leaves nothing
#	behind.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use ToggTest;

my $node = new_node('main', conf => <<'CONF');
max_parallel_maintenance_workers = 2
max_worker_processes = 8
CONF
my %class = (
	'<->' => 'array_l2_ops',
	'<#>' => 'array_ip_ops',
	'<=>' => 'array_cosine_ops');

# Build an index on a table; returns what CREATE INDEX says, at DEBUG1.
sub build
{
	my ($table, $op, %how) = @_;
	my $with = $how{with} ? "WITH ($how{with})" : '';
	my $on = $how{on} // $node;
	my $workers = $how{workers} // 2;
	my $memory = $how{memory} // '256MB';
	my ($status, $out, $err) = $on->psql('postgres', <<"SQL");
DROP INDEX IF EXISTS ${table}_idx;
ALTER TABLE $table SET (parallel_workers = $workers);
SET maintenance_work_mem = '$memory';
SET client_min_messages = debug1;
CREATE INDEX ${table}_idx ON $table USING togg (embedding $class{$op}) $with;
SQL
	return $err;
}

# How many processes built an index, by what CREATE INDEX said.
sub builders
{
	return $_[0] =~ /"\w+": (\d+) processes build it/ ? $1 : 1;
}

sub info
{
	my ($index, $columns) = @_;

	return $node->safe_psql('postgres',
		"SELECT $columns FROM togg_index_info('$index')");
}

load_vectors($node, 'words', 'words.f16bin.gz');
load_vectors($node, 'words_asked', 'words100.f16bin.gz');
load_vectors($node, 'mnist', 'mnist2k.u8bin.gz');
load_vectors($node, 'mnist_asked', 'mnist100.u8bin.gz');

#
# By several processes.
#

my $said = build('words', '<=>', workers => 0);
is(builders($said), 1, 'no workers where there are to be none');
my $alone = recall($node, 'words', 'words_asked', '<=>');
for my $with ('', 'graph = hnsw', 'graph = nssg', 'guide = kdtree', 'bits = 0')
{
	my $name = "words by three, " . ($with || 'default options');

	$said = build('words', '<=>', with => $with);
	is(builders($said), 3, "$name: workers take part");
	unlike($said, qr/WARNING|NOTICE/, "$name: nothing to complain of");
	my $recall = recalls_well($node, 'words', 'words_asked', '<=>', 0.95, $name);
	cmp_ok($recall, '>=', $alone - 0.01, "$name: as well as by one")
	  if $with eq '';
	is_sound($node, 'words_idx', $name);
	is( $node->safe_psql('postgres',
			q{SELECT reltuples FROM pg_class WHERE relname = 'words_idx'}),
		15000, "$name: the rows of the index are counted");
}
is_found($node, 'words', '<=>', 'words by three');
build('mnist', '<->');
recalls_well($node, 'mnist', 'mnist_asked', '<->', 0.95, 'mnist by three');
is_sound($node, 'mnist_idx', 'mnist by three');

# Serial builds are the same each time.
my @sums;
for (1 .. 2)
{
	build('mnist', '<->', workers => 0);
	my $query = $node->safe_psql('postgres',
		'SELECT embedding FROM mnist_asked WHERE id = 1');
	push @sums, $node->safe_psql('postgres', <<"SQL");
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM mnist ORDER BY embedding <-> '$query' LIMIT 100) AS x;
SELECT hops, pages, estimates FROM togg_last_scan();
SQL
}
is($sums[1], $sums[0], 'one process builds the same index each time');

# Rows that share a vertex, and rows that have none, wherever they were read.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE mixed AS
	SELECT i AS id,
		   CASE WHEN i % 10 = 0 THEN NULL
				WHEN i % 10 = 1 THEN '{0,0,0}'
				ELSE ARRAY[i % 7, i % 11 + 1, i % 300] END::real[] AS embedding
	FROM generate_series(1, 30000) AS i;
CREATE TABLE same AS
	SELECT i AS id, '{1,2,3}'::real[] AS embedding FROM generate_series(1, 20000) AS i;
CREATE TABLE nulls AS
	SELECT i AS id, NULL::real[] AS embedding FROM generate_series(1, 20000) AS i;
CREATE TABLE nothing (id int, embedding real[]);
SQL
for my $op ('<=>', '<->', '<#>')
{
	for my $memory ('256MB', '1MB')
	{
		my $name = "equal and unranked rows by $op, $memory";
		my $distinct = $node->safe_psql('postgres',
			'SELECT count(DISTINCT embedding) FROM mixed' .
			($op eq '<=>' ? q{ WHERE embedding <> '{0,0,0}'} : ''));

		is(builders(build('mixed', $op, memory => $memory)), 3, $name);
		is(info('mixed_idx', 'rows'), 30000, "$name: all rows are there");
		is(info('mixed_idx', 'vertices'), $distinct, "$name: equal ones share")
		  if $memory ne '1MB';
		is_complete($node, 'mixed', $op, '{3,3,30}', $name);
		is_sound($node, 'mixed_idx', $name);
	}
}
build('same', '<->');
is(info('same_idx', 'vertices, rows'), '1|20000', 'all rows equal');
is_complete($node, 'same', '<->', '{3,3,30}', 'all rows equal');
build('nulls', '<->');
is(info('nulls_idx', 'vertices, unranked'), '0|20000', 'all rows NULL');
is_complete($node, 'nulls', '<->', '{3,3,30}', 'all rows NULL');
build('nothing', '<->');
is(info('nothing_idx', 'rows'), 0, 'no rows');
$node->safe_psql('postgres', q{INSERT INTO nothing VALUES (1, '{1,2,3}')});
is_complete($node, 'nothing', '<->', '{3,3,30}', 'no rows, then one');

# Different dimensions meet in different processes: an error, as in one.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE ragged AS
	SELECT i AS id, array_fill(i::real, ARRAY[3 + i / 20000]) AS embedding
	FROM generate_series(1, 39999) AS i;
SQL
like(build('ragged', '<->'), qr/ERROR:  expected [34] dimensions, not [43]/,
	'vectors of several dimensions');

# Expressions that workers must not evaluate; predicates that they may.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION shy(real[]) RETURNS real[]
	LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE AS 'BEGIN RETURN $1; END';
SQL
for my $case (
	[ 'an unsafe expression', '(shy(embedding))', '', 1 ],
	[ 'a predicate', 'embedding', 'WHERE id % 2 = 0', 3 ])
{
	my ($name, $what, $where, $expected) = @$case;
	my ($status, $out, $err) = $node->psql('postgres', <<"SQL");
ALTER TABLE mnist SET (parallel_workers = 2);
SET client_min_messages = debug1;
CREATE INDEX case_idx ON mnist USING togg ($what) $where;
SQL
	is(builders($err), $expected, "$name: processes");
	is(info('case_idx', 'rows'), $where ? 1000 : 2000, "$name: rows");
	is_sound($node, 'case_idx', $name);
	$node->safe_psql('postgres', 'DROP INDEX case_idx');
}

# CONCURRENTLY, and REINDEX.
build('mnist', '<->');
for my $command (
	'REINDEX INDEX mnist_idx', 'REINDEX INDEX CONCURRENTLY mnist_idx',
	'DROP INDEX mnist_idx; CREATE INDEX CONCURRENTLY mnist_idx ON mnist USING togg (embedding)')
{
	my ($status, $out, $err) = $node->psql('postgres',
		join "\n", 'SET client_min_messages = debug1;', map { "$_;" } split /; /, $command);
	is(builders($err), 3, "$command: workers take part");
	recalls_well($node, 'mnist', 'mnist_asked', '<->', 0.95, $command);
	is_sound($node, 'mnist_idx', $command);
}

#
# Within less memory.
#

my $estimate = $node->safe_psql('postgres', <<'SQL');
SELECT togg_estimate_build_memory(count(*), 100) / 1048576.0 FROM words;
SQL
for my $workers (0, 2)
{
	my $name = 'an eighth of the memory by ' . ($workers + 1);

	$said = build('words', '<=>', workers => $workers, memory => '2MB');
	like($said, qr/NOTICE:  index "words_idx" no longer fits into maintenance_work_mem after \d+ rows/,
		"$name: it says so");
	is(() = $said =~ /NOTICE/g, 1, "$name: once");
	my ($wanted) = $said =~ /HINT:  Increase maintenance_work_mem, to about (\d+) MB /;
	cmp_ok(abs(($wanted // 0) - $estimate), '<', 0.1 * $estimate + 1,
		"$name: and how much all would take");
	my $recall = recalls_well($node, 'words', 'words_asked', '<=>', 0.95, $name);
	cmp_ok($recall, '>=', $alone - 0.01, "$name: as well as with all of it");
	is_found($node, 'words', '<=>', $name);
	is_sound($node, 'words_idx', $name);
}

# What was built is logged, and no more than that.
for my $memory ('256MB', '2MB')
{
	my $before = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');

	build('words', '<=>', memory => $memory);
	my $ratio = $node->safe_psql('postgres', <<"SQL");
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '$before') /
	   pg_relation_size('words_idx');
SQL
	cmp_ok($ratio, '<=', 1.1, "$memory: WAL beside the size of the index");
	$node->stop('immediate');
	$node->start;
	is_sound($node, 'words_idx', "$memory: after a crash");
	recalls_well($node, 'words', 'words_asked', '<=>', 0.95,
		"$memory: after a crash");
}

#
# A worker is terminated, or the command cancelled.
#

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION slowly(embedding real[]) RETURNS real[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
	PERFORM pg_sleep(0.001);
	RETURN embedding;
END $$;
ALTER TABLE words SET (parallel_workers = 2);
SQL
my %stop = (
	'terminated worker' => 'pg_terminate_backend(worker.pid)',
	'cancelled command' => 'pg_cancel_backend(build.pid)');
for my $phase ('loading tuples', 'building graph', 'writing pages',
	'inserting tuples')
{
	for my $how (sort keys %stop)
	{
		my $name = "$how while $phase";
		my $what = $phase eq 'loading tuples' ? '(slowly(embedding))' : 'embedding';
		my $memory = $phase eq 'inserting tuples' ? '1MB' : '256MB';
		my $program = start_sql($node,
			"SET maintenance_work_mem = '$memory';
			 CREATE INDEX stopped_idx ON words USING togg ($what)");

		at_phase($node, $phase, $stop{$how});
		my $start = time;
		finish_program($program);
		like($program->{err},
			qr/terminating background worker|parallel worker|canceling statement/,
			"$name: the build ends");
		cmp_ok(time - $start, '<=', 3, "$name: at once");
		is($node->safe_psql('postgres',
				q{SELECT count(*) FROM pg_class WHERE relname = 'stopped_idx'}),
			0, "$name: nothing is left");
		ok($node->poll_query_until('postgres', <<'SQL'), "$name: nobody is left");
SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'parallel worker';
SQL
	}
}

#
# CREATE INDEX CONCURRENTLY and REINDEX while others write.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE busy (id int PRIMARY KEY, embedding real[]) WITH (parallel_workers = 2);
SQL
add_vectors($node, 'busy', 16, 1, 5000);
for my $command ('CREATE INDEX CONCURRENTLY busy_idx ON busy USING togg (embedding)',
	'REINDEX INDEX CONCURRENTLY busy_idx')
{
	my $writers = start_pgbench($node, '-c 3 -T 8', <<'INSERT', <<'UPDATE', <<'DELETE');
\set id random(5001, 1000000000)
INSERT INTO busy VALUES (:id, clustered(16, :id % 20)) ON CONFLICT DO NOTHING;
INSERT
\set id random(1, 5000)
UPDATE busy SET embedding = clustered(16, :id % 20) WHERE id = :id;
UPDATE
\set id random(1, 5000)
DELETE FROM busy WHERE id = :id;
DELETE

	usleep(500_000);
	$node->safe_psql('postgres', $command);
	ok(finish_program($writers), "$command: others write meanwhile")
	  or diag($writers->{err});
	is_sound($node, 'busy_idx', $command);
	is_complete($node, 'busy', '<->',
		'{' . join(',', (0.5) x 16) . '}', $command);
}

#
# Little shared memory: a namespace with a /dev/shm of its own.
#

SKIP:
{
	my $in_namespace = 'unshare --user --map-current-user --mount --keep-caps';

	skip 'no namespaces for this user', 1
	  if system("$in_namespace true 2>/dev/null") != 0;
	for my $size ('3m', '13m')
	{
		$node->stop;
		$node->append_conf('postgresql.conf', 'dynamic_shared_memory_type = posix');
		system_or_bail("$in_namespace sh -c 'mount -t tmpfs -o size=$size tmpfs /dev/shm && exec pg_ctl -w -D "
			  . $node->data_dir . ' -l ' . $node->logfile . " start' >/dev/null");
		$node->_update_pid(1);
		$said = build('words', '<=>');
		is(builders($said), 3, "/dev/shm of $size: workers take part");
		like($said, qr/NOTICE:.* shared memory/, "/dev/shm of $size: it says so");
		note($said);
		unlike($said, qr/ERROR|WARNING/, "/dev/shm of $size: no failure");
		recalls_well($node, 'words', 'words_asked', '<=>', 0.95, "/dev/shm of $size");
		is_sound($node, 'words_idx', "/dev/shm of $size");
		is(info('words_idx', 'rows'), 15000, "/dev/shm of $size: all rows");
		build('words', '<#>');
		recalls_well($node, 'words', 'words_asked', '<#>', 0.95,
			"/dev/shm of $size, by inner product");
	}
}

$node->stop;
done_testing();
