/*-------------------------------------------------------------------------
 *
 * scan_sweep.c
 *	  Index scans: the sweep, which reads what the graph did not return in the
 *	  order of the pages, and sorts it by distance.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/scan.h"

#include "access/tupdesc.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"

/* Columns of the sort. */
#define SORT_LOWER		1
#define SORT_WIDTH		2
#define SORT_ID			3
#define SORT_PAYLOAD	4
#define SORT_ROUNDED	5
#define SORT_COLUMNS	5

static void
sort_put(IndexScanDesc scan, const TgResult *result)
{
	TgScanState *state = scan->opaque;
	TupleTableSlot *slot = state->sort_slot;

	ExecClearTuple(slot);
	slot->tts_values[SORT_LOWER - 1] = Float8GetDatum(result->distance);
	slot->tts_values[SORT_WIDTH - 1] = Float8GetDatum(result->error);
	slot->tts_values[SORT_ID - 1] = Int64GetDatum((int64) result->id);
	slot->tts_values[SORT_PAYLOAD - 1] =
		Int64GetDatum((int64) result->payload);
	slot->tts_values[SORT_ROUNDED - 1] = BoolGetDatum(result->rounded);
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
	return header->kind == TG_SLOT_VERTEX && tg_scan_is_live(header, arg);
}

/*
 * Put a slot's vertex into the sort, unless the search has had it.
 */
static void
sweep_slot(IndexScanDesc scan, TgVertexId id)
{
	TgScanState *state = scan->opaque;
	TgGraph    *graph = &state->graph.reader.graph;
	TgVertexView view;
	TgResult	result = {0};
	bool		live;

	if (tg_search_was_expanded(state->search, id) ||
		!graph->open(graph, id, &view))
		return;
	live = tg_scan_is_live(state->graph.reader.header, &state->graph);
	if (live && state->ranked)
	{
		graph->distance(graph, &view, &result, &live);
		state->search->stats.distances++;
	}
	graph->close(graph);
	result.id = id;
	if (!state->ranked)
		result.payload = TG_PAYLOAD_MANY;
	if (live && !(result.distance > state->radius))
		sort_put(scan, &result);
}

/*
 * Sort all vertices that were not returned yet.
 */
static void
start_sweep(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
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
	TupleDescInitEntry(desc, SORT_ROUNDED, "rounded", BOOLOID, -1, 0);
	state->sort = tuplesort_begin_heap(desc, 1, &key, &operator, &collation,
									   &nulls_first, work_mem, NULL, false);
	state->sort_slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);

	if (state->ranked)
		tg_search_index_expanded(state->search);
	else
		tg_search_begin(state->search, &state->graph.reader.graph, NULL,
						(TgSearchParams) {TG_ROUTING_GREEDY, 0, 1, 1, 0, 0});
	tg_slot_scan_begin(&slots, scan->indexRelation,
					   &state->graph.reader.layout);
	slots.wanted = is_wanted;
	slots.wanted_arg = &state->graph;
	if (state->graph.reader.graph.may_pass)
	{
		slots.next_block = tg_sketch_next_block;
		slots.next_block_arg = &state->graph.sketch;
	}
	while (tg_slot_scan_next(&slots, &id))
		if (slots.page.kind == TG_PAGE_LIST)
			sweep_slot(scan, id);
	state->graph.reader.pages += slots.nread;
	while (state->ranked && tg_search_next(state->search, &result))
		sort_put(scan, &result);
	tuplesort_performsort(state->sort);

	/* Rows go in by value and come out as the sort keeps them. */
	ExecDropSingleTupleTableSlot(state->sort_slot);
	state->sort_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
}

/*
 * Take the next row out of the sort.
 */
static void
look_ahead(TgScanState *state)
{
	TupleTableSlot *slot = state->sort_slot;
	TgResult   *ahead = &state->ahead;
	bool		isnull;

	state->has_ahead = tuplesort_gettupleslot(state->sort, true, false, slot,
											  NULL);
	if (!state->has_ahead)
		return;
	ahead->distance = DatumGetFloat8(slot_getattr(slot, SORT_LOWER, &isnull));
	ahead->error = DatumGetFloat8(slot_getattr(slot, SORT_WIDTH, &isnull));
	ahead->id = (TgVertexId)
		DatumGetInt64(slot_getattr(slot, SORT_ID, &isnull));
	ahead->payload = (uint64)
		DatumGetInt64(slot_getattr(slot, SORT_PAYLOAD, &isnull));
	ahead->rounded = DatumGetBool(slot_getattr(slot, SORT_ROUNDED, &isnull));
}

/*
 * The next of the sort's rows and of those that were put back as results.
 */
bool
tg_scan_next_of_sweep(IndexScanDesc scan)
{
	TgScanState *state = scan->opaque;
	TgSearch   *search = state->search;
	const TgResult *next;
	TgResult	result;

	if (state->sort == NULL)
	{
		start_sweep(scan);
		look_ahead(state);
	}
	next = tg_search_peek(search);
	if (state->has_ahead && (!next || state->ahead.distance < next->distance))
	{
		result = state->ahead;
		look_ahead(state);
	}
	else if (!tg_search_next(search, &result))
		return false;
	next = tg_search_peek(search);
	if (state->has_ahead && (!next || state->ahead.distance < next->distance))
		next = &state->ahead;
	tg_scan_take(scan, &result, next);
	return true;
}

void
tg_scan_end_sweep(TgScanState *state)
{
	if (state->sort == NULL)
		return;
	ExecDropSingleTupleTableSlot(state->sort_slot);
	tuplesort_end(state->sort);
	state->sort = NULL;
}
