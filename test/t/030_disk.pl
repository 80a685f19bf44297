# 030_disk.pl
#	A build warns of a file system that has less space available than its index
#	will take, of no other, and goes on in any case.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $variant = build_variant('-Wl,--wrap=statvfs', "$FindBin::RealBin/little_disk.c");
my $node = new_node('main');

use_variant($node, $variant);
$node->safe_psql('postgres', <<'SQL');
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE elsewhere LOCATION '';
CREATE TABLE items AS
	SELECT i AS id, clustered(300, i % 20) AS embedding FROM generate_series(1, 1000) AS i;
CREATE TABLE alike AS
	SELECT i AS id, array[i % 2]::real[] AS embedding FROM generate_series(1, 20000) AS i;
CREATE TABLE fresh (id int, embedding real[]);
SQL

# Build an index with so many blocks available; returns what is said.
sub build
{
	my ($table, $blocks, %how) = @_;
	my $with = $how{with} // '';
	my $available = defined $blocks ? "SET disk.available = $blocks;" : '';
	my $workers = $how{workers} // 0;
	my ($status, $out, $err) = $node->psql('postgres', <<"SQL");
DROP INDEX IF EXISTS ${table}_idx;
ALTER TABLE $table SET (parallel_workers = $workers);
SET max_parallel_maintenance_workers = $workers;
$available
CREATE INDEX ${table}_idx ON $table USING togg (embedding) $with;
SQL
	is($status, 0, "$table: built");
	return $err;
}

sub blocks
{
	return $node->safe_psql('postgres',
		"SELECT pg_relation_size('$_[0]_idx') / current_setting('block_size')::int");
}

my $warning = qr/WARNING:  there may be no room on disk for index/;

unlike(build('items', undef), $warning, 'no warning where the file system does not tell');
for my $with ('', 'WITH (graph = hnsw)', 'WITH (m = 4, bits = 0)', 'TABLESPACE elsewhere')
{
	my $name = $with || 'default options';

	build('items', undef, with => $with);
	my $blocks = blocks('items');
	unlike(build('items', $blocks, with => $with), $warning, "$name: no warning where there is just enough");
	my $said = build('items', $blocks - 1, with => $with);
	like($said, $warning, "$name: a warning with a block less");
	is(blocks('items'), $blocks, "$name: built all the same");
	like($said, $with =~ /elsewhere/ ? qr/"pg_tblspc\/.*" has/ : qr/"base\/\d+" has/,
		"$name: it names the directory");
}

my $said = build('items', 128);
like($said, qr/at least \d+ MB.* has 1 MB available/, 'it tells what there is');
my ($needed) = $said =~ /at least (\d+) MB/;
cmp_ok(abs($needed * 128 - blocks('items')), '<', 128, 'and what it will take');

my @warnings = build('items', 100, workers => 2) =~ /WARNING/g;
is(@warnings, 1, 'one warning of several processes');

build('alike', undef);
my $blocks = blocks('alike');
unlike(build('alike', $blocks), $warning, 'equal vectors: no warning where there is just enough');
like(build('alike', $blocks - 1), $warning, 'equal vectors: a warning with a block less');

unlike(build('fresh', 0), $warning, 'no warning of an empty table');

done_testing();
