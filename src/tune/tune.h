/*-------------------------------------------------------------------------
 *
 * tune.h
 *	  Measuring how well an index finds the nearest, and what it takes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_TUNE_H
#define TOGG_TUNE_H

#include "am/am.h"

/* ---------- sample.c: vertices to ask for ---------- */

/*
 * Living vertices of layer 0, in an order that is spread over all of the index
 * from the first few on, each at most once.
 */
typedef struct TgSampler
{
	TgReader   *reader;
	uint64		numbers;		/* of slots that there may be */
	uint64		step;			/* without a common divisor with that */
	uint64		next;
	uint64		left;
} TgSampler;

/* Begin; start chooses one of as many orders as there are slots. */
extern void tg_sampler_begin(TgSampler *sampler, TgReader *reader,
							 uint64 start);

/* The next vertex; false if there is none. */
extern bool tg_sampler_next(TgSampler *sampler, TgVertexId *id);

/* ---------- queries.c ---------- */

/*
 * Call add() for each vector, but NULLs, that a SELECT of one column of the
 * index's type returns, at most limit of them.  It runs with the rights of the
 * current user.
 */
extern void tg_read_queries(Relation index, const char *command, int limit,
							void (*add) (void *arg, Datum value), void *arg);

/* ---------- recall.c ---------- */

/* Raise an error if policies hide rows of the table from the current user. */
extern void tg_check_policies(Oid heap, const char *function);

/* ---------- calibrate.c: how large a pool takes which recall ---------- */

/*
 * A calibration is stale when one in so many vertices came, died or had their
 * lists clustered since.
 */
#define TG_CHANGED_SHARE	2

/* Fewer changes than this are not worth a process. */
#define TG_MIN_CHANGED		1024

/* What pg_stat_progress_create_index shows, besides the phases of a build. */
#define TG_PHASE_CALIBRATE	33

/* Calibrate an index; the metapage receives what is learnt. */
extern void tg_calibrate(Relation index);

/*
 * Has so much of the index changed that it should be done again, or have options
 * that it depends on?
 */
extern bool tg_calibration_is_due(Relation index, const TgMetaPage *meta);

/*
 * The same bit by bit.  The index may be closed between two calls of
 * tg_calibration_run(), which ends when all is done, or when pause() is true
 * (NULL: never), and returns whether all is done.  No buffer is locked while
 * pause() runs.  All memory is in the context current at the beginning.
 */
typedef struct TgCalibration TgCalibration;

extern TgCalibration *tg_calibration_begin(Relation index);
extern bool tg_calibration_run(TgCalibration *calibration, Relation index,
							   bool (*pause) (Relation index));
extern void tg_calibration_end(TgCalibration *calibration);

/* Raise an error unless the current user owns the index. */
extern void tg_check_owner(Oid oid);

#endif							/* TOGG_TUNE_H */
