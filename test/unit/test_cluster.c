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

/* A division into clusters, and what it was made of. */
typedef struct Clustering
{
	const float *vectors[TG_MAX_DEGREE];
	int			n;
	int			dims;
	int			k;
	int			nclusters;
	uint16		order[TG_MAX_DEGREE];
	TgDivision	division;
} Clustering;

/*
 * Divide; the arrays have no more room than promised, so that ASan sees what
 * goes beyond.
 */
static Clustering
divide(const float *vectors, int n, int dims, int k)
{
	Clustering	clustering = {.n = n, .dims = dims, .k = k};
	float	   *scratch = malloc(sizeof(float) * TG_CLUSTER_SCRATCH(k, dims));
	uint16	   *order = malloc(sizeof(uint16) * n + 1);

	for (int i = 0; i < n; i++)
		clustering.vectors[i] = vectors + i * dims;
	clustering.nclusters = tg_cluster(clustering.vectors, n, dims, k, order,
									  &clustering.division, scratch);
	memcpy(clustering.order, order, sizeof(uint16) * n);
	free(scratch);
	free(order);
	return clustering;
}

/*
 * Members of a cluster: its representative, then those further back.  Returns
 * how many.
 */
static int
cluster_members(const Clustering *clustering, int c, uint16 *members)
{
	int			k = clustering->nclusters;
	const uint8 *start = clustering->division.start;
	int			end = c + 1 < k ? k + start[c + 1] : clustering->n;
	int			n = 0;

	members[n++] = clustering->order[c];
	for (int i = k + start[c]; i < end; i++)
		members[n++] = clustering->order[i];
	return n;
}

/* Is each of the n in it once? */
static bool
is_permutation(const uint16 *order, int n)
{
	bool		seen[TG_MAX_DEGREE] = {false};

	for (int i = 0; i < n; i++)
	{
		if (order[i] >= n || seen[order[i]])
			return false;
		seen[order[i]] = true;
	}
	return true;
}

/* Is each member in one cluster, and no cluster empty? */
static bool
is_partition(const Clustering *clustering)
{
	int			k = clustering->nclusters;
	const uint8 *start = clustering->division.start;

	if (k > clustering->k || (k == 0) != (clustering->n == 0))
		return false;
	for (int c = 0; c < k; c++)
		if (start[c] < (c > 0 ? start[c - 1] : 0) ||
			start[c] > clustering->n - k)
			return false;
	return (k == 0 || start[0] == 0) &&
		is_permutation(clustering->order, clustering->n);
}

/*
 * Is each representative the member nearest to its cluster's mean, by what is
 * looked at of the vectors?
 */
static bool
representatives_central(const Clustering *clustering)
{
	int			dims = Min(clustering->dims, TG_CLUSTER_DIMS);
	float	   *mean = malloc(sizeof(float) * dims);
	bool		good = true;

	for (int c = 0; c < clustering->nclusters; c++)
	{
		uint16		members[TG_MAX_DEGREE];
		int			n = cluster_members(clustering, c, members);
		double		distance;

		for (int j = 0; j < dims; j++)
		{
			double		sum = 0.0;

			for (int i = 0; i < n; i++)
				sum += clustering->vectors[members[i]][j];
			mean[j] = (float) (sum / n);
		}
		distance = reference_l2sq(clustering->vectors[members[0]], mean, dims);
		for (int i = 1; i < n; i++)
			good &= reference_l2sq(clustering->vectors[members[i]], mean,
								   dims) >= distance * (1.0 - 1e-5);
	}
	free(mean);
	return good;
}

/* Mean squared distance of the members to the mean of their cluster. */
static double
inertia(const Clustering *clustering)
{
	double		total = 0.0;

	for (int c = 0; c < clustering->nclusters; c++)
	{
		uint16		members[TG_MAX_DEGREE];
		int			n = cluster_members(clustering, c, members);

		/* Half of all pairs' mean is the sum about the cluster's mean. */
		for (int i = 0; i < n; i++)
			for (int j = 0; j < n; j++)
				total += reference_l2sq(clustering->vectors[members[i]],
										clustering->vectors[members[j]],
										clustering->dims) / (2.0 * n);
	}
	return total / clustering->n;
}

/* Sampled with so many clusters: is a cluster what was sampled together? */
static bool
recovers(const Clustering *clustering, int nclusters)
{
	if (clustering->nclusters != nclusters)
		return false;
	for (int c = 0; c < nclusters; c++)
	{
		uint16		members[TG_MAX_DEGREE];
		int			n = cluster_members(clustering, c, members);

		for (int i = 1; i < n; i++)
			if (members[i] % nclusters != members[0] % nclusters)
				return false;
	}
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
				Clustering	division = divide(vectors, n, dims[d], k);
				Clustering	again = divide(vectors, n, dims[d], k);

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
test_quality(int dims)
{
	for (int k = 2; k <= TG_MAX_CLUSTERS; k++)
	{
		float	   *vectors = sample_clusters(96, dims, k, 10.0f);
		Clustering	division = divide(vectors, 96, dims, k);

		ok(is_partition(&division) && recovers(&division, k),
		   "%d separate clusters are found, %d dimensions", k, dims);
		ok(representatives_central(&division),
		   "representatives of %d clusters are nearest to the centres, %d dimensions",
		   k, dims);
		free(vectors);
	}
}

/*
 * Without structure: k-means on a line takes three clusters down to a ninth of
 * the variance, if its centres move.
 */
static void
test_settling(void)
{
	float		line[200];
	Clustering	division;
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

/* Values that floats cannot sum must not break the partition. */
static void
test_extremes(void)
{
	static const float values[] = {1e19f, 1e30f, 3e38f, INFINITY, NAN};

	for (int v = 0; v < (int) lengthof(values); v++)
	{
		float	   *vectors = sample_vectors(64, 8);
		Clustering	one;
		Clustering	all;

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

/* ---- k-d splits ---- */

/* Neighbours on either side of the vertex by more than the band. */
typedef struct Sides
{
	int			left;
	int			right;
} Sides;

static Sides
count_sides(const float *vertex, const float *const *vectors, int n, int dim,
			float band)
{
	Sides		sides = {0, 0};

	for (int i = 0; i < n; i++)
	{
		float		offset = vectors[i][dim] - vertex[dim];

		sides.left += offset < -band;
		sides.right += offset > band;
	}
	return sides;
}

/* Is a dimension of these sides to be preferred? */
static bool
is_more_even(Sides x, Sides y)
{
	int			difference = abs(x.left - x.right) - abs(y.left - y.right);

	return difference < 0 ||
		(difference == 0 && x.left + x.right > y.left + y.right);
}

/*
 * Split; is the dimension the best one, and each neighbour on its side?
 * *dim receives the dimension, -1 if the list is not divided.
 */
static bool
splits_well(const float *vertex, const float *vectors, int n, int dims,
			const float *ranges, float interval, int *dim)
{
	const float *members[TG_MAX_DEGREE];
	uint16	   *order = malloc(sizeof(uint16) * n + 1);
	TgDivision	division;
	Sides		sides = {0, 0};
	bool		good;
	int			parts;

	for (int i = 0; i < n; i++)
		members[i] = vectors + i * dims;
	parts = tg_split(vertex, members, n, dims, ranges, interval, order,
					 &division);
	good = is_permutation(order, n) && (parts == 0 || parts == 2);
	*dim = parts == 2 ? division.split.dim : -1;
	if (parts == 2)
	{
		float		band = ranges[*dim] / interval;

		sides = count_sides(vertex, members, n, *dim, band);
		good &= division.split.band == band && sides.left > 0 &&
			sides.right > 0 && division.split.common == sides.left &&
			division.split.right == n - sides.right;
		for (int i = 0; i < n; i++)
		{
			float		offset = members[order[i]][*dim] - vertex[*dim];
			bool		left = i < division.split.common;
			bool		right = i >= division.split.right;

			good &= left == (offset < -band) && right == (offset > band);
		}
	}

	/* No other has neighbours on both sides and is better. */
	for (int j = 0; j < dims; j++)
	{
		Sides		others = count_sides(vertex, members, n, j,
										 ranges[j] / interval);

		if (others.left > 0 && others.right > 0)
			good &= parts == 2 && !is_more_even(others, sides);
	}
	free(order);
	return good;
}

static void
test_splits(void)
{
	static const int counts[] = {0, 1, 2, 3, 31, 32, 33, 100, 255, 256};
	static const int dims[] = {1, 2, 17, 128};
	static const float intervals[] = {1.0f, 3.0f, 10.0f, 100.0f, 1e9f};

	for (int d = 0; d < (int) lengthof(dims); d++)
		for (int v = 0; v < (int) lengthof(intervals); v++)
		{
			bool		good = true;
			bool		divided = true;
			float	   *ranges = malloc(sizeof(float) * dims[d]);

			for (int c = 0; c < (int) lengthof(counts); c++)
			{
				int			n = counts[c];
				float	   *vectors = sample_vectors(n + 1, dims[d]);
				const float *members[TG_MAX_DEGREE + 1];
				int			dim;

				for (int i = 0; i <= n; i++)
					members[i] = vectors + i * dims[d];
				tg_ranges(members, n + 1, dims[d], ranges);
				good &= splits_well(members[n], vectors, n, dims[d], ranges,
									intervals[v], &dim);
				divided &= dim >= 0 || n < 31 || dims[d] == 1 ||
					intervals[v] < 10.0f;

				/*
				 * Whole numbers: as even sides on many dimensions, and
				 * neighbours at the very end of the band.
				 */
				for (int i = 0; i < (n + 1) * dims[d]; i++)
					vectors[i] = rintf(vectors[i]);
				for (int j = 0; j < dims[d]; j++)
					ranges[j] = intervals[v];
				good &= splits_well(members[n], vectors, n, dims[d], ranges,
									intervals[v], &dim);

				/* Everything to one side. */
				for (int i = 0; i < n * dims[d]; i++)
					vectors[i] = 100.0f;
				good &= splits_well(members[n], vectors, n, dims[d], ranges,
									intervals[v], &dim) && dim == -1;
				free(vectors);
			}
			ok(good, "k-d split, %d dimensions, interval %g", dims[d],
			   intervals[v]);
			ok(divided, "long lists are split, %d dimensions, interval %g",
			   dims[d], intervals[v]);
			free(ranges);
		}
}

/* Splits by hand: of even sides, of as even ones, of a band that swallows. */
static void
test_split_choice(void)
{
	/* By dimension: 1 and 3; 1, two common and 1; 2 and 2; 2 and 2. */
	static const float vectors[][4] = {
		{-1, -5, -3, -3}, {1, 0, -3, -3}, {1, 0, 3, 3}, {1, 5, 3, 3}
	};
	static const float vertex[4] = {0};
	static const float ranges[4] = {2, 10, 6, 6};
	static const float wide[4] = {2, 10, 40, 6};
	static const float widest[4] = {2, 10, 40, 40};
	int			dim;

	ok(splits_well(vertex, vectors[0], 4, 4, ranges, 10.0f, &dim) && dim == 2,
	   "of even sides those with more neighbours are chosen, and the first");
	ok(splits_well(vertex, vectors[0], 4, 4, wide, 10.0f, &dim) && dim == 3,
	   "a dimension whose band swallows all neighbours is not");
	ok(splits_well(vertex, vectors[0], 4, 4, widest, 10.0f, &dim) && dim == 1,
	   "even sides go before many neighbours");
}

static void
test_ranges(void)
{
	static const float a[] = {1.0f, -2.0f, 5.0f};
	static const float b[] = {-3.0f, -2.0f, 6.0f};
	static const float c[] = {0.5f, -2.0f, -INFINITY};
	const float *vectors[] = {a, b, c};
	float		ranges[3] = {7.0f, 7.0f, 7.0f};

	tg_ranges(vectors, 2, 3, ranges);
	ok(ranges[0] == 4.0f && ranges[1] == 0.0f && ranges[2] == 1.0f,
	   "ranges are from the least to the largest value");
	tg_ranges(vectors, 3, 3, ranges);
	ok(ranges[0] == 4.0f && ranges[1] == 0.0f && ranges[2] == INFINITY,
	   "ranges of infinite values");
	tg_ranges(vectors, 0, 3, ranges);
	ok(ranges[0] == 0.0f && ranges[1] == 0.0f && ranges[2] == 0.0f,
	   "ranges of nothing");
}

int
main(void)
{
	tg_kernels_select("auto");
	test_partitions();
	test_quality(20);
	test_quality(1000);
	test_settling();
	test_extremes();
	test_splits();
	test_split_choice();
	test_ranges();
	return done_testing();
}
