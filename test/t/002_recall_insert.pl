# 002_recall_insert.pl
#	An index grown by inserts, also by several clients at once, finds the
#	nearest rows as one that was built.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main');
my %class = ('<->' => 'array_l2_ops', '<=>' => 'array_cosine_ops');

# Move the rows of a table into another in random order, a few at a time, by
# several clients.
sub insert_by_clients
{
	my ($from, $to, $least, $clients) = @_;

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS todo;
DROP SEQUENCE IF EXISTS todo_place;
CREATE TABLE todo AS
	SELECT row_number() OVER (ORDER BY hashint4(id)) AS place, id, embedding
	FROM $from WHERE id > $least;
ALTER TABLE todo ADD PRIMARY KEY (place);
CREATE SEQUENCE todo_place INCREMENT 20;
SQL
	my $transactions = $node->safe_psql('postgres',
		"SELECT (count(*) / (20 * $clients) + 1)::int FROM todo");
	run_pgbench($node, "-c $clients -j $clients -t $transactions",
		"$clients clients insert into $to", <<"SQL");
SELECT nextval('todo_place') AS place \\gset
INSERT INTO $to SELECT id, embedding FROM todo
	WHERE place >= :place AND place < :place + 20;
SQL
	is($node->safe_psql('postgres', "SELECT count(*) FROM $to"),
		$node->safe_psql('postgres', "SELECT count(*) FROM $from"),
		"all rows are in $to");
	return;
}

# What is expected of a table that inserts have filled.
sub judge
{
	my ($table, $asked, $op, $name) = @_;
	my $query = $node->safe_psql('postgres',
		"SELECT embedding FROM $asked ORDER BY id LIMIT 1");

	is_sound($node, "${table}_idx", $name);
	is_complete($node, $table, $op, $query, $name);
	is_found($node, $table, $op, $name);
	return recalls_well($node, $table, $asked, $op, 0.95, $name);
}

load_vectors($node, 'words', 'words.f16bin.gz');
load_vectors($node, 'words_asked', 'words100.f16bin.gz');
load_vectors($node, 'mnist', 'mnist2k.u8bin.gz');
load_vectors($node, 'mnist_asked', 'mnist100.u8bin.gz');

#
# Half built, half inserted; nearly all inserted; all inserted.
#

for my $case (
	[ 'words', '<=>', 7500, 3 ],
	[ 'words', '<=>', 500, 4 ],
	[ 'words', '<=>', 0, 2 ],
	[ 'mnist', '<->', 1000, 4 ],
	[ 'mnist', '<->', 0, 1 ])
{
	my ($set, $op, $built, $clients) = @$case;
	my $name = "$set, $built rows built";

	$node->safe_psql('postgres', <<"SQL");
DROP TABLE IF EXISTS grown;
CREATE TABLE grown (id int PRIMARY KEY, embedding real[]);
INSERT INTO grown SELECT * FROM $set WHERE id <= $built;
CREATE INDEX grown_idx ON grown USING togg (embedding $class{$op});
SQL
	insert_by_clients($set, 'grown', $built, $clients);
	my $recall = judge('grown', "${set}_asked", $op, $name);

	# Inserts may cost some recall, but not much of it.
	$node->safe_psql('postgres', 'REINDEX INDEX grown_idx');
	cmp_ok($recall, '>=', recall($node, 'grown', "${set}_asked", $op) - 0.02,
		"$name: recall close to that of a rebuilt index");
}

#
# Clusters that come one after the other, each far from what was there.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE drift (id serial PRIMARY KEY, embedding real[]);
CREATE TABLE drift_asked (id serial PRIMARY KEY, embedding real[]);
CREATE INDEX drift_idx ON drift USING togg (embedding);
SELECT setseed(0.5);
INSERT INTO drift (embedding)
	SELECT clustered(16, i / 250) FROM generate_series(0, 4999) AS i;
INSERT INTO drift_asked (embedding)
	SELECT clustered(16, i) FROM generate_series(0, 19) AS i;
SQL
judge('drift', 'drift_asked', '<->', 'clusters one by one');

#
# Inner products of vectors whose lengths differ, the first of them one of the
# shorter: an index that began empty, and one of the shorter half, to which the
# longer ones come.
#

$node->safe_psql('postgres', <<'SQL');
SELECT setseed(0.5);
CREATE TABLE lengths AS
	SELECT id, (SELECT array_agg((x * length)::real ORDER BY n)
				FROM unnest(l2_normalize(embedding)) WITH ORDINALITY AS e (x, n)) AS embedding
	FROM (SELECT id, embedding, 0.5 + 1.5 * random() ^ 2 AS length
		  FROM words WHERE id <= 4000) AS words;
CREATE TABLE empty (id int PRIMARY KEY, embedding real[]);
CREATE INDEX empty_idx ON empty USING togg (embedding array_ip_ops);
INSERT INTO empty SELECT * FROM lengths ORDER BY vector_norm(embedding) > 0.6, id;
CREATE TABLE shorter AS
	SELECT * FROM lengths ORDER BY vector_norm(embedding) LIMIT 2000;
CREATE INDEX shorter_idx ON shorter USING togg (embedding array_ip_ops);
INSERT INTO shorter SELECT * FROM lengths ORDER BY vector_norm(embedding) OFFSET 2000;
SQL
for my $case ([ 'empty', 0.06 ], [ 'shorter', 0.25 ])
{
	my ($table, $less) = @$case;

	is_sound($node, "${table}_idx", "$table, inner product");
	my $grown = recall($node, $table, 'words_asked', '<#>');
	$node->safe_psql('postgres', "REINDEX INDEX ${table}_idx");
	cmp_ok($grown, '>=', recall($node, $table, 'words_asked', '<#>') - $less,
		"$table, inner product: recall close to that of a rebuilt index");
}

#
# Clients that all insert the same vectors, into an index that has nothing.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE same (id serial PRIMARY KEY, embedding real[]);
CREATE TABLE same_asked (id serial PRIMARY KEY, embedding real[]);
INSERT INTO same_asked (embedding) VALUES ('{0,0,1}'), ('{1,1,1}'), ('{2,1,0}');
CREATE INDEX same_idx ON same USING togg (embedding);
SQL
run_pgbench($node, '-c 6 -j 2 -t 500', '6 clients insert few vectors', <<'SQL');
\set x random(0, 2)
\set y random(0, 1)
INSERT INTO same (embedding) VALUES (ARRAY[:x, :y, 1]::real[]);
SQL
is_sound($node, 'same_idx', 'few vectors');
is_complete($node, 'same', '<->', '{0,1,1}', 'few vectors');
is( $node->safe_psql('postgres',
		"SELECT rows FROM togg_index_info('same_idx')"),
	3000, 'few vectors: every row is in the index');

#
# By inner product: an index on nothing knows one length; and vectors that are ten
# times as long as any that it has seen are the best matches.
#

$node->safe_psql('postgres', <<'SQL');
DROP TABLE grown;
CREATE TABLE grown (id int PRIMARY KEY, embedding real[]);
CREATE INDEX grown_idx ON grown USING togg (embedding array_ip_ops);
INSERT INTO grown SELECT * FROM mnist ORDER BY vector_norm(embedding) LIMIT 1;
INSERT INTO grown SELECT * FROM mnist ON CONFLICT DO NOTHING;
SQL
recalls_well($node, 'grown', 'mnist_asked', '<#>', 0.95, 'the shortest first');
$node->safe_psql('postgres', <<'SQL');
REINDEX INDEX grown_idx;
INSERT INTO grown
	SELECT id + 10000, (SELECT array_agg(10 * x ORDER BY i) FROM unnest(embedding) WITH ORDINALITY AS u (x, i))
	FROM mnist WHERE id <= 60;
SQL
is_sound($node, 'grown_idx', 'longer than known');
is_complete($node, 'grown', '<#>', '{' . join(',', (1) x 784) . '}', 'longer than known');
cmp_ok(recall($node, 'grown', 'mnist_asked', '<#>', 10, 100), '>=', 0.4, 'longer than known: recall@10');

$node->stop;
done_testing();
