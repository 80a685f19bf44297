# 008_corruption.pl
#	Whatever the bytes of an index are, reading and writing it ends in a result
#	or in an error that says so: never in a crash or an endless loop.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use ToggTest;

use constant {
	BLOCK => 8192,
	PAGE_HEADER => 24,
	SPECIAL => 8184,    # TgPageOpaque
	PAGE_OF_TIDS => 4,
	META_WORDS => 24,
	FORMAT_VERSION => 28
};

# A crash is to be told from others, so the server comes back after one.  Damage
# is to reach the index, also where PostgreSQL has checksums by default.
my $node = new_node('main', conf => <<'CONF');
restart_after_crash = on
ignore_checksum_failure = on
CONF

#
# Tables, one for each damage that is done: copies of three kinds.
#

my %kinds = (
	small => [ 8, 300, 'm = 16' ],
	# Lists and vectors of several pages.
	long => [ 1200, 30, 'm = 64' ],
	# Chains of heap TIDs.
	alike => [ 3, 1, 'm = 16' ]);

for my $kind (sort keys %kinds)
{
	my ($dims, $rows) = @{ $kinds{$kind} };

	$node->safe_psql('postgres',
		"CREATE TABLE source_$kind (id serial PRIMARY KEY, embedding real[])");
	$node->safe_psql('postgres', <<"SQL");
SELECT setseed(0.5);
INSERT INTO source_$kind (embedding)
	SELECT clustered($dims, i % 5) FROM generate_series(1, $rows) AS i;
INSERT INTO source_$kind (embedding) VALUES (NULL), (NULL);
SQL
}
$node->safe_psql('postgres', <<'SQL');
INSERT INTO source_alike (embedding)
	SELECT (ARRAY[NULL, '{1,2,3}', '{0,0,0}'])[1 + i % 3]::real[]
	FROM generate_series(1, 9000) AS i;
SQL

my @damages;

# Do damage to one more index; $work gets the file's contents by reference.
sub damage
{
	my ($kind, $name, $work) = @_;

	push @damages,
	  { kind => $kind, name => $name, work => $work, table => 'data_' . @damages };
	return;
}

sub overwrite
{
	my ($file, $offset, $bytes) = @_;

	substr($$file, $offset, length $bytes) = $bytes
	  if $offset + length $bytes <= length $$file;
	return;
}

# Numbers that are the same in every run.
my $random_state = 42;

sub random_number
{
	my ($below) = @_;

	$random_state = ($random_state * 1103515245 + 12345) & 0x7FFFFFFF;
	return ($random_state >> 8) % $below;
}

sub garbage
{
	my ($length) = @_;

	return join '', map { chr random_number(256) } 1 .. $length;
}

# The metapage, a word at a time.
for my $word (0 .. META_WORDS - 1)
{
	for my $value (0, 1, 7, 0xFFFFFFFF, 0x7FFFFFF0)
	{
		damage('small', sprintf('metapage word %d = %08X', $word, $value),
			sub { overwrite($_[0], PAGE_HEADER + 4 * $word, pack 'V', $value) });
	}
}

# Slot 0 of the first page of vertices: header and list, piece by piece.
for my $kind ('small', 'long', 'alike')
{
	for my $byte (0 .. 39)
	{
		damage($kind, "$kind: byte $byte of a slot",
			sub { overwrite($_[0], BLOCK + PAGE_HEADER + $byte, chr 0xFF) });
	}
	for my $start (map { 48 * $_ } 1 .. 14)
	{
		damage($kind, "$kind: bytes from $start of a slot",
			sub { overwrite($_[0], BLOCK + PAGE_HEADER + $start, "\xFF" x 32) });
	}
}

# Whole pages: zeros, pages of others in their place, kinds that are others.
for my $kind ('small', 'long', 'alike')
{
	for my $block (0, 1, 2, 3)
	{
		damage($kind, "$kind: zeros in block $block",
			sub { overwrite($_[0], BLOCK * $block, "\0" x BLOCK) });
		damage($kind, "$kind: block 0 in block $block",
			sub { overwrite($_[0], BLOCK * $block, substr(${ $_[0] }, 0, BLOCK)) })
		  if $block > 0;
		for my $page_kind (0, 1, 2, 3, 4, 9)
		{
			damage($kind, "$kind: block $block of kind $page_kind",
				sub {
					overwrite($_[0], BLOCK * $block + SPECIAL, pack 'v', $page_kind);
				});
		}
		damage($kind, "$kind: block $block is another piece",
			sub { overwrite($_[0], BLOCK * $block + SPECIAL + 2, pack 'v', 1) });
	}
	damage($kind, "$kind: the last block is missing",
		sub { substr(${ $_[0] }, -BLOCK) = '' });
	damage($kind, "$kind: no blocks", sub { ${ $_[0] } = '' });
}

# Chains of heap TIDs that lead back to where they were, or to somebody else's.
for my $case (
	[ 'leads to itself', 16, sub { $_[0] } ],
	[ 'leads to the metapage', 16, sub { 0 } ],
	[ 'has another owner', 20, sub { 7 } ],
	[ 'is of another kind', 0, sub { 0 } ])
{
	my ($name, $offset, $value) = @$case;

	damage('alike', "alike: a chain of heap TIDs $name",
		sub {
			for my $block (1 .. length(${ $_[0] }) / BLOCK - 1)
			{
				overwrite($_[0], BLOCK * $block + PAGE_HEADER + $offset,
					pack 'V', $value->($block))
				  if unpack('v', substr(${ $_[0] }, BLOCK * $block + SPECIAL, 2)) ==
				  PAGE_OF_TIDS;
			}
		});
}

# Garbage here and there, and everywhere.
for my $round (1 .. 10)
{
	for my $kind ('small', 'long', 'alike')
	{
		my @bytes = map { [ random_number(1 << 22), random_number(256) ] } 1 .. 200;

		damage($kind, "$kind: bytes here and there $round",
			sub {
				for my $byte (@bytes)
				{
					my $offset = $byte->[0] % length ${ $_[0] };

					# Damage to the page header is found by the server itself.
					overwrite($_[0], $offset, chr $byte->[1])
					  if $offset % BLOCK >= PAGE_HEADER && $offset > BLOCK;
				}
			});
		my $garbage = garbage(SPECIAL - PAGE_HEADER);

		damage($kind, "$kind: a block of garbage $round",
			sub {
				my $blocks = length(${ $_[0] }) / BLOCK;

				overwrite($_[0],
					BLOCK * (1 + $round % ($blocks - 1)) + PAGE_HEADER, $garbage);
			});
	}
}

note(scalar(@damages) . ' damages');

#
# Make the tables, stop the server, do the damage.
#

$node->safe_psql(
	'postgres', join '',
	map {
		<<"SQL" } @damages);
CREATE TABLE $_->{table} (LIKE source_$_->{kind} INCLUDING DEFAULTS);
INSERT INTO $_->{table} SELECT * FROM source_$_->{kind};
CREATE INDEX $_->{table}_idx ON $_->{table} USING togg (embedding)
	WITH ($kinds{$_->{kind}}[2]);
SQL
my %path = map { split /\|/ } split "\n",
  $node->safe_psql('postgres', <<'SQL');
SELECT tablename, pg_relation_filepath(indexname::regclass)
FROM pg_indexes WHERE tablename ~ '^data_'
SQL
$node->stop;
for my $damage (@damages)
{
	my $file = $node->data_dir . '/' . $path{ $damage->{table} };
	my $contents = slurp_file($file);

	$damage->{work}->(\$contents);
	open(my $handle, '>:raw', $file) or die "$file: $!";
	print $handle $contents;
	close($handle) or die "$file: $!";
}
$node->start;

#
# Use them.
#

# Errors that are as they should be: of a damaged index; of a page that the
# server itself finds bad or does not find, as damaged links and heap TIDs lead
# anywhere; of distances that the executor finds to be other than the index
# says; of a format to come; and of vectors that do not have the dimensions that
# the index now seems to have.
my $expected = qr/^(?:XX002|XX001|0A000|22000):
	|^\w{5}:\ could\ not\ open\ file.*target\ block
	|^XX000:\ index\ returned\ tuples\ in\ wrong\ order/x;
my %seen;

for my $damage (@damages)
{
	my ($dims) = @{ $kinds{ $damage->{kind} } };
	my $table = $damage->{table};
	my $query = '{' . join(',', (0.5) x $dims) . '}';
	my $log_end = -s $node->logfile;
	my ($status, $out, $err) =
	  $node->psql('postgres', <<"SQL", on_error_stop => 0);
\\set VERBOSITY verbose
SET statement_timeout = '5s';
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT * FROM $table ORDER BY embedding <-> '$query' LIMIT 10) AS found;
SELECT count(*) FROM (SELECT * FROM $table ORDER BY embedding <-> '$query' LIMIT 100000) AS found;
INSERT INTO $table (embedding) SELECT clustered($dims, i) FROM generate_series(1, 20) AS i;
INSERT INTO $table (embedding) VALUES ('$query'), ('$query'), (NULL);
SELECT count(*) FROM togg_check('${table}_idx', true);
SELECT rows FROM togg_index_info('${table}_idx');
SET enable_indexscan = off;
SET enable_seqscan = on;
DELETE FROM $table WHERE id % 2 = 0;
SELECT pg_current_xact_id();
VACUUM $table;
VACUUM $table;
SET enable_indexscan = on;
SET enable_seqscan = off;
INSERT INTO $table (embedding) SELECT clustered($dims, i) FROM generate_series(1, 20) AS i;
SELECT count(*) FROM (SELECT * FROM $table ORDER BY embedding <-> '$query' LIMIT 100000) AS found;
REINDEX INDEX ${table}_idx;
SELECT 'whole again ' || count(*) FROM togg_check('${table}_idx', true);
SQL
	my @bad;

	for my $error ($err =~ /(?:ERROR|FATAL|PANIC):\s+(\w{5}: .*)/g)
	{
		$seen{ substr($error, 0, 5) }++;
		push @bad, $error unless $error =~ $expected;
	}
	push @bad, 'crash' if $status == 2 || $err =~ /terminated|closed the connection/;
	push @bad, 'not repaired' unless $out =~ /whole again 0/;
	ok(!@bad, $damage->{name})
	  or diag(join "\n", @bad, $err);
	$node->wait_for_log(qr/ready to accept connections/, $log_end)
	  if grep { $_ eq 'crash' } @bad;
}
note("errors: @{[ map { \"$_ $seen{$_}\" } sort keys %seen ]}");
ok($seen{XX002}, 'damage is reported as a damaged index');

#
# A format that is none of ours says what to do.
#

$node->safe_psql('postgres',
	'CREATE INDEX source_idx ON source_small USING togg (embedding)');
my $file = $node->data_dir . '/'
  . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('source_idx')});
$node->stop;
open(my $handle, '+<:raw', $file) or die "$file: $!";
seek($handle, FORMAT_VERSION, 0);
print $handle pack 'V', 999;
close $handle;
$node->start;
my ($status, $out, $err) = $node->psql('postgres',
	"INSERT INTO source_small (embedding) VALUES ('{1,2,3,4,5,6,7,8}')");
like($err, qr/format version 999.*REINDEX/s,
	'an unknown version is named, with the way out');
$node->safe_psql('postgres', 'REINDEX INDEX source_idx');
is_sound($node, 'source_idx', 'rebuilt');

$node->stop;
done_testing();
