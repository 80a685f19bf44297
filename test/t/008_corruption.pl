# 008_corruption.pl
#	Whatever the bytes of an index are, reading and writing it ends in a result
#	or in an error that says so: never in a crash or an endless loop.  Damage of
#	which togg_check() is to know, it finds.
#
# With TOGG_SANITIZE the extension is compiled for ASan and UBSan, which end the
# server where it reads or writes out of bounds.

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
	PAGE_OF_LISTS => 2,
	PAGE_OF_VECTORS => 3,
	PAGE_OF_TIDS => 4,
	META_WORDS => 24,
	META_ROOT => 10,
	META_GRAPH => 14,
	META_UPPER_ROOTS => 16,
	NO_SLOT => 0xFFFFFFFF,
	FORMAT_VERSION => 28
};

# A crash is to be told from others, so the server comes back after one.  Damage
# is to reach the index, also where PostgreSQL has checksums by default.
my $node = new_node('main', conf => <<'CONF');
restart_after_crash = on
ignore_checksum_failure = on
CONF
my $preload = $ENV{TOGG_SANITIZE} ? sanitize($node) : '';

sub start
{
	local $ENV{LD_PRELOAD} = $preload;

	$node->start;
	return;
}

if ($preload)
{
	$node->stop;
	start();
}

#
# Tables, one for each damage that is done: copies of some kinds.
#

my %kinds = (
	small => [ 8, 300, 'm = 16' ],
	# Lists and vectors of several pages.
	long => [ 1200, 30, 'm = 64' ],
	# Chains of heap TIDs.
	alike => [ 3, 1, 'm = 16' ],
	# Upper layers, no codes.
	layers => [ 8, 300, 'm = 4, graph = hnsw, bits = 0' ],
	# The inner space has one more dimension.
	product => [ 8, 300, 'm = 16', 'array_ip_ops' ],
	# Lists divided by a dimension.
	split => [ 8, 300, 'm = 16, guide = kdtree' ],
	# Rows with a column to filter by, and one that shares the room.
	columns => [ 8, 300, 'm = 16', 'array_l2_ops, id', 'INCLUDE (note)' ]);

for my $kind (sort keys %kinds)
{
	my ($dims, $rows) = @{ $kinds{$kind} };

	$node->safe_psql('postgres',
		"CREATE TABLE source_$kind (id serial PRIMARY KEY, note text DEFAULT 'a note', embedding real[])");
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

# The same, with damage that togg_check() finds.
sub plant
{
	my ($kind, $name, $work) = @_;

	damage($kind, "planted: $kind: $name", $work);
	$damages[-1]{planted} = 1;
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

# What it says of the graph, of the guide's interval, and of upper layers.
for my $kind ('layers', 'split')
{
	for my $word (META_GRAPH .. META_UPPER_ROOTS + 2)
	{
		for my $value (0, 1, 2, 0x10000, 0x10002, 0x20001, 7, 299,
			0x7FC00000, 0x7FFFFFF0, NO_SLOT)
		{
			damage($kind,
				sprintf('%s: metapage word %d = %08X', $kind, $word, $value),
				sub { overwrite($_[0], PAGE_HEADER + 4 * $word, pack 'V', $value) });
		}
	}
}
for my $layer (1 .. 3)
{
	damage('layers', "layers: the root is that of layer $layer",
		sub {
			my @roots = map { substr ${ $_[0] }, PAGE_HEADER + 4 * $_, 4 }
			  (META_ROOT, META_UPPER_ROOTS .. META_UPPER_ROOTS + 2);

			overwrite($_[0], PAGE_HEADER + 4 * META_ROOT, $roots[$layer]);
		});
	damage('layers', "layers: the root of layer $layer is that of another",
		sub {
			my @roots = map { substr ${ $_[0] }, PAGE_HEADER + 4 * $_, 4 }
			  (META_ROOT, META_UPPER_ROOTS .. META_UPPER_ROOTS + 2);

			overwrite($_[0], PAGE_HEADER + 4 * (META_UPPER_ROOTS + $layer - 1),
				$roots[ $layer - 1 ]);
		});
}

# Write into the headers of vertices; offsets are those of TgSlotHeader.
sub damage_vertices
{
	my ($kind, $name, $of, $offset, $bytes) = @_;

	damage($kind, "$kind: $name", sub {
		my @vertices = grep { $of->($_) } vertices_in(${ $_[0] });

		die "$kind: no vertex is damaged" if !@vertices;
		overwrite($_[0], $_->{at} + $offset, $bytes) for @vertices;
	});
	return;
}

my $is_upper = sub { $_[0]->{layer} > 0 };
my $is_lower = sub { $_[0]->{layer} == 0 };
my $is_split = sub { $_[0]->{nclusters} == 2 };

for my $layer (0, 1, 3, 4, 255)
{
	damage_vertices('layers', "upper layers are $layer", $is_upper, 5, chr $layer);
	damage_vertices('layers', "the lowest layer is $layer", $is_lower, 5, chr $layer);
	damage_vertices('split', "there is a layer $layer", $is_lower, 5, chr $layer);
}
for my $below (0, 1, 17, 100_000, 0x7FFFFFF0, NO_SLOT)
{
	damage_vertices('layers', "what is above is above $below",
		$is_upper, 20, pack('V', $below));
}
for my $nclusters (1, 3, 8, 9, 33, 255)
{
	damage_vertices('layers', "$nclusters clusters", $is_lower, 4, chr $nclusters);
	damage_vertices('split', "$nclusters clusters", $is_split, 4, chr $nclusters);
	damage_vertices('layers', "$nclusters clusters of one neighbour",
		$is_lower, 2, pack('v C', 1, $nclusters));
}
for my $dim (1, 7, 8, 9, 1000, 65535)
{
	damage_vertices('split', "split by dimension $dim", $is_split, 34,
		pack('v', $dim));
}
for my $sides ([ 255, 0 ], [ 0, 255 ], [ 255, 255 ], [ 0, 0 ])
{
	damage_vertices('split', "sides @$sides", $is_split, 32, pack('C C', @$sides));
}
for my $bits (0x7FC00000, 0x7F800000, 0xFF800000, 0xBF800000)
{
	damage_vertices('split', sprintf('a split at %08X', $bits), $is_split, 20,
		pack('V', $bits));
	damage_vertices('split', sprintf('a split with a band of %08X', $bits),
		$is_split, 36, pack('V', $bits));
}

# Slot 0 of the first page of vertices: header and list, piece by piece.
for my $kind ('small', 'long', 'alike', 'layers')
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
damage('alike', 'alike: heap TIDs that are gone, of no owner',
	sub {
		for my $block (1 .. length(${ $_[0] }) / BLOCK - 1)
		{
			next
			  if unpack('v', substr(${ $_[0] }, BLOCK * $block + SPECIAL, 2)) !=
			  PAGE_OF_TIDS;
			overwrite($_[0], BLOCK * $block + PAGE_HEADER + 6, pack 'v', 0);
			overwrite($_[0], BLOCK * $block + PAGE_HEADER + 20, pack 'V', NO_SLOT);
		}
	});

# The columns of rows, in all vertices: a byte at a time, and all of them.
for my $byte (0 .. 77)
{
	damage_vertices('columns', "byte $byte of the rows", $is_lower, 524 + $byte, "\xFF");
}
damage_vertices('columns', 'the rows', $is_lower, 524 + 6, "\xFF" x 72);
damage_vertices('columns', 'lengths in the rows', $is_lower, 524 + 11, pack('v', $_))
  for 0, 1, 64, 65, 66, 8000, 0xFFFE;

# Where sketches are, and how long they are.
for my $word (236, 240)
{
	for my $value (0, 1, 7, 299, 0x7FFFFFF0, 0xFFFFFFF0, NO_SLOT)
	{
		damage('columns', sprintf('columns: metapage byte %d = %08X', $word, $value),
			sub { overwrite($_[0], PAGE_HEADER + $word, pack 'V', $value) });
	}
}

# Garbage here and there, and everywhere.
for my $round (1 .. 10)
{
	for my $kind ('small', 'long', 'alike', 'columns')
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

#
# What togg_check() has to find; offsets are those of TgMetaPage, of TgSlotHeader,
# and of a list part of 8 dimensions.
#

use constant {
	KIND => 0,
	FLAGS => 1,
	DEGREE => 2,
	NCLUSTERS => 4,
	LAYER => 5,
	NTIDS => 6,
	NORM => 8,
	ERROR => 12,
	NEXT => 16,
	BELOW => 20,
	STAMP => 24,
	DIVISION => 32,
	CODES => 40,
	FACTOR_A => 104,
	FACTOR_F => 232,
	IDS => 360,
	STALE => 488,
	VECTOR => 492,
	TIDS => 524,
	# With columns, behind the heap TID: marks of NULL, id, length of note, note.
	MARKS => 530,
	ID => 531,
	LENGTH => 535,
	NOTE => 537
};

# Damage to a vertex with rows: $work gets the contents by reference, and where
# the vertex begins, and another.
sub plant_in_vertex
{
	my ($kind, $name, $work) = @_;

	plant($kind, $name, sub {
		my @vertices = grep { $_->{flags} == 0 && $_->{layer} == 0 && $_->{degree} > 3 }
		  vertices_in(${ $_[0] });

		$work->($_[0], $vertices[20]{at}, $vertices[50]{at});
	});
	return;
}

# Write a value there.
sub plant_value
{
	my ($kind, $name, $offset, $template, @values) = @_;

	plant_in_vertex($kind, $name,
		sub { overwrite($_[0], $_[1] + $offset, pack $template, @values) });
	return;
}

sub swap
{
	my ($file, $x, $y, $length) = @_;
	my $bytes = substr $$file, $x, $length;

	overwrite($file, $x, substr $$file, $y, $length);
	overwrite($file, $y, $bytes);
	return;
}

# Turn bits around.
sub flip
{
	my ($file, $at, $bits) = @_;

	overwrite($file, $at, $bits ^ substr $$file, $at, length $bits);
	return;
}

sub plant_word
{
	my ($kind, $name, $offset, $template, $value) = @_;

	plant($kind, $name,
		sub { overwrite($_[0], PAGE_HEADER + $offset, pack $template, $value) });
	return;
}

for my $kind (sort keys %kinds)
{
	damage($kind, "$kind: nothing", sub { });
	$damages[-1]{planted} = 0;
}

plant_word('small', 'magic', 0, 'V', 1);
plant_word('small', 'dimensions', 8, 'V', 7);
plant_word('small', 'metric', 12, 'v', 3);
plant_word('small', 'storage', 14, 'v', 2);
plant_word('small', 'degree', 16, 'v', 64);
plant_word('small', 'bits', 18, 'v', 1);
plant_word('small', 'clusters', 20, 'v', 0);
plant_word('small', 'graph', 56, 'v', 3);
plant_word('product', 'largest norm', 28, 'f', 100);
plant_word('small', 'seed', 32, 'V', 12345);
plant_word('small', 'root', 40, 'V', 12);
plant_word('small', 'list of NULLs', 48, 'V', NO_SLOT);
plant('alike', 'lists of unranked rows swapped',
	sub { swap($_[0], PAGE_HEADER + 44, PAGE_HEADER + 48, 4) });

plant('small', 'a page of zeros',
	sub { overwrite($_[0], 3 * BLOCK, "\0" x BLOCK) });
plant('long', 'a page of zeros among vectors',
	sub { overwrite($_[0], length(${ $_[0] }) - BLOCK, "\0" x BLOCK) });
plant('small', 'another page in its place',
	sub { overwrite($_[0], 3 * BLOCK, substr ${ $_[0] }, 4 * BLOCK, BLOCK) });
plant('small', 'a page half of which is another',
	sub { overwrite($_[0], 3 * BLOCK, substr ${ $_[0] }, 4 * BLOCK, BLOCK / 2) });
plant('small', 'a page half of which is zeros',
	sub { overwrite($_[0], 3 * BLOCK + BLOCK / 2, "\0" x (BLOCK / 2)) });
plant('long', 'a piece of another list',
	sub { swap($_[0], 2 * BLOCK, 3 * BLOCK, SPECIAL) });
plant('small', 'kind of a page',
	sub { overwrite($_[0], 3 * BLOCK + SPECIAL, pack 'v', 3) });
plant('small', 'piece of a page',
	sub { overwrite($_[0], 3 * BLOCK + SPECIAL + 2, pack 'v', 7) });
plant('small', 'the last block is missing', sub { substr(${ $_[0] }, -BLOCK) = '' });

plant_value('small', 'kind of a slot', KIND, 'C', 9);
plant_value('small', 'a slot is free', KIND, 'C', 0);
plant_value('small', 'a slot is one of heap TIDs', KIND, 'C', 2);
plant_value('small', 'a vertex is dead', FLAGS, 'C', 2);
plant_value('small', 'a vertex is a root', FLAGS, 'C', 1);
plant_value('small', 'flags that there are not', FLAGS, 'C', 0x40);
plant_value('small', 'too many neighbours', DEGREE, 'v', 33);
plant_value('small', 'too many clusters', NCLUSTERS, 'C', 200);
plant_value('small', 'clusters that are not in order', DIVISION, 'C4', 0, 9, 3, 12);
plant_value('small', 'a layer', LAYER, 'C', 1);
plant_value('small', 'no rows', NTIDS, 'v', 0);
plant_value('small', 'too many rows', NTIDS, 'v', 9999);
plant_value('small', 'norm', NORM, 'f', 0.125);
plant_value('small', 'no norm', NORM, 'f', 'nan');
plant_value('small', 'error', ERROR, 'f', -1);
plant_value('small', 'a chain that leads to a vertex', NEXT, 'V', 12);
plant_value('small', 'a stamp of the future', STAMP, 'VV', 0, 1);
plant_value('small', 'a neighbour that is not there', IDS, 'V', 100_000);
plant_value('small', 'a neighbour in the metapage', IDS, 'V', 0);
plant_in_vertex('small', 'marks beyond the list', sub {
	overwrite($_[0], $_[1] + DEGREE, pack 'v', 7);
	overwrite($_[0], $_[1] + STALE, pack 'V', 0x80000000);
});
plant_value('small', 'a heap TID that is not in use', TIDS, 'v3', 0, 0, 290);
plant_value('small', 'a heap TID beyond the table', TIDS, 'v3', 0, 5000, 1);
plant_value('small', 'no heap TID', TIDS, 'v3', 0, 0, 0);
plant_value('layers', 'an upper layer that is none', LAYER, 'C', 2);
plant_value('split', 'a split nowhere', BELOW, 'V', 0x7FC00000);
plant_value('product', 'factor', FACTOR_F, 'f', -1e-3);

plant_in_vertex('small', 'a bit of a code', sub { flip($_[0], $_[1] + CODES, "\1") });
plant_in_vertex('small', 'first factor', sub { flip($_[0], $_[1] + FACTOR_A + 3, "\x80") });
plant_in_vertex('small', 'second factor', sub { flip($_[0], $_[1] + FACTOR_F + 2, "\x40") });
plant_in_vertex('small', 'exponent of a coordinate', sub { flip($_[0], $_[1] + VECTOR + 3, "\1") });
plant_in_vertex('small', 'sign of a coordinate', sub { flip($_[0], $_[1] + VECTOR + 3, "\x80") });
plant_in_vertex('small', 'vectors swapped', sub { swap($_[0], $_[1] + VECTOR, $_[2] + VECTOR, 32) });
plant_in_vertex('small', 'neighbours swapped', sub { swap($_[0], $_[1] + IDS, $_[1] + IDS + 4, 4) });
plant_in_vertex('small', 'neighbours of another',
	sub { swap($_[0], $_[1] + IDS, $_[2] + IDS, 12) });
plant_in_vertex('small', 'the same neighbour twice',
	sub { overwrite($_[0], $_[1] + IDS, substr ${ $_[0] }, $_[1] + IDS + 4, 4) });
plant_in_vertex('small', 'heap TIDs swapped', sub { swap($_[0], $_[1] + TIDS, $_[2] + TIDS, 6) });
plant_in_vertex('small', 'a row is marked as killed', sub { flip($_[0], $_[1] + TIDS + 5, "\x80") });
plant_in_vertex('small', 'slots swapped', sub { swap($_[0], $_[1], $_[2], 530) });

plant_in_vertex('columns', 'a vector marked as another', sub { flip($_[0], $_[1] + MARKS, "\1") });
plant_in_vertex('columns', 'a column marked as NULL', sub { flip($_[0], $_[1] + MARKS, "\2") });
plant_value('columns', 'a column of another row', ID, 'V', 12345);
plant_value('columns', 'a value longer than its row', LENGTH, 'v', 1000);
plant_value('columns', 'a value that is cut', LENGTH, 'v', 3);
plant_value('columns', 'a value that is left out', LENGTH, 'v', 0xFFFF);
plant_value('columns', 'a letter of a value', NOTE, 'C', 0x78);
plant_in_vertex('columns', 'columns swapped', sub { swap($_[0], $_[1] + ID, $_[2] + ID, 4) });

# The chains of a vertex and of NULLs.
for my $case (
	[ 'lost', NEXT, 'V', NO_SLOT ],
	[ 'of another owner', BELOW, 'V', 7 ],
	[ 'a slot with no rows', NTIDS, 'v', 0 ],
	[ 'a slot with too many rows', NTIDS, 'v', 5000 ],
	[ 'a free slot', KIND, 'C', 0 ])
{
	my ($name, $offset, $template, $value) = @$case;

	plant('alike', "chain of a vertex: $name", sub {
		for (my $at = BLOCK + PAGE_HEADER; $at < length ${ $_[0] }; $at += 4)
		{
			my ($kind, $next, $owner) = unpack 'C x15 V V', substr ${ $_[0] }, $at, 40;

			next if $kind != 2 || $next == NO_SLOT || $owner > 100_000 || $owner == 0;
			overwrite($_[0], $at + $offset, pack $template, $value);
			last;
		}
	});
}

note(scalar(@damages) . ' damages');
my $planted = grep { $_->{planted} } @damages;
cmp_ok($planted, '>=', 30, "$planted of them planted for togg_check()");

#
# Make the tables, stop the server, do the damage.
#

$node->safe_psql(
	'postgres', join '',
	map {
		<<"SQL" } @damages);
CREATE TABLE $_->{table} (LIKE source_$_->{kind} INCLUDING DEFAULTS);
INSERT INTO $_->{table} SELECT * FROM source_$_->{kind};
CREATE INDEX $_->{table}_idx ON $_->{table} USING togg (embedding @{[ $kinds{$_->{kind}}[3] // '' ]})
	@{[ $kinds{$_->{kind}}[4] // '' ]} WITH ($kinds{$_->{kind}}[2]);
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
start();

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
	my $op = $damage->{kind} eq 'product' ? '<#>' : '<->';
	my $query = '{' . join(',', (0.5) x $dims) . '}';
	my $log_end = -s $node->logfile;
	my ($status, $out, $err) =
	  $node->psql('postgres', <<"SQL", on_error_stop => 0);
\\set VERBOSITY verbose
SET statement_timeout = '5s';
SET enable_seqscan = off;
SET enable_sort = off;
SELECT 'findings ' || count(*) || ' ' || coalesce(min(finding), '') FROM togg_check('${table}_idx', true);
SELECT count(*) FROM (SELECT * FROM $table ORDER BY embedding $op '$query' LIMIT 10) AS found;
SELECT count(*) FROM (SELECT * FROM $table ORDER BY embedding $op '$query' LIMIT 100000) AS found;
SELECT count(note), max(length(note)), min(id) FROM (SELECT id, note FROM $table WHERE id > 100 ORDER BY embedding $op '$query' OFFSET 0) AS found;
SELECT count(note), max(length(note)), min(id) FROM (SELECT id, note FROM $table ORDER BY embedding $op '$query' LIMIT 1000) AS found;
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
SELECT count(*) FROM (SELECT * FROM $table ORDER BY embedding $op '$query' LIMIT 100000) AS found;
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
	if (defined $damage->{planted})
	{
		my ($found) = $out =~ /findings (.*)/;

		$found //= $err =~ /((?:XX|0A)\w+: .*)/ ? $1 : '0 ';
		push @bad, "found: $found" if ($found !~ /^0 /) != $damage->{planted};
		note("$damage->{name}: $found");
	}
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
start();
my ($status, $out, $err) = $node->psql('postgres',
	"INSERT INTO source_small (embedding) VALUES ('{1,2,3,4,5,6,7,8}')");
like($err, qr/format version 999.*REINDEX/s,
	'an unknown version is named, with the way out');
$node->safe_psql('postgres', 'REINDEX INDEX source_idx');
is_sound($node, 'source_idx', 'rebuilt');

#
# A search says what a page is not, and says it again: only a page that was as it
# should be is trusted when a session comes back to it.  (There are fewer than 40.)
#

# Vectors of 26 whole numbers stand apart from lists of this size.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE apart (embedding real[]);
INSERT INTO apart SELECT ARRAY(SELECT ((i * j * 7) % 31)::real FROM generate_series(1, 26) j)
	FROM generate_series(1, 31) AS i;
SQL
for my $page_kind (PAGE_OF_LISTS, PAGE_OF_VECTORS)
{
	$node->safe_psql('postgres', <<'SQL');
DROP INDEX IF EXISTS apart_idx;
CREATE INDEX apart_idx ON apart USING togg (embedding) WITH (m = 128, bits = 1);
SQL
	my $path = $node->data_dir . '/'
	  . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('apart_idx')});
	$node->stop;
	my $contents = slurp_file($path);
	my $changed = 0;

	for (my $at = SPECIAL; $at < length $contents; $at += BLOCK)
	{
		next if unpack('v', substr($contents, $at, 2)) != $page_kind;
		substr($contents, $at, 2) = pack 'v', 9;
		$changed++;
	}
	open(my $out, '>:raw', $path) or die "$path: $!";
	print $out $contents;
	close($out) or die "$path: $!";
	start();
	my $asked = 'SELECT FROM apart ORDER BY embedding <-> (SELECT embedding FROM apart LIMIT 1) LIMIT 10;';
	my ($result, $rows, $errors) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSET enable_seqscan = off;\nSET enable_sort = off;\n" . $asked x 40,
		on_error_stop => 0);

	ok($changed > 0, "there are pages of kind $page_kind");
	is(() = $errors =~ /ERROR:\s+XX002/g, 40, 'each search says that they are not what they should be')
	  or diag($errors);
}

$node->stop;
done_testing();
