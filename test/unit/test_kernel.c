/*-------------------------------------------------------------------------
 *
 * test_kernel.c
 *	  Every body of the kernels that this processor runs, against plain
 *	  references in double precision and against the promises of kernel.h.
 *
 * Spans end where an unreadable page begins, or begin where one ends: unlike
 * the address sanitizer, which does not look at masked vector accesses, that
 * catches every access beyond them.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include <sys/mman.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "tap.h"

/* Where a span lies in its memory. */
typedef enum Place
{
	PLACE_END,					/* an unreadable page follows */
	PLACE_START,				/* an unreadable page precedes */
	PLACE_UNALIGNED,			/* one byte later */
	PLACES
} Place;

/* Spans in use at once, and the bytes that each may have. */
#define SPANS		6
#define SPAN_BYTES	(512 * 1024)

static uint8 *span_memory[SPANS];

static const int sizes[] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
	21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
	40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58,
	59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 100, 127, 128, 129, 784,
	1000, 1024, 1028, 1536, 16000
};

#define MAX_SIZE	16000

static void
map_spans(void)
{
	long		page = sysconf(_SC_PAGESIZE);

	for (int i = 0; i < SPANS; i++)
	{
		uint8	   *memory = mmap(NULL, SPAN_BYTES + 2 * page, PROT_NONE,
								  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED ||
			mprotect(memory + page, SPAN_BYTES, PROT_READ | PROT_WRITE) != 0)
			abort();
		span_memory[i] = memory + page;
	}
}

/* The given span, of size bytes, at a place; its content is undefined. */
static void *
span(int which, Size size, Place place)
{
	Assert(size < SPAN_BYTES);
	if (place == PLACE_END)
		return span_memory[which] + SPAN_BYTES - size;
	return span_memory[which] + (place == PLACE_UNALIGNED ? 1 : 0);
}

/* The same, with a copy of the content. */
static void *
span_of(int which, const void *content, Size size, Place place)
{
	void	   *copy = span(which, size, place);

	memcpy(copy, content, size);
	return copy;
}

/* Random numbers, the same in every run. */
static uint64 random_state = 88172645463325252ULL;

static uint32
random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32) (random_state >> 16);
}

/* Between -1 and 1. */
static float
random_float(void)
{
	return (float) random_bits() * 0x1p-31f - 1.0f;
}

static float
float_of_bits(uint32 bits)
{
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint32
bits_of_float(float value)
{
	uint32		bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* The half-precision number with these bits, by the definition. */
static float
reference_of_half(uint16 half)
{
	int			exponent = (half >> 10) & 0x1F;
	int			mantissa = half & 0x03FF;
	double		value;

	if (exponent == 31 && mantissa != 0)
		return float_of_bits(((uint32) half & 0x8000) << 16 | 0x7FC00000 | (uint32) mantissa << 13);
	if (exponent == 31)
		value = INFINITY;
	else if (exponent == 0)
		value = ldexp(mantissa, -24);
	else
		value = ldexp(1024 + mantissa, exponent - 25);
	return (float) (half & 0x8000 ? -value : value);
}

/* The half-precision number nearest to value, by the definition. */
static uint16
reference_to_half(float value)
{
	uint16		sign = signbit(value) ? 0x8000 : 0;
	int			exponent;
	int			mantissa;

	if (isnan(value))
		return sign | 0x7E00 | ((bits_of_float(value) >> 13) & 0x03FF);
	if (isinf(value))
		return sign | 0x7C00;

	/* value = fraction * 2^exponent, 1 <= fraction < 2, unless denormal */
	frexp(value, &exponent);
	exponent = Max(exponent - 1, -14);
	if (value == 0 || exponent > 15)
		return value == 0 ? sign : sign | 0x7C00;
	mantissa = (int) nearbyint(ldexp(fabs((double) value), 10 - exponent));
	/* The first bit of a normal mantissa adds one to the exponent. */
	return sign | (uint16) (((exponent + 14) << 10) + mantissa);
}

static bool
same_float(float a, float b)
{
	return bits_of_float(a) == bits_of_float(b);
}

/*
 * Is a sum of n floats as near to its exact value as kernel.h promises?  The
 * bound goes by the sum of the magnitudes; denormal terms may be lost.
 */
static bool
near(float sum, double exact, double magnitude, int n)
{
	double		bound = magnitude * n * 0x1p-23 + n * 0x1p-149;

	if (fabs(sum - exact) <= bound)
		return true;
	diag("n %d: %.9g where %.17g was expected, within %g", n, sum, exact, bound);
	return false;
}

/* The three sums of floats and the two with halves, one size at one place. */
static bool
sums_agree(const TgKernels *kernels, const float *x, const uint16 *h, int n, Place place)
{
	float	   *a = span_of(0, x, n * sizeof(float), place);
	float	   *b = span_of(1, x + n, n * sizeof(float), place);
	uint16	   *half = span_of(2, h, n * sizeof(uint16), place);
	float	   *widened = span(3, n * sizeof(float), place);
	float	   *expected = malloc(n * sizeof(float) + 1);
	double		l2sq = 0;
	double		dot = 0;
	double		dot_magnitude = 0;
	double		l1 = 0;
	bool		good;

	for (int i = 0; i < n; i++)
	{
		double		difference = (double) x[i] - x[n + i];
		double		product = (double) x[i] * x[n + i];

		l2sq += difference * difference;
		l1 += fabs(difference);
		dot += product;
		dot_magnitude += fabs(product);
		expected[i] = reference_of_half(h[i]);
	}
	kernels->half_to_float(half, widened, n);

	good = near(kernels->l2sq(a, b, n), l2sq, l2sq, n + 1) &&
		near(kernels->dot(a, b, n), dot, dot_magnitude, n + 1) &&
		near(kernels->l1(a, b, n), l1, l1, n + 1) &&
		same_float(kernels->l2sq(a, b, n), kernels->l2sq(b, a, n)) &&
		same_float(kernels->dot(a, b, n), kernels->dot(b, a, n)) &&
		same_float(kernels->l1(a, b, n), kernels->l1(b, a, n)) &&
		memcmp(widened, expected, n * sizeof(float)) == 0 &&
		same_float(kernels->l2sq_half(a, half, n), kernels->l2sq(a, widened, n)) &&
		same_float(kernels->dot_half(a, half, n), kernels->dot(a, widened, n));
	if (!good)
		diag("%s: sums of %d differ, place %d", kernels->name, n, place);
	free(expected);
	return good;
}

static bool
test_sums(const TgKernels *kernels, float scale)
{
	static float x[2 * MAX_SIZE];
	static uint16 h[MAX_SIZE];

	for (int s = 0; s < (int) lengthof(sizes); s++)
	{
		int			n = sizes[s];

		for (int i = 0; i < 2 * n; i++)
			x[i] = random_float() * scale;
		for (int i = 0; i < n; i++)
			h[i] = reference_to_half(random_float() * scale);
		for (Place place = 0; place < PLACES; place++)
		{
			if (!sums_agree(kernels, x, h, n, place))
				return false;
		}
	}
	return true;
}

/* Each element counts once, wherever it stands; a NaN is never lost. */
static bool
test_positions(const TgKernels *kernels)
{
	for (int n = 1; n <= 130; n++)
	{
		float	   *a = span(0, n * sizeof(float), PLACE_END);
		float	   *b = span(1, n * sizeof(float), PLACE_END);
		uint16	   *half = span(2, n * sizeof(uint16), PLACE_END);

		memset(a, 0, n * sizeof(float));
		memset(b, 0, n * sizeof(float));
		memset(half, 0, n * sizeof(uint16));
		for (int i = 0; i < n; i++)
		{
			bool		good;

			a[i] = 3;
			b[i] = 1;
			half[i] = 0x3C00;
			good = kernels->l2sq(a, b, n) == 4 && kernels->dot(a, b, n) == 3 &&
				kernels->l1(a, b, n) == 2 && kernels->l1(b, a, n) == 2 &&
				kernels->l2sq_half(a, half, n) == 4 && kernels->dot_half(a, half, n) == 3;

			b[i] = INFINITY;
			half[i] = 0x7C00;
			good = good && kernels->l2sq(a, b, n) == INFINITY &&
				kernels->dot(a, b, n) == INFINITY && kernels->l1(a, b, n) == INFINITY &&
				kernels->l2sq_half(a, half, n) == INFINITY &&
				kernels->dot_half(a, half, n) == INFINITY;

			b[i] = NAN;
			half[i] = 0xFE00;
			good = good && isnan(kernels->l2sq(a, b, n)) &&
				isnan(kernels->dot(a, b, n)) && isnan(kernels->l1(a, b, n)) &&
				isnan(kernels->l2sq_half(a, half, n)) && isnan(kernels->dot_half(a, half, n));

			if (!good)
			{
				diag("element %d of %d", i, n);
				return false;
			}
			a[i] = 0;
			b[i] = 0;
			half[i] = 0;
		}
	}
	return true;
}

/*
 * Sums over bytes are exact, with differences as large as they may be, and
 * every byte counts.
 */
static bool
test_bytes(const TgKernels *kernels)
{
	for (int n = 0; n <= MAX_SIZE / TG_BYTES_ALIGN * TG_BYTES_ALIGN;
		 n += n < 1024 ? TG_BYTES_ALIGN : 7488)
		for (Place place = 0; place < PLACES; place++)
		{
			int8	   *a = span(0, n, place);
			int8	   *b = span(1, n, place);
			uint32		sum = 0;

			for (int i = 0; i < n; i++)
			{
				a[i] = (int8) (random_bits() % 128) - 64;
				b[i] = (int8) (random_bits() % 128) - 64;
				sum += (uint32) ((a[i] - b[i]) * (a[i] - b[i]));
			}
			if (kernels->l2sq_bytes(a, b, n) != sum ||
				kernels->l2sq_bytes(b, a, n) != sum)
			{
				diag("%s: sum of %d bytes differs", kernels->name, n);
				return false;
			}
			memset(a, 63, n);
			memset(b, -64, n);
			if (kernels->l2sq_bytes(a, b, n) != (uint32) n * 127 * 127 ||
				kernels->l2sq_bytes(b, a, n) != (uint32) n * 127 * 127)
			{
				diag("%s: largest sum of %d bytes differs", kernels->name, n);
				return false;
			}
		}
	return true;
}

/* All halves become floats, and all but signalling NaNs come back as they were. */
static bool
test_all_halves(const TgKernels *kernels)
{
	enum
	{
		count = 65536
	};
	uint16	   *halves = span(0, count * sizeof(uint16), PLACE_END);
	float	   *floats = span(1, count * sizeof(float), PLACE_END);
	uint16	   *back = span(2, count * sizeof(uint16), PLACE_END);

	for (int i = 0; i < count; i++)
		halves[i] = (uint16) i;
	kernels->half_to_float(halves, floats, count);
	kernels->float_to_half(floats, back, count);
	for (int i = 0; i < count; i++)
	{
		bool		is_nan = (i & 0x7FFF) > 0x7C00;

		if (!same_float(floats[i], reference_of_half((uint16) i)) ||
			back[i] != (is_nan ? i | 0x0200 : i))
		{
			diag("half %04x: float %08x, back %04x", (unsigned) i,
				 (unsigned) bits_of_float(floats[i]), back[i]);
			return false;
		}
	}
	return true;
}

/* Convert n floats at once, and one by one, as the reference does. */
static bool
halves_agree(const TgKernels *kernels, const float *x, int n, Place place)
{
	float	   *src = span_of(0, x, n * sizeof(float), place);
	uint8	   *dst = span(1, n * sizeof(uint16), place);

	kernels->float_to_half(src, (uint16 *) dst, n);
	for (int i = 0; i < n; i++)
	{
		uint16		expected = reference_to_half(x[i]);
		uint16		alone;
		uint16		half;

		kernels->float_to_half(x + i, &alone, 1);
		memcpy(&half, dst + i * sizeof(half), sizeof(half));
		if (half != expected || alone != expected)
		{
			diag("float %08x of %d: half %04x, alone %04x, expected %04x",
				 (unsigned) bits_of_float(x[i]), n, half, alone, expected);
			return false;
		}
	}
	return true;
}

/* Floats at and beside every half, and at and beside every half-way point. */
static bool
test_rounding(const TgKernels *kernels)
{
	for (uint32 half = 0; half < 65536; half++)
	{
		float		x[12];
		float		here = reference_of_half((uint16) half);
		float		next = reference_of_half((uint16) (half + 1));
		uint32		at = bits_of_float(here);
		uint32		between;

		if ((half & 0x7FFF) >= 0x7C00)
			continue;
		/* Half way from the largest number to what would be the next. */
		if ((half & 0x7FFF) == 0x7BFF)
			next = copysignf(65536, here);
		between = bits_of_float((here + next) / 2);
		for (int i = 0; i < 3; i++)
		{
			x[i] = float_of_bits(at + i);
			x[3 + i] = float_of_bits(between + i);
			x[6 + i] = float_of_bits(between - i);
			x[9 + i] = float_of_bits((at & 0x7FFFFFFF) > 2 ? at - i : at);
		}
		if (!halves_agree(kernels, x, lengthof(x), PLACE_START))
			return false;
	}
	return true;
}

/* Floats of every exponent, NaNs of every kind, every length of tail. */
static bool
test_to_half(const TgKernels *kernels)
{
	float		x[512];

	for (int round = 0; round < 64; round++)
	{
		for (int i = 0; i < 512; i++)
			x[i] = float_of_bits((uint32) i << 23 | random_bits() >> 9);
		/* The smallest and the largest signalling NaN. */
		x[0] = float_of_bits(0x7F800001);
		x[1] = float_of_bits(0xFFBFFFFF);
		if (!halves_agree(kernels, x, 512, PLACE_END) ||
			!halves_agree(kernels, x + 7 * round, round, PLACE_END) ||
			!halves_agree(kernels, x + 7 * round, round, PLACE_UNALIGNED))
			return false;
	}
	return true;
}

/* Against the definition, and to the last bit against the scalar body. */
static bool
test_hadamard(const TgKernels *kernels)
{
	static float x[16384];
	static float expected[16384];

	for (int n = 1; n <= 16384; n *= 2)
	{
		for (int i = 0; i < n; i++)
			expected[i] = x[i] = random_float();
		tg_kernels_select("scalar");
		tg_kernels->hadamard(expected, n);

		for (Place place = 0; place < PLACES; place++)
		{
			float	   *y = span_of(0, x, n * sizeof(float), place);

			kernels->hadamard(y, n);
			if (memcmp(y, expected, n * sizeof(float)) != 0)
			{
				diag("hadamard of %d differs from the scalar body's, place %d", n, place);
				return false;
			}
		}

		/* Of large transforms, some elements will do. */
		for (int i = 0; i < n; i += Max(n / 256, 1))
		{
			double		exact = 0;
			double		magnitude = 0;

			for (int j = 0; j < n; j++)
			{
				exact += __builtin_parity(i & j) ? -x[j] : x[j];
				magnitude += fabs(x[j]);
			}
			if (!near(expected[i], exact, magnitude, n))
				return false;
		}
	}
	return true;
}

/* Numbers whose signs, sizes and kinds try every branch of a coder. */
static float
coded_float(int kind)
{
	static const float special[] = {
		0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f, 0x1p-149f, -0x1p-149f,
		0x1.fffffep-1f, -0x1.000002p0f
	};

	if (kind == 0)
		return random_float();
	return special[random_bits() % lengthof(special)];
}

/*
 * Levels as defined, sums near theirs, no byte of levels written beyond n;
 * one size at one place.
 */
static bool
encode_agrees(const TgKernels *kernels, const float *w, const float *c, int n,
			  int bits, float threshold, Place place)
{
	float	   *w_span = span_of(0, w, n * sizeof(float), place);
	float	   *c_span = span_of(1, c, n * sizeof(float), place);
	uint8	   *levels = span(2, n + 1, place);
	double		exact_xw = 0;
	double		exact_xc = 0;
	double		magnitude_xc = 0;
	float		xw;
	float		xc;
	bool		good = true;

	/* Where an unreadable page follows, it guards the end. */
	if (place == PLACE_END)
		levels++;
	else
		levels[n] = 0xA5;
	kernels->encode(w_span, c_span, n, bits, threshold, levels, &xw, &xc);
	for (int i = 0; i < n; i++)
	{
		bool		outer = bits == 2 && fabsf(w[i]) > threshold;
		double		size = bits == 1 ? 1 : outer ? 1.5 : 0.5;
		double		x = w[i] >= 0 ? size : -size;

		good = good && levels[i] == (bits == 1 ? (x + 1) / 2 : x + 1.5);
		exact_xw += fabs((double) w[i]) * size;
		exact_xc += x * c[i];
		magnitude_xc += fabs(x * c[i]);
	}
	good = good && (place == PLACE_END || levels[n] == 0xA5) &&
		near(xw, exact_xw, exact_xw, n + 1) && near(xc, exact_xc, magnitude_xc, n + 1);
	if (!good)
		diag("%s: codes of %d differ, %d bits, place %d", kernels->name, n, bits, place);
	return good;
}

static bool
test_encode(const TgKernels *kernels, int bits)
{
	static float w[MAX_SIZE];
	static float c[MAX_SIZE];

	for (int s = 0; s < (int) lengthof(sizes); s++)
	{
		int			n = sizes[s];

		for (int kind = 0; kind < 2; kind++)
		{
			for (int i = 0; i < n; i++)
			{
				w[i] = coded_float(kind);
				c[i] = random_float();
			}
			for (Place place = 0; place < PLACES; place++)
			{
				if (!encode_agrees(kernels, w, c, n, bits, 0.5f, place) ||
					!encode_agrees(kernels, w, c, n, bits, 0.0f, place))
					return false;
			}
		}
	}
	return true;
}

/* One element alone is coded and counted, wherever it stands. */
static bool
test_encode_positions(const TgKernels *kernels)
{
	for (int n = 1; n <= 70; n++)
	{
		float	   *w = span(0, n * sizeof(float), PLACE_END);
		float	   *c = span(1, n * sizeof(float), PLACE_END);
		uint8	   *levels = span(2, n, PLACE_END);

		memset(w, 0, n * sizeof(float));
		memset(c, 0, n * sizeof(float));
		for (int i = 0; i < n; i++)
		{
			float		xw;
			float		xc;
			bool		good;

			w[i] = -2;
			c[i] = 4;
			kernels->encode(w, c, n, 1, 0, levels, &xw, &xc);
			good = levels[i] == 0 && xw == 2 && xc == -4;
			kernels->encode(w, c, n, 2, 1, levels, &xw, &xc);
			good = good && levels[i] == 0 && xw == 3 && xc == -6;
			kernels->encode(w, c, n, 2, 2, levels, &xw, &xc);
			good = good && levels[i] == 1 && xw == 1 && xc == -2;

			/* A threshold that is no number is one that nothing exceeds. */
			kernels->encode(w, c, n, 2, NAN, levels, &xw, &xc);
			good = good && levels[i] == 1 && xw == 1 && xc == -2;

			w[i] = INFINITY;
			kernels->encode(w, c, n, 1, 0, levels, &xw, &xc);
			good = good && levels[i] == 1 && xw == INFINITY && xc == 4;
			kernels->encode(w, c, n, 2, INFINITY, levels, &xw, &xc);
			good = good && levels[i] == 2 && xw == INFINITY && xc == 2;

			w[i] = random_bits() % 2 ? NAN : -NAN;
			kernels->encode(w, c, n, 1, 0, levels, &xw, &xc);
			good = good && levels[i] == 0 && isnan(xw) && xc == -4;
			kernels->encode(w, c, n, 2, 0, levels, &xw, &xc);
			good = good && levels[i] == 1 && isnan(xw) && xc == -2;

			for (int j = 0; j < n; j++)
				good = good && (j == i || levels[j] == 2);
			if (!good)
			{
				diag("element %d of %d", i, n);
				return false;
			}
			w[i] = 0;
			c[i] = 0;
		}
	}
	return true;
}

/* Total and minimum near theirs, the range to the last bit. */
static bool
range_agrees(const TgKernels *kernels, const float *x, int n, Place place)
{
	float	   *query = span_of(0, x, n * sizeof(float), place);
	double		exact_total = 0;
	double		exact_minimum = 0;
	double		magnitude = 0;
	float		exact_range = 0;
	float		total;
	float		minimum;
	float		range;

	for (int i = 0; i < n; i += TG_GROUP_DIMS)
	{
		float		sizes_of_group[TG_GROUP_DIMS] = {0};

		for (int j = i; j < Min(i + TG_GROUP_DIMS, n); j++)
		{
			if (isnan(x[j]))
				continue;
			exact_total += x[j];
			exact_minimum += Min(x[j], 0);
			magnitude += fabs(x[j]);
			sizes_of_group[j - i] = fabsf(x[j]);
		}
		exact_range = Max(exact_range, (sizes_of_group[0] + sizes_of_group[1]) +
						  (sizes_of_group[2] + sizes_of_group[3]));
	}
	kernels->table_range(query, n, &total, &minimum, &range);
	if (near(total, exact_total, magnitude, n + 1) &&
		near(minimum, exact_minimum, -exact_minimum, n + 1) &&
		same_float(range, exact_range))
		return true;
	diag("%s: range of %d is %.9g, expected %.9g, place %d", kernels->name, n,
		 range, exact_range, place);
	return false;
}

static bool
test_table_range(const TgKernels *kernels)
{
	static float x[MAX_SIZE];

	for (int s = 0; s < (int) lengthof(sizes); s++)
	{
		int			n = sizes[s];

		for (int round = 0; round < 2; round++)
		{
			for (int i = 0; i < n; i++)
				x[i] = round == 1 && random_bits() % 8 == 0 ? NAN : random_float();
			for (Place place = 0; place < PLACES; place++)
			{
				if (!range_agrees(kernels, x, n, place))
					return false;
			}
		}
	}

	/* The largest group, wherever it stands and of whatever length. */
	for (int n = 1; n <= 70; n++)
	{
		memset(x, 0, sizeof(x));
		for (int i = 0; i < n; i++)
		{
			float		total;
			float		minimum;
			float		range;

			x[i] = i % 2 == 0 ? 3 : -3;
			if (!range_agrees(kernels, x, n, PLACE_END))
				return false;
			x[i] = -INFINITY;
			kernels->table_range(x, n, &total, &minimum, &range);
			if (total != -INFINITY || minimum != -INFINITY || range != INFINITY)
				return false;
			x[i] = 0;
		}
	}
	return true;
}

/* Bytes of the entries of n dimensions, with their padding. */
static Size
entries_size(int n)
{
	return (Size) (n + TG_TABLE_DIMS - 1) / TG_TABLE_DIMS * TG_TABLE_ALIGN * TG_GROUP_CODES;
}

/*
 * Fill a table at a place; every entry must be near its definition, the
 * padding zero, and all the same as the scalar body's.
 */
static bool
entries_agree(const TgKernels *kernels, const float *x, int n, float per_step, Place place)
{
	Size		size = entries_size(n);
	float	   *query = span_of(0, x, n * sizeof(float), place);
	uint8	   *entries = span(1, size, place);
	uint8	   *scalar = span(2, size, place);

	memset(entries, 0xA5, size);
	memset(scalar, 0x5A, size);
	kernels->table_entries(query, n, per_step, entries);
	tg_kernels_select("scalar");
	tg_kernels->table_entries(query, n, per_step, scalar);
	if (memcmp(entries, scalar, size) != 0)
	{
		diag("%s: entries of %d differ from the scalar body's, place %d",
			 kernels->name, n, place);
		return false;
	}

	for (Size e = 0; e < size; e++)
	{
		int			first = (int) (e / TG_GROUP_CODES) * TG_GROUP_DIMS;
		int			code = e % TG_GROUP_CODES;
		double		exact = 0;

		for (int i = first; i < Min(first + TG_GROUP_DIMS, n); i++)
		{
			double		part = (double) x[i] * per_step;

			exact += code >> (i - first) & 1 ? Max(part, 0) : Max(-part, 0);
		}
		if (first >= n ? entries[e] != 0 :
			fabs(entries[e] - exact) > 0.5 + 2.0 / 128 + 255 * 0x1p-22)
		{
			diag("%s: entry %d of %d is %d, expected %g", kernels->name, (int) e, n,
				 entries[e], exact);
			return false;
		}
	}
	return true;
}

static bool
test_table_entries(const TgKernels *kernels)
{
	static float x[MAX_SIZE];

	for (int s = 0; s < (int) lengthof(sizes); s++)
	{
		int			n = sizes[s];
		float		total;
		float		minimum;
		float		range;

		for (int round = 0; round < 4; round++)
		{
			/* Of all sizes alike, mostly small, integers, of one size. */
			for (int i = 0; i < n; i++)
			{
				x[i] = random_float();
				if (round == 1)
					x[i] *= x[i] * x[i] * x[i] * x[i];
				else if (round == 2)
					x[i] = (float) (int) (random_bits() % 129) - 64;
				else if (round == 3)
					x[i] = i / TG_GROUP_DIMS % 2 == 0 ? 1.0f : -1.0f;
			}
			kernels->table_range(x, n, &total, &minimum, &range);
			for (Place place = 0; place < PLACES; place++)
			{
				if (range > 0 &&
					!entries_agree(kernels, x, n, 1.0f / (range / 255.0f), place))
					return false;

				/* A multiple of 1/256 lies half way between two parts. */
				if (!entries_agree(kernels, x, n, 0.0f, place) ||
					(round == 2 && !entries_agree(kernels, x, n, 0x1p-8f, place)))
					return false;
			}
		}
	}
	return true;
}

/*
 * Whatever the query, entries are what the scalar body makes of it, and
 * nothing but them is written: in bounds they are by their type.
 */
static bool
test_table_special(const TgKernels *kernels)
{
	static const float steps[] = {0.0f, 1.0f, -1.0f, 0x1p-149f, 0x1p100f, 0x1.fffffep127f};
	float		x[70];
	uint8	   *beyond;

	for (int round = 0; round < 2000; round++)
	{
		int			n = round % (int) lengthof(x) + 1;
		float		per_step = steps[random_bits() % lengthof(steps)];
		Size		size = entries_size(n);
		float	   *query;
		uint8	   *entries = span(1, size, PLACE_END);
		uint8	   *scalar = span(2, size, PLACE_END);

		/* Infinities and NaNs among floats of all exponents. */
		for (int i = 0; i < n; i++)
			x[i] = float_of_bits(random_bits() % 8 == 0 ?
								 random_bits() | 0x7F800000 : random_bits());
		if (random_bits() % 4 == 0)
			x[random_bits() % n] = random_bits() % 2 ? INFINITY : -INFINITY;
		query = span_of(0, x, n * sizeof(float), PLACE_END);
		memset(entries, 0xA5, size);
		memset(scalar, 0x5A, size);
		kernels->table_entries(query, n, per_step, entries);
		tg_kernels_select("scalar");
		tg_kernels->table_entries(query, n, per_step, scalar);
		if (memcmp(entries, scalar, size) != 0)
		{
			diag("%d dimensions, per step %g", n, per_step);
			return false;
		}
		for (Size e = (Size) (n + TG_GROUP_DIMS - 1) / TG_GROUP_DIMS * TG_GROUP_CODES; e < size; e++)
		{
			if (entries[e] != 0)
				return false;
		}
	}

	/* A sum beyond 255 stays there, one below a half is none. */
	for (int i = 0; i < 8; i++)
		x[i] = i < 4 ? 200.0f : -0.1f;
	beyond = span(1, entries_size(8), PLACE_END);
	kernels->table_entries(x, 8, 1.0f, beyond);
	return beyond[0] == 0 && beyond[1] == 200 && beyond[3] == 255 &&
		beyond[15] == 255 && beyond[16] == 0 && beyond[31] == 0;
}

/* A block to be scored, and the sums that it must come to. */
typedef struct Block
{
	TgScoreTable table;
	uint8	   *codes;
	uint32		sums[TG_BLOCK_LANES];
} Block;

/* Fill spans 0 (entries) and 1 (codes); or-ed with worst, which is 0 or 255. */
static Block
make_block(int ngroups, int nplanes, uint8 worst_entry, uint8 worst_code, Place place)
{
	Block		block = {.table = {.ngroups = ngroups, .nplanes = nplanes}};
	int			padded = (ngroups + TG_TABLE_ALIGN - 1) / TG_TABLE_ALIGN * TG_TABLE_ALIGN;
	Size		codes_size = (Size) nplanes * ngroups * TG_GROUP_BYTES;

	block.table.entries = span(0, (Size) padded * TG_GROUP_CODES, place);
	memset(block.table.entries, 0, (Size) padded * TG_GROUP_CODES);
	for (int i = 0; i < ngroups * TG_GROUP_CODES; i++)
		block.table.entries[i] = (uint8) (random_bits() | worst_entry);
	block.codes = span(1, codes_size, place);
	for (Size i = 0; i < codes_size; i++)
		block.codes[i] = (uint8) (random_bits() | worst_code);

	for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
	{
		for (int plane = 0; plane < nplanes; plane++)
		{
			for (int group = 0; group < ngroups; group++)
			{
				uint8		byte = block.codes[(plane * ngroups + group) * TG_GROUP_BYTES + lane % 16];
				int			nibble = lane < 16 ? byte & 15 : byte >> 4;

				block.sums[lane] += (uint32) block.table.entries[group * TG_GROUP_CODES + nibble] << plane;
			}
		}
	}
	return block;
}

/* Score with a line that leaves the sums as they are: no rounding at all. */
static bool
sums_exact(const TgKernels *kernels, Block *block, Place place)
{
	float		zeros[TG_BLOCK_LANES] = {0};
	float		ones[TG_BLOCK_LANES];
	float		copy[TG_BLOCK_LANES];
	float	   *a;
	float	   *f;
	float	   *estimates = span(4, sizeof(copy), place);
	float		limit = (float) block->sums[random_bits() % TG_BLOCK_LANES];
	uint32		expected = 0;
	uint32		below;
	bool		good = true;

	for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
	{
		ones[lane] = 1;
		if ((float) block->sums[lane] < limit)
			expected |= (uint32) 1 << lane;
	}
	a = span_of(2, zeros, sizeof(zeros), place);
	f = span_of(3, ones, sizeof(ones), place);
	block->table.step = 1;
	block->table.offset = 0;

	below = kernels->score(&block->table, block->codes, a, f, 0, limit, estimates);
	memcpy(copy, estimates, sizeof(copy));
	for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
		good = good && copy[lane] == (float) block->sums[lane];
	if (!good || below != expected)
		diag("%d groups, %d planes, place %d: mask %08x, expected %08x",
			 block->table.ngroups, block->table.nplanes, place,
			 (unsigned) below, (unsigned) expected);
	return good && below == expected;
}

/* Numbers of groups: all small ones, those around flushes, those of users. */
static bool
test_score_sums(const TgKernels *kernels)
{
	static const int more[] = {
		83, 84, 85, 86, 96, 127, 128, 167, 168, 169, 170, 172, 196, 250, 252,
		255, 256, 257, 258, 260, 384, 511, 512, 513, 516, 1024, 1025, 4000, 4096
	};

	for (int i = 0; i < 80 + (int) lengthof(more); i++)
	{
		int			ngroups = i < 80 ? i + 1 : more[i - 80];

		for (int nplanes = 1; nplanes <= 2; nplanes++)
		{
			for (Place place = 0; place < PLACES; place++)
			{
				Block		block = make_block(ngroups, nplanes, 0, 0, place);

				if (!sums_exact(kernels, &block, place))
					return false;
			}
		}
	}
	return true;
}

static bool
test_score_worst(const TgKernels *kernels)
{
	static const int worst[] = {257, 1024, 4000};	/* 1028, 4096, 16000 dims */

	for (int i = 0; i < (int) lengthof(worst); i++)
	{
		for (int nplanes = 1; nplanes <= 2; nplanes++)
		{
			Block		block = make_block(worst[i], nplanes, 255, 0, PLACE_END);

			if (!sums_exact(kernels, &block, PLACE_END))
				return false;
			block = make_block(worst[i], nplanes, 255, 255, PLACE_END);
			if (!sums_exact(kernels, &block, PLACE_END))
				return false;
		}
	}
	return true;
}

/* The line of estimates, and a mask that goes by the estimates returned. */
static bool
test_score_estimates(const TgKernels *kernels)
{
	for (int round = 0; round < 500; round++)
	{
		int			ngroups = 1 + random_bits() % 200;
		Block		block = make_block(ngroups, 1 + round % 2, 0, 0, PLACE_END);
		float		a[TG_BLOCK_LANES];
		float		f[TG_BLOCK_LANES];
		float		estimates[TG_BLOCK_LANES];
		float		base = random_float() * 100;
		float		limit = random_float() * 300;
		uint32		below;

		block.table.step = random_float() * 0.01f;
		block.table.offset = random_float();
		for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
		{
			a[lane] = random_float() * 100;
			f[lane] = random_float() * 2;
		}
		below = kernels->score(&block.table, block.codes, a, f, base, limit, estimates);
		for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
		{
			double		product = (double) block.table.step * block.sums[lane];
			double		exact = (double) base + a[lane] + f[lane] * (product + block.table.offset);
			double		magnitude = fabs(base) + fabs(a[lane]) +
				fabs(f[lane]) * (fabs(product) + fabs(block.table.offset));

			if (!near(estimates[lane], exact, magnitude, 4) ||
				(below >> lane & 1) != (estimates[lane] < limit))
				return false;
		}
	}
	return true;
}

/* A block of NaNs but for a lane, infinite limits, and the sign of zero. */
static bool
test_score_special(const TgKernels *kernels)
{
	Block		block = make_block(32, 2, 0, 0, PLACE_END);
	float		a[TG_BLOCK_LANES];
	float		f[TG_BLOCK_LANES];
	float		estimates[TG_BLOCK_LANES];
	bool		good = true;

	block.table.step = 0;
	block.table.offset = 0;
	for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
	{
		for (int i = 0; i < TG_BLOCK_LANES; i++)
		{
			a[i] = i == lane || i % 2 == 0 ? 1 : NAN;
			f[i] = i == lane || i % 2 == 1 ? 1 : NAN;
		}
		good = good &&
			kernels->score(&block.table, block.codes, a, f, 0, 2, estimates) == (uint32) 1 << lane &&
			kernels->score(&block.table, block.codes, a, f, 0, INFINITY, estimates) == (uint32) 1 << lane &&
			kernels->score(&block.table, block.codes, a, f, 0, 1, estimates) == 0 &&
			kernels->score(&block.table, block.codes, a, f, 0, -INFINITY, estimates) == 0 &&
			kernels->score(&block.table, block.codes, a, f, 0, NAN, estimates) == 0 &&
			kernels->score(&block.table, block.codes, a, f, NAN, 2, estimates) == 0 &&
			kernels->score(&block.table, block.codes, a, f, -INFINITY, 2, estimates) == (uint32) 1 << lane &&
			kernels->score(&block.table, block.codes, a, f, INFINITY, INFINITY, estimates) == 0;
	}

	/* -0 is not below 0, nor 0 below -0. */
	for (int i = 0; i < TG_BLOCK_LANES; i++)
	{
		a[i] = -0.0f;
		f[i] = -1;
	}
	good = good && kernels->score(&block.table, block.codes, a, f, -0.0f, 0, estimates) == 0 &&
		signbit(estimates[0]) && signbit(estimates[31]) &&
		kernels->score(&block.table, block.codes, a, f, 0, -0.0f, estimates) == 0 &&
		kernels->score(&block.table, block.codes, a, f, 0, 0x1p-149f, estimates) == 0xFFFFFFFF;
	return good;
}

static void
test_selection(void)
{
	const TgKernels *best = NULL;
	const TgKernels *last = NULL;

	ok(tg_kernels != NULL && strcmp(tg_kernels->name, "scalar") == 0,
	   "the scalar body is in use before any is selected");
	for (int i = 0; tg_kernels_all[i] != NULL; i++)
	{
		bool		supported = tg_kernels_supported(tg_kernels_all[i]);

		last = tg_kernels_all[i];
		if (best == NULL && supported)
			best = last;
		ok(tg_kernels_select(last->name) == supported &&
		   (tg_kernels == last) == supported,
		   "%s: selected by name where the processor runs it", last->name);
	}
	ok(last == tg_kernels && strcmp(last->name, "scalar") == 0 && tg_kernels_supported(last),
	   "the scalar body is the last and always runs");
	ok(tg_kernels_select("auto") && tg_kernels == best, "auto selects the first that runs");
	ok(!tg_kernels_select("no such body") && !tg_kernels_select("") && tg_kernels == best,
	   "an unknown name changes nothing");
}

int
main(void)
{
	map_spans();
	test_selection();

	for (int i = 0; tg_kernels_all[i] != NULL; i++)
	{
		const TgKernels *kernels = tg_kernels_all[i];
		const char *name = kernels->name;

		if (!tg_kernels_supported(kernels))
		{
			ok(true, "%s # SKIP this processor cannot run it", name);
			continue;
		}
		ok(test_sums(kernels, 1), "%s: sums", name);
		ok(test_sums(kernels, 0x1p16f), "%s: sums of large numbers and infinite halves", name);
		ok(test_sums(kernels, 0x1p-20f), "%s: sums of denormal halves", name);
		ok(test_sums(kernels, 0x1p-70f), "%s: sums with denormal terms", name);
		ok(test_sums(kernels, 0x1p-130f), "%s: sums of denormal floats", name);
		ok(test_positions(kernels), "%s: every element counts once", name);
		ok(test_bytes(kernels), "%s: sums over bytes", name);
		ok(test_all_halves(kernels), "%s: all halves to float and back", name);
		ok(test_rounding(kernels), "%s: rounding to half at every boundary", name);
		ok(test_to_half(kernels), "%s: rounding to half, all exponents", name);
		ok(test_hadamard(kernels), "%s: hadamard", name);
		ok(test_encode(kernels, 1), "%s: codes of one bit", name);
		ok(test_encode(kernels, 2), "%s: codes of two bits", name);
		ok(test_encode_positions(kernels), "%s: every element is coded once", name);
		ok(test_table_range(kernels), "%s: range of a score table", name);
		ok(test_table_entries(kernels), "%s: entries of a score table", name);
		ok(test_table_special(kernels), "%s: entries of huge numbers and NaNs", name);
		ok(test_score_sums(kernels), "%s: score sums exactly", name);
		ok(test_score_worst(kernels), "%s: score does not overflow", name);
		ok(test_score_estimates(kernels), "%s: score estimates and mask", name);
		ok(test_score_special(kernels), "%s: score with NaN, infinity and -0", name);
	}
	return done_testing();
}
