/*-------------------------------------------------------------------------
 *
 * workspace.h
 *	  What the routings of a TgSearch share: the visited set, growing arrays,
 *	  and the heap of results.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_WORKSPACE_H
#define TOGG_WORKSPACE_H

#include "graph/search.h"

static inline void
keyed_add(TgKeyedArray *array, float key, TgVertexId id)
{
	if (array->n == array->capacity)
	{
		array->capacity *= 2;
		array->items = tg_realloc(array->items, sizeof(TgKeyed) *
								  (Size) array->capacity);
	}
	array->items[array->n].key = key;
	array->items[array->n].id = id;
	array->n++;
}

/* Double the room of the visited set. */
extern void tg_visited_grow(TgSearch *search);

static inline uint32
visited_slot(const TgSearch *search, TgVertexId id)
{
	return (id * 0x9E3779B1u) >> 7 & search->visited_mask;
}

/*
 * Where the vertex is in the visited set, or where it would be put.  Returns
 * whether it is there.
 */
static inline bool
visited_find(const TgSearch *search, TgVertexId id, uint32 *slot)
{
	uint64		entry = (uint64) search->epoch << 32 | id;

	*slot = visited_slot(search, id);
	for (;;)
	{
		uint64		present = search->visited[*slot];

		if (present == entry)
			return true;
		if (present >> 32 != search->epoch)
			return false;
		*slot = (*slot + 1) & search->visited_mask;
	}
}

/*
 * Add to the visited set; false if it was there.
 */
static inline bool
visited_add(TgSearch *search, TgVertexId id)
{
	uint32		slot;

	if (visited_find(search, id, &slot))
		return false;
	search->visited[slot] = (uint64) search->epoch << 32 | id;
	if (unlikely(++search->visited_used * 2 > search->visited_mask))
		tg_visited_grow(search);
	return true;
}

#endif							/* TOGG_WORKSPACE_H */
