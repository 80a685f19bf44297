/*-------------------------------------------------------------------------
 *
 * curve.h
 *	  How large a pool has to be for a recall: what a calibration learns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_CURVE_H
#define TOGG_CURVE_H

#include "shim.h"

/* Recalls and ranks that a curve knows; written to disk: never change. */
#define TG_CURVE_POINTS		9
#define TG_CURVE_RANKS		2

extern const double tg_curve_recalls[TG_CURVE_POINTS];
extern const int tg_curve_ranks[TG_CURVE_RANKS];

/* Largest recall that can be asked for. */
#define TG_MAX_RECALL		0.9999

/*
 * The ef by which a scan's first rows, as many as a rank says, are found with
 * each of the recalls.  All 0 where nothing was learnt.  They need not be whole
 * numbers: see TgSearchParams.
 */
typedef struct TgCurve
{
	float		ef[TG_CURVE_RANKS][TG_CURVE_POINTS];
} TgCurve;

static inline bool
tg_curve_is_known(const TgCurve *curve)
{
	return curve->ef[0][0] > 0;
}

/* A curve for indexes that have none yet. */
extern const TgCurve tg_curve_assumed;

/*
 * Set one rank of a curve from measurements: with ef[i], which ascend, recall
 * was recall[i].
 */
extern void tg_curve_fit(TgCurve *curve, int rank, const int *ef,
						 const double *recall, int n);

/*
 * The same for any value that rises with recall, and one recall.
 */
extern double tg_curve_value(const double *values, const double *recall,
							 int n, double wanted);

/* The ef by which the first k rows are found with this recall. */
extern double tg_curve_ef(const TgCurve *curve, double recall, double k);

/* The least whole ef that is enough. */
extern int	tg_whole_ef(double ef);

/*
 * How many rows are found with this recall by an ef; as many as the lowest
 * rank, at least.
 */
extern int64 tg_curve_rows(const TgCurve *curve, double recall, int64 ef);

#endif							/* TOGG_CURVE_H */
