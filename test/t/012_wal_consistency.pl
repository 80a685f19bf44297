# 012_wal_consistency.pl
#	All of the regression suite, replayed by a standby that compares each page
#	with the one that the primary made (wal_consistency_checking).

use strict;
use warnings;

use File::Basename;
use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $top = "$FindBin::RealBin/../..";

plan skip_all => 'no pg_regress here' if !-x ($ENV{PG_REGRESS} // '');

my $primary = new_node(
	'primary',
	allows_streaming => 1,
	conf => <<'CONF');
wal_consistency_checking = 'all'
wal_keep_size = 4GB
CONF
my $standby = PostgreSQL::Test::Cluster->new('standby');

$primary->backup('backup');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

# Those of pgvector's types need pgvector.  Tuning builds indexes as the others do,
# again and again.
my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
my $has_pgvector = -e "$sharedir/extension/vector.control";
my @tests = grep { $has_pgvector || !/pgvector/ }
  grep { !/^tune/ }
  map { basename($_, '.sql') } sort glob("$top/sql/*.sql");

command_ok(
	[
		$ENV{PG_REGRESS}, "--inputdir=$top",
		'--outputdir=' . $primary->basedir, '--bindir=',
		'--load-extension=togg', '--host=' . $primary->host,
		'--port=' . $primary->port, '--dbname=regression', @tests
	],
	scalar(@tests) . ' regression tests pass on the primary');
$primary->wait_for_catchup($standby);
unlike(slurp_file($standby->logfile), qr/inconsistent page|FATAL:  WAL|PANIC/,
	'the standby made the pages that the primary made');
like(slurp_file($standby->logfile), qr/consistent recovery state reached/,
	'it was at work');

$standby->stop;
$primary->stop;
done_testing();
