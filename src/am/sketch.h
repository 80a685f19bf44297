/*-------------------------------------------------------------------------
 *
 * sketch.h
 *	  What the bytes of sketches mean: rows to bytes, and conditions to the
 *	  bytes that satisfy them.
 *
 *	0			rows of any kind
 *	1			NULL
 *	2 to 254	of a column of a fixed length: 2 + how many of the ruler's bounds
 *				are not above the value; of a hash: one of 253 parts of it
 *	128 to 254	of an array: 128 + 7 bits, into which its signature is folded
 *	255			no rows
 *
 * A ruler is drawn when an index is built, from its rows: its bounds divide them
 * into about equal parts, and the order is that of the operator class, by its
 * operator <=.  So a condition < or > is satisfied by a range of bytes, whatever
 * the type.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_SKETCH_H
#define TOGG_SKETCH_H

#include "am/filter.h"
#include "page/sketch.h"

/* What makes sketches of an index's rows. */
typedef struct TgSketcher TgSketcher;

/* NULL if the index has no sketches. */
extern TgSketcher *tg_sketcher_create(Relation index, const TgIndex *info);

/*
 * A row came to a slot: to be called when it is there, in the transaction that
 * inserts it.
 */
extern void tg_sketcher_add(TgSketcher *sketcher, TgVertexId id,
							const TgRow *row);

/*
 * Rows went from a slot, whose page is locked exclusively: its header is as it
 * is going to be.
 */
extern void tg_sketcher_renew(TgSketcher *sketcher, TgVertexId id,
							  const TgSlotHeader *header);

/* Does what is known of a slot allow for one of its rows? */
extern bool tg_sketcher_fits(TgSketcher *sketcher, TgVertexId id,
							 const TgRow *row);

/* Make the sketches of an index that has been built and has none. */
extern void tg_sketch_build(Relation index);

/*
 * Get ready to read what is known of the slots under a filter.  False if the
 * index has no sketches, or they say nothing about the filter's conditions.
 * *share is set to the share of vertices that may pass, about.
 */
extern bool tg_sketch_filter(TgSketchReader *reader, Relation index,
							 const TgIndex *info, const TgFilter *filter,
							 double *share);

#endif							/* TOGG_SKETCH_H */
