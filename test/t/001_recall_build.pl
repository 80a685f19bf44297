# 001_recall_build.pl
#	A built index finds the nearest rows, and read to the end returns them all,
#	whatever the metric, the dimensions and the options.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main');
my %class = (
	'<->' => 'array_l2_ops',
	'<#>' => 'array_ip_ops',
	'<=>' => 'array_cosine_ops');

# Build an index with options on a table that has no other.
sub build
{
	my ($table, $op, $with) = @_;

	$with = $with ? "WITH ($with)" : '';
	$node->safe_psql('postgres', <<"SQL");
DROP INDEX IF EXISTS ${table}_idx;
CREATE INDEX ${table}_idx ON $table USING togg (embedding $class{$op}) $with;
SQL
	return;
}

#
# Real data at default options.
#

load_vectors($node, 'words', 'words.f16bin.gz');
load_vectors($node, 'words_asked', 'words100.f16bin.gz');
load_vectors($node, 'mnist', 'mnist2k.u8bin.gz');
load_vectors($node, 'mnist_asked', 'mnist100.u8bin.gz');
for my $op ('<=>', '<->', '<#>')
{
	build('words', $op);
	recalls_well($node, 'words', 'words_asked', $op, 0.95, "words by $op");
	is_sound($node, 'words_idx', "words by $op");
}
for my $op ('<->', '<=>')
{
	build('mnist', $op);
	recalls_well($node, 'mnist', 'mnist_asked', $op, 0.95, "mnist by $op");
	is_sound($node, 'mnist_idx', "mnist by $op");
}

# By inner product a query is far from all vectors alike if these crowd round the
# pole of a sphere that is too large: then the pool grows for nothing.
build('words', '<#>');
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION mean_hops() RETURNS numeric LANGUAGE plpgsql SET enable_seqscan = off AS
$$
DECLARE
	q real[];
	hops numeric[];
BEGIN
	FOR q IN SELECT embedding FROM words_asked
	LOOP
		PERFORM id FROM words ORDER BY embedding <#> q LIMIT 10;
		hops := hops || (SELECT l.hops FROM togg_last_scan() l)::numeric;
	END LOOP;
	RETURN (SELECT avg(h) FROM unnest(hops) h);
END
$$;
SQL
cmp_ok($node->safe_psql('postgres', 'SELECT mean_hops()'), '<', 100,
	'hops by inner product');

# A larger pool finds more, and all of it in the end.
build('words', '<=>');
my @recall =
  map { recall($node, 'words', 'words_asked', '<=>', 10, $_) } (10, 40, 160, 640);
note("recall at ef 10, 40, 160, 640: @recall");
ok((!grep { $recall[$_] < $recall[ $_ - 1 ] } 1 .. $#recall),
	'recall rises with ef_search');
cmp_ok($recall[-1], '>=', 0.999, 'recall with ef_search = 640');
cmp_ok(recall($node, 'words', 'words_asked', '<=>', 100), '>=', 0.95,
	'recall of 100 rows, more than ef_search');

#
# Options: every kind of list and code.
#

for my $with ('m = 4', 'm = 32', 'm = 64', 'bits = 1', 'bits = 2', 'm = 48, bits = 2',
	'clusters = 1', 'clusters = 8',
	'ef_construction = 40')
{
	build('mnist', '<->', $with);
	recalls_well($node, 'mnist', 'mnist_asked', '<->', 0.95, "mnist, $with");
	is_sound($node, 'mnist_idx', "mnist, $with");
}

#
# Dimensions: some that fill no block, and lists and vectors of several pages.
#

for my $dims (1, 2, 3, 8, 64, 65, 2000, 2001)
{
	my $rows = $dims > 1000 ? 400 : 3000;

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS data, asked;
CREATE TABLE data (id int PRIMARY KEY, embedding real[]);
CREATE TABLE asked (id int PRIMARY KEY, embedding real[]);
SQL
	add_vectors($node, 'data', $dims, 1, $rows);
	add_vectors($node, 'asked', $dims, 1, 20, 0.25);
	for my $op ('<->', '<#>', '<=>')
	{
		# In one dimension a direction is a sign: nothing to find.
		next if $dims == 1 && $op eq '<=>';
		build('data', $op);
		recalls_well($node, 'data', 'asked', $op, 0.95, "$dims dimensions by $op");
		is_sound($node, 'data_idx', "$dims dimensions by $op");
		is_complete($node, 'data', $op, '{' . join(',', (0.3) x $dims) . '}',
			"$dims dimensions by $op");
	}
}

#
# Rows that are hard to rank are rows.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE odd (id serial PRIMARY KEY, embedding real[]);
SELECT setseed(0.5);
INSERT INTO odd (embedding) SELECT clustered(16, i % 20) FROM generate_series(1, 2000) AS i;
INSERT INTO odd (embedding) SELECT NULL FROM generate_series(1, 1500);
INSERT INTO odd (embedding) SELECT array_fill(0::real, '{16}') FROM generate_series(1, 1500);
INSERT INTO odd (embedding) SELECT array_fill(0.25::real, '{16}') FROM generate_series(1, 3000);
INSERT INTO odd (embedding) SELECT embedding FROM odd WHERE id <= 500;
SQL
for my $op ('<->', '<#>', '<=>')
{
	build('odd', $op);
	is_sound($node, 'odd_idx', "odd rows by $op");
	for my $query (0, 0.25, 7)
	{
		is_complete($node, 'odd', $op, '{' . join(',', ($query) x 16) . '}',
			"odd rows by $op from $query");
	}
}

# All rows alike, and hardly any rows at all.
for my $rows (0, 1, 2, 40, 5000)
{
	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS alike;
CREATE TABLE alike (id int PRIMARY KEY, embedding real[]);
INSERT INTO alike SELECT i, '{1,2,3}' FROM generate_series(1, $rows) AS i;
SQL
	build('alike', '<->');
	is_sound($node, 'alike_idx', "$rows rows alike");
	is_complete($node, 'alike', '<->', '{1,2,4}', "$rows rows alike");
}

$node->stop;
done_testing();
