/*-------------------------------------------------------------------------
 *
 * test_coarse.c
 *	  Coarse copies of vectors: what they tell is near the truth, and what
 *	  they cannot tell they do not.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include <math.h>

#include "coarse_copies.h"
#include "sample.h"
#include "tap.h"

/*
 * Distances of copies against those of the vectors, in deviations of the error
 * that rounding makes: none far off, and right on average.
 */
static void
test_distances(int dims, float deviation)
{
	const int	n = 300;
	float	   *vectors = sample_vectors(n, dims);
	float	   *centre = calloc(dims, sizeof(float));
	TgCoarse	coarse;
	double		sum = 0.0;
	double		worst = 0.0;
	int			told = 0;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < dims; j++)
			vectors[i * dims + j] = (vectors[i * dims + j] + (j % 7)) * deviation;
	for (int j = 0; j < dims; j++)
		centre[j] = (j % 7) * deviation;
	coarse = make_copies(vectors, n, dims, centre);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < i; j++)
		{
			double		exact = reference_l2sq(vectors + i * dims,
											   vectors + j * dims, dims);
			double		step2 = (double) coarse.step * coarse.step;
			float		distance;
			double		error;

			if (!tg_coarse_distance(&coarse, i, j, &distance))
				continue;
			error = (distance - exact) / step2 / sqrt(2.0 / 3.0 * exact / step2);
			sum += error;
			worst = Max(worst, fabs(error));
			told++;
		}
	if (!ok(told > n * (n - 1) / 2 * 0.8 && worst < 6.0 &&
			fabs(sum / told) < 0.1,
			"%d dimensions, deviation %g: distances are near the true ones",
			dims, deviation))
		diag("%d of %d told, on average %g deviations off, at most %g", told,
			 n * (n - 1) / 2, sum / told, worst);
	free_copies(&coarse);
	free(centre);
	free(vectors);
}

/* Copies that all are alike do not tell vectors apart. */
static void
test_near(void)
{
	const int	n = 200;
	const int	dims = 100;
	float	   *vectors = sample_clusters(n, dims, 2, 1000.0f);
	float	   *centre = calloc(dims, sizeof(float));
	TgCoarse	coarse = make_copies(vectors, n, dims, centre);
	float		distance;
	int			near_told = 0;
	int			far_told = 0;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
		{
			bool		told = tg_coarse_distance(&coarse, i, j, &distance);

			if ((i - j) % 2 == 0)
				near_told += told;
			else
				far_told += told;
		}
	ok(near_told == 0, "within a cluster copies say nothing");
	ok(far_told == n * n / 2, "from one to the other they do");
	free_copies(&coarse);
	free(centre);
	free(vectors);
}

/* A vector that the levels do not reach has no copy. */
static void
test_beyond(void)
{
	static const float values[] = {1e3f, -1e30f, INFINITY, NAN};
	const int	n = 100;
	const int	dims = 64;
	float	   *vectors = sample_vectors(n, dims);
	float	   *centre = calloc(dims, sizeof(float));

	for (int v = 0; v < (int) lengthof(values); v++)
	{
		TgCoarse	coarse;
		float		distance;

		vectors[50 * dims + v] = values[v];
		coarse = make_copies(vectors, n, dims, centre);
		ok(coarse.step > 0.0f && coarse.step < 0.2f &&
		   !tg_coarse_distance(&coarse, 50, 1, &distance) &&
		   !tg_coarse_distance(&coarse, 1, 50, &distance) &&
		   tg_coarse_distance(&coarse, 1, 2, &distance),
		   "a vector with %g among others has no copy", values[v]);
		free_copies(&coarse);
	}
	free(centre);
	free(vectors);
}

static void
test_step(void)
{
	const int	n = 100;
	const int	dims = 64;
	float	   *vectors = calloc(n * dims, sizeof(float));

	ok(tg_coarse_step(vectors, 0, dims) == 0.0f, "no step for no vectors");
	ok(tg_coarse_step(vectors, n, dims) == 0.0f, "no step for what does not reach anywhere");
	for (int i = 0; i < n * dims; i++)
		vectors[i] = 1e-40f;
	ok(tg_coarse_step(vectors, n, dims) == 0.0f, "no step for denormals");
	for (int i = 0; i < n * dims; i++)
		vectors[i] = 1e30f;
	ok(tg_coarse_step(vectors, n, dims) == 0.0f, "no step whose square is beyond floats");
	for (int i = 0; i < n * dims; i++)
		vectors[i] = NAN;
	ok(tg_coarse_step(vectors, n, dims) == 0.0f, "no step for NaNs");
	free(vectors);
}

int
main(void)
{
	tg_kernels_select("auto");
	test_distances(64, 1.0f);
	test_distances(100, 1e-6f);
	test_distances(784, 1e6f);
	test_distances(1537, 1.0f);
	test_near();
	test_beyond();
	test_step();
	return done_testing();
}
