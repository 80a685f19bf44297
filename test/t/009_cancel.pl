# 009_cancel.pl
#	CREATE INDEX can be cancelled at any moment, at once, and leaves nothing
#	behind; pg_stat_progress_create_index tells how far it is.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);
use ToggTest;

# Seconds that a cancelled command may go on: many times what it needs, as the
# machine may be busy.
use constant PROMPTLY => 2;

my $node = new_node('main');

load_vectors($node, 'words', 'words.f16bin.gz');
$node->safe_psql('postgres', <<'SQL');
-- What makes loading take its time.
CREATE FUNCTION slowly(embedding real[]) RETURNS real[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM pg_sleep(0.0005);
	RETURN embedding;
END $$;

-- All phases that are seen until the build that is under way is done, each
-- with the largest total and the largest number done.
CREATE FUNCTION watch_build() RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	began boolean := false;
	now record;
BEGIN
	CREATE TEMP TABLE seen (phase text, total bigint, done bigint);
	LOOP
		PERFORM pg_stat_clear_snapshot();
		SELECT * INTO now FROM pg_stat_progress_create_index;
		EXIT WHEN began AND NOT FOUND;
		IF FOUND THEN
			began := true;
			INSERT INTO seen VALUES (now.phase, now.tuples_total, now.tuples_done);
		END IF;
		PERFORM pg_sleep(0.001);
	END LOOP;
	RETURN QUERY SELECT concat_ws('|', phase, max(total), max(done))
		FROM seen GROUP BY phase;
END $$;
SQL

my %build = (
	# The phases as they come with real data.
	words => 'CREATE INDEX made_idx ON words USING togg (embedding array_cosine_ops)',
	slow => 'CREATE INDEX made_idx ON words USING togg (slowly(embedding))',
	# What does not fit in memory is inserted.
	insert => 'SET maintenance_work_mem = 1024;
		CREATE INDEX made_idx ON words USING togg (embedding array_cosine_ops)');

# Files of the database, once those that were dropped are gone.
sub files
{
	$node->safe_psql('postgres', 'CHECKPOINT');
	return $node->safe_psql('postgres', <<'SQL');
SELECT string_agg(file, ' ' ORDER BY file)
FROM pg_database, pg_ls_dir('base/' || oid) AS file
WHERE datname = current_database() AND file ~ '^\d+(\.\d+)?$'
SQL
}

sub nothing_is_left
{
	my ($files, $name) = @_;

	is( $node->safe_psql('postgres',
			q{SELECT count(*) FROM pg_class WHERE relname ~ 'made_idx'}),
		0, "$name: no index is left");
	is(files(), $files, "$name: no file is left");
	return;
}

my $files = files();

#
# By pg_cancel_backend() in each phase.
#

for my $case (
	[ 'slow', 'loading tuples' ],
	[ 'words', 'building graph' ],
	[ 'words', 'writing pages' ],
	[ 'insert', 'inserting tuples' ])
{
	my ($build, $phase) = @$case;
	my $program = start_sql($node, $build{$build});

	at_phase($node, $phase, 'pg_cancel_backend(build.pid)');
	my $start = time;
	finish_program($program);
	like($program->{err}, qr/canceling statement due to user request/,
		"$phase: can be cancelled");
	cmp_ok(time - $start, '<', PROMPTLY, "$phase: takes effect at once");
	nothing_is_left($files, $phase);
}

#
# By statement_timeout, at many moments.
#

my $start = time;
$node->safe_psql('postgres', "$build{words}; DROP INDEX made_idx");
my $whole = time - $start;
my $late = 0;
my $timeouts = 0;
for my $share (map { $_ / 12 } 1 .. 11)
{
	my $timeout = int(1000 * $whole * $share);

	$start = time;
	my ($status, $out, $err) = $node->psql('postgres',
		"SET statement_timeout = $timeout; $build{words}");
	$late++ if time - $start > $timeout / 1000 + PROMPTLY;
	$timeouts++ if $err =~ /statement timeout/;
	$node->safe_psql('postgres', 'DROP INDEX IF EXISTS made_idx');
}
note("a build takes $whole s, $timeouts of 11 timed out");
cmp_ok($timeouts, '>=', 6, 'statement_timeout ends builds');
is($late, 0, 'statement_timeout takes effect at once');
nothing_is_left($files, 'statement_timeout');

#
# CREATE INDEX CONCURRENTLY leaves an invalid index, which can be built again.
#

my ($status, $out, $err) = $node->psql('postgres',
	"SET statement_timeout = " . int(500 * $whole) . ";
	CREATE INDEX CONCURRENTLY made_idx ON words USING togg (embedding array_cosine_ops)",
	on_error_stop => 0);
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY made_idx')
  if $node->safe_psql('postgres',
	q{SELECT count(*) FROM pg_class WHERE relname = 'made_idx'});
$node->safe_psql('postgres', 'DROP INDEX IF EXISTS made_idx');
nothing_is_left($files, 'CREATE INDEX CONCURRENTLY');

#
# Progress.
#

for my $case (
	[ 'words', 'loading tuples', 'building graph', 'writing pages' ],
	[ 'insert', 'building graph', 'inserting tuples' ])
{
	my ($build, @phases) = @$case;
	my $watcher = start_sql($node, 'SELECT watch_build()');

	usleep(100_000);
	$node->safe_psql('postgres', $build{$build});
	finish_program($watcher);
	note($watcher->{out});
	for my $phase (@phases)
	{
		my ($total, $done) =
		  $watcher->{out} =~ /^building index: $phase\|(\d+)\|(\d+)$/m;

		ok(defined $total, "$build: the phase \"$phase\" is seen") or next;
		next if $phase eq 'inserting tuples';
		cmp_ok($total, '>', 0, "$build, $phase: tuples_total is known");
		cmp_ok($done, '<=', $total, "$build, $phase: no more are done");
	}
	is( $node->safe_psql('postgres',
			q{SELECT reltuples FROM pg_class WHERE relname = 'made_idx'}),
		15000, "$build: the rows of the index are counted");
	is_sound($node, 'made_idx', $build);
	$node->safe_psql('postgres', 'DROP INDEX made_idx');
}

#
# Other commands.
#

$node->safe_psql('postgres', $build{words});
my $query = $node->safe_psql('postgres', 'SELECT embedding FROM words WHERE id = 1');
for my $case (
	[ 'reading to the end', <<"SQL" ],
SET enable_seqscan = off;
SET enable_sort = off;
SET statement_timeout = 20;
SELECT id FROM words ORDER BY embedding <=> '$query';
SQL
	[ 'INSERT', <<"SQL" ],
SET statement_timeout = 200;
INSERT INTO words SELECT id + 20000, embedding FROM words AS w, generate_series(1, 1);
SQL
	[ 'togg_check()', <<"SQL" ],
SET statement_timeout = 5;
SELECT * FROM togg_check('made_idx', true);
SQL
	[ 'VACUUM', <<"SQL" ])
DELETE FROM words WHERE id % 2 = 0;
SELECT pg_current_xact_id();
SET statement_timeout = 20;
VACUUM words;
SQL
{
	my ($name, $sql) = @$case;

	$start = time;
	my ($status, $out, $err) = $node->psql('postgres', $sql);
	like($err, qr/statement timeout/, "$name: can be cancelled");
	cmp_ok(time - $start, '<', PROMPTLY, "$name: takes effect at once");
	is_sound($node, 'made_idx', "$name, cancelled");
}
is_complete($node, 'words', '<=>', $query, 'after all that');
$node->safe_psql('postgres', 'VACUUM words');
is_sound($node, 'made_idx', 'VACUUM after VACUUM was cancelled');
is_complete($node, 'words', '<=>', $query, 'vacuumed in the end');

$node->stop;
done_testing();
