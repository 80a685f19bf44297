/*-------------------------------------------------------------------------
 *
 * page.h
 *	  Reading and writing the pages of an index.
 *
 * Locking rules are argued in src/README.md.  In short: nobody waits for a
 * list page while holding a vector page, nobody holds two list pages, and no
 * lock is kept across a call that is not in this directory, except by
 * TgReader (share) and TgEdit (exclusive), which say so.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_PAGE_H
#define TOGG_PAGE_H

#include "access/generic_xlog.h"
#include "access/xlogrecord.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "code/rabitq.h"
#include "code/rotate.h"
#include "page/layout.h"
#include "type/metric.h"

/* PostgreSQL 18 has this as a prefix; before, it was a suffix. */
#ifndef pg_noreturn
#define pg_noreturn		__attribute__((noreturn))
#endif

/* ---------- index.c: the metapage, and what follows from it ---------- */

/*
 * All that is fixed once an index knows its dimensions.
 */
typedef struct TgIndex
{
	TgMetaPage	meta;			/* what changes may be out of date: the unranked
								 * heads, left, and all on clustering */
	TgLayout	layout;
	TgGeometry	geometry;
	TgRotation	rotation;
	float	   *root_inner;		/* [inner_dims]: the centre of the codes */
	float	   *root_rotated;	/* [inner_dims]: P root_inner */
} TgIndex;

/*
 * What is known of an index, from the relation cache where possible.  Raises
 * an error for a metapage that is not ours.  If the index has no root yet, only
 * meta is set, with dims 0.  The result lives until the next relation cache
 * invalidation: use it at once, or copy it.
 */
extern const TgIndex *tg_index_get(Relation index);
extern TgIndex *tg_index_copy(const TgIndex *source);

/* Forget what is in the relation cache. */
extern void tg_index_forget(Relation index);

/* All but the root, from a metapage that has dimensions. */
extern TgIndex *tg_index_create(const TgMetaPage *meta);

/* Layers of the graph, and the root of each: all roots are at one place. */
extern int	tg_index_layers(const TgIndex *info);
extern TgVertexId tg_index_root(const TgIndex *info, int layer);

/* Set the root's vectors from its stored form. */
extern void tg_index_set_root(TgIndex *info, const void *bytes, float norm2);

/* Copy of the metapage as it is now. */
extern TgMetaPage tg_meta_read(Relation index);
extern void tg_meta_check(Relation index, const TgMetaPage *meta);

/* Initialize a page: no content yet. */
extern void tg_page_init(Page page, TgPageKind kind, int piece);

/* Raise ERRCODE_INDEX_CORRUPTED unless the page is an initialized one of ours. */
extern void tg_page_check(Relation index, Buffer buffer, TgPageKind kind);

/* Same, as a question. */
extern bool tg_page_is(Page page, TgPageKind kind);

/* Error for content that cannot be; detail must be a complete sentence. */
pg_noreturn extern void tg_report_corruption(Relation index, BlockNumber block,
											 const char *detail,...)
			pg_attribute_printf(3, 4);

/*
 * Where a slot's list part (or its first page) is.  Raises an error for a slot
 * that the index cannot have.  *nblocks is how long the index is known to be,
 * brought up to date where that is not enough; 0 at first.
 */
extern BlockNumber tg_slot_stripe(Relation index, const TgLayout *layout,
								  TgVertexId id, BlockNumber *nblocks);

/* ---------- reader.c: walking the graph on pages ---------- */

/*
 * A TgGraph over the pages of an index.  Between open and close it holds a
 * pin and a share lock on the vertex's list page (and vector page, once the
 * vector was asked for); parts longer than a page are copied instead.
 */
typedef struct TgReader
{
	TgGraph		graph;			/* first, so that it can be cast */
	Relation	index;
	TgLayout	layout;
	BlockNumber nblocks;		/* of the index, at least */
	Buffer		list_buffer;
	Buffer		vector_buffer;
	const TgSlotHeader *header; /* of the open slot */
	char	   *list_copy;
	char	   *vector_copy;
	uint64		pages;			/* page accesses so far */
	int			hits;			/* of these, since the last one from disk */
	bool		suspicious;		/* check each page each time */
} TgReader;

extern void tg_reader_init(TgReader *reader, Relation index,
						   const TgLayout *layout);
extern void tg_reader_free(TgReader *reader);

/* Open any kind of slot; close with graph.close. */
extern const TgSlotHeader *tg_reader_open_slot(TgReader *reader, TgVertexId id);

/*
 * Pin a block, by way of where this backend saw it last.  (That is not remembered
 * here: only of pages that were checked, by a reader.)
 */
extern Buffer tg_pin_block(Relation index, BlockNumber block);

/* Pin the page of a slot's header, and count that as an access. */
extern Buffer tg_reader_pin(TgReader *reader, TgVertexId id);

/* Stored vector of the open vertex. */
extern const void *tg_reader_vector(TgReader *reader, TgVertexId id);

/*
 * Its image in the inner space: inner[inner_dims].  values[dims] is scratch.
 */
extern void tg_reader_inner(TgReader *reader, const TgIndex *info,
							TgVertexId id, float *values, float *inner);

static inline TgStored
tg_slot_stored(const TgSlotHeader *header)
{
	return (TgStored) {header->norm2, header->error};
}

/* A row of a slot: number i of header->ntids. */
static inline TgRow *
tg_slot_row(const TgLayout *layout, const TgSlotHeader *header, int i)
{
	return (TgRow *) ((const char *) header +
					  (header->kind == TG_SLOT_TIDS ?
					   sizeof(TgSlotHeader) : layout->tids_offset) +
					  (Size) i * layout->row_size);
}

static inline void
tg_slot_put_row(const TgLayout *layout, TgSlotHeader *header, int i,
				const TgRow *row)
{
	memmove(tg_slot_row(layout, header, i), row, layout->row_size);
}

static inline bool
tg_tid_is_killed(const ItemPointerData *stored)
{
	return (stored->ip_posid & TG_TID_KILLED) != 0;
}

/* The heap TID of a row in a slot, as the table knows it. */
static inline ItemPointerData
tg_tid_get(const ItemPointerData *stored)
{
	ItemPointerData tid = *stored;

	tid.ip_posid &= ~TG_TID_KILLED;
	return tid;
}

/* ---------- list.c: neighbour lists in a list part ---------- */

/* Code of a neighbour, ready to be put in a lane. */
typedef struct TgCoded
{
	TgVertexId	id;
	float		a;
	float		f;
	uint8	   *levels;			/* [inner_dims] */
} TgCoded;

extern TgVertexId tg_list_get(const TgLayout *layout, const void *slot,
							  int lane);

extern bool tg_list_has(const TgLayout *layout, const void *slot,
						TgVertexId id);

/* Put a neighbour in a lane; fresh ones are marked as coming after clustering. */
extern void tg_list_set(const TgLayout *layout, void *slot, int lane,
						const TgCoded *coded, bool fresh);

/* Take a lane out; the last one takes its place. */
extern void tg_list_remove(const TgLayout *layout, void *slot, int lane);

/* How many neighbours came after the list was divided. */
extern int	tg_list_stale_lanes(const TgLayout *layout, const void *slot);

/*
 * Put the neighbours of a list of layer 0 in another order, that of a new
 * division, which is in the header divided.  Codes move with their neighbours,
 * as they are relative to the holder.
 */
extern void tg_list_reorder(const TgLayout *layout, void *slot,
							const uint16 *order, const TgSlotHeader *divided);

/* ---------- patch.c: bytes of pages ---------- */

/*
 * Bytes that a page is to have, which is pinned and locked exclusively.  They
 * count as used content of the page.
 */
typedef struct TgPatch
{
	Buffer		buffer;
	int			offset;			/* in the page */
	int			size;
	const char *bytes;
} TgPatch;

/* A record of generic WAL is about so many pages. */
#define TG_MAX_PATCHES		MAX_GENERIC_XLOG_PAGES

/* Apply patches, one to a page, in one WAL record: of what they change. */
extern void tg_patch_pages(Relation index, const TgPatch *patches, int n);

/* Write bytes into a page image, and count them as used. */
extern void tg_put_bytes(Page page, int offset, const char *bytes, int size);

/*
 * Do not WAL-log the changes to an index that come from now on in this process:
 * it is being built, and all of its pages are logged in the end.
 */
extern void tg_log_suspend(Relation index);
extern void tg_log_resume(void);

/* Are changes to an index logged now? */
extern bool tg_is_logged(Relation index);

/* GenericXLogStart(), which heeds that. */
extern GenericXLogState *tg_generic_start(Relation index);

/* ---------- writer.c: slots ---------- */

/*
 * Write a new slot wherever there is room, WAL-logged.  list is
 * layout->list.size bytes, vector layout->vector_size bytes or NULL.
 */
extern TgVertexId tg_slot_insert(Relation index, const TgLayout *layout,
								 const char *list, const char *vector);

/*
 * Change a slot's list part.  Between begin and finish (or abort) the slot's
 * first page is pinned and locked exclusively, and slot points to a private
 * copy of the list part; finish WAL-logs what changed.
 */
typedef struct TgEdit
{
	Relation	index;
	const TgLayout *layout;
	TgVertexId	id;
	Buffer		buffer;			/* of the first page */
	char	   *slot;
} TgEdit;

/*
 * A list of so many pages changes in one WAL record, whatever changes: the most
 * that a record has references for.
 */
#define TG_WHOLE_PAGES	(XLR_MAX_BLOCK_ID + 1)

extern void tg_edit_begin(TgEdit *edit, Relation index,
						  const TgLayout *layout, TgVertexId id);

/* The same, once nobody has the page pinned: to remove rows. */
extern void tg_edit_begin_cleanup(TgEdit *edit, Relation index,
								  const TgLayout *layout, TgVertexId id);
extern void tg_edit_finish(TgEdit *edit);
extern void tg_edit_abort(TgEdit *edit);

static inline TgSlotHeader *
tg_edit_header(TgEdit *edit)
{
	return (TgSlotHeader *) edit->slot;
}

/*
 * What a block holds, for reading an index page by page: the slots whose
 * header is on it are nslots places of a stripe, from first on.  A block that
 * was never initialized (see tg_extend) has no kind and no slots; any other
 * that is not ours raises an error.
 */
typedef struct TgPageSlots
{
	int			kind;			/* TgPageKind, or 0 */
	BlockNumber stripe;
	int			first;
	int			nslots;
} TgPageSlots;

/*
 * Is a slot wanted?  Asked under the lock of its page, and only where the page
 * is one of list parts.
 */
typedef bool (*TgSlotWanted) (const TgSlotHeader *header, void *arg);

/* The first block from the given one on that is to be read. */
typedef BlockNumber (*TgBlockChoice) (BlockNumber block, void *arg);

extern TgPageSlots tg_page_slots(Relation index, const TgLayout *layout,
								 BlockNumber block,
								 BufferAccessStrategy strategy);

/*
 * Reading every slot in the order of the pages.  Each block is pinned just
 * long enough to see what it holds; slots that come to be meanwhile may or may
 * not be met.  After tg_slot_scan_next(), page.kind tells which layout the id
 * belongs to: TG_PAGE_LIST or TG_PAGE_TIDS.
 *
 * Where few slots are wanted, the others are passed over without being opened.
 */
typedef struct TgSlotScan
{
	Relation	index;
	const TgLayout *layout;
	BufferAccessStrategy strategy;	/* NULL unless set after begin */
	TgSlotWanted wanted;		/* likewise: all are */
	void	   *wanted_arg;
	TgBlockChoice next_block;	/* likewise: all blocks are read */
	void	   *next_block_arg;
	BlockNumber nread;			/* blocks read so far */
	uint32		unwanted;		/* places on the page, a bit each */
	BlockNumber block;			/* to be read next */
	BlockNumber nblocks;
	TgPageSlots page;
	int			place;			/* on the page, to be returned next */
} TgSlotScan;

extern void tg_slot_scan_begin(TgSlotScan *scan, Relation index,
							   const TgLayout *layout);
extern bool tg_slot_scan_next(TgSlotScan *scan, TgVertexId *id);

/* Tell the free space map that a slot's page has room. */
extern void tg_record_room(Relation index, const TgLayout *layout,
						   TgVertexId id);

/* Extend the index by a stripe of empty pages; returns its first block. */
extern BlockNumber tg_extend(Relation index, const TgLayout *layout);

/* The stamp of a slot that dies or is freed now, and whether it is old. */
extern uint64 tg_stamp_now(void);
extern bool tg_stamp_is_past(uint64 stamp);

/* Free a slot: nothing may point to it. */
extern void tg_slot_free(Relation index, const TgLayout *layout, TgVertexId id);

/* Raise an error unless a slot's header makes sense. */
extern void tg_slot_check(Relation index, const TgLayout *layout,
						  TgVertexId id, const TgSlotHeader *header);

/*
 * Writing a whole index at once, nslots slots, by one process or several.  Each
 * gives the slots of a stripe one after the other; stripes may come in any
 * order.  Nothing is WAL-logged.
 */
typedef struct TgBulk
{
	Relation	index;
	const TgLayout *layout;
	uint64		nslots;
	BlockNumber nblocks;		/* of the index, at least */
	char	   *pages;			/* of the open stripe */
} TgBulk;

extern void tg_bulk_begin(TgBulk *bulk, Relation index,
						  const TgLayout *layout, uint64 nslots);
extern void tg_bulk_put(TgBulk *bulk, uint64 slot, const char *list,
						const char *vector);
extern void tg_bulk_end(TgBulk *bulk);

/* The id that the i-th slot of a bulk write gets. */
extern TgVertexId tg_bulk_id(const TgLayout *layout, uint64 i);

/* Create the metapage of an empty index. */
extern void tg_meta_create(Relation index, ForkNumber fork,
						   const TgMetaPage *meta);

/* Change the metapage under an exclusive lock; see TgEdit. */
typedef struct TgMetaEdit
{
	Buffer		buffer;
	GenericXLogState *xlog;
	TgMetaPage *meta;
} TgMetaEdit;

extern void tg_meta_edit_begin(TgMetaEdit *edit, Relation index);
extern void tg_meta_edit_finish(TgMetaEdit *edit);
extern void tg_meta_edit_abort(TgMetaEdit *edit);

/* ---------- tids.c: rows of a vertex or an unranked list ---------- */

/*
 * Add a row to a vertex; false, and nothing done, if the vertex is gone or
 * dying.
 */
extern bool tg_tids_add(Relation index, const TgLayout *layout, TgVertexId id,
						const TgRow *row);

/* Add a row to an unranked list. */
extern void tg_unranked_add(Relation index, TgUnranked kind,
							const TgRow *row);

/*
 * Which rows are wanted: of those that are not killed, if skip_killed, the
 * ones that pass(), which may be NULL.  It is called under the lock of the
 * row's page.
 */
typedef struct TgRowChoice
{
	bool		skip_killed;
	bool		(*pass) (const TgRow *row, void *arg);
	void	   *arg;
} TgRowChoice;

static inline bool
tg_row_is_chosen(const TgRowChoice *choice, const TgRow *row)
{
	return !(choice->skip_killed && tg_tid_is_killed(&row->tid)) &&
		(choice->pass == NULL || choice->pass(row, choice->arg));
}

/*
 * The heap TIDs of all rows that are wanted, of a vertex or of an unranked
 * list, into *tids (palloc'd, grown as needed; *capacity tells its size).
 * Returns how many.
 */
extern int64 tg_tids_collect(TgReader *reader, TgVertexId id,
							 const TgRowChoice *choice,
							 ItemPointerData **tids, int64 *capacity);
extern int64 tg_unranked_collect(Relation index, TgUnranked kind,
								 const TgRowChoice *choice,
								 ItemPointerData **tids, int64 *capacity);

/*
 * May an open vertex have a row that is wanted?  Of what is chained from it,
 * nothing is known.
 */
extern bool tg_tids_any(const TgLayout *layout, const TgSlotHeader *header,
						const TgRowChoice *choice);

/*
 * Mark those of tids[n], which is sorted by this, as killed that are still
 * with their owner and of which is_dead() says, under the lock of their page,
 * that nobody sees a row there.  layout is that of vertices; it is not looked
 * at where the owner is an unranked list.
 */
typedef bool (*TgTidIsDead) (const ItemPointerData *tid, void *arg);

extern void tg_tids_kill(Relation index, const TgLayout *layout,
						 TgVertexId owner, ItemPointerData *tids, int64 n,
						 TgTidIsDead is_dead, void *arg);

/*
 * Unlink an empty TG_SLOT_TIDS slot from its owner's chain and free it.  A
 * slot that is not empty any more stays.  layout is that of vertices; it is
 * not looked at where the owner is an unranked list.
 */
extern void tg_tids_unlink(Relation index, const TgLayout *layout,
						   TgVertexId id, TgVertexId owner);

#endif							/* TOGG_PAGE_H */
