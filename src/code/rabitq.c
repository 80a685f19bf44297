/*-------------------------------------------------------------------------
 *
 * rabitq.c
 *	  Compact codes of a vertex's neighbours; see rabitq.h.
 *
 *-------------------------------------------------------------------------
 */
#include "code/rabitq.h"

#include <math.h>

/*
 * Two bits: a coordinate's magnitude takes the outer level above a threshold.
 * The best threshold of a Gaussian coordinate is 0.98 deviations, and rotated
 * residuals of many dimensions are near enough to Gaussian: against the best
 * threshold of each, it costs a thousandth of the cosine on average at 64
 * dimensions, and less at more.  Of a residual of fewer dimensions, a handful
 * of thresholds are tried for the largest cosine.
 */
#define TWO_BIT_THRESHOLD	0.98f
#define FEW_DIMS			64

static const float two_bit_thresholds[] = {0.75f, 0.87f, TWO_BIT_THRESHOLD, 1.1f, 1.25f};

/*
 * <x, w> and |x|^2 of the two-bit code with this threshold.
 */
static void
two_bit_fit(int dims, const float *w, float threshold, float *xw, float *xx)
{
	float		inner = 0.0f;
	float		outer = 0.0f;
	int			nouter = 0;

	for (int i = 0; i < dims; i++)
	{
		float		magnitude = fabsf(w[i]);

		inner += magnitude;
		outer += magnitude > threshold ? magnitude : 0.0f;
		nouter += magnitude > threshold;
	}
	*xw = 0.5f * inner + outer;
	*xx = 0.25f * dims + 2.0f * nouter;
}

/* The threshold for a residual whose coordinates have this deviation. */
static float
two_bit_threshold(int dims, const float *w, float deviation)
{
	float		threshold = TWO_BIT_THRESHOLD * deviation;
	float		best = -1.0f;

	if (dims >= FEW_DIMS)
		return threshold;

	for (int t = 0; t < (int) lengthof(two_bit_thresholds); t++)
	{
		float		xw;
		float		xx;

		two_bit_fit(dims, w, two_bit_thresholds[t] * deviation, &xw, &xx);
		if (xw * xw > best * xx)
		{
			best = xw * xw / xx;
			threshold = two_bit_thresholds[t] * deviation;
		}
	}
	return threshold;
}

void
tg_encode(int dims, int bits, const float *residual, const float *centre,
		  uint8 *levels, float *a, float *f)
{
	float		n2 = tg_kernels->dot(residual, residual, dims);
	float		threshold = 0.0f;
	float		xw;				/* <x, w> */
	float		xp;				/* <x, p'> */

	Assert(bits == 1 || bits == 2);

	if (bits == 2)
		threshold = two_bit_threshold(dims, residual, sqrtf(n2 / dims));
	tg_kernels->encode(residual, centre, dims, bits, threshold, levels, &xw, &xp);

	*f = -2.0f * n2 / xw;
	*a = n2 - *f * xp;

	/* n = 0 makes 0/0; coordinates near the limits of float overflow. */
	if (!isfinite(*f) || !isfinite(*a))
	{
		*f = 0.0f;
		*a = isfinite(n2) ? n2 : INFINITY;
	}
}

/*
 * Shift and byte of a lane within a group: see TgKernels.score.
 */
static inline int
lane_shift(int lane)
{
	return lane < TG_GROUP_BYTES ? 0 : 4;
}

/* The levels of a group, a byte each, with zeros for dimensions beyond. */
static inline uint32
group_levels(const uint8 *levels, int ndims)
{
	uint32		first = levels[0];

	if (likely(ndims >= TG_GROUP_DIMS))
		return first | (uint32) levels[1] << 8 | (uint32) levels[2] << 16 |
			(uint32) levels[3] << 24;
	for (int i = 1; i < ndims; i++)
		first |= (uint32) levels[i] << (8 * i);
	return first;
}

void
tg_codes_set_lane(uint8 *codes, int dims, int bits, int lane,
				  const uint8 *levels)
{
	int			ngroups = TG_GROUPS(dims);
	int			shift = lane_shift(lane);
	uint8		keep = (uint8) (0xF0 >> shift);

	codes += lane % TG_GROUP_BYTES;
	for (int plane = 0; plane < bits; plane++)
	{
		for (int group = 0; group < ngroups; group++)
		{
			int			first = group * TG_GROUP_DIMS;
			uint32		bytes = group_levels(levels + first, dims - first);
			uint32		nibble;

			/*
			 * Of the 16 places where four shifts put four bits, no two are
			 * the same, and bits 24 to 27 are one of each byte, in order.
			 */
			nibble = ((bytes >> plane & 0x01010101) * 0x01020408) >> 24 & 0x0F;
			*codes = (uint8) ((*codes & keep) | nibble << shift);
			codes += TG_GROUP_BYTES;
		}
	}
}

void
tg_codes_get_lane(const uint8 *codes, int dims, int bits, int lane,
				  uint8 *levels)
{
	int			ngroups = TG_GROUPS(dims);
	int			shift = lane_shift(lane);

	codes += lane % TG_GROUP_BYTES;
	memset(levels, 0, dims);
	for (int plane = 0; plane < bits; plane++)
		for (int i = 0; i < dims; i++)
		{
			uint8		byte = codes[(plane * ngroups + i / TG_GROUP_DIMS) *
									 TG_GROUP_BYTES];

			levels[i] |= ((byte >> shift >> (i % TG_GROUP_DIMS)) & 1) << plane;
		}
}

void
tg_table_build(TgScoreTable *table, int dims, int bits, const float *query)
{
	float		total;
	float		minimum;
	float		range;
	float		step;
	float		per_step;

	/* The step that suits the group of largest range is used by all. */
	tg_kernels->table_range(query, dims, &total, &minimum, &range);
	step = range / 255.0f;
	per_step = step > 0.0f ? 1.0f / step : 0.0f;

	/* A query of huge or vanishing range still needs a table in bounds. */
	if (!isfinite(per_step))
		per_step = 0.0f;
	tg_kernels->table_entries(query, dims, per_step, table->entries);

	table->ngroups = TG_GROUPS(dims);
	table->nplanes = bits;
	if (bits == 1)
	{
		/* x = 2 bit - 1 */
		table->step = 2.0f * step;
		table->offset = 2.0f * minimum - total;
	}
	else
	{
		/* x = 2 bit1 + bit0 - 1.5 */
		table->step = step;
		table->offset = 3.0f * minimum - 1.5f * total;
	}
}
