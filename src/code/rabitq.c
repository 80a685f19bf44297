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
 * The best threshold of a Gaussian coordinate is 0.98 deviations; few
 * dimensions stray from that, so a handful are tried for the largest cosine.
 */
static const float two_bit_thresholds[] = {0.75f, 0.87f, 0.98f, 1.1f, 1.25f};

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

void
tg_encode(int dims, int bits, const float *residual, const float *centre,
		  uint8 *levels, float *a, float *f)
{
	float		n2 = tg_kernels->dot(residual, residual, dims);
	float		xw = 0.0f;		/* <x, w> */
	float		xp = 0.0f;		/* <x, p'> */

	Assert(bits == 1 || bits == 2);

	if (bits == 1)
	{
		for (int i = 0; i < dims; i++)
		{
			bool		positive = residual[i] >= 0.0f;

			levels[i] = positive;
			xw += fabsf(residual[i]);
			xp += positive ? centre[i] : -centre[i];
		}
	}
	else
	{
		float		deviation = sqrtf(n2 / dims);
		float		threshold = 0.0f;
		float		best = -1.0f;

		for (int t = 0; t < (int) lengthof(two_bit_thresholds); t++)
		{
			float		try_xw;
			float		try_xx;

			two_bit_fit(dims, residual, two_bit_thresholds[t] * deviation,
						&try_xw, &try_xx);
			if (try_xw * try_xw > best * try_xx)
			{
				best = try_xw * try_xw / try_xx;
				xw = try_xw;
				threshold = two_bit_thresholds[t] * deviation;
			}
		}
		for (int i = 0; i < dims; i++)
		{
			int			outer = fabsf(residual[i]) > threshold;
			int			level = residual[i] >= 0.0f ? 2 + outer : 1 - outer;

			levels[i] = (uint8) level;
			xp += ((float) level - 1.5f) * centre[i];
		}
	}

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

void
tg_codes_set_lane(uint8 *codes, int dims, int bits, int lane,
				  const uint8 *levels)
{
	int			ngroups = TG_GROUPS(dims);
	int			shift = lane_shift(lane);

	codes += lane % TG_GROUP_BYTES;
	for (int plane = 0; plane < bits; plane++)
	{
		for (int group = 0; group < ngroups; group++)
		{
			int			first = group * TG_GROUP_DIMS;
			int			last = Min(first + TG_GROUP_DIMS, dims);
			uint8		nibble = 0;

			for (int i = first; i < last; i++)
				nibble |= ((levels[i] >> plane) & 1) << (i - first);
			*codes = (uint8) ((*codes & (0xF0 >> shift)) | (nibble << shift));
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
	int			ngroups = TG_GROUPS(dims);
	float		total = 0.0f;
	float		minimum = 0.0f;
	float		range = 0.0f;
	float		step;
	float		per_step;

	/* The step that suits the group of largest range is used by all. */
	for (int group = 0; group < ngroups; group++)
	{
		int			first = group * TG_GROUP_DIMS;
		int			last = Min(first + TG_GROUP_DIMS, dims);
		float		low = 0.0f;
		float		high = 0.0f;

		for (int i = first; i < last; i++)
		{
			low += Min(query[i], 0.0f);
			high += Max(query[i], 0.0f);
		}
		total += low + high;
		minimum += low;
		range = Max(range, high - low);
	}
	step = range / 255.0f;
	per_step = step > 0.0f ? 1.0f / step : 0.0f;

	/* A query of huge or vanishing range still needs a table in bounds. */
	if (!isfinite(per_step))
		per_step = 0.0f;

	for (int group = 0; group < ngroups; group++)
	{
		uint8	   *entries = table->entries + (Size) group * TG_GROUP_CODES;
		float		part[TG_GROUP_DIMS] = {0};
		float		sums[TG_GROUP_CODES];
		float		low = 0.0f;
		int			first = group * TG_GROUP_DIMS;
		int			last = Min(first + TG_GROUP_DIMS, dims);

		for (int i = first; i < last; i++)
		{
			part[i - first] = query[i] * per_step;
			low += Min(part[i - first], 0.0f);
		}
		sums[0] = 0.5f - low;	/* rounds to nearest when truncated */
		for (int i = 0; i < TG_GROUP_DIMS; i++)
			for (int code = 0; code < 1 << i; code++)
				sums[code + (1 << i)] = sums[code] + part[i];
		for (int code = 0; code < TG_GROUP_CODES; code++)
			entries[code] = (uint8) Max(0.0f, Min(sums[code], 255.0f));
	}
	memset(table->entries + (Size) ngroups * TG_GROUP_CODES, 0,
		   TG_TABLE_SIZE(dims) - (Size) ngroups * TG_GROUP_CODES);

	table->ngroups = ngroups;
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
