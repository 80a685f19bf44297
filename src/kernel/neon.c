/*-------------------------------------------------------------------------
 *
 * neon.c
 *	  The kernels for 64-bit ARM.
 *
 * The code scan is that of avx2.c, only simpler: adding bytes to 16-bit sums
 * is one instruction here.  Tails are those of avx2.c, too.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "kernel/bodies.h"

#ifdef TG_KERNEL_NEON

#include <arm_neon.h>

/* Floats of a vector. */
#define WIDTH		4

/* Loads and stores go by bytes, for spans of any alignment. */
TG_INLINE float32x4_t
load(const void *span, int i, bool half)
{
	if (half)
	{
		const uint16 *from = (const uint16 *) span + i;

		return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8((const uint8 *) from)));
	}
	return vreinterpretq_f32_u8(vld1q_u8((const uint8 *) ((const float *) span + i)));
}

TG_INLINE void
store(float *span, int i, float32x4_t value)
{
	vst1q_u8((uint8 *) (span + i), vreinterpretq_u8_f32(value));
}

/* The last vector of a span, with the elements before i as zero. */
TG_INLINE float32x4_t
load_rest(const void *span, int i, int n, bool half)
{
	static const uint32 masks[2 * WIDTH] = {0, 0, 0, 0, ~0U, ~0U, ~0U, ~0U};
	uint8		padded[WIDTH * sizeof(float)] = {0};
	Size		size = half ? sizeof(uint16) : sizeof(float);
	uint32x4_t	last;

	if (n < WIDTH)
	{
		memcpy(padded, span, n * size);
		return load(padded, 0, half);
	}
	last = vreinterpretq_u32_f32(load(span, n - WIDTH, half));
	return vreinterpretq_f32_u32(vandq_u32(last, vld1q_u32(masks + (n - i))));
}

TG_INLINE float32x4_t
add(float32x4_t sum, float32x4_t a, float32x4_t b, TgSum what)
{
	float32x4_t difference = vsubq_f32(a, b);

	switch (what)
	{
		case TG_SUM_L2SQ:
			return vfmaq_f32(sum, difference, difference);
		case TG_SUM_DOT:
			return vfmaq_f32(sum, a, b);
		default:
			return vaddq_f32(sum, vabsq_f32(difference));
	}
}

TG_INLINE float
sum_spans(const float *a, const void *b, int n, TgSum what, bool half)
{
	float32x4_t sum0 = vdupq_n_f32(0);
	float32x4_t sum1 = vdupq_n_f32(0);
	float32x4_t sum2 = vdupq_n_f32(0);
	float32x4_t sum3 = vdupq_n_f32(0);
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
	return vaddvq_f32(vaddq_f32(vaddq_f32(sum0, sum1), vaddq_f32(sum2, sum3)));
}

static float
l2sq_neon(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L2SQ, false);
}

static float
dot_neon(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_DOT, false);
}

static float
l1_neon(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L1, false);
}

static float
l2sq_half_neon(const float *a, const uint16 *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L2SQ, true);
}

static float
dot_half_neon(const float *a, const uint16 *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_DOT, true);
}

static uint32
l2sq_bytes_neon(const int8 *a, const int8 *b, int n)
{
	uint32x4_t	sum = vdupq_n_u32(0);

	for (int i = 0; i < n; i += sizeof(int8x16_t))
	{
		uint8x16_t	d = vreinterpretq_u8_s8(vabdq_s8(vld1q_s8(a + i), vld1q_s8(b + i)));

		sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(d), vget_low_u8(d)));
		sum = vpadalq_u16(sum, vmull_high_u8(d, d));
	}
	return vaddvq_u32(sum);
}

static void
half_to_float_neon(const uint16 *src, float *dst, int n)
{
	int			i;

	for (i = 0; i + WIDTH <= n; i += WIDTH)
		store(dst, i, load(src, i, true));
	for (; i < n; i++)
	{
		uint16		half;
		float		value;

		memcpy(&half, src + i, sizeof(half));
		value = tg_float_of_half(half);
		memcpy(dst + i, &value, sizeof(value));
	}
}

static void
float_to_half_neon(const float *src, uint16 *dst, int n)
{
	int			i;

	for (i = 0; i + WIDTH <= n; i += WIDTH)
		vst1_u8((uint8 *) (dst + i),
				vreinterpret_u8_f16(vcvt_f16_f32(load(src, i, false))));
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
TG_INLINE float32x4_t
hadamard_vector(float32x4_t x)
{
	const float32x4_t sign1 = {1, -1, 1, -1};
	const float32x4_t sign2 = {1, 1, -1, -1};

	x = vfmaq_f32(vrev64q_f32(x), x, sign1);
	return vfmaq_f32(vextq_f32(x, x, 2), x, sign2);
}

static void
hadamard_neon(float *x, int n)
{
	int			h;

	if (n < WIDTH)
	{
		for (h = 1; h < n; h *= 2)
			tg_hadamard_level(x, n, h);
		return;
	}

	for (int i = 0; i < n; i += WIDTH)
		store(x, i, hadamard_vector(load(x, i, false)));

	/* Two levels in one pass over memory. */
	for (h = WIDTH; 4 * h <= n; h *= 4)
	{
		for (int i = 0; i < n; i += 4 * h)
		{
			for (int j = i; j < i + h; j += WIDTH)
			{
				float32x4_t a = load(x, j, false);
				float32x4_t b = load(x, j + h, false);
				float32x4_t c = load(x, j + 2 * h, false);
				float32x4_t d = load(x, j + 3 * h, false);
				float32x4_t ab = vaddq_f32(a, b);
				float32x4_t cd = vaddq_f32(c, d);

				a = vsubq_f32(a, b);
				c = vsubq_f32(c, d);
				store(x, j, vaddq_f32(ab, cd));
				store(x, j + h, vaddq_f32(a, c));
				store(x, j + 2 * h, vsubq_f32(ab, cd));
				store(x, j + 3 * h, vsubq_f32(a, c));
			}
		}
	}
	if (h < n)
	{
		for (int j = 0; j < h; j += WIDTH)
		{
			float32x4_t a = load(x, j, false);
			float32x4_t b = load(x, j + h, false);

			store(x, j, vaddq_f32(a, b));
			store(x, j + h, vsubq_f32(a, b));
		}
	}
}

/* Code the elements from the i-th on; returns levels of 16 bits. */
TG_INLINE uint16x4_t
encode_vector(const float *w, const float *c, int i, int bits, float threshold,
			  float32x4_t *xw, float32x4_t *xc)
{
	float32x4_t x = load(w, i, false);
	uint32x4_t	positive = vcgezq_f32(x);
	float32x4_t level = vdupq_n_f32(1.0f);
	uint32x4_t	levels;

	if (bits == 2)
	{
		uint32x4_t	outer = vcgtq_f32(vabsq_f32(x), vdupq_n_f32(threshold));

		level = vbslq_f32(outer, vdupq_n_f32(1.5f), vdupq_n_f32(0.5f));
	}
	level = vbslq_f32(positive, level, vnegq_f32(level));
	*xw = vfmaq_f32(*xw, level, x);
	*xc = vfmaq_f32(*xc, level, load(c, i, false));

	if (bits == 1)
		levels = vshrq_n_u32(positive, 31);
	else
		levels = vcvtq_u32_f32(vaddq_f32(level, vdupq_n_f32(1.5f)));
	return vmovn_u32(levels);
}

TG_INLINE void
encode_bits(const float *w, const float *c, int n, int bits,
			float threshold, uint8 *levels, float *xw, float *xc)
{
	float32x4_t xw0 = vdupq_n_f32(0);
	float32x4_t xw1 = vdupq_n_f32(0);
	float32x4_t xc0 = vdupq_n_f32(0);
	float32x4_t xc1 = vdupq_n_f32(0);
	double		sum_xw;
	double		sum_xc;
	int			i;

	for (i = 0; i + 2 * WIDTH <= n; i += 2 * WIDTH)
	{
		uint16x4_t	levels0 = encode_vector(w, c, i, bits, threshold, &xw0, &xc0);
		uint16x4_t	levels1 = encode_vector(w, c, i + WIDTH, bits, threshold, &xw1, &xc1);

		vst1_u8(levels + i, vmovn_u16(vcombine_u16(levels0, levels1)));
	}
	sum_xw = vaddvq_f32(vaddq_f32(xw0, xw1));
	sum_xc = vaddvq_f32(vaddq_f32(xc0, xc1));
	tg_encode_rest(w, c, i, n, bits, threshold, levels, &sum_xw, &sum_xc);
	*xw = (float) sum_xw;
	*xc = (float) sum_xc;
}

static void
encode_neon(const float *w, const float *c, int n, int bits,
			float threshold, uint8 *levels, float *xw, float *xc)
{
	if (bits == 1)
		encode_bits(w, c, n, 1, threshold, levels, xw, xc);
	else
		encode_bits(w, c, n, 2, threshold, levels, xw, xc);
}

/* Elements from the i-th on, those from the n-th on as zero. */
TG_INLINE float32x4_t
load_padded(const float *span, int i, int n)
{
	float		padded[WIDTH] = {0};

	if (i + WIDTH <= n)
		return load(span, i, false);
	if (i < n)
		memcpy(padded, span + i, (n - i) * sizeof(float));
	return load(padded, 0, false);
}

/* The elements for which keep is all ones, the others as zero. */
TG_INLINE float32x4_t
keep_only(float32x4_t x, uint32x4_t keep)
{
	return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), keep));
}

static void
table_range_neon(const float *query, int n,
				 float *total, float *minimum, float *range)
{
	float32x4_t below = vdupq_n_f32(0);
	float32x4_t above = vdupq_n_f32(0);
	float32x4_t largest = vdupq_n_f32(0);

	for (int i = 0; i < n; i += WIDTH)
	{
		float32x4_t x = load_padded(query, i, n);
		float32x4_t low = keep_only(x, vcltzq_f32(x));
		float32x4_t high = keep_only(x, vcgtzq_f32(x));
		float32x4_t sums = vsubq_f32(high, low);

		below = vaddq_f32(below, low);
		above = vaddq_f32(above, high);
		sums = vpaddq_f32(sums, sums);
		sums = vpaddq_f32(sums, sums);
		largest = vmaxq_f32(largest, sums);
	}
	*total = vaddvq_f32(vaddq_f32(below, above));
	*minimum = vaddvq_f32(below);
	*range = vmaxvq_f32(largest);
}

TG_INLINE uint16x8_t
shuffle_parts(int16x8_t parts, int which)
{
	return vreinterpretq_u16_u8(vqtbl1q_u8(vreinterpretq_u8_s16(parts),
										   vld1q_u8(tg_entry_shuffles[which])));
}

/* See tg_entry_shuffles: one group in a vector. */
static void
table_entries_neon(const float *query, int n, float per_step, uint8 *entries)
{
	const float32x4_t limit = vdupq_n_f32(TG_PART_MAX);

	for (int i = 0; i < n || i % TG_TABLE_DIMS != 0; i += WIDTH)
	{
		float32x4_t part = vmulq_n_f32(load_padded(query, i, n), per_step);
		int16x4_t	words;
		int16x8_t	parts;
		uint16x8_t	sums;
		uint16x8_t	lower;
		uint16x8_t	upper;

		part = vmulq_n_f32(part, TG_PART_ONE);
		/* A NaN becomes the limit, as in the other bodies. */
		part = vbslq_f32(vcltq_f32(part, limit), part, limit);
		part = vmaxq_f32(part, vnegq_f32(limit));
		words = vmovn_s32(vcvtnq_s32_f32(part));
		parts = vcombine_s16(words, vneg_s16(words));
		parts = vmaxq_s16(parts, vdupq_n_s16(0));

		sums = vdupq_n_u16(TG_PART_ONE / 2);
		for (int dim = 0; dim < TG_GROUP_DIMS - 1; dim++)
			sums = vqaddq_u16(sums, shuffle_parts(parts, dim));
		lower = vqaddq_u16(sums, shuffle_parts(parts, 3));
		upper = vqaddq_u16(sums, shuffle_parts(parts, 4));
		vst1q_u8(entries, vcombine_u8(vqshrn_n_u16(lower, TG_PART_SHIFT),
									  vqshrn_n_u16(upper, TG_PART_SHIFT)));
		entries += TG_GROUP_CODES;
	}
}

/* 16-bit sums of 8 lanes each, named by the first. */
typedef struct Sums
{
	uint16x8_t	lane0;
	uint16x8_t	lane8;
	uint16x8_t	lane16;
	uint16x8_t	lane24;
} Sums;

TG_INLINE void
add_codes(Sums *sums, uint8x16_t entries, uint8x16_t codes)
{
	uint8x16_t	low = vqtbl1q_u8(entries, vandq_u8(codes, vdupq_n_u8(0x0F)));
	uint8x16_t	high = vqtbl1q_u8(entries, vshrq_n_u8(codes, 4));

	sums->lane0 = vaddw_u8(sums->lane0, vget_low_u8(low));
	sums->lane8 = vaddw_high_u8(sums->lane8, low);
	sums->lane16 = vaddw_u8(sums->lane16, vget_low_u8(high));
	sums->lane24 = vaddw_high_u8(sums->lane24, high);
}

/* From the sums of 4 lanes to their estimates. */
TG_INLINE uint32
estimate(const TgScoreTable *table, uint32x4_t sums, const float *a, const float *f,
		 float base, float limit, float *estimates)
{
	static const uint32 bits[WIDTH] = {1, 2, 4, 8};
	float32x4_t product = vfmaq_f32(vdupq_n_f32(table->offset),
									vdupq_n_f32(table->step), vcvtq_f32_u32(sums));
	float32x4_t result = vfmaq_f32(load(a, 0, false), load(f, 0, false), product);

	result = vaddq_f32(vdupq_n_f32(base), result);
	store(estimates, 0, result);
	return vaddvq_u32(vandq_u32(vcltq_f32(result, vdupq_n_f32(limit)), vld1q_u32(bits)));
}

TG_INLINE uint32
score_planes(const TgScoreTable *table, const uint8 *codes,
			 const float *a, const float *f,
			 float base, float limit, float *estimates, int nplanes)
{
	const uint8 *codes1 = codes + (Size) table->ngroups * TG_GROUP_BYTES;
	uint32x4_t	sums[TG_BLOCK_LANES / WIDTH];
	uint32		below = 0;

	for (int i = 0; i < TG_BLOCK_LANES / WIDTH; i++)
		sums[i] = vdupq_n_u32(0);

	for (int group = 0; group < table->ngroups;)
	{
		int			end = Min(group + TG_SCAN_GROUPS(nplanes), table->ngroups);
		uint16x8_t	zero = vdupq_n_u16(0);
		Sums		part = {zero, zero, zero, zero};
		Sums		part1 = {zero, zero, zero, zero};

		for (; group < end; group++)
		{
			uint8x16_t	entries = vld1q_u8(table->entries + (Size) group * TG_GROUP_CODES);

			add_codes(&part, entries, vld1q_u8(codes + (Size) group * TG_GROUP_BYTES));
			if (nplanes == 2)
				add_codes(&part1, entries, vld1q_u8(codes1 + (Size) group * TG_GROUP_BYTES));
		}
		if (nplanes == 2)
		{
			part.lane0 = vaddq_u16(part.lane0, vshlq_n_u16(part1.lane0, 1));
			part.lane8 = vaddq_u16(part.lane8, vshlq_n_u16(part1.lane8, 1));
			part.lane16 = vaddq_u16(part.lane16, vshlq_n_u16(part1.lane16, 1));
			part.lane24 = vaddq_u16(part.lane24, vshlq_n_u16(part1.lane24, 1));
		}
		sums[0] = vaddw_u16(sums[0], vget_low_u16(part.lane0));
		sums[1] = vaddw_high_u16(sums[1], part.lane0);
		sums[2] = vaddw_u16(sums[2], vget_low_u16(part.lane8));
		sums[3] = vaddw_high_u16(sums[3], part.lane8);
		sums[4] = vaddw_u16(sums[4], vget_low_u16(part.lane16));
		sums[5] = vaddw_high_u16(sums[5], part.lane16);
		sums[6] = vaddw_u16(sums[6], vget_low_u16(part.lane24));
		sums[7] = vaddw_high_u16(sums[7], part.lane24);
	}

	for (int i = 0; i < TG_BLOCK_LANES / WIDTH; i++)
	{
		int			lane = i * WIDTH;

		below |= estimate(table, sums[i], a + lane, f + lane,
						  base, limit, estimates + lane) << lane;
	}
	return below;
}

static uint32
score_neon(const TgScoreTable *table, const uint8 *codes,
		   const float *a, const float *f,
		   float base, float limit, float *estimates)
{
	if (table->nplanes == 1)
		return score_planes(table, codes, a, f, base, limit, estimates, 1);
	return score_planes(table, codes, a, f, base, limit, estimates, 2);
}

const TgKernels tg_kernels_neon = {
	.name = "neon",
	.l2sq = l2sq_neon,
	.dot = dot_neon,
	.l1 = l1_neon,
	.l2sq_half = l2sq_half_neon,
	.dot_half = dot_half_neon,
	.l2sq_bytes = l2sq_bytes_neon,
	.half_to_float = half_to_float_neon,
	.float_to_half = float_to_half_neon,
	.hadamard = hadamard_neon,
	.encode = encode_neon,
	.table_range = table_range_neon,
	.table_entries = table_entries_neon,
	.score = score_neon
};

#endif							/* TG_KERNEL_NEON */
