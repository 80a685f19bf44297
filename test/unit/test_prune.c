/*-------------------------------------------------------------------------
 *
 * test_prune.c
 *	  The choice of neighbours, against the rule of prune.h carried out the
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
 * The rule: look at the candidates by distance, keep those that no kept one
 * occludes; then fill up to least with the nearest dropped.  chosen[i] tells whether
 * candidate i is a neighbour.
 */
static int
reference_prune(const TgPruneCandidate *candidates, int n, int degree,
				int least, int dims, bool *chosen)
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
				tg_kernels->l2sq(candidates[i].vector, candidates[j].vector,
								 dims) < t * candidates[i].distance)
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
agrees(const float *vertex, const float *vectors, int n, int degree, int least,
	   int dims)
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
	expected = reference_prune(before, n, degree, least, dims, chosen);
	result = tg_prune(candidates, n, degree, least, dims);
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
		diag("n %d, degree %d, least %d, dims %d: %d kept, expected %d", n, degree,
			 least, dims, result, expected);
	return good;
}

static void
test_against_reference(void)
{
	static const int counts[] = {0, 1, 2, 5, 31, 32, 33, 64, 100, 299};
	static const int degrees[] = {1, 2, 8, 32, 64, 256};
	static const int dims[] = {1, 2, 5, 24};

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
				const float *vertex = vectors + n * dims[d];

				for (int least = 0; least <= degrees[g]; least += Max(1, degrees[g] / 2))
					gauss &= agrees(vertex, vectors, n, degrees[g], least, dims[d]);

				/* Whole numbers: many distances are the same. */
				for (int i = 0; i < (n + 1) * dims[d]; i++)
					vectors[i] = rintf(vectors[i]);
				for (int least = 0; least <= degrees[g]; least += Max(1, degrees[g] / 2))
					tied &= agrees(vertex, vectors, n, degrees[g], least, dims[d]);

				for (int i = 0; i < (n + 1) * dims[d]; i++)
					vectors[i] = 3.0f;
				for (int least = 0; least <= degrees[g]; least += Max(1, degrees[g] / 2))
					equal &= agrees(vertex, vectors, n, degrees[g], least, dims[d]);
				free(vectors);
			}
			ok(gauss, "degree %d, %d dimensions", degrees[g], dims[d]);
			ok(tied, "degree %d, %d dimensions, equal distances", degrees[g],
			   dims[d]);
			ok(equal, "degree %d, %d dimensions, equal vectors", degrees[g],
			   dims[d]);
		}
}

/* Prune around the origin; is the candidate of this id kept? */
static bool
keeps(const float (*vectors)[4], int n, int degree, int least, uint32 id)
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
	result = tg_prune(candidates, n, degree, least, 4);
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
	 * The second candidate is 0.8 times as far from the first as from the
	 * vertex; those at the end are far away in other directions.
	 */
	static const float early[][4] = {
		{0.55f, 0.77298f}, {1}, {0, 0, 3}, {0, 0, 0, 3}, {0, 0, -3}
	};
	static const float late[][4] = {
		{0.55f, 0.77298f}, {1}, {0, 0, 0.5f}, {0, 0, 0, 0.5f}, {0, 0, -3}
	};

	ok(!keeps(line, 3, 2, 2, 1) && keeps(line, 3, 2, 2, 2),
	   "a candidate nearer to a kept neighbour is dropped for a farther one");
	ok(!keeps(line, 3, 3, 2, 1) && keeps(line, 3, 3, 3, 1),
	   "what is dropped fills slots that are left");
	ok(keeps(early, 5, 4, 4, 1), "an early slot takes what the rule would drop");
	ok(!keeps(late, 5, 4, 4, 1), "a late slot does not");
}

int
main(void)
{
	tg_kernels_select("auto");
	test_rule();
	test_against_reference();
	return done_testing();
}
