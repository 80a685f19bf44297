# 007_table_types.pl
#	Every kind of table can have an index, and every command that makes one anew
#	or moves it leaves it whole.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main');
my $query = '{' . join(',', (0.5) x 16) . '}';

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE source (id int PRIMARY KEY, embedding real[]);
CREATE TABLE asked (id int PRIMARY KEY, embedding real[]);
SQL
add_vectors($node, 'source', 16, 1, 2000);
add_vectors($node, 'asked', 16, 1, 20, 0.25);
$node->safe_psql('postgres', <<'SQL');
INSERT INTO source VALUES (2001, NULL), (2002, NULL);
INSERT INTO source SELECT id + 3000, embedding FROM source WHERE id < 100;
SQL

# The table has all rows of "source", and its index is as it should be.
sub judge
{
	my ($table, $name) = @_;

	is( $node->safe_psql('postgres', "SELECT count(*) FROM $table"),
		$node->safe_psql('postgres', 'SELECT count(*) FROM source'),
		"$name: the rows are there");
	for my $index (
		split "\n",
		$node->safe_psql('postgres', <<"SQL"))
SELECT indexrelid::regclass
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
WHERE amname = 'togg' AND relkind = 'i' AND indisvalid AND
	  indrelid IN (SELECT relid FROM pg_partition_tree('$table')
				   UNION SELECT '$table'::regclass)
SQL
	{
		is_sound($node, $index, "$name, $index");
	}
	is_complete($node, $table, '<->', $query, $name);
	recalls_well($node, $table, 'asked', '<->', 0.95, $name);
	return;
}

#
# Logged and unlogged tables, and commands on them.
#

for my $kind ('', 'UNLOGGED')
{
	my $table = lc($kind || 'logged');

	$node->safe_psql('postgres', <<"SQL");
CREATE $kind TABLE $table (id int PRIMARY KEY, embedding real[]);
INSERT INTO $table SELECT * FROM source;
CREATE INDEX ${table}_idx ON $table USING togg (embedding);
SQL
	judge($table, "$table table");
	mkdir $node->basedir . "/$table"
	  or die "cannot make a directory: $!";
	$node->safe_psql('postgres',
		"CREATE TABLESPACE ${table}_space LOCATION '@{[ $node->basedir ]}/$table'");
	for my $command (
		"REINDEX INDEX ${table}_idx",
		"REINDEX INDEX CONCURRENTLY ${table}_idx",
		"REINDEX TABLE CONCURRENTLY $table",
		"CLUSTER $table USING ${table}_pkey",
		"VACUUM FULL $table",
		"ALTER INDEX ${table}_idx SET TABLESPACE ${table}_space",
		"ALTER TABLE $table SET TABLESPACE ${table}_space",
		"ALTER TABLE $table SET " . ($kind ? 'LOGGED' : 'UNLOGGED'),
		"ALTER TABLE $table ALTER id TYPE bigint",
		"TRUNCATE $table; INSERT INTO $table SELECT * FROM source",
		"DROP INDEX ${table}_idx; CREATE INDEX ${table}_idx ON $table USING togg (embedding)")
	{
		$node->safe_psql('postgres', $command);
		judge($table, $command);
	}

	$node->safe_psql('postgres', "DROP INDEX ${table}_idx");
	$node->safe_psql('postgres',
		"CREATE INDEX CONCURRENTLY ${table}_idx ON $table USING togg (embedding)");
	judge($table, "CREATE INDEX CONCURRENTLY, $table");
}

# Rows that come while an index is made concurrently.
my $writer = start_pgbench($node, '-c 2 -R 300 -T 3', <<'SQL');
INSERT INTO source SELECT 10000 + (random() * 1e6)::int, clustered(16, (random() * 19)::int)
	ON CONFLICT DO NOTHING;
SQL
for (1 .. 3)
{
	$node->safe_psql('postgres',
		'CREATE INDEX CONCURRENTLY source_idx ON source USING togg (embedding)');
	$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY source_idx');
	is_complete($node, 'source', '<->', $query, 'made concurrently with inserts');
	$node->safe_psql('postgres', 'DROP INDEX CONCURRENTLY source_idx') if $_ < 3;
}
ok(finish_program($writer), 'inserts go on while the index is made');
judge('source', 'made concurrently with inserts');
$node->safe_psql('postgres', <<'SQL');
DROP INDEX source_idx;
DELETE FROM source WHERE id >= 10000;
SQL

#
# Truncated in the transaction that made it, rolled back in part.
#

$node->safe_psql('postgres', <<'SQL');
BEGIN;
CREATE TABLE fresh (id int PRIMARY KEY, embedding real[]);
CREATE INDEX fresh_idx ON fresh USING togg (embedding);
INSERT INTO fresh VALUES (1, '{1,2,3}'), (2, NULL);
TRUNCATE fresh;
INSERT INTO fresh SELECT * FROM source;
SAVEPOINT one;
TRUNCATE fresh;
INSERT INTO fresh VALUES (1, '{1,2}');
ROLLBACK TO one;
SAVEPOINT two;
INSERT INTO fresh SELECT id + 100000, embedding FROM source;
ROLLBACK TO two;
COMMIT;
SQL
judge('fresh', 'truncated in its own transaction');
$node->safe_psql('postgres', 'VACUUM fresh');
judge('fresh', 'truncated in its own transaction, vacuumed');

# With wal_level = minimal, as here, all of that was done without WAL.
$node->stop('immediate');
$node->start;
judge('fresh', 'truncated in its own transaction, after a crash');

#
# A temporary table.
#

is( $node->safe_psql('postgres', <<"SQL"),
CREATE TEMP TABLE temporary (id int PRIMARY KEY, embedding real[]);
INSERT INTO temporary SELECT * FROM source WHERE id % 2 = 0;
CREATE INDEX temporary_idx ON temporary USING togg (embedding);
INSERT INTO temporary SELECT * FROM source WHERE id % 2 = 1;
DELETE FROM temporary WHERE id % 5 = 0;
VACUUM temporary;
SELECT * FROM togg_check('temporary_idx', true);
SELECT reading_faults('temporary', '<->', '$query');
SELECT recall('temporary', 'asked', '<->', 10) >= 0.95;
CREATE TEMP TABLE emptied (id int, embedding real[]) ON COMMIT DELETE ROWS;
CREATE INDEX emptied_idx ON emptied USING togg (embedding);
BEGIN;
INSERT INTO emptied SELECT * FROM source;
SELECT reading_faults('emptied', '<->', '$query');
COMMIT;
INSERT INTO emptied VALUES (1, '{1,2,3}');
SELECT reading_faults('emptied', '<->', '{1,2,3}');
SQL
	"\nt\n\n", 'temporary tables');

#
# A partitioned table.
#

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE parts (id int PRIMARY KEY, embedding real[]) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (700);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (700) TO (1500);
CREATE INDEX parts_idx ON parts USING togg (embedding);
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (1500) TO (100000);
INSERT INTO parts SELECT * FROM source;
ANALYZE parts;
SQL
judge('parts', 'partitioned table');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE apart (id int PRIMARY KEY, embedding real[]);
INSERT INTO apart SELECT * FROM parts_2;
DROP TABLE parts_2;
ALTER TABLE parts ATTACH PARTITION apart FOR VALUES FROM (700) TO (1500);
REINDEX TABLE parts;
SQL
judge('parts', 'partition attached');
$node->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY parts_idx');
judge('parts', 'partitioned table, REINDEX CONCURRENTLY');

#
# Dumped and restored.
#

my $dump = $node->basedir . '/dump.sql';
$node->safe_psql('postgres',
	'CREATE INDEX source_idx ON source USING togg (embedding array_l2_ops)
		WITH (m = 32, ef_construction = 100, bits = 1, ef_search = 100)');
$node->command_ok(
	[ 'pg_dump', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d',
		$node->connstr('restored') ],
	'the dump is restored');
my $definitions = <<'SQL';
SELECT indexdef FROM pg_indexes WHERE indexdef ~ 'togg' ORDER BY 1;
SQL
is( $node->safe_psql('restored', $definitions),
	$node->safe_psql('postgres', $definitions),
	'the indexes are restored as they were');
for my $table ('source', 'parts')
{
	is( $node->safe_psql('restored',
			"SELECT reading_faults('$table', '<->', '$query')"),
		'',
		"$table, restored: reading to the end returns every row once");
}

$node->stop;
done_testing();
