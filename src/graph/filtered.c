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
 * Where it is known of neighbours whether they may pass, not all that fail have
 * to be expanded.  Each vertex is in many lists, so that most of those that pass
 * are still met if some of the others are left out: as ACORN does, whose second
 * hop is the way through one that fails.  Which are left out is drawn by their
 * numbers, once for all lists.  And no more than two in a row may fail, so that
 * the search does not wander off into a region where nothing passes.
 *
 * Where rows that pass are rarer towards the query than elsewhere, they are found
 * on the rim of such a region, which the search goes around only by and by.  Then
 * more are wanted.
 *
 * The nearest of all that pass may be far away: none of those expanded first
 * pass then, and the search would walk through most of the graph.  From what
 * it has seen it estimates what it still has to expand.  Where that is more than
 * reading all of the index costs, it gives up, after an eighth of that at least,
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
#define TRIAL_SHARE		(1.0 / 8)

/* So many vertices in a row may fail on the way from one that passes. */
#define MAX_DETOUR		2

/* At most so many times the wanted number is wanted on the rim of a region. */
#define MAX_RIM			4

/* Neighbours that must be seen before their share counts for much. */
#define RIM_TRIAL		32

/*
 * Put a candidate into the frontier.  Returns its place there.
 */
static int
frontier_push(TgSearch *search, TgWaiting candidate)
{
	TgWaitingHeap *frontier = &search->frontier;
	TgWaiting  *heap;
	int			at = frontier->n++;

	if (at == frontier->capacity)
	{
		frontier->capacity *= 2;
		frontier->items = tg_realloc(frontier->items, sizeof(TgWaiting) *
									 (Size) frontier->capacity);
	}
	heap = frontier->items;
	while (at > 0 && heap[(at - 1) / 2].key > candidate.key)
	{
		heap[at] = heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap[at] = candidate;
	return at;
}

static TgWaiting
frontier_pop(TgSearch *search)
{
	TgWaiting  *heap = search->frontier.items;
	TgWaiting	nearest = heap[0];
	TgWaiting	last = heap[--search->frontier.n];
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
offer(TgSearch *search, TgWaiting candidate)
{
	TgGraph    *graph = search->graph;
	int			place = frontier_push(search, candidate);

	if (unlikely(place < graph->ahead))
		graph->read_ahead(graph, candidate.id);
}

/* A number of a vertex's own, the same at any time. */
static inline uint32
scatter(TgVertexId id)
{
	return (id + 1) * 0x9E3779B1u;
}

/*
 * Which of a vertex's neighbours are followed, of those not visited before?
 * They count as visited now.  Fills followed[] with their lanes, and detours[]
 * beside it; returns how many.  passing[] is whether they may pass.
 */
static int
follow(TgSearch *search, const TgVertexId *ids, const bool *passing, int n,
	   int detour, int *followed, int *detours)
{
	uint32		limit = detour < MAX_DETOUR ?
		(uint32) (TG_FOLLOWED_SHARE * UINT32_MAX) : 0;
	int			nfollowed = 0;

	for (int lane = 0; lane < n; lane++)
		if ((passing[lane] || scatter(ids[lane]) < limit) &&
			visited_add(search, ids[lane]))
		{
			detours[nfollowed] = passing[lane] ? 0 : detour + 1;
			followed[nfollowed++] = lane;
		}
	return nfollowed;
}

/*
 * Which of a vertex's neighbours may pass?
 */
static void
judge(TgSearch *search, const TgVertexId *ids, int n, bool *passing)
{
	TgGraph    *graph = search->graph;

	for (int lane = 0; lane < n; lane++)
		passing[lane] = graph->may_pass == NULL ||
			graph->may_pass(graph, ids[lane]);
}

/*
 * Expand a candidate.
 */
static void
expand(TgSearch *search, TgWaiting candidate)
{
	TgGraph    *graph = search->graph;
	TgVertexView view;
	TgVertexId	ids[TG_MAX_DEGREE];
	float		estimates[TG_MAX_DEGREE];
	bool		passing[TG_MAX_DEGREE];
	int			followed[TG_MAX_DEGREE];
	int			detours[TG_MAX_DEGREE];
	bool		pass;
	float		key;
	int			n;

	if (!graph->open(graph, candidate.id, &view))
		return;
	key = meet(search, &view, &pass);
	if (pass)
		passing_add(search, candidate.key, candidate.id);
	for (int b = 0; b * TG_BLOCK_LANES < view.degree; b++)
	{
		TgBlockView block = tg_view_block(&graph->shape, &view, b);

		memcpy(ids + b * TG_BLOCK_LANES, block.ids,
			   sizeof(TgVertexId) * TG_BLOCK_LANES);
		tg_kernels->score(search->table, block.codes, block.a, block.f, key,
						  INFINITY, estimates + b * TG_BLOCK_LANES);
		search->stats.estimates += TG_BLOCK_LANES;
	}
	judge(search, ids, view.degree, passing);
	for (int lane = 0; lane < view.degree; lane++)
		if (estimates[lane] < key)
		{
			search->nearer++;
			search->nearer_passing += passing[lane];
		}
	n = follow(search, ids, passing, view.degree, candidate.detour, followed,
			   detours);
	for (int i = 0; i < n; i++)
		offer(search, (TgWaiting) {estimates[followed[i]], ids[followed[i]],
								   detours[i]});
	if (graph->prefetch && search->frontier.n > 0)
		graph->prefetch(graph, search->frontier.items[0].id);
	graph->close(graph);
}

/*
 * Visit a neighbour, in a graph without codes.
 */
static void
visit(TgSearch *search, TgVertexId id, int detour)
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
	offer(search, (TgWaiting) {key, id, detour});
}

/*
 * Same as expand(), for a graph without codes.
 */
static void
expand_plain(TgSearch *search, TgWaiting candidate)
{
	TgGraph    *graph = search->graph;
	TgVertexView view;
	TgVertexId	ids[TG_MAX_DEGREE];
	bool		passing[TG_MAX_DEGREE];
	int			followed[TG_MAX_DEGREE];
	int			detours[TG_MAX_DEGREE];
	bool		entry = search->expanded.n == 0;
	bool		pass;
	int			n;

	if (!graph->open(graph, candidate.id, &view))
		return;
	if (entry)
		meet(search, &view, &pass);
	for (int lane = 0; lane < view.degree; lane++)
		ids[lane] = tg_view_block(&graph->shape, &view,
								  lane / TG_BLOCK_LANES).ids[lane % TG_BLOCK_LANES];
	graph->close(graph);
	judge(search, ids, view.degree, passing);
	n = follow(search, ids, passing, view.degree, candidate.detour, followed,
			   detours);
	for (int i = 0; i < n; i++)
		visit(search, ids[followed[i]], detours[i]);
}

/*
 * How many are to pass: more than asked for, if of the neighbours nearer to the
 * query than their vertex a smaller share passes than of all vertices.
 */
static int64
wanted_now(const TgSearch *search, const TgFilteredParams *params)
{
	double		observed = (search->nearer_passing +
							RIM_TRIAL * params->share) /
		(search->nearer + RIM_TRIAL);
	double		rim = params->share / observed;

	if (search->graph->may_pass == NULL || !(rim > 1))
		return params->wanted;
	return (int64) (params->wanted * Min(rim, MAX_RIM));
}

/*
 * Have enough passed?
 */
static inline bool
is_done(const TgSearch *search, const TgFilteredParams *params, int64 wanted)
{
	return search->passing.n >= wanted &&
		search->expanded.n >= params->least &&
		search->passing.items[wanted - 1].key <=
		search->frontier.items[0].key;
}

/* Bytes the search takes. */
static Size
memory_used(const TgSearch *search)
{
	return sizeof(uint64) * (Size) search->visited_mask +
		sizeof(TgWaiting) * (Size) search->frontier.capacity +
		sizeof(TgKeyed) * (Size) search->expanded.capacity +
		sizeof(TgResult) * (Size) search->results_capacity;
}

/*
 * Would a sweep cost less than what is left to do?
 */
static inline bool
is_hopeless(const TgSearch *search, const TgFilteredParams *params,
			int64 wanted)
{
	double		spent = search->expanded.n;
	double		share = (search->passing.n + 1.0) / (spent + 1.0);

	if (memory_used(search) > params->memory)
		return true;
	if (spent < params->sweep_hops * TRIAL_SHARE)
		return false;
	return spent >= params->sweep_hops ||
		(wanted - search->passing.n) / share > params->sweep_hops;
}

bool
tg_search_run_filtered(TgSearch *search, const TgFilteredParams *params)
{
	bool		plain = search->graph->shape.codes_size == 0;

	/* The entry came into the pool. */
	if (search->expanded.n == 0 && search->pool_size > 0)
	{
		frontier_push(search, (TgWaiting) {search->pool[0].key,
										   search->pool[0].id, 0});
		search->pool_size = 0;
	}
	while (search->frontier.n > 0)
	{
		int64		wanted = wanted_now(search, params);
		TgWaiting	nearest;

		tg_check_interrupts();
		if (is_done(search, params, wanted))
			return true;
		if (is_hopeless(search, params, wanted))
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
