/*-------------------------------------------------------------------------
 *
 * test_curve.c
 *	  Curves of ef by recall, and the k least of many distances.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include <math.h>

#include "tap.h"
#include "tune/curve.h"
#include "tune/nearest.h"

static uint64 state = 1;

static double
random_fraction(void)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (double) (state >> 11) / (double) (UINT64_C(1) << 53);
}

/* ---------- nearest.h ---------- */

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
test_nearest(int k, int n)
{
	double	   *all = malloc(sizeof(double) * (n + 1));
	TgNearest	nearest = {k, 0, malloc(sizeof(double) * k)};
	bool		same;

	/* Some are equal. */
	for (int i = 0; i < n; i++)
	{
		all[i] = floor(random_fraction() * n / 2);
		if (tg_nearest_wants(&nearest, all[i]))
			tg_nearest_add(&nearest, all[i]);
		if (tg_nearest_wants(&nearest, NAN))
			tg_nearest_add(&nearest, NAN);
	}
	qsort(all, n, sizeof(double), compare);
	tg_nearest_sort(&nearest);
	same = nearest.n == Min(k, n);
	for (int i = 0; i < nearest.n; i++)
		same = same && nearest.distances[i] == all[i];
	ok(same, "the %d least of %d", k, n);
	free(nearest.distances);
	free(all);
}

/* ---------- curve.h ---------- */

/* What a search of this kind misses: as a power of ef. */
static double
recall_of(double ef, double scale, double power)
{
	return 1 - pow(ef / scale, -power);
}

static double
ef_of(double recall, double scale, double power)
{
	return scale * pow(1 - recall, -1 / power);
}

/* A curve of two such ranks, measured at some pools. */
static TgCurve
measured_curve(double scale, double power)
{
	const int	ef[] = {10, 20, 40, 80, 160, 320, 640};
	double		recall[lengthof(ef)];
	TgCurve		curve = {0};

	for (int rank = 0; rank < TG_CURVE_RANKS; rank++)
	{
		for (int i = 0; i < (int) lengthof(ef); i++)
			recall[i] = Max(0, recall_of(ef[i], scale * (1 + 2 * rank), power));
		tg_curve_fit(&curve, rank, ef, recall, lengthof(ef));
	}
	return curve;
}

static void
test_power_law(void)
{
	TgCurve		curve = measured_curve(5, 1.5);
	bool		right = true;
	bool		inverse = true;

	ok(!tg_curve_is_known(&(TgCurve) {0}) && tg_curve_is_known(&curve) &&
	   tg_curve_is_known(&tg_curve_assumed), "which curves are known");
	for (int i = 1; i < TG_CURVE_POINTS; i++)
	{
		double		expected = ef_of(tg_curve_recalls[i], 5, 1.5);

		right = right && curve.ef[0][i] >= expected - 1e-3 &&
			curve.ef[0][i] <= 1.02 * expected;
	}
	ok(right, "a power law is found again");

	/* Between the points, and beyond the last. */
	right = true;
	for (double recall = 0.85; recall < 0.9999; recall += 0.0001)
	{
		double		expected = ef_of(recall, 5, 1.5);
		double		ef = tg_curve_ef(&curve, recall, 10);

		if (ef < 0.98 * expected || ef > 1.04 * expected)
			right = false;
	}
	ok(right, "between its points and beyond them");

	/* Ranks: three times the ef for ten times the rows. */
	right = true;
	for (int k = 1; k <= 1000; k++)
	{
		double		expected = ef_of(0.95, 5, 1.5) *
			(k <= 10 ? 1 : k >= 100 ? 3 * k / 100.0 : pow(k / 10.0, log10(3)));
		double		ef = tg_curve_ef(&curve, 0.95, k);
		int64_t		rows = tg_curve_rows(&curve, 0.95, tg_whole_ef(ef));

		right = right && ef >= 0.98 * expected && ef <= 1.05 * expected;
		inverse = inverse && rows >= Min(k, 10) && rows >= k - 1 &&
			rows <= Max(10, 1.06 * k + 1);
	}
	ok(right, "more rows take a larger pool");
	ok(inverse, "and as many rows come from that pool");
	ok(tg_curve_rows(&curve, 0.95, 1) == 10, "ten rows at least");
	ok(tg_whole_ef(13) == 13 && tg_whole_ef(13.00001) == 13 &&
	   tg_whole_ef(13.1) == 14, "whole pools are large enough");
}

static void
test_odd_measurements(void)
{
	TgCurve		curve = {0};
	const int	ef[] = {10, 20, 40, 80};

	tg_curve_fit(&curve, 0, ef, (double[]) {0.995, 1, 1, 1}, 4);
	ok(curve.ef[0][0] == 10 && curve.ef[0][6] == 10 &&
	   curve.ef[0][8] > 10 && curve.ef[0][8] <= 20,
	   "the smallest pool is enough");
	tg_curve_fit(&curve, 0, ef, (double[]) {0.5, 0.8, 0.79, 0.9}, 4);
	ok(curve.ef[0][1] == 20 && curve.ef[0][2] == 80 && curve.ef[0][8] == 320,
	   "a larger pool that finds less; continued as far as may be");
	tg_curve_fit(&curve, 0, ef, (double[]) {0, 0, 0, 0}, 4);
	ok(curve.ef[0][0] == 10, "nothing is found");
	tg_curve_fit(&curve, 0, ef, (double[]) {1}, 1);
	ok(curve.ef[0][8] == 10, "one measurement");
}

static void
test_rising(const TgCurve *curve, const char *name)
{
	bool		rising = true;

	for (double recall = 0.5; recall <= TG_MAX_RECALL; recall += 0.0001)
		for (int k = 1; k < 300; k += 17)
		{
			rising = rising &&
				tg_curve_ef(curve, recall, k) <= tg_curve_ef(curve, recall, k + 17) &&
				tg_curve_ef(curve, recall, k) <= tg_curve_ef(curve, recall + 0.0001, k) &&
				tg_curve_rows(curve, recall, k) <= tg_curve_rows(curve, recall, k + 17);
		}
	ok(rising, "%s: ef rises with recall and rows", name);
}

int
main(void)
{
	TgCurve		curve = measured_curve(7, 1.2);

	test_nearest(1, 1);
	test_nearest(1, 1000);
	test_nearest(10, 5);
	test_nearest(10, 1000);
	test_nearest(100, 5000);
	test_power_law();
	test_odd_measurements();
	test_rising(&curve, "measured");
	test_rising(&tg_curve_assumed, "assumed");
	return done_testing();
}
