/*-------------------------------------------------------------------------
 *
 * order.h
 *	  The order of floats, for qsort().
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_ORDER_H
#define TOGG_ORDER_H

static inline int
tg_compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

#endif							/* TOGG_ORDER_H */
