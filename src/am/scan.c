/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Index scans: rows in the order of their distance from a vector.
 *
 * A scan goes through the phases below and returns, read to the end, every
 * row of the table.
 *
 *	graph		The search's results, nearest first.  When more than a good
 *				part of the pool has been returned, the search is continued
 *				with a pool twice as large, so that any LIMIT and any filter
 *				gets its rows, each from a pool larger than its rank.
 *	sweep		When the pool would outgrow work_mem, or a good part of the
 *				index, reading all of it costs less: every vertex not
 *				returned yet is read in the order of the pages and sorted.
 *				This also finds vertices that no link leads to.  Under a
 *				filter, only those that pass: where these are few, it is
 *				the first thing done.
 *	unranked	Rows whose distance is NaN, then rows whose vector is NULL.
 *
 * Rows are returned in the order of exact distances, of all that the search
 * has seen.  Where the index keeps a vector in half precision and its distance
 * might trade places with another's, the row is returned with a lower bound,
 * and the executor computes the distance from the table's row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

#include <float.h>
#include <math.h>

#include "access/relscan.h"
#include "access/tableam.h"
#include "access/tupdesc.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"

#include "am/filter.h"
#include "am/index_only.h"
#include "am/stats.h"
#include "stat/stat.h"

/* A scan ends at a radius if it returned no more than this share of a pool. */
#define RADIUS_SHARE(size)	(((size) + 3) / 4)

/* A sweep reads pages in order: as costly as a pool of this share of rows. */
#define SWEEP_SHARE			8

typedef enum ScanPhase
{
	PHASE_START,
	PHASE_GRAPH,
	PHASE_SWEEP,
	PHASE_NAN,
	PHASE_NULL,
	PHASE_DONE
} ScanPhase;

/*
 * The graph as a scan sees it: the reader's, with the query's distances.
 */
typedef struct ScanGraph
{
	TgReader	reader;			/* first */
	TgQuery		query;
	float		root_key;		/* the root is not a vector's image */
	int			layer;			/* on which the search is */
	TgRowChoice choice;			/* of rows: not dead to all, passing the filter */
} ScanGraph;

typedef struct TgScanState
{
	ScanPhase	phase;
	MemoryContext context;		/* of one query; reset by rescans */
	TgSearch   *search;			/* reused by rescans */

	/* The query. */
	TgFilter	filter;
	double		radius;			/* rows beyond are not wanted */
	bool		ranked;			/* false: distances are NULL or NaN, all alike */
	bool		null_distance;
	ScanGraph	graph;
	TgGeometry	geometry;
	TgScoreTable table;
	TgSearchSettings settings;
	bool		forced;			/* settings are the caller's, tg_scan_set() */
	int64		ef;
	int64		least;			/* hops under a filter: about as many as without */
	int64		share;			/* results to be taken before it grows */
	int64		taken;			/* results taken from the search */
	Tuplesortstate *sort;		/* of the sweep */
	TupleTableSlot *sort_slot;

	/*
	 * Rows of the vertex, or the unranked list, that is being returned.  Of
	 * those returned, the ones found dead to all are kept at the front.
	 */
	TgVertexId	owner;
	ItemPointerData *tids;
	int64		ntids;
	int64		next_tid;
	int64		nkilled;
	int64		tids_capacity;
	double		distance;		/* of these rows: lower bound */
	bool		recheck;
	bool		isnull;
	double		upper;			/* largest upper bound returned so far */

	TgIndexOnly *only;			/* of an index-only scan */

	int64		rows;			/* returned */
	TgScanStats past;			/* of the queries before this one */

	/* What the executor is told of a row, one for each ORDER BY. */
	Oid		   *distance_types;
	IndexOrderByDistance *distances;
} TgScanState;

/* Payload of a result: the row's address where there is just one. */
#define PAYLOAD_MANY		UINT64_MAX

static inline uint64
payload_from_tid(const ItemPointerData *stored)
{
	ItemPointerData tid = tg_tid_get(stored);

	return (uint64) ItemPointerGetBlockNumberNoCheck(&tid) << 16 |
		ItemPointerGetOffsetNumberNoCheck(&tid);
}

static inline void
payload_to_tid(uint64 payload, ItemPointer tid)
{
	ItemPointerSet(tid, (BlockNumber) (payload >> 16),
				   (OffsetNumber) (payload & 0xFFFF));
}

/*
 * Does a vertex have rows to return or, on an upper layer, lead down?
 */
static bool
is_live(const TgSlotHeader *header, const ScanGraph *graph)
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
	ScanGraph  *graph = (ScanGraph *) base;
	const TgSlotHeader *header = graph->reader.header;
	const TgLayout *layout = &graph->reader.layout;
	double		distance;
	double		error;
	float		key;

	*live = is_live(header, graph);
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
		result->payload = header->ntids == 1 && header->next == TG_INVALID_VERTEX ?
		payload_from_tid(&tg_slot_row(layout, header, 0)->tid) : PAYLOAD_MANY;
	return key;
}

IndexScanDesc
tg_ambeginscan(Relation index, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
	TgScanState  *state = palloc0(sizeof(TgScanState));

	state->context = AllocSetContextCreate(CurrentMemoryContext,
										   "togg scan",
										   ALLOCSET_DEFAULT_SIZES);
	state->search = tg_search_create();
	if (norderbys > 0)
	{
		state->distance_types = palloc(sizeof(Oid) * norderbys);
		state->distances = palloc0(sizeof(IndexOrderByDistance) * norderbys);
		for (int i = 0; i < norderbys; i++)
			state->distance_types[i] = FLOAT8OID;
		scan->xs_orderbyvals = palloc0(sizeof(Datum) * norderbys);
		scan->xs_orderbynulls = palloc(sizeof(bool) * norderbys);
		memset(scan->xs_orderbynulls, true, sizeof(bool) * norderbys);
	}
	scan->opaque = state;
	return scan;
}

/*
 * What the query that is running has cost so far.
 */
static TgScanStats
query_stats(const TgScanState *state)
{
	TgScanStats stats = {0};

	if (state->phase == PHASE_START)
		return stats;
	stats.search = state->search->stats;
	stats.search.pages = state->graph.reader.pages;
	stats.rows = state->rows;
	stats.sweeps = state->sort != NULL;
	return stats;
}

TgScanStats
tg_scan_stats(IndexScanDesc scan)
{
	const TgScanState *state = scan->opaque;
	TgScanStats stats = query_stats(state);

	stats.search.hops += state->past.search.hops;
	stats.search.stage1_hops += state->past.search.stage1_hops;
	stats.search.pages += state->past.search.pages;
	stats.search.distances += state->past.search.distances;
	stats.search.estimates += state->past.search.estimates;
	stats.search.widenings += state->past.search.widenings;
	stats.rows += state->past.rows;
	stats.sweeps += state->past.sweeps;
	return stats;
}

/*
 * Is there no row at the address that anybody sees, or could see yet?
 */
static bool
is_dead_to_all(const ItemPointerData *stored, void *arg)
{
	Relation	heap = arg;
	ItemPointerData tid = *stored;
	SnapshotData snapshot;

	InitNonVacuumableSnapshot(snapshot, GlobalVisTestFor(heap));
	return !table_index_fetch_tuple_check(heap, &tid, &snapshot, NULL);
}

/*
 * Mark the rows that were found dead to all, for later scans to skip.
 *
 * No lock was held since their addresses were read: VACUUM may have removed
 * one, and a new row of an equal vector taken its place in the table and here.
 * So the table is asked again, under the lock of the page to be marked: as long
 * as an address is in the index, no row but the one it was put in for is there.
 */
static void
kill_rows(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;

	if (state->nkilled > 0)
		tg_tids_kill(scan->indexRelation, &state->graph.reader.layout,
					 state->owner, state->tids, state->nkilled,
					 is_dead_to_all, scan->heapRelation);
	state->nkilled = 0;
}

/*
 * Report what the scan did, if it did anything, and drop what it held.
 */
static void
end_query(IndexScanDesc scan)
{
	TgScanState  *state = scan->opaque;

	if (state->phase == PHASE_START)
		return;
	kill_rows(scan);
	if (state->only)
		tg_index_only_release(state->only);
	tg_last_scan = query_stats(state);
	if (!state->forced)
		tg_stat_count_scan(scan->indexRelation, &tg_last_scan);
	state->past = tg_scan_stats(scan);
	if (state->sort)
	{
		ExecDropSingleTupleTableSlot(state->sort_slot);
		tuplesort_end(state->sort);
		state->sort = NULL;
	}
	state->phase = PHASE_START;
}

void
tg_amrescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
			int norderbys)
{
	TgScanState  *state = scan->opaque;

	end_query(scan);
	MemoryContextReset(state->context);
	state->tids = NULL;
	state->tids_capacity = 0;
	if (keys && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, sizeof(ScanKeyData) * scan->numberOfKeys);
	if (orderbys && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys,
				sizeof(ScanKeyData) * scan->numberOfOrderBys);
}

void
tg_amendscan(IndexScanDesc scan)
{
	TgScanState  *state = scan->opaque;

	end_query(scan);
	if (state->only)
		tg_index_only_destroy(state->only);
	MemoryContextDelete(state->context);
	tg_search_destroy(state->search);
	pfree(state);
}

/*
 * Where the search of layer 0 begins: at the root; in an HNSW graph, where a
 * greedy walk down the upper layers ends.
 */
static TgVertexId
find_entry(TgScanState *state, const TgIndex *info)
{
	TgSearchParams params = {TG_ROUTING_GREEDY, 0, 1, 1, 0};
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
	TgScanState  *state = scan->opaque;
	TgFilteredParams params;

	params.wanted = state->ef;
	params.least = state->least;
	params.sweep_hops = index_slots(scan) / TG_FILTER_SWEEP_SHARE;
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

/*
 * Start the graph search for a query vector.
 */
static void
start_search(IndexScanDesc scan, const TgIndex *info,
			 const TgOpclass *opclass, TgSpan span)
{
	TgScanState  *state = scan->opaque;
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
	tg_search_begin(state->search, &state->graph.reader.graph, &state->table,
					params);
	tg_search_add_entry(state->search, entry);
	state->phase = PHASE_GRAPH;
	if (state->filter.n == 0)
		tg_search_run(state->search);
	else
	{
		state->least = state->ef + state->ef / 2;
		if (!run_filtered(scan))
			state->phase = PHASE_SWEEP;
	}
	set_share(state);
}

/*
 * Read the conditions on the columns.
 */
static void
start_filter(IndexScanDesc scan)
{
	TgScanState  *state = scan->opaque;
	TgFilter   *filter = &state->filter;
	TgRowChoice *choice = &state->graph.choice;

	if (scan->numberOfKeys > 0 && filter->columns.n == 0)
		tg_filter_init(filter, scan->indexRelation);
	tg_filter_set(filter, scan->keyData, scan->numberOfKeys);
	choice->skip_killed = scan->ignore_killed_tuples;
	choice->pass = filter->n > 0 ? tg_filter_pass : NULL;
	choice->arg = filter;
}

/*
 * May the scan stop at a radius?  Only if the sphere that rows must be within
 * is about the query.
 */
static void
start_radius(TgScanState *state, const TgOpclass *opclass, TgSpan span)
{
	const TgSphere *sphere = &state->filter.sphere;
	TgSpan		center;

	if (!state->filter.has_sphere || isnan(sphere->radius))
		return;
	center = opclass->span(sphere->center);
	if (center.dims == span.dims &&
		memcmp(center.values, span.values, sizeof(float) * span.dims) == 0)
		state->radius = sphere->radius;
}

/*
 * Get ready for a query, whatever it is.
 */
static void
init_graph(TgScanState *state, Relation index, const TgIndex *info)
{
	memset(&state->search->stats, 0, sizeof(TgSearchStats));
	if (info->meta.dims == 0)
		return;
	tg_reader_init(&state->graph.reader, index, &info->layout);
	state->graph.reader.graph.distance = scan_distance;
}

void
tg_scan_set(IndexScanDesc scan, const TgSearchSettings *settings,
			TgVertexId held_out)
{
	TgScanState *state = scan->opaque;

	state->settings = *settings;
	state->forced = true;
	state->search->held_out = held_out;
}

int
tg_scan_probe(IndexScanDesc scan, TgSpan span, double *distances, int max)
{
	TgScanState *state = scan->opaque;
	const TgIndex *info = tg_index_get(scan->indexRelation);
	MemoryContext old;
	TgResult	result;
	int			n = 0;

	tg_amrescan(scan, NULL, 0, NULL, 0);
	old = MemoryContextSwitchTo(state->context);
	state->rows = 0;
	init_graph(state, scan->indexRelation, info);
	start_search(scan, info, tg_opclass_get(scan->indexRelation), span);
	while (n < max && tg_search_next(state->search, &result))
		distances[n++] = result.distance;
	state->past = tg_scan_stats(scan);
	state->phase = PHASE_START;
	MemoryContextSwitchTo(old);
	return n;
}

/*
 * Begin: read the query and choose the first phase.
 */
static void
start_query(IndexScanDesc scan)
{
	TgScanState  *state = scan->opaque;
	Relation	index = scan->indexRelation;
	const TgIndex *info;

	pgstat_count_index_scan(index);
#if PG_VERSION_NUM >= 180000
	if (scan->instrument)
		scan->instrument->nsearches++;
#endif

	/*
	 * Rows are returned after their pages were let go, and may by then be
	 * vacuumed away and their place taken by others: only a snapshot that does
	 * not see the others is safe.
	 */
	if (!IsMVCCSnapshot(scan->xs_snapshot))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("togg indexes can only be scanned with an MVCC snapshot"),
				 errdetail("Index \"%s\" was asked for rows under another kind of snapshot.",
						   RelationGetRelationName(index)),
				 errhint("Set enable_indexscan to off for this command.")));

	state->ranked = false;
	state->null_distance = true;
	state->taken = 0;
	state->rows = 0;
	state->ntids = 0;
	state->next_tid = 0;
	state->nkilled = 0;
	state->upper = -INFINITY;
	state->radius = INFINITY;
	start_filter(scan);
	if (scan->xs_want_itup && state->only == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(state));

		state->only = tg_index_only_create(scan);
		MemoryContextSwitchTo(old);
	}

	info = tg_index_get(index);
	init_graph(state, index, info);

	if (scan->numberOfOrderBys > 0 &&
		!(scan->orderByData[0].sk_flags & SK_ISNULL))
	{
		const TgOpclass *opclass = tg_opclass_get(index);
		TgSpan		span = opclass->span(scan->orderByData[0].sk_argument);
		int			dims;

		tg_check_finite(span);
		state->null_distance = false;
		start_radius(state, opclass, span);
		dims = info->meta.dims > 0 ? (int) info->meta.dims :
			tg_options_get(index).dimensions;
		if (dims > 0)
			tg_check_dims(index, dims, span.dims);
		if (info->meta.dims > 0)
		{
			if (tg_rankable(opclass, span) && !state->filter.never &&
				state->filter.true_vectors)
			{
				state->ranked = true;
				start_search(scan, info, opclass, span);
				return;
			}
		}
	}
	if (state->filter.never)
		state->phase = PHASE_DONE;
	else if (!state->filter.true_vectors)
		state->phase = PHASE_NULL;
	else
		state->phase = info->meta.dims > 0 ? PHASE_SWEEP : PHASE_NAN;
}

/*
 * Rows of a vertex, one after the other.
 */
static void
load_vertex(TgScanState *state, TgVertexId id, uint64 payload, double lower,
			bool rounded, bool recheck)
{
	if (payload == PAYLOAD_MANY)
		state->ntids = tg_tids_collect(&state->graph.reader, id,
									   &state->graph.choice, &state->tids,
									   &state->tids_capacity);
	else
	{
		if (state->tids == NULL)
		{
			state->tids_capacity = 8;
			state->tids = palloc(sizeof(ItemPointerData) *
								 state->tids_capacity);
		}
		payload_to_tid(payload, &state->tids[0]);
		state->ntids = 1;
	}
	state->owner = id;
	state->next_tid = 0;
	state->distance = lower;
	state->isnull = state->null_distance;

	/* Vectors that rounding made equal share a vertex, but not a distance. */
	state->recheck = recheck || (rounded && state->ntids > 1);
}

/*
 * Must the executor compute this distance itself?  Only where its interval
 * reaches one that was returned already, or that comes next.
 */
static bool
needs_recheck(TgScanState *state, double lower, double width, bool has_next,
			  double next_lower)
{
	double		upper = isfinite(width) ? lower + width : INFINITY;
	bool		recheck = width > 0 &&
		(lower < state->upper || (has_next && next_lower <= upper));

	state->upper = Max(state->upper, upper);
	return recheck;
}

/*
 * May the search be continued with a pool of this size?
 */
static bool
may_widen(IndexScanDesc scan, int64 ef)
{
	TgScanState  *state = scan->opaque;
	const TgSearch *search = state->search;
	int64		reserve = search->room - search->width;

	return search->expanded.n >= search->sure &&
		ef + reserve <= index_slots(scan) / SWEEP_SHARE &&
		tg_search_memory(ef * search->growth + reserve) <=
		(Size) work_mem * 1024;
}

/*
 * In an index-only scan the executor does not put rows in order.  So where a
 * distance is only known to be in an interval, it has to be computed here.
 */
static bool
needs_exact(IndexScanDesc scan, const TgResult *result)
{
	return scan->xs_want_itup && (result->error > 0 || result->rounded);
}

/*
 * Compute the distances of a vertex's rows from the table, and hand on each row
 * that is visible as a result of its own.
 */
static void
make_exact(IndexScanDesc scan, const TgResult *result,
		   void (*put) (IndexScanDesc scan, const TgResult *result))
{
	TgScanState  *state = scan->opaque;
	ItemPointerData *tids = NULL;
	int64		capacity = 0;
	int64		n = tg_tids_collect(&state->graph.reader, result->id,
									&state->graph.choice, &tids, &capacity);
	TgResult	exact = {0};

	exact.id = result->id;
	for (int64 i = 0; i < n; i++)
		if (tg_index_only_distance(state->only, &tids[i], &exact.distance))
		{
			exact.payload = payload_from_tid(&tids[i]);
			put(scan, &exact);
		}
	pfree(tids);
}

static void
put_back(IndexScanDesc scan, const TgResult *result)
{
	TgScanState  *state = scan->opaque;

	tg_results_add(state->search, result);
}

/* Columns of the sweep's sort. */
#define SORT_LOWER		1
#define SORT_WIDTH		2
#define SORT_ID			3
#define SORT_PAYLOAD	4
#define SORT_COLUMNS	4

static void
sort_put(IndexScanDesc scan, const TgResult *result)
{
	TgScanState  *state = scan->opaque;
	TupleTableSlot *slot = state->sort_slot;

	if (needs_exact(scan, result))
	{
		make_exact(scan, result, sort_put);
		return;
	}

	ExecClearTuple(slot);
	slot->tts_values[SORT_LOWER - 1] = Float8GetDatum(result->distance);
	slot->tts_values[SORT_WIDTH - 1] = Float8GetDatum(result->error);
	slot->tts_values[SORT_ID - 1] = Int64GetDatum((int64) result->id);
	slot->tts_values[SORT_PAYLOAD - 1] =
		Int64GetDatum((int64) result->payload);
	memset(slot->tts_isnull, false, sizeof(bool) * SORT_COLUMNS);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(state->sort, slot);
}

/*
 * Does a slot hold a vertex to return?  See TgSlotWanted.
 */
static bool
is_wanted(const TgSlotHeader *header, void *arg)
{
	return header->kind == TG_SLOT_VERTEX && is_live(header, arg);
}

/*
 * Put a slot's vertex into the sort, unless the search has had it.
 */
static void
sweep_slot(IndexScanDesc scan, TgVertexId id)
{
	TgScanState  *state = scan->opaque;
	TgGraph    *graph = &state->graph.reader.graph;
	TgVertexView view;
	TgResult	result = {0};
	bool		live;

	if (tg_search_was_expanded(state->search, id) ||
		!graph->open(graph, id, &view))
		return;
	live = is_live(state->graph.reader.header, &state->graph);
	if (live && state->ranked)
	{
		scan_distance(graph, &view, &result, &live);
		state->search->stats.distances++;
	}
	graph->close(graph);
	result.id = id;
	if (!state->ranked)
		result.payload = PAYLOAD_MANY;
	if (live && !(result.distance > state->radius))
		sort_put(scan, &result);
}

/*
 * Sort all vertices that were not returned yet.
 */
static void
start_sweep(IndexScanDesc scan)
{
	TgScanState  *state = scan->opaque;
	TgSlotScan	slots;
	TgVertexId	id;
	TupleDesc	desc = CreateTemplateTupleDesc(SORT_COLUMNS);
	AttrNumber	key = SORT_LOWER;
	Oid			operator = Float8LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;
	TgResult	result;

	TupleDescInitEntry(desc, SORT_LOWER, "lower", FLOAT8OID, -1, 0);
	TupleDescInitEntry(desc, SORT_WIDTH, "width", FLOAT8OID, -1, 0);
	TupleDescInitEntry(desc, SORT_ID, "id", INT8OID, -1, 0);
	TupleDescInitEntry(desc, SORT_PAYLOAD, "payload", INT8OID, -1, 0);
	state->sort = tuplesort_begin_heap(desc, 1, &key, &operator, &collation,
									   &nulls_first, work_mem, NULL, false);
	state->sort_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);

	if (state->ranked)
		tg_search_index_expanded(state->search);
	else
		tg_search_begin(state->search, &state->graph.reader.graph, NULL,
						(TgSearchParams) {TG_ROUTING_GREEDY, 0, 1, 1, 0});
	tg_slot_scan_begin(&slots, scan->indexRelation,
					   &state->graph.reader.layout);
	slots.wanted = is_wanted;
	slots.wanted_arg = &state->graph;
	while (tg_slot_scan_next(&slots, &id))
		if (slots.page.kind == TG_PAGE_LIST)
			sweep_slot(scan, id);
	state->graph.reader.pages += slots.nblocks;
	while (state->ranked && tg_search_next(state->search, &result))
		sort_put(scan, &result);
	tuplesort_performsort(state->sort);

	/* Rows go in by value and come out as the sort keeps them. */
	ExecDropSingleTupleTableSlot(state->sort_slot);
	state->sort_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
}

/*
 * Continue the search for more results.  False when that is not worth it.
 */
static bool
continue_search(IndexScanDesc scan)
{
	TgScanState  *state = scan->opaque;
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
 * Load the next vertex of the search.  False when the graph has no more to
 * give.
 */
static bool
next_of_graph(IndexScanDesc scan)
{
	TgScanState  *state = scan->opaque;
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
		state->phase = PHASE_DONE;
		return false;
	}
	tg_search_next(search, &result);
	if (unlikely(needs_exact(scan, &result)))
	{
		make_exact(scan, &result, put_back);
		state->ntids = state->next_tid = 0;
		return true;
	}
	state->taken++;
	next = tg_search_peek(search);
	load_vertex(state, result.id, result.payload, result.distance,
				result.rounded,
				needs_recheck(state, result.distance, result.error,
							  next != NULL, next ? next->distance : 0));
	return true;
}

static bool
next_of_sweep(IndexScanDesc scan)
{
	TgScanState  *state = scan->opaque;
	TupleTableSlot *slot;
	double		lower;
	double		width;
	TgVertexId	id;
	uint64		payload;
	bool		isnull;

	if (state->sort == NULL)
		start_sweep(scan);
	slot = state->sort_slot;
	if (!tuplesort_gettupleslot(state->sort, true, false, slot, NULL))
		return false;
	lower = DatumGetFloat8(slot_getattr(slot, SORT_LOWER, &isnull));
	width = DatumGetFloat8(slot_getattr(slot, SORT_WIDTH, &isnull));
	id = (TgVertexId) DatumGetInt64(slot_getattr(slot, SORT_ID, &isnull));
	payload = (uint64) DatumGetInt64(slot_getattr(slot, SORT_PAYLOAD, &isnull));

	/* What comes next is not known: any width is reason to recheck. */
	load_vertex(state, id, payload, lower, width > 0,
				needs_recheck(state, lower, width, true, lower));
	return true;
}

static void
load_unranked(IndexScanDesc scan, TgUnranked kind)
{
	TgScanState  *state = scan->opaque;

	state->ntids = tg_unranked_collect(scan->indexRelation, kind,
									   &state->graph.choice, &state->tids,
									   &state->tids_capacity);
	state->owner = TG_UNRANKED_OWNER(kind);
	state->next_tid = 0;
	state->recheck = false;
	state->isnull = state->null_distance || kind == TG_UNRANKED_NULL;
	state->distance = get_float8_nan();
}

/*
 * Tell the executor the distance of the row being returned.
 *
 * Of ORDER BY with several distances of the column, the index knows the first.
 * Of the others it gives a lower bound below all, and of the first one that
 * allows for rounding; the executor then sorts the ties.
 */
static void
report_distance(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
	IndexOrderByDistance *distances = state->distances;
	bool		recheck = state->recheck;

	distances[0].value = state->distance;
	distances[0].isnull = state->isnull;
	if (scan->numberOfOrderBys > 1)
	{
		recheck = true;
		if (state->ranked && !state->isnull)
			distances[0].value -= state->graph.query.slack *
				(fabs(state->distance) + state->graph.query.norm + 1.0);
		for (int i = 1; i < scan->numberOfOrderBys; i++)
			distances[i].value = -get_float8_infinity();
	}
	index_store_float8_orderby_distances(scan, state->distance_types,
										 distances, recheck);
}

/*
 * Load rows, of a vertex or of an unranked list, or go on to the next phase.
 * False if there are no more.
 */
static bool
load_more(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
	bool		loaded = false;

	CHECK_FOR_INTERRUPTS();
	kill_rows(scan);
	switch (state->phase)
	{
		case PHASE_GRAPH:
			loaded = next_of_graph(scan);
			break;
		case PHASE_SWEEP:
			loaded = next_of_sweep(scan);
			break;
		case PHASE_NAN:
			load_unranked(scan, TG_UNRANKED_NAN);
			break;
		case PHASE_NULL:
			if (state->filter.null_vectors)
				load_unranked(scan, TG_UNRANKED_NULL);
			break;
		default:
			return false;
	}
	if (!loaded && state->phase != PHASE_DONE)
		state->phase++;
	return true;
}

/*
 * Find the next row.
 */
static bool
next_row(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;

	for (;;)
	{
		if (state->next_tid >= state->ntids)
		{
			if (!load_more(scan))
				return false;
			continue;
		}
		scan->xs_heaptid = state->tids[state->next_tid++];
		if (!scan->xs_want_itup ||
			tg_index_only_row(state->only, &state->graph.reader, state->owner,
							  &scan->xs_heaptid))
			return true;
	}
}

bool
tg_amgettuple(IndexScanDesc scan, ScanDirection dir)
{
	TgScanState *state = scan->opaque;
	MemoryContext old;
	bool		found;

	Assert(ScanDirectionIsForward(dir));

	old = MemoryContextSwitchTo(state->context);
	if (state->only)
		tg_index_only_release(state->only);
	if (state->phase == PHASE_START)
		start_query(scan);
	else if (scan->kill_prior_tuple)
		state->tids[state->nkilled++] = state->tids[state->next_tid - 1];
	found = next_row(scan);
	MemoryContextSwitchTo(old);
	if (!found)
		return false;

	scan->xs_recheck = state->filter.lossy;
	state->rows++;
	if (scan->numberOfOrderBys > 0)
		report_distance(scan);
	return true;
}
