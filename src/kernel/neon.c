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
	.half_to_float = half_to_float_neon,
	.float_to_half = float_to_half_neon,
	.hadamard = hadamard_neon,
	.score = score_neon
};

#endif							/* TG_KERNEL_NEON */
