/*-------------------------------------------------------------------------
 *
 * tids.c
 *	  Rows of a vertex or of an unranked list: heap TIDs, and what the index
 *	  keeps beside each.
 *
 * A vertex has room for a few rows.  More, as equal vectors bring them,
 * go to slots of kind TG_SLOT_TIDS, chained from the vertex, newest first, so
 * that adding one takes constant time whatever their number.  Rows that no
 * distance can rank are chained from the metapage in the same way.
 *
 * A row never moves from one slot to another.  Who walks a chain locks
 * one slot at a time; a slot that was unlinked and reused in between is known
 * by its kind or owner, and the walk starts again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "page/page.h"

#include "lib/qunique.h"
#include "miscadmin.h"

/*
 * The two places a chain can hang from.
 */
typedef struct ChainHead
{
	bool		unranked;
	TgVertexId	owner;			/* vertex, or TG_UNRANKED_OWNER() */
	TgEdit		vertex;
	TgMetaEdit	meta;
	TgVertexId *next;			/* first slot of the chain, while open */
	bool		alive;			/* may rows be added? */
} ChainHead;

static inline bool
is_unranked(TgVertexId owner)
{
	return owner > TG_UNRANKED_OWNER(TG_UNRANKED_KINDS) &&
		owner <= TG_UNRANKED_OWNER(0);
}

static void
head_begin(ChainHead *head, Relation index, const TgLayout *layout,
		   TgVertexId owner)
{
	head->owner = owner;
	head->unranked = is_unranked(owner);
	if (head->unranked)
	{
		tg_meta_edit_begin(&head->meta, index);
		head->next = &head->meta.meta->unranked[TG_UNRANKED_OWNER(0) - owner];
		head->alive = true;
	}
	else
	{
		TgSlotHeader *header;

		tg_edit_begin(&head->vertex, index, layout, owner);
		header = tg_edit_header(&head->vertex);
		head->next = &header->next;
		head->alive = header->kind == TG_SLOT_VERTEX &&
			!(header->flags & (TG_VERTEX_DEAD | TG_VERTEX_ROOT));
	}
}

static void
head_end(ChainHead *head, bool changed)
{
	if (head->unranked)
	{
		if (changed)
			tg_meta_edit_finish(&head->meta);
		else
			tg_meta_edit_abort(&head->meta);
	}
	else if (changed)
		tg_edit_finish(&head->vertex);
	else
		tg_edit_abort(&head->vertex);
}

/*
 * Append to a slot of a chain; false if it is full or no longer of the chain.
 */
static bool
append_to_slot(Relation index, const TgLayout *layout, TgVertexId id,
			   TgVertexId owner, const TgRow *row)
{
	TgEdit		edit;
	TgSlotHeader *header;

	tg_edit_begin(&edit, index, layout, id);
	header = tg_edit_header(&edit);
	if (header->kind != TG_SLOT_TIDS || header->owner != owner ||
		header->ntids >= layout->slot_tids)
	{
		tg_edit_abort(&edit);
		return false;
	}
	tg_slot_put_row(layout, header, header->ntids++, row);
	tg_edit_finish(&edit);
	return true;
}

/*
 * A page for an unranked list: one that was emptied, or a new one.
 */
static TgVertexId
take_unranked_page(Relation index, const TgLayout *layout)
{
	TgMetaEdit	meta;
	TgEdit		page;
	TgVertexId	id;

	tg_meta_edit_begin(&meta, index);
	id = meta.meta->unranked_free;
	if (id == TG_INVALID_VERTEX)
	{
		tg_meta_edit_abort(&meta);
		return tg_id_make(layout, tg_extend(index, layout), 0);
	}
	tg_edit_begin(&page, index, layout, id);
	meta.meta->unranked_free = tg_edit_header(&page)->next;
	tg_edit_abort(&page);
	tg_meta_edit_finish(&meta);
	return id;
}

/*
 * Free a slot that no chain leads to.
 */
static void
free_tids_slot(Relation index, const TgLayout *layout, TgVertexId id,
			   TgVertexId owner)
{
	TgMetaEdit	meta;
	TgEdit		page;
	TgSlotHeader *header;

	if (!is_unranked(owner))
	{
		tg_slot_free(index, layout, id);
		return;
	}
	tg_meta_edit_begin(&meta, index);
	tg_edit_begin(&page, index, layout, id);
	header = tg_edit_header(&page);
	header->kind = TG_SLOT_FREE;
	header->next = meta.meta->unranked_free;
	tg_edit_finish(&page);
	meta.meta->unranked_free = id;
	tg_meta_edit_finish(&meta);
}

/*
 * A new slot with one row, not linked yet.
 */
static TgVertexId
new_tids_slot(Relation index, const TgLayout *layout, TgVertexId owner,
			  TgVertexId next, const TgRow *row)
{
	char	   *list = palloc0(layout->list.size);
	TgSlotHeader *header = (TgSlotHeader *) list;
	TgVertexId	id;

	header->kind = TG_SLOT_TIDS;
	header->owner = owner;
	header->next = next;
	header->ntids = 1;
	tg_slot_put_row(layout, header, 0, row);
	if (is_unranked(owner))
	{
		TgEdit		page;

		id = take_unranked_page(index, layout);
		tg_edit_begin(&page, index, layout, id);
		memcpy(page.slot, list, layout->list.size);
		tg_edit_finish(&page);
	}
	else
		id = tg_slot_insert(index, layout, list, NULL);
	pfree(list);
	return id;
}

/*
 * Add to a chain whose first slot was *first a moment ago.
 *
 * Returns true when the row is in; false, with *first brought up to
 * date, when somebody else changed the chain's head, or the vertex died.
 */
static bool
chain_add(Relation index, const TgLayout *layout, TgVertexId owner,
		  TgVertexId *first, const TgRow *row)
{
	ChainHead	head;
	TgVertexId	fresh;
	bool		linked;

	if (*first != TG_INVALID_VERTEX &&
		append_to_slot(index, layout, *first, owner, row))
		return true;

	fresh = new_tids_slot(index, layout, owner, *first, row);
	head_begin(&head, index, layout, owner);
	linked = head.alive && *head.next == *first;
	if (linked)
		*head.next = fresh;
	else
		*first = *head.next;
	head_end(&head, linked);
	if (!linked)
		free_tids_slot(index, layout, fresh, owner);
	return linked;
}

bool
tg_tids_add(Relation index, const TgLayout *layout, TgVertexId id,
			const TgRow *row)
{
	TgVertexId	first;

	do
	{
		TgEdit		edit;
		TgSlotHeader *header;

		tg_edit_begin(&edit, index, layout, id);
		header = tg_edit_header(&edit);
		if (header->kind != TG_SLOT_VERTEX ||
			(header->flags & (TG_VERTEX_DEAD | TG_VERTEX_ROOT)))
		{
			tg_edit_abort(&edit);
			return false;
		}
		if (header->ntids < layout->vertex_tids)
		{
			tg_slot_put_row(layout, header, header->ntids++, row);
			tg_edit_finish(&edit);
			return true;
		}
		first = header->next;
		tg_edit_abort(&edit);
	} while (!chain_add(index, layout, id, &first, row));
	return true;
}

void
tg_unranked_add(Relation index, TgUnranked kind, const TgRow *row)
{
	TgMetaPage	meta = tg_meta_read(index);
	TgVertexId	first = meta.unranked[kind];
	TgLayout	layout;

	tg_layout_init_unranked(&layout, tg_row_size(&meta));
	while (!chain_add(index, &layout, TG_UNRANKED_OWNER(kind), &first, row))
		continue;
}

/*
 * A chain that has had more slots than the index leads back into itself.
 */
static void
check_chain_length(Relation index, const TgLayout *layout, TgVertexId id,
				   uint64 nslots)
{
	if (nslots % 1024 == 0 &&
		nslots > (uint64) RelationGetNumberOfBlocks(index) *
		layout->stripe_slots)
		tg_report_corruption(index, tg_id_stripe(layout, id),
							 "Slot %u is in a chain that has no end.", id);
}

/* VACUUM does not change a chain this often while it is walked once. */
#define MAX_RESTARTS	1000

/*
 * A walk met a slot that is not of the chain and has to start again.  If that
 * goes on for ever, no concurrent VACUUM is the reason.
 */
static void
check_restarts(Relation index, TgVertexId owner, int restarts)
{
	if (restarts > MAX_RESTARTS)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" contains a broken chain of heap TIDs",
						RelationGetRelationName(index)),
				 errdetail("A slot in the chain of slot %u is not its own.",
						   owner),
				 errhint("Please REINDEX it.")));
}

static int
compare_tids(const void *a, const void *b)
{
	return ItemPointerCompare(unconstify(ItemPointerData *,
										 (const ItemPointerData *) a),
							  unconstify(ItemPointerData *,
										 (const ItemPointerData *) b));
}

/*
 * Collect the heap TIDs of one slot; returns how many.
 */
static int
collect_slot(const TgLayout *layout, const TgSlotHeader *header,
			 const TgRowChoice *choice, ItemPointerData *tids)
{
	int			n = 0;

	for (int i = 0; i < header->ntids; i++)
	{
		const TgRow *row = tg_slot_row(layout, header, i);

		if (tg_row_is_chosen(choice, row))
			tids[n++] = tg_tid_get(&row->tid);
	}
	return n;
}

/*
 * Collect a chain's heap TIDs after the n that are there.  Returns the new
 * number, or -1 if the chain changed under us.
 */
static int64
chain_collect(TgReader *reader, TgVertexId owner, TgVertexId next,
			  const TgRowChoice *choice, ItemPointerData **tids,
			  int64 *capacity, int64 n)
{
	uint64		nslots = 0;

	while (next != TG_INVALID_VERTEX)
	{
		const TgSlotHeader *header;

		CHECK_FOR_INTERRUPTS();
		check_chain_length(reader->index, &reader->layout, next, ++nslots);
		header = tg_reader_open_slot(reader, next);
		if (header->kind != TG_SLOT_TIDS || header->owner != owner)
		{
			reader->graph.close(&reader->graph);
			return -1;
		}
		if (header->ntids <= reader->layout.slot_tids)
		{
			while (n + header->ntids > *capacity)
			{
				*capacity *= 2;
				*tids = repalloc_huge(*tids,
									  sizeof(ItemPointerData) * *capacity);
			}
			n += collect_slot(&reader->layout, header, choice, *tids + n);
		}
		next = header->next;
		reader->graph.close(&reader->graph);
	}

	/*
	 * A slot that was unlinked, reused and put at the head of the same chain
	 * leads through all of it a second time.
	 */
	if (nslots > 1)
	{
		qsort(*tids, n, sizeof(ItemPointerData), compare_tids);
		n = qunique(*tids, n, sizeof(ItemPointerData), compare_tids);
	}
	return n;
}

static void
ensure_capacity(ItemPointerData **tids, int64 *capacity, int64 least)
{
	if (*capacity >= least)
		return;
	if (*tids)
		pfree(*tids);
	*tids = palloc(sizeof(ItemPointerData) * least);
	*capacity = least;
}

int64
tg_tids_collect(TgReader *reader, TgVertexId id, const TgRowChoice *choice,
				ItemPointerData **tids, int64 *capacity)
{
	int			restarts = 0;
	int64		n;

	ensure_capacity(tids, capacity,
					Max(reader->layout.vertex_tids, reader->layout.slot_tids));
	do
	{
		const TgSlotHeader *header;
		TgVertexId	next = TG_INVALID_VERTEX;

		check_restarts(reader->index, id, restarts++);
		header = tg_reader_open_slot(reader, id);
		n = 0;
		if (header->kind == TG_SLOT_VERTEX)
		{
			n = collect_slot(&reader->layout, header, choice, *tids);
			next = header->next;
		}
		reader->graph.close(&reader->graph);
		n = chain_collect(reader, id, next, choice, tids, capacity, n);
	} while (n < 0);
	return n;
}

int64
tg_unranked_collect(Relation index, TgUnranked kind,
					const TgRowChoice *choice, ItemPointerData **tids,
					int64 *capacity)
{
	TgLayout	layout;
	TgReader	reader;
	int			restarts = 0;
	int64		n;

	tg_layout_init_unranked(&layout, tg_row_size(&tg_index_get(index)->meta));
	tg_reader_init(&reader, index, &layout);
	ensure_capacity(tids, capacity, layout.slot_tids);
	do
	{
		check_restarts(index, TG_UNRANKED_OWNER(kind), restarts++);
		n = chain_collect(&reader, TG_UNRANKED_OWNER(kind),
						  tg_meta_read(index).unranked[kind], choice,
						  tids, capacity, 0);
	} while (n < 0);
	tg_reader_free(&reader);
	return n;
}

bool
tg_tids_any(const TgLayout *layout, const TgSlotHeader *header,
			const TgRowChoice *choice)
{
	if (header->next != TG_INVALID_VERTEX)
		return true;
	for (int i = 0; i < header->ntids; i++)
		if (tg_row_is_chosen(choice, tg_slot_row(layout, header, i)))
			return true;
	return false;
}

/*
 * Which rows to kill, of a slot after the other.
 */
typedef struct Kill
{
	TgVertexId	owner;
	ItemPointerData *tids;
	int64		n;
	TgTidIsDead is_dead;
	void	   *arg;
} Kill;

/* Is a stored heap TID one that may have to be killed? */
static bool
is_victim(const Kill *kill, const ItemPointerData *stored)
{
	return !tg_tid_is_killed(stored) &&
		bsearch(stored, kill->tids, kill->n, sizeof(ItemPointerData),
				compare_tids) != NULL;
}

/*
 * Does a slot belong to the owner, and hold any row to be killed?
 */
static bool
has_victim(const Kill *kill, const TgLayout *layout, TgVertexId id,
		   const TgSlotHeader *header)
{
	if (header->kind == TG_SLOT_VERTEX ? id != kill->owner :
		header->kind != TG_SLOT_TIDS || header->owner != kill->owner ||
		header->ntids == TG_TIDS_CLOSED)
		return false;
	for (int i = 0; i < header->ntids; i++)
		if (is_victim(kill, &tg_slot_row(layout, header, i)->tid))
			return true;
	return false;
}

/*
 * Mark the rows of one slot.
 */
static void
kill_in_slot(const Kill *kill, Relation index, const TgLayout *layout,
			 TgVertexId id)
{
	TgEdit		edit;
	TgSlotHeader *header;
	bool		changed = false;

	tg_edit_begin(&edit, index, layout, id);
	header = tg_edit_header(&edit);
	if (has_victim(kill, layout, id, header))
		for (int i = 0; i < header->ntids; i++)
		{
			ItemPointer stored = &tg_slot_row(layout, header, i)->tid;

			if (is_victim(kill, stored) && kill->is_dead(stored, kill->arg))
			{
				stored->ip_posid |= TG_TID_KILLED;
				changed = true;
			}
		}
	if (changed)
		tg_edit_finish(&edit);
	else
		tg_edit_abort(&edit);
}

/*
 * A chain that changes while it is walked may lead out of itself: what is not
 * marked then is no loss.
 */
void
tg_tids_kill(Relation index, const TgLayout *layout, TgVertexId owner,
			 ItemPointerData *tids, int64 n, TgTidIsDead is_dead, void *arg)
{
	Kill		kill = {owner, tids, n, is_dead, arg};
	TgLayout	unranked_layout;
	TgReader	reader;
	TgVertexId	id = owner;
	uint64		nslots = 0;

	qsort(tids, n, sizeof(ItemPointerData), compare_tids);
	if (is_unranked(owner))
	{
		TgMetaPage	meta = tg_meta_read(index);

		tg_layout_init_unranked(&unranked_layout, tg_row_size(&meta));
		layout = &unranked_layout;
		id = meta.unranked[TG_UNRANKED_OWNER(0) - owner];
	}
	tg_reader_init(&reader, index, layout);
	while (id != TG_INVALID_VERTEX)
	{
		const TgSlotHeader *header;
		TgVertexId	next;
		bool		found;

		CHECK_FOR_INTERRUPTS();
		check_chain_length(index, layout, id, ++nslots);
		header = tg_reader_open_slot(&reader, id);
		found = has_victim(&kill, layout, id, header);
		next = header->kind == TG_SLOT_FREE ? TG_INVALID_VERTEX : header->next;
		reader.graph.close(&reader.graph);
		if (found)
			kill_in_slot(&kill, index, layout, id);
		id = next;
	}
	tg_reader_free(&reader);
}

/*
 * Close an empty slot, so that nobody appends to it; false if it is not empty
 * (any more).
 */
static bool
close_slot(Relation index, const TgLayout *layout, TgVertexId id,
		   TgVertexId owner, TgVertexId *next)
{
	TgEdit		edit;
	TgSlotHeader *header;

	tg_edit_begin(&edit, index, layout, id);
	header = tg_edit_header(&edit);
	if (header->kind != TG_SLOT_TIDS || header->owner != owner ||
		(header->ntids != 0 && header->ntids != TG_TIDS_CLOSED))
	{
		tg_edit_abort(&edit);
		return false;
	}
	header->ntids = TG_TIDS_CLOSED;
	*next = header->next;
	tg_edit_finish(&edit);
	return true;
}

/*
 * VACUUM is the only one to unlink, and others only push at the head, so what
 * precedes a slot does not change except by a push.
 */
void
tg_tids_unlink(Relation index, const TgLayout *layout, TgVertexId id,
			   TgVertexId owner)
{
	TgLayout	unranked_layout;
	TgReader	reader;
	ChainHead	head;
	TgVertexId	next;
	TgVertexId	at;
	uint64		nslots = 0;

	if (is_unranked(owner))
	{
		tg_layout_init_unranked(&unranked_layout,
								tg_row_size(&tg_index_get(index)->meta));
		layout = &unranked_layout;
	}
	if (!close_slot(index, layout, id, owner, &next))
		return;

	head_begin(&head, index, layout, owner);
	at = *head.next;
	if (at == id)
		*head.next = next;
	head_end(&head, at == id);

	tg_reader_init(&reader, index, layout);
	while (at != id && at != TG_INVALID_VERTEX)
	{
		const TgSlotHeader *header;
		TgVertexId	after;

		CHECK_FOR_INTERRUPTS();
		check_chain_length(index, layout, at, ++nslots);
		header = tg_reader_open_slot(&reader, at);
		if (header->kind != TG_SLOT_TIDS || header->owner != owner)
			tg_report_corruption(index, tg_id_stripe(layout, at),
								 "Slot %u is not of the chain of slot %u.",
								 at, owner);
		after = header->next;
		reader.graph.close(&reader.graph);
		if (after == id)
		{
			TgEdit		edit;

			tg_edit_begin(&edit, index, layout, at);
			tg_edit_header(&edit)->next = next;
			tg_edit_finish(&edit);
		}
		at = after;
	}
	tg_reader_free(&reader);
	free_tids_slot(index, layout, id, owner);
}
