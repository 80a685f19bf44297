/*-------------------------------------------------------------------------
 *
 * reach.c
 *	  Marking what can be reached in a graph; see reach.h.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/reach.h"

void
tg_reach_init(TgReach *reach, uint64 n)
{
	reach->nwords = n / 64 + 1;
	reach->reached = tg_alloc(TG_REACH_BYTES(n));
	reach->followed = reach->reached + reach->nwords;
	reach->nstack = 0;
	reach->overflowed = false;
	reach->word = reach->nwords;
}

void
tg_reach_mark(TgReach *reach, TgVertexId id)
{
	if (id / 64 >= reach->nwords || tg_reach_has(reach, id))
		return;
	reach->reached[id / 64] |= UINT64_C(1) << (id % 64);
	if (reach->nstack < TG_REACH_STACK)
		reach->stack[reach->nstack++] = id;
	else
		reach->overflowed = true;
}

void
tg_reach_follow(TgReach *reach, TgVertexId id)
{
	reach->followed[id / 64] |= UINT64_C(1) << (id % 64);
}

bool
tg_reach_next(TgReach *reach, TgVertexId *id)
{
	while (reach->nstack > 0)
	{
		*id = reach->stack[--reach->nstack];
		if (!(reach->followed[*id / 64] >> (*id % 64) & 1))
			return true;
	}
	while (reach->overflowed || reach->word < reach->nwords)
	{
		/* What overflows from now on may be behind us. */
		if (reach->word == reach->nwords)
		{
			reach->word = 0;
			reach->overflowed = false;
		}
		for (; reach->word < reach->nwords; reach->word++)
		{
			uint64		left = reach->reached[reach->word] &
				~reach->followed[reach->word];

			if (left != 0)
			{
				*id = reach->word * 64 + __builtin_ctzll(left);
				return true;
			}
		}
	}
	return false;
}
