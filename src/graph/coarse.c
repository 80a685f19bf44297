/*-------------------------------------------------------------------------
 *
 * coarse.c
 *	  Coarse copies of vectors; see coarse.h.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/coarse.h"

#include <math.h>

#include "graph/order.h"

/*
 * Of the coordinates of all vectors but one in so many, the largest is within
 * the levels, and by so much.
 */
#define BEYOND		16
#define MARGIN		1.25f

float
tg_coarse_step(const float *vectors, int n, int dims)
{
	float	   *reach = tg_alloc(sizeof(float) * Max(n, 1));
	float		step = 0.0f;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < dims; j++)
			reach[i] = Max(reach[i], fabsf(vectors[(Size) i * dims + j]));
	qsort(reach, n, sizeof(float), tg_compare_floats);
	if (n > 0)
		step = reach[n - 1 - n / BEYOND] * MARGIN / TG_COARSE_REACH;
	tg_free(reach);

	/* Its square has to be a number that can be computed with. */
	return step > 1e-15f && step < 1e15f ? step : 0.0f;
}

void
tg_coarse_init(TgCoarse *coarse, int dims, float step, const float *centre,
			   int8 *copies)
{
	coarse->dims = dims;
	coarse->stride = tg_coarse_stride(dims);
	coarse->step = step;
	coarse->centre = centre;
	coarse->copies = copies;

	/* The squared error of two roundings is 1/6 of a step on average. */
	coarse->rounding = dims / 6.0f;
	coarse->square = step * step;
	coarse->least_sum = TG_COARSE_LEAST_SUM + dims / 6;
}

void
tg_coarse_put(const TgCoarse *coarse, uint32 i, const float *vector)
{
	int8	   *copy = coarse->copies + i * coarse->stride;
	float		per_step = 1.0f / coarse->step;
	float		error = 0.0f;

	memset(copy + coarse->dims, 0, coarse->stride - coarse->dims);
	for (int j = 0; j < coarse->dims; j++)
	{
		float		x = (vector[j] - coarse->centre[j]) * per_step;
		float		level = rintf(x);

		level = Max(-TG_COARSE_REACH, Min(TG_COARSE_REACH, level));
		error += (x - level) * (x - level);
		copy[j] = (int8) level;
	}
	if (!(error <= TG_COARSE_ERROR_LIMIT / 12.0f * coarse->dims))
		copy[0] = TG_COARSE_NONE;
}
