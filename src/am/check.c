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

#include "am/check.h"

#include <math.h>

#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(togg_check);

/* What is known of a slot. */
#define SEEN_VERTEX		0x01
#define REACHED			0x02

/* How far factors may be off, of the terms they are made of. */
#define ROUNDING		1e-3

void
tg_check_report(TgCheck *check, BlockNumber block, int slot,
				const char *format,...)
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
	tuplestore_putvalues(check->result->setResult, check->result->setDesc,
						 values, nulls);
}

void
tg_check_report_slot(TgCheck *check, TgVertexId id, const char *text)
{
	tg_check_report(check, tg_id_stripe(&check->tg->layout, id),
					tg_id_place(&check->tg->layout, id), "%s", text);
}

/*
 * The flags of a slot number; NULL if the index has no such slot.
 */
static uint8 *
slot_flags(TgCheck *check, TgVertexId id)
{
	if (id / check->tg->layout.stripe_slots >= check->nblocks)
		return NULL;
	return &check->slots[id];
}

/*
 * A list that lost members may end before its last parts begin.
 */
static void
check_division(TgCheck *check, TgVertexId id, const TgSlotHeader *header)
{
	const TgDivision *division = &header->division;
	bool		sane = true;

	switch (check->tg->layout.guide)
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
		tg_check_report_slot(check, id, "has clusters that are not in order");
}

/*
 * A vertex of an upper layer has one below it, unless it is dead.
 */
static void
check_below(TgCheck *check, TgVertexId id, TgVertexId below, int layer)
{
	const TgSlotHeader *header;
	uint8	   *flags = slot_flags(check, below);

	if (flags == NULL)
	{
		tg_check_report_slot(check, id, "is above a slot that does not exist");
		return;
	}
	header = tg_reader_open_slot(&check->reader, below);
	if (header->kind != TG_SLOT_VERTEX || header->layer != layer - 1)
		tg_check_report_slot(check, id, "is above a slot that is no vertex of the layer below");
	check->reader.graph.close(&check->reader.graph);
}

static bool
is_root(const TgCheck *check, TgVertexId id)
{
	for (int layer = 0; layer < tg_index_layers(check->tg); layer++)
		if (id == tg_index_root(check->tg, layer))
			return true;
	return false;
}

/*
 * The norm that a slot notes is that of its vector, which storage may have
 * rounded; a vector normalised before it was rounded has 1.
 */
static bool
is_norm_of(const TgCheck *check, const TgSlotHeader *header,
		   const float *values)
{
	double		length = 0;
	double		noted = sqrt(header->norm2);

	if (!(header->norm2 >= 0) || !(header->error >= 0))
		return false;
	for (int i = 0; i < check->tg->geometry.dims; i++)
		length += (double) values[i] * values[i];
	length = sqrt(length);

	/* What float32 cannot sum is not noted as it is. */
	if (!isfinite(header->norm2) || length < 1e-15 || length > 1e15)
		return isfinite(length);
	return fabs(length - noted) <= header->error + ROUNDING * length;
}

/*
 * Stale marks are of neighbours that there are.
 */
static bool
has_odd_marks(const TgCheck *check, const TgSlotHeader *header)
{
	const TgLayout *layout = &check->tg->layout;
	TgVertexView view = {0};

	view.blocks = (const char *) header + layout->blocks_offset;
	for (int b = 0; b < layout->degree / TG_BLOCK_LANES; b++)
	{
		int			lanes = header->degree - b * TG_BLOCK_LANES;
		uint32		stale = tg_view_block(&layout->block, &view, b).stale;

		if (lanes < TG_BLOCK_LANES && stale >> Max(lanes, 0) != 0)
			return true;
	}
	return false;
}

/*
 * A vertex's header, and its list beside that; its values are in check->values.
 */
static void
check_vertex(TgCheck *check, TgVertexId id, const TgSlotHeader *header)
{
	bool		dead = (header->flags & TG_VERTEX_DEAD) != 0;
	bool		root = (header->flags & TG_VERTEX_ROOT) != 0;
	bool		rows = header->ntids > 0 || header->next != TG_INVALID_VERTEX;

	check_division(check, id, header);
	if (header->flags & ~(TG_VERTEX_DEAD | TG_VERTEX_ROOT))
		tg_check_report_slot(check, id, "has flags that there are not");
	if (header->layer >= tg_index_layers(check->tg))
		tg_check_report_slot(check, id, "is on a layer that there is not");
	if (!root && !is_norm_of(check, header, check->values))
		tg_check_report_slot(check, id, "has a norm that is not its vector's");
	if ((dead || root || header->layer > 0) && rows)
		tg_check_report_slot(check, id, "has rows, but is not one to have any");
	if (!(dead || root || header->layer > 0) && !rows)
		tg_check_report_slot(check, id, "has no rows but is not dead");
	if (has_odd_marks(check, header))
		tg_check_report_slot(check, id, "has marks of neighbours that it does not have");
}

/*
 * All heap TIDs of a vertex, its chain's included.
 */
static void
check_vertex_rows(TgCheck *check, TgVertexId id, float error)
{
	ItemPointerData *tids = NULL;
	int64		capacity = 0;
	int64		n = tg_tids_collect(&check->reader, id, &check->choice,
									&tids, &capacity);

	tg_check_rows(check, tg_id_stripe(&check->tg->layout, id),
				  tg_id_place(&check->tg->layout, id), tids, n, check->values,
				  error, TG_UNRANKED_KINDS);
	if (tids)
		pfree(tids);
}

/*
 * Is any of these rows visible?
 */
static bool
any_visible(TgCheck *check, ItemPointerData *tids, int64 n)
{
	for (int64 i = 0; i < n; i++)
		if (ItemPointerIsValid(&tids[i]) &&
			ItemPointerGetBlockNumber(&tids[i]) < check->heap_blocks &&
			table_index_fetch_tuple_check(check->heap, &tids[i],
										  check->snapshot, NULL))
			return true;
	return false;
}

/*
 * Is any row of a vertex visible?
 */
static bool
has_visible_row(TgCheck *check, TgVertexId id)
{
	ItemPointerData *tids = NULL;
	int64		capacity = 0;
	int64		n = tg_tids_collect(&check->reader, id, &check->choice,
									&tids, &capacity);
	bool		visible = any_visible(check, tids, n);

	if (tids)
		pfree(tids);
	return visible;
}

/*
 * Does the sketch of a vertex allow for its rows?  (Of an insert that failed it
 * may not know.)
 */
static void
check_sketch(TgCheck *check, TgVertexId id)
{
	const TgSlotHeader *header = tg_reader_open_slot(&check->reader, id);
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) *
								   (header->ntids + 1));
	int64		n = 0;

	for (int i = 0; i < header->ntids; i++)
	{
		const TgRow *row = tg_slot_row(&check->tg->layout, header, i);

		if (!tg_sketcher_fits(check->sketcher, id, row))
			tids[n++] = tg_tid_get(&row->tid);
	}
	check->reader.graph.close(&check->reader.graph);
	if (any_visible(check, tids, n))
		tg_check_report_slot(check, id, "has a row that its sketch denies");
	pfree(tids);
}

/*
 * Pass 1: every slot by itself.
 */
static void
check_slot(TgCheck *check, TgVertexId id)
{
	TgGraph    *graph = &check->reader.graph;
	const TgSlotHeader *header = tg_reader_open_slot(&check->reader, id);
	TgSlotHeader copy = *header;
	uint8	   *flags = slot_flags(check, id);

	/* A crash may leave a root that the metapage never heard of. */
	if (header->kind == TG_SLOT_VERTEX &&
		((header->flags & TG_VERTEX_ROOT) == 0 || is_root(check, id)))
	{
		*flags |= SEEN_VERTEX;
		tg_unstore(&check->tg->geometry, check->tg->layout.storage,
				   tg_reader_vector(&check->reader, id), check->values);
		check_vertex(check, id, header);
	}
	graph->close(graph);

	/* A standby may not have heard of the newest transactions. */
	if (!RecoveryInProgress() && copy.xid > tg_stamp_now())
		tg_check_report_slot(check, id, "has a stamp of the future");
	if (!(*flags & SEEN_VERTEX) || (copy.flags & TG_VERTEX_DEAD))
		return;
	if (copy.layer > 0)
		check_below(check, id, copy.below, copy.layer);
	else if (!(copy.flags & TG_VERTEX_ROOT))
	{
		check_vertex_rows(check, id, copy.error);
		if (check->sketcher)
			check_sketch(check, id);
	}
}

/* Inner vector of the open vertex, rotated. */
static void
read_rotated(TgCheck *check, TgVertexId id, float *rotated)
{
	tg_reader_inner(&check->reader, check->tg, id, check->values,
					check->inner);
	tg_rotate(&check->tg->rotation, check->inner, rotated);
}

/*
 * Do a neighbour's factors follow from its code and the two vectors?  check->
 * holder_rotated and check->rotated are those; error bounds how far rounding in
 * storage has moved them.
 */
static bool
is_code_right(TgCheck *check, int lane, float error)
{
	const TgIndex *tg = check->tg;
	TgVertexView view = {0};
	TgBlockView block;
	double		n2 = 0;			/* |w|^2, of the residual w = P(o - p) */
	double		xw = 0;			/* <x, w>, for the code x */
	double		xp = 0;			/* <x, P(p - m)>, for the root m */
	double		terms = 0;		/* what that is the sum of */
	double		o2 = 0;
	double		excess;			/* of p above o: see tg_excess() */
	double		a;
	double		f;
	double		slack;

	view.blocks = check->blocks;
	block = tg_view_block(&tg->layout.block, &view, lane / TG_BLOCK_LANES);
	lane %= TG_BLOCK_LANES;
	a = block.a[lane];
	f = block.f[lane];
	if (isnan(a) || !isfinite(f) || f > 0)
		return false;
	tg_codes_get_lane(block.codes, tg->geometry.inner_dims, tg->layout.bits,
					  lane, check->levels);
	for (int i = 0; i < tg->geometry.inner_dims; i++)
	{
		double		x = tg->layout.bits == 1 ? 2.0 * check->levels[i] - 1.0 :
			check->levels[i] - 1.5;
		double		w = check->rotated[i] - check->holder_rotated[i];
		double		p = check->holder_rotated[i] - tg->root_rotated[i];

		n2 += w * w;
		xw += x * w;
		xp += x * p;
		terms += fabs(x * p);
		o2 += (double) check->rotated[i] * check->rotated[i];
	}

	excess = tg_excess(&tg->geometry, check->holder_rotated) -
		tg_excess(&tg->geometry, check->rotated);

	/* Equal but for rounding, or too far apart for float32. */
	if (n2 <= 1e-10 * o2 || n2 <= error * error || n2 > 1e30)
		return true;
	slack = ROUNDING + 1e-6 * sqrt(o2 / n2) + 4 * error / sqrt(n2);
	return fabs(f * xw + 2 * n2) <= slack * 2 * n2 &&
		fabs(a - (n2 - f * xp + excess)) <=
		slack * (n2 + fabs(f) * terms + fabs(excess));
}

/*
 * A list's neighbours, which are vertices: are they of its layer, and do its
 * codes agree with their vectors?
 */
static void
check_neighbours(TgCheck *check, TgVertexId id, const TgVertexId *ids, int n)
{
	TgGraph    *graph = &check->reader.graph;
	const TgLayout *layout = &check->tg->layout;
	TgVertexView view;
	int			layer;
	float		error;

	if (!graph->open(graph, id, &view))
		return;
	layer = check->reader.header->layer;
	error = is_root(check, id) ? 0 : check->reader.header->error;
	memcpy(check->blocks, view.blocks,
		   layout->block.block_size * (layout->degree / TG_BLOCK_LANES));
	read_rotated(check, id, check->holder_rotated);
	graph->close(graph);

	for (int lane = 0; lane < n; lane++)
	{
		TgVertexView neighbour;
		const char *fault = NULL;
		const TgSlotHeader *header;

		if (!graph->open(graph, ids[lane], &neighbour))
			continue;
		header = check->reader.header;
		if (header->layer != layer)
			fault = "links to a vertex of another layer";
		else if (layout->bits > 0)
		{
			read_rotated(check, ids[lane], check->rotated);
			if (!is_code_right(check, lane, error + header->error))
				fault = "has a code that is not of the neighbour's vector";
		}
		graph->close(graph);
		if (fault)
			tg_check_report_slot(check, id, fault);
	}
}

/*
 * Pass 2: links and chains, following them from the root.
 */
static void
check_links(TgCheck *check, TgVertexId id, TgVertexId *queue, int64 *queued)
{
	TgGraph    *graph = &check->reader.graph;
	TgVertexId	ids[TG_MAX_DEGREE];
	TgVertexView view;
	bool		sane = true;

	if (!graph->open(graph, id, &view))
		return;
	for (int i = 0; i < view.degree; i++)
		ids[i] = tg_list_get(&check->tg->layout, check->reader.header, i);
	graph->close(graph);

	for (int i = 0; i < view.degree; i++)
	{
		uint8	   *flags = slot_flags(check, ids[i]);
		const char *fault = NULL;

		for (int j = 0; j < i; j++)
			if (ids[i] == ids[j])
				fault = "links to the same vertex twice";
		if (ids[i] == id)
			fault = "links to itself";
		else if (flags == NULL)
			fault = "links to a slot that does not exist";
		else if (!(*flags & SEEN_VERTEX))
			fault = "links to a slot that is no vertex";
		else if (!(*flags & REACHED))
		{
			*flags |= REACHED;
			queue[(*queued)++] = ids[i];
		}
		if (fault)
		{
			tg_check_report_slot(check, id, fault);
			sane = false;
		}
	}
	if (sane)
		check_neighbours(check, id, ids, view.degree);
}

/*
 * Pages, slots, links, chains.
 *
 * A vertex that an insert wrote, and had no time to link before it failed,
 * stays unreachable until VACUUM takes it away: not a fault, as long as no row
 * is lost by it.
 */
static void
check_graph(TgCheck *check)
{
	const TgLayout *layout = &check->tg->layout;
	Size		nslots = (Size) check->nblocks * layout->stripe_slots;
	TgVertexId *queue;
	int64		queued = 0;
	TgSlotScan	scan;
	TgVertexId	id;

	check->slots = MemoryContextAllocExtended(CurrentMemoryContext, nslots,
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	queue = MemoryContextAllocExtended(CurrentMemoryContext,
									   sizeof(TgVertexId) * nslots,
									   MCXT_ALLOC_HUGE);
	tg_reader_init(&check->reader, check->index, layout);
	check->reader.suspicious = true;
	check->blocks = palloc(layout->block.block_size *
						   (layout->degree / TG_BLOCK_LANES));
	check->values = palloc(sizeof(float) * layout->dims);
	check->inner = palloc(sizeof(float) * layout->inner_dims);
	check->holder_rotated = palloc(sizeof(float) * layout->inner_dims);
	check->rotated = palloc(sizeof(float) * layout->inner_dims);
	check->levels = palloc(layout->inner_dims);
	tg_slot_scan_begin(&scan, check->index, layout);
	while (tg_slot_scan_next(&scan, &id))
		if (scan.page.kind == TG_PAGE_LIST && slot_flags(check, id))
			check_slot(check, id);

	for (int layer = 0; layer < tg_index_layers(check->tg); layer++)
	{
		TgVertexId	root = tg_index_root(check->tg, layer);

		queue[queued++] = root;
		*slot_flags(check, root) |= REACHED;
	}
	for (int64 head = 0; head < queued; head++)
	{
		CHECK_FOR_INTERRUPTS();
		check_links(check, queue[head], queue, &queued);
	}
	for (Size i = 0; i < nslots; i++)
		if ((check->slots[i] & SEEN_VERTEX) && !(check->slots[i] & REACHED) &&
			has_visible_row(check, (TgVertexId) i))
			tg_check_report_slot(check, (TgVertexId) i, "cannot be reached from the root");
	tg_reader_free(&check->reader);
}

/*
 * Rows that no distance ranks, in their lists.
 */
static void
check_unranked(TgCheck *check)
{
	ItemPointerData *tids = NULL;
	int64		capacity = 0;

	for (int kind = 0; kind < TG_UNRANKED_KINDS; kind++)
	{
		int64		n = tg_unranked_collect(check->index, kind,
											&check->choice, &tids,
											&capacity);

		tg_check_rows(check, TG_METAPAGE_BLKNO, -1, tids, n, NULL, 0, kind);
	}
}

/*
 * togg_check(index regclass, heapallindexed bool): one row per finding.
 */
Datum
togg_check(PG_FUNCTION_ARGS)
{
	bool		heapallindexed = PG_GETARG_BOOL(1);
	TgCheck		check = {0};
	LOCKMODE	lockmode;
	Oid			heap_oid;
	Oid			user;
	int			security;
	int			nest_level;

	InitMaterializedSRF(fcinfo, 0);
	check.result = (ReturnSetInfo *) fcinfo->resultinfo;

	/* As everywhere, the table is locked before the index. */
	lockmode = RecoveryInProgress() ? AccessShareLock : ShareLock;
	heap_oid = IndexGetRelation(PG_GETARG_OID(0), true);
	if (OidIsValid(heap_oid))
		check.heap = table_open(heap_oid, lockmode);
	check.index = tg_open_index(PG_GETARG_OID(0), AccessShareLock);
	check.tg = tg_index_copy(tg_index_get(check.index));
	check.nblocks = RelationGetNumberOfBlocks(check.index);
	check.heap_blocks = RelationGetNumberOfBlocks(check.heap);
	check.snapshot = RegisterSnapshot(GetLatestSnapshot());
	tg_columns_open(&check.columns, check.index);
	check.sketcher = tg_sketcher_create(check.index, check.tg);
	check.choice.skip_killed = !TransactionStartedDuringRecovery();
	check.choice.pass = tg_check_note_row;
	check.choice.arg = &check;

	/* The index's functions and predicate are its owner's, as is the danger. */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(check.heap->rd_rel->relowner,
						   security | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	tg_restrict_search_path();

	if (heapallindexed)
		tg_check_rows_begin(&check);
	if (check.tg->meta.dims > 0)
		check_graph(&check);
	check_unranked(&check);
	if (heapallindexed)
	{
		tg_check_table(&check);
		tg_check_rows_end(&check);
	}

	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
	UnregisterSnapshot(check.snapshot);
	relation_close(check.index, AccessShareLock);
	table_close(check.heap, lockmode);
	return (Datum) 0;
}
