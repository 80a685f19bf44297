/*-------------------------------------------------------------------------
 *
 * check.h
 *	  What the parts of togg_check() share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_CHECK_H
#define TOGG_CHECK_H

#include "am/am.h"
#include "am/columns.h"
#include "am/sketch.h"

#include "access/tableam.h"
#include "lib/bloomfilter.h"
#include "nodes/execnodes.h"

typedef struct TgCheck
{
	Relation	heap;
	Relation	index;
	const TgIndex *tg;
	Snapshot	snapshot;
	TgReader	reader;
	ReturnSetInfo *result;
	BlockNumber nblocks;		/* of the index */
	BlockNumber heap_blocks;
	uint8	   *slots;			/* [nblocks * stripe_slots], see check.c */
	TgColumns	columns;
	TgRowChoice choice;			/* scans do not return what is killed */
	TgSketcher *sketcher;		/* NULL: the index has no sketches */

	/* Codes of a list, and their neighbours' vectors. */
	char	   *blocks;
	float	   *values;			/* [dims] */
	float	   *inner;			/* these: [inner_dims] */
	float	   *holder_rotated;
	float	   *rotated;
	uint8	   *levels;

	/* Rows, with heapallindexed only. */
	bloom_filter *rows;			/* all there are; else NULL */
	IndexInfo  *info;
	EState	   *estate;
	IndexFetchTableData *fetch;
	TupleTableSlot *row;
	float	   *row_values;		/* [dims] */
	char	   *row_bytes;
	TgRow	   *plain;			/* without the mark of killed ones */
} TgCheck;

/* Add a finding; slot is -1 for one about a page. */
extern void tg_check_report(TgCheck *check, BlockNumber block, int slot,
							const char *format,...) pg_attribute_printf(4, 5);
extern void tg_check_report_slot(TgCheck *check, TgVertexId id,
								 const char *text);

/* ---------- check_rows.c: the index beside its table ---------- */

/*
 * Look at a row's columns, and remember it if rows are to be; arg is the TgCheck.
 * See TgRowChoice.
 */
extern bool tg_check_note_row(const TgRow *row, void *arg);

extern void tg_check_rows_begin(TgCheck *check);
extern void tg_check_rows_end(TgCheck *check);

/*
 * Check the rows of a living vertex, whose stored vector is given as floats with
 * its bound of error; or, with values NULL, those of an unranked list.
 */
extern void tg_check_rows(TgCheck *check, BlockNumber block, int slot,
						  const ItemPointerData *tids, int64 n,
						  const float *values, float error, TgUnranked kind);

/* Is each row of the table among those that were checked? */
extern void tg_check_table(TgCheck *check);

#endif							/* TOGG_CHECK_H */
