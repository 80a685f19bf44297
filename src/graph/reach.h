/*-------------------------------------------------------------------------
 *
 * reach.h
 *	  Marking what can be reached in a graph, while it is read in any order.
 *
 * A vertex is reached when a link to it was seen from one that is; it has been
 * followed when all of its own links were looked at.  Two bits a vertex tell.
 * Those reached that are still to be followed wait on a short stack; for what
 * did not fit there all marks are gone through, as a garbage collector does it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_REACH_H
#define TOGG_REACH_H

#include "shim.h"

#include "graph/search.h"

#define TG_REACH_STACK	1024

typedef struct TgReach
{
	uint64	   *reached;		/* a bit for each vertex */
	uint64	   *followed;
	uint64		nwords;			/* of each; 0: nothing is marked */
	TgVertexId	stack[TG_REACH_STACK];
	int			nstack;
	bool		overflowed;		/* is there more than is on the stack? */
	uint64		word;			/* where the search for it is; nwords: not on */
} TgReach;

/* Bytes of the marks of so many vertices. */
#define TG_REACH_BYTES(n)	(2 * sizeof(uint64) * ((n) / 64 + 1))

extern void tg_reach_init(TgReach *reach, uint64 n);

static inline bool
tg_reach_has(const TgReach *reach, TgVertexId id)
{
	return id / 64 < reach->nwords &&
		(reach->reached[id / 64] >> (id % 64) & 1) != 0;
}

/* A link leads to the vertex.  Ids beyond the last are let pass. */
extern void tg_reach_mark(TgReach *reach, TgVertexId id);

/* All links of a vertex that was reached are being marked. */
extern void tg_reach_follow(TgReach *reach, TgVertexId id);

/* A vertex that was reached and not followed; false if there is none. */
extern bool tg_reach_next(TgReach *reach, TgVertexId *id);

#endif							/* TOGG_REACH_H */
