/*-------------------------------------------------------------------------
 *
 * avx512.c
 *	  The kernels for x86-64 with AVX-512: one body for its first generation
 *	  and one whose code scan uses VBMI and VNNI as well.
 *
 * Tails are masked loads, which touch no byte whose mask bit is clear.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "kernel/bodies.h"

#ifdef TG_KERNEL_X86

#include <immintrin.h>

#define TARGET		__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")))
#define TARGET_VNNI	__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vnni")))

/* Floats of a vector, and groups of codes. */
#define WIDTH		16
#define STEP_GROUPS	4

/* Elements from the i-th on, those whose mask bit is clear as zero. */
TARGET TG_INLINE __m512
load(const void *span, int i, __mmask16 mask, bool half)
{
	if (half)
		return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16 *) span + i));
	return _mm512_maskz_loadu_ps(mask, (const float *) span + i);
}

TARGET TG_INLINE __m512
add(__m512 sum, __m512 a, __m512 b, TgSum what)
{
	__m512		difference = _mm512_sub_ps(a, b);

	switch (what)
	{
		case TG_SUM_L2SQ:
			return _mm512_fmadd_ps(difference, difference, sum);
		case TG_SUM_DOT:
			return _mm512_fmadd_ps(a, b, sum);
		default:
			return _mm512_add_ps(sum, _mm512_abs_ps(difference));
	}
}

TARGET TG_INLINE float
sum_spans(const float *a, const void *b, int n, TgSum what, bool half)
{
	const __mmask16 all = 0xFFFF;
	__m512		sum0 = _mm512_setzero_ps();
	__m512		sum1 = _mm512_setzero_ps();
	__m512		sum2 = _mm512_setzero_ps();
	__m512		sum3 = _mm512_setzero_ps();
	int			i;

	for (i = 0; i + 4 * WIDTH <= n; i += 4 * WIDTH)
	{
		sum0 = add(sum0, load(a, i, all, false), load(b, i, all, half), what);
		sum1 = add(sum1, load(a, i + WIDTH, all, false),
				   load(b, i + WIDTH, all, half), what);
		sum2 = add(sum2, load(a, i + 2 * WIDTH, all, false),
				   load(b, i + 2 * WIDTH, all, half), what);
		sum3 = add(sum3, load(a, i + 3 * WIDTH, all, false),
				   load(b, i + 3 * WIDTH, all, half), what);
	}
	for (; i + WIDTH <= n; i += WIDTH)
		sum0 = add(sum0, load(a, i, all, false), load(b, i, all, half), what);
	if (i < n)
	{
		__mmask16	rest = (__mmask16) ((1 << (n - i)) - 1);

		sum1 = add(sum1, load(a, i, rest, false), load(b, i, rest, half), what);
	}
	return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum0, sum1),
											  _mm512_add_ps(sum2, sum3)));
}

TARGET static float
l2sq_avx512(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L2SQ, false);
}

TARGET static float
dot_avx512(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_DOT, false);
}

TARGET static float
l1_avx512(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L1, false);
}

TARGET static float
l2sq_half_avx512(const float *a, const uint16 *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L2SQ, true);
}

TARGET static float
dot_half_avx512(const float *a, const uint16 *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_DOT, true);
}

/*
 * Differences of bytes fit 7 bits without their sign, and so multiply as
 * unsigned and as signed ones.
 */
TARGET static uint32
l2sq_bytes_avx512(const int8 *a, const int8 *b, int n)
{
	const __m512i ones = _mm512_set1_epi16(1);
	__m512i		sum = _mm512_setzero_si512();

	for (int i = 0; i < n; i += sizeof(__m512i))
	{
		__m512i		d = _mm512_abs_epi8(_mm512_sub_epi8(_mm512_loadu_si512(a + i),
														_mm512_loadu_si512(b + i)));

		sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(d, d),
													  ones));
	}
	return _mm512_reduce_add_epi32(sum);
}

TARGET_VNNI static uint32
l2sq_bytes_avx512vnni(const int8 *a, const int8 *b, int n)
{
	__m512i		sum = _mm512_setzero_si512();

	for (int i = 0; i < n; i += sizeof(__m512i))
	{
		__m512i		d = _mm512_abs_epi8(_mm512_sub_epi8(_mm512_loadu_si512(a + i),
														_mm512_loadu_si512(b + i)));

		sum = _mm512_dpbusd_epi32(sum, d, d);
	}
	return _mm512_reduce_add_epi32(sum);
}

/* The mask of the elements from i on, where n is the end. */
TARGET TG_INLINE __mmask16
mask_to(int i, int n)
{
	return n - i >= WIDTH ? 0xFFFF : (__mmask16) ((1 << (n - i)) - 1);
}

TARGET static void
half_to_float_avx512(const uint16 *src, float *dst, int n)
{
	for (int i = 0; i < n; i += WIDTH)
	{
		__mmask16	mask = mask_to(i, n);

		_mm512_mask_storeu_ps(dst + i, mask, load(src, i, mask, true));
	}
}

TARGET static void
float_to_half_avx512(const float *src, uint16 *dst, int n)
{
	for (int i = 0; i < n; i += WIDTH)
	{
		__mmask16	mask = mask_to(i, n);

		_mm256_mask_storeu_epi16(dst + i, mask,
								 _mm512_cvtps_ph(load(src, i, mask, false),
												 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
	}
}

/*
 * Butterflies of partners within a vector: every element is added to its
 * partner, the upper partner with its sign changed.
 */
TARGET TG_INLINE __m512
hadamard_vector(__m512 x)
{
	const __m512 one = _mm512_set1_ps(1);
	const __m512 sign1 = _mm512_mask_sub_ps(one, 0xAAAA, _mm512_setzero_ps(), one);
	const __m512 sign2 = _mm512_mask_sub_ps(one, 0xCCCC, _mm512_setzero_ps(), one);
	const __m512 sign4 = _mm512_mask_sub_ps(one, 0xF0F0, _mm512_setzero_ps(), one);
	const __m512 sign8 = _mm512_mask_sub_ps(one, 0xFF00, _mm512_setzero_ps(), one);

	x = _mm512_fmadd_ps(x, sign1, _mm512_permute_ps(x, 0xB1));
	x = _mm512_fmadd_ps(x, sign2, _mm512_permute_ps(x, 0x4E));
	x = _mm512_fmadd_ps(x, sign4, _mm512_shuffle_f32x4(x, x, 0xB1));
	x = _mm512_fmadd_ps(x, sign8, _mm512_shuffle_f32x4(x, x, 0x4E));
	return x;
}

TARGET static void
hadamard_avx512(float *x, int n)
{
	int			h;

	if (n < WIDTH)
	{
		for (h = 1; h < n; h *= 2)
			tg_hadamard_level(x, n, h);
		return;
	}

	for (int i = 0; i < n; i += WIDTH)
		_mm512_storeu_ps(x + i, hadamard_vector(_mm512_loadu_ps(x + i)));

	/* Two levels in one pass over memory. */
	for (h = WIDTH; 4 * h <= n; h *= 4)
	{
		for (int i = 0; i < n; i += 4 * h)
		{
			for (float *p = x + i; p < x + i + h; p += WIDTH)
			{
				__m512		a = _mm512_loadu_ps(p);
				__m512		b = _mm512_loadu_ps(p + h);
				__m512		c = _mm512_loadu_ps(p + 2 * h);
				__m512		d = _mm512_loadu_ps(p + 3 * h);
				__m512		ab = _mm512_add_ps(a, b);
				__m512		cd = _mm512_add_ps(c, d);

				a = _mm512_sub_ps(a, b);
				c = _mm512_sub_ps(c, d);
				_mm512_storeu_ps(p, _mm512_add_ps(ab, cd));
				_mm512_storeu_ps(p + h, _mm512_add_ps(a, c));
				_mm512_storeu_ps(p + 2 * h, _mm512_sub_ps(ab, cd));
				_mm512_storeu_ps(p + 3 * h, _mm512_sub_ps(a, c));
			}
		}
	}
	if (h < n)
	{
		for (float *p = x; p < x + h; p += WIDTH)
		{
			__m512		a = _mm512_loadu_ps(p);
			__m512		b = _mm512_loadu_ps(p + h);

			_mm512_storeu_ps(p, _mm512_add_ps(a, b));
			_mm512_storeu_ps(p + h, _mm512_sub_ps(a, b));
		}
	}
}

/* Code the elements from the i-th on whose mask bit is set; returns levels. */
TARGET TG_INLINE __m128i
encode_vector(const float *w, const float *c, int i, __mmask16 mask, int bits,
			  float threshold, __m512 *xw, __m512 *xc)
{
	const __m128i one = _mm_set1_epi8(1);
	__m512		x = load(w, i, mask, false);
	__mmask16	positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ);
	__m512		level = _mm512_set1_ps(1.0f);
	__m128i		levels = _mm_maskz_mov_epi8(positive, one);

	if (bits == 2)
	{
		__mmask16	outer = _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(threshold),
											   _CMP_GT_OQ);

		level = _mm512_mask_blend_ps(outer, _mm512_set1_ps(0.5f), _mm512_set1_ps(1.5f));
		levels = _mm_xor_si128(_mm_add_epi8(levels, one), _mm_maskz_mov_epi8(outer, one));
	}
	level = _mm512_mask_sub_ps(level, _knot_mask16(positive), _mm512_setzero_ps(), level);
	*xw = _mm512_fmadd_ps(level, x, *xw);
	*xc = _mm512_fmadd_ps(level, load(c, i, mask, false), *xc);
	return levels;
}

TARGET TG_INLINE void
encode_bits(const float *w, const float *c, int n, int bits,
			float threshold, uint8 *levels, float *xw, float *xc)
{
	const __mmask16 all = 0xFFFF;
	__m512		xw0 = _mm512_setzero_ps();
	__m512		xw1 = _mm512_setzero_ps();
	__m512		xc0 = _mm512_setzero_ps();
	__m512		xc1 = _mm512_setzero_ps();
	int			i;

	for (i = 0; i + 2 * WIDTH <= n; i += 2 * WIDTH)
	{
		_mm_storeu_si128((__m128i *) (levels + i),
						 encode_vector(w, c, i, all, bits, threshold, &xw0, &xc0));
		_mm_storeu_si128((__m128i *) (levels + i + WIDTH),
						 encode_vector(w, c, i + WIDTH, all, bits, threshold, &xw1, &xc1));
	}
	for (; i < n; i += WIDTH)
	{
		__mmask16	mask = mask_to(i, n);

		_mm_mask_storeu_epi8(levels + i, mask,
							 encode_vector(w, c, i, mask, bits, threshold, &xw0, &xc0));
	}
	*xw = _mm512_reduce_add_ps(_mm512_add_ps(xw0, xw1));
	*xc = _mm512_reduce_add_ps(_mm512_add_ps(xc0, xc1));
}

TARGET static void
encode_avx512(const float *w, const float *c, int n, int bits,
			  float threshold, uint8 *levels, float *xw, float *xc)
{
	if (bits == 1)
		encode_bits(w, c, n, 1, threshold, levels, xw, xc);
	else
		encode_bits(w, c, n, 2, threshold, levels, xw, xc);
}

TARGET static void
table_range_avx512(const float *query, int n,
				   float *total, float *minimum, float *range)
{
	const __m512 zero = _mm512_setzero_ps();
	__m512		below = zero;
	__m512		above = zero;
	__m512		largest = zero;

	for (int i = 0; i < n; i += WIDTH)
	{
		__m512		x = load(query, i, mask_to(i, n), false);

		/* Of a NaN and zero, these return zero, the second. */
		__m512		low = _mm512_min_ps(x, zero);
		__m512		high = _mm512_max_ps(x, zero);
		__m512		sums = _mm512_sub_ps(high, low);

		below = _mm512_add_ps(below, low);
		above = _mm512_add_ps(above, high);
		sums = _mm512_add_ps(sums, _mm512_permute_ps(sums, 0xB1));
		sums = _mm512_add_ps(sums, _mm512_permute_ps(sums, 0x4E));
		largest = _mm512_max_ps(largest, sums);
	}
	*total = _mm512_reduce_add_ps(_mm512_add_ps(below, above));
	*minimum = _mm512_reduce_add_ps(below);
	*range = _mm512_reduce_max_ps(largest);
}

TARGET TG_INLINE __m512i
entry_shuffle(int which)
{
	return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *) tg_entry_shuffles[which]));
}

/*
 * See tg_entry_shuffles: four groups, one in each quarter of a vector, which
 * is as many as a table is padded to.
 */
TARGET static void
table_entries_avx512(const float *query, int n, float per_step, uint8 *entries)
{
	for (int i = 0; i < n; i += TG_TABLE_DIMS)
	{
		__m512		part = _mm512_mul_ps(load(query, i, mask_to(i, n), false),
										 _mm512_set1_ps(per_step));
		__m512i		parts;
		__m512i		sums;
		__m512i		lower;
		__m512i		upper;

		part = _mm512_mul_ps(part, _mm512_set1_ps(TG_PART_ONE));
		part = _mm512_min_ps(part, _mm512_set1_ps(TG_PART_MAX));
		part = _mm512_max_ps(part, _mm512_set1_ps(-TG_PART_MAX));
		parts = _mm512_cvtps_epi32(part);
		parts = _mm512_packs_epi32(parts, _mm512_sub_epi32(_mm512_setzero_si512(), parts));
		parts = _mm512_max_epi16(parts, _mm512_setzero_si512());

		sums = _mm512_set1_epi16(TG_PART_ONE / 2);
		for (int dim = 0; dim < TG_GROUP_DIMS - 1; dim++)
			sums = _mm512_adds_epu16(sums, _mm512_shuffle_epi8(parts, entry_shuffle(dim)));
		lower = _mm512_adds_epu16(sums, _mm512_shuffle_epi8(parts, entry_shuffle(3)));
		upper = _mm512_adds_epu16(sums, _mm512_shuffle_epi8(parts, entry_shuffle(4)));
		lower = _mm512_srli_epi16(lower, TG_PART_SHIFT);
		upper = _mm512_srli_epi16(upper, TG_PART_SHIFT);
		_mm512_storeu_si512(entries + (Size) i / TG_GROUP_DIMS * TG_GROUP_CODES,
							_mm512_packus_epi16(lower, upper));
	}
}

/* Four groups of codes. */
TARGET TG_INLINE __m512i
load_codes(const uint8 *codes, int group)
{
	return _mm512_loadu_si512(codes + (Size) group * TG_GROUP_BYTES);
}

/* The last one to three groups of codes, with zeros for what lies beyond. */
TARGET TG_INLINE __m512i
load_rest(const uint8 *codes, int group, int ngroups)
{
	/* Two quadwords a group. */
	__mmask8	mask = (__mmask8) ((1 << (2 * (ngroups - group))) - 1);

	return _mm512_maskz_loadu_epi64(mask, codes + (Size) group * TG_GROUP_BYTES);
}

TARGET TG_INLINE __m512i
load_entries(const TgScoreTable *table, int group)
{
	return _mm512_loadu_si512(table->entries + (Size) group * TG_GROUP_CODES);
}

/* From sums to estimates, for 16 lanes. */
TARGET TG_INLINE __mmask16
estimate(const TgScoreTable *table, __m512i sums, const float *a, const float *f,
		 float base, float limit, float *estimates)
{
	__m512		product = _mm512_fmadd_ps(_mm512_set1_ps(table->step),
										  _mm512_cvtepi32_ps(sums),
										  _mm512_set1_ps(table->offset));
	__m512		result = _mm512_fmadd_ps(_mm512_loadu_ps(f), product,
										 _mm512_loadu_ps(a));

	result = _mm512_add_ps(_mm512_set1_ps(base), result);
	_mm512_storeu_ps(estimates, result);
	return _mm512_cmp_ps_mask(result, _mm512_set1_ps(limit), _CMP_LT_OQ);
}

/* 16-bit sums, see avx2.c; low and high are the nibbles. */
typedef struct Sums
{
	__m512i		low_even;
	__m512i		low_odd;
	__m512i		high_even;
	__m512i		high_odd;
} Sums;

TARGET TG_INLINE void
add_codes(Sums *sums, __m512i entries, __m512i codes)
{
	const __m512i nibble = _mm512_set1_epi8(0x0F);
	__m512i		low = _mm512_and_si512(codes, nibble);
	__m512i		high = _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble);

	low = _mm512_shuffle_epi8(entries, low);
	high = _mm512_shuffle_epi8(entries, high);
	sums->low_even = _mm512_add_epi16(sums->low_even, low);
	sums->low_odd = _mm512_add_epi16(sums->low_odd, _mm512_srli_epi16(low, 8));
	sums->high_even = _mm512_add_epi16(sums->high_even, high);
	sums->high_odd = _mm512_add_epi16(sums->high_odd, _mm512_srli_epi16(high, 8));
}

/* sums + 2 * twice */
TARGET TG_INLINE Sums
add_twice(Sums sums, Sums twice)
{
	sums.low_even = _mm512_add_epi16(sums.low_even, _mm512_slli_epi16(twice.low_even, 1));
	sums.low_odd = _mm512_add_epi16(sums.low_odd, _mm512_slli_epi16(twice.low_odd, 1));
	sums.high_even = _mm512_add_epi16(sums.high_even, _mm512_slli_epi16(twice.high_even, 1));
	sums.high_odd = _mm512_add_epi16(sums.high_odd, _mm512_slli_epi16(twice.high_odd, 1));
	return sums;
}

/* The sums of the 32 lanes in order, the four parts of each vector added up. */
TARGET TG_INLINE __m512i
lane_sums(Sums sums)
{
	__m512i		low_even = _mm512_sub_epi16(sums.low_even, _mm512_slli_epi16(sums.low_odd, 8));
	__m512i		high_even = _mm512_sub_epi16(sums.high_even, _mm512_slli_epi16(sums.high_odd, 8));
	__m512i		lane0 = _mm512_unpacklo_epi16(low_even, sums.low_odd);
	__m512i		lane8 = _mm512_unpackhi_epi16(low_even, sums.low_odd);
	__m512i		lane16 = _mm512_unpacklo_epi16(high_even, sums.high_odd);
	__m512i		lane24 = _mm512_unpackhi_epi16(high_even, sums.high_odd);
	__m512i		low = _mm512_add_epi16(_mm512_shuffle_i32x4(lane0, lane8, 0x44),
									   _mm512_shuffle_i32x4(lane0, lane8, 0xEE));
	__m512i		high = _mm512_add_epi16(_mm512_shuffle_i32x4(lane16, lane24, 0x44),
										_mm512_shuffle_i32x4(lane16, lane24, 0xEE));

	return _mm512_add_epi16(_mm512_shuffle_i32x4(low, high, 0x88),
							_mm512_shuffle_i32x4(low, high, 0xDD));
}

TARGET TG_INLINE uint32
score_planes(const TgScoreTable *table, const uint8 *codes,
			 const float *a, const float *f,
			 float base, float limit, float *estimates, int nplanes)
{
	const uint8 *codes1 = codes + (Size) table->ngroups * TG_GROUP_BYTES;
	__m512i		low = _mm512_setzero_si512();
	__m512i		high = _mm512_setzero_si512();
	uint32		below;

	for (int group = 0; group < table->ngroups;)
	{
		int			end = Min(group + TG_SCAN_GROUPS(nplanes), table->ngroups);
		__m512i		zero = _mm512_setzero_si512();
		Sums		sums = {zero, zero, zero, zero};
		Sums		sums1 = {zero, zero, zero, zero};
		__m512i		lanes;

		for (; group + STEP_GROUPS <= end; group += STEP_GROUPS)
		{
			__m512i		entries = load_entries(table, group);

			add_codes(&sums, entries, load_codes(codes, group));
			if (nplanes == 2)
				add_codes(&sums1, entries, load_codes(codes1, group));
		}
		if (group < end)
		{
			__m512i		entries = load_entries(table, group);

			add_codes(&sums, entries, load_rest(codes, group, end));
			if (nplanes == 2)
				add_codes(&sums1, entries, load_rest(codes1, group, end));
			group = end;
		}
		lanes = lane_sums(nplanes == 2 ? add_twice(sums, sums1) : sums);
		low = _mm512_add_epi32(low, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(lanes)));
		high = _mm512_add_epi32(high, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(lanes, 1)));
	}

	below = estimate(table, low, a, f, base, limit, estimates);
	below |= (uint32) estimate(table, high, a + WIDTH, f + WIDTH,
							   base, limit, estimates + WIDTH) << WIDTH;
	return below;
}

TARGET static uint32
score_avx512(const TgScoreTable *table, const uint8 *codes,
			 const float *a, const float *f,
			 float base, float limit, float *estimates)
{
	if (table->nplanes == 1)
		return score_planes(table, codes, a, f, base, limit, estimates, 1);
	return score_planes(table, codes, a, f, base, limit, estimates, 2);
}

/*
 * With VBMI the tables of four groups are one table of 64 bytes, and with
 * VNNI four neighbouring bytes are added to a 32-bit sum at once.  So bring
 * the four groups of a lane together first, byte 4 * lane + group: then the
 * sums need neither carries nor flushes and end up in the order of lanes.
 */
TARGET_VNNI TG_INLINE void
add_codes_vnni(__m512i *low, __m512i *high, __m512i entries, __m512i codes, int weight)
{
	const __m512i nibble = _mm512_set1_epi8(0x0F);
	const __m512i table_of_group = _mm512_set1_epi32(0x30201000);
	const __m512i lane = _mm512_set_epi32(0x0F0F0F0F, 0x0E0E0E0E, 0x0D0D0D0D, 0x0C0C0C0C,
										  0x0B0B0B0B, 0x0A0A0A0A, 0x09090909, 0x08080808,
										  0x07070707, 0x06060606, 0x05050505, 0x04040404,
										  0x03030303, 0x02020202, 0x01010101, 0x00000000);
	const __m512i by_lane = _mm512_or_si512(lane, table_of_group);
	const __m512i weights = _mm512_set1_epi8((char) weight);
	__m512i		lanes = _mm512_permutexvar_epi8(by_lane, codes);
	__m512i		lanes_high = _mm512_srli_epi16(lanes, 4);

	/* (nibble & lanes) | table_of_group */
	lanes = _mm512_ternarylogic_epi32(lanes, nibble, table_of_group, 0xEA);
	lanes_high = _mm512_ternarylogic_epi32(lanes_high, nibble, table_of_group, 0xEA);
	*low = _mm512_dpbusd_epi32(*low, _mm512_permutexvar_epi8(lanes, entries), weights);
	*high = _mm512_dpbusd_epi32(*high, _mm512_permutexvar_epi8(lanes_high, entries), weights);
}

TARGET_VNNI TG_INLINE uint32
score_planes_vnni(const TgScoreTable *table, const uint8 *codes,
				  const float *a, const float *f,
				  float base, float limit, float *estimates, int nplanes)
{
	const uint8 *codes1 = codes + (Size) table->ngroups * TG_GROUP_BYTES;
	__m512i		low = _mm512_setzero_si512();
	__m512i		high = _mm512_setzero_si512();
	__m512i		low1 = _mm512_setzero_si512();
	__m512i		high1 = _mm512_setzero_si512();
	int			group = 0;
	uint32		below;

	if (nplanes == 1)
	{
		/* Take turns, so that no addition has to wait for the one before. */
		for (; group + 2 * STEP_GROUPS <= table->ngroups; group += 2 * STEP_GROUPS)
		{
			int			next = group + STEP_GROUPS;

			add_codes_vnni(&low, &high, load_entries(table, group), load_codes(codes, group), 1);
			add_codes_vnni(&low1, &high1, load_entries(table, next), load_codes(codes, next), 1);
		}
	}
	for (; group + STEP_GROUPS <= table->ngroups; group += STEP_GROUPS)
	{
		__m512i		entries = load_entries(table, group);

		add_codes_vnni(&low, &high, entries, load_codes(codes, group), 1);
		if (nplanes == 2)
			add_codes_vnni(&low1, &high1, entries, load_codes(codes1, group), 2);
	}
	if (group < table->ngroups)
	{
		__m512i		entries = load_entries(table, group);

		add_codes_vnni(&low, &high, entries, load_rest(codes, group, table->ngroups), 1);
		if (nplanes == 2)
			add_codes_vnni(&low1, &high1, entries, load_rest(codes1, group, table->ngroups), 2);
	}
	low = _mm512_add_epi32(low, low1);
	high = _mm512_add_epi32(high, high1);

	below = estimate(table, low, a, f, base, limit, estimates);
	below |= (uint32) estimate(table, high, a + WIDTH, f + WIDTH,
							   base, limit, estimates + WIDTH) << WIDTH;
	return below;
}

TARGET_VNNI static uint32
score_avx512vnni(const TgScoreTable *table, const uint8 *codes,
				 const float *a, const float *f,
				 float base, float limit, float *estimates)
{
	if (table->nplanes == 1)
		return score_planes_vnni(table, codes, a, f, base, limit, estimates, 1);
	return score_planes_vnni(table, codes, a, f, base, limit, estimates, 2);
}

const TgKernels tg_kernels_avx512 = {
	.name = "avx512",
	.l2sq = l2sq_avx512,
	.dot = dot_avx512,
	.l1 = l1_avx512,
	.l2sq_half = l2sq_half_avx512,
	.dot_half = dot_half_avx512,
	.l2sq_bytes = l2sq_bytes_avx512,
	.half_to_float = half_to_float_avx512,
	.float_to_half = float_to_half_avx512,
	.hadamard = hadamard_avx512,
	.encode = encode_avx512,
	.table_range = table_range_avx512,
	.table_entries = table_entries_avx512,
	.score = score_avx512
};

const TgKernels tg_kernels_avx512vnni = {
	.name = "avx512vnni",
	.l2sq = l2sq_avx512,
	.dot = dot_avx512,
	.l1 = l1_avx512,
	.l2sq_half = l2sq_half_avx512,
	.dot_half = dot_half_avx512,
	.l2sq_bytes = l2sq_bytes_avx512vnni,
	.half_to_float = half_to_float_avx512,
	.float_to_half = float_to_half_avx512,
	.hadamard = hadamard_avx512,
	.encode = encode_avx512,
	.table_range = table_range_avx512,
	.table_entries = table_entries_avx512,
	.score = score_avx512vnni
};

#endif							/* TG_KERNEL_X86 */
