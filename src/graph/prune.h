/*-------------------------------------------------------------------------
 *
 * prune.h
 *	  Choosing a vertex's neighbours among candidates.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_PRUNE_H
#define TOGG_PRUNE_H

#include <math.h>

#include "graph/coarse.h"

typedef struct TgPruneCandidate
{
	float		distance;		/* squared L2 distance to the vertex */
	uint32		id;
	const float *vector;		/* [dims] */
} TgPruneCandidate;

/*
 * When does a neighbour v of p make a candidate u superfluous?
 *
 * TG_PRUNE_RNG, the rule of NSG and HNSW: if u is nearer to v than to p; relaxed
 * slot by slot after CRINN: d(u, v) < t * d(u, p), squared distances.
 *
 * TG_PRUNE_ANGLE, the rule of NSSG: if the angle at p between u and v is below
 * 60 degrees, and v is the nearer one.
 */
typedef enum TgPruneRule
{
	TG_PRUNE_RNG = 0,
	TG_PRUNE_ANGLE = 1
} TgPruneRule;

/*
 * The squared distance between u and v below which that is so, from those of
 * both to p.
 */
static inline float
tg_prune_limit(TgPruneRule rule, float t, float candidate, float neighbour)
{
	if (rule == TG_PRUNE_RNG)
		return t * candidate;
	if (neighbour > candidate)
		return 0.0f;
	return candidate + neighbour - sqrtf(candidate * neighbour);
}

/*
 * Choose up to degree neighbours of a vertex among n candidates.
 *
 * A candidate is dropped if a kept one makes it superfluous, with t rising from
 * TG_PRUNE_RELAX_FIRST at the first slot to almost 1 at the last.  If fewer
 * than least are kept, the nearest of the dropped make up the number: a block
 * is scored whole in any case, and a fuller list finds more.
 *
 * On return candidates[0 .. result) are the neighbours, in ascending order of
 * distance.  A candidate must not occur twice.  Candidates are compared with
 * each other by coarse copies of that number, if there are any, not NULL.
 */
extern int	tg_prune(TgPruneRule rule, TgPruneCandidate *candidates, int n,
					 int degree, int least, int dims, const TgCoarse *coarse);

#define TG_PRUNE_RELAX_FIRST	0.75f

/* Dimensions after which a sum is compared with the limit. */
#define TG_CHECK_DIMS			128

/*
 * Squared L2 distance if it is below the limit; else any number that is not.
 * Most distances are computed only to be found too large, and of many
 * dimensions, evenly mixed by the rotation, a part shows that.
 */
static inline float
tg_distance_within(const float *a, const float *b, int dims, float limit)
{
	float		sum = 0.0f;

	while (dims > TG_CHECK_DIMS + TG_CHECK_DIMS / 2)
	{
		sum += tg_kernels->l2sq(a, b, TG_CHECK_DIMS);
		if (sum >= limit)
			return sum;
		a += TG_CHECK_DIMS;
		b += TG_CHECK_DIMS;
		dims -= TG_CHECK_DIMS;
	}
	return sum + tg_kernels->l2sq(a, b, dims);
}

#endif							/* TOGG_PRUNE_H */
