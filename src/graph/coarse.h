/*-------------------------------------------------------------------------
 *
 * coarse.h
 *	  Coarse copies of vectors, a byte per dimension, by which a construction
 *	  compares them.
 *
 * A graph of wide vectors is built in the time that it takes to get them from
 * memory.  A copy here is a quarter of the vector, and the distance of two
 * copies a sum of small integers, so that it takes a fraction of that.
 *
 * All coordinates share one step, which is right for rotated vectors, whose
 * coordinates reach equally far.  Rounding adds to a squared distance what is
 * known beforehand, and is taken off, and an error of chance: of s, the sum in
 * squared steps, about sqrt(2 s / 3).  Where that is no small part of s, and of
 * vectors that the levels do not reach (an outlier), there is no such distance,
 * and the vectors themselves have to be compared.  So a copy is never the cause
 * of a bad neighbour, whatever the data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_COARSE_H
#define TOGG_COARSE_H

#include "kernel/kernel.h"

typedef struct TgCoarse
{
	int			dims;
	Size		stride;			/* bytes of a copy */
	float		step;			/* between two levels; 0: no copies */
	const float *centre;		/* [dims], which has level 0 throughout */
	int8	   *copies;			/* [n][stride] */
	float		rounding;		/* what that adds to a sum */
	float		square;			/* of a step */
	uint32		least_sum;		/* that tells */
} TgCoarse;

/* Vectors of fewer dimensions are as well compared themselves. */
#define TG_COARSE_LEAST_DIMS	64

/* Levels reach from -TG_COARSE_REACH to TG_COARSE_REACH: 7 bits. */
#define TG_COARSE_REACH			63

#define TG_COARSE_ERROR_LIMIT	2.0f

/* In place of the first level: the vector has no copy. */
#define TG_COARSE_NONE			(-128)

/* The error of a smaller sum may be more than a fiftieth of it. */
#define TG_COARSE_LEAST_SUM		2048

/* Bytes that a copy takes. */
static inline Size
tg_coarse_stride(int dims)
{
	return ((Size) dims + TG_BYTES_ALIGN - 1) / TG_BYTES_ALIGN * TG_BYTES_ALIGN;
}

/*
 * A step for vectors like these, vectors[n][dims], which are relative to the
 * centre: all but the farthest of them have copies.  0 if there is none.
 */
extern float tg_coarse_step(const float *vectors, int n, int dims);

/* Set up; the copies are yet to be made. */
extern void tg_coarse_init(TgCoarse *coarse, int dims, float step,
						   const float *centre, int8 *copies);

/*
 * Make the copy of a vector; none, unless its squared error, in squared steps, is
 * TG_COARSE_ERROR_LIMIT / 12 per dimension at most.  Rounding alone makes it 1 / 12.
 */
extern void tg_coarse_put(const TgCoarse *coarse, uint32 i, const float *vector);

/*
 * The squared distance between the copies i and j, in squared steps; 0 if there is
 * none of either.
 */
static inline uint32
tg_coarse_sum(const TgCoarse *coarse, uint32 i, uint32 j)
{
	const int8 *a = coarse->copies + i * coarse->stride;
	const int8 *b = coarse->copies + j * coarse->stride;

	if (a[0] == TG_COARSE_NONE || b[0] == TG_COARSE_NONE)
		return 0;
	return tg_kernels->l2sq_bytes(a, b, coarse->stride);
}

/*
 * The squared distance between the vectors i and j, if their copies tell.
 */
static inline bool
tg_coarse_distance(const TgCoarse *coarse, uint32 i, uint32 j, float *distance)
{
	uint32		sum = tg_coarse_sum(coarse, i, j);

	*distance = ((float) sum - coarse->rounding) * coarse->square;
	return sum >= coarse->least_sum;
}

#endif							/* TOGG_COARSE_H */
