/*-------------------------------------------------------------------------
 *
 * cluster.c
 *	  Dividing a neighbour list into clusters; see cluster.h.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/cluster.h"

#include <math.h>

#include "graph/search.h"

/* Lists are short, and started from far apart: k-means hardly moves on. */
#define KMEANS_ROUNDS	2

/*
 * Start from members far from each other: the first, then each time the one
 * farthest from all chosen.
 */
static void
seed_centres(const float *const *vectors, int n, int dims, int k,
			 float *centres)
{
	float		nearest[TG_MAX_DEGREE];
	int			chosen = 0;

	for (int i = 0; i < n; i++)
		nearest[i] = INFINITY;
	for (int c = 0; c < k; c++)
	{
		memcpy(centres + (Size) c * dims, vectors[chosen],
			   sizeof(float) * dims);
		for (int i = 0; i < n; i++)
			nearest[i] = Min(nearest[i],
							 tg_kernels->l2sq(vectors[i], vectors[chosen], dims));
		for (int i = 0; i < n; i++)
			if (nearest[i] > nearest[chosen])
				chosen = i;
	}
}

/*
 * Assign each member to its nearest centre.  distances[] receives how far that
 * is.  Returns whether any assignment changed.
 */
static bool
assign_members(const float *const *vectors, int n, int dims, int k,
			   const float *centres, uint8 *cluster, float *distances)
{
	bool		changed = false;

	for (int i = 0; i < n; i++)
	{
		int			best = 0;

		distances[i] = INFINITY;
		for (int c = 0; c < k; c++)
		{
			float		distance = tg_kernels->l2sq(vectors[i],
													centres + (Size) c * dims,
													dims);

			if (distance < distances[i])
			{
				distances[i] = distance;
				best = c;
			}
		}
		changed |= cluster[i] != best;
		cluster[i] = (uint8) best;
	}
	return changed;
}

static void
move_centres(const float *const *vectors, int n, int dims, int k,
			 const uint8 *cluster, float *centres)
{
	int			members[TG_MAX_CLUSTERS] = {0};

	for (int i = 0; i < n; i++)
		members[cluster[i]]++;
	for (int c = 0; c < k; c++)
		if (members[c] > 0)
			memset(centres + (Size) c * dims, 0, sizeof(float) * dims);
	for (int i = 0; i < n; i++)
	{
		float	   *centre = centres + (Size) cluster[i] * dims;
		float		weight = 1.0f / members[cluster[i]];

		for (int j = 0; j < dims; j++)
			centre[j] += vectors[i][j] * weight;
	}
}

int
tg_cluster(const float *const *vectors, int n, int dims, int k,
		   uint16 *order, uint8 *start, float *scratch)
{
	uint8		cluster[TG_MAX_DEGREE] = {0};
	float		distances[TG_MAX_DEGREE] = {0};
	int			nclusters = 0;
	int			placed = 0;

	Assert(n <= TG_MAX_DEGREE && k <= TG_MAX_CLUSTERS);

	if (n <= k)
		k = 1;
	if (k > 1)
	{
		seed_centres(vectors, n, dims, k, scratch);
		assign_members(vectors, n, dims, k, scratch, cluster, distances);
		for (int round = 0; round < KMEANS_ROUNDS; round++)
		{
			move_centres(vectors, n, dims, k, cluster, scratch);
			if (!assign_members(vectors, n, dims, k, scratch, cluster,
								distances))
				break;
		}
	}

	for (int c = 0; c < k; c++)
	{
		int			first = placed;

		for (int i = 0; i < n; i++)
		{
			if (cluster[i] != c)
				continue;
			order[placed] = (uint16) i;
			if (distances[i] < distances[order[first]])
			{
				order[placed] = order[first];
				order[first] = (uint16) i;
			}
			placed++;
		}
		if (placed > first)
			start[nclusters++] = (uint8) first;
	}
	return nclusters;
}
