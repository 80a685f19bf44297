/*-------------------------------------------------------------------------
 *
 * curve.c
 *	  How large a pool has to be for a recall; see curve.h.
 *
 * What a search misses falls about as a power of its ef, so that between two
 * points the logarithm of the ef is taken to be linear in that of the rows
 * missed, and likewise in that of the rank.
 *
 *-------------------------------------------------------------------------
 */
#include "tune/curve.h"

#include <math.h>

const double tg_curve_recalls[TG_CURVE_POINTS] =
{0.70, 0.80, 0.90, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999};

const int	tg_curve_ranks[TG_CURVE_RANKS] = {10, 100};

const TgCurve tg_curve_assumed =
{{
	{12, 16, 24, 36, 56, 80, 110, 170, 220},
	{80, 90, 120, 160, 220, 280, 360, 470, 580}
}};

/* Less than this cannot be told from nothing. */
#define LEAST_MISSED		1e-5

/* No pool is larger than this, whatever a damaged curve says. */
#define MAX_EF				1e9

/* A curve is continued beyond what was measured by this factor at most. */
#define MAX_CONTINUED		4.0

static inline double
missed(double recall)
{
	return log(Max(1.0 - recall, LEAST_MISSED));
}

/* The line through (x0, y0) and (x1, y1) at x. */
static inline double
line(double x0, double y0, double x1, double y1, double x)
{
	return x1 == x0 ? y1 : y0 + (y1 - y0) * (x - x0) / (x1 - x0);
}

/*
 * The ef of a recall, from points whose recall ascends with ef.
 */
static double
interpolate(const double *ef, const double *recall, int n, double wanted)
{
	int			i = 1;
	double		result;

	if (n == 1 || wanted <= recall[0])
		return ef[0];
	while (i < n - 1 && recall[i] < wanted)
		i++;
	if (recall[i] <= recall[i - 1])
		return ef[i];
	result = exp(line(missed(recall[i - 1]), log(ef[i - 1]),
					  missed(recall[i]), log(ef[i]), missed(wanted)));
	return Min(result, MAX_CONTINUED * ef[n - 1]);
}

double
tg_curve_value(const double *values, const double *recall, int n,
			   double wanted)
{
	double	   *rising_values = tg_alloc(sizeof(double) * n);
	double	   *rising_recall = tg_alloc(sizeof(double) * n);
	double		result;
	int			count = 0;

	/* Of more that finds no more there is nothing to learn. */
	for (int i = 0; i < n; i++)
	{
		if (count > 0 && recall[i] <= rising_recall[count - 1])
			continue;
		rising_values[count] = values[i];
		rising_recall[count++] = recall[i];
	}
	result = interpolate(rising_values, rising_recall, count, wanted);
	tg_free(rising_values);
	tg_free(rising_recall);
	return result;
}

void
tg_curve_fit(TgCurve *curve, int rank, const int *ef, const double *recall,
			 int n)
{
	double	   *values = tg_alloc(sizeof(double) * n);

	for (int i = 0; i < n; i++)
		values[i] = ef[i];
	for (int i = 0; i < TG_CURVE_POINTS; i++)
		curve->ef[rank][i] = (float)
			tg_curve_value(values, recall, n, tg_curve_recalls[i]);
	tg_free(values);
}

/*
 * The ef of a rank's recall.  Beyond the last point the curve goes on as it
 * came from the point with ten times as much missed.
 */
static double
rank_ef(const TgCurve *curve, int rank, double recall)
{
	double		ef[TG_CURVE_POINTS];
	const double tenth = 0.99;
	double		last = tg_curve_recalls[TG_CURVE_POINTS - 1];

	for (int i = 0; i < TG_CURVE_POINTS; i++)
		ef[i] = Max(curve->ef[rank][i], 1);
	if (recall > last)
	{
		double		from = interpolate(ef, tg_curve_recalls, TG_CURVE_POINTS,
									   tenth);

		return exp(line(missed(tenth), log(from), missed(last),
						log(ef[TG_CURVE_POINTS - 1]), missed(recall)));
	}
	return interpolate(ef, tg_curve_recalls, TG_CURVE_POINTS, recall);
}

double
tg_curve_ef(const TgCurve *curve, double recall, double k)
{
	double		low = rank_ef(curve, 0, recall);
	double		high = Max(low, rank_ef(curve, 1, recall));
	double		ef;

	if (k <= tg_curve_ranks[0])
		ef = low;
	else if (k >= tg_curve_ranks[1])
		ef = high * k / tg_curve_ranks[1];
	else
		ef = exp(line(log(tg_curve_ranks[0]), log(low),
					  log(tg_curve_ranks[1]), log(high), log(k)));
	return Min(ef, MAX_EF);
}

int
tg_whole_ef(double ef)
{
	/* What rounding adds to a whole number must not make it the next. */
	return (int) Min(ceil(ef - 1e-4), MAX_EF);
}

int64
tg_curve_rows(const TgCurve *curve, double recall, int64 ef)
{
	double		low = rank_ef(curve, 0, recall);
	double		high = Max(low, rank_ef(curve, 1, recall));

	if (ef >= high)
		return Max((int64) (tg_curve_ranks[1] * (ef / high)),
				   tg_curve_ranks[0]);
	if (ef <= low)
		return tg_curve_ranks[0];
	return (int64) exp(line(log(low), log(tg_curve_ranks[0]),
							log(high), log(tg_curve_ranks[1]), log(ef)));
}
