# 010_explain.pl
#	EXPLAIN (ANALYZE) tells what index scans did, where PostgreSQL lets an
#	extension tell it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

if (`pg_config --version` =~ /^PostgreSQL (\d+)/ && $1 < 18)
{
	plan skip_all => 'EXPLAIN has no hooks before PostgreSQL 18';
}

my $node = new_node('main');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE data (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX data_idx ON data USING togg (embedding);
CREATE TABLE queries (LIKE data);
SQL
add_vectors($node, 'data', 8, 1, 2000);
add_vectors($node, 'queries', 8, 1, 3, 0.25);

my $query = 'SELECT id FROM data ORDER BY embedding <-> array_fill(0.5::real, ARRAY[8])';
my $counts = qr/^ *Graph Search: hops=(\d+) stage1=(\d+) pages=(\d+) distances=(\d+) estimates=(\d+)/m;

# What EXPLAIN prints in a session of its own, by index.
sub explained
{
	my ($options, $statement, $before) = @_;

	$before //= '';
	return $node->safe_psql('postgres',
		"SET enable_seqscan = off; SET enable_sort = off; $before
		 EXPLAIN ($options) $statement");
}

# The same query once more, and what togg_last_scan() says of it.
my $plan = explained('ANALYZE', "$query LIMIT 10");
my $last = $node->safe_psql('postgres', <<"SQL");
SET enable_seqscan = off;
SELECT count(*) FROM ($query LIMIT 10) AS nearest \\g /dev/null
SELECT hops, stage1_hops, pages, distances, estimates FROM togg_last_scan();
SQL
like($plan, $counts, 'ANALYZE shows what the search did');
is(join('|', $plan =~ $counts), $last, 'the same as togg_last_scan()');
unlike($plan, qr/widenings|sweeps/, 'but nothing that did not happen');
like($plan, qr/Index Searches: 1\b/, 'one search of the index');

unlike(explained('COSTS off', "$query LIMIT 10"),
	qr/Graph Search/, 'nothing without ANALYZE');
unlike(explained('ANALYZE', "$query LIMIT 0"),
	qr/Graph Search/, 'nothing of a scan that was never run');
like(
	explained('ANALYZE', 'SELECT * FROM data WHERE id = 1'),
	qr/^Index Scan using data_pkey(?!.*Graph Search)/s,
	'nothing of the scan of another index');

like(explained('ANALYZE', "$query LIMIT 150"),
	qr/$counts widenings=[1-9]/, 'a scan that goes on is seen');
like(explained('ANALYZE', $query),
	qr/$counts widenings=\d+ sweeps=1$/m, 'and one that reads the whole index');

# A scan that is restarted: the sum of what each query alone takes.
my $lateral = 'SELECT nearest.id FROM queries AS asked, LATERAL (
	SELECT id FROM data ORDER BY embedding <-> asked.embedding LIMIT 10) AS nearest';
my $alone = 0;

for my $id (1 .. 3)
{
	my ($vector) = $node->safe_psql('postgres',
		"SELECT embedding FROM queries WHERE id = $id");
	my ($hops) = explained('ANALYZE',
		"SELECT id FROM data ORDER BY embedding <-> '$vector' LIMIT 10") =~ $counts;

	$alone += $hops;
}
$plan = explained('ANALYZE', $lateral);
is(($plan =~ $counts)[0], $alone, 'a scan of three loops is counted as a whole');
like($plan, qr/Index Searches: 3\b/, 'as three searches');

# For programs: all of it, and well-formed.
$plan = explained('ANALYZE, FORMAT json', "$query LIMIT 10");
is( $node->safe_psql('postgres', <<"SQL"),
SELECT string_agg(key || '=' || value, ' ' ORDER BY key)
FROM jsonb_each_text(jsonb_path_query_first(\$json\$$plan\$json\$, '\$.**."Graph Search"'))
SQL
	do
	{
		my ($hops, $stage1, $pages, $distances, $estimates) = split /\|/, $last;

		"Distances=$distances Estimates=$estimates Hops=$hops Pages=$pages"
		  . " Stage 1 Hops=$stage1 Sweeps=0 Widenings=0";
	},
	'JSON has every count');
ok( $node->safe_psql('postgres',
		'SELECT xml_is_well_formed($xml$'
		  . explained('ANALYZE, FORMAT xml', "$query LIMIT 10")
		  . '$xml$)') eq 't',
	'XML is well-formed');

$node->stop;
done_testing();
