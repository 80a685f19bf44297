/*-------------------------------------------------------------------------
 *
 * avx2.c
 *	  The kernels for x86-64 with AVX2, FMA and F16C.
 *
 * The code scan (FastScan, after Andre, Kermarrec and Le Scouarnec, "Cache
 * locality is not enough", VLDB 2015; the AVX-512 body works the same way):
 * the 16 table entries of a group fill half a register, and a byte shuffle
 * looks 16 nibbles up in it at once.  The entries found have 8 bits and
 * their sums need 16, but taking bytes apart for every group would cost more
 * than the look-up.  So a register of 16-bit words is added as it is to one
 * accumulator, and shifted right by 8 to another.  The second holds the sums
 * of the odd bytes.  The first holds those of the even bytes plus 256 times
 * those of the odd ones, modulo 2^16; taking away 256 times the second, again
 * modulo 2^16, leaves the sums of the even bytes, provided that these fit 16
 * bits.  After TG_SCAN_GROUPS groups they might not, so by then they have
 * been added to sums of 32 bits.
 *
 * Tails: the last, partial vector of a span is loaded so that it ends where
 * the span ends, and what has been seen before is masked out.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "kernel/bodies.h"

#ifdef TG_KERNEL_X86

#include <immintrin.h>

#define TARGET		__attribute__((target("avx2,fma,f16c")))

/* Floats of a vector, and groups of codes. */
#define WIDTH		8
#define STEP_GROUPS	2

TARGET TG_INLINE __m256
load(const void *span, int i, bool half)
{
	if (half)
		return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) ((const uint16 *) span + i)));
	return _mm256_loadu_ps((const float *) span + i);
}

/* The last vector of a span, with the elements before i as zero. */
TARGET TG_INLINE __m256
load_rest(const void *span, int i, int n, bool half)
{
	static const int32 masks[2 * WIDTH] = {
		0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1
	};
	uint8		padded[WIDTH * sizeof(float)] = {0};
	Size		size = half ? sizeof(uint16) : sizeof(float);
	__m256i		mask;

	if (n < WIDTH)
	{
		memcpy(padded, span, n * size);
		return load(padded, 0, half);
	}
	mask = _mm256_loadu_si256((const __m256i *) (masks + (n - i)));
	return _mm256_and_ps(load(span, n - WIDTH, half), _mm256_castsi256_ps(mask));
}

TARGET TG_INLINE __m256
add(__m256 sum, __m256 a, __m256 b, TgSum what)
{
	__m256		difference = _mm256_sub_ps(a, b);

	switch (what)
	{
		case TG_SUM_L2SQ:
			return _mm256_fmadd_ps(difference, difference, sum);
		case TG_SUM_DOT:
			return _mm256_fmadd_ps(a, b, sum);
		default:
			return _mm256_add_ps(sum, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), difference));
	}
}

TARGET TG_INLINE float
sum_vector(__m256 x)
{
	__m128		sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));

	sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
	sum = _mm_add_ss(sum, _mm_movehdup_ps(sum));
	return _mm_cvtss_f32(sum);
}

TARGET TG_INLINE float
sum_spans(const float *a, const void *b, int n, TgSum what, bool half)
{
	__m256		sum0 = _mm256_setzero_ps();
	__m256		sum1 = _mm256_setzero_ps();
	__m256		sum2 = _mm256_setzero_ps();
	__m256		sum3 = _mm256_setzero_ps();
	int			i;

	for (i = 0; i + 4 * WIDTH <= n; i += 4 * WIDTH)
	{
		sum0 = add(sum0, load(a, i, false), load(b, i, half), what);
		sum1 = add(sum1, load(a, i + WIDTH, false), load(b, i + WIDTH, half), what);
		sum2 = add(sum2, load(a, i + 2 * WIDTH, false), load(b, i + 2 * WIDTH, half), what);
		sum3 = add(sum3, load(a, i + 3 * WIDTH, false), load(b, i + 3 * WIDTH, half), what);
	}
	for (; i + WIDTH <= n; i += WIDTH)
		sum0 = add(sum0, load(a, i, false), load(b, i, half), what);
	if (i < n)
		sum1 = add(sum1, load_rest(a, i, n, false), load_rest(b, i, n, half), what);

	return sum_vector(_mm256_add_ps(_mm256_add_ps(sum0, sum1), _mm256_add_ps(sum2, sum3)));
}

TARGET static float
l2sq_avx2(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L2SQ, false);
}

TARGET static float
dot_avx2(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_DOT, false);
}

TARGET static float
l1_avx2(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L1, false);
}

TARGET static float
l2sq_half_avx2(const float *a, const uint16 *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L2SQ, true);
}

TARGET static float
dot_half_avx2(const float *a, const uint16 *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_DOT, true);
}

/*
 * Differences of bytes fit 7 bits without their sign, and so multiply as
 * unsigned and as signed ones.
 */
TARGET static uint32
l2sq_bytes_avx2(const int8 *a, const int8 *b, int n)
{
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i		sum = _mm256_setzero_si256();
	__m128i		half;

	for (int i = 0; i < n; i += sizeof(__m256i))
	{
		__m256i		d = _mm256_abs_epi8(_mm256_sub_epi8(_mm256_loadu_si256((const __m256i *) (a + i)),
														_mm256_loadu_si256((const __m256i *) (b + i))));

		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(d, d),
													  ones));
	}
	half = _mm_add_epi32(_mm256_castsi256_si128(sum),
						 _mm256_extracti128_si256(sum, 1));
	half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
	half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
	return (uint32) _mm_cvtsi128_si32(half);
}

TARGET static void
half_to_float_avx2(const uint16 *src, float *dst, int n)
{
	int			i;

	for (i = 0; i + WIDTH <= n; i += WIDTH)
		_mm256_storeu_ps(dst + i, load(src, i, true));
	for (; i < n; i++)
	{
		uint16		half;
		float		value;

		memcpy(&half, src + i, sizeof(half));
		value = tg_float_of_half(half);
		memcpy(dst + i, &value, sizeof(value));
	}
}

TARGET static void
float_to_half_avx2(const float *src, uint16 *dst, int n)
{
	int			i;

	for (i = 0; i + WIDTH <= n; i += WIDTH)
		_mm_storeu_si128((__m128i *) (dst + i),
						 _mm256_cvtps_ph(load(src, i, false),
										 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
	for (; i < n; i++)
	{
		float		value;
		uint16		half;

		memcpy(&value, src + i, sizeof(value));
		half = tg_half_of_float(value);
		memcpy(dst + i, &half, sizeof(half));
	}
}

/*
 * Butterflies of partners within a vector: every element is added to its
 * partner, the upper partner with its sign changed.
 */
TARGET TG_INLINE __m256
hadamard_vector(__m256 x)
{
	const __m256 sign1 = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
	const __m256 sign2 = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
	const __m256 sign4 = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);

	x = _mm256_fmadd_ps(x, sign1, _mm256_permute_ps(x, 0xB1));
	x = _mm256_fmadd_ps(x, sign2, _mm256_permute_ps(x, 0x4E));
	x = _mm256_fmadd_ps(x, sign4, _mm256_permute2f128_ps(x, x, 0x01));
	return x;
}

TARGET static void
hadamard_avx2(float *x, int n)
{
	int			h;

	if (n < WIDTH)
	{
		for (h = 1; h < n; h *= 2)
			tg_hadamard_level(x, n, h);
		return;
	}

	for (int i = 0; i < n; i += WIDTH)
		_mm256_storeu_ps(x + i, hadamard_vector(_mm256_loadu_ps(x + i)));

	/* Two levels in one pass over memory. */
	for (h = WIDTH; 4 * h <= n; h *= 4)
	{
		for (int i = 0; i < n; i += 4 * h)
		{
			for (float *p = x + i; p < x + i + h; p += WIDTH)
			{
				__m256		a = _mm256_loadu_ps(p);
				__m256		b = _mm256_loadu_ps(p + h);
				__m256		c = _mm256_loadu_ps(p + 2 * h);
				__m256		d = _mm256_loadu_ps(p + 3 * h);
				__m256		ab = _mm256_add_ps(a, b);
				__m256		cd = _mm256_add_ps(c, d);

				a = _mm256_sub_ps(a, b);
				c = _mm256_sub_ps(c, d);
				_mm256_storeu_ps(p, _mm256_add_ps(ab, cd));
				_mm256_storeu_ps(p + h, _mm256_add_ps(a, c));
				_mm256_storeu_ps(p + 2 * h, _mm256_sub_ps(ab, cd));
				_mm256_storeu_ps(p + 3 * h, _mm256_sub_ps(a, c));
			}
		}
	}
	if (h < n)
	{
		for (float *p = x; p < x + h; p += WIDTH)
		{
			__m256		a = _mm256_loadu_ps(p);
			__m256		b = _mm256_loadu_ps(p + h);

			_mm256_storeu_ps(p, _mm256_add_ps(a, b));
			_mm256_storeu_ps(p + h, _mm256_sub_ps(a, b));
		}
	}
}

/* Code the elements from the i-th on; returns levels of 32 bits. */
TARGET TG_INLINE __m256i
encode_vector(const float *w, const float *c, int i, int bits, float threshold,
			  __m256 *xw, __m256 *xc)
{
	const __m256 sign = _mm256_set1_ps(-0.0f);
	__m256		x = load(w, i, false);
	__m256		positive = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GE_OQ);
	__m256		level = _mm256_set1_ps(1.0f);
	__m256i		levels;

	if (bits == 2)
	{
		__m256		outer = _mm256_cmp_ps(_mm256_andnot_ps(sign, x),
										  _mm256_set1_ps(threshold), _CMP_GT_OQ);

		level = _mm256_blendv_ps(_mm256_set1_ps(0.5f), _mm256_set1_ps(1.5f), outer);
	}
	level = _mm256_xor_ps(level, _mm256_andnot_ps(positive, sign));
	*xw = _mm256_fmadd_ps(level, x, *xw);
	*xc = _mm256_fmadd_ps(level, load(c, i, false), *xc);

	if (bits == 1)
		levels = _mm256_srli_epi32(_mm256_castps_si256(positive), 31);
	else
		levels = _mm256_cvtps_epi32(_mm256_add_ps(level, _mm256_set1_ps(1.5f)));
	return levels;
}

TARGET TG_INLINE void
encode_bits(const float *w, const float *c, int n, int bits,
			float threshold, uint8 *levels, float *xw, float *xc)
{
	__m256		xw0 = _mm256_setzero_ps();
	__m256		xw1 = _mm256_setzero_ps();
	__m256		xc0 = _mm256_setzero_ps();
	__m256		xc1 = _mm256_setzero_ps();
	double		sum_xw;
	double		sum_xc;
	int			i;

	for (i = 0; i + 2 * WIDTH <= n; i += 2 * WIDTH)
	{
		__m256i		levels0 = encode_vector(w, c, i, bits, threshold, &xw0, &xc0);
		__m256i		levels1 = encode_vector(w, c, i + WIDTH, bits, threshold, &xw1, &xc1);
		__m256i		words = _mm256_permute4x64_epi64(_mm256_packs_epi32(levels0, levels1), 0xD8);

		_mm_storeu_si128((__m128i *) (levels + i),
						 _mm_packus_epi16(_mm256_castsi256_si128(words),
										  _mm256_extracti128_si256(words, 1)));
	}
	sum_xw = sum_vector(_mm256_add_ps(xw0, xw1));
	sum_xc = sum_vector(_mm256_add_ps(xc0, xc1));
	tg_encode_rest(w, c, i, n, bits, threshold, levels, &sum_xw, &sum_xc);
	*xw = (float) sum_xw;
	*xc = (float) sum_xc;
}

TARGET static void
encode_avx2(const float *w, const float *c, int n, int bits,
			float threshold, uint8 *levels, float *xw, float *xc)
{
	if (bits == 1)
		encode_bits(w, c, n, 1, threshold, levels, xw, xc);
	else
		encode_bits(w, c, n, 2, threshold, levels, xw, xc);
}

/* Elements from the i-th on, those from the n-th on as zero. */
TARGET TG_INLINE __m256
load_padded(const float *span, int i, int n)
{
	float		padded[WIDTH] = {0};

	if (i + WIDTH <= n)
		return load(span, i, false);
	if (i < n)
		memcpy(padded, span + i, (n - i) * sizeof(float));
	return load(padded, 0, false);
}

TARGET static void
table_range_avx2(const float *query, int n,
				 float *total, float *minimum, float *range)
{
	const __m256 zero = _mm256_setzero_ps();
	__m256		below = zero;
	__m256		above = zero;
	__m256		largest = zero;
	__m128		half;

	for (int i = 0; i < n; i += WIDTH)
	{
		__m256		x = load_padded(query, i, n);

		/* Of a NaN and zero, these return zero, the second. */
		__m256		low = _mm256_min_ps(x, zero);
		__m256		high = _mm256_max_ps(x, zero);
		__m256		sums = _mm256_sub_ps(high, low);

		below = _mm256_add_ps(below, low);
		above = _mm256_add_ps(above, high);
		sums = _mm256_add_ps(sums, _mm256_permute_ps(sums, 0xB1));
		sums = _mm256_add_ps(sums, _mm256_permute_ps(sums, 0x4E));
		largest = _mm256_max_ps(largest, sums);
	}
	*total = sum_vector(_mm256_add_ps(below, above));
	*minimum = sum_vector(below);
	half = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
	*range = _mm_cvtss_f32(half);
}

TARGET TG_INLINE __m256i
entry_shuffle(int which)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *) tg_entry_shuffles[which]));
}

/* See tg_entry_shuffles: two groups, one in each half of a vector. */
TARGET static void
table_entries_avx2(const float *query, int n, float per_step, uint8 *entries)
{
	for (int i = 0; i < n || i % TG_TABLE_DIMS != 0; i += WIDTH)
	{
		__m256		part = _mm256_mul_ps(load_padded(query, i, n), _mm256_set1_ps(per_step));
		__m256i		parts;
		__m256i		sums;
		__m256i		lower;
		__m256i		upper;

		part = _mm256_mul_ps(part, _mm256_set1_ps(TG_PART_ONE));
		part = _mm256_min_ps(part, _mm256_set1_ps(TG_PART_MAX));
		part = _mm256_max_ps(part, _mm256_set1_ps(-TG_PART_MAX));
		parts = _mm256_cvtps_epi32(part);
		parts = _mm256_packs_epi32(parts, _mm256_sub_epi32(_mm256_setzero_si256(), parts));
		parts = _mm256_max_epi16(parts, _mm256_setzero_si256());

		sums = _mm256_set1_epi16(TG_PART_ONE / 2);
		for (int dim = 0; dim < TG_GROUP_DIMS - 1; dim++)
			sums = _mm256_adds_epu16(sums, _mm256_shuffle_epi8(parts, entry_shuffle(dim)));
		lower = _mm256_adds_epu16(sums, _mm256_shuffle_epi8(parts, entry_shuffle(3)));
		upper = _mm256_adds_epu16(sums, _mm256_shuffle_epi8(parts, entry_shuffle(4)));
		lower = _mm256_srli_epi16(lower, TG_PART_SHIFT);
		upper = _mm256_srli_epi16(upper, TG_PART_SHIFT);
		_mm256_storeu_si256((__m256i *) (entries + (Size) i / TG_GROUP_DIMS * TG_GROUP_CODES),
							_mm256_packus_epi16(lower, upper));
	}
}

/* Two groups of codes. */
TARGET TG_INLINE __m256i
load_codes(const uint8 *codes, int group)
{
	return _mm256_loadu_si256((const __m256i *) (codes + (Size) group * TG_GROUP_BYTES));
}

/* The last group of codes, with zeros for what lies beyond. */
TARGET TG_INLINE __m256i
load_last(const uint8 *codes, int group)
{
	__m128i		last = _mm_loadu_si128((const __m128i *) (codes + (Size) group * TG_GROUP_BYTES));

	return _mm256_inserti128_si256(_mm256_setzero_si256(), last, 0);
}

TARGET TG_INLINE __m256i
load_entries(const TgScoreTable *table, int group)
{
	return _mm256_loadu_si256((const __m256i *) (table->entries + (Size) group * TG_GROUP_CODES));
}

/* 16-bit sums as told above; low and high are the nibbles. */
typedef struct Sums
{
	__m256i		low_even;
	__m256i		low_odd;
	__m256i		high_even;
	__m256i		high_odd;
} Sums;

TARGET TG_INLINE void
add_codes(Sums *sums, __m256i entries, __m256i codes)
{
	const __m256i nibble = _mm256_set1_epi8(0x0F);
	__m256i		low = _mm256_and_si256(codes, nibble);
	__m256i		high = _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble);

	low = _mm256_shuffle_epi8(entries, low);
	high = _mm256_shuffle_epi8(entries, high);
	sums->low_even = _mm256_add_epi16(sums->low_even, low);
	sums->low_odd = _mm256_add_epi16(sums->low_odd, _mm256_srli_epi16(low, 8));
	sums->high_even = _mm256_add_epi16(sums->high_even, high);
	sums->high_odd = _mm256_add_epi16(sums->high_odd, _mm256_srli_epi16(high, 8));
}

/* sums + 2 * twice */
TARGET TG_INLINE Sums
add_twice(Sums sums, Sums twice)
{
	sums.low_even = _mm256_add_epi16(sums.low_even, _mm256_slli_epi16(twice.low_even, 1));
	sums.low_odd = _mm256_add_epi16(sums.low_odd, _mm256_slli_epi16(twice.low_odd, 1));
	sums.high_even = _mm256_add_epi16(sums.high_even, _mm256_slli_epi16(twice.high_even, 1));
	sums.high_odd = _mm256_add_epi16(sums.high_odd, _mm256_slli_epi16(twice.high_odd, 1));
	return sums;
}

/* The sums of 16 lanes in order, the two halves of each vector added up. */
TARGET TG_INLINE __m256i
lane_sums(__m256i even, __m256i odd)
{
	__m256i		lane0;
	__m256i		lane8;

	even = _mm256_sub_epi16(even, _mm256_slli_epi16(odd, 8));
	lane0 = _mm256_unpacklo_epi16(even, odd);
	lane8 = _mm256_unpackhi_epi16(even, odd);
	return _mm256_add_epi16(_mm256_permute2x128_si256(lane0, lane8, 0x20),
							_mm256_permute2x128_si256(lane0, lane8, 0x31));
}

/* Add 16-bit sums to the 32-bit ones of the lower or upper 8 lanes. */
TARGET TG_INLINE __m256i
add_lower(__m256i sum, __m256i lanes)
{
	return _mm256_add_epi32(sum, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(lanes)));
}

TARGET TG_INLINE __m256i
add_upper(__m256i sum, __m256i lanes)
{
	return _mm256_add_epi32(sum, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(lanes, 1)));
}

/* From sums to estimates, for 8 lanes. */
TARGET TG_INLINE uint32
estimate(const TgScoreTable *table, __m256i sums, const float *a, const float *f,
		 float base, float limit, float *estimates)
{
	__m256		product = _mm256_fmadd_ps(_mm256_set1_ps(table->step),
										  _mm256_cvtepi32_ps(sums),
										  _mm256_set1_ps(table->offset));
	__m256		result = _mm256_fmadd_ps(_mm256_loadu_ps(f), product,
										 _mm256_loadu_ps(a));

	result = _mm256_add_ps(_mm256_set1_ps(base), result);
	_mm256_storeu_ps(estimates, result);
	return (uint32) _mm256_movemask_ps(_mm256_cmp_ps(result, _mm256_set1_ps(limit),
													 _CMP_LT_OQ));
}

TARGET TG_INLINE uint32
score_planes(const TgScoreTable *table, const uint8 *codes,
			 const float *a, const float *f,
			 float base, float limit, float *estimates, int nplanes)
{
	const uint8 *codes1 = codes + (Size) table->ngroups * TG_GROUP_BYTES;
	__m256i		sum0 = _mm256_setzero_si256();
	__m256i		sum8 = _mm256_setzero_si256();
	__m256i		sum16 = _mm256_setzero_si256();
	__m256i		sum24 = _mm256_setzero_si256();
	uint32		below;

	for (int group = 0; group < table->ngroups;)
	{
		int			end = Min(group + TG_SCAN_GROUPS(nplanes), table->ngroups);
		__m256i		zero = _mm256_setzero_si256();
		Sums		sums = {zero, zero, zero, zero};
		Sums		sums1 = {zero, zero, zero, zero};
		__m256i		lanes;

		for (; group + STEP_GROUPS <= end; group += STEP_GROUPS)
		{
			__m256i		entries = load_entries(table, group);

			add_codes(&sums, entries, load_codes(codes, group));
			if (nplanes == 2)
				add_codes(&sums1, entries, load_codes(codes1, group));
		}
		if (group < end)
		{
			__m256i		entries = load_entries(table, group);

			add_codes(&sums, entries, load_last(codes, group));
			if (nplanes == 2)
				add_codes(&sums1, entries, load_last(codes1, group));
			group = end;
		}
		if (nplanes == 2)
			sums = add_twice(sums, sums1);
		lanes = lane_sums(sums.low_even, sums.low_odd);
		sum0 = add_lower(sum0, lanes);
		sum8 = add_upper(sum8, lanes);
		lanes = lane_sums(sums.high_even, sums.high_odd);
		sum16 = add_lower(sum16, lanes);
		sum24 = add_upper(sum24, lanes);
	}

	below = estimate(table, sum0, a, f, base, limit, estimates);
	below |= estimate(table, sum8, a + 8, f + 8, base, limit, estimates + 8) << 8;
	below |= estimate(table, sum16, a + 16, f + 16, base, limit, estimates + 16) << 16;
	below |= estimate(table, sum24, a + 24, f + 24, base, limit, estimates + 24) << 24;
	return below;
}

TARGET static uint32
score_avx2(const TgScoreTable *table, const uint8 *codes,
		   const float *a, const float *f,
		   float base, float limit, float *estimates)
{
	if (table->nplanes == 1)
		return score_planes(table, codes, a, f, base, limit, estimates, 1);
	return score_planes(table, codes, a, f, base, limit, estimates, 2);
}

const TgKernels tg_kernels_avx2 = {
	.name = "avx2",
	.l2sq = l2sq_avx2,
	.dot = dot_avx2,
	.l1 = l1_avx2,
	.l2sq_half = l2sq_half_avx2,
	.dot_half = dot_half_avx2,
	.l2sq_bytes = l2sq_bytes_avx2,
	.half_to_float = half_to_float_avx2,
	.float_to_half = float_to_half_avx2,
	.hadamard = hadamard_avx2,
	.encode = encode_avx2,
	.table_range = table_range_avx2,
	.table_entries = table_entries_avx2,
	.score = score_avx2
};

#endif							/* TG_KERNEL_X86 */
