/*-------------------------------------------------------------------------
 *
 * nearest.c
 *	  The k least of many distances; see nearest.h.
 *
 *-------------------------------------------------------------------------
 */
#include "tune/nearest.h"

static inline void
swap(double *a, double *b)
{
	double		kept = *a;

	*a = *b;
	*b = kept;
}

void
tg_nearest_add(TgNearest *nearest, double distance)
{
	double	   *heap = nearest->distances;
	int			at;

	if (nearest->n < nearest->k)
	{
		at = nearest->n++;
		heap[at] = distance;
		for (; at > 0 && heap[(at - 1) / 2] < heap[at]; at = (at - 1) / 2)
			swap(&heap[at], &heap[(at - 1) / 2]);
		return;
	}
	heap[0] = distance;
	at = 0;
	for (;;)
	{
		int			child = 2 * at + 1;

		if (child >= nearest->n)
			break;
		if (child + 1 < nearest->n && heap[child + 1] > heap[child])
			child++;
		if (heap[child] <= heap[at])
			break;
		swap(&heap[at], &heap[child]);
		at = child;
	}
}

static int
compare_distances(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

void
tg_nearest_sort(TgNearest *nearest)
{
	qsort(nearest->distances, nearest->n, sizeof(double), compare_distances);
}
