/*-------------------------------------------------------------------------
 *
 * prune.c
 *	  Choosing a vertex's neighbours among candidates; see prune.h.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/prune.h"

static int
compare_candidates(const void *a, const void *b)
{
	const TgPruneCandidate *x = a;
	const TgPruneCandidate *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/*
 * Does one of the kept make the candidate superfluous?
 */
static bool
occluded(TgPruneRule rule, const TgPruneCandidate *candidate,
		 const TgPruneCandidate *kept, int nkept, int degree, int dims,
		 const TgCoarse *coarse)
{
	float		t = TG_PRUNE_RELAX_FIRST +
		(1.0f - TG_PRUNE_RELAX_FIRST) * nkept / degree;

	for (int i = 0; i < nkept; i++)
	{
		float		limit = tg_prune_limit(rule, t, candidate->distance,
										   kept[i].distance);
		float		distance;

		if (!coarse ||
			!tg_coarse_distance(coarse, candidate->id, kept[i].id, &distance))
			distance = tg_distance_within(candidate->vector, kept[i].vector,
										  dims, limit);
		if (distance < limit)
			return true;
	}
	return false;
}

int
tg_prune(TgPruneRule rule, TgPruneCandidate *candidates, int n, int degree,
		 int least, int dims, const TgCoarse *coarse)
{
	int			nkept = 0;

	qsort(candidates, n, sizeof(TgPruneCandidate), compare_candidates);
	if (n <= least)
		return n;

	/*
	 * Kept candidates gather at the front; the dropped stay behind them in
	 * order, so that the fill takes the nearest.
	 */
	for (int i = 0; i < n && nkept < degree; i++)
	{
		TgPruneCandidate candidate = candidates[i];

		if (occluded(rule, &candidate, candidates, nkept, degree, dims,
					 coarse))
			continue;
		memmove(&candidates[nkept + 1], &candidates[nkept],
				sizeof(TgPruneCandidate) * (i - nkept));
		candidates[nkept++] = candidate;
	}
	nkept = Max(nkept, Min(least, n));
	qsort(candidates, nkept, sizeof(TgPruneCandidate), compare_candidates);
	return nkept;
}
