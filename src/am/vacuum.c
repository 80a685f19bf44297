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
 *	2. One pass over all lists replaces the links to them (src/am/repair.c).
 *	3. What could be reached through them alone is linked in again.
 *	4. Nothing leads to them any more: free their slots.  Until then they are
 *	   the mark that a VACUUM cut short has left work behind.
 *
 * The set is bounded by maintenance_work_mem; what does not fit waits for the
 * next VACUUM.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/repair.h"

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

	/* amvacuumcleanup */
	TgDeadSet	dead;			/* to be freed */
	int64		dead_limit;
	int64		free_slots;
} VacuumState;

/*
 * A vertex without rows dies, unless it is the root.  (One of an upper layer
 * dies with the one below it.)
 */
static bool
is_dying(const TgSlotHeader *header)
{
	return header->kind == TG_SLOT_VERTEX && header->ntids == 0 &&
		header->next == TG_INVALID_VERTEX && header->layer == 0 &&
		!(header->flags & (TG_VERTEX_ROOT | TG_VERTEX_DEAD));
}

/* Does the table give up the row? */
static bool
is_removable(VacuumState *state, const ItemPointerData *stored)
{
	ItemPointerData tid = tg_tid_get(stored);

	return state->callback(&tid, state->callback_state);
}

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
		if (is_removable(state, &tids[i]))
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

static void
mark_if_dead(TgSlotHeader *header)
{
	if (is_dying(header))
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
		if (is_removable(state, &tids[i]))
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
		removable = is_dying(header) || has_removable(state, layout, header);
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
	TgReader	vertices;
	TgReader	unranked;
	TgSlotScan	scan;
	TgVertexId	id;

	tg_reader_init(&vertices, state->index, &state->tg->layout);
	tg_reader_init(&unranked, state->index, &state->unranked_layout);
	tg_slot_scan_begin(&scan, state->index, &state->tg->layout);
	while (tg_slot_scan_next(&scan, &id))
	{
		tg_vacuum_delay_point();
		visit(state, scan.page.kind == TG_PAGE_TIDS ? &unranked : &vertices,
			  id);
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
 * Has the vertex below one of an upper layer died?  It is not freed before the
 * pass that asks is over.
 */
static bool
is_bereft(TgReader *reader, TgVertexId below, int layer)
{
	const TgSlotHeader *header = tg_reader_open_slot(reader, below);
	bool		bereft = header->kind != TG_SLOT_VERTEX ||
		header->layer != layer - 1 || (header->flags & TG_VERTEX_DEAD);

	reader->graph.close(&reader->graph);
	return bereft;
}

/*
 * Mark a living vertex of an upper layer dead if the one below it is.
 */
static void
follow_below(VacuumState *state, TgReader *reader, TgVertexId id,
			 TgVertexId below, int layer)
{
	TgEdit		edit;

	if (!is_bereft(reader, below, layer))
		return;
	tg_edit_begin(&edit, state->index, &reader->layout, id);
	tg_edit_header(&edit)->flags |= TG_VERTEX_DEAD;
	tg_edit_header(&edit)->xid = tg_stamp_now();
	tg_edit_finish(&edit);
}

/*
 * Collect dead vertices that can be freed, and free slots that can be reused.
 */
static void
collect_slot(VacuumState *state, TgReader *reader, TgVertexId id)
{
	const TgSlotHeader *header = tg_reader_open_slot(reader, id);
	TgVertexId	below = header->below;
	int			upper = 0;

	if (header->kind == TG_SLOT_VERTEX && (header->flags & TG_VERTEX_DEAD))
	{
		TgDeadSet  *dead = &state->dead;

		if (dead->n < state->dead_limit && tg_stamp_is_past(header->xid))
		{
			/* Grows whenever the number is a power of two. */
			if ((dead->n & (dead->n - 1)) == 0)
				dead->ids = dead->n == 0 ? palloc(sizeof(TgVertexId)) :
					repalloc_huge(dead->ids,
								  sizeof(TgVertexId) * dead->n * 2);
			dead->ids[dead->n++] = id;
		}
	}
	else if (header->kind == TG_SLOT_FREE && reader->layout.kind == TG_PAGE_LIST)
	{
		tg_record_room(state->index, &reader->layout, id);
		state->free_slots++;
	}
	else if (header->kind == TG_SLOT_VERTEX &&
			 !(header->flags & TG_VERTEX_ROOT))
		upper = header->layer;
	reader->graph.close(&reader->graph);
	if (upper > 0)
		follow_below(state, reader, id, below, upper);
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
	if (state->dead.n > 0)
	{
		tg_repair_lists(state->index, state->tg, &state->dead);
		tg_repair_reach(state->index, state->tg);
		for (int64 i = 0; i < state->dead.n; i++)
		{
			tg_vacuum_delay_point();
			tg_slot_free(state->index, &state->tg->layout, state->dead.ids[i]);
		}
	}
	IndexFreeSpaceMapVacuum(state->index);

	stats->num_pages = RelationGetNumberOfBlocks(state->index);
	if (state->tg->meta.dims > 0)
		stats->pages_free = (state->free_slots + state->dead.n) /
			state->tg->layout.stripe_slots * state->tg->layout.stripe_pages;
	return stats;
}
