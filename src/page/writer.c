/*-------------------------------------------------------------------------
 *
 * writer.c
 *	  Writing slots: into free room, in place, and in bulk.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "page/page.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "utils/snapmgr.h"

/* What the free space map says of a list page with a free slot. */
#define PAGE_HAS_ROOM		(BLCKSZ / 2)

/*
 * The newest transaction ID given out so far: no transaction that has one and
 * runs now has a later one.
 */
uint64
tg_stamp_now(void)
{
	return U64FromFullTransactionId(ReadNextFullTransactionId()) - 1;
}

/*
 * Is every transaction that ran at the time of the stamp gone?
 */
bool
tg_stamp_is_past(uint64 stamp)
{
	return stamp == 0 ||
		GlobalVisCheckRemovableFullXid(NULL, FullTransactionIdFromU64(stamp));
}

void
tg_slot_check(Relation index, const TgLayout *layout, TgVertexId id,
			  const TgSlotHeader *header)
{
	bool		sane;

	switch (header->kind)
	{
		case TG_SLOT_FREE:
			return;
		case TG_SLOT_VERTEX:
			sane = header->degree <= layout->degree &&
				header->nclusters <= Min(TG_MAX_CLUSTERS, header->degree) &&
				header->layer < TG_MAX_LAYERS &&
				header->ntids <= layout->vertex_tids;
			if (layout->guide == TG_GUIDE_KDTREE && header->nclusters > 0)
				sane = sane &&
					header->division.split.dim < layout->inner_dims;
			break;
		case TG_SLOT_TIDS:
			sane = header->ntids <= layout->slot_tids ||
				header->ntids == TG_TIDS_CLOSED;
			break;
		default:
			sane = false;
	}
	if (unlikely(!sane))
		tg_report_corruption(index, tg_id_stripe(layout, id),
							 "Slot %u is of kind %u with %u neighbours in %u clusters and %u heap TIDs.",
							 id, header->kind, header->degree,
							 header->nclusters, header->ntids);
}

/*
 * Write bytes into a page image, and count them as used.
 */
static void
put_bytes(Page page, int offset, const char *bytes, int size)
{
	PageHeader	header = (PageHeader) page;

	memcpy((char *) page + offset, bytes, size);
	if (header->pd_lower < offset + size)
		header->pd_lower = offset + size;
}

/*
 * Write a piece of a part that spans pages, in a WAL record of its own.
 */
static void
write_piece(Relation index, BlockNumber block, TgPageKind kind, int piece,
			const char *bytes, int size)
{
	Buffer		buffer = ReadBuffer(index, block);
	GenericXLogState *xlog;
	Page		page;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	xlog = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(xlog, buffer, 0);
	if (PageIsNew(page))
		tg_page_init(page, kind, piece);
	else
		tg_page_check(index, buffer, kind);
	put_bytes(page, MAXALIGN(SizeOfPageHeaderData), bytes, size);
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(buffer);
}

/*
 * Write the pieces of a part from the given one on.
 */
static void
write_pieces(Relation index, const TgPart *part, TgPageKind kind,
			 BlockNumber stripe, int place, int from, const char *bytes)
{
	int			first = tg_part_page(part, place);

	for (int i = from; i < part->pages_each; i++)
	{
		Size		done = (Size) i * TG_PAGE_CONTENT;

		write_piece(index, stripe + first + i, kind, first + i, bytes + done,
					Min(TG_PAGE_CONTENT, part->size - done));
	}
}

/*
 * Write a slot whose list page is pinned and exclusively locked; releases it.
 *
 * Where both parts fit their pages, one WAL record covers both.  Pieces of
 * longer parts are written before the piece with the header, which is what
 * makes the slot one in use.
 */
static void
write_slot(Relation index, const TgLayout *layout, Buffer list_buffer,
		   TgVertexId id, const char *list, const char *vector)
{
	BlockNumber stripe = tg_id_stripe(layout, id);
	int			place = tg_id_place(layout, id);
	Buffer		vector_buffer = InvalidBuffer;
	int			vector_page = 0;
	GenericXLogState *xlog;
	Page		page;

	if (layout->list.per_page == 0)
		write_pieces(index, &layout->list, TG_PAGE_LIST, stripe, place, 1,
					 list);
	if (vector && layout->vector.size > 0)
	{
		vector_page = tg_part_page(&layout->vector, place);
		if (layout->vector.per_page == 0)
			write_pieces(index, &layout->vector, TG_PAGE_VECTOR, stripe, place,
						 0, vector);
		else
		{
			vector_buffer = ReadBuffer(index, stripe + vector_page);
			LockBuffer(vector_buffer, BUFFER_LOCK_EXCLUSIVE);
			if (!PageIsNew(BufferGetPage(vector_buffer)))
				tg_page_check(index, vector_buffer, TG_PAGE_VECTOR);
		}
	}

	xlog = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(xlog, list_buffer, 0);
	put_bytes(page, tg_part_offset(&layout->list, place), list,
			  Min(layout->list.size, TG_PAGE_CONTENT));
	if (BufferIsValid(vector_buffer))
	{
		page = GenericXLogRegisterBuffer(xlog, vector_buffer, 0);
		if (PageIsNew(page))
			tg_page_init(page, TG_PAGE_VECTOR, vector_page);
		put_bytes(page, tg_part_offset(&layout->vector, place), vector,
				  layout->vector_size);
	}
	GenericXLogFinish(xlog);
	if (BufferIsValid(vector_buffer))
		UnlockReleaseBuffer(vector_buffer);
	UnlockReleaseBuffer(list_buffer);
}

void
tg_record_room(Relation index, const TgLayout *layout, TgVertexId id)
{
	RecordPageWithFreeSpace(index, tg_id_stripe(layout, id) +
							tg_part_page(&layout->list,
										 tg_id_place(layout, id)),
							PAGE_HAS_ROOM);
}

/*
 * Try to write a slot into free room on a list page.  Returns the id, or
 * TG_INVALID_VERTEX if there is none.
 */
static TgVertexId
insert_on_page(Relation index, const TgLayout *layout, BlockNumber block,
			   const char *list, const char *vector)
{
	Buffer		buffer = ReadBuffer(index, block);
	Page		page = BufferGetPage(buffer);
	int			first;
	int			nslots = 0;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (tg_page_is(page, TG_PAGE_LIST))
		nslots = tg_slots_on_piece(layout, TgPageGetOpaque(page)->piece, &first);
	for (int i = 0; i < nslots; i++)
	{
		int			place = first + i;
		const TgSlotHeader *header = (const TgSlotHeader *)
			((char *) page + tg_part_offset(&layout->list, place));

		if (header->kind == TG_SLOT_FREE && tg_stamp_is_past(header->xid))
		{
			BlockNumber stripe = block - TgPageGetOpaque(page)->piece;
			TgVertexId	id = tg_id_make(layout, stripe, place);

			write_slot(index, layout, buffer, id, list, vector);
			return id;
		}
	}
	UnlockReleaseBuffer(buffer);
	return TG_INVALID_VERTEX;
}

/*
 * Extend the index by a stripe of empty pages; returns its first block.
 *
 * The pages are initialized one WAL record each, the last first: who finds a
 * list page finds all of its stripe, also after a crash in between, which
 * leaves pages of zeros that are never used.
 */
BlockNumber
tg_extend(Relation index, const TgLayout *layout)
{
	Buffer	   *buffers = palloc(sizeof(Buffer) * layout->stripe_pages);
	BlockNumber stripe;

	LockRelationForExtension(index, ExclusiveLock);
	for (int i = 0; i < layout->stripe_pages; i++)
		buffers[i] = ReadBuffer(index, P_NEW);
	UnlockRelationForExtension(index, ExclusiveLock);

	stripe = BufferGetBlockNumber(buffers[0]);
	if ((uint64) (stripe + 1) * layout->stripe_slots > TG_MAX_SLOT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" is full",
						RelationGetRelationName(index)),
				 errdetail("It has %u blocks; slot numbers end at %u.",
						   stripe, TG_MAX_SLOT),
				 errhint("Partition the table.")));
	for (int i = layout->stripe_pages - 1; i >= 0; i--)
	{
		GenericXLogState *xlog;

		LockBuffer(buffers[i], BUFFER_LOCK_EXCLUSIVE);
		xlog = GenericXLogStart(index);
		tg_page_init(GenericXLogRegisterBuffer(xlog, buffers[i],
											   GENERIC_XLOG_FULL_IMAGE),
					 i < layout->list.npages ? layout->kind : TG_PAGE_VECTOR,
					 i);
		GenericXLogFinish(xlog);
		UnlockReleaseBuffer(buffers[i]);
	}
	pfree(buffers);
	return stripe;
}

/*
 * Let others know of the room on a stripe's list pages.
 */
static void
record_stripe(Relation index, const TgLayout *layout, BlockNumber stripe)
{
	for (int i = 0; i < layout->list.npages; i++)
	{
		int			first;

		if (tg_slots_on_piece(layout, i, &first) > 0)
			RecordPageWithFreeSpace(index, stripe + i, PAGE_HAS_ROOM);
	}
}

/*
 * A backend goes on filling the page it last wrote to, then asks the free
 * space map, then extends the index.
 */
TgVertexId
tg_slot_insert(Relation index, const TgLayout *layout, const char *list,
			   const char *vector)
{
	for (;;)
	{
		BlockNumber target = RelationGetTargetBlock(index);
		TgVertexId	id;

		if (target == InvalidBlockNumber)
		{
			target = GetPageWithFreeSpace(index, PAGE_HAS_ROOM);

			/* After a crash the map may know blocks that the index has not. */
			if (target != InvalidBlockNumber &&
				target >= RelationGetNumberOfBlocks(index))
			{
				RecordPageWithFreeSpace(index, target, 0);
				continue;
			}
		}
		if (target == InvalidBlockNumber)
		{
			target = tg_extend(index, layout);
			record_stripe(index, layout, target);
		}

		id = insert_on_page(index, layout, target, list, vector);
		if (id != TG_INVALID_VERTEX)
		{
			RelationSetTargetBlock(index, target);
			return id;
		}
		RecordPageWithFreeSpace(index, target, 0);
		RelationSetTargetBlock(index, InvalidBlockNumber);
	}
}

void
tg_edit_begin(TgEdit *edit, Relation index, const TgLayout *layout,
			  TgVertexId id)
{
	BlockNumber nblocks = 0;
	BlockNumber stripe = tg_slot_stripe(index, layout, id, &nblocks);
	int			place = tg_id_place(layout, id);
	BlockNumber first = stripe + tg_part_page(&layout->list, place);
	Page		page;

	edit->index = index;
	edit->layout = layout;
	edit->id = id;
	edit->copy = NULL;
	edit->buffer = ReadBuffer(index, first);
	LockBuffer(edit->buffer, BUFFER_LOCK_EXCLUSIVE);
	tg_page_check(index, edit->buffer, layout->kind);
	edit->xlog = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(edit->xlog, edit->buffer, 0);
	edit->first_piece = (char *) page + tg_part_offset(&layout->list, place);
	edit->slot = edit->first_piece;

	if (layout->list.per_page == 0)
	{
		edit->copy = palloc(layout->list.size);
		memcpy(edit->copy, edit->slot, TG_PAGE_CONTENT);
		for (int i = 1; i < layout->list.pages_each; i++)
		{
			Size		done = (Size) i * TG_PAGE_CONTENT;
			Buffer		buffer = ReadBuffer(index, first + i);

			LockBuffer(buffer, BUFFER_LOCK_SHARE);
			tg_page_check(index, buffer, TG_PAGE_LIST);
			memcpy(edit->copy + done, PageGetContents(BufferGetPage(buffer)),
				   Min(TG_PAGE_CONTENT, layout->list.size - done));
			UnlockReleaseBuffer(buffer);
		}
		edit->slot = edit->copy;
	}
	tg_slot_check(index, layout, id, tg_edit_header(edit));
}

void
tg_edit_put(TgEdit *edit, const char *list)
{
	Page		page = (Page) (edit->first_piece -
							   tg_part_offset(&edit->layout->list,
											  tg_id_place(edit->layout, edit->id)));

	Assert(edit->copy == NULL);
	put_bytes(page, edit->first_piece - (char *) page, list,
			  edit->layout->list.size);
}

void
tg_edit_finish(TgEdit *edit)
{
	const TgLayout *layout = edit->layout;

	if (edit->copy)
	{
		BlockNumber stripe = tg_id_stripe(layout, edit->id);
		int			place = tg_id_place(layout, edit->id);

		write_pieces(edit->index, &layout->list, TG_PAGE_LIST, stripe, place,
					 1, edit->copy);
		memcpy(edit->first_piece, edit->copy, TG_PAGE_CONTENT);
		pfree(edit->copy);
	}
	GenericXLogFinish(edit->xlog);
	UnlockReleaseBuffer(edit->buffer);
}

void
tg_edit_abort(TgEdit *edit)
{
	if (edit->copy)
		pfree(edit->copy);
	GenericXLogAbort(edit->xlog);
	UnlockReleaseBuffer(edit->buffer);
}

void
tg_slot_free(Relation index, const TgLayout *layout, TgVertexId id)
{
	TgEdit		edit;
	TgSlotHeader *header;

	tg_edit_begin(&edit, index, layout, id);
	header = tg_edit_header(&edit);
	memset(header, 0, sizeof(TgSlotHeader));
	header->kind = TG_SLOT_FREE;
	header->next = TG_INVALID_VERTEX;
	header->xid = tg_stamp_now();
	tg_edit_finish(&edit);
	tg_record_room(index, layout, id);
}

/* pd_lower of the metapage: WAL leaves out what is beyond. */
#define META_END	(MAXALIGN(SizeOfPageHeaderData) + sizeof(TgMetaPage))

void
tg_meta_create(Relation index, ForkNumber fork, const TgMetaPage *meta)
{
	Buffer		buffer = ReadBufferExtended(index, fork, P_NEW, RBM_NORMAL,
											NULL);
	Page		page = BufferGetPage(buffer);

	Assert(BufferGetBlockNumber(buffer) == TG_METAPAGE_BLKNO);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	tg_page_init(page, TG_PAGE_META, 0);
	*TgPageGetMeta(page) = *meta;
	((PageHeader) page)->pd_lower = META_END;
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

void
tg_meta_edit_begin(TgMetaEdit *edit, Relation index)
{
	Page		page;

	edit->buffer = ReadBuffer(index, TG_METAPAGE_BLKNO);
	LockBuffer(edit->buffer, BUFFER_LOCK_EXCLUSIVE);
	tg_page_check(index, edit->buffer, TG_PAGE_META);
	edit->xlog = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(edit->xlog, edit->buffer, 0);
	edit->meta = TgPageGetMeta(page);
	tg_meta_check(index, edit->meta);

	/* One that an earlier version made ends sooner, and has zeros behind. */
	((PageHeader) page)->pd_lower = META_END;
}

void
tg_meta_edit_finish(TgMetaEdit *edit)
{
	GenericXLogFinish(edit->xlog);
	UnlockReleaseBuffer(edit->buffer);
}

void
tg_meta_edit_abort(TgMetaEdit *edit)
{
	GenericXLogAbort(edit->xlog);
	UnlockReleaseBuffer(edit->buffer);
}

/* The first stripe follows the metapage. */
#define FIRST_STRIPE	(TG_METAPAGE_BLKNO + 1)

TgVertexId
tg_bulk_id(const TgLayout *layout, uint64 i)
{
	uint64		stripe = FIRST_STRIPE +
		i / layout->stripe_slots * layout->stripe_pages;

	if ((stripe + 1) * layout->stripe_slots > TG_MAX_SLOT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows for one togg index"),
				 errdetail("Slot numbers end at %u.", TG_MAX_SLOT),
				 errhint("Partition the table.")));
	return tg_id_make(layout, stripe, i % layout->stripe_slots);
}

void
tg_bulk_begin(TgBulk *bulk, Relation index, ForkNumber fork,
			  const TgLayout *layout)
{
	bulk->index = index;
	bulk->fork = fork;
	bulk->layout = layout;
	bulk->next_stripe = FIRST_STRIPE;
	bulk->next_place = 0;
	bulk->buffers = palloc(sizeof(Buffer) * layout->stripe_pages);
}

static void
bulk_open_stripe(TgBulk *bulk)
{
	const TgLayout *layout = bulk->layout;

	for (int i = 0; i < layout->stripe_pages; i++)
	{
		Buffer		buffer = ReadBufferExtended(bulk->index, bulk->fork, P_NEW,
												RBM_NORMAL, NULL);

		Assert(BufferGetBlockNumber(buffer) == bulk->next_stripe + i);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		tg_page_init(BufferGetPage(buffer),
					 i < layout->list.npages ? TG_PAGE_LIST : TG_PAGE_VECTOR,
					 i);
		MarkBufferDirty(buffer);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		bulk->buffers[i] = buffer;
	}
}

static void
bulk_close_stripe(TgBulk *bulk)
{
	for (int i = 0; i < bulk->layout->stripe_pages; i++)
		ReleaseBuffer(bulk->buffers[i]);
	bulk->next_stripe += bulk->layout->stripe_pages;
	bulk->next_place = 0;
}

static void
bulk_put(TgBulk *bulk, const TgPart *part, int place, const char *bytes,
		 Size size)
{
	Size		done = 0;

	for (int page = tg_part_page(part, place); done < size; page++)
	{
		Buffer		buffer = bulk->buffers[page];
		Size		piece = Min(TG_PAGE_CONTENT, size - done);

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		put_bytes(BufferGetPage(buffer), tg_part_offset(part, place),
				  bytes + done, piece);
		MarkBufferDirty(buffer);
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		done += piece;
	}
}

TgVertexId
tg_bulk_add(TgBulk *bulk, const char *list, const char *vector)
{
	const TgLayout *layout = bulk->layout;
	int			place = bulk->next_place++;
	TgVertexId	id = tg_id_make(layout, bulk->next_stripe, place);

	if (place == 0)
		bulk_open_stripe(bulk);
	bulk_put(bulk, &layout->list, place, list, layout->list.size);
	if (vector && layout->vector.size > 0)
		bulk_put(bulk, &layout->vector, place, vector, layout->vector_size);
	if (bulk->next_place == layout->stripe_slots)
		bulk_close_stripe(bulk);
	return id;
}

void
tg_bulk_end(TgBulk *bulk)
{
	if (bulk->next_place > 0)
	{
		record_stripe(bulk->index, bulk->layout, bulk->next_stripe);
		bulk_close_stripe(bulk);
	}
	pfree(bulk->buffers);
}
