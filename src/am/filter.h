/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  The conditions of an index scan, tested on rows as slots keep them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_FILTER_H
#define TOGG_FILTER_H

#include "access/skey.h"

#include "am/columns.h"
#include "am/radius.h"

/* Strategies of filter columns: btree's numbers are 1 to 5. */
#define TG_STRATEGY_OVERLAP		6	/* && of arrays */
#define TG_STRATEGY_CONTAINS	7	/* @> of arrays */
#define TG_MAX_FILTER_STRATEGY	7

/*
 * A sweep that looks at vectors only where a row passes takes as long as the
 * expansion of this share of all slots.
 */
#define TG_FILTER_SWEEP_SHARE	16

struct TgCondition;

typedef struct TgFilter
{
	TgColumns	columns;
	struct TgCondition *conditions;
	int			n;				/* on the further columns */
	bool		never;			/* no row can pass */
	bool		lossy;			/* rows that pass must be checked again */

	/* IS NULL and IS NOT NULL of the vector itself. */
	bool		null_vectors;	/* may rows without a vector pass? */
	bool		true_vectors;	/* and those with one? */

	bool		has_sphere;		/* must they be within one? */
	TgSphere	sphere;
} TgFilter;

extern void tg_filter_init(TgFilter *filter, Relation index);

/*
 * Set the conditions; what they take is allocated in the current memory
 * context.
 */
extern void tg_filter_set(TgFilter *filter, const ScanKeyData *keys, int nkeys);

/* Does a row pass?  arg is the TgFilter; see TgRowChoice. */
extern bool tg_filter_pass(const TgRow *row, void *arg);

#endif							/* TOGG_FILTER_H */
