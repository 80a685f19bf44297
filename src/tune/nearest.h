/*-------------------------------------------------------------------------
 *
 * nearest.h
 *	  The k least of many distances.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_NEAREST_H
#define TOGG_NEAREST_H

#include "shim.h"

/*
 * The k least distances offered so far: a binary max-heap, until they are
 * sorted.
 */
typedef struct TgNearest
{
	int			k;
	int			n;
	double	   *distances;		/* [k] */
} TgNearest;

/* Would this distance be kept?  A NaN never is. */
static inline bool
tg_nearest_wants(const TgNearest *nearest, double distance)
{
	return nearest->n < nearest->k ? distance == distance :
		distance < nearest->distances[0];
}

/* Keep a distance that is wanted, in the place of the largest if need be. */
extern void tg_nearest_add(TgNearest *nearest, double distance);

/* Put them in ascending order; nothing can be added any more. */
extern void tg_nearest_sort(TgNearest *nearest);

#endif							/* TOGG_NEAREST_H */
