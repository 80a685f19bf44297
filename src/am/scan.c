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
 * This file has the callbacks and takes a query from phase to phase.  What is
 * done in them is in scan_graph.c, scan_sweep.c and scan_rows.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/scan.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "stat/stat.h"

/*
 * The workspace of a scan that has ended, for the next scan of the session:
 * growing one takes a tenth of a short query.  Each has a memory context of its
 * own, which belongs to the query as long as the scan does, so that an error
 * drops it.
 */
static TgSearch *spare_search = NULL;

/* One that has grown larger than this is not kept. */
#define MAX_SPARE_SIZE		((Size) 1024 * 1024)

/*
 * May it be used again?  What it has counts towards work_mem.
 */
static bool
may_use_again(TgSearch *search)
{
	return MemoryContextMemAllocated(GetMemoryChunkContext(search), true) <=
		Min(MAX_SPARE_SIZE, (Size) work_mem * 1024 / 4);
}

static TgSearch *
take_search(void)
{
	TgSearch   *search = spare_search;

	if (search != NULL && !may_use_again(search))
	{
		MemoryContextDelete(GetMemoryChunkContext(search));
		search = spare_search = NULL;
	}
	if (search == NULL)
	{
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
													  "togg search",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);

		search = tg_search_create();
		MemoryContextSwitchTo(old);
		return search;
	}
	spare_search = NULL;
	MemoryContextSetParent(GetMemoryChunkContext(search), CurrentMemoryContext);
	return search;
}

static void
leave_search(TgSearch *search)
{
	MemoryContext context = GetMemoryChunkContext(search);

	if (spare_search != NULL || !may_use_again(search))
	{
		MemoryContextDelete(context);
		return;
	}
	search->held_out = TG_INVALID_VERTEX;
	MemoryContextSetParent(context, TopMemoryContext);
	spare_search = search;
}

IndexScanDesc
tg_ambeginscan(Relation index, int nkeys, int norderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, nkeys, norderbys);
	TgScanState *state = palloc0(sizeof(TgScanState));

	state->context = AllocSetContextCreate(CurrentMemoryContext,
										   "togg scan",
										   ALLOCSET_DEFAULT_SIZES);
	state->search = take_search();
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

	if (state->phase == TG_PHASE_START)
		return stats;
	stats.search = state->search->stats;
	stats.search.pages = state->graph.reader.pages +
		state->graph.sketch.pages_read;
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
 * Report what the scan did, if it did anything, and drop what it held.
 */
static void
end_query(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;

	if (state->phase == TG_PHASE_START)
		return;
	tg_scan_kill_rows(scan);
	if (state->only)
		tg_index_only_release(state->only);
	tg_last_scan = query_stats(state);
	if (!state->forced)
		tg_stat_count_scan(scan->indexRelation, &tg_last_scan);
	state->past = tg_scan_stats(scan);
	tg_scan_end_sweep(state);
	state->phase = TG_PHASE_START;
}

void
tg_amrescan(IndexScanDesc scan, ScanKey keys, int nkeys, ScanKey orderbys,
			int norderbys)
{
	TgScanState *state = scan->opaque;

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
	TgScanState *state = scan->opaque;

	end_query(scan);
	if (state->only)
		tg_index_only_destroy(state->only);
	MemoryContextDelete(state->context);
	leave_search(state->search);
	pfree(state);
}

/*
 * Read the conditions on the columns.
 */
static void
start_filter(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
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
 * Begin: read the query and choose the first phase.
 */
static void
start_query(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
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

	/* What follows looks into catalogs, or reads a query out of line. */
	info = tg_index_copy(tg_index_get(index));
	tg_scan_init_graph(state, index, info);

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
				tg_scan_start_search(scan, info, opclass, span);
				return;
			}
		}
	}
	if (state->filter.never)
		state->phase = TG_PHASE_DONE;
	else if (!state->filter.true_vectors)
		state->phase = TG_PHASE_NULL;
	else
		state->phase = info->meta.dims > 0 ? TG_PHASE_SWEEP : TG_PHASE_NAN;
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
	tg_scan_kill_rows(scan);
	switch (state->phase)
	{
		case TG_PHASE_GRAPH:
			loaded = tg_scan_next_of_graph(scan);
			break;
		case TG_PHASE_SWEEP:
			loaded = tg_scan_next_of_sweep(scan);
			break;
		case TG_PHASE_NAN:
			tg_scan_load_unranked(scan, TG_UNRANKED_NAN);
			break;
		case TG_PHASE_NULL:
			if (state->filter.null_vectors)
				tg_scan_load_unranked(scan, TG_UNRANKED_NULL);
			break;
		default:
			return false;
	}
	if (!loaded && state->phase != TG_PHASE_DONE)
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
	if (state->phase == TG_PHASE_START)
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
		tg_scan_report_distance(scan);
	return true;
}
