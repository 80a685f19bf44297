/*-------------------------------------------------------------------------
 *
 * scan_rows.c
 *	  Index scans: from a vertex, or an unranked list, to its rows; what the
 *	  executor is told of their distances, and what it told of dead ones.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/scan.h"

#include <float.h>
#include <math.h>

#include "access/tableam.h"
#include "utils/float.h"
#include "utils/snapmgr.h"

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
void
tg_scan_kill_rows(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;

	if (state->nkilled > 0)
		tg_tids_kill(scan->indexRelation, &state->graph.reader.layout,
					 state->owner, state->tids, state->nkilled,
					 is_dead_to_all, scan->heapRelation);
	state->nkilled = 0;
}

void
tg_scan_load_unranked(IndexScanDesc scan, TgUnranked kind)
{
	TgScanState *state = scan->opaque;

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
 * Load the rows of a vertex.
 */
static void
load_vertex(TgScanState *state, const TgResult *result)
{
	if (result->payload == TG_PAYLOAD_MANY)
		state->ntids = tg_tids_collect(&state->graph.reader, result->id,
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
		tg_payload_to_tid(result->payload, &state->tids[0]);
		state->ntids = 1;
	}
	state->owner = result->id;
	state->next_tid = 0;
	state->distance = result->distance;
	state->isnull = state->null_distance;
}

/* The upper end of a result's interval. */
static double
upper_end(const TgResult *result)
{
	return isfinite(result->error) ? result->distance + result->error :
		INFINITY;
}

/*
 * Must the executor compute this distance itself?  Only where its interval
 * reaches one that was returned already, or that comes next.
 */
static bool
needs_recheck(TgScanState *state, const TgResult *result, const TgResult *next)
{
	double		upper = upper_end(result);
	bool		recheck = result->error > 0 &&
		(result->distance < state->upper ||
		 (next && next->distance <= upper));

	state->upper = Max(state->upper, upper);

	/* Vectors that rounding made equal share a vertex, but not a distance. */
	return recheck || (result->rounded && state->ntids > 1);
}

/*
 * In an index-only scan the executor does not put rows in order.  So where it
 * would have to compute a distance, that has to be done here.
 */
static bool
needs_exact(IndexScanDesc scan, const TgResult *result, const TgResult *next)
{
	if (!scan->xs_want_itup)
		return false;
	return (result->error > 0 && next &&
			next->distance <= upper_end(result)) ||
		(result->rounded && result->payload == TG_PAYLOAD_MANY);
}

/*
 * Compute the distances of a vertex's rows, and put each back as a result of its
 * own.  Results have no order for NaN, which in SQL comes after infinity.  (No other
 * distance is as large as DBL_MAX.)
 */
static void
make_exact(IndexScanDesc scan, const TgResult *result)
{
	TgScanState *state = scan->opaque;
	TgReader   *reader = &state->graph.reader;
	int64		n;
	TgResult	exact = {0};

	load_vertex(state, result);
	n = state->ntids;
	state->ntids = 0;
	exact.id = result->id;
	for (int64 i = 0; i < n; i++)
		if (tg_index_only_distance(state->only, reader, exact.id,
								   &state->tids[i], &exact.distance))
		{
			exact.distance = isnan(exact.distance) ? INFINITY :
				Min(exact.distance, DBL_MAX);
			exact.payload = tg_payload_from_tid(&state->tids[i]);
			tg_results_add(state->search, &exact);
		}
}

void
tg_scan_take(IndexScanDesc scan, const TgResult *result, const TgResult *next)
{
	TgScanState *state = scan->opaque;

	if (unlikely(needs_exact(scan, result, next)))
	{
		make_exact(scan, result);
		return;
	}
	state->taken++;
	load_vertex(state, result);
	state->recheck = needs_recheck(state, result, next) &&
		!scan->xs_want_itup;
}

/*
 * Tell the executor the distance of the row being returned.
 *
 * Of ORDER BY with several distances of the column, the index knows the first.
 * Of the others it gives a lower bound below all, and of the first one that
 * allows for rounding; the executor then sorts the ties.
 */
void
tg_scan_report_distance(IndexScanDesc scan)
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
