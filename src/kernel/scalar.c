/*-------------------------------------------------------------------------
 *
 * scalar.c
 *	  The kernels in plain C, for processors without a body of their own and
 *	  as the definition that the other bodies are tested against.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "kernel/bodies.h"

/* Element i of a span of any alignment. */
TG_INLINE float
element(const void *span, int i, bool half)
{
	uint16		bits;
	float		value;

	if (half)
	{
		memcpy(&bits, (const uint16 *) span + i, sizeof(bits));
		return tg_float_of_half(bits);
	}
	memcpy(&value, (const float *) span + i, sizeof(value));
	return value;
}

/*
 * A product of two floats is exact in double precision, so that the sum is the
 * same whether or not the compiler makes one fused operation of the two: it
 * may decide differently for floats and for halves.
 */
TG_INLINE double
add(double sum, float a, float b, TgSum what)
{
	float		difference = a - b;

	switch (what)
	{
		case TG_SUM_L2SQ:
			return sum + (double) difference * difference;
		case TG_SUM_DOT:
			return sum + (double) a * b;
		default:
			return sum + fabsf(difference);
	}
}

TG_INLINE float
sum_spans(const float *a, const void *b, int n, TgSum what, bool half)
{
	double		sum0 = 0;
	double		sum1 = 0;
	double		sum2 = 0;
	double		sum3 = 0;
	int			i;

	for (i = 0; i + 4 <= n; i += 4)
	{
		sum0 = add(sum0, element(a, i, false), element(b, i, half), what);
		sum1 = add(sum1, element(a, i + 1, false), element(b, i + 1, half), what);
		sum2 = add(sum2, element(a, i + 2, false), element(b, i + 2, half), what);
		sum3 = add(sum3, element(a, i + 3, false), element(b, i + 3, half), what);
	}
	for (; i < n; i++)
		sum0 = add(sum0, element(a, i, false), element(b, i, half), what);
	return (float) ((sum0 + sum1) + (sum2 + sum3));
}

static float
l2sq_scalar(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L2SQ, false);
}

static float
dot_scalar(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_DOT, false);
}

static float
l1_scalar(const float *a, const float *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L1, false);
}

static float
l2sq_half_scalar(const float *a, const uint16 *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_L2SQ, true);
}

static float
dot_half_scalar(const float *a, const uint16 *b, int n)
{
	return sum_spans(a, b, n, TG_SUM_DOT, true);
}

static uint32
l2sq_bytes_scalar(const int8 *a, const int8 *b, int n)
{
	uint32		sum = 0;

	for (int i = 0; i < n; i++)
		sum += (uint32) ((a[i] - b[i]) * (a[i] - b[i]));
	return sum;
}

static void
half_to_float_scalar(const uint16 *src, float *dst, int n)
{
	for (int i = 0; i < n; i++)
	{
		float		value = element(src, i, true);

		memcpy(dst + i, &value, sizeof(value));
	}
}

static void
float_to_half_scalar(const float *src, uint16 *dst, int n)
{
	for (int i = 0; i < n; i++)
	{
		uint16		half = tg_half_of_float(element(src, i, false));

		memcpy(dst + i, &half, sizeof(half));
	}
}

static void
hadamard_scalar(float *x, int n)
{
	for (int h = 1; h < n; h *= 2)
		tg_hadamard_level(x, n, h);
}

static void
encode_scalar(const float *w, const float *c, int n, int bits,
			  float threshold, uint8 *levels, float *xw, float *xc)
{
	double		sum_xw = 0;
	double		sum_xc = 0;

	if (bits == 1)
		tg_encode_rest(w, c, 0, n, 1, threshold, levels, &sum_xw, &sum_xc);
	else
		tg_encode_rest(w, c, 0, n, 2, threshold, levels, &sum_xw, &sum_xc);
	*xw = (float) sum_xw;
	*xc = (float) sum_xc;
}

/* The dimensions of the i-th group, with zeros for what lies beyond n. */
TG_INLINE void
load_group(const float *query, int group, int n, float *dims)
{
	for (int i = 0; i < TG_GROUP_DIMS; i++)
	{
		int			dim = group * TG_GROUP_DIMS + i;

		dims[i] = dim < n ? element(query, dim, false) : 0.0f;
	}
}

static void
table_range_scalar(const float *query, int n,
				   float *total, float *minimum, float *range)
{
	double		below = 0;
	double		above = 0;
	float		largest = 0.0f;

	for (int group = 0; group * TG_GROUP_DIMS < n; group++)
	{
		float		x[TG_GROUP_DIMS];

		load_group(query, group, n, x);
		for (int i = 0; i < TG_GROUP_DIMS; i++)
		{
			float		low = Min(x[i], 0.0f);
			float		high = Max(x[i], 0.0f);

			below += low;
			above += high;
			x[i] = high - low;
		}
		largest = Max(largest, (x[0] + x[1]) + (x[2] + x[3]));
	}
	*total = (float) (below + above);
	*minimum = (float) below;
	*range = largest;
}

/*
 * A part in fixed point, ties to the even number as the processors do it: the
 * last bit of a double of this size is worth 1.
 */
TG_INLINE int
round_part(float part)
{
	double		shifted = (double) part + 0x1.8p52;
	uint64		bits;

	memcpy(&bits, &shifted, sizeof(bits));
	return (int32) (uint32) bits;
}

static void
table_entries_scalar(const float *query, int n, float per_step, uint8 *entries)
{
	int			ngroups = (n + TG_TABLE_DIMS - 1) / TG_TABLE_DIMS * TG_TABLE_ALIGN;

	for (int group = 0; group < ngroups; group++)
	{
		float		x[TG_GROUP_DIMS];
		int			parts[TG_GROUP_DIMS];
		int			sums[TG_GROUP_CODES];

		load_group(query, group, n, x);
		sums[0] = TG_PART_ONE / 2;
		for (int i = 0; i < TG_GROUP_DIMS; i++)
		{
			float		part = x[i] * per_step * TG_PART_ONE;

			part = Min(part, (float) TG_PART_MAX);
			part = Max(part, (float) -TG_PART_MAX);
			parts[i] = round_part(part);
			sums[0] += Max(-parts[i], 0);
		}
		for (int i = 0; i < TG_GROUP_DIMS; i++)
			for (int code = 0; code < 1 << i; code++)
				sums[code + (1 << i)] = sums[code] + parts[i];
		for (int code = 0; code < TG_GROUP_CODES; code++)
			*entries++ = (uint8) Min(sums[code] >> TG_PART_SHIFT, 255);
	}
}

static uint32
score_scalar(const TgScoreTable *table, const uint8 *codes,
			 const float *a, const float *f,
			 float base, float limit, float *estimates)
{
	uint32		sums[TG_BLOCK_LANES] = {0};
	uint32		below = 0;

	for (int plane = 0; plane < table->nplanes; plane++)
	{
		const uint8 *entries = table->entries;

		for (int group = 0; group < table->ngroups; group++)
		{
			for (int j = 0; j < TG_GROUP_BYTES; j++)
			{
				sums[j] += (uint32) entries[codes[j] & 0x0F] << plane;
				sums[j + 16] += (uint32) entries[codes[j] >> 4] << plane;
			}
			codes += TG_GROUP_BYTES;
			entries += TG_GROUP_CODES;
		}
	}

	for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
	{
		float		product = table->step * (float) sums[lane] + table->offset;
		float		estimate = base +
			(element(a, lane, false) + element(f, lane, false) * product);

		memcpy(estimates + lane, &estimate, sizeof(estimate));
		if (estimate < limit)
			below |= (uint32) 1 << lane;
	}
	return below;
}

const TgKernels tg_kernels_scalar = {
	.name = "scalar",
	.l2sq = l2sq_scalar,
	.dot = dot_scalar,
	.l1 = l1_scalar,
	.l2sq_half = l2sq_half_scalar,
	.dot_half = dot_half_scalar,
	.l2sq_bytes = l2sq_bytes_scalar,
	.half_to_float = half_to_float_scalar,
	.float_to_half = float_to_half_scalar,
	.hadamard = hadamard_scalar,
	.encode = encode_scalar,
	.table_range = table_range_scalar,
	.table_entries = table_entries_scalar,
	.score = score_scalar
};
