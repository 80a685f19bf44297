/*-------------------------------------------------------------------------
 *
 * vacuum.c
 *	  VACUUM of an index.
 *
 * ambulkdelete, one pass over the pages: heap TIDs that the table gives up are
 * removed; a vertex that has none left is marked dead and stamped.  A dead
 * vertex is not returned by scans and not linked to by inserts, but still
 * leads searches on.
 *
 * amvacuumcleanup: dead vertices whose stamp is past (no transaction runs that
 * could be about to link to them) are unlinked and freed:
 *
 *	1. Collect them.
 *	2. One pass over all lists: a link to one of them is replaced by a link to
 *	   the nearest of its own neighbours that the list does not have.
 *	3. Nothing leads to them any more: free their slots.
 *
 * The set is bounded by maintenance_work_mem; what does not fit waits for the
 * next VACUUM.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

#include <math.h>

#include "miscadmin.h"
#include "storage/indexfsm.h"
#include "storage/procarray.h"

/* A slot of heap TIDs that has become empty. */
typedef struct EmptySlot
{
	TgVertexId	id;
	TgVertexId	owner;
} EmptySlot;

typedef struct VacuumState
{
	Relation	index;
	IndexVacuumInfo *info;
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback;
	void	   *callback_state;
	const TgIndex *tg;
	TgLayout	unranked_layout;

	EmptySlot  *empty;
	int64		nempty;
	int64		empty_capacity;

	/* amvacuumcleanup: the dead to be freed, ascending. */
	TgVertexId *dead;
	int64		ndead;
	int64		dead_limit;
	BlockNumber free_pages;		/* with a free slot */
	struct Repair *repair;
} VacuumState;

/*
 * Does any heap TID of the slot have to go?
 */
static bool
has_removable(VacuumState *state, const TgLayout *layout,
			  const TgSlotHeader *header)
{
	ItemPointer tids = tg_slot_tids(layout, header);

	if (header->ntids == TG_TIDS_CLOSED)
		return false;
	for (int i = 0; i < header->ntids; i++)
		if (state->callback(&tids[i], state->callback_state))
			return true;
	return false;
}

static void
remember_empty(VacuumState *state, TgVertexId id, TgVertexId owner)
{
	if (state->nempty == state->empty_capacity)
	{
		state->empty_capacity = Max(64, state->empty_capacity * 2);
		state->empty = state->empty == NULL ?
			palloc(sizeof(EmptySlot) * state->empty_capacity) :
			repalloc_huge(state->empty,
						  sizeof(EmptySlot) * state->empty_capacity);
	}
	state->empty[state->nempty].id = id;
	state->empty[state->nempty].owner = owner;
	state->nempty++;
}

/* A vertex without rows, and not the root, dies. */
static void
mark_if_dead(TgSlotHeader *header)
{
	if (header->kind == TG_SLOT_VERTEX && header->ntids == 0 &&
		header->next == TG_INVALID_VERTEX &&
		!(header->flags & (TG_VERTEX_ROOT | TG_VERTEX_DEAD)))
	{
		header->flags |= TG_VERTEX_DEAD;
		header->xid = tg_stamp_now();
	}
}

/*
 * Remove heap TIDs from one slot.
 */
static void
remove_tids(VacuumState *state, const TgLayout *layout, TgVertexId id)
{
	TgEdit		edit;
	TgSlotHeader *header;
	ItemPointer tids;
	int			kept = 0;

	tg_edit_begin(&edit, state->index, layout, id);
	header = tg_edit_header(&edit);
	if (header->kind == TG_SLOT_FREE || header->ntids == TG_TIDS_CLOSED)
	{
		tg_edit_abort(&edit);
		return;
	}
	tids = tg_slot_tids(layout, header);
	for (int i = 0; i < header->ntids; i++)
	{
		if (state->callback(&tids[i], state->callback_state))
			state->stats->tuples_removed++;
		else
			tids[kept++] = tids[i];
	}
	header->ntids = kept;
	mark_if_dead(header);
	tg_edit_finish(&edit);
}

/*
 * Look at one slot; see ambulkdelete above.
 */
static void
vacuum_slot(VacuumState *state, TgReader *reader, TgVertexId id)
{
	const TgLayout *layout = &reader->layout;
	const TgSlotHeader *header = tg_reader_open_slot(reader, id);
	bool		removable = false;

	if (header->kind != TG_SLOT_FREE)
		removable = has_removable(state, layout, header);
	reader->graph.close(&reader->graph);
	if (removable)
		remove_tids(state, layout, id);

	header = tg_reader_open_slot(reader, id);
	if (header->kind != TG_SLOT_FREE && header->ntids != TG_TIDS_CLOSED)
		state->stats->num_index_tuples += header->ntids;
	if (header->kind == TG_SLOT_TIDS &&
		(header->ntids == 0 || header->ntids == TG_TIDS_CLOSED))
		remember_empty(state, id, header->owner);
	reader->graph.close(&reader->graph);
}

/*
 * Call a function for every slot of the index.
 */
static void
for_each_slot(VacuumState *state,
			  void (*visit) (VacuumState *, TgReader *, TgVertexId))
{
	Relation	index = state->index;
	BlockNumber nblocks = RelationGetNumberOfBlocks(index);
	TgReader	vertices;
	TgReader	unranked;

	tg_reader_init(&vertices, index, &state->tg->layout);
	tg_reader_init(&unranked, index, &state->unranked_layout);
	for (BlockNumber block = TG_METAPAGE_BLKNO + 1; block < nblocks; block++)
	{
		TgPageSlots page;

		tg_vacuum_delay_point();
		page = tg_page_slots(index, &state->tg->layout, block);
		if (page.kind == TG_PAGE_TIDS)
			visit(state, &unranked,
				  tg_id_make(&state->unranked_layout, block, 0));
		for (int i = 0; i < page.nslots; i++)
			visit(state, &vertices,
				  tg_id_make(&state->tg->layout, page.stripe, page.first + i));
	}
	tg_reader_free(&vertices);
	tg_reader_free(&unranked);
}

static VacuumState *
vacuum_begin(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	VacuumState *state = palloc0(sizeof(VacuumState));

	state->index = info->index;
	state->info = info;
	state->stats = stats ? stats : palloc0(sizeof(IndexBulkDeleteResult));
	state->tg = tg_index_copy(tg_index_get(info->index));
	tg_layout_init_unranked(&state->unranked_layout);
	return state;
}

IndexBulkDeleteResult *
tg_ambulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
				IndexBulkDeleteCallback callback, void *callback_state)
{
	VacuumState *state = vacuum_begin(info, stats);

	state->callback = callback;
	state->callback_state = callback_state;
	state->stats->num_index_tuples = 0;
	for_each_slot(state, vacuum_slot);

	for (int64 i = 0; i < state->nempty; i++)
	{
		const EmptySlot *empty = &state->empty[i];

		tg_vacuum_delay_point();
		tg_tids_unlink(state->index, &state->tg->layout, empty->id,
					   empty->owner);
		if (empty->owner < TG_MAX_SLOT)
		{
			TgEdit		edit;

			tg_edit_begin(&edit, state->index, &state->tg->layout,
						  empty->owner);
			mark_if_dead(tg_edit_header(&edit));
			tg_edit_finish(&edit);
		}
	}
	return state->stats;
}

/*
 * Collect dead vertices that can be freed, and free slots that can be reused.
 */
static void
collect_slot(VacuumState *state, TgReader *reader, TgVertexId id)
{
	const TgSlotHeader *header = tg_reader_open_slot(reader, id);

	if (header->kind == TG_SLOT_VERTEX && (header->flags & TG_VERTEX_DEAD))
	{
		if (state->ndead < state->dead_limit && tg_stamp_is_past(header->xid))
		{
			if ((state->ndead & (state->ndead - 1)) == 0)
				state->dead = state->dead == NULL ?
					palloc(sizeof(TgVertexId)) :
					repalloc_huge(state->dead,
								  sizeof(TgVertexId) * state->ndead * 2);
			state->dead[state->ndead++] = id;
		}
	}
	else if (header->kind == TG_SLOT_FREE && reader->layout.kind == TG_PAGE_LIST)
	{
		tg_record_room(state->index, &reader->layout, id);
		state->free_pages++;
	}
	reader->graph.close(&reader->graph);
}

static bool
is_dead(const VacuumState *state, TgVertexId id)
{
	int64		low = 0;
	int64		high = state->ndead;

	while (low < high)
	{
		int64		middle = (low + high) / 2;

		if (state->dead[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < state->ndead && state->dead[low] == id;
}

/*
 * What replacing links works with.
 */
typedef struct Repair
{
	VacuumState *vacuum;
	TgReader   *reader;			/* of the pass */
	TgListMaker maker;
	TgVertexId	holder;
	TgVertexId	present[TG_MAX_DEGREE];	/* links of the holder, old and new */
	int			npresent;
	float	   *values;			/* scratch, [dims] */
	float	   *holder_inner;
	float	   *holder_rotated;
	float	   *inner;			/* scratch */
	float	   *rotated;		/* scratch */
	TgScoreTable table;			/* of the holder */
} Repair;

static void
repair_init(Repair *repair, VacuumState *state)
{
	int			dims = state->tg->geometry.inner_dims;

	repair->vacuum = state;
	tg_list_maker_init(&repair->maker, state->tg);
	repair->values = palloc(sizeof(float) * state->tg->geometry.dims);
	repair->holder_inner = palloc(sizeof(float) * dims);
	repair->holder_rotated = palloc(sizeof(float) * dims);
	repair->inner = palloc(sizeof(float) * dims);
	repair->rotated = palloc(sizeof(float) * dims);
	repair->table.entries = palloc(TG_TABLE_SIZE(dims));
}

/* Inner vector of the open vertex. */
static void
read_inner(Repair *repair, TgVertexId id, float *inner)
{
	const TgIndex *tg = repair->vacuum->tg;

	tg_unstore(&tg->geometry, tg->layout.storage,
			   tg_reader_vector(repair->reader, id), repair->values);
	tg_embed(&tg->geometry, repair->values, repair->reader->header->norm2,
			 inner);
}

static bool
is_present(const Repair *repair, TgVertexId id)
{
	for (int i = 0; i < repair->npresent; i++)
		if (repair->present[i] == id)
			return true;
	return id == repair->holder;
}

/*
 * Of a dead vertex's neighbours, the one that looks nearest to the holder and
 * could take its place.
 */
static TgVertexId
nearest_substitute(Repair *repair, TgVertexId dead)
{
	TgGraph    *graph = &repair->reader->graph;
	TgVertexId	best = TG_INVALID_VERTEX;
	float		best_estimate = INFINITY;
	float		base;
	TgVertexView view;

	if (!graph->open(graph, dead, &view))
		return TG_INVALID_VERTEX;
	read_inner(repair, dead, repair->inner);
	base = tg_kernels->l2sq(repair->inner, repair->holder_inner,
							repair->vacuum->tg->geometry.inner_dims);
	for (int b = 0; b * TG_BLOCK_LANES < view.degree; b++)
	{
		TgBlockView block = tg_view_block(&graph->shape, &view, b);
		int			lanes = Min(view.degree - b * TG_BLOCK_LANES,
								TG_BLOCK_LANES);
		float		estimates[TG_BLOCK_LANES];

		tg_kernels->score(&repair->table, block.codes, block.a, block.f, base,
						  INFINITY, estimates);
		for (int i = 0; i < lanes; i++)
			if (estimates[i] < best_estimate &&
				!is_dead(repair->vacuum, block.ids[i]) &&
				!is_present(repair, block.ids[i]))
			{
				best_estimate = estimates[i];
				best = block.ids[i];
			}
	}
	graph->close(graph);
	return best;
}

/*
 * Read the substitute's vector into repair->rotated; false if it is no vertex
 * to link to.
 */
static bool
read_substitute(Repair *repair, TgVertexId id)
{
	TgGraph    *graph = &repair->reader->graph;
	TgVertexView view;
	bool		alive;

	if (!graph->open(graph, id, &view))
		return false;
	alive = !(repair->reader->header->flags &
			  (TG_VERTEX_DEAD | TG_VERTEX_ROOT));
	if (alive)
	{
		read_inner(repair, id, repair->inner);
		tg_rotate(&repair->vacuum->tg->rotation, repair->inner,
				  repair->rotated);
	}
	graph->close(graph);
	return alive;
}

/*
 * Put the substitute, or nothing if coded is NULL, where the holder links to
 * the dead vertex.
 */
static void
replace_link(Repair *repair, TgVertexId dead, const TgCoded *coded)
{
	const TgLayout *layout = &repair->vacuum->tg->layout;
	TgEdit		edit;
	TgSlotHeader *header;

	tg_edit_begin(&edit, repair->vacuum->index, layout, repair->holder);
	header = tg_edit_header(&edit);
	for (int lane = 0; lane < header->degree; lane++)
	{
		if (header->kind != TG_SLOT_VERTEX ||
			tg_list_get(layout, header, lane) != dead)
			continue;
		if (coded)
			tg_list_set(layout, header, lane, coded, true);
		else
			tg_list_remove(layout, header, lane);
		tg_edit_finish(&edit);
		return;
	}
	tg_edit_abort(&edit);
}

/*
 * Replace all of a vertex's links to dead vertices.  repair->present holds its
 * links, its vector is in repair->holder_inner.
 */
static void
repair_links(Repair *repair)
{
	const TgIndex *tg = repair->vacuum->tg;
	int			dims = tg->geometry.inner_dims;
	int			nlinks = repair->npresent;

	tg_rotate(&tg->rotation, repair->holder_inner, repair->holder_rotated);
	for (int i = 0; i < dims; i++)
		repair->rotated[i] = repair->holder_rotated[i] - tg->root_rotated[i];
	tg_table_build(&repair->table, dims, tg->layout.bits, repair->rotated);

	for (int i = 0; i < nlinks; i++)
	{
		TgVertexId	dead = repair->present[i];
		TgNeighbour substitute;
		const TgCoded *coded = NULL;

		if (!is_dead(repair->vacuum, dead))
			continue;
		substitute.id = nearest_substitute(repair, dead);
		substitute.rotated = repair->rotated;
		if (substitute.id != TG_INVALID_VERTEX &&
			read_substitute(repair, substitute.id))
		{
			coded = tg_code_neighbour(&repair->maker, repair->holder_rotated,
									  &substitute);
			repair->present[i] = substitute.id;
		}
		replace_link(repair, dead, coded);
	}
}

/*
 * Repair one slot's list, if it links to the dead.
 */
static void
repair_slot(VacuumState *state, TgReader *reader, TgVertexId id)
{
	Repair	   *repair = state->repair;
	TgGraph    *graph = &reader->graph;
	TgVertexView view;
	bool		found = false;

	if (reader->layout.kind != TG_PAGE_LIST || is_dead(state, id) ||
		!graph->open(graph, id, &view))
		return;
	repair->reader = reader;
	repair->holder = id;
	repair->npresent = view.degree;
	for (int lane = 0; lane < view.degree; lane++)
	{
		repair->present[lane] = tg_list_get(&reader->layout, reader->header,
											lane);
		found |= is_dead(state, repair->present[lane]);
	}
	if (found)
		read_inner(repair, id, repair->holder_inner);
	graph->close(graph);
	if (found)
		repair_links(repair);
}

IndexBulkDeleteResult *
tg_amvacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	VacuumState *state;

	/* Nothing was deleted: nothing has died since the last time. */
	if (info->analyze_only || stats == NULL)
		return stats;

	state = vacuum_begin(info, stats);
	state->dead_limit = (int64) maintenance_work_mem * 1024 /
		(2 * sizeof(TgVertexId));

	/* Brings what tg_stamp_is_past() knows up to date. */
	(void) GetOldestNonRemovableTransactionId(NULL);
	for_each_slot(state, collect_slot);
	if (state->ndead > 0)
	{
		Repair		repair = {0};

		repair_init(&repair, state);
		state->repair = &repair;
		for_each_slot(state, repair_slot);
		for (int64 i = 0; i < state->ndead; i++)
		{
			tg_vacuum_delay_point();
			tg_slot_free(state->index, &state->tg->layout, state->dead[i]);
		}
	}
	IndexFreeSpaceMapVacuum(state->index);

	stats->num_pages = RelationGetNumberOfBlocks(state->index);
	stats->pages_free = state->free_pages;
	return stats;
}
