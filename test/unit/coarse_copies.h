/*-------------------------------------------------------------------------
 *
 * coarse_copies.h
 *	  Coarse copies of vectors in memory, as a build makes them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COARSE_COPIES_H
#define COARSE_COPIES_H

#include "graph/coarse.h"

/*
 * Copies of vectors[n][dims], to be freed; without any if there is no step for
 * them.  centre[dims] has to stay.
 */
static inline TgCoarse
make_copies(const float *vectors, int n, int dims, const float *centre)
{
	TgCoarse	coarse;
	float	   *relative = malloc(sizeof(float) * n * dims + 1);

	for (int i = 0; i < n * dims; i++)
		relative[i] = vectors[i] - centre[i % dims];
	tg_coarse_init(&coarse, dims, tg_coarse_step(relative, n, dims), centre,
				   malloc(tg_coarse_stride(dims) * n + 1));
	free(relative);
	for (int i = 0; i < n && coarse.step > 0.0f; i++)
		tg_coarse_put(&coarse, i, vectors + (Size) i * dims);
	return coarse;
}

static inline void
free_copies(TgCoarse *coarse)
{
	free(coarse->copies);
}

#endif							/* COARSE_COPIES_H */
