/*-------------------------------------------------------------------------
 *
 * repair.h
 *	  Keeping the graph whole when vertices leave it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_REPAIR_H
#define TOGG_REPAIR_H

#include "am/am.h"

/* Vertices that are about to be freed, in ascending order. */
typedef struct TgDeadSet
{
	TgVertexId *ids;
	int64		n;
} TgDeadSet;

/* Replace every link to the dead. */
extern void tg_repair_lists(Relation index, const TgIndex *tg,
							const TgDeadSet *dead);

/* Link in again what cannot be reached from the root. */
extern void tg_repair_reach(Relation index, const TgIndex *tg);

#endif							/* TOGG_REPAIR_H */
