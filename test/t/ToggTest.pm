# ToggTest.pm
#	What the TAP tests share: servers, vectors, and the measures by which an
#	index is judged against the table it is on.
#
# Tables of these tests have an "id" and an "embedding", of any type that has
# operator classes.  An operator is given as its name, '<->', and names the
# metric wherever one is asked for.

package ToggTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  new_node add_functions load_vectors add_vectors
  recall recalls_well is_found is_complete is_sound
  vertices_in
  server_pids restart_killed
  build_variant use_variant sanitize
  start_pgbench finish_program start_sql run_pgbench at_phase
);

my $top = dirname(__FILE__) . '/../..';

# What the measures below need in a database.
my $functions = <<'SQL';
-- A vector near one of the centres that "cluster" numbers; new at every call.
CREATE FUNCTION clustered(dims int, cluster int) RETURNS real[]
LANGUAGE sql VOLATILE AS $$
	SELECT array_agg(((sin(j * 12.9898 + cluster * 78.233) * 43758.5453)::numeric % 1
					  + 0.3 * (random() + random() - 1))::real)
	FROM generate_series(1, dims) AS j
$$;

-- Settings for the rest of the transaction under which a query in the order of
-- an operator takes the index, or must not.
CREATE FUNCTION by_index(yes boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('enable_indexscan', CASE WHEN yes THEN 'on' ELSE 'off' END, true),
			set_config('enable_seqscan', CASE WHEN yes THEN 'off' ELSE 'on' END, true),
			set_config('enable_sort', CASE WHEN yes THEN 'off' ELSE 'on' END, true);
END $$;

-- Raise an error if the query would not be answered by a togg index.
CREATE FUNCTION assert_index(query text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	line text;
	plan text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
		plan := plan || line || E'\n';
	END LOOP;
	IF plan !~ 'Index (Only )?Scan' OR plan ~ E'Sort\n' THEN
		RAISE 'not by an index: %', plan;
	END IF;
END $$;

-- Share of the k nearest rows that the index finds, over all queries: of the
-- rows it returns, those no farther than the k-th of a sequential scan.
CREATE FUNCTION recall(data regclass, queries regclass, op text, k int)
RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
	nearest text;
	query text;
	farthest float8;
	found bigint;
	hits float8 := 0;
	wanted float8 := 0;
BEGIN
	FOR query IN EXECUTE format('SELECT embedding::text FROM %s', queries) LOOP
		nearest := format('SELECT id, embedding %1$s %2$L AS d FROM %3$s
						   ORDER BY embedding %1$s %2$L LIMIT %4$s', op, query, data, k);
		PERFORM by_index(false);
		EXECUTE format('SELECT max(d) FROM (%s) AS nearest', nearest)
			INTO farthest;
		PERFORM by_index(true);
		IF wanted = 0 THEN
			PERFORM assert_index(nearest);
		END IF;
		EXECUTE format('SELECT count(DISTINCT id) FROM (%s) AS nearest
						WHERE d <= $1', nearest)
			INTO found USING farthest;
		hits := hits + found;
		wanted := wanted + k;
	END LOOP;
	PERFORM set_config('enable_sort', 'on', true),
			set_config('enable_seqscan', 'on', true);
	RETURN hits / wanted;
END $$;

-- Ids of rows whose own vector, asked for, does not bring up a row at the same
-- place; of all rows, or of those given.
CREATE FUNCTION lost_rows(data regclass, op text, of int[] DEFAULT NULL)
RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
	lost int[];
BEGIN
	PERFORM by_index(true);
	EXECUTE format('SELECT array_agg(asked.id) FROM %1$s AS asked, LATERAL (
						SELECT embedding FROM %1$s
						ORDER BY embedding %2$s asked.embedding LIMIT 1) AS found
					WHERE (asked.id = ANY ($1) OR $1 IS NULL) AND
						  (found.embedding %2$s asked.embedding) > 1e-6',
				   data, op) INTO lost USING of;
	PERFORM set_config('enable_sort', 'on', true),
			set_config('enable_seqscan', 'on', true);
	RETURN coalesce(lost, '{}');
END $$;

-- What is wrong with reading the index to its end, beginning at the query; no
-- text if every row of the table comes once, and those come last that have no
-- distance, NaN before NULL.
CREATE FUNCTION reading_faults(data regclass, op text, query text)
RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	reading text := format('SELECT id, embedding %1$s %2$L AS d FROM %3$s
							ORDER BY embedding %1$s %2$L', op, query, data);
	faults text;
BEGIN
	PERFORM by_index(true);
	PERFORM assert_index(reading);
	EXECUTE format('
		WITH reading AS MATERIALIZED (%s),
			 numbered AS MATERIALIZED (SELECT id, d, row_number() OVER () AS n FROM reading),
			 counted AS MATERIALIZED (SELECT id, count(*) AS times FROM numbered GROUP BY id)
		SELECT concat_ws('', '',
			(SELECT ''rows missing: '' || count(*) FROM %s AS data
			 WHERE NOT EXISTS (SELECT 1 FROM counted WHERE counted.id = data.id)
			 HAVING count(*) > 0),
			(SELECT ''rows returned twice: '' || count(*) FROM counted
			 WHERE times > 1 HAVING count(*) > 0),
			(SELECT ''rows after others that have no distance: '' || count(*) FROM (
				SELECT bool_or(d IS NULL) OVER w AS after_null,
					   bool_or(d = ''NaN'') OVER w AS after_nan, d
				FROM numbered
				WINDOW w AS (ORDER BY n ROWS UNBOUNDED PRECEDING)) AS read
			 WHERE after_null AND d IS NOT NULL OR after_nan AND d <> ''NaN''
			 HAVING count(*) > 0))', reading, data)
		INTO faults;
	PERFORM set_config('enable_sort', 'on', true),
			set_config('enable_seqscan', 'on', true);
	RETURN faults;
END $$;
SQL

# A running server with the extension and the functions above.  Statements are
# not logged, they have long vectors in them.  VACUUM runs where a test says so.
# by_index() makes plans look so costly that they would be compiled, at length.
sub new_node
{
	my ($name, %params) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $conf = delete $params{conf} // '';

	$node->init(%params);
	$node->append_conf('postgresql.conf', <<"CONF");
shared_buffers = 64MB
max_connections = 30
log_statement = none
autovacuum = off
jit = off
max_parallel_workers_per_gather = 0
max_parallel_maintenance_workers = 0
$conf
CONF
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION togg');
	add_functions($node, 'postgres');
	return $node;
}

sub add_functions
{
	my ($node, $database) = @_;

	$node->safe_psql($database, $functions);
	return;
}

# Create a table from a file of test/data.
sub load_vectors
{
	my ($node, $table, $file) = @_;

	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE $table (id int PRIMARY KEY, embedding real[]);
COPY $table FROM PROGRAM 'perl "$top/test/copy-vectors.pl" "$top/test/data/$file"';
ANALYZE $table;
SQL
	return;
}

# Add rows with ids from $from to $to to a table, in 20 clusters.  The same
# seed brings the same vectors.
sub add_vectors
{
	my ($node, $table, $dims, $from, $to, $seed) = @_;

	$seed //= 0.5;
	$node->safe_psql('postgres', <<"SQL");
SELECT setseed($seed);
INSERT INTO $table (id, embedding)
	SELECT i, clustered($dims, i % 20) FROM generate_series($from, $to) AS i;
SQL
	return;
}

sub recall
{
	my ($node, $data, $queries, $op, $k, $ef) = @_;
	my $set = $ef ? "SET togg.ef_search = $ef;" : '';

	$k //= 10;
	return $node->safe_psql('postgres',
		"$set SELECT recall('$data', '$queries', '$op', $k)");
}

# Recall of the ten nearest at default options is this much at least; returns
# it.
sub recalls_well
{
	my ($node, $data, $queries, $op, $least, $name) = @_;
	my $recall = recall($node, $data, $queries, $op);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($recall, '>=', $least, "$name: recall\@10");
	return $recall;
}

# Every row comes up when its own vector is asked for: but for one in a
# thousand with the default pool, and without exception with a large one.
sub is_found
{
	my ($node, $data, $op, $name) = @_;
	my ($lost, $rows, $lost_by_many) = split "\n",
	  $node->safe_psql('postgres', <<"SQL");
SELECT lost_rows('$data', '$op') AS lost \\gset
SELECT cardinality(:'lost'::int[]);
SELECT count(*) FROM $data;
SET togg.ef_search = 1000;
SELECT cardinality(lost_rows('$data', '$op', :'lost'));
SQL

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok( $lost <= $rows / 1000 && $lost_by_many == 0,
		"$name: each row is found by its own vector")
	  || diag("not found: $lost of $rows, $lost_by_many with a large pool");
}

# Read from the query to the end, the index returns every row once, and those
# last that have no distance.
sub is_complete
{
	my ($node, $data, $op, $query, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		$node->safe_psql('postgres',
			"SELECT reading_faults('$data', '$op', '$query')"),
		'',
		"$name: reading to the end returns every row once");
}

# togg_check() finds nothing.
sub is_sound
{
	my ($node, $index, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(
		$node->safe_psql('postgres',
			"SELECT * FROM togg_check('$index', true) LIMIT 5"),
		'',
		"$name: togg_check() has no findings");
}

# Vertices in the contents of an index's file, but those with a chain of heap
# TIDs: where each begins and what TgSlotHeader says of it.  They are known by
# their headers' looks, for there are no line pointers.
sub vertices_in
{
	my ($contents) = @_;
	my ($block, $page_header, $header) = (8192, 24, 40);
	my @vertices;

	for (my $at = $block + $page_header; $at + $header < length $contents; $at += 4)
	{
		my ($kind, $flags, $degree, $nclusters, $layer, $next) =
		  unpack 'C C v C C x10 V', substr $contents, $at, $header;

		next if $kind != 1 || $flags > 3 || $degree == 0 || $degree > 64;
		next if $next != 0xFFFFFFFF;
		push @vertices, { at => $at, flags => $flags, degree => $degree,
			nclusters => $nclusters, layer => $layer };
		$at += $header - 4;
	}
	return @vertices;
}

# Processes of a server but for its postmaster, which ends them all when it is
# killed, though not at once.
sub server_pids
{
	my ($node) = @_;

	return split "\n", $node->safe_psql('postgres',
		'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
}

# Kill the postmaster, if it is still there, wait for the end of these
# processes, and start the server again.
sub restart_killed
{
	my ($node, @pids) = @_;

	$node->kill9;
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if !grep { kill 0, $_ } @pids;
		usleep(100_000);
	}

	# Processes that came since the others were counted end, too.
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $node->start(fail_ok => 1);

		# It takes the dead server's file for its own.
		$node->{_pid} = undef;
		usleep(100_000);
	}
	BAIL_OUT('the server does not start again');
}

# Build a togg.so with other compiler flags, and perhaps with another source;
# returns the directory that it is in.
sub build_variant
{
	my ($flags, @sources) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir;
	my ($headers) = run_command([ 'pg_config', '--includedir-server' ]);

	system_or_bail('sh', '-c',
		"gcc -O1 -g -fPIC -shared -I'$headers' -I'$top/src' -o '$directory/togg.so' "
		  . "$flags '$top'/src/*.c '$top'/src/*/*.c @sources");
	return $directory;
}

# Have a server use it, in one database, for functions and for workers.
sub use_variant
{
	my ($node, $directory) = @_;

	$node->append_conf('postgresql.conf',
		"dynamic_library_path = '$directory:\$libdir'\n");
	$node->reload;
	$node->safe_psql('postgres', <<"SQL");
UPDATE pg_proc SET probin = '$directory/togg' WHERE probin = '\$libdir/togg'
SQL
	return;
}

# Have a server use a togg.so compiled for ASan and UBSan, which abort at the
# first fault; returns LD_PRELOAD for its next start.  The server itself is not
# compiled so: what it is given back at its end is no leak.
sub sanitize
{
	my ($node) = @_;
	my ($asan) = run_command([ 'gcc', '-print-file-name=libasan.so' ]);
	my $directory = build_variant('-fsanitize=address,undefined -fno-sanitize-recover');

	system_or_bail('gcc', '-fPIC', '-shared', '-o', "$directory/no_translation.so",
		dirname(__FILE__) . '/no_translation.c');
	use_variant($node, $directory);
	$ENV{ASAN_OPTIONS} = 'detect_leaks=0:abort_on_error=1';
	return "$asan $directory/no_translation.so";
}

# Start a program in the background.
sub start_program
{
	my @command = @_;
	my $program = { command => \@command, out => '', err => '', in => '' };

	$program->{handle} = IPC::Run::start(\@command, '<', \$program->{in},
		'>', \$program->{out}, '2>', \$program->{err});
	return $program;
}

# Wait for it; true if it went well.  What it wrote is in {out} and {err}.
sub finish_program
{
	my ($program) = @_;

	return $program->{handle}->finish;
}

# Start pgbench, with scripts given as text; "text@weight" is one of several.
sub start_pgbench
{
	my ($node, $options, @scripts) = @_;
	my @files;

	for my $script (@scripts)
	{
		my $weight = $script =~ s/\@(\d+)$// ? $1 : 1;
		my $file = $node->basedir . '/script' . ++$node->{togg_scripts};

		append_to_file($file, $script);
		push @files, '-f', "$file\@$weight";
	}
	return start_program('pgbench', '-n', '-h', $node->host, '-p', $node->port,
		split(' ', $options), @files, 'postgres');
}

# The same, as a test that it ends without an error.
sub run_pgbench
{
	my ($node, $options, $name, @scripts) = @_;
	my $program = start_pgbench($node, $options, @scripts);
	my $ok = finish_program($program);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($ok && $program->{err} !~ /error|aborted/i, $name)
	  or diag($program->{err});
	return;
}

# Start a psql that executes the statements.
sub start_sql
{
	my ($node, $sql) = @_;

	return start_program('psql', '-XqAt', '-v', 'ON_ERROR_STOP=1',
		'-d', $node->connstr('postgres'), '-c', $sql);
}

# Wait until an index is being built and in this phase, and then do something to
# the process, build.pid, or to one that helps it, worker.pid.  That is waited for
# on the server, since some phases are short.
sub at_phase
{
	my ($node, $phase, $act) = @_;

	$node->safe_psql('postgres', <<"SQL");
DO \$\$
DECLARE
	until timestamptz := clock_timestamp() + '20 s';
BEGIN
	WHILE clock_timestamp() < until LOOP
		PERFORM pg_stat_clear_snapshot();
		PERFORM FROM pg_stat_progress_create_index AS build
			LEFT JOIN pg_stat_activity AS worker ON worker.leader_pid = build.pid
			WHERE CASE WHEN phase = 'building index: $phase' THEN $act END;
		EXIT WHEN FOUND;
		PERFORM pg_sleep(0.001);
	END LOOP;
END \$\$;
SQL
	return;
}

1;
