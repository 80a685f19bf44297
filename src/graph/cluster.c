/*-------------------------------------------------------------------------
 *
 * cluster.c
 *	  Dividing a neighbour list; see cluster.h.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/cluster.h"

#include <math.h>
#include <stdlib.h>

/* Lists are short, and started from far apart: k-means hardly moves on. */
#define KMEANS_ROUNDS	2

/*
 * Start from members far from each other: the first, then each time the one
 * farthest from all chosen.  Each member is assigned to its nearest centre on
 * the way; distances[] receives how far that is.
 */
static void
seed_centres(const float *const *vectors, int n, int dims, int k,
			 float *centres, uint8 *cluster, float *distances)
{
	int			chosen = 0;

	for (int i = 0; i < n; i++)
		distances[i] = INFINITY;
	for (int c = 0; c < k; c++)
	{
		memcpy(centres + (Size) c * dims, vectors[chosen],
			   sizeof(float) * dims);
		for (int i = 0; i < n; i++)
		{
			float		distance = tg_kernels->l2sq(vectors[i],
													vectors[chosen], dims);

			if (distance < distances[i])
			{
				distances[i] = distance;
				cluster[i] = (uint8) c;
			}
		}
		for (int i = 0; i < n; i++)
			if (distances[i] > distances[chosen])
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
		   uint16 *order, TgDivision *division, float *scratch)
{
	uint8		cluster[TG_MAX_DEGREE] = {0};
	float		distances[TG_MAX_DEGREE] = {0};
	uint16		representative[TG_MAX_CLUSTERS];
	int			nclusters = 0;
	int			placed;

	Assert(n <= TG_MAX_DEGREE && k <= TG_MAX_CLUSTERS);

	dims = Min(dims, TG_CLUSTER_DIMS);
	if (n <= k)
		k = 1;
	if (k > 1)
	{
		seed_centres(vectors, n, dims, k, scratch, cluster, distances);
		for (int round = 0; round < KMEANS_ROUNDS; round++)
		{
			move_centres(vectors, n, dims, k, cluster, scratch);
			if (!assign_members(vectors, n, dims, k, scratch, cluster,
								distances))
				break;
		}
	}

	/* Number the clusters that have members. */
	for (int c = 0; c < k; c++)
	{
		int			nearest = -1;

		for (int i = 0; i < n; i++)
			if (cluster[i] == c &&
				(nearest < 0 || distances[i] < distances[nearest]))
				nearest = i;
		if (nearest < 0)
			continue;
		representative[nclusters] = (uint16) nearest;
		for (int i = 0; i < n; i++)
			if (cluster[i] == c)
				cluster[i] = (uint8) nclusters;
		nclusters++;
	}

	memcpy(order, representative, sizeof(uint16) * nclusters);
	placed = nclusters;
	for (int c = 0; c < nclusters; c++)
	{
		division->start[c] = (uint8) (placed - nclusters);
		for (int i = 0; i < n; i++)
			if (cluster[i] == c && i != representative[c])
				order[placed++] = (uint16) i;
	}
	return nclusters;
}

void
tg_ranges(const float *const *vectors, int64 n, int dims, float *ranges)
{
	for (int j = 0; j < dims; j++)
	{
		float		least = INFINITY;
		float		most = -INFINITY;

		for (int64 i = 0; i < n; i++)
		{
			least = Min(least, vectors[i][j]);
			most = Max(most, vectors[i][j]);
		}
		ranges[j] = n > 0 ? most - least : 0.0f;
		tg_check_interrupts();
	}
}

/* Which part of the split by band about the vertex is the neighbour in? */
static int
side_of(float offset, float band)
{
	return offset < -band ? 0 : offset > band ? 2 : 1;
}

int
tg_split(const float *vertex, const float *const *vectors, int n, int dims,
		 const float *ranges, float interval, uint16 *order,
		 TgDivision *division)
{
	int			best = -1;
	int			best_difference = 0;
	int			best_outside = 0;
	int			counts[3];
	float		band;
	int			placed = 0;

	for (int j = 0; j < dims; j++)
	{
		int			difference;
		int			outside;

		band = ranges[j] / interval;
		memset(counts, 0, sizeof(counts));
		for (int i = 0; i < n; i++)
			counts[side_of(vectors[i][j] - vertex[j], band)]++;
		if (counts[0] == 0 || counts[2] == 0)
			continue;
		difference = abs(counts[0] - counts[2]);
		outside = counts[0] + counts[2];
		if (best < 0 || difference < best_difference ||
			(difference == best_difference && outside > best_outside))
		{
			best = j;
			best_difference = difference;
			best_outside = outside;
		}
	}
	if (best < 0)
	{
		for (int i = 0; i < n; i++)
			order[i] = (uint16) i;
		return 0;
	}

	band = ranges[best] / interval;
	memset(counts, 0, sizeof(counts));
	for (int side = 0; side < 3; side++)
		for (int i = 0; i < n; i++)
			if (side_of(vectors[i][best] - vertex[best], band) == side)
			{
				order[placed++] = (uint16) i;
				counts[side]++;
			}
	division->split.common = (uint8) counts[0];
	division->split.right = (uint8) (counts[0] + counts[1]);
	division->split.dim = (uint16) best;
	division->split.band = band;
	return 2;
}
