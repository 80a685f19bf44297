#!/usr/bin/perl
#
# copy-vectors.pl
#	Turns a file of vectors into input for COPY table (id, [name,] embedding).
#
# usage: copy-vectors.pl FILE [NAMES]
#
# FILE is .f16bin or .u8bin, NAMES has one name for each row; both may end in
# .gz.  See test/data/README.md for the format.  Rows are numbered from 1.

use strict;
use warnings;

my ($file, $names) = @ARGV;
die "usage: copy-vectors.pl FILE [NAMES]\n" unless defined $file && @ARGV <= 2;

# The shortest text for each value that an element can have.
my ($width, $template, @text);
if ($file =~ /\.f16bin(\.gz)?$/)
{
	($width, $template) = (2, 'v*');
	@text = map { half_to_text($_) } 0 .. 0xFFFF;
}
elsif ($file =~ /\.u8bin(\.gz)?$/)
{
	($width, $template) = (1, 'C*');
	@text = (0 .. 255);
}
else
{
	die "$file: neither .f16bin nor .u8bin\n";
}

my $in = open_file($file);
my $name_in = defined $names ? open_file($names) : undef;

my ($rows, $dims) = unpack('l<2', read_bytes($in, 8));
for my $id (1 .. $rows)
{
	my @elements = @text[ unpack($template, read_bytes($in, $dims * $width)) ];
	my $name = '';
	if ($name_in)
	{
		$name = <$name_in>;
		die "$names: fewer names than the $rows rows of $file\n"
		  unless defined $name;
		chomp $name;
		# What COPY would take for a delimiter or an escape.
		$name =~ s/\\/\\\\/g;
		$name =~ s/\t/\\t/g;
		$name = "\t$name";
	}
	print $id, $name, "\t{", join(',', @elements), "}\n";
}

# IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction.  Nine digits
# are enough for any float, and hold every half exactly enough to read it back.
sub half_to_text
{
	my ($bits) = @_;
	my $sign = $bits & 0x8000 ? -1 : 1;
	my $exponent = ($bits >> 10) & 0x1F;
	my $fraction = $bits & 0x3FF;

	return $fraction ? 'NaN' : $sign < 0 ? '-Infinity' : 'Infinity'
	  if $exponent == 31;
	return sprintf('%.9g', $sign * $fraction * 2**-24) if $exponent == 0;
	return sprintf('%.9g', $sign * (1024 + $fraction) * 2**($exponent - 25));
}

sub open_file
{
	my ($path) = @_;
	my $handle;

	if ($path =~ /\.gz$/)
	{
		open($handle, '-|', 'gzip', '-dc', '--', $path) or die "$path: $!\n";
	}
	else
	{
		open($handle, '<', $path) or die "$path: $!\n";
	}
	binmode($handle);
	return $handle;
}

sub read_bytes
{
	my ($handle, $length) = @_;
	my $bytes;

	my $got = read($handle, $bytes, $length);
	die "$file: ends too early\n" unless defined $got && $got == $length;
	return $bytes;
}
