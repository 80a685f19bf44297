/*-------------------------------------------------------------------------
 *
 * test_prune.c
 *	  The choice of neighbours, against the rules of prune.h carried out the
 *	  plain way.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "graph/prune.h"
#include "kernel/kernel.h"
#include "sample.h"
#include "tap.h"

#define MAX_CANDIDATES	300

static bool
comes_before(const TgPruneCandidate *x, const TgPruneCandidate *y)
{
	return x->distance < y->distance ||
		(x->distance == y->distance && x->id < y->id);
}

/* The first, by distance, of those marked so; -1 if there is none. */
static int
first_of(const TgPruneCandidate *candidates, int n, const bool *marks,
		 bool marked)
{
	int			first = -1;

	for (int i = 0; i < n; i++)
		if (marks[i] == marked &&
			(first < 0 || comes_before(&candidates[i], &candidates[first])))
			first = i;
	return first;
}

/*
 * Does the neighbour, the nearer of the two, make the candidate superfluous?
 * The cosine of 60 degrees is a half.
 */
static bool
is_superfluous(TgPruneRule rule, float t, const TgPruneCandidate *candidate,
			   const TgPruneCandidate *neighbour, int dims)
{
	float		apart = tg_kernels->l2sq(candidate->vector, neighbour->vector,
										 dims);
	double		dot = ((double) candidate->distance + neighbour->distance -
					   apart) / 2;

	if (rule == TG_PRUNE_RNG)
		return apart < t * candidate->distance;
	return dot > 0.5 * sqrt((double) candidate->distance *
							neighbour->distance) * (1.0 + 1e-6);
}

/*
 * The rule: look at the candidates by distance, keep those that no kept one
 * makes superfluous; then fill up to least with the nearest dropped.  chosen[i]
 * tells whether candidate i is a neighbour.
 */
static int
reference_prune(TgPruneRule rule, const TgPruneCandidate *candidates, int n,
				int degree, int least, int dims, bool *chosen)
{
	bool		looked_at[MAX_CANDIDATES] = {false};
	int			nchosen = 0;
	int			i;

	memset(chosen, 0, sizeof(bool) * n);
	while (nchosen < degree &&
		   (i = first_of(candidates, n, looked_at, false)) >= 0)
	{
		float		t = TG_PRUNE_RELAX_FIRST +
			(1.0f - TG_PRUNE_RELAX_FIRST) * nchosen / degree;
		bool		occluded = false;

		for (int j = 0; j < n; j++)
			if (chosen[j] &&
				is_superfluous(rule, t, &candidates[i], &candidates[j], dims))
				occluded = true;
		looked_at[i] = true;
		chosen[i] = !occluded;
		nchosen += !occluded;
	}
	while (nchosen < least &&
		   (i = first_of(candidates, n, chosen, false)) >= 0)
	{
		chosen[i] = true;
		nchosen++;
	}
	return nchosen;
}

/*
 * Prune n candidates around a vertex and compare with the reference: the same
 * neighbours, in ascending order.
 */
static bool
agrees(TgPruneRule rule, const float *vertex, const float *vectors, int n,
	   int degree, int least, int dims)
{
	TgPruneCandidate candidates[MAX_CANDIDATES];
	TgPruneCandidate before[MAX_CANDIDATES];
	bool		chosen[MAX_CANDIDATES];
	int			expected;
	int			result;
	bool		good;

	for (int i = 0; i < n; i++)
	{
		candidates[i].vector = vectors + i * dims;
		candidates[i].distance = tg_kernels->l2sq(vertex, candidates[i].vector,
												  dims);
		/* Numbers in another order than memory. */
		candidates[i].id = (uint32) (i * 7919 % 10007) + 4294900000u;
	}
	memcpy(before, candidates, sizeof(before));
	expected = reference_prune(rule, before, n, degree, least, dims, chosen);
	result = tg_prune(rule, candidates, n, degree, least, dims, NULL);
	good = result == expected;
	for (int at = 0; at < Min(result, expected); at++)
	{
		int			i = first_of(before, n, chosen, true);

		chosen[i] = false;
		good &= candidates[at].id == before[i].id &&
			candidates[at].distance == before[i].distance &&
			candidates[at].vector == before[i].vector;
	}
	if (!good)
		diag("rule %d, n %d, degree %d, least %d, dims %d: %d kept, expected %d",
			 rule, n, degree, least, dims, result, expected);
	return good;
}

/* Does it agree, whatever the least number of neighbours? */
static bool
agrees_for_all(TgPruneRule rule, const float *vectors, int n, int degree,
			   int dims)
{
	bool		good = true;

	for (int least = 0; least <= degree; least += Max(1, degree / 2))
		good &= agrees(rule, vectors + n * dims, vectors, n, degree, least,
					   dims);
	return good;
}

static void
test_against_reference(TgPruneRule rule)
{
	static const int counts[] = {0, 1, 2, 5, 31, 32, 33, 64, 100, 299};
	static const int degrees[] = {1, 2, 8, 32, 64, 256};
	static const int dims[] = {1, 2, 5, 24};
	const char *name = rule == TG_PRUNE_ANGLE ? "by angle" : "by distance";

	for (int d = 0; d < (int) lengthof(dims); d++)
		for (int g = 0; g < (int) lengthof(degrees); g++)
		{
			bool		gauss = true;
			bool		tied = true;
			bool		equal = true;

			for (int c = 0; c < (int) lengthof(counts); c++)
			{
				int			n = counts[c];
				float	   *vectors = sample_vectors(n + 1, dims[d]);

				gauss &= agrees_for_all(rule, vectors, n, degrees[g], dims[d]);

				/* Whole numbers: many distances are the same. */
				for (int i = 0; i < (n + 1) * dims[d]; i++)
					vectors[i] = rintf(vectors[i]);
				tied &= agrees_for_all(rule, vectors, n, degrees[g], dims[d]);

				for (int i = 0; i < (n + 1) * dims[d]; i++)
					vectors[i] = 3.0f;
				equal &= agrees_for_all(rule, vectors, n, degrees[g], dims[d]);
				free(vectors);
			}
			ok(gauss, "%s, degree %d, %d dimensions", name, degrees[g], dims[d]);
			ok(tied, "%s, degree %d, %d dimensions, equal distances", name,
			   degrees[g], dims[d]);
			ok(equal, "%s, degree %d, %d dimensions, equal vectors", name,
			   degrees[g], dims[d]);
		}
}

/* Prune around the origin; is the candidate of this id kept? */
static bool
keeps(TgPruneRule rule, const float (*vectors)[4], int n, int degree, int least,
	  uint32 id)
{
	static const float origin[4] = {0};
	TgPruneCandidate candidates[8];
	int			result;

	for (int i = 0; i < n; i++)
	{
		candidates[i].vector = vectors[i];
		candidates[i].distance = tg_kernels->l2sq(vectors[i], origin, 4);
		candidates[i].id = i;
	}
	result = tg_prune(rule, candidates, n, degree, least, 4, NULL);
	for (int i = 0; i < result; i++)
		if (candidates[i].id == id)
			return true;
	return false;
}

static void
test_rule(void)
{
	/* On a line from the vertex; the third is on the other side. */
	static const float line[][4] = {{1}, {2}, {-3}};

	/*
	 * The squared distance of the second candidate to the first is 0.87 of that
	 * to the vertex; those at the end are far away in other directions.
	 */
	static const float early[][4] = {
		{0.515f, 0.79673f}, {1}, {0, 0, 3}, {0, 0, 0, 3}, {0, 0, -3}
	};
	static const float late[][4] = {
		{0.515f, 0.79673f}, {1}, {0, 0, 0.5f}, {0, 0, 0, 0.5f}, {0, 0, -3}
	};

	ok(!keeps(TG_PRUNE_RNG, line, 3, 2, 2, 1) &&
	   keeps(TG_PRUNE_RNG, line, 3, 2, 2, 2),
	   "a candidate nearer to a kept neighbour is dropped for a farther one");
	ok(!keeps(TG_PRUNE_RNG, line, 3, 3, 2, 1) &&
	   keeps(TG_PRUNE_RNG, line, 3, 3, 3, 1),
	   "what is dropped fills slots that are left");
	ok(keeps(TG_PRUNE_RNG, early, 5, 4, 4, 1),
	   "an early slot takes what the rule would drop");
	ok(!keeps(TG_PRUNE_RNG, late, 5, 4, 4, 1), "a late slot does not");
}

/*
 * Two candidates, one 1 and one 3 away, at 59 and at 61 degrees: the rule of
 * distance would keep neither apart from the other.
 */
static void
test_angle(void)
{
	static const float narrow[][4] = {{1}, {1.5451f, 2.5715f}};
	static const float wide[][4] = {{1}, {1.4544f, 2.6239f}};
	static const float origin[24] = {0};
	float	   *vectors = sample_vectors(300, 24);
	TgPruneCandidate candidates[300];
	bool		apart = true;
	bool		relaxed = false;
	int			n;

	ok(!keeps(TG_PRUNE_ANGLE, narrow, 2, 8, 0, 1) &&
	   keeps(TG_PRUNE_ANGLE, narrow, 2, 8, 0, 0),
	   "of two neighbours at 59 degrees the nearer is kept");
	ok(keeps(TG_PRUNE_ANGLE, wide, 2, 8, 0, 1), "at 61 degrees both are");
	ok(keeps(TG_PRUNE_ANGLE, narrow, 2, 8, 2, 1),
	   "the other fills a slot that is left");

	/* The limit is the third side of a triangle with 60 degrees. */
	ok(tg_prune_limit(TG_PRUNE_ANGLE, 0.5f, 4.0f, 4.0f) == 4.0f &&
	   tg_prune_limit(TG_PRUNE_ANGLE, 0.5f, 4.0f, 1.0f) == 3.0f &&
	   tg_prune_limit(TG_PRUNE_ANGLE, 0.5f, 4.0f, 0.0f) == 4.0f,
	   "the limit of 60 degrees");
	ok(tg_prune_limit(TG_PRUNE_ANGLE, 0.5f, 4.0f, 5.0f) == 0.0f,
	   "a farther neighbour makes nothing superfluous");
	ok(tg_prune_limit(TG_PRUNE_RNG, 0.5f, 4.0f, 5.0f) == 2.0f,
	   "the limit of the other rule is a share of the distance");

	for (int i = 0; i < 300; i++)
	{
		candidates[i].vector = vectors + i * 24;
		candidates[i].distance = tg_kernels->l2sq(candidates[i].vector, origin,
												  24);
		candidates[i].id = i;
	}
	n = tg_prune(TG_PRUNE_ANGLE, candidates, 300, 256, 0, 24, NULL);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
		{
			double		cosine = reference_dot(candidates[i].vector,
											   candidates[j].vector, 24) /
				sqrt((double) candidates[i].distance * candidates[j].distance);

			apart &= cosine < 0.5 + 1e-5;
			relaxed |= cosine > 0.4;
		}
	ok(n > 10 && apart && relaxed,
	   "no two neighbours are at less than 60 degrees, and some at little more");
	free(vectors);
}

int
main(void)
{
	tg_kernels_select("auto");
	test_rule();
	test_angle();
	test_against_reference(TG_PRUNE_RNG);
	test_against_reference(TG_PRUNE_ANGLE);
	return done_testing();
}
