/*-------------------------------------------------------------------------
 *
 * rotate.h
 *	  The random rotation that precedes coding.
 *
 * A one-bit-per-dimension code is good only if a vector's length is spread
 * evenly over its coordinates.  A random rotation does that for any data.
 * Ours is four rounds of
 *
 *	- random sign flips;
 *	- a fast Walsh-Hadamard transform of a window whose width is the largest
 *	  power of two that fits; the windows of odd rounds end at the last
 *	  dimension, so that together they cover all and no padding is needed;
 *
 * and, after the second round unless the window covers all, sums and
 * differences of the two halves, which mix what the windows keep apart.  Every
 * step is orthogonal: distances and inner products are kept.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_ROTATE_H
#define TOGG_ROTATE_H

#include "shim.h"

#define TG_ROTATION_ROUNDS	4

typedef struct TgRotation
{
	int			dims;
	int			window;			/* largest power of two <= dims */
	float		scale;			/* 1 / sqrt(window): keeps a round orthogonal */
	uint32	   *signs;			/* [TG_ROTATION_ROUNDS][dims], sign bit masks */
} TgRotation;

/* Bytes that signs takes for so many dimensions. */
extern Size tg_rotation_signs_size(int dims);

/*
 * Set up the rotation that belongs to the seed; signs is the caller's memory.
 * The same seed gives the same rotation on every machine: it is part of the
 * index's format.
 */
extern void tg_rotation_init(TgRotation *rotation, int dims, uint64 seed,
							 uint32 *signs);

/* out = P in; both [dims], not overlapping. */
extern void tg_rotate(const TgRotation *rotation, const float *in, float *out);

#endif							/* TOGG_ROTATE_H */
