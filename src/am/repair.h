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

/* Vertices that are about to be freed. */
typedef struct TgDeadSet
{
	TgVertexId *ids;
	int64		n;
	uint64	   *filter;			/* repair.c's own */
	int			filter_shift;
} TgDeadSet;

/* Bytes that each of them may take, with room to grow. */
#define TG_DEAD_SET_BYTES	(2 * sizeof(TgVertexId) + 2)

/*
 * Replace every link to the dead, which are left in ascending order; link in
 * again what cannot be reached from the root, if the given memory, in bytes,
 * allows to find that out.
 */
extern void tg_repair(Relation index, const TgIndex *tg, TgDeadSet *dead,
					  int64 memory, BufferAccessStrategy strategy);

#endif							/* TOGG_REPAIR_H */
