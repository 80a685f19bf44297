/*-------------------------------------------------------------------------
 *
 * scan_graph.c
 *	  Index scans: the rows that the graph leads to, nearest first.
 *
 * A search is begun with a pool as large as the settings say, and continued
 * when more is asked for than that pool is good for, until a sweep costs less.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/scan.h"

#include "miscadmin.h"

/* A scan ends at a radius if it returned no more than this share of a pool. */
#define RADIUS_SHARE(size)	(((size) + 3) / 4)

/* A sweep reads pages in order: as costly as a pool of this share of rows. */
#define SWEEP_SHARE			8

bool
tg_scan_is_live(const TgSlotHeader *header, const TgScanGraph *graph)
{
	if (header->layer != graph->layer || (header->flags & TG_VERTEX_DEAD))
		return false;
	if (header->layer > 0)
		return true;
	return !(header->flags & TG_VERTEX_ROOT) &&
		tg_tids_any(&graph->reader.layout, header, &graph->choice);
}

/*
 * Exact distance of the open vertex; see TgGraph.
 *
 * A result's distance is the lower bound, and its error the width of the
 * interval above it, so that results come in the order of lower bounds.
 */
static float
scan_distance(TgGraph *base, const TgVertexView *view, TgResult *result,
			  bool *live)
{
	TgScanGraph *graph = (TgScanGraph *) base;
	const TgSlotHeader *header = graph->reader.header;
	const TgLayout *layout = &graph->reader.layout;
	double		distance;
	double		error;
	float		key;

	*live = tg_scan_is_live(header, graph);
	if (unlikely(header->flags & TG_VERTEX_ROOT))
	{
		*result = (TgResult) {graph->root_key, 0, view->id, false, header->below};
		return graph->root_key;
	}
	key = tg_query_distance(&graph->query,
							tg_reader_vector(&graph->reader, view->id),
							tg_slot_stored(header), &distance, &error);
	result->distance = distance - error;
	result->error = 2 * error;
	result->rounded = header->error > 0;
	if (unlikely(header->layer > 0))
		result->payload = header->below;
	else
		result->payload =
			header->ntids == 1 && header->next == TG_INVALID_VERTEX ?
			tg_payload_from_tid(&tg_slot_row(layout, header, 0)->tid) :
			TG_PAYLOAD_MANY;
	return key;
}

/*
 * By the sketches: which vertices may have rows that pass?  See TgGraph.
 */
static uint32
scan_may_pass(TgGraph *base, const TgVertexId *ids, uint32 lanes)
{
	TgScanGraph *graph = (TgScanGraph *) base;
	uint32		passing = 0;

	for (; lanes != 0; lanes &= lanes - 1)
	{
		int			lane = __builtin_ctz(lanes);

		passing |= (uint32) tg_sketch_may_pass(&graph->sketch, ids[lane]) << lane;
	}
	return passing;
}

void
tg_scan_init_graph(TgScanState *state, Relation index, const TgIndex *info)
{
	TgScanGraph *graph = &state->graph;

	memset(&state->search->stats, 0, sizeof(TgSearchStats));
	graph->sketch.pages_read = 0;
	if (info->meta.dims == 0)
		return;
	tg_reader_init(&graph->reader, index, &info->layout);
	graph->reader.graph.distance = scan_distance;
	if (state->filter.n > 0 &&
		tg_sketch_filter(&graph->sketch, index, info, &state->filter,
						 &graph->may_pass_share))
	{
		graph->sketch.layout = &graph->reader.layout;
		graph->reader.graph.may_pass = scan_may_pass;
	}
}

/*
 * Where the search of layer 0 begins: at the root; in an HNSW graph, where a
 * greedy walk down the upper layers ends.
 */
static TgVertexId
find_entry(TgScanState *state, const TgIndex *info)
{
	TgSearchParams params = {TG_ROUTING_GREEDY, 0, 1, 1, 0, 0};
	int			layer = tg_index_layers(info) - 1;
	TgVertexId	entry = tg_index_root(info, layer);
	TgResult	nearest;

	for (; layer > 0; layer--)
	{
		state->graph.layer = layer;
		tg_search_begin(state->search, &state->graph.reader.graph,
						&state->table, params);
		tg_search_add_entry(state->search, entry);
		tg_search_run(state->search);

		/* The vertex that the layer above led to may have gone. */
		entry = tg_index_root(info, layer - 1);
		if (tg_search_next(state->search, &nearest) &&
			(TgVertexId) nearest.payload != state->search->held_out)
			entry = (TgVertexId) nearest.payload;
	}
	state->graph.layer = 0;
	return entry;
}

/* Slots of the index, in use or not. */
static double
index_slots(IndexScanDesc scan)
{
	const TgScanState *state = scan->opaque;
	const TgLayout *layout = &state->graph.reader.layout;

	return (double) RelationGetNumberOfBlocks(scan->indexRelation) *
		layout->stripe_slots / layout->stripe_pages;
}

/*
 * Route until as many vertices that pass the filter are expanded as the scan
 * wants by now.  False if a sweep has to bring the rest.
 */
static bool
run_filtered(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
	TgFilteredParams params;

	params.wanted = state->ef;
	params.sweep_hops = index_slots(scan) *
		(state->graph.reader.graph.may_pass ?
		 state->graph.may_pass_share + 1.0 / TG_SKETCH_SHARE :
		 1.0 / TG_FILTER_SWEEP_SHARE);
	params.memory = (Size) work_mem * 1024;
	return tg_search_run_filtered(state->search, &params);
}

/* Among how many of the nearest were the results found? */
static int64
search_depth(const TgScanState *state)
{
	return state->filter.n > 0 ? state->ef : tg_search_depth(state->search);
}

/* How many results may be taken before the search goes on? */
static void
set_share(TgScanState *state)
{
	state->share = tg_settings_rows(&state->settings, state->ef,
									search_depth(state));
}

void
tg_scan_start_search(IndexScanDesc scan, const TgIndex *info,
					 const TgOpclass *opclass, TgSpan span)
{
	TgScanState *state = scan->opaque;
	TgSearchParams params;
	TgVertexId	entry;
	int			dims = info->geometry.inner_dims;
	float	   *inner = palloc(sizeof(float) * dims);
	float	   *rotated = palloc(sizeof(float) * dims);

	state->geometry = info->geometry;
	tg_embed_query(&info->geometry, span.values, inner);
	tg_query_init(&state->graph.query, &state->geometry, info->layout.storage,
				  opclass->foreign_operator, span.values, inner);
	tg_rotate(&info->rotation, inner, rotated);
	for (int i = 0; i < dims; i++)
		rotated[i] -= info->root_rotated[i];
	state->graph.root_key = tg_kernels->dot(rotated, rotated, dims);
	state->table.entries = (uint8 *)
		CACHELINEALIGN(palloc(TG_TABLE_SIZE(dims) + PG_CACHE_LINE_SIZE));
	if (info->layout.bits > 0)
		tg_table_build(&state->table, dims, info->layout.bits, rotated);
	state->graph.reader.graph.query = inner;

	entry = find_entry(state, info);
	if (!state->forced)
		state->settings = tg_search_settings(scan->indexRelation, &info->meta);
	params.routing = state->settings.routing;
	params.stage1_width = state->settings.stage1_width;
	params.growth = state->settings.growth;
	params.slack = tg_pool_slack(dims);
	params.ef = state->ef = state->settings.ef;
	params.middle = state->settings.middle;
	tg_search_begin(state->search, &state->graph.reader.graph, &state->table,
					params);
	tg_search_add_entry(state->search, entry);
	state->phase = TG_PHASE_GRAPH;
	if (state->filter.n == 0)
		tg_search_run(state->search);
	else if (!run_filtered(scan))
		state->phase = TG_PHASE_SWEEP;
	set_share(state);
}

/*
 * May the search be continued with a pool of this size?
 */
static bool
may_widen(IndexScanDesc scan, int64 ef)
{
	TgScanState *state = scan->opaque;
	const TgSearch *search = state->search;
	int64		reserve = search->room - search->width;

	return search->expanded.n >= search->sure &&
		ef + reserve <= index_slots(scan) / SWEEP_SHARE &&
		tg_search_memory(ef * search->growth + reserve) <=
		(Size) work_mem * 1024;
}

/*
 * Continue the search for more results.  False when that is not worth it.
 */
static bool
continue_search(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
	int64		ef = tg_settings_next(&state->settings, state->ef, state->share);
	bool		more = true;

	if (state->filter.n == 0 && !may_widen(scan, ef))
		return false;
	state->ef = ef;
	if (state->filter.n == 0)
		tg_search_widen(state->search, (int) ef);
	else
	{
		state->search->stats.widenings++;
		more = run_filtered(scan);
	}
	set_share(state);
	return more;
}

/*
 * Where the index's pages come from disk, so may the table's: have those of the rows
 * that come next, at the top of the heap of results, read at the same time.
 */
static void
read_rows_ahead(IndexScanDesc scan)
{
	const TgScanState *state = scan->opaque;
	const TgSearch *search = state->search;
	int			n = Min(search->nresults, state->graph.reader.graph.ahead);

	for (int i = 0; i < n; i++)
	{
		uint64		payload = search->results[i].payload;
		ItemPointerData tid;

		if (payload == TG_PAYLOAD_MANY)
			continue;
		tg_payload_to_tid(payload, &tid);
		PrefetchBuffer(scan->heapRelation, MAIN_FORKNUM,
					   ItemPointerGetBlockNumberNoCheck(&tid));
	}
}

bool
tg_scan_next_of_graph(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
	TgSearch   *search = state->search;
	TgResult	result;
	const TgResult *next;
	bool		beyond;

	/*
	 * Before a row would come from the pool's far end, make it larger; also
	 * where there is none left because most of the pool is dead.  That the
	 * next row is beyond the radius is the more believable the larger the pool.
	 */
	for (;;)
	{
		next = tg_search_peek(search);
		beyond = next && next->distance > state->radius;
		if (next &&
			state->taken < (beyond ? RADIUS_SHARE(search_depth(state)) :
							state->share))
			break;
		if (!continue_search(scan))
			return false;
	}
	if (beyond)
	{
		state->phase = TG_PHASE_DONE;
		return false;
	}
	if (unlikely(state->graph.reader.graph.ahead > 0) && !scan->xs_want_itup)
		read_rows_ahead(scan);
	tg_search_next(search, &result);
	tg_scan_take(scan, &result, tg_search_peek(search));
	return true;
}
