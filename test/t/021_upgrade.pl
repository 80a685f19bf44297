# 021_upgrade.pl
#	ALTER EXTENSION UPDATE in a database that has indexes: the objects become
#	those of a new installation, and the indexes go on as they are.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

# A worker that clusters lists again would change what small pools find.
my $node = new_node('main', conf => "togg.clustering_workers = off\n");
my @extensions = ('togg');
push @extensions, 'togg_pgvector'
  if $node->safe_psql('postgres',
	"SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") > 0;

# Everything that belongs to an extension, with its definition, privileges and
# description.
sub objects
{
	my ($database, $extension) = @_;

	return $node->safe_psql($database, <<"SQL");
SELECT pg_describe_object(classid, objid, objsubid),
	   obj_description(objid, classid::regclass::name),
	   CASE classid
	   WHEN 'pg_proc'::regclass THEN
			(SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '') FROM pg_proc WHERE oid = objid)
	   WHEN 'pg_operator'::regclass THEN
			(SELECT concat_ws(' ', oprresult::regtype, oprcode::regprocedure, oprcom::regoperator, oprnegate)
			 FROM pg_operator WHERE oid = objid)
	   WHEN 'pg_opclass'::regclass THEN
			(SELECT concat_ws(' ', opcintype::regtype, opcdefault,
					(SELECT string_agg(amopopr::regoperator || ' ' || amopstrategy, ', ' ORDER BY amopstrategy)
					 FROM pg_amop WHERE amopfamily = opcfamily),
					(SELECT string_agg(amproc::regprocedure || ' ' || amprocnum, ', ' ORDER BY amprocnum)
					 FROM pg_amproc WHERE amprocfamily = opcfamily))
			 FROM pg_opclass WHERE oid = objid)
	   WHEN 'pg_class'::regclass THEN
			(SELECT concat_ws(' ', relkind, CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) END, relacl)
			 FROM pg_class WHERE oid = objid)
	   END
FROM pg_depend
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND
	  refobjid = (SELECT oid FROM pg_extension WHERE extname = '$extension')
ORDER BY 1;
SQL
}

# What indexes are and answer; the least pool finds what it finds by their links
# alone.
my %order = (
	nearest => '<->',
	products => '<#>',
	angles => '<=>',
	layers => '<->',
	grown => '<->');

sub answers
{
	my $sql = "SET enable_seqscan = off; SET enable_sort = off; SET togg.ef_search = 10;\n";

	for my $table (sort keys %order)
	{
		$sql .= <<"SQL";
SELECT '$table', pg_relation_filenode('${table}_idx'), pg_relation_size('${table}_idx'),
	   dimensions, metric, storage, bits, degree, graph, vertices, rows
FROM togg_index_info('${table}_idx');
SELECT asked.id, array_agg(found.id ORDER BY found.d, found.id)
FROM asked, LATERAL (SELECT id, embedding $order{$table} asked.embedding AS d FROM $table
					 ORDER BY embedding $order{$table} asked.embedding LIMIT 10) AS found
GROUP BY 1 ORDER BY 1;
SELECT * FROM togg_check('${table}_idx', true);
SQL
	}
	return $node->safe_psql('old', $sql);
}

#
# A database as the first version left it.
#

$node->safe_psql('postgres', 'CREATE DATABASE old');
$node->safe_psql('postgres', 'CREATE DATABASE new');
for my $extension (@extensions)
{
	$node->safe_psql('old', 'CREATE EXTENSION vector') if $extension ne 'togg';
	$node->safe_psql('old', "CREATE EXTENSION $extension VERSION '0.1.0'");
	$node->safe_psql('new', "CREATE EXTENSION $extension CASCADE");
}
add_functions($node, 'old');
$node->safe_psql('old', <<'SQL');
SELECT setseed(0.5);
CREATE TABLE asked AS
	SELECT i AS id, clustered(24, i % 20) AS embedding FROM generate_series(1, 20) AS i;
CREATE TABLE nearest AS
	SELECT i AS id, clustered(24, i % 20) AS embedding FROM generate_series(1, 1000) AS i;
INSERT INTO nearest VALUES (0, NULL);
CREATE TABLE products AS SELECT * FROM nearest;
CREATE TABLE angles AS SELECT * FROM nearest;
CREATE TABLE layers AS SELECT * FROM nearest;
CREATE TABLE grown (LIKE nearest);
CREATE INDEX nearest_idx ON nearest USING togg (embedding) WITH (m = 24);
CREATE INDEX products_idx ON products USING togg (embedding array_ip_ops);
CREATE INDEX angles_idx ON angles USING togg (embedding array_cosine_ops);
CREATE INDEX layers_idx ON layers USING togg (embedding) WITH (graph = hnsw, guide = kdtree);
CREATE INDEX grown_idx ON grown USING togg (embedding);
INSERT INTO grown SELECT * FROM nearest;
CREATE VIEW distances AS SELECT id, embedding <-> array_fill(0::real, '{24}') AS d FROM nearest;
SQL
if (@extensions > 1)
{
	$node->safe_psql('old', <<'SQL');
CREATE TABLE articles AS SELECT id, embedding::vector(24) FROM nearest;
CREATE INDEX articles_idx ON articles USING togg (embedding vector_cosine_ops);
SQL
}
my $before = answers();

#
# The update.
#

for my $extension (@extensions)
{
	isnt(objects('old', $extension), objects('new', $extension),
		"$extension: the versions differ");
	$node->safe_psql('old', "ALTER EXTENSION $extension UPDATE");
	is($node->safe_psql('old', "SELECT extversion FROM pg_extension WHERE extname = '$extension'"),
		$node->safe_psql('new', "SELECT extversion FROM pg_extension WHERE extname = '$extension'"),
		"$extension: has the new version");
	is(objects('old', $extension), objects('new', $extension),
		"$extension: objects are those of a new installation");
}
is(answers(), $before, 'indexes are what they were, and answer as they did');

#
# They go on, beside what is new.
#

$node->safe_psql('old', <<'SQL');
INSERT INTO grown SELECT id + 10000, embedding FROM asked;
DELETE FROM nearest WHERE id % 2 = 0;
VACUUM nearest;
CREATE INDEX products_l1 ON products USING togg (embedding array_l1_ops);
REINDEX INDEX angles_idx;
SQL
for my $index (qw(grown_idx nearest_idx products_l1 angles_idx))
{
	is($node->safe_psql('old', "SELECT * FROM togg_check('$index', true)"), '',
		"$index: togg_check() has no findings");
}
is($node->safe_psql('old', 'SELECT count(*) FROM distances WHERE d >= 0'), 500,
	'views still measure');
if (@extensions > 1)
{
	is($node->safe_psql('old', <<'SQL'), '1', 'an index on vector, too');
SET enable_seqscan = off;
SELECT id FROM articles ORDER BY embedding <=> (SELECT embedding FROM articles WHERE id = 1) LIMIT 1;
SQL
}

$node->stop;
done_testing();
