# 010_graphs.pl
#	Each base graph with each guide, with codes and without, finds the nearest
#	rows and returns them all: built, grown, and after rows have gone.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use ToggTest;

use constant {
	DIMS => 16,
	ROWS => 1200,
	GROWN => 900
};

my @ops = ('<->', '<#>', '<=>');
my %class = (
	'<->' => 'array_l2_ops',
	'<#>' => 'array_ip_ops',
	'<=>' => 'array_cosine_ops');
my $query = '{' . join(',', (0.5) x DIMS) . '}';
my $node = new_node('main', conf => "wal_level = replica\n");

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE data (id int PRIMARY KEY, embedding real[]);
CREATE TABLE asked (id int PRIMARY KEY, embedding real[]);
SQL
add_vectors($node, 'data', DIMS, 1, ROWS);
add_vectors($node, 'asked', DIMS, 1, 20, 0.25);

# An index on a table that has no other.
sub index_on
{
	my ($table, $op, $with) = @_;

	return <<"SQL";
DROP INDEX IF EXISTS ${table}_idx;
CREATE INDEX ${table}_idx ON $table USING togg (embedding $class{$op}) WITH ($with);
SQL
}

sub judge
{
	my ($table, $op, $name) = @_;

	is_sound($node, "${table}_idx", $name);
	is_found($node, $table, $op, $name);
	is_complete($node, $table, $op, $query, $name);
	return;
}

# What the settings do to the recall, and to the work of the last search.
sub measure
{
	my ($settings) = @_;
	my ($recall, $work) = split "\n", $node->safe_psql('postgres', <<"SQL");
SET enable_seqscan = off;
$settings;
SELECT recall('data', 'asked', '<->', 10);
SELECT count(id) AS ids FROM (SELECT id FROM data ORDER BY embedding <-> '$query' LIMIT 10) AS found \\gset
SELECT stage1_hops, hops, estimates, distances FROM togg_last_scan();
SQL
	my ($stage1_hops, $hops, $estimates, $distances) = split /\|/, $work;

	return {
		recall => $recall,
		stage1_hops => $stage1_hops,
		hops => $hops,
		estimates => $estimates,
		distances => $distances
	};
}

# The guide decides how a search goes about it, but not what it finds.
sub judge_routing
{
	my ($guide, $bits, $name) = @_;
	my $two_stage = measure('SET togg.routing = two_stage');
	my $published = measure('SET togg.stage1_width = 0');
	my $greedy = measure('SET togg.routing = greedy');
	my $guided = measure('SET togg.routing = guided');

	for my $other ($greedy, $published)
	{
		cmp_ok(abs($two_stage->{recall} - $other->{recall}),
			'<=', 0.02, "$name: recall does not depend on stage 1");
	}
	cmp_ok($guided->{recall}, '>=', 0.5, "$name: recall of guided routing");
	if ($guide eq 'none')
	{
		is($guided->{stage1_hops}, 0, "$name: no stage 1");
		is_deeply($two_stage, $greedy, "$name: two stages are one");
	}
	else
	{
		ok( $two_stage->{stage1_hops} > 0
			  && $published->{stage1_hops} > 5 * $two_stage->{stage1_hops},
			"$name: a wide stage 1 is longer");
		is($greedy->{stage1_hops}, 0, "$name: greedy routing has no stage 1");
	}
	if ($bits == 0)
	{
		is($two_stage->{estimates}, 0, "$name: nothing is estimated");
		cmp_ok($guided->{distances}, '<', $greedy->{distances},
			"$name: guided routing computes fewer distances")
		  if $guide ne 'none';
		cmp_ok($greedy->{distances}, '>', $greedy->{hops},
			"$name: neighbours are judged by their distances");
	}
	else
	{
		cmp_ok($two_stage->{estimates}, '>', 0, "$name: codes are scored");
		is($two_stage->{distances}, $two_stage->{hops},
			"$name: one distance a hop");
	}
	return;
}

# Rows that a search finds by some kernels, in order: [id, distance] of each.
sub rows_by
{
	my ($kernels) = @_;

	return map { [ split /\|/ ] } split "\n", $node->safe_psql('postgres', <<"SQL");
SET togg.simd = $kernels;
SET enable_seqscan = off;
SELECT asked.id || '.' || found.id, d FROM asked, LATERAL (
	SELECT id, embedding <-> asked.embedding AS d FROM data
	ORDER BY embedding <-> asked.embedding LIMIT 10) AS found ORDER BY asked.id, d;
SQL
}

# Other kernels sum in another order: the same rows, but for a neighbour that
# came into the pool by less than a rounding error.
sub judge_kernels
{
	my ($name) = @_;
	my @scalar = rows_by('scalar');
	my @auto = rows_by('auto');
	my %found = map { $_->[0] => $_->[1] } @scalar;
	my @missing = grep { !exists $found{ $_->[0] } } @auto;
	my @others =
	  grep { abs($found{ $_->[0] } // $_->[1]) - $_->[1] > 1e-5 * $_->[1] } @auto;

	ok(@auto == @scalar && @missing <= @auto / 100 && !@others,
		"$name: the same rows by any kernels")
	  or diag(scalar(@missing) . ' other rows, '
		  . scalar(@others) . ' at other distances');
	return;
}

# From so many rows to all; then rows go, and others come.
sub judge_growth
{
	my ($first, $op, $with) = @_;
	my $name = "$with by $op, grown from $first";

	# The length of the first vector, all that is known of an empty index, is
	# too little to map inner products well.
	my $least = $op eq '<#>' && $first == 0 ? 0.9 : 0.95;

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS grown;
CREATE TABLE grown (LIKE data INCLUDING ALL);
INSERT INTO grown SELECT * FROM data WHERE id <= $first;
@{[ index_on('grown', $op, $with) ]}
INSERT INTO grown SELECT * FROM data WHERE id > $first AND id <= @{[ GROWN ]};
SQL
	recalls_well($node, 'grown', 'asked', $op, $least, $name);
	is_sound($node, 'grown_idx', $name);
	judge_layers('grown', GROWN, $name) if $with =~ /hnsw/;

	# The second VACUUM finds slots that can be used again.
	$node->safe_psql('postgres', 'DELETE FROM grown WHERE id % 3 = 0');
	$node->safe_psql('postgres', 'VACUUM grown');
	$node->safe_psql('postgres', 'SELECT pg_current_xact_id()');
	$node->safe_psql('postgres', 'VACUUM grown');
	is_sound($node, 'grown_idx', "$name, rows gone");
	$node->safe_psql('postgres', <<"SQL");
INSERT INTO grown SELECT * FROM data WHERE id % 3 = 0 AND id <= @{[ GROWN ]};
INSERT INTO grown SELECT 10000 + id, embedding FROM data WHERE id <= 50;
INSERT INTO grown VALUES (20000, NULL);
SQL
	recalls_well($node, 'grown', 'asked', $op, $least, "$name, rows come again");
	judge('grown', $op, "$name, rows come again");
	return;
}

# One vertex in 16 (m) rises to the next layer, built or inserted: of the rows
# so many, within four standard deviations, and a root.
sub judge_layers
{
	my ($table, $rows, $name) = @_;
	my $expected = $rows / 16;
	my $path = $node->safe_psql('postgres',
		"CHECKPOINT; SELECT pg_relation_filepath('${table}_idx')");
	my @risen = grep { $_->{layer} == 1 }
	  vertices_in(slurp_file($node->data_dir . "/$path"));

	ok(abs(@risen - 1 - $expected) < 4 * sqrt($expected), "$name: vertices rise")
	  or diag(scalar(@risen) . " on layer 1, expected about $expected");
	return;
}

my $round = 0;

for my $graph ('nsg', 'nssg', 'hnsw')
{
	for my $guide ('kmeans', 'kdtree', 'none')
	{
		for my $bits (-1, 0)
		{
			my $with = "graph = $graph, guide = $guide, bits = $bits";

			for my $op (reverse @ops)
			{
				$node->safe_psql('postgres', index_on('data', $op, $with));
				recalls_well($node, 'data', 'asked', $op, 0.95, "$with by $op");
				is_sound($node, 'data_idx', "$with by $op");
			}
			judge_routing($guide, $bits, $with);
			judge_layers('data', ROWS, $with) if $graph eq 'hnsw';
			judge_kernels($with) if $guide eq 'kmeans';

			# Over all graphs, each guide meets each metric.
			judge_growth(0, $ops[ $round++ % @ops ], $with);
			judge_growth(GROWN / 3, $ops[ $round % @ops ], $with)
			  if $guide eq 'kdtree';
		}
	}
	$round++;
}

#
# Layers whose vertices all go.
#

for my $bits (0, 2)
{
	my $name = "hnsw of $bits bits, emptied";

	$node->safe_psql('postgres', index_on('grown', '<->', "graph = hnsw, bits = $bits"));
	$node->safe_psql('postgres', 'DELETE FROM grown');
	for my $pass (1 .. 3)
	{
		$node->safe_psql('postgres', 'VACUUM grown');
		$node->safe_psql('postgres', 'SELECT pg_current_xact_id()');
		is_sound($node, 'grown_idx', "$name, VACUUM $pass");
	}
	is( $node->safe_psql('postgres',
			q{SELECT vertices FROM togg_index_info('grown_idx')}),
		0,
		"$name: no vertex is left");
	$node->safe_psql('postgres', 'INSERT INTO grown SELECT * FROM data');
	recalls_well($node, 'grown', 'asked', '<->', 0.95, $name);
	judge('grown', '<->', $name);
}

#
# A crash while vertices rise to upper layers, and while they die there.
#

$node->safe_psql('postgres', <<"SQL");
CREATE TABLE crashed (id serial PRIMARY KEY, embedding real[]);
@{[ index_on('crashed', '<->', 'graph = hnsw, bits = 0, m = 4') ]}
SQL
for my $round (1, 2)
{
	my $inserts = start_pgbench($node, '-c 3 -j 2 -R 600 -T 30', <<"SQL");
INSERT INTO crashed (embedding) SELECT clustered(@{[ DIMS ]}, (random() * 19)::int);
SQL
	my $vacuum = start_pgbench($node, '-c 1 -R 20 -T 30',
		"DELETE FROM crashed WHERE id % 7 = (random() * 6)::int;\nVACUUM crashed;\n");

	usleep(900_000);
	$node->stop('immediate');
	$node->start;
	finish_program($inserts);
	finish_program($vacuum);

	# What a crash may leave of pages that were added just before it.
	is_sound($node, 'crashed_idx', "crash $round");
	is_found($node, 'crashed', '<->', "crash $round");
	is_complete($node, 'crashed', '<->', $query, "crash $round");
}

$node->stop;
done_testing();
