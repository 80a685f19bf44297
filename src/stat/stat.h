/*-------------------------------------------------------------------------
 *
 * stat.h
 *	  What all sessions count of an index, for the view togg_stat.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_STAT_H
#define TOGG_STAT_H

#include "datatype/timestamp.h"
#include "utils/rel.h"

#include "am/stats.h"

/* What is added up. */
typedef struct TgStatCounts
{
	int64		scans;			/* queries that came to their end */
	int64		rows;
	int64		hops;
	int64		pages;
	int64		distances;
	int64		widenings;
	int64		sweeps;
	int64		worker_runs;
} TgStatCounts;

/* What togg_recall() found last. */
typedef struct TgStatSample
{
	TimestampTz taken;			/* 0: never */
	int			k;
	int			asked;			/* queries */
	double		target;			/* 0: none was in force */
	double		recall;
} TgStatSample;

typedef struct TgStat
{
	TgStatCounts counts;
	TgStatSample sample;
	TimestampTz since;			/* when counting began */
} TgStat;

/* ---------- table.c: in shared memory ---------- */

/* To be called when the module is loaded. */
extern void tg_stat_table_init(void);

/*
 * Is there such memory?  It is allocated, or mapped, the first time: not to be
 * called at the end of a transaction, since that may raise an error.
 */
extern bool tg_stat_table_attach(void);

/*
 * The functions below take an index of this database, and ask for the table to
 * be attached.
 */

/*
 * Add counts, and set the sample if it was taken.  If that means to wait, do so
 * or return false.
 */
extern bool tg_stat_table_add(Oid index, const TgStatCounts *counts,
							  const TgStatSample *sample, bool wait);

/* What is known; zeros of an index that nobody has used. */
extern TgStat tg_stat_table_get(Oid index);

/* Begin anew; InvalidOid: all indexes of the database. */
extern void tg_stat_table_reset(Oid index);

/* ---------- stat.c: in a session ---------- */

/* A query has come to its end. */
extern void tg_stat_count_scan(Relation index, const TgScanStats *stats);

/* A worker runs. */
extern void tg_stat_count_worker(Relation index);

/* A sample was taken. */
extern void tg_stat_note_sample(Relation index, const TgStatSample *sample);

/* An index is new: what is known by its OID is of one long gone. */
extern void tg_stat_note_new(Relation index);

#endif							/* TOGG_STAT_H */
