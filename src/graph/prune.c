/*-------------------------------------------------------------------------
 *
 * prune.c
 *	  Choosing a vertex's neighbours among candidates; see prune.h.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/prune.h"

static inline bool
nearer(const TgPruneCandidate *a, const TgPruneCandidate *b)
{
	return a->distance < b->distance ||
		(a->distance == b->distance && a->id < b->id);
}

/*
 * By insertion: what comes is in order but for a few links at the end (and the
 * sample for the root, but that comes once), and qsort() would call a function
 * for each comparison.
 */
static void
sort_candidates(TgPruneCandidate *candidates, int n)
{
	for (int i = 1; i < n; i++)
	{
		TgPruneCandidate candidate = candidates[i];
		int			at = i;

		for (; at > 0 && nearer(&candidate, &candidates[at - 1]); at--)
			candidates[at] = candidates[at - 1];
		candidates[at] = candidate;
	}
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

	sort_candidates(candidates, n);
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
	sort_candidates(candidates, nkept);
	return nkept;
}
