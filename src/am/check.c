/*-------------------------------------------------------------------------
 *
 * check.c
 *	  togg_check(): verify an index, as amcheck does for others.
 *
 * Takes ShareLock on the table: queries go on, writes and VACUUM wait, so that
 * every finding is a fault.  (On a standby, where no such lock can be had,
 * AccessShareLock: what is replayed meanwhile may look like a fault.)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"
#include "am/columns.h"

#include <math.h>

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/bloomfilter.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(togg_check);

typedef struct CheckState
{
	Relation	heap;
	Relation	index;
	const TgIndex *tg;
	Snapshot	snapshot;
	TgReader	reader;
	ReturnSetInfo *result;
	BlockNumber nblocks;
	uint8	   *slots;			/* [nblocks * stripe_slots], flags below */
	bloom_filter *rows;			/* all there are, for heapallindexed */
	TgColumns	columns;
	TgRowChoice choice;			/* scans do not return what is killed */
	MemoryContext row_context;	/* of one row of the table */
} CheckState;

#define SEEN_VERTEX		0x01
#define SEEN_TIDS		0x02
#define SEEN_FREE		0x04
#define REACHED			0x08

static void report(CheckState *state, BlockNumber block, int slot,
				   const char *format,...) pg_attribute_printf(4, 5);

/*
 * Add a finding; slot is -1 for one about a page.
 */
static void
report(CheckState *state, BlockNumber block, int slot, const char *format,...)
{
	char		text[256];
	va_list		args;
	Datum		values[3];
	bool		nulls[3] = {false, slot < 0, false};

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	values[0] = Int64GetDatum((int64) block);
	values[1] = Int32GetDatum(slot);
	values[2] = CStringGetTextDatum(text);
	tuplestore_putvalues(state->result->setResult, state->result->setDesc,
						 values, nulls);
}

static void
report_slot(CheckState *state, TgVertexId id, const char *text)
{
	report(state, tg_id_stripe(&state->tg->layout, id),
		   tg_id_place(&state->tg->layout, id), "%s", text);
}

/*
 * The flags of a slot number; NULL if the index has no such slot.
 */
static uint8 *
slot_flags(CheckState *state, TgVertexId id)
{
	if (id / state->tg->layout.stripe_slots >= state->nblocks)
		return NULL;
	return &state->slots[id];
}

/*
 * Remember a row, with the columns it has, for heapallindexed; see TgRowChoice.
 */
static bool
remember_row(const TgRow *row, void *arg)
{
	CheckState *state = arg;
	union
	{
		TgRow		row;
		char		bytes[TG_MAX_ROW_SIZE];
	}			plain;

	if (state->rows == NULL)
		return true;
	memcpy(plain.bytes, row, state->columns.row_size);
	plain.row.tid = tg_tid_get(&row->tid);
	bloom_add_element(state->rows, (unsigned char *) plain.bytes,
					  state->columns.row_size);
	return true;
}

static void
check_rows(CheckState *state, TgVertexId id, const TgSlotHeader *header)
{
	if (header->ntids == TG_TIDS_CLOSED)
		return;
	for (int i = 0; i < header->ntids; i++)
	{
		const TgRow *row = tg_slot_row(&state->tg->layout, header, i);
		ItemPointerData tid = tg_tid_get(&row->tid);

		if (!ItemPointerIsValid(&tid))
			report_slot(state, id, "has an invalid heap TID");
		else if (tg_row_is_chosen(&state->choice, row))
			remember_row(row, state);
	}
}

/*
 * A list that lost members may end before its last parts begin.
 */
static void
check_division(CheckState *state, TgVertexId id, const TgSlotHeader *header)
{
	const TgDivision *division = &header->division;
	bool		sane = true;

	switch (state->tg->layout.guide)
	{
		case TG_GUIDE_KMEANS:
			for (int c = 0; c < header->nclusters; c++)
				sane = sane &&
					division->start[c] >= (c > 0 ? division->start[c - 1] : 0);
			sane = sane && (header->nclusters == 0 || division->start[0] == 0);
			break;
		case TG_GUIDE_KDTREE:
			if (header->nclusters > 0)
				sane = header->nclusters == 2 &&
					division->split.common <= division->split.right &&
					division->split.band >= 0 && isfinite(header->split_at);
			break;
		case TG_GUIDE_NONE:
			sane = header->nclusters == 0;
			break;
	}
	if (!sane)
		report_slot(state, id, "has clusters that are not in order");
}

/*
 * A vertex of an upper layer has one below it, unless it is dead.
 */
static void
check_below(CheckState *state, TgVertexId id, TgVertexId below, int layer)
{
	const TgSlotHeader *header;
	uint8	   *flags = slot_flags(state, below);

	if (flags == NULL)
	{
		report_slot(state, id, "is above a slot that does not exist");
		return;
	}
	header = tg_reader_open_slot(&state->reader, below);
	if (header->kind != TG_SLOT_VERTEX || header->layer != layer - 1)
		report_slot(state, id, "is above a slot that is no vertex of the layer below");
	state->reader.graph.close(&state->reader.graph);
}

static bool
is_root(const CheckState *state, TgVertexId id)
{
	for (int layer = 0; layer < tg_index_layers(state->tg); layer++)
		if (id == tg_index_root(state->tg, layer))
			return true;
	return false;
}

static void
check_factors(CheckState *state, TgVertexId id, const TgVertexView *view)
{
	for (int lane = 0; lane < view->degree; lane++)
	{
		TgBlockView block = tg_view_block(&state->tg->layout.block, view,
										  lane / TG_BLOCK_LANES);
		int			place = lane % TG_BLOCK_LANES;

		if (isnan(block.a[place]) || !isfinite(block.f[place]) ||
			block.f[place] > 0)
		{
			report_slot(state, id, "has a neighbour whose code factors cannot be");
			return;
		}
	}
}

/*
 * Pass 1: every slot by itself.
 */
static void
check_slot(CheckState *state, TgVertexId id)
{
	const TgSlotHeader *header = tg_reader_open_slot(&state->reader, id);
	TgGraph    *graph = &state->reader.graph;
	uint8	   *flags = slot_flags(state, id);
	TgVertexId	below = header->below;
	int			layer = 0;

	switch (header->kind)
	{
		case TG_SLOT_FREE:
			*flags |= SEEN_FREE;
			break;
		case TG_SLOT_TIDS:
			*flags |= SEEN_TIDS;
			check_rows(state, id, header);
			break;
		default:
			/* A crash may leave a root that the metapage never heard of. */
			if ((header->flags & TG_VERTEX_ROOT) && !is_root(state, id))
			{
				*flags |= SEEN_FREE;
				break;
			}
			*flags |= SEEN_VERTEX;
			check_rows(state, id, header);
			check_division(state, id, header);
			if (!(header->flags & TG_VERTEX_DEAD))
				layer = header->layer;
			if (!(header->norm2 >= 0) || !(header->error >= 0))
				report_slot(state, id, "has a vector of impossible norm");
			if ((header->flags & TG_VERTEX_DEAD) &&
				(header->ntids > 0 || header->next != TG_INVALID_VERTEX))
				report_slot(state, id, "is dead but has rows");
			if (!(header->flags & (TG_VERTEX_DEAD | TG_VERTEX_ROOT)) &&
				header->layer == 0 && header->ntids == 0 && header->next == TG_INVALID_VERTEX)
				report_slot(state, id, "has no rows but is not dead");
	}
	if (header->kind == TG_SLOT_VERTEX && state->tg->layout.bits > 0)
	{
		TgVertexView view = {0};

		view.degree = header->degree;
		view.blocks = (const char *) header + state->tg->layout.blocks_offset;
		check_factors(state, id, &view);
	}
	graph->close(graph);
	if (layer > 0)
		check_below(state, id, below, layer);
}

/*
 * Pass 2: links and chains, following them from the root.
 */
static void
check_links(CheckState *state, TgVertexId id, TgVertexId *queue, int64 *queued)
{
	TgGraph    *graph = &state->reader.graph;
	TgVertexId	ids[TG_MAX_DEGREE];
	TgVertexView view;

	if (!graph->open(graph, id, &view))
		return;
	for (int i = 0; i < view.degree; i++)
		ids[i] = tg_list_get(&state->tg->layout, state->reader.header, i);
	graph->close(graph);

	for (int i = 0; i < view.degree; i++)
	{
		uint8	   *flags = slot_flags(state, ids[i]);

		for (int j = 0; j < i; j++)
			if (ids[i] == ids[j])
				report_slot(state, id, "links to the same vertex twice");
		if (ids[i] == id)
			report_slot(state, id, "links to itself");
		if (flags == NULL)
			report_slot(state, id, "links to a slot that does not exist");
		else if (!(*flags & SEEN_VERTEX))
			report_slot(state, id, "links to a slot that is no vertex");
		else if (!(*flags & REACHED))
		{
			*flags |= REACHED;
			queue[(*queued)++] = ids[i];
		}
	}
}

/*
 * Is any row of a vertex visible?
 */
static bool
has_visible_row(CheckState *state, TgVertexId id)
{
	ItemPointerData *tids = NULL;
	int64		capacity = 0;
	int64		n = tg_tids_collect(&state->reader, id, &state->choice,
									&tids, &capacity);
	bool		visible = false;

	for (int64 i = 0; i < n && !visible; i++)
		visible = table_index_fetch_tuple_check(state->heap, &tids[i],
												state->snapshot, NULL);
	if (tids)
		pfree(tids);
	return visible;
}

/*
 * Pages, slots, links, chains.
 *
 * A vertex that an insert wrote, and had no time to link before it failed,
 * stays unreachable until VACUUM takes it away: not a fault, as long as no row
 * is lost by it.
 */
static void
check_graph(CheckState *state)
{
	const TgLayout *layout = &state->tg->layout;
	Size		nslots = (Size) state->nblocks * layout->stripe_slots;
	TgVertexId *queue;
	int64		queued = 0;
	TgSlotScan	scan;
	TgVertexId	id;

	state->slots = MemoryContextAllocExtended(CurrentMemoryContext, nslots,
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	queue = MemoryContextAllocExtended(CurrentMemoryContext,
									   sizeof(TgVertexId) * nslots,
									   MCXT_ALLOC_HUGE);
	tg_reader_init(&state->reader, state->index, layout);
	tg_slot_scan_begin(&scan, state->index, layout);
	while (tg_slot_scan_next(&scan, &id))
		if (scan.page.kind == TG_PAGE_LIST && slot_flags(state, id))
			check_slot(state, id);

	for (int layer = 0; layer < tg_index_layers(state->tg); layer++)
	{
		TgVertexId	root = tg_index_root(state->tg, layer);

		queue[queued++] = root;
		*slot_flags(state, root) |= REACHED;
	}
	for (int64 head = 0; head < queued; head++)
	{
		CHECK_FOR_INTERRUPTS();
		check_links(state, queue[head], queue, &queued);
	}
	for (Size i = 0; i < nslots; i++)
		if ((state->slots[i] & SEEN_VERTEX) && !(state->slots[i] & REACHED) &&
			has_visible_row(state, (TgVertexId) i))
			report_slot(state, (TgVertexId) i, "cannot be reached from the root");
	tg_reader_free(&state->reader);
}

/*
 * Is a row of the table in the index?
 */
static void
check_row(Relation index, ItemPointer tid, Datum *values, bool *isnull,
		  bool tupleIsAlive, void *arg)
{
	CheckState *state = arg;
	MemoryContext old = MemoryContextSwitchTo(state->row_context);
	TgRow	   *row = tg_row_make(&state->columns, values, isnull, tid);

	if (bloom_lacks_element(state->rows, (unsigned char *) row,
							state->columns.row_size))
		report(state, TG_METAPAGE_BLKNO, -1,
			   "row (%u,%u) of the table is not in the index%s",
			   ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid),
			   state->columns.n > 1 ? ", or with other columns" : "");
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->row_context);
}

static void
check_heap(CheckState *state)
{
	IndexInfo  *info = BuildIndexInfo(state->index);
	TableScanDesc scan = table_beginscan_strat(state->heap, state->snapshot, 0,
											   NULL, true, true);

	info->ii_Concurrent = true;
	table_index_build_scan(state->heap, state->index, info, true, false,
						   check_row, state, scan);
}

/*
 * togg_check(index regclass, heapallindexed bool): one row per finding.
 */
Datum
togg_check(PG_FUNCTION_ARGS)
{
	bool		heapallindexed = PG_GETARG_BOOL(1);
	CheckState	state = {0};
	ItemPointerData *tids = NULL;
	int64		capacity = 0;
	LOCKMODE	lockmode;
	Oid			heap_oid;

	InitMaterializedSRF(fcinfo, 0);
	state.result = (ReturnSetInfo *) fcinfo->resultinfo;

	/* As everywhere, the table is locked before the index. */
	lockmode = RecoveryInProgress() ? AccessShareLock : ShareLock;
	heap_oid = IndexGetRelation(PG_GETARG_OID(0), true);
	if (OidIsValid(heap_oid))
		state.heap = table_open(heap_oid, lockmode);
	state.index = tg_open_index(PG_GETARG_OID(0), AccessShareLock);
	state.tg = tg_index_copy(tg_index_get(state.index));
	state.nblocks = RelationGetNumberOfBlocks(state.index);
	state.snapshot = RegisterSnapshot(GetLatestSnapshot());
	state.choice.skip_killed = !TransactionStartedDuringRecovery();
	tg_columns_open(&state.columns, state.index);
	state.row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "togg check row",
											  ALLOCSET_DEFAULT_SIZES);
	if (heapallindexed)
		state.rows = bloom_create(Max(state.index->rd_rel->reltuples, 1000),
								  maintenance_work_mem, 0);

	if (state.tg->meta.dims > 0)
		check_graph(&state);
	state.choice.pass = remember_row;
	state.choice.arg = &state;
	for (int kind = 0; kind < TG_UNRANKED_KINDS; kind++)
		tg_unranked_collect(state.index, kind, &state.choice, &tids,
							&capacity);
	if (heapallindexed)
		check_heap(&state);

	UnregisterSnapshot(state.snapshot);
	relation_close(state.index, AccessShareLock);
	table_close(state.heap, lockmode);
	return (Datum) 0;
}
