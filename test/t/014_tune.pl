# 014_tune.pl
#	Tuning beside writers, cancelled, cut short by a crash, and on a standby; what
#	becomes of what was learnt.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

# Options that cost much, so that better ones are found: by them the smallest
# pool is far too large for this recall.
use constant DEAR => 'stage1_width = 0, pool_growth = 16';

my $node = new_node('main', allows_streaming => 1);
my $tune = q{SELECT count(DISTINCT after) FROM togg_tune('items_idx', '{0.5}', seed => 1,
	queries => 'SELECT embedding FROM items WHERE id <= 40')};
my $tune_for_long = q{SELECT count(*) FROM togg_tune('items_idx', budget => '1 hour')};
my $build_for_long = q{SELECT count(*) FROM togg_tune_build('items', 'embedding', budget => '1 hour')};
my $running = q{SELECT count(*) FROM pg_stat_activity WHERE query ~ '1 hour' AND pid <> pg_backend_pid()};

sub value
{
	my ($sql, $on) = @_;

	return ($on // $node)->safe_psql('postgres', $sql);
}

sub options
{
	return value(q{SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE relname = 'items_idx'})
	  =~ s/=/ = /gr;
}

sub left_behind
{
	return value(q{SELECT count(*) FROM pg_class WHERE relname ~ 'togg_tune_build'});
}

# Files of tables and indexes.
sub files
{
	my $directory = $node->data_dir . '/base/' . value(q{SELECT oid FROM pg_database WHERE datname = 'postgres'});

	return scalar grep { /^\d+$/ } slurp_dir($directory);
}

value('CREATE TABLE items (id int PRIMARY KEY, embedding real[])');
add_vectors($node, 'items', 16, 1, 3000);
value('CREATE INDEX items_idx ON items USING togg (embedding) WITH (' . DEAR . ')');

#
# Beside others, and cancelled.
#

for my $case ([ 'togg_tune()', $tune_for_long ], [ 'togg_tune_build()', $build_for_long ])
{
	my ($name, $sql) = @$case;
	my $files = files();
	my $tuning = start_sql($node, $sql);

	ok($node->poll_query_until('postgres', $running, 1), "$name is at work");
	value(<<'SQL');
SET lock_timeout = '5s';
INSERT INTO items SELECT 100000, embedding FROM items WHERE id = 1;
UPDATE items SET embedding = (SELECT embedding FROM items WHERE id = 2) WHERE id = 100000;
DELETE FROM items WHERE id = 100000;
VACUUM items;
SELECT togg_cluster('items_idx');
SELECT id FROM items ORDER BY embedding <-> (SELECT embedding FROM items WHERE id = 2) LIMIT 10;
SQL
	pass("$name keeps nobody waiting");
	for (1 .. 300)
	{
		$tuning->{handle}->pump_nb;
		last if $tuning->{err} =~ /candidates measured/;
		select undef, undef, undef, 0.1;
	}
	like($tuning->{err}, qr/NOTICE:  \d+ candidates measured in \d+ of 3600 s/, "$name tells how far it is");
	value('SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ \'1 hour\' AND pid <> pg_backend_pid()');
	finish_program($tuning);
	like($tuning->{err}, qr/canceling statement due to user request/, "$name can be cancelled");
	is(options(), DEAR, "$name has changed no options");
	is(left_behind(), 0, "$name has left nothing");
	value('CHECKPOINT');
	is(files(), $files, "$name has left no files");
}

#
# A crash before the end of the transaction.
#

value(q{SELECT togg_calibrate('items_idx')});
my $session = start_sql($node, "BEGIN; $tune; SELECT pg_sleep(60)");
ok($node->poll_query_until('postgres', <<'SQL'), 'something was learnt');
SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'
SQL
restart_killed($node, server_pids($node));
finish_program($session);
is(options(), DEAR, 'a crash before the commit leaves the options');
is_sound($node, 'items_idx', 'after a crash');

#
# What was learnt stays.
#

is(value($tune), 1, 'tuned');
my $options = options();
isnt($options, DEAR, 'the options are others');
$node->stop('immediate');
$node->start;
is(options(), $options, 'they outlive a crash');
value('REINDEX INDEX items_idx');
is(options(), $options, 'and REINDEX');
is(value(q{SELECT count(*), bool_or(stale) FROM togg_calibration('items_idx')}), '18|f',
	'which calibrates by them');
my ($dump) = run_command([ 'pg_dump', '-d', $node->connstr('postgres'), '-t', 'items' ]);
my ($width, $growth) = $options =~ /(\d+)/g;
like($dump, qr/CREATE INDEX items_idx .* WITH \(stage1_width='?$width'?, pool_growth='?$growth'?\)/,
	'a dump has them, as pg_upgrade does');
my $command = value(<<'SQL');
SELECT format('ALTER INDEX %s SET (%s)', oid::regclass, array_to_string(reloptions, ', '))
FROM pg_class WHERE relname = 'items_idx'
SQL
value('ALTER INDEX items_idx RESET (stage1_width, pool_growth)');
is(options(), '', 'they are reset');
is(value(q{SELECT bool_or(stale) FROM togg_calibration('items_idx')}), 't', 'and the calibration is of others');
value($command);
is(options(), $options, 'and set again by a command');

#
# A standby.
#

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
for my $case ([ 'togg_tune()', $tune ], [ 'togg_tune_build()', $build_for_long ])
{
	my ($name, $sql) = @$case;
	my (undef, undef, $error) = $standby->psql('postgres', $sql);

	like($error, qr/cannot execute \Q$name\E during recovery/, "$name is refused on a standby");
}

done_testing();
