/*-------------------------------------------------------------------------
 *
 * test_cluster.c
 *	  The division of neighbour lists, against the promises of cluster.h.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "graph/cluster.h"
#include "graph/search.h"
#include "sample.h"
#include "tap.h"

/* A division, and what it was made of. */
typedef struct Division
{
	const float *vectors[TG_MAX_DEGREE];
	int			n;
	int			dims;
	int			k;
	int			nclusters;
	uint16		order[TG_MAX_DEGREE];
	uint8		start[TG_MAX_CLUSTERS];
} Division;

/*
 * Divide; the arrays have no more room than promised, so that ASan sees what
 * goes beyond.
 */
static Division
divide(const float *vectors, int n, int dims, int k)
{
	Division	division = {.n = n, .dims = dims, .k = k};
	float	   *scratch = malloc(sizeof(float) * TG_CLUSTER_SCRATCH(k, dims));
	uint16	   *order = malloc(sizeof(uint16) * n + 1);
	uint8	   *start = malloc(k);

	for (int i = 0; i < n; i++)
		division.vectors[i] = vectors + i * dims;
	division.nclusters = tg_cluster(division.vectors, n, dims, k, order, start,
									scratch);
	memcpy(division.order, order, sizeof(uint16) * n);
	memcpy(division.start, start, Min(k, division.nclusters));
	free(scratch);
	free(order);
	free(start);
	return division;
}

static int
cluster_end(const Division *division, int c)
{
	return c + 1 < division->nclusters ? division->start[c + 1] : division->n;
}

/* Is each member in it once, and no cluster empty? */
static bool
is_partition(const Division *division)
{
	bool		seen[TG_MAX_DEGREE] = {false};

	if (division->nclusters > division->k ||
		(division->nclusters == 0) != (division->n == 0))
		return false;
	for (int c = 0; c < division->nclusters; c++)
		if (division->start[c] >= cluster_end(division, c))
			return false;
	if (division->n > 0 && division->start[0] != 0)
		return false;
	for (int i = 0; i < division->n; i++)
	{
		if (division->order[i] >= division->n || seen[division->order[i]])
			return false;
		seen[division->order[i]] = true;
	}
	return true;
}

/* Is each cluster's first member the one nearest to the cluster's mean? */
static bool
representatives_central(const Division *division)
{
	int			dims = division->dims;
	float	   *mean = malloc(sizeof(float) * dims);
	bool		good = true;

	for (int c = 0; c < division->nclusters; c++)
	{
		int			first = division->start[c];
		int			end = cluster_end(division, c);
		double		distance;

		for (int j = 0; j < dims; j++)
		{
			double		sum = 0.0;

			for (int i = first; i < end; i++)
				sum += division->vectors[division->order[i]][j];
			mean[j] = (float) (sum / (end - first));
		}
		distance = reference_l2sq(division->vectors[division->order[first]],
								  mean, dims);
		for (int i = first + 1; i < end; i++)
			good &= reference_l2sq(division->vectors[division->order[i]], mean,
								   dims) >= distance * (1.0 - 1e-5);
	}
	free(mean);
	return good;
}

/* Mean squared distance of the members to the mean of their cluster. */
static double
inertia(const Division *division)
{
	double		total = 0.0;

	for (int c = 0; c < division->nclusters; c++)
	{
		int			first = division->start[c];
		int			end = cluster_end(division, c);

		/* Half of all pairs' mean is the sum about the cluster's mean. */
		for (int i = first; i < end; i++)
			for (int j = first; j < end; j++)
				total += reference_l2sq(division->vectors[division->order[i]],
										division->vectors[division->order[j]],
										division->dims) / (2.0 * (end - first));
	}
	return total / division->n;
}

/* Sampled with so many clusters: is a cluster what was sampled together? */
static bool
recovers(const Division *division, int nclusters)
{
	if (division->nclusters != nclusters)
		return false;
	for (int c = 0; c < nclusters; c++)
		for (int i = division->start[c]; i < cluster_end(division, c); i++)
			if (division->order[i] % nclusters !=
				division->order[division->start[c]] % nclusters)
				return false;
	return true;
}

static void
test_partitions(void)
{
	static const int counts[] = {0, 1, 2, 3, 4, 8, 9, 31, 32, 33, 100, 255, 256};
	static const int dims[] = {1, 2, 17, 128};

	for (int d = 0; d < (int) lengthof(dims); d++)
		for (int k = 1; k <= TG_MAX_CLUSTERS; k++)
		{
			bool		partition = true;
			bool		few = true;
			bool		equal = true;
			bool		same = true;

			for (int c = 0; c < (int) lengthof(counts); c++)
			{
				int			n = counts[c];
				float	   *vectors = sample_vectors(n, dims[d]);
				Division	division = divide(vectors, n, dims[d], k);
				Division	again = divide(vectors, n, dims[d], k);

				partition &= is_partition(&division);
				same &= memcmp(&division, &again, sizeof(division)) == 0;
				if (n <= k || k == 1)
					few &= division.nclusters == (n > 0);
				else
					few &= division.nclusters > 1;

				for (int i = 0; i < n * dims[d]; i++)
					vectors[i] = 5.0f;
				division = divide(vectors, n, dims[d], k);
				equal &= is_partition(&division) &&
					division.nclusters == (n > 0);

				/* All equal but one: two clusters, if there may be. */
				if (n > 2)
				{
					vectors[(n - 1) * dims[d]] = 6.0f;
					division = divide(vectors, n, dims[d], k);
					equal &= is_partition(&division) &&
						division.nclusters == (k > 1 && n > k ? 2 : 1);
				}
				free(vectors);
			}
			ok(partition, "each member is in one of %d clusters, %d dimensions",
			   k, dims[d]);
			ok(few, "number of clusters of %d, %d dimensions", k, dims[d]);
			ok(equal, "equal members are one of %d clusters, %d dimensions", k,
			   dims[d]);
			ok(same, "the same again for %d clusters, %d dimensions", k,
			   dims[d]);
		}
}

static void
test_quality(void)
{
	for (int k = 2; k <= TG_MAX_CLUSTERS; k++)
	{
		float	   *vectors = sample_clusters(96, 20, k, 10.0f);
		Division	division = divide(vectors, 96, 20, k);

		ok(is_partition(&division) && recovers(&division, k),
		   "%d separate clusters are found", k);
		ok(representatives_central(&division),
		   "representatives of %d clusters are nearest to the centres", k);
		free(vectors);
	}

	/*
	 * Without structure: k-means on a line takes three clusters down to a
	 * ninth of the variance, if its centres move.
	 */
	{
		float		line[200];
		Division	division;
		double		whole;

		for (int i = 0; i < 200; i++)
			line[i] = (float) (i * i % 211);
		division = divide(line, 200, 1, 1);
		whole = inertia(&division);
		division = divide(line, 200, 1, 3);
		if (!ok(division.nclusters == 3 && inertia(&division) < 0.14 * whole,
				"centres settle"))
			diag("inertia %g of %g", inertia(&division), whole);
	}
}

/* Values that floats cannot sum must not break the partition. */
static void
test_extremes(void)
{
	static const float values[] = {1e19f, 1e30f, 3e38f, INFINITY, NAN};

	for (int v = 0; v < (int) lengthof(values); v++)
	{
		float	   *vectors = sample_vectors(64, 8);
		Division	one;
		Division	all;

		vectors[5 * 8 + 3] = values[v];
		one = divide(vectors, 64, 8, 3);
		for (int i = 0; i < 64 * 8; i++)
			vectors[i] = i % 2 ? values[v] : -values[v];
		all = divide(vectors, 64, 8, 3);
		ok(is_partition(&one) && is_partition(&all),
		   "each member is in one cluster, with values of %g", values[v]);
		free(vectors);
	}
}

int
main(void)
{
	tg_kernels_select("auto");
	test_partitions();
	test_quality();
	test_extremes();
	return done_testing();
}
