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
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "miscadmin.h"
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
 * Lock a page of a new slot exclusively, and see that it is one of the kind.
 */
static Buffer
lock_page(Relation index, BlockNumber block, TgPageKind kind, int piece)
{
	Buffer		buffer = ReadBuffer(index, block);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	if (PageIsNew(BufferGetPage(buffer)))
	{
		GenericXLogState *xlog = tg_generic_start(index);

		tg_page_init(GenericXLogRegisterBuffer(xlog, buffer,
											   GENERIC_XLOG_FULL_IMAGE),
					 kind, piece);
		GenericXLogFinish(xlog);
	}
	else
		tg_page_check(index, buffer, kind);
	return buffer;
}

/* A piece of a part that spans pages: where it is in the part, and how long. */
static inline const char *
piece_bytes(const char *bytes, int piece)
{
	return bytes + (Size) piece * TG_PAGE_CONTENT;
}

static inline int
piece_size(const TgPart *part, int piece)
{
	return Min(TG_PAGE_CONTENT, part->size - piece * TG_PAGE_CONTENT);
}

/*
 * Write the pieces of a new part from the given one on, a WAL record each.
 */
static void
write_pieces(Relation index, const TgPart *part, TgPageKind kind,
			 BlockNumber stripe, int place, int from, const char *bytes)
{
	int			first = tg_part_page(part, place);

	for (int i = from; i < part->pages_each; i++)
	{
		TgPatch		patch = {
			lock_page(index, stripe + first + i, kind, first + i),
			MAXALIGN(SizeOfPageHeaderData), piece_size(part, i),
			piece_bytes(bytes, i)
		};

		tg_patch_pages(index, &patch, 1);
		UnlockReleaseBuffer(patch.buffer);
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
	TgPatch		patches[2];
	int			n = 0;

	patches[n++] = (TgPatch) {
		list_buffer, tg_part_offset(&layout->list, place),
		Min(layout->list.size, TG_PAGE_CONTENT), list
	};
	if (layout->list.per_page == 0)
		write_pieces(index, &layout->list, TG_PAGE_LIST, stripe, place, 1,
					 list);
	if (vector && layout->vector.per_page > 0)
	{
		int			page = tg_part_page(&layout->vector, place);

		patches[n++] = (TgPatch) {
			lock_page(index, stripe + page, TG_PAGE_VECTOR, page),
			tg_part_offset(&layout->vector, place), layout->vector_size, vector
		};
	}
	else if (vector && layout->vector.size > 0)
		write_pieces(index, &layout->vector, TG_PAGE_VECTOR, stripe, place, 0,
					 vector);
	tg_patch_pages(index, patches, n);
	while (n > 0)
		UnlockReleaseBuffer(patches[--n].buffer);
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
	Buffer		buffer = tg_pin_block(index, block);
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
		xlog = tg_generic_start(index);
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

static void
edit_begin(TgEdit *edit, Relation index, const TgLayout *layout,
		   TgVertexId id, bool cleanup)
{
	const TgPart *part = &layout->list;
	BlockNumber nblocks = 0;
	BlockNumber stripe = tg_slot_stripe(index, layout, id, &nblocks);
	int			place = tg_id_place(layout, id);
	BlockNumber first = stripe + tg_part_page(part, place);

	edit->index = index;
	edit->layout = layout;
	edit->id = id;
	edit->buffer = tg_pin_block(index, first);
	if (cleanup)
		LockBufferForCleanup(edit->buffer);
	else
		LockBuffer(edit->buffer, BUFFER_LOCK_EXCLUSIVE);
	tg_page_check(index, edit->buffer, layout->kind);

	edit->slot = palloc(part->size);
	memcpy(edit->slot,
		   (char *) BufferGetPage(edit->buffer) + tg_part_offset(part, place),
		   Min(part->size, TG_PAGE_CONTENT));
	for (int i = 1; i < part->pages_each; i++)
	{
		Buffer		buffer = ReadBuffer(index, first + i);

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		tg_page_check(index, buffer, TG_PAGE_LIST);
		memcpy(edit->slot + (Size) i * TG_PAGE_CONTENT,
			   PageGetContents(BufferGetPage(buffer)), piece_size(part, i));
		UnlockReleaseBuffer(buffer);
	}
	tg_slot_check(index, layout, id, tg_edit_header(edit));
}

void
tg_edit_begin(TgEdit *edit, Relation index, const TgLayout *layout,
			  TgVertexId id)
{
	edit_begin(edit, index, layout, id, false);
}

void
tg_edit_begin_cleanup(TgEdit *edit, Relation index, const TgLayout *layout,
					  TgVertexId id)
{
	edit_begin(edit, index, layout, id, true);
}

/*
 * Does a later piece differ from what its page has?  Nobody else writes to the
 * page while the slot's first one is locked.
 */
static bool
piece_changed(const TgEdit *edit, BlockNumber block, const char *bytes,
			  Size size)
{
	Buffer		buffer = ReadBuffer(edit->index, block);
	bool		changed;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	changed = memcmp(PageGetContents(BufferGetPage(buffer)), bytes, size) != 0;
	UnlockReleaseBuffer(buffer);
	return changed;
}

/*
 * Which of the later pieces have changed; returns how many.
 */
static int
changed_pieces(const TgEdit *edit, int *changed)
{
	const TgPart *part = &edit->layout->list;
	BlockNumber first = BufferGetBlockNumber(edit->buffer);
	int			n = 0;

	for (int i = 1; i < part->pages_each; i++)
		if (piece_changed(edit, first + i, piece_bytes(edit->slot, i),
						  piece_size(part, i)))
			changed[n++] = i;
	return n;
}

/* Lock the page of a later piece. */
static Buffer
lock_piece(const TgEdit *edit, int piece)
{
	Buffer		buffer = ReadBuffer(edit->index,
									BufferGetBlockNumber(edit->buffer) + piece);

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}

/*
 * Write the first piece, and later ones, in one WAL record.
 */
static void
write_patches(TgEdit *edit, const int *pieces, int n)
{
	const TgPart *part = &edit->layout->list;
	TgPatch		patches[TG_MAX_PATCHES];

	patches[0] = (TgPatch) {
		edit->buffer,
		tg_part_offset(part, tg_id_place(edit->layout, edit->id)),
		Min(part->size, TG_PAGE_CONTENT), edit->slot
	};
	for (int i = 0; i < n; i++)
		patches[i + 1] = (TgPatch) {
			lock_piece(edit, pieces[i]), MAXALIGN(SizeOfPageHeaderData),
			piece_size(part, pieces[i]), piece_bytes(edit->slot, pieces[i])
		};
	tg_patch_pages(edit->index, patches, n + 1);
	while (n > 0)
		UnlockReleaseBuffer(patches[n--].buffer);
}

/*
 * Write pieces in a WAL record of whole pages, which holds more of them.  The
 * first piece is 0, if it is among them.
 */
static void
write_whole(TgEdit *edit, const int *pieces, int n)
{
	Relation	index = edit->index;
	const TgPart *part = &edit->layout->list;
	Buffer		buffers[TG_WHOLE_PAGES];

	for (int i = 0; i < n; i++)
		buffers[i] = pieces[i] == 0 ? edit->buffer :
			lock_piece(edit, pieces[i]);
	XLogEnsureRecordSpace(n - 1, 0);

	START_CRIT_SECTION();
	for (int i = 0; i < n; i++)
	{
		tg_put_bytes(BufferGetPage(buffers[i]), MAXALIGN(SizeOfPageHeaderData),
					 piece_bytes(edit->slot, pieces[i]),
					 piece_size(part, pieces[i]));
		MarkBufferDirty(buffers[i]);
	}
	if (tg_is_logged(index))
	{
		XLogRecPtr	end;

		XLogBeginInsert();
		for (int i = 0; i < n; i++)
			XLogRegisterBuffer(i, buffers[i],
							   REGBUF_FORCE_IMAGE | REGBUF_STANDARD);
		end = XLogInsert(RM_XLOG_ID, XLOG_FPI);
		for (int i = 0; i < n; i++)
			PageSetLSN(BufferGetPage(buffers[i]), end);
	}
	END_CRIT_SECTION();

	for (int i = 0; i < n; i++)
		if (pieces[i] > 0)
			UnlockReleaseBuffer(buffers[i]);
}

/*
 * Write those pieces that have changed, and the first one: if possible, in one
 * WAL record; else in several, the first piece, which says how long the list is,
 * in the last of them.
 */
static void
write_changed_pieces(TgEdit *edit)
{
	int		   *pieces = palloc(sizeof(int) * edit->layout->list.pages_each);
	int			n = changed_pieces(edit, pieces);

	if (n < TG_MAX_PATCHES)
		write_patches(edit, pieces, n);
	else
	{
		for (pieces[n++] = 0; n > TG_WHOLE_PAGES; n -= TG_WHOLE_PAGES)
		{
			write_whole(edit, pieces, TG_WHOLE_PAGES);
			pieces += TG_WHOLE_PAGES;
		}
		write_whole(edit, pieces, n);
	}
}

static void
edit_end(TgEdit *edit)
{
	pfree(edit->slot);
	UnlockReleaseBuffer(edit->buffer);
}

void
tg_edit_finish(TgEdit *edit)
{
	if (edit->layout->list.per_page > 0)
		write_patches(edit, NULL, 0);
	else
		write_changed_pieces(edit);
	edit_end(edit);
}

void
tg_edit_abort(TgEdit *edit)
{
	edit_end(edit);
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
	edit->xlog = tg_generic_start(index);
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
tg_bulk_begin(TgBulk *bulk, Relation index, const TgLayout *layout,
			  uint64 nslots)
{
	bulk->index = index;
	bulk->layout = layout;
	bulk->nslots = nslots;
	bulk->nblocks = 0;
	bulk->pages = palloc((Size) BLCKSZ * layout->stripe_pages);
}

static void
bulk_open_stripe(TgBulk *bulk)
{
	const TgLayout *layout = bulk->layout;

	for (int i = 0; i < layout->stripe_pages; i++)
		tg_page_init(bulk->pages + (Size) i * BLCKSZ,
					 i < layout->list.npages ? TG_PAGE_LIST : TG_PAGE_VECTOR,
					 i);
}

/*
 * Make the index as long as this: several processes write its stripes, in any
 * order.
 */
static void
bulk_extend(TgBulk *bulk, BlockNumber nblocks)
{
	if (bulk->nblocks >= nblocks)
		return;
	LockRelationForExtension(bulk->index, ExclusiveLock);
	bulk->nblocks = RelationGetNumberOfBlocks(bulk->index);
	for (; bulk->nblocks < nblocks; bulk->nblocks++)
		ReleaseBuffer(ReadBuffer(bulk->index, P_NEW));
	UnlockRelationForExtension(bulk->index, ExclusiveLock);
}

static void
bulk_close_stripe(TgBulk *bulk, BlockNumber stripe)
{
	int			npages = bulk->layout->stripe_pages;

	bulk_extend(bulk, stripe + npages);
	for (int i = 0; i < npages; i++)
	{
		Buffer		buffer = ReadBufferExtended(bulk->index, MAIN_FORKNUM,
												stripe + i,
												RBM_ZERO_AND_LOCK, NULL);

		memcpy(BufferGetPage(buffer), bulk->pages + (Size) i * BLCKSZ, BLCKSZ);
		MarkBufferDirty(buffer);
		UnlockReleaseBuffer(buffer);
	}
}

static void
bulk_put(TgBulk *bulk, const TgPart *part, int place, const char *bytes,
		 Size size)
{
	Size		done = 0;

	for (int page = tg_part_page(part, place); done < size; page++)
	{
		Size		piece = Min(TG_PAGE_CONTENT, size - done);

		tg_put_bytes(bulk->pages + (Size) page * BLCKSZ,
					 tg_part_offset(part, place), bytes + done, piece);
		done += piece;
	}
}

void
tg_bulk_put(TgBulk *bulk, uint64 slot, const char *list, const char *vector)
{
	const TgLayout *layout = bulk->layout;
	int			place = slot % layout->stripe_slots;
	BlockNumber stripe = tg_id_stripe(layout, tg_bulk_id(layout, slot));
	bool		last = slot + 1 == bulk->nslots;

	if (place == 0)
		bulk_open_stripe(bulk);
	bulk_put(bulk, &layout->list, place, list, layout->list.size);
	if (vector && layout->vector.size > 0)
		bulk_put(bulk, &layout->vector, place, vector, layout->vector_size);
	if (place + 1 == layout->stripe_slots || last)
		bulk_close_stripe(bulk, stripe);
	if (last && place + 1 < layout->stripe_slots)
		record_stripe(bulk->index, layout, stripe);
}

void
tg_bulk_end(TgBulk *bulk)
{
	pfree(bulk->pages);
}
