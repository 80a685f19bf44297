# 011_crash_points.pl
#	Builds, inserts, VACUUM and clustering are cut short by kill -9 after chosen
#	WAL records: the index is whole, and every committed row is in it, on the
#	server that comes back and on a standby that takes its place.
#
# TOGG_CRASHES says how many crashes there are at least.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $crashes = $ENV{TOGG_CRASHES} // 30;

my $variant = build_variant('-Wl,'
	  . join(',', map { "--wrap=$_" } qw(GenericXLogFinish XLogInsert log_newpage_range tg_bulk_put)),
	"$FindBin::RealBin/crash_points.c");

my $node = new_node('main', allows_streaming => 1, conf => <<'CONF');
restart_after_crash = on
wal_keep_size = 2GB
togg.clustering_workers = off
CONF
use_variant($node, $variant);

# Tables: dimensions, rows, options of the index, and what it has beside the vector.
my %tables = (
	plain => [ 16, 300, 'm = 16' ],
	# Lists of four pages, which a generic WAL record covers.
	long => [ 1500, 130, 'm = 64' ],
	# Lists of nine pages, which it does not: they are logged whole.
	longer => [ 4000, 70, 'm = 64' ],
	layers => [ 8, 200, 'm = 4, graph = hnsw' ],
	# Equal vectors, and those that no distance ranks.
	alike => [ 3, 60, 'm = 16' ],
	columns => [ 16, 300, 'm = 16', ', id', 'INCLUDE (note)' ],
	fresh => [ 16, 0, 'm = 16' ]);

# Fill a table up.
sub filled
{
	my ($table) = @_;
	my ($dims, $rows) = @{ $tables{$table} };

	return <<"SQL";
INSERT INTO $table (embedding)
	SELECT clustered($dims, i % 20)
	FROM generate_series(1, (SELECT $rows - count(*) FROM $table)::int) AS i;
SQL
}

sub some_inserted
{
	my ($table, $rows) = @_;

	return "INSERT INTO $table (embedding) SELECT clustered($tables{$table}[0], i)"
	  . " FROM generate_series(1, $rows) AS i;\n";
}

sub some_deleted
{
	my ($table) = @_;

	# VACUUM can free what no transaction may be about to link to.
	return filled($table) . <<"SQL";
DELETE FROM $table WHERE id IN (
	SELECT id FROM $table ORDER BY hashint4(id) LIMIT (SELECT count(*) / 4 FROM $table));
SELECT pg_current_xact_id();
SQL
}

sub created
{
	my ($table) = @_;

	my ($key, $include) = map { $_ // '' } @{ $tables{$table} }[ 3, 4 ];

	return "CREATE INDEX ${table}_idx ON $table USING togg (embedding$key) $include WITH ($tables{$table}[2]);\n";
}

# What is cut short, and what comes before and after; $name, $table, $before,
# $work, $after.
my $equal = 'INSERT INTO alike (embedding) SELECT array_fill(0.5::real, \'{3}\') FROM generate_series(1, 400);';
my $unranked = 'INSERT INTO alike (embedding) SELECT NULL FROM generate_series(1, 1600);';
my @works = (
	[ 'build', 'plain', filled('plain') . 'DROP INDEX IF EXISTS plain_idx;',
		created('plain'), 'DROP INDEX IF EXISTS plain_idx;' . created('plain') ],
	[ 'build with little memory', 'plain', some_inserted('plain', 1700) . 'DROP INDEX IF EXISTS plain_idx;',
		'SET maintenance_work_mem = 1024; ' . created('plain'),
		'DROP INDEX IF EXISTS plain_idx; DELETE FROM plain WHERE id % 6 > 0;' . created('plain') ],
	[ 'first vector', 'fresh', 'DROP INDEX fresh_idx; TRUNCATE fresh;' . created('fresh'),
		some_inserted('fresh', 2) ],
	(map { [ "insert", $_, filled($_), some_inserted($_, 3) ] } qw(plain long longer layers columns)),
	[ 'equal vectors', 'alike', filled('alike'), $equal ],
	[ 'NULL vectors', 'alike', filled('alike'), $unranked ],
	[ 'VACUUM of equal and NULL vectors', 'alike',
		"$equal $unranked DELETE FROM alike WHERE id % 5 > 0; SELECT pg_current_xact_id();",
		'VACUUM alike;', 'DELETE FROM alike WHERE id % 5 > 0;' ],
	(map { [ 'VACUUM', $_, some_deleted($_), "VACUUM $_;" ] } qw(plain long longer layers columns)),
	[ 'VACUUM once more', 'long', some_deleted('long'), 'VACUUM long;' ],
	[ 'VACUUM once more', 'longer', some_deleted('longer'), 'VACUUM longer;' ],
	(map {
		[ 'clustering', $_, filled($_) . some_deleted($_) . "VACUUM $_;" . filled($_),
			"SELECT togg_cluster('${_}_idx');" ]
	} qw(plain long longer)),
	[ 'killed rows', 'plain', some_deleted('plain'),
		"SET enable_seqscan = off; SELECT count(*) FROM (SELECT id FROM plain ORDER BY embedding <-> array_fill(0.5::real, '{16}') LIMIT 1000) AS found;" ]);

for my $table (sort keys %tables)
{
	$node->safe_psql('postgres',
		"CREATE TABLE $table (id serial PRIMARY KEY, note text DEFAULT md5(random()::text), embedding real[]);"
		  . created($table) . filled($table));
}

# Do work in a session with these settings; what psql says of errors is returned.
sub work
{
	my ($server, $work, %settings) = @_;
	my $set = join '', map { "SET crash.$_ = '$settings{$_}';\n" } sort keys %settings;
	my (undef, undef, $err) = $server->psql('postgres',
		"SET client_min_messages = warning;\nSET enable_sort = off;\n$set$work->[3]",
		on_error_stop => 0);

	return $err;
}

# How many points a piece of work passes.
sub points
{
	my ($server, $work) = @_;
	my $count = $server->basedir . '/points';

	$server->safe_psql('postgres', $work->[2]);
	is(work($server, $work, count => $count), '',
		"$work->[0], $work->[1]: goes well without a crash");
	$server->safe_psql('postgres', $work->[4]) if $work->[4];
	return slurp_file($count);
}

sub judge
{
	my ($server, $table, $name) = @_;

	is_sound($server, "${table}_idx", $name);
	is_found($server, $table, '<->', $name);
	is_complete($server, $table, '<->',
		'{' . join(',', (0.25) x $tables{$table}[0]) . '}', $name);
	return;
}

# What a crash has left is no burden to what comes after it.
sub judge_later
{
	my ($server, $table, $name) = @_;

	$server->safe_psql('postgres', some_deleted($table));
	$server->safe_psql('postgres', "VACUUM $table");
	$server->safe_psql('postgres', filled($table));
	judge($server, $table, "$name, written to");
	return;
}

#
# On a server that comes back.
#

my $done = 0;
my $each = max(1, int($crashes * 0.9 / @works + 0.999));

for my $work (@works)
{
	my ($title, $table, $before, undef, $after) = @$work;
	my $points = points($node, $work) + 0;

	for my $i (0 .. $each - 1)
	{
		my $point = 1 + int($points * ($i + rand) / $each);
		my $server = $done % 3 == 2;
		my $name = "$title, $table: "
		  . ($server ? 'server' : 'backend') . " killed at $point of $points";

		$node->safe_psql('postgres', $before);
		$node->safe_psql('postgres', 'CHECKPOINT') if $done % 2;
		my @pids = server_pids($node);
		my $log_end = -s $node->logfile;
		my $err = work($node, $work, after => $point,
			server => $server ? 'on' : 'off');

		# What went before is random, too: there may be fewer points this time.
		if ($err =~ /server closed the connection|terminat/)
		{
			$done++;
			if ($server)
			{
				restart_killed($node, @pids);
			}
			else
			{
				$node->wait_for_log(qr/ready to accept connections/, $log_end);
			}
		}
		else
		{
			is($err, '', "$name: no crash, as there are fewer");
		}
		$node->safe_psql('postgres', $after) if $after;
		judge($node, $table, $name);
	}
	judge_later($node, $table, "$title, $table");
}

#
# On a standby that takes the place of a server killed at work.
#

my $primary = $node;
my $rounds = max(2, int($crashes / 10));

for my $round (1 .. $rounds)
{
	my $work = $works[ 1 + $round * 7 % (@works - 1) ];
	my ($title, $table, $before, undef, $after) = @$work;
	my $points = points($primary, $work) + 0;
	my $point = 1 + int rand $points;
	my $name = "$title, $table: promoted after $point of $points";
	my $standby = PostgreSQL::Test::Cluster->new("standby$round");

	$primary->backup("backup$round");
	$standby->init_from_backup($primary, "backup$round", has_streaming => 1);
	$standby->start;
	$primary->safe_psql('postgres', $before);
	$primary->wait_for_catchup($standby);
	work($primary, $work, after => $point, wait => 500, server => 'on');
	$primary->kill9;
	$standby->promote;
	$done++;
	$standby->safe_psql('postgres', $after) if $after;
	judge($standby, $table, $name);
	judge_later($standby, $table, $name);
	$primary = $standby;
}
cmp_ok($done, '>=', 0.8 * $crashes, "$done crashes");

unlike(slurp_file($_->logfile), qr/PANIC|TRAP|terminated by signal (?!9\b)/,
	'nothing crashed but what was killed')
  for $node, $primary;

$primary->stop;
done_testing();
