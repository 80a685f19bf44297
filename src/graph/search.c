/*-------------------------------------------------------------------------
 *
 * search.c
 *	  Two-stage routing on a proximity graph; see search.h.
 *
 * After the TOGG paper (Xu, Wang, Wang, Ma 2021), on vertices that carry
 * their neighbours' codes:
 *
 *	Stage 1, optimized guided search.  Far from the query, of each vertex only
 *	the clusters' representatives and the members of the cluster whose
 *	representative is nearest to the query are offered to the pool.  The paper
 *	runs this stage until the whole pool is expanded; we stop it when the best
 *	few candidates are, because with codes at hand the rest of a list costs
 *	less than the hops that a longer stage 1 adds.
 *
 *	Stage 2, optimized greedy algorithm.  Candidates that stage 1 expanded in
 *	part become unexpanded again (the paper's reset) and are expanded with the
 *	rest of their list when their turn comes, unless nothing in it was near
 *	enough to enter the pool by now; all others with the whole list.
 *	It ends when nothing in the pool is unexpanded.
 *
 * The pool is ordered by estimates.  A vertex's exact distance, computed when
 * it is expanded, is the base of its neighbours' estimates and what the
 * results are ordered by; the candidate itself keeps its estimate as key.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/search.h"

#include <float.h>
#include <math.h>

/*
 * TgCandidate.part: what of a vertex is still to be expanded.  Zero and up
 * names the cluster that stage 1 expanded, so that the rest is left.
 */
#define PART_NONE		(-1)	/* expanded */
#define PART_ALL		(-2)	/* not expanded yet */
#define PART_AGAIN		(-3)	/* all again, after widening; not a result */
#define PART_ENTRY		(-4)	/* not expanded yet, and whole in any stage */

/* Stage 1 ends when as many of the best candidates as this are expanded. */
#define STAGE1_WIDTH	1

#define INITIAL_VISITED		1024
#define INITIAL_CAPACITY	256

TgSearch *
tg_search_create(void)
{
	TgSearch   *search = tg_alloc(sizeof(TgSearch));

	search->visited = tg_alloc(sizeof(uint64) * INITIAL_VISITED);
	search->visited_mask = INITIAL_VISITED - 1;
	search->pool_capacity = INITIAL_CAPACITY;
	search->pool = tg_alloc(sizeof(TgCandidate) * search->pool_capacity);
	search->results_capacity = INITIAL_CAPACITY;
	search->results = tg_alloc(sizeof(TgResult) * search->results_capacity);
	search->expanded_capacity = INITIAL_CAPACITY;
	search->expanded = tg_alloc(sizeof(TgExpanded) * search->expanded_capacity);
	return search;
}

void
tg_search_destroy(TgSearch *search)
{
	tg_free(search->pool);
	tg_free(search->visited);
	tg_free(search->results);
	tg_free(search->expanded);
	tg_free(search);
}

Size
tg_search_memory(int ef)
{
	/*
	 * Of each expansion a few neighbours enter the pool and the visited set,
	 * which is at most half full.
	 */
	return (Size) ef * (sizeof(TgCandidate) + sizeof(TgResult) +
						sizeof(TgExpanded) + 4 * 2 * 2 * sizeof(uint64));
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

static inline uint32
visited_slot(const TgSearch *search, TgVertexId id)
{
	return (id * 0x9E3779B1u) >> 7 & search->visited_mask;
}

static void visited_grow(TgSearch *search);

/*
 * Add to the visited set; false if it was there.
 */
static inline bool
visited_add(TgSearch *search, TgVertexId id)
{
	uint64		entry = (uint64) search->epoch << 32 | id;
	uint32		slot = visited_slot(search, id);

	for (;;)
	{
		uint64		present = search->visited[slot];

		if (present == entry)
			return false;
		if (present >> 32 != search->epoch)
			break;
		slot = (slot + 1) & search->visited_mask;
	}
	search->visited[slot] = entry;
	if (unlikely(++search->visited_used * 2 > search->visited_mask))
		visited_grow(search);
	return true;
}

static void
visited_grow(TgSearch *search)
{
	uint64	   *old = search->visited;
	uint32		old_size = search->visited_mask + 1;

	search->visited = tg_alloc_beside(old, sizeof(uint64) * 2 * (Size) old_size);
	search->visited_mask = old_size * 2 - 1;
	for (uint32 i = 0; i < old_size; i++)
	{
		uint32		slot;

		if (old[i] >> 32 != search->epoch)
			continue;
		slot = visited_slot(search, (TgVertexId) old[i]);
		while (search->visited[slot] >> 32 == search->epoch)
			slot = (slot + 1) & search->visited_mask;
		search->visited[slot] = old[i];
	}
	tg_free(old);
}

/*
 * Set the pool's size; what is in it is lost if it has to grow.
 */
static void
pool_set_ef(TgSearch *search, int ef)
{
	TgCandidate *old = search->pool;

	search->ef = ef;
	if (ef <= search->pool_capacity)
		return;
	search->pool = tg_alloc_beside(old, sizeof(TgCandidate) * (Size) ef);
	search->pool_capacity = ef;
	tg_free(old);
}

/* What an estimate must be below to enter the pool. */
static inline float
pool_limit(const TgSearch *search)
{
	return search->pool_size < search->ef ?
		INFINITY : search->pool[search->pool_size - 1].key;
}

/*
 * Insert a candidate that is below pool_limit(), dropping the worst of a full
 * pool.  Equal keys keep the order of their coming.
 */
static inline void
pool_insert(TgSearch *search, float key, TgVertexId id)
{
	TgCandidate *pool = search->pool;
	int			low = 0;
	int			count = search->pool_size;

	/* Branch-free upper bound. */
	while (count > 0)
	{
		int			half = count / 2;
		bool		right = pool[low + half].key <= key;

		low = right ? low + half + 1 : low;
		count = right ? count - half - 1 : half;
	}

	if (search->pool_size < search->ef)
		search->pool_size++;
	memmove(&pool[low + 1], &pool[low],
			sizeof(TgCandidate) * (search->pool_size - 1 - low));
	pool[low].key = key;
	pool[low].id = id;
	pool[low].part = PART_ALL;
	if (low < search->cursor)
		search->cursor = low;
}

static void
results_add(TgSearch *search, const TgResult *result)
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

static void
expanded_add(TgSearch *search, TgVertexId id, float key)
{
	if (search->nexpanded == search->expanded_capacity)
	{
		search->expanded_capacity *= 2;
		search->expanded = tg_realloc(search->expanded, sizeof(TgExpanded) *
									  (Size) search->expanded_capacity);
	}
	search->expanded[search->nexpanded].id = id;
	search->expanded[search->nexpanded].key = key;
	search->nexpanded++;
}

void
tg_search_begin(TgSearch *search, TgGraph *graph, const TgScoreTable *table,
				TgRouting routing, int ef)
{
	Assert(ef > 0);

	search->graph = graph;
	search->table = table;
	search->routing = routing;
	search->pool_size = 0;
	search->cursor = 0;
	search->nresults = 0;
	search->nexpanded = 0;
	pool_set_ef(search, ef);
	visited_clear(search);
	memset(&search->stats, 0, sizeof(search->stats));
}

void
tg_search_add_entry(TgSearch *search, TgVertexId id)
{
	/*
	 * Being the only candidate it is expanded first, whatever its key; with
	 * the largest it is also the first to leave a full pool.
	 */
	if (search->pool_size < search->ef && visited_add(search, id))
	{
		pool_insert(search, FLT_MAX, id);
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
 * The cluster that stage 1 follows: the one whose representative looks
 * nearest to the query.
 */
static int
nearest_cluster(const TgVertexView *view, const float *estimates)
{
	int			best = 0;

	for (int c = 1; c < view->nclusters; c++)
		if (estimates[view->cluster_start[c]] <
			estimates[view->cluster_start[best]])
			best = c;
	return best;
}

/* Lanes of a block that cluster c and the representatives stand in. */
static uint32
guided_lanes(const TgVertexView *view, int c, int first)
{
	int			end = c + 1 < view->nclusters ?
		view->cluster_start[c + 1] : view->degree;
	uint32		lanes = lane_range(view->cluster_start[c], end, first);

	for (int i = 0; i < view->nclusters; i++)
		lanes |= lane_range(view->cluster_start[i],
							view->cluster_start[i] + 1, first);
	return lanes;
}

/*
 * Of the lanes of a list, keep those that stage 1 evaluates when it follows
 * cluster c.  Returns the least estimate among the others.
 */
static float
leave_out(TgGraph *graph, const TgVertexView *view, int c, uint32 *lanes,
		  const float *estimates)
{
	float		least = INFINITY;

	for (int b = 0; b * TG_BLOCK_LANES < view->degree; b++)
	{
		TgBlockView block = tg_view_block(&graph->shape, view, b);
		uint32		kept = block.stale |
			guided_lanes(view, c, b * TG_BLOCK_LANES);

		for (uint32 left = lanes[b] & ~kept; left != 0; left &= left - 1)
			least = Min(least,
						estimates[b * TG_BLOCK_LANES + __builtin_ctz(left)]);
		lanes[b] &= kept;
	}
	return least;
}

/*
 * Offer the chosen lanes of a scored block to the pool.
 */
static inline void
offer_lanes(TgSearch *search, const TgBlockView *block, uint32 lanes,
			const float *estimates)
{
	while (lanes != 0)
	{
		int			lane = __builtin_ctz(lanes);

		lanes &= lanes - 1;
		if (estimates[lane] < pool_limit(search) &&
			visited_add(search, block->ids[lane]))
			pool_insert(search, estimates[lane], block->ids[lane]);
	}
}

/*
 * Is there anything to expand of a candidate?  In stage 2 (not guided) that is
 * also what stage 1 left out, if some of it could still enter the pool.
 */
static inline bool
is_open(const TgSearch *search, const TgCandidate *candidate, bool guided)
{
	switch (candidate->part)
	{
		case PART_NONE:
			return false;
		case PART_ALL:
		case PART_AGAIN:
		case PART_ENTRY:
			return true;
		default:
			return !guided && candidate->rest < pool_limit(search);
	}
}

/*
 * Move the cursor to the next of the first limit candidates that is to be
 * expanded.  False if there is none.
 */
static inline bool
advance(TgSearch *search, int limit, bool guided)
{
	while (search->cursor < limit &&
		   !is_open(search, &search->pool[search->cursor], guided))
		search->cursor++;
	return search->cursor < limit;
}

/*
 * Expand the candidate at the cursor, and move the cursor on: compute its
 * exact distance, score its neighbours, offer them to the pool.
 *
 * In stage 1 (guided), only the lanes that TOGG's guided search evaluates are
 * offered, and the candidate remembers the cluster for stage 2.
 */
static void
expand(TgSearch *search, bool guided)
{
	TgGraph    *graph = search->graph;
	TgCandidate *candidate = &search->pool[search->cursor];
	TgVertexId	id = candidate->id;
	int			part = candidate->part;
	TgVertexView view;
	TgResult	result;
	bool		live;
	float		key;
	int			nblocks;
	uint32		lanes[TG_MAX_BLOCKS];
	float		estimates[TG_MAX_DEGREE];

	candidate->part = PART_NONE;
	search->cursor++;
	search->stats.hops++;
	if (!graph->open(graph, id, &view))
		return;

	key = graph->distance(graph, &view, &result, &live);
	search->stats.distances++;
	if (part == PART_ALL || part == PART_ENTRY)
	{
		expanded_add(search, id, key);
		if (live)
		{
			result.id = id;
			results_add(search, &result);
		}
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

	/* A list of one cluster has nothing to guide by. */
	if (view.nclusters < 2)
		part = PART_ALL;
	else if (guided && part == PART_ALL)
	{
		part = nearest_cluster(&view, estimates);
		candidate->part = (int8) part;
		candidate->rest = leave_out(graph, &view, part, lanes, estimates);
		search->stats.stage1_hops++;
	}
	else if (part >= 0)
		for (int b = 0; b < nblocks; b++)
			lanes[b] &= ~guided_lanes(&view, part, b * TG_BLOCK_LANES);

	for (int b = 0; b < nblocks; b++)
	{
		TgBlockView block = tg_view_block(&graph->shape, &view, b);

		offer_lanes(search, &block, lanes[b], &estimates[b * TG_BLOCK_LANES]);
	}
	if (graph->prefetch && advance(search, search->pool_size, guided))
		graph->prefetch(graph, search->pool[search->cursor].id);
	graph->close(graph);
}

void
tg_search_run(TgSearch *search)
{
	if (search->routing != TG_ROUTING_GREEDY)
	{
		int			width = search->routing == TG_ROUTING_GUIDED ?
			search->ef : STAGE1_WIDTH;

		while (advance(search, Min(width, search->pool_size), true))
		{
			tg_check_interrupts();
			expand(search, true);
		}
		search->cursor = 0;
	}
	if (search->routing != TG_ROUTING_GUIDED)
	{
		while (advance(search, search->pool_size, false))
		{
			tg_check_interrupts();
			expand(search, false);
		}
	}
}

static int
compare_expanded(const void *a, const void *b)
{
	float		x = ((const TgExpanded *) a)->key;
	float		y = ((const TgExpanded *) b)->key;

	return (x > y) - (x < y);
}

void
tg_search_widen(TgSearch *search, int ef)
{
	Assert(ef >= search->ef);

	qsort(search->expanded, search->nexpanded, sizeof(TgExpanded),
		  compare_expanded);
	pool_set_ef(search, ef);
	visited_clear(search);
	search->pool_size = Min(search->nexpanded, ef);
	search->cursor = 0;
	search->stats.widenings++;
	for (int i = 0; i < search->nexpanded; i++)
	{
		visited_add(search, search->expanded[i].id);
		if (i < search->pool_size)
		{
			search->pool[i].key = search->expanded[i].key;
			search->pool[i].id = search->expanded[i].id;
			search->pool[i].part = PART_AGAIN;
		}
	}
	while (advance(search, search->pool_size, false))
	{
		tg_check_interrupts();
		expand(search, false);
	}
}

void
tg_search_index_expanded(TgSearch *search)
{
	visited_clear(search);
	for (int i = 0; i < search->nexpanded; i++)
		visited_add(search, search->expanded[i].id);
}

bool
tg_search_was_expanded(const TgSearch *search, TgVertexId id)
{
	uint64		entry = (uint64) search->epoch << 32 | id;
	uint32		slot = visited_slot(search, id);

	while (search->visited[slot] >> 32 == search->epoch)
	{
		if (search->visited[slot] == entry)
			return true;
		slot = (slot + 1) & search->visited_mask;
	}
	return false;
}
