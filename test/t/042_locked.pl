# 042_locked.pl
#	Clients that each take the nearest rows that are not taken, by FOR UPDATE SKIP
#	LOCKED: no row twice, and together the nearest.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

my $node = new_node('main');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE jobs (id int, done bool DEFAULT false, embedding real[]);
INSERT INTO jobs SELECT i, false, ARRAY[i + 0.1, 0] FROM generate_series(1, 2000) AS i;
CREATE INDEX jobs_idx ON jobs USING togg (embedding);
VACUUM ANALYZE jobs;
SQL
my $take = "SELECT string_agg(id::text, ' ') FROM (SELECT id FROM jobs WHERE NOT done
	ORDER BY embedding <-> '{0,0}' LIMIT 5 FOR UPDATE SKIP LOCKED) s";
my @takers = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 3;

for my $taker (@takers)
{
	$taker->query_safe('SET enable_seqscan = off');
	$taker->query_safe('BEGIN');
}
like($takers[0]->query_safe("EXPLAIN $take"), qr/LockRows.*Index Scan using jobs_idx/s, 'rows are locked as the index returns them');
is($takers[0]->query_safe($take), '1 2 3 4 5', 'the first takes the nearest');
is($takers[1]->query_safe($take), '6 7 8 9 10', 'the second those that are left');
is($takers[2]->query_safe($take), '11 12 13 14 15', 'and so does the third');

# What was done is not taken again, what was given up is.
$takers[0]->query_safe('UPDATE jobs SET done = true WHERE id <= 5');
$takers[0]->query_safe('COMMIT');
$takers[1]->query_safe('ROLLBACK');
is($takers[0]->query_safe($take), '6 7 8 9 10', 'rows given up are taken next');

# Who waits instead gets the row as it became.
$takers[2]->query_safe('UPDATE jobs SET embedding = ARRAY[5000, 0] WHERE id = 11');
my $wait = start_sql($node, "SET enable_seqscan = off; SELECT id, embedding[1] FROM jobs WHERE NOT done AND id > 10
	ORDER BY embedding <-> '{0,0}' LIMIT 1 FOR UPDATE");
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"), 'another waits for a row');
$takers[2]->query_safe('COMMIT');
ok(finish_program($wait), 'and gets it');

$_->quit for @takers;
is_sound($node, 'jobs_idx', 'afterwards');
$node->stop;
done_testing();
