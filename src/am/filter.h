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

/* To read the sketches of all slots, as long as that of this share. */
#define TG_SKETCH_SHARE			1000

/* Parts into which the bytes of sketches divide the values of a column. */
#define TG_SKETCH_PARTS			253

/*
 * What a column must satisfy: be NULL, be not NULL, or satisfy the operator
 * with any of the arguments.
 */
typedef struct TgCondition
{
	int			number;			/* of the column, from 0 on */
	const TgColumn *column;
	bool		wants_null;
	bool		wants_value;
	int			strategy;
	FmgrInfo	function;
	Oid			collation;
	Oid			type;			/* of the arguments */
	int			nargs;
	Datum	   *args;			/* of a plain column */
	uint64	   *digests;		/* of others */
} TgCondition;

typedef struct TgFilter
{
	TgColumns	columns;
	TgCondition *conditions;
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
