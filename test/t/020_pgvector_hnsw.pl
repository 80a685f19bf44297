# 020_pgvector_hnsw.pl
#	What pgvector's own tests ask of hnsw, asked of togg: the same questions, of
#	the same kinds of columns.  The table in test/README.md says which question
#	is whose, and which are asked elsewhere.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main');
if ($node->safe_psql('postgres',
		"SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == 0)
{
	$node->stop;
	plan skip_all => 'no pgvector here';
}
$node->safe_psql('postgres', 'CREATE EXTENSION togg_pgvector CASCADE');

# Columns that hnsw can have, with an expression for a value at random, and for
# each operator its operator class, and the least recall of the nearest 20 from a
# pool of so many.
my @columns = (
	{
		type => 'vector(3)',
		value => 'ARRAY[random() * random(), random() * random(), random() * random()]::vector',
		ops => {
			'<->' => [ 'vector_l2_ops', 0.99, 64 ],
			'<#>' => [ 'vector_ip_ops', 0.97, 64 ],
			'<=>' => [ 'vector_cosine_ops', 0.99, 64 ],
			'<+>' => [ 'vector_l1_ops', 0.99, 100 ],
		},
	},
	{
		type => 'halfvec(10)',
		value => '(SELECT array_agg(random()) FROM generate_series(1, 10) WHERE i > 0)::vector::halfvec',
		ops => {
			'<->' => [ 'halfvec_l2_ops', 0.98, 100 ],
			'<#>' => [ 'halfvec_ip_ops', 0.95, 100 ],
			'<=>' => [ 'halfvec_cosine_ops', 0.98, 100 ],
			'<+>' => [ 'halfvec_l1_ops', 0.95, 200 ],
		},
	},
	{
		type => 'bit(52)',
		value => '(random() * 4503599627370495)::bigint::bit(52)',
		ops => { '<~>' => [ 'bit_hamming_ops', 0.95, 100 ] },
	});
my $vectors = $columns[0]{value};

# A new table, with rows 1 to $rows; and one of queries.
sub make_table
{
	my ($type, $value, $rows) = @_;

	$node->safe_psql('postgres', <<"SQL");
SET client_min_messages = warning;
DROP TABLE IF EXISTS tst, asked;
CREATE TABLE tst (id serial, c int, t text, embedding $type);
CREATE TABLE asked (id serial, embedding $type);
SELECT setseed(0.25);
INSERT INTO asked (embedding) SELECT $value FROM generate_series(1, 20) AS i;
INSERT INTO tst (c, t, embedding) SELECT i % 50, 'test ' || i, $value
	FROM generate_series(1, $rows) AS i;
SQL
	return;
}

# Recall of the nearest 20 from a pool of $ef.
sub finds
{
	my ($op, $least, $ef, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok(recall($node, 'tst', 'asked', $op, 20, $ef), '>=', $least, $name);
	return;
}

#
# Recall of an index that was built, in memory, by several processes, and with
# room for a part of the rows; of one that was filled by several clients.
#

for my $column (@columns)
{
	my ($type, $value) = @{$column}{qw(type value)};

	for my $op (sort keys %{ $column->{ops} })
	{
		my ($class, $least, $ef) = @{ $column->{ops}{$op} };

		make_table($type, $value, 2000);
		for my $settings ('max_parallel_maintenance_workers = 0',
			'max_parallel_maintenance_workers = 2; SET min_parallel_table_scan_size = 1',
			'maintenance_work_mem = 1024')
		{
			$node->safe_psql('postgres',
				"SET $settings; CREATE INDEX idx ON tst USING togg (embedding $class)");
			finds($op, $least, $ef, "$type by $op, $settings");
			$node->safe_psql('postgres', 'DROP INDEX idx');
		}

		# By inner product an index has to have seen how long vectors are.
		my $built = $op eq '<#>' ? 200 : 0;
		$node->safe_psql('postgres', <<"SQL");
DELETE FROM tst WHERE id > $built;
CREATE INDEX idx ON tst USING togg (embedding $class);
SQL
		run_pgbench($node, '-c 5 -j 2 -t 3', "$type by $op, clients insert",
			"INSERT INTO tst (embedding) SELECT $value FROM generate_series(1, 100) AS i;");

		# Their values are others each time.
		finds($op, $least - 0.01, $ef, "$type by $op, inserted");
	}
}

#
# Most rows go, from an index with few links.  The dead take no place in the
# pool: recall without VACUUM is asked for as after it.
#

for my $column (@columns[ 0, 2 ])
{
	my $op = $column->{type} =~ /bit/ ? '<~>' : '<->';
	my $class = $column->{ops}{$op}[0];

	make_table($column->{type}, $column->{value}, 4000);
	$node->safe_psql('postgres', <<"SQL");
CREATE INDEX idx ON tst USING togg (embedding $class) WITH (m = 4, ef_construction = 8);
DELETE FROM tst WHERE id > 1000;
SQL
	finds($op, 0.85, 100, "$column->{type}, before VACUUM");
	$node->safe_psql('postgres', 'VACUUM tst');
	finds($op, 0.95, 100, "$column->{type}, after VACUUM");
}

#
# Equal rows: hnsw returns no more of them than fit its element, an index of
# ours all.  Built, inserted, and by clients that insert the same at once.
#

sub returned
{
	my ($from, $settings) = @_;

	$settings //= '';
	return $node->safe_psql('postgres',
		"SET enable_seqscan = off; SET enable_sort = off; $settings; SELECT count(*) FROM ($from) s");
}

for ([ 'vector(3)', '[1,1,1]', '<->' ], [ 'halfvec(3)', '[1,1,1]', '<->' ],
	[ 'bit(3)', '111', '<~>' ])
{
	my ($type, $value, $op) = @$_;
	my $all = "SELECT * FROM tst ORDER BY embedding $op '$value'";

	make_table($type, "'$value'::$type", 20);
	$node->safe_psql('postgres', 'CREATE INDEX idx ON tst USING togg (embedding)');
	is(returned($all, 'SET togg.ef_search = 1'), 20, "$type: equal rows, built");
	$node->safe_psql('postgres', <<"SQL");
TRUNCATE tst;
INSERT INTO tst (embedding) SELECT '$value' FROM generate_series(1, 20);
SQL
	is(returned($all, 'SET togg.ef_search = 1'), 20, "$type: equal rows, inserted");
	run_pgbench($node, '-c 5 -j 2 -t 100', "$type: clients insert equal rows",
		"INSERT INTO tst (embedding) VALUES ('$value');");
	is(returned($all, 'SET togg.ef_search = 1'), 520, "$type: equal rows of many clients");
	is_sound($node, 'idx', "$type: equal rows");
}

#
# Clients that are the first to insert, at once; vectors that fill a page.
#

my $wide = '(SELECT array_agg(random()) FROM generate_series(1, 1900))::vector';
my $nearest_to_one = 'SELECT * FROM tst ORDER BY embedding <-> (SELECT embedding FROM asked LIMIT 1)';

make_table('vector(1900)', $wide, 0);
$node->safe_psql('postgres', 'CREATE INDEX idx ON tst USING togg (embedding)');
for my $round (1 .. 5)
{
	run_pgbench($node, '-c 10 -j 2 -t 1', "first rows, round $round",
		"INSERT INTO tst (embedding) VALUES ($wide);");
	is(returned($nearest_to_one), 10, "first rows, round $round: all are found");
	$node->safe_psql('postgres', 'TRUNCATE tst');
}
run_pgbench($node, '-c 20 -j 2 -t 2', 'wide vectors',
	"INSERT INTO tst (embedding) SELECT $wide FROM generate_series(1, 10) AS i WHERE i > 0;");
is(returned($nearest_to_one), 400, 'wide vectors: all are found');

#
# Plans with filters, joins and distances in WHERE.
#

my $query = '[0.3,0.4,0.5]';
my $order = "ORDER BY embedding <-> '$query'";
my $index_scan = qr/Index Scan using idx/;
my $seq_scan = qr/Seq Scan on tst/;

sub plans
{
	my ($sql, $plan) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($node->safe_psql('postgres', "EXPLAIN (COSTS OFF) $sql"), $plan, $sql);
	return;
}

make_table('vector(3)', $vectors, 10000);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE cat (i int PRIMARY KEY, t text, b boolean);
INSERT INTO cat SELECT i, 'cat ' || i, i % 5 = 0 FROM generate_series(1, 50) AS i;
CREATE INDEX idx ON tst USING togg (embedding);
ANALYZE tst, cat;
SQL
plans("SELECT id FROM tst WHERE c <> 7 $order LIMIT 20", $index_scan);
plans("SELECT id FROM tst WHERE c >= 1 $order LIMIT 20", $index_scan);
plans("SELECT id FROM tst WHERE t LIKE '%test%' $order LIMIT 20", $index_scan);
plans("SELECT id FROM tst WHERE t LIKE '%other%' $order LIMIT 20", $seq_scan);
plans("SELECT id FROM tst WHERE embedding <-> '$query' < 1 $order LIMIT 20", $index_scan);
plans("SELECT id FROM tst WHERE embedding <-> '$query' > 1 $order LIMIT 20", $index_scan);
plans("SELECT id FROM tst WHERE embedding <-> '$query' < 1", $seq_scan);
plans("SELECT id FROM tst WHERE embedding <-> '$query' < 1 $order", $seq_scan);
plans("SELECT cat.t FROM cat JOIN tst ON cat.i = tst.c $order LIMIT 20", $index_scan);
plans("SELECT cat.t FROM cat JOIN tst ON cat.i = tst.c WHERE cat.b $order LIMIT 20", $index_scan);
$node->safe_psql('postgres', 'CREATE INDEX attribute ON tst (c)');
plans("SELECT id FROM tst WHERE c = 7 $order LIMIT 20", qr/Bitmap Index Scan on attribute/);
$node->safe_psql('postgres', 'CREATE INDEX partial ON tst USING togg (embedding) WHERE c = 7');
plans("SELECT id FROM tst WHERE c = 7 $order LIMIT 20", qr/Index Scan using partial/);

#
# A filter that few rows pass: the LIMIT is filled with the nearest, without a
# setting; where fewer rows pass, all of them come.
#

is(returned("SELECT id FROM tst WHERE id % 1000 = 0 $order LIMIT 11", 'SET enable_bitmapscan = off'),
	10, 'ten rows in ten thousand pass, and come');
for my $op ('<->', '<=>')
{
	my $class = $columns[0]{ops}{$op}[0];

	for my $every (50, 500)
	{
		$node->safe_psql('postgres', <<"SQL");
SET client_min_messages = warning;
DROP VIEW IF EXISTS passing;
DROP INDEX IF EXISTS idx, partial, attribute;
CREATE INDEX idx ON tst USING togg (embedding $class);
CREATE VIEW passing AS SELECT * FROM tst WHERE id % $every = 0;
SQL
		cmp_ok(recall($node, 'passing', 'asked', $op, 20, 64), '>=', 0.99,
			"$op, one row in $every passes");
	}
}
$node->safe_psql('postgres', 'DROP VIEW passing');

#
# Wide vectors are found by the index: a few of a thousand; and with a distance
# as a filter, which the planner takes for one that two rows in three fail, of
# three times as many.
#

for ([ 1536, 1000, '' ], [ 384, 1000, '' ], [ 384, 3000, 'WHERE %s < 1' ])
{
	my ($dims, $rows, $where) = @$_;
	my $value = "(SELECT array_agg(random()) FROM generate_series(1, $dims) WHERE i > 0)::vector";
	my $distance = 'embedding <-> (SELECT embedding FROM asked WHERE id = 1)';

	make_table("vector($dims)", $value, $rows);
	$node->safe_psql('postgres', 'CREATE INDEX idx ON tst USING togg (embedding); ANALYZE tst');
	plans('SELECT id FROM tst ' . ($where =~ s/%s/$distance/r) . " ORDER BY $distance LIMIT 10",
		$index_scan);
}

#
# Readers and writers beside VACUUM.
#

make_table('vector(3)', $vectors, 1000);
$node->safe_psql('postgres', 'CREATE INDEX idx ON tst USING togg (embedding); DELETE FROM tst');
run_pgbench($node, '-c 5 -j 2 -t 80', 'scans of rows that VACUUM takes',
	"SELECT id FROM tst ORDER BY embedding <-> '[0,0,0]' LIMIT 10;\@80",
	"VACUUM tst;\@1");
$node->safe_psql('postgres', "INSERT INTO tst (embedding) SELECT $vectors FROM generate_series(1, 1000) AS i");
run_pgbench($node, '-c 5 -j 2 -t 400', 'inserts, deletes and scans beside VACUUM',
	"INSERT INTO tst (embedding) VALUES ($vectors);\@500",
	"DELETE FROM tst WHERE id = (SELECT id FROM tst LIMIT 1);\@500",
	"SELECT id FROM tst ORDER BY embedding <-> (SELECT $vectors) LIMIT 10;\@20",
	"VACUUM tst;\@1");
is_sound($node, 'idx', 'after all that');
is_found($node, 'tst', '<->', 'after all that');
is_complete($node, 'tst', '<->', '[0,0,0]', 'after all that');

$node->stop;
done_testing();
