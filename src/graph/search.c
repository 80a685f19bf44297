/*-------------------------------------------------------------------------
 *
 * search.c
 *	  Two-stage routing on a proximity graph; see search.h.
 *
 * After the TOGG paper (Xu, Wang, Wang, Ma 2021), on vertices that carry
 * their neighbours' codes:
 *
 *	Stage 1, optimized guided search.  Far from the query, of each vertex only
 *	a part of its neighbours is offered to the pool: the clusters'
 *	representatives and the members of the cluster whose representative is
 *	nearest to the query, or those on the query's side of a k-d split.  The
 *	paper runs this stage until the whole pool is expanded; we stop it when the
 *	best few candidates are, because the rest of a list costs less than the hops
 *	that a longer stage 1 adds.
 *
 *	Stage 2, optimized greedy algorithm.  What stage 1 left out is offered to
 *	the pool after all: it was scored with the rest of its list, so that the
 *	paper's reset, which expands all of the pool again, costs no hop.  All
 *	others are expanded with the whole list.  It ends when nothing in the pool
 *	is unexpanded.
 *
 * The pool is ordered by estimates.  A vertex's exact distance, computed when
 * it is expanded, is the base of its neighbours' estimates and what the
 * results are ordered by; the candidate itself keeps its estimate as key.
 *
 * Without codes a neighbour has to be visited to be judged.  Its exact distance
 * is its key then, and it is a result at once.  The reset is the paper's: of
 * what is still in the pool, stage 2 visits the neighbours that were left out.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/workspace.h"

#include <float.h>
#include <limits.h>
#include <math.h>

/* TgCandidate.part: what of a vertex is still to be expanded. */
#define PART_NONE		0		/* nothing */
#define PART_ALL		1		/* not expanded yet */
#define PART_AGAIN		2		/* all again, after widening; not a result */
#define PART_ENTRY		3		/* not expanded yet, and whole in any stage */
#define PART_REST		4		/* for stage 2, what stage 1 did not visit */

/* Sides of a k-d split; the third is no more than the band between them. */
#define SIDE_LEFT		0
#define SIDE_RIGHT		1
#define SIDE_NEITHER	2

/*
 * Vertices without rows do not count against ef, up to so many times ef: where
 * nearly all are such, a search must not walk the whole graph.
 */
#define ROWLESS_SHARE	16

/* For each of them so many candidates are kept that would not be otherwise. */
#define ROWLESS_RESERVE	4

#define INITIAL_VISITED		1024
#define INITIAL_CAPACITY	256

static void
keyed_create(TgKeyedArray *array)
{
	array->capacity = INITIAL_CAPACITY;
	array->items = tg_alloc(sizeof(TgKeyed) * array->capacity);
}

static void
waiting_create(TgWaitingHeap *heap)
{
	heap->capacity = INITIAL_CAPACITY;
	heap->items = tg_alloc(sizeof(TgWaiting) * heap->capacity);
}

TgSearch *
tg_search_create(void)
{
	TgSearch   *search = tg_alloc(sizeof(TgSearch));

	search->held_out = TG_INVALID_VERTEX;
	search->visited = tg_alloc(sizeof(uint64) * INITIAL_VISITED);
	search->visited_mask = INITIAL_VISITED - 1;
	search->pool_capacity = INITIAL_CAPACITY;
	search->pool = tg_alloc(sizeof(TgCandidate) * search->pool_capacity);
	search->results_capacity = INITIAL_CAPACITY;
	search->results = tg_alloc(sizeof(TgResult) * search->results_capacity);
	keyed_create(&search->expanded);
	keyed_create(&search->left_out);
	waiting_create(&search->frontier);
	waiting_create(&search->detours);
	waiting_create(&search->aside);
	search->seen_capacity = INITIAL_CAPACITY;
	search->seen = tg_alloc(sizeof(float) * INITIAL_CAPACITY);
	keyed_create(&search->passing);
	return search;
}

void
tg_search_destroy(TgSearch *search)
{
	tg_free(search->pool);
	tg_free(search->visited);
	if (search->visited_keys)
		tg_free(search->visited_keys);
	tg_free(search->results);
	tg_free(search->expanded.items);
	tg_free(search->left_out.items);
	tg_free(search->frontier.items);
	tg_free(search->detours.items);
	tg_free(search->aside.items);
	tg_free(search->seen);
	tg_free(search->passing.items);
	tg_free(search);
}

Size
tg_search_memory(int candidates)
{
	/*
	 * Of each expansion a few neighbours enter the pool and the visited set,
	 * which is at most half full.
	 */
	return (Size) candidates *
		(sizeof(TgCandidate) + sizeof(TgResult) + sizeof(TgKeyed) +
		 4 * 2 * 2 * sizeof(uint64));
}

static void
visited_clear(TgSearch *search)
{
	search->visited_used = 0;
	if (++search->epoch == 0)
	{
		memset(search->visited, 0,
			   sizeof(uint64) * ((Size) search->visited_mask + 1));
		search->epoch = 1;
	}
}

/*
 * Same with a key, for searches without codes.
 */
static void
visited_add_key(TgSearch *search, TgVertexId id, float key)
{
	uint32		slot;

	if (visited_add(search, id))
	{
		visited_find(search, id, &slot);
		search->visited_keys[slot] = key;
	}
}

/*
 * Empty the visited set, but for the vertex that is to stay out of sight.
 */
static void
visited_begin(TgSearch *search)
{
	visited_clear(search);
	if (likely(search->held_out == TG_INVALID_VERTEX))
		return;
	if (search->visited_keys)
		visited_add_key(search, search->held_out, INFINITY);
	else
		visited_add(search, search->held_out);
}

void
tg_visited_grow(TgSearch *search)
{
	uint64	   *old = search->visited;
	float	   *old_keys = search->visited_keys;
	Size		old_size = (Size) search->visited_mask + 1;

	search->visited = tg_alloc_beside(old, sizeof(uint64) * 2 * old_size);
	if (old_keys)
		search->visited_keys = tg_alloc_beside(old,
											   sizeof(float) * 2 * old_size);
	search->visited_mask = (uint32) (old_size * 2 - 1);
	for (Size i = 0; i < old_size; i++)
	{
		uint32		slot;

		if (old[i] >> 32 != search->epoch)
			continue;
		visited_find(search, (TgVertexId) old[i], &slot);
		search->visited[slot] = old[i];
		if (old_keys)
			search->visited_keys[slot] = old_keys[i];
	}
	tg_free(old);
	if (old_keys)
		tg_free(old_keys);
}

/*
 * Work out the pool's size anew.
 */
static void
pool_set_room(TgSearch *search)
{
	int			more = (int) Min((int64) search->nrowless,
								 (int64) search->ef * ROWLESS_SHARE);
	float		middle;

	search->sure = search->ef + more;
	middle = search->ef_middle > 0 ? search->ef_middle + more / 2.0f :
		(search->sure - 1) / 2;
	search->middle = (int) middle;
	search->between = middle - search->middle;
	search->width = search->ef * search->growth + more;
	search->room = search->ef * search->growth + more * ROWLESS_RESERVE;
}

static void
pool_reserve(TgSearch *search, int capacity)
{
	if (capacity <= search->pool_capacity)
		return;
	search->pool = tg_realloc(search->pool,
							  sizeof(TgCandidate) * (Size) capacity);
	search->pool_capacity = capacity;
}

float
tg_pool_slack(int dims)
{
	return 1.0f + Max(0.1f, 1.0f / sqrtf((float) dims));
}

/*
 * Up to which key candidates are to be expanded, of a pool that has those sure
 * to be.
 */
static inline float
pool_slack(const TgSearch *search)
{
	const TgCandidate *middle = &search->pool[search->middle];
	float		key = middle->key;

	if (search->between > 0)
		key += search->between * (middle[1].key - key);
	return Max(search->pool[search->sure - 1].key, search->slack * key);
}

/*
 * What an estimate must be below to enter the pool.  Candidates to take the
 * place of vertices without rows may be beyond the slack.
 */
static inline float
pool_limit(const TgSearch *search)
{
	float		limit = search->pool_size < search->room ?
		INFINITY : search->pool[search->pool_size - 1].key;

	if (search->pool_size < search->sure || search->nrowless > 0)
		return limit;
	return Min(limit, pool_slack(search));
}

/*
 * How many candidates of the pool are no farther than key?
 */
static inline int
pool_rank(const TgSearch *search, float key)
{
	const TgCandidate *low = search->pool;
	int			count = search->pool_size;

	/* Written for a conditional move: a branch would be mispredicted. */
	while (count > 1)
	{
		int			half = count / 2;
		const TgCandidate *upper = low + half;

		low = upper[-1].key <= key ? upper : low;
		count -= half;
	}
	return low - search->pool + (count > 0 && low->key <= key);
}

/*
 * Add one to a batch of candidates, of TG_BLOCK_LANES at most, that are on their
 * way into the pool.  It is kept in order, nearest first.
 */
static inline void
batch_add(TgKeyed *batch, int *n, float key, TgVertexId id)
{
	int			at = (*n)++;

	for (; at > 0 && batch[at - 1].key > key; at--)
		batch[at] = batch[at - 1];
	batch[at].key = key;
	batch[at].id = id;
}

/*
 * Insert a batch of candidates below pool_limit(), dropping the worst of a full
 * pool.  Equal keys keep the order of their coming.
 */
static inline void
pool_insert(TgSearch *search, const TgKeyed *batch, int n)
{
	TgCandidate *pool;
	int			ranks[TG_BLOCK_LANES];
	int			end = search->pool_size;
	int			size = Min(end + n, search->room);

	if (n == 0)
		return;

	/* Nothing moves yet: so look-ups need not wait for each other. */
	for (int i = 0; i < n; i++)
		ranks[i] = pool_rank(search, batch[i].key);

	if (unlikely(size > search->pool_capacity))
		pool_reserve(search, search->room * 2);
	pool = search->pool;
	for (int i = n - 1; i >= 0; i--)
	{
		int			at = ranks[i] + i;

		/* Those between this one and the next make room for both. */
		if (at < size)
		{
			memmove(&pool[at + 1], &pool[ranks[i]], sizeof(TgCandidate) *
					(Min(end, size - i - 1) - ranks[i]));
			pool[at].key = batch[i].key;
			pool[at].id = batch[i].id;
			pool[at].part = PART_ALL;
			pool[at].read_ahead = false;
			pool[at].prefetched = 0;
		}
		end = ranks[i];
	}
	search->pool_size = size;
	search->cursor = Min(search->cursor, ranks[0]);
}

void
tg_results_add(TgSearch *search, const TgResult *result)
{
	int			at = search->nresults++;

	if (at == search->results_capacity)
	{
		search->results_capacity *= 2;
		search->results = tg_realloc(search->results, sizeof(TgResult) *
									 (Size) search->results_capacity);
	}

	/* Sift up. */
	while (at > 0)
	{
		int			parent = (at - 1) / 2;

		if (search->results[parent].distance <= result->distance)
			break;
		search->results[at] = search->results[parent];
		at = parent;
	}
	search->results[at] = *result;
}

bool
tg_search_next(TgSearch *search, TgResult *result)
{
	TgResult   *heap = search->results;
	TgResult	last;
	int			at = 0;

	if (search->nresults == 0)
		return false;
	*result = heap[0];
	last = heap[--search->nresults];

	/* Sift down. */
	for (;;)
	{
		int			child = 2 * at + 1;

		if (child >= search->nresults)
			break;
		if (child + 1 < search->nresults &&
			heap[child + 1].distance < heap[child].distance)
			child++;
		if (last.distance <= heap[child].distance)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = last;
	return true;
}

const TgResult *
tg_search_peek(const TgSearch *search)
{
	return search->nresults > 0 ? &search->results[0] : NULL;
}

void
tg_search_begin(TgSearch *search, TgGraph *graph, const TgScoreTable *table,
				TgSearchParams params)
{
	Assert(params.ef > 0 && params.growth > 0);

	search->graph = graph;
	search->table = table;
	search->routing = params.routing;
	search->stage1_width = params.stage1_width;
	search->pool_size = 0;
	search->cursor = 0;
	search->nresults = 0;
	search->expanded.n = 0;
	search->left_out.n = 0;
	search->frontier.n = 0;
	search->detours.n = 0;
	search->aside.n = 0;
	search->aside_key = INFINITY;
	search->nseen = 0;
	search->seen_room = 0;
	search->passing.n = 0;
	search->wanted = 0;
	search->nrowless = 0;
	search->ef = params.ef;
	search->growth = params.growth;
	search->slack = params.slack;
	search->ef_middle = params.middle;
	pool_set_room(search);
	pool_reserve(search, search->room);
	if (graph->shape.codes_size == 0 && search->visited_keys == NULL)
		search->visited_keys =
			tg_alloc_beside(search->visited, sizeof(float) *
							((Size) search->visited_mask + 1));
	visited_begin(search);
}

void
tg_search_add_entry(TgSearch *search, TgVertexId id)
{
	/*
	 * Being the only candidate it is expanded first, whatever its key; with
	 * the largest it is also the first to leave a full pool.
	 */
	if (search->pool_size < search->room && visited_add(search, id))
	{
		TgKeyed		entry = {FLT_MAX, id};

		pool_insert(search, &entry, 1);
		search->pool[search->pool_size - 1].part = PART_ENTRY;
	}
}

/*
 * Bits of lanes [start, end) that fall into the block starting at first.
 */
static inline uint32
lane_range(int start, int end, int first)
{
	int			low = Max(start - first, 0);
	int			high = Min(end - first, TG_BLOCK_LANES);

	if (low >= high)
		return 0;
	return (uint32) ((UINT64_C(1) << high) - (UINT64_C(1) << low));
}

/*
 * The part of a list that stage 1 follows: the cluster whose representative
 * is nearest to the query by the keys of lanes [0, nclusters), or the side of
 * the k-d split that the query is on.
 */
static int
choose_part(const TgGraph *graph, const TgVertexView *view, const float *keys)
{
	int			best = 0;

	if (graph->guide == TG_GUIDE_KDTREE)
	{
		float		band = view->division->split.band;
		float		offset = graph->query[view->division->split.dim] -
			view->split_at;

		return offset < -band ? SIDE_LEFT :
			offset > band ? SIDE_RIGHT : SIDE_NEITHER;
	}
	for (int c = 1; c < view->nclusters; c++)
		if (keys[c] < keys[best])
			best = c;
	return best;
}

/*
 * Lanes of the block starting at first that stage 1 evaluates when it follows
 * the given part.
 */
static uint32
guided_lanes(const TgGraph *graph, const TgVertexView *view, int part,
			 int first)
{
	const TgDivision *division = view->division;
	int			k = view->nclusters;

	if (graph->guide == TG_GUIDE_KDTREE)
		return lane_range(part == SIDE_LEFT ? 0 : division->split.common,
						  part == SIDE_RIGHT ? view->degree :
						  division->split.right, first);
	return lane_range(0, k, first) |
		lane_range(k + division->start[part],
				   part + 1 < k ? k + division->start[part + 1] : view->degree,
				   first);
}

/*
 * Of the lanes of a list, keep those that stage 1 evaluates; the others are put
 * aside for stage 2.
 */
static void
leave_out(TgSearch *search, const TgVertexView *view, uint32 *lanes,
		  const float *estimates)
{
	const TgGraph *graph = search->graph;
	int			part = choose_part(graph, view, estimates);

	for (int b = 0; b * TG_BLOCK_LANES < view->degree; b++)
	{
		int			first = b * TG_BLOCK_LANES;
		TgBlockView block = tg_view_block(&graph->shape, view, b);
		uint32		kept = block.stale | guided_lanes(graph, view, part, first);

		for (uint32 left = lanes[b] & ~kept; left != 0; left &= left - 1)
		{
			int			lane = __builtin_ctz(left);

			keyed_add(&search->left_out, estimates[first + lane],
					  block.ids[lane]);
		}
		lanes[b] &= kept;
	}
}

/*
 * Offer the chosen lanes of a scored block to the pool.
 */
static inline void
offer_lanes(TgSearch *search, const TgBlockView *block, uint32 lanes,
			const float *estimates)
{
	float		limit = pool_limit(search);
	TgKeyed		batch[TG_BLOCK_LANES];
	int			n = 0;

	for (; lanes != 0; lanes &= lanes - 1)
	{
		int			lane = __builtin_ctz(lanes);

		if (estimates[lane] < limit && visited_add(search, block->ids[lane]))
			batch_add(batch, &n, estimates[lane], block->ids[lane]);
	}
	pool_insert(search, batch, n);
}

/*
 * Is there anything to expand of a candidate, in stage 1 (guided) or 2?
 */
static inline bool
is_open(const TgCandidate *candidate, bool guided)
{
	return candidate->part != PART_NONE &&
		!(guided && candidate->part == PART_REST);
}

/*
 * Move the cursor to the next of the first limit candidates that is to be
 * expanded.  False if there is none.
 */
static inline bool
advance(TgSearch *search, int limit, bool guided)
{
	limit = Min(limit, Min(search->width, search->pool_size));
	while (search->cursor < limit &&
		   !is_open(&search->pool[search->cursor], guided))
		search->cursor++;
	return search->cursor < limit &&
		(search->cursor < search->sure ||
		 search->pool[search->cursor].key <= pool_slack(search));
}

/*
 * Where records come from disk, have those of the best candidates read at the
 * same time: each takes much longer than to expand a vertex.
 */
static void
read_ahead(TgSearch *search, bool guided)
{
	TgGraph    *graph = search->graph;
	int			wanted = graph->ahead;

	for (int i = search->cursor; wanted > 0 && i < search->pool_size; i++)
	{
		TgCandidate *candidate = &search->pool[i];

		if (!is_open(candidate, guided))
			continue;
		if (!candidate->read_ahead)
			graph->read_ahead(graph, candidate->id);
		candidate->read_ahead = true;
		wanted--;
	}
}

/*
 * Prefetch a candidate's record, up to so many halves of it.
 */
static inline void
prefetch(TgSearch *search, TgCandidate *candidate, int halves)
{
	for (; candidate->prefetched < halves; candidate->prefetched++)
		search->graph->prefetch(search->graph, candidate->id,
								candidate->prefetched);
}

/*
 * Compute the exact distance of the open vertex, which makes it a result if it
 * has rows.  Returns its key.
 */
static float
meet(TgSearch *search, const TgVertexView *view)
{
	TgGraph    *graph = search->graph;
	TgResult	result;
	bool		live;
	float		key = graph->distance(graph, view, &result, &live);

	search->stats.distances++;
	keyed_add(&search->expanded, key, view->id);
	if (live)
	{
		result.id = view->id;
		tg_results_add(search, &result);
	}

	/* (The entry, first of all, has a place of its own in the pool.) */
	else if (search->expanded.n > 1 && key < pool_limit(search))
	{
		search->nrowless++;
		pool_set_room(search);
	}
	return key;
}

/*
 * Expand the candidate at the cursor, and move the cursor on: compute its
 * exact distance, score its neighbours, offer them to the pool; in stage 1
 * (guided), only those that TOGG's guided search evaluates.
 */
static void
expand(TgSearch *search, bool guided)
{
	TgGraph    *graph = search->graph;
	TgCandidate *candidate = &search->pool[search->cursor];
	TgVertexId	id = candidate->id;
	int			part = candidate->part;
	TgVertexView view;
	float		key;
	int			nblocks;
	uint32		lanes[TG_MAX_BLOCKS];
	float		estimates[TG_MAX_DEGREE];

	candidate->part = PART_NONE;
	search->cursor++;
	search->stats.hops++;
	if (!graph->open(graph, id, &view))
		return;

	if (part != PART_AGAIN)
		key = meet(search, &view);
	else
	{
		TgResult	known;
		bool		live;

		key = graph->distance(graph, &view, &known, &live);
		search->stats.distances++;
	}

	/* Score the list before the pool moves: all of it shares one page. */
	nblocks = (view.degree + TG_BLOCK_LANES - 1) / TG_BLOCK_LANES;
	for (int b = 0; b < nblocks; b++)
	{
		TgBlockView block = tg_view_block(&graph->shape, &view, b);

		lanes[b] = lane_range(0, view.degree, b * TG_BLOCK_LANES) &
			tg_kernels->score(search->table, block.codes, block.a, block.f,
							  key, pool_limit(search),
							  &estimates[b * TG_BLOCK_LANES]);
		search->stats.estimates += TG_BLOCK_LANES;
	}

	/* What comes next will do so still, in most cases, once these are offered. */
	if (graph->prefetch && advance(search, INT_MAX, guided))
		prefetch(search, &search->pool[search->cursor], 2);

	if (guided && part == PART_ALL && view.nclusters > 1)
	{
		leave_out(search, &view, lanes, estimates);
		search->stats.stage1_hops++;
	}
	for (int b = 0; b < nblocks; b++)
	{
		TgBlockView block = tg_view_block(&graph->shape, &view, b);

		offer_lanes(search, &block, lanes[b], &estimates[b * TG_BLOCK_LANES]);
	}
	if (graph->prefetch && advance(search, INT_MAX, guided))
	{
		prefetch(search, &search->pool[search->cursor], 2);
		if (search->cursor + 1 < Min(search->width, search->pool_size) &&
			is_open(&search->pool[search->cursor + 1], guided))
			prefetch(search, &search->pool[search->cursor + 1], 1);
	}
	graph->close(graph);
}

/*
 * Exact distance of a vertex that was not visited, for a graph without codes:
 * it is visited now.  INFINITY if there is no vertex (any more).
 */
static float
visit(TgSearch *search, TgVertexId id)
{
	TgGraph    *graph = search->graph;
	TgVertexView view;
	float		key = INFINITY;

	if (graph->open(graph, id, &view))
	{
		key = meet(search, &view);
		graph->close(graph);
	}
	visited_add_key(search, id, key);
	return key;
}

/*
 * Visit the lanes of a list that were not visited before: of lanes, those
 * remain.  keys[] receives the distances of all of them.
 */
static void
visit_lanes(TgSearch *search, const TgVertexId *ids, uint32 *lanes, int nblocks,
			float *keys)
{
	TgGraph    *graph = search->graph;
	uint32		slot;

	/* All are prefetched first, so that their cache misses overlap. */
	for (int b = 0; b < nblocks && graph->prefetch; b++)
		for (uint32 left = lanes[b]; left != 0; left &= left - 1)
		{
			TgVertexId	id = ids[b * TG_BLOCK_LANES + __builtin_ctz(left)];

			if (visited_find(search, id, &slot))
				continue;
			tg_graph_prefetch(graph, id);
			if (graph->ahead > 0)
				graph->read_ahead(graph, id);
		}
	for (int b = 0; b < nblocks; b++)
		for (uint32 left = lanes[b]; left != 0; left &= left - 1)
		{
			int			lane = b * TG_BLOCK_LANES + __builtin_ctz(left);

			if (visited_find(search, ids[lane], &slot))
			{
				keys[lane] = search->visited_keys[slot];
				lanes[b] &= ~(left & -left);
			}
			else
				keys[lane] = visit(search, ids[lane]);
		}
}

/*
 * Same as expand(), for a graph without codes: the neighbours are visited one
 * by one, and enter the pool with their distances.
 */
static void
expand_plain(TgSearch *search, bool guided)
{
	TgGraph    *graph = search->graph;
	TgCandidate *candidate = &search->pool[search->cursor];
	TgVertexId	id = candidate->id;
	int			part = candidate->part;
	TgVertexView view;
	TgDivision	division;
	int			nblocks;
	uint32		lanes[TG_MAX_BLOCKS] = {0};
	uint32		stale[TG_MAX_BLOCKS];
	uint32		fresh = 0;		/* representatives that were not visited */
	TgVertexId	ids[TG_MAX_DEGREE];
	float		keys[TG_MAX_DEGREE];

	candidate->part = PART_NONE;
	search->cursor++;
	search->stats.hops++;
	if (!graph->open(graph, id, &view))
		return;
	if (part == PART_ENTRY)
	{
		uint32		slot;

		visited_find(search, id, &slot);
		search->visited_keys[slot] = meet(search, &view);
	}

	/* The list is copied: neighbours cannot be opened while it is. */
	nblocks = (view.degree + TG_BLOCK_LANES - 1) / TG_BLOCK_LANES;
	division = *view.division;
	view.division = &division;
	for (int b = 0; b < nblocks; b++)
	{
		TgBlockView block = tg_view_block(&graph->shape, &view, b);

		lanes[b] = lane_range(0, view.degree, b * TG_BLOCK_LANES);
		memcpy(ids + b * TG_BLOCK_LANES, block.ids,
			   sizeof(TgVertexId) * TG_BLOCK_LANES);
		stale[b] = block.stale;
	}
	graph->close(graph);

	if (guided && part == PART_ALL && view.nclusters > 1)
	{
		if (graph->guide == TG_GUIDE_KMEANS)
		{
			fresh = lane_range(0, view.nclusters, 0);
			visit_lanes(search, ids, &fresh, 1, keys);
		}
		part = choose_part(graph, &view, keys);
		candidate->part = PART_REST;
		for (int b = 0; b < nblocks; b++)
			lanes[b] &= stale[b] |
				guided_lanes(graph, &view, part, b * TG_BLOCK_LANES);
		search->stats.stage1_hops++;
	}
	visit_lanes(search, ids, lanes, nblocks, keys);
	lanes[0] |= fresh;
	for (int b = 0; b < nblocks; b++)
	{
		float		limit = pool_limit(search);
		TgKeyed		batch[TG_BLOCK_LANES];
		int			n = 0;

		for (; lanes[b] != 0; lanes[b] &= lanes[b] - 1)
		{
			int			lane = b * TG_BLOCK_LANES + __builtin_ctz(lanes[b]);

			if (keys[lane] < limit)
				batch_add(batch, &n, keys[lane], ids[lane]);
		}
		pool_insert(search, batch, n);
	}
}

/*
 * Expand candidates until none of the best ones, limit of them at most, is
 * left.
 */
static void
expand_best(TgSearch *search, int limit, bool guided)
{
	bool		plain = search->graph->shape.codes_size == 0;

	while (advance(search, limit, guided))
	{
		tg_check_interrupts();
		if (unlikely(search->graph->ahead > 0))
			read_ahead(search, guided);
		if (plain)
			expand_plain(search, guided);
		else
			expand(search, guided);
	}
}

void
tg_search_run(TgSearch *search)
{
	if (search->routing != TG_ROUTING_GREEDY)
	{
		int			limit = search->routing == TG_ROUTING_TWO_STAGE &&
			search->stage1_width > 0 ? search->stage1_width : INT_MAX;

		expand_best(search, limit, true);
	}
	if (search->routing != TG_ROUTING_GUIDED)
	{
		search->cursor = 0;
		for (int i = 0; i < search->left_out.n; i++)
		{
			const TgKeyed *item = &search->left_out.items[i];

			if (item->key < pool_limit(search) && visited_add(search, item->id))
				pool_insert(search, item, 1);
		}
		expand_best(search, INT_MAX, false);
	}
}

static int
compare_expanded(const void *a, const void *b)
{
	float		x = ((const TgKeyed *) a)->key;
	float		y = ((const TgKeyed *) b)->key;

	return (x > y) - (x < y);
}

void
tg_search_widen(TgSearch *search, int ef)
{
	Assert(ef >= search->ef);

	qsort(search->expanded.items, search->expanded.n, sizeof(TgKeyed),
		  compare_expanded);
	search->ef = ef;
	search->ef_middle = 0;
	pool_set_room(search);
	pool_reserve(search, search->room);
	visited_begin(search);
	search->pool_size = Min(search->expanded.n, search->room);
	search->cursor = 0;
	search->stats.widenings++;
	for (int i = 0; i < search->expanded.n; i++)
	{
		if (search->visited_keys)
			visited_add_key(search, search->expanded.items[i].id,
							search->expanded.items[i].key);
		else
			visited_add(search, search->expanded.items[i].id);
		if (i < search->pool_size)
		{
			search->pool[i].key = search->expanded.items[i].key;
			search->pool[i].id = search->expanded.items[i].id;
			search->pool[i].part = PART_AGAIN;
			search->pool[i].read_ahead = false;
			search->pool[i].prefetched = 0;
		}
	}
	expand_best(search, INT_MAX, false);
}

void
tg_search_index_expanded(TgSearch *search)
{
	visited_begin(search);
	for (int i = 0; i < search->expanded.n; i++)
		visited_add(search, search->expanded.items[i].id);
}

bool
tg_search_was_expanded(const TgSearch *search, TgVertexId id)
{
	uint32		slot;

	return visited_find(search, id, &slot);
}
