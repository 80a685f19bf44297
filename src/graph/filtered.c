/*-------------------------------------------------------------------------
 *
 * filtered.c
 *	  Routing where most vertices have no rows to return, because a filter
 *	  rejects them.
 *
 * Vertices that fail lead the search on like any others, but only those that
 * pass are counted.  A pool of a fixed size does not do: how many must be
 * expanded until enough of them have passed is not known before.  So
 * candidates wait in a heap, and the nearest is expanded, until the wanted
 * number have passed, and those within the slack of a pool as well, and
 * nothing that waits is as near.  To go on for more costs nothing over again.
 *
 * Where it is known of neighbours whether they may pass, few that fail have
 * to be expanded: what passes is mostly in the lists of others that pass, too.
 * Those that fail wait in a heap of their own, as detours.  More are wanted
 * than will be returned, since estimates are uncertain, but ways are needed
 * only to the nearest of them: detours are made no farther out than the first
 * quarter of those wanted.  A detour from a detour is made only where few of
 * the neighbours of the first may pass, and none from that, so that the search
 * does not wander off into a region where nothing passes.
 *
 * What is farther than all that will be expanded is set aside: it is neither
 * judged nor looked up nor ordered.  How far that is the nearest of the
 * candidates that may pass tell long before they are expanded.  When more are
 * wanted after all, what was set aside is offered again.
 *
 * The nearest of all that pass may be far away: none of those expanded first
 * pass then, and the search would walk through most of the graph.  From what
 * it has seen it estimates what it still has to expand.  Where that is more
 * than reading all of the index costs, it gives up, after an eighth of that
 * at least, so that chance does not decide too early, and after all of it at
 * last.
 *
 * Stage 1 of the guided search is not made: it saves nothing where lists
 * carry codes, and the walk towards the query is the least part of this one.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/workspace.h"

#include <math.h>

/* Before so much of what a sweep costs is spent, the search is not given up. */
#define TRIAL_SHARE		(1.0 / 8)

/*
 * So many vertices in a row may fail on the way from one that passes; only one
 * where so many of a block of its neighbours may pass and are near enough.
 */
#define MAX_DETOUR		2
#define ENOUGH_PASSING	4

/*
 * Append a candidate to an array that holds them.
 */
static inline void
waiting_append(TgWaitingHeap *array, TgWaiting candidate)
{
	if (array->n == array->capacity)
	{
		array->capacity *= 2;
		array->items = tg_realloc(array->items, sizeof(TgWaiting) *
								  (Size) array->capacity);
	}
	array->items[array->n++] = candidate;
}

/*
 * Put a candidate into a heap.  Returns its place there.
 */
static int
waiting_push(TgWaitingHeap *heap, TgWaiting candidate)
{
	int			at = heap->n;
	TgWaiting  *items;

	waiting_append(heap, candidate);
	items = heap->items;
	while (at > 0 && items[(at - 1) / 2].key > candidate.key)
	{
		items[at] = items[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	items[at] = candidate;
	return at;
}

static TgWaiting
waiting_pop(TgWaitingHeap *heap)
{
	TgWaiting  *items = heap->items;
	TgWaiting	nearest = items[0];
	TgWaiting	last = items[--heap->n];
	int			n = heap->n;
	int			at = 0;

	for (;;)
	{
		int			child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && items[child + 1].key < items[child].key)
			child++;
		if (last.key <= items[child].key)
			break;
		items[at] = items[child];
		at = child;
	}
	items[at] = last;
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

/* The key of the nearest that waits. */
static inline float
nearest_key(const TgWaitingHeap *heap)
{
	return heap->n > 0 ? heap->items[0].key : INFINITY;
}

/*
 * Note a candidate that may pass: keep the keys of the nearest ones seen, as
 * many as are to be expanded at least.  In a heap, the farthest on top.
 */
static void
note_seen(TgSearch *search, float key)
{
	float	   *heap = search->seen;
	int			at;

	if (search->nseen < search->seen_room)
	{
		for (at = search->nseen++; at > 0 && heap[(at - 1) / 2] < key;
			 at = (at - 1) / 2)
			heap[at] = heap[(at - 1) / 2];
		heap[at] = key;
		return;
	}
	if (key >= heap[0])
		return;
	for (at = 0; 2 * at + 1 < search->nseen;)
	{
		int			child = 2 * at + 1;

		if (child + 1 < search->nseen && heap[child + 1] > heap[child])
			child++;
		if (key >= heap[child])
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = key;
}

/*
 * Have room for so many.
 */
static void
seen_reserve(TgSearch *search, int64 room)
{
	if (room > search->seen_capacity)
	{
		search->seen_capacity = (int) Max(room, 2 * (int64) search->seen_capacity);
		search->seen = tg_realloc(search->seen, sizeof(float) *
								  (Size) search->seen_capacity);
	}
	search->seen_room = (int) room;
}

/*
 * What is not nearer than this will not be expanded, unless more are wanted.
 */
static inline float
seen_limit(const TgSearch *search)
{
	if (search->nseen < search->seen_room)
		return INFINITY;
	return Max(search->seen[0], search->seen[0] * search->slack);
}

/*
 * No detour is made to what is farther than this.
 */
static inline float
detour_limit(const TgSearch *search)
{
	int64		last = (int64) (search->wanted * TG_DETOUR_SHARE);

	return search->passing.n > last ? search->passing.items[last].key : INFINITY;
}

/*
 * What passes is to be expanded up to this key: INFINITY before enough have
 * passed.  As in a pool, see tg_pool_slack(); but where nothing is known of
 * those that fail, all that are near enough have been expanded as well, which
 * serves the same end.
 */
static inline float
passing_limit(const TgSearch *search)
{
	const TgKeyed *passing = search->passing.items;
	int64		most = search->wanted * search->growth;
	float		limit;

	if (search->passing.n < search->wanted)
		return INFINITY;
	if (search->graph->may_pass == NULL && search->expanded.n >= most)
		return passing[search->wanted - 1].key;
	limit = search->slack * passing[(search->wanted - 1) / 2].key;
	if (search->passing.n >= most)
		limit = Min(limit, passing[most - 1].key);
	return Max(limit, passing[search->wanted - 1].key);
}

/*
 * Let a candidate wait, unless it was visited, and have its record read if it
 * is to be expanded soon and records come from disk.
 */
static inline void
offer(TgSearch *search, TgWaiting candidate)
{
	TgGraph    *graph = search->graph;
	int			place;

	if (!visited_add(search, candidate.id))
		return;
	if (candidate.detour > 0)
		place = waiting_push(&search->detours, candidate);
	else
	{
		note_seen(search, candidate.key);
		place = waiting_push(&search->frontier, candidate);
	}
	if (unlikely(place < graph->ahead))
		graph->read_ahead(graph, candidate.id);
}

/*
 * Which of these lanes of a vertex's neighbours may pass?
 */
static inline uint32
judge(TgSearch *search, const TgVertexId *ids, uint32 lanes)
{
	TgGraph    *graph = search->graph;

	return graph->may_pass ? graph->may_pass(graph, ids, lanes) : lanes;
}

/*
 * Are neighbours that fail followed, of a vertex of which so many in a row fail
 * itself, and these neighbours may pass?
 */
static inline bool
may_detour(int detour, uint32 passing)
{
	return detour == 0 || (detour < MAX_DETOUR &&
						   __builtin_popcount(passing) < ENOUGH_PASSING);
}

/*
 * Keep a candidate for later.
 */
static inline void
set_aside(TgSearch *search, TgWaiting candidate)
{
	waiting_append(&search->aside, candidate);
	if (candidate.key < search->aside_key)
		search->aside_key = candidate.key;
}

/*
 * Offer again what was set aside.  What was too far to be judged, and has the
 * number of a detour that it may be, negated, is judged now.
 */
static void
offer_aside(TgSearch *search)
{
	TgWaitingHeap *aside = &search->aside;

	for (int i = 0; i < aside->n; i++)
	{
		TgWaiting	candidate = aside->items[i];

		if (candidate.detour < 0)
			candidate.detour = judge(search, &candidate.id, 1) ? 0 :
				-candidate.detour;
		if (candidate.detour <= MAX_DETOUR)
			offer(search, candidate);
	}
	aside->n = 0;
	search->aside_key = INFINITY;
}

/*
 * Offer the neighbours of a scored block.  Those of near are nearer than
 * seen_limit().
 */
static void
offer_block(TgSearch *search, const TgBlockView *block, uint32 in_use,
			uint32 near, int detour, const float *estimates)
{
	uint32		passing = judge(search, block->ids, near);
	uint32		lanes = may_detour(detour, passing) ? near : passing;
	float		limit = detour_limit(search);

	for (; lanes != 0; lanes &= lanes - 1)
	{
		int			lane = __builtin_ctz(lanes);
		bool		fails = (passing >> lane & 1) == 0;
		TgWaiting	candidate = {
			estimates[lane], block->ids[lane], fails ? detour + 1 : 0
		};

		if (!fails || candidate.key < limit)
			offer(search, candidate);
		else
			waiting_append(&search->aside, candidate);
	}
	for (lanes = in_use & ~near; lanes != 0; lanes &= lanes - 1)
	{
		int			lane = __builtin_ctz(lanes);

		set_aside(search, (TgWaiting) {estimates[lane], block->ids[lane],
									   -(detour + 1)});
	}
}

/*
 * Expand a candidate.
 */
static void
expand(TgSearch *search, TgWaiting candidate)
{
	TgGraph    *graph = search->graph;
	TgVertexView view;
	bool		pass;
	float		key;

	if (!graph->open(graph, candidate.id, &view))
		return;
	if (graph->prefetch && search->frontier.n > 0)
		tg_graph_prefetch(graph, search->frontier.items[0].id);
	key = meet(search, &view, &pass);
	if (pass)
		passing_add(search, candidate.key, candidate.id);
	else if (candidate.detour == 0)
		seen_reserve(search, search->seen_room + 1);
	for (int first = 0; first < view.degree; first += TG_BLOCK_LANES)
	{
		TgBlockView block = tg_view_block(&graph->shape, &view,
										  first / TG_BLOCK_LANES);
		int			n = Min(view.degree - first, TG_BLOCK_LANES);
		uint32		in_use = (uint32) ((UINT64_C(1) << n) - 1);
		float		estimates[TG_BLOCK_LANES];
		uint32		near = in_use &
			tg_kernels->score(search->table, block.codes, block.a, block.f, key,
							  seen_limit(search), estimates);

		search->stats.estimates += TG_BLOCK_LANES;
		offer_block(search, &block, in_use, near, candidate.detour, estimates);
	}
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

	if (!visited_add(search, id) || !graph->open(graph, id, &view))
		return;
	key = meet(search, &view, &pass);
	graph->close(graph);
	if (pass)
		passing_add(search, key, id);
	waiting_push(detour > 0 ? &search->detours : &search->frontier,
				 (TgWaiting) {key, id, detour});
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
	bool		entry = search->expanded.n == 0;
	bool		pass;
	int			degree;

	if (!graph->open(graph, candidate.id, &view))
		return;
	if (entry)
		meet(search, &view, &pass);
	degree = view.degree;
	for (int lane = 0; lane < degree; lane++)
		ids[lane] = tg_view_block(&graph->shape, &view,
								  lane / TG_BLOCK_LANES).ids[lane % TG_BLOCK_LANES];
	graph->close(graph);
	for (int first = 0; first < degree; first += TG_BLOCK_LANES)
	{
		int			n = Min(degree - first, TG_BLOCK_LANES);
		uint32		in_use = (uint32) ((UINT64_C(1) << n) - 1);
		uint32		passing = judge(search, ids + first, in_use);
		uint32		lanes = may_detour(candidate.detour, passing) ?
			in_use : passing;

		for (int i = 0; i < n; i++)
			if (lanes >> i & 1)
				visit(search, ids[first + i],
					  passing >> i & 1 ? 0 : candidate.detour + 1);
	}
}

/*
 * Have enough passed?
 */
static inline bool
is_done(const TgSearch *search)
{
	float		limit = passing_limit(search);

	return search->passing.n >= search->wanted &&
		nearest_key(&search->frontier) >= limit &&
		search->aside_key >= limit &&
		nearest_key(&search->detours) >= Min(limit, detour_limit(search));
}

/*
 * Take the next candidate: the nearest, but no detour beyond the limit while
 * there are others.
 */
static TgWaiting
take_nearest(TgSearch *search)
{
	float		detour = nearest_key(&search->detours);

	if (search->frontier.n == 0 ||
		(search->detours.n > 0 && detour < search->frontier.items[0].key &&
		 detour < detour_limit(search)))
		return waiting_pop(&search->detours);
	return waiting_pop(&search->frontier);
}

/* Bytes the search takes. */
static Size
memory_used(const TgSearch *search)
{
	return sizeof(uint64) * (Size) search->visited_mask +
		sizeof(TgWaiting) * ((Size) search->frontier.capacity +
							 search->detours.capacity +
							 search->aside.capacity) +
		sizeof(TgKeyed) * ((Size) search->expanded.capacity +
						   search->passing.capacity) +
		sizeof(float) * (Size) search->seen_capacity +
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
		(search->wanted - search->passing.n) / share > params->sweep_hops;
}

bool
tg_search_run_filtered(TgSearch *search, const TgFilteredParams *params)
{
	bool		plain = search->graph->shape.codes_size == 0;

	/* The entry came into the pool. */
	if (search->expanded.n == 0 && search->pool_size > 0)
	{
		waiting_push(&search->frontier, (TgWaiting) {search->pool[0].key,
													 search->pool[0].id, 0});
		search->pool_size = 0;
	}
	seen_reserve(search, search->seen_room + params->wanted - search->wanted);
	search->wanted = params->wanted;
	offer_aside(search);
	for (;;)
	{
		TgWaiting	nearest;

		tg_check_interrupts();
		if (is_done(search))
			return true;
		if (is_hopeless(search, params))
			return false;

		/* Fewer passed than might have: what was too far then is not now. */
		if (search->aside_key < nearest_key(&search->frontier) ||
			search->frontier.n + search->detours.n == 0)
			offer_aside(search);
		if (search->frontier.n + search->detours.n == 0)
			return false;
		nearest = take_nearest(search);
		search->stats.hops++;
		if (plain)
			expand_plain(search, nearest);
		else
			expand(search, nearest);
	}
}
