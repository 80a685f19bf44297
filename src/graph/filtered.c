/*-------------------------------------------------------------------------
 *
 * filtered.c
 *	  Routing where most vertices have no rows to return, because a filter
 *	  rejects them.
 *
 * Vertices that fail lead the search on like any others, but only those that
 * pass are counted.  A pool of a fixed size does not do: how many must be
 * expanded until enough of them have passed is not known before.  So nothing
 * that was seen is turned away: candidates wait in a heap, the nearest is
 * expanded, until the wanted number have passed and nothing nearer than the
 * last of them waits.  To go on for more costs nothing over again.
 *
 * The nearest of all that pass may be far away: none of those expanded first
 * pass then, and the search would walk through most of the graph.  From what
 * it has seen it estimates what it still has to expand.  Where that is more than
 * reading all of the index costs, it gives up, after a quarter of that at least,
 * so that chance does not decide too early, and after all of it at last.
 *
 * Stage 1 of the guided search is not made: it saves nothing where lists carry
 * codes, and the walk towards the query is the least part of this one.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/workspace.h"

#include <math.h>

/* Before so much of what a sweep costs is spent, the search is not given up. */
#define TRIAL_SHARE		(1.0 / 4)

/*
 * Put a candidate into the frontier.  Returns its place there.
 */
static int
frontier_push(TgSearch *search, float key, TgVertexId id)
{
	TgKeyed    *heap;
	int			at = search->frontier.n;

	keyed_add(&search->frontier, key, id);
	heap = search->frontier.items;
	while (at > 0 && heap[(at - 1) / 2].key > key)
	{
		heap[at] = heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap[at] = (TgKeyed) {key, id};
	return at;
}

static TgKeyed
frontier_pop(TgSearch *search)
{
	TgKeyed    *heap = search->frontier.items;
	TgKeyed		nearest = heap[0];
	TgKeyed		last = heap[--search->frontier.n];
	int			n = search->frontier.n;
	int			at = 0;

	for (;;)
	{
		int			child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && heap[child + 1].key < heap[child].key)
			child++;
		if (last.key <= heap[child].key)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = last;
	return nearest;
}

/*
 * Note that a candidate with this key passes.
 */
static void
passing_add(TgSearch *search, float key, TgVertexId id)
{
	TgKeyed    *items;
	int			at = search->passing.n;

	keyed_add(&search->passing, key, id);
	items = search->passing.items;
	for (; at > 0 && items[at - 1].key > key; at--)
		items[at] = items[at - 1];
	items[at] = (TgKeyed) {key, id};
}

/*
 * Compute the exact distance of the open vertex, which makes it a result if it
 * passes.  Returns its key.
 */
static float
meet(TgSearch *search, const TgVertexView *view, bool *pass)
{
	TgGraph    *graph = search->graph;
	TgResult	result;
	float		key = graph->distance(graph, view, &result, pass);

	search->stats.distances++;
	keyed_add(&search->expanded, key, view->id);
	if (*pass)
	{
		result.id = view->id;
		tg_results_add(search, &result);
	}
	return key;
}

/*
 * Put a candidate into the frontier, and have its record read if it is to be
 * expanded soon and records come from disk.
 */
static inline void
offer(TgSearch *search, float key, TgVertexId id)
{
	TgGraph    *graph = search->graph;
	int			place = frontier_push(search, key, id);

	if (unlikely(place < graph->ahead))
		graph->read_ahead(graph, id);
}

/*
 * Expand a candidate.
 */
static void
expand(TgSearch *search, TgKeyed candidate)
{
	TgGraph    *graph = search->graph;
	TgVertexView view;
	bool		pass;
	float		key;

	if (!graph->open(graph, candidate.id, &view))
		return;
	key = meet(search, &view, &pass);
	if (pass)
		passing_add(search, candidate.key, candidate.id);
	for (int b = 0; b * TG_BLOCK_LANES < view.degree; b++)
	{
		TgBlockView block = tg_view_block(&graph->shape, &view, b);
		int			n = Min(TG_BLOCK_LANES, view.degree - b * TG_BLOCK_LANES);
		float		estimates[TG_BLOCK_LANES];

		tg_kernels->score(search->table, block.codes, block.a, block.f, key,
						  INFINITY, estimates);
		search->stats.estimates += TG_BLOCK_LANES;
		for (int lane = 0; lane < n; lane++)
			if (visited_add(search, block.ids[lane]))
				offer(search, estimates[lane], block.ids[lane]);
	}
	if (graph->prefetch && search->frontier.n > 0)
		graph->prefetch(graph, search->frontier.items[0].id);
	graph->close(graph);
}

/*
 * Visit a neighbour, in a graph without codes.
 */
static void
visit(TgSearch *search, TgVertexId id)
{
	TgGraph    *graph = search->graph;
	TgVertexView view;
	bool		pass;
	float		key;

	if (!graph->open(graph, id, &view))
		return;
	key = meet(search, &view, &pass);
	graph->close(graph);
	if (pass)
		passing_add(search, key, id);
	offer(search, key, id);
}

/*
 * Same as expand(), for a graph without codes.
 */
static void
expand_plain(TgSearch *search, TgKeyed candidate)
{
	TgGraph    *graph = search->graph;
	TgVertexView view;
	TgVertexId	ids[TG_MAX_DEGREE];
	bool		entry = search->expanded.n == 0;
	bool		pass;

	if (!graph->open(graph, candidate.id, &view))
		return;
	if (entry)
		meet(search, &view, &pass);
	for (int lane = 0; lane < view.degree; lane++)
		ids[lane] = tg_view_block(&graph->shape, &view,
								  lane / TG_BLOCK_LANES).ids[lane % TG_BLOCK_LANES];
	graph->close(graph);
	for (int lane = 0; lane < view.degree; lane++)
		if (visited_add(search, ids[lane]))
			visit(search, ids[lane]);
}

/*
 * Have enough passed?
 */
static inline bool
is_done(const TgSearch *search, const TgFilteredParams *params)
{
	return search->passing.n >= params->wanted &&
		search->expanded.n >= params->least &&
		search->passing.items[params->wanted - 1].key <=
		search->frontier.items[0].key;
}

/* Bytes the search takes. */
static Size
memory_used(const TgSearch *search)
{
	return sizeof(uint64) * (Size) search->visited_mask +
		sizeof(TgKeyed) * ((Size) search->frontier.capacity +
						   search->expanded.capacity) +
		sizeof(TgResult) * (Size) search->results_capacity;
}

/*
 * Would a sweep cost less than what is left to do?
 */
static inline bool
is_hopeless(const TgSearch *search, const TgFilteredParams *params)
{
	double		spent = search->expanded.n;
	double		share = (search->passing.n + 1.0) / (spent + 1.0);

	if (memory_used(search) > params->memory)
		return true;
	if (spent < params->sweep_hops * TRIAL_SHARE)
		return false;
	return spent >= params->sweep_hops ||
		(params->wanted - search->passing.n) / share > params->sweep_hops;
}

bool
tg_search_run_filtered(TgSearch *search, const TgFilteredParams *params)
{
	bool		plain = search->graph->shape.codes_size == 0;

	/* The entry came into the pool. */
	if (search->expanded.n == 0 && search->pool_size > 0)
	{
		frontier_push(search, search->pool[0].key, search->pool[0].id);
		search->pool_size = 0;
	}
	while (search->frontier.n > 0)
	{
		TgKeyed		nearest;

		tg_check_interrupts();
		if (is_done(search, params))
			return true;
		if (is_hopeless(search, params))
			return false;
		nearest = frontier_pop(search);
		search->stats.hops++;
		if (plain)
			expand_plain(search, nearest);
		else
			expand(search, nearest);
	}
	return false;
}
