/*-------------------------------------------------------------------------
 *
 * vacuum.c
 *	  VACUUM of an index.
 *
 * ambulkdelete does all of it:
 *
 *	1. One pass over the pages.  Heap TIDs that the table gives up are removed;
 *	   a vertex that has none left is marked dead and stamped.  It is not
 *	   returned by scans and not linked to by inserts, but still leads searches
 *	   on.  Free slots go to the free space map.
 *	2. Of the dead, those whose stamp is past (no transaction runs that could
 *	   be about to link to them) are unlinked, in a second pass, and what could
 *	   be reached through them alone is linked in again (src/am/repair.c).
 *	3. Nothing leads to them any more: free their slots.  Until then they are
 *	   the mark that a VACUUM which was cut short has left work behind.
 *
 * What has to wait, for a stamp or for memory, is noted in the metapage, with
 * the stamp to wait for.  amvacuumcleanup looks there when no rows were to be
 * removed: an index with nothing left to do is not read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/repair.h"
#include "am/sketch.h"

#include "miscadmin.h"
#include "postmaster/autovacuum.h"
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
	TgSketcher *sketcher;		/* NULL: the index has no sketches */

	EmptySlot  *empty;
	int64		nempty;
	int64		empty_capacity;

	TgDeadSet	dead;			/* to be freed */
	int64		dead_limit;
	uint64		newest_dead;	/* stamp */
	uint64		left;			/* newest stamp of what has to wait */
	uint64		freed;			/* newest stamp of what was freed */
	int64		free_slots;
	int64		usable_slots;	/* of these, no longer protected */
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
	if (state->callback == NULL || header->ntids == TG_TIDS_CLOSED)
		return false;
	for (int i = 0; i < header->ntids; i++)
		if (is_removable(state, &tg_slot_row(layout, header, i)->tid))
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
mark_dead(TgSlotHeader *header)
{
	header->flags |= TG_VERTEX_DEAD;
	header->xid = tg_stamp_now();
}

/*
 * Remove heap TIDs from one slot.
 */
static void
remove_tids(VacuumState *state, const TgLayout *layout, TgVertexId id)
{
	TgEdit		edit;
	TgSlotHeader *header;
	int			kept = 0;

	/* An index-only scan may be about to ask whether a row of it is visible. */
	tg_edit_begin_cleanup(&edit, state->index, layout, id);
	header = tg_edit_header(&edit);
	if (header->kind == TG_SLOT_FREE || header->ntids == TG_TIDS_CLOSED)
	{
		tg_edit_abort(&edit);
		return;
	}
	for (int i = 0; i < header->ntids; i++)
	{
		const TgRow *row = tg_slot_row(layout, header, i);

		if (is_removable(state, &row->tid))
			state->stats->tuples_removed++;
		else
			tg_slot_put_row(layout, header, kept++, row);
	}
	header->ntids = kept;
	if (is_dying(header))
		mark_dead(header);
	if (state->sketcher && header->kind == TG_SLOT_VERTEX)
		tg_sketcher_renew(state->sketcher, id, header);
	tg_edit_finish(&edit);
}

static void
remember_dead(VacuumState *state, TgVertexId id, uint64 stamp)
{
	TgDeadSet  *dead = &state->dead;

	if (dead->n == state->dead_limit)
	{
		state->left = Max(state->left, stamp);
		return;
	}

	/* Grows whenever the number is a power of two. */
	if ((dead->n & (dead->n - 1)) == 0)
		dead->ids = dead->n == 0 ? palloc(sizeof(TgVertexId)) :
			repalloc_huge(dead->ids, sizeof(TgVertexId) * dead->n * 2);
	dead->ids[dead->n++] = id;
	state->newest_dead = Max(state->newest_dead, stamp);
}

/*
 * A free slot: may it be used yet?
 */
static void
count_free(VacuumState *state, const TgLayout *layout, TgVertexId id,
		   uint64 stamp)
{
	state->free_slots++;
	if (tg_stamp_is_past(stamp))
	{
		state->usable_slots++;
		tg_record_room(state->index, layout, id);
	}
	else
		state->left = Max(state->left, stamp);
}

/*
 * Remove from one slot what has to go, and note what is to be done about it.
 */
static void
vacuum_slot(VacuumState *state, TgReader *reader, TgVertexId id)
{
	const TgLayout *layout = &reader->layout;
	const TgSlotHeader *open = tg_reader_open_slot(reader, id);
	TgSlotHeader header;

	if (open->kind != TG_SLOT_FREE &&
		(is_dying(open) || has_removable(state, layout, open)))
	{
		reader->graph.close(&reader->graph);
		remove_tids(state, layout, id);
		open = tg_reader_open_slot(reader, id);
	}
	header = *open;
	reader->graph.close(&reader->graph);

	if (header.kind == TG_SLOT_FREE)
	{
		if (layout->kind == TG_PAGE_LIST)
			count_free(state, layout, id, header.xid);
		return;
	}
	if (header.ntids != TG_TIDS_CLOSED)
		state->stats->num_index_tuples += header.ntids;
	if (header.kind == TG_SLOT_TIDS &&
		(header.ntids == 0 || header.ntids == TG_TIDS_CLOSED))
		remember_empty(state, id, header.owner);
	if (header.kind == TG_SLOT_VERTEX && (header.flags & TG_VERTEX_DEAD))
		remember_dead(state, id, header.xid);
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
	scan.strategy = state->info->strategy;
	while (tg_slot_scan_next(&scan, &id))
	{
		tg_vacuum_delay_point();
		visit(state, scan.page.kind == TG_PAGE_TIDS ? &unranked : &vertices,
			  id);
	}
	tg_reader_free(&vertices);
	tg_reader_free(&unranked);
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
	TgSlotHeader *header;

	if (!is_bereft(reader, below, layer))
		return;
	tg_edit_begin(&edit, state->index, &reader->layout, id);
	header = tg_edit_header(&edit);
	mark_dead(header);
	remember_dead(state, id, header->xid);
	tg_edit_finish(&edit);
}

/*
 * See to it that the vertices of upper layers go where those below them went.
 */
static void
follow_slot(VacuumState *state, TgReader *reader, TgVertexId id)
{
	const TgSlotHeader *open = tg_reader_open_slot(reader, id);
	TgSlotHeader header = *open;

	reader->graph.close(&reader->graph);
	if (header.kind == TG_SLOT_VERTEX && header.layer > 0 &&
		!(header.flags & (TG_VERTEX_ROOT | TG_VERTEX_DEAD)))
		follow_below(state, reader, id, header.below, header.layer);
}

/*
 * Take the slots of heap TIDs that have become empty out of their chains.  The
 * last slots are mostly the first of their chains: so, of a long chain that
 * goes, each is found at the head.
 */
static void
unlink_empty(VacuumState *state)
{
	for (int64 i = state->nempty - 1; i >= 0; i--)
	{
		const EmptySlot *empty = &state->empty[i];
		TgEdit		edit;
		TgSlotHeader *header;

		tg_vacuum_delay_point();
		tg_tids_unlink(state->index, &state->tg->layout, empty->id,
					   empty->owner);
		state->freed = tg_stamp_now();
		if (empty->owner >= TG_MAX_SLOT)
			continue;
		tg_edit_begin(&edit, state->index, &state->tg->layout, empty->owner);
		header = tg_edit_header(&edit);
		if (state->sketcher && header->kind == TG_SLOT_VERTEX)
			tg_sketcher_renew(state->sketcher, empty->owner, header);
		if (is_dying(header))
		{
			mark_dead(header);
			remember_dead(state, empty->owner, header->xid);
			tg_edit_finish(&edit);
		}
		else
			tg_edit_abort(&edit);
	}
}

/*
 * Of the dead, keep those that nobody can be about to link to.
 */
static void
keep_past(VacuumState *state)
{
	TgReader	reader;
	int64		kept = 0;

	/* Brings what tg_stamp_is_past() knows up to date. */
	(void) GetOldestNonRemovableTransactionId(NULL);
	if (tg_stamp_is_past(state->newest_dead))
		return;
	tg_reader_init(&reader, state->index, &state->tg->layout);
	for (int64 i = 0; i < state->dead.n; i++)
	{
		uint64		stamp = tg_reader_open_slot(&reader, state->dead.ids[i])->xid;

		reader.graph.close(&reader.graph);
		if (tg_stamp_is_past(stamp))
			state->dead.ids[kept++] = state->dead.ids[i];
		else
			state->left = Max(state->left, stamp);
	}
	tg_reader_free(&reader);
	state->dead.n = kept;
}

/*
 * Note in the metapage when there will be something to do for VACUUM, even if
 * it has no rows to remove; and how many vertices are gone.
 */
static void
note_left(Relation index, uint64 stamp, int64 gone)
{
	TgMetaEdit	edit;

	tg_meta_edit_begin(&edit, index);
	if (edit.meta->left == stamp && gone == 0)
		tg_meta_edit_abort(&edit);
	else
	{
		edit.meta->left = stamp;
		edit.meta->changed += gone;
		tg_meta_edit_finish(&edit);
	}
}

/*
 * Memory that VACUUM of an index may take, in bytes.
 */
static int64
memory_limit(void)
{
	int			limit = AmAutoVacuumWorkerProcess() &&
		autovacuum_work_mem != -1 ? autovacuum_work_mem : maintenance_work_mem;

	return (int64) limit * 1024;
}

/*
 * All of it; without a callback, what earlier ones left.
 */
static IndexBulkDeleteResult *
vacuum_index(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
			 IndexBulkDeleteCallback callback, void *callback_state)
{
	VacuumState state = {0};
	const TgLayout *layout;

	state.index = info->index;
	state.info = info;
	state.stats = stats ? stats : palloc0(sizeof(IndexBulkDeleteResult));
	state.callback = callback;
	state.callback_state = callback_state;
	state.tg = tg_index_copy(tg_index_get(info->index));
	state.sketcher = tg_sketcher_create(info->index, state.tg);
	state.dead_limit = memory_limit() / 2 / TG_DEAD_SET_BYTES;
	tg_layout_init_unranked(&state.unranked_layout,
							tg_row_size(&state.tg->meta));
	layout = &state.tg->layout;

	/* Whatever interrupts us: there is something left. */
	note_left(state.index, FirstNormalTransactionId, 0);

	(void) GetOldestNonRemovableTransactionId(NULL);
	state.stats->num_index_tuples = 0;
	for_each_slot(&state, vacuum_slot);
	unlink_empty(&state);
	if (state.dead.n > 0 && tg_index_layers(state.tg) > 1)
		for_each_slot(&state, follow_slot);
	keep_past(&state);
	if (state.dead.n > 0)
	{
		tg_repair(state.index, state.tg, &state.dead, memory_limit() / 2,
				  info->strategy);
		for (int64 i = 0; i < state.dead.n; i++)
		{
			tg_vacuum_delay_point();
			tg_slot_free(state.index, layout, state.dead.ids[i]);
		}
		state.freed = tg_stamp_now();
		state.free_slots += state.dead.n;
	}

	/* An insert that comes too early strikes the page off the map. */
	(void) GetOldestNonRemovableTransactionId(NULL);
	if (!tg_stamp_is_past(state.freed))
		state.left = Max(state.left, state.freed);
	else
		state.usable_slots += state.dead.n;
	note_left(state.index, state.left, state.dead.n);

	if (state.tg->meta.dims > 0)
	{
		state.stats->pages_deleted = state.free_slots / layout->stripe_slots *
			layout->stripe_pages;
		state.stats->pages_free = state.usable_slots / layout->stripe_slots *
			layout->stripe_pages;
	}
	return state.stats;
}

IndexBulkDeleteResult *
tg_ambulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
				IndexBulkDeleteCallback callback, void *callback_state)
{
	return vacuum_index(info, stats, callback, callback_state);
}

IndexBulkDeleteResult *
tg_amvacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only)
		return stats;
	if (stats == NULL)
	{
		uint64		left = tg_meta_read(info->index).left;

		(void) GetOldestNonRemovableTransactionId(NULL);
		if (left == 0 || !tg_stamp_is_past(left))
			return NULL;
		stats = vacuum_index(info, NULL, NULL, NULL);
	}
	IndexFreeSpaceMapVacuum(info->index);
	stats->num_pages = RelationGetNumberOfBlocks(info->index);
	return stats;
}
