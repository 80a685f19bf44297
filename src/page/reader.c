/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  Walking the graph on pages: a TgGraph over the buffers of an index.
 *
 * A hop costs a page access, and a page access costs a look-up in the shared
 * buffer table.  Each backend therefore remembers in which buffer it last saw
 * a block; ReadRecentBuffer() checks the guess.  The guess also tells, without
 * pinning anything, which memory to prefetch for a vertex to be visited soon, and
 * that the page was checked there.
 *
 * Blocks that come from disk take a hundred times longer than all else.  Once one
 * did, the blocks of the best candidates are asked for at the same time, for as
 * long as that goes on.  What the operating system has in its cache is not worth
 * the asking.  effective_io_concurrency = 0 turns it off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "page/page.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/buf_internals.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/spccache.h"

#define CACHE_LINE			64

/*
 * Candidates whose blocks are read ahead, from a read that took so long on, until
 * none did for so many page accesses.
 */
#define READ_AHEAD			8
#define DISK_READ_US		40
#define READ_AHEAD_HITS		64

/* The remembered buffers of all indexes, a power of two of them. */
#define MAX_HINTS			(1 << 18)

static Buffer *hints = NULL;
static uint32 hint_mask;

#if PG_VERSION_NUM >= 160000
#define INDEX_LOCATOR(index)	((index)->rd_locator)
#define INDEX_NUMBER(index)		((index)->rd_locator.relNumber)
#else
#define INDEX_LOCATOR(index)	((index)->rd_node)
#define INDEX_NUMBER(index)		((index)->rd_node.relNode)
#endif

static void
hints_init(void)
{
	uint32		size = 1024;

	while (size < (uint32) NBuffers && size < MAX_HINTS)
		size *= 2;
	hints = MemoryContextAllocZero(TopMemoryContext, sizeof(Buffer) * size);
	hint_mask = size - 1;
}

static inline Buffer *
hint_for(Relation index, BlockNumber block)
{
	return &hints[(block + INDEX_NUMBER(index) * 0x9E3779B1u) & hint_mask];
}

/*
 * Pin a block where it was last seen, if it is still there.
 */
static inline bool
pin_by_hint(Relation index, BlockNumber block, Buffer hint)
{
	if (!BufferIsValid(hint) ||
		!ReadRecentBuffer(INDEX_LOCATOR(index), MAIN_FORKNUM, block, hint))
		return false;
	pgstat_count_buffer_read(index);
	pgstat_count_buffer_hit(index);
	return true;
}

Buffer
tg_pin_block(Relation index, BlockNumber block)
{
	Buffer		hint;

	if (hints == NULL)
		hints_init();
	hint = *hint_for(index, block);
	return pin_by_hint(index, block, hint) ? hint : ReadBuffer(index, block);
}

/*
 * Pin a block that was not where it was last seen, and look whether it comes from
 * disk.
 */
static pg_noinline Buffer
pin_unseen(TgReader *reader, BlockNumber block)
{
	Relation	index = reader->index;
	instr_time	start;
	instr_time	elapsed;
	Buffer		buffer;

	INSTR_TIME_SET_CURRENT(start);
	buffer = ReadBuffer(index, block);
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, start);
	if (unlikely(INSTR_TIME_GET_MICROSEC(elapsed) >= DISK_READ_US))
	{
		bool		may = get_tablespace_io_concurrency(index->rd_rel->reltablespace) > 0;

		reader->graph.ahead = may ? READ_AHEAD : 0;
		reader->hits = 0;
	}
	return buffer;
}

/*
 * Pin and share-lock a page, and check that it is of the kind.
 *
 * The special space, which says so, is mostly 4 kB and more away from the slot: to
 * look there at each hop takes another cache miss and TLB miss, a twentieth of a
 * search.  So a page is checked when this session first sees it in a buffer.  Headers
 * of slots are checked always: what a page has become that is read in again leads
 * to wrong answers at worst.
 */
static inline Buffer
lock_block(TgReader *reader, BlockNumber block, TgPageKind kind)
{
	Relation	index = reader->index;
	Buffer	   *hint = hint_for(index, block);
	Buffer		buffer = *hint;
	bool		seen;

	reader->pages++;
	if (unlikely(reader->graph.ahead > 0) && ++reader->hits > READ_AHEAD_HITS)
		reader->graph.ahead = 0;
	seen = pin_by_hint(index, block, buffer);
	if (unlikely(!seen))
	{
		*hint = InvalidBuffer;
		buffer = pin_unseen(reader, block);
	}
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (unlikely(!seen || reader->suspicious))
	{
		tg_page_check(index, buffer, kind);
		*hint = buffer;
	}
	return buffer;
}

/*
 * Prefetch the lines that begin in [from, to), and the one that from is in.
 *
 * (Inlined always: what does nothing but prefetch is without effect to gcc, which
 * leaves out calls of it.)
 */
static pg_attribute_always_inline void
prefetch_lines(const char *from, const char *to)
{
	for (from = (const char *) TYPEALIGN_DOWN(CACHE_LINE, from); from < to;
		 from += CACHE_LINE)
		__builtin_prefetch(from);
}

/* Block of a slot's part. */
static inline BlockNumber
part_block(TgReader *reader, const TgPart *part, TgVertexId id)
{
	return tg_slot_stripe(reader->index, &reader->layout, id,
						  &reader->nblocks) +
		tg_part_page(part, tg_id_place(&reader->layout, id));
}

/*
 * Pin and share-lock the page of a part that does not span pages; returns the
 * part.
 */
static inline char *
open_part(TgReader *reader, const TgPart *part, TgPageKind kind,
		  TgVertexId id, Buffer *buffer)
{
	*buffer = lock_block(reader, part_block(reader, part, id), kind);
	return (char *) BufferGetPage(*buffer) +
		tg_part_offset(part, tg_id_place(&reader->layout, id));
}

/*
 * Copy a part that spans pages.  The first page stays locked until the last is
 * copied: who writes to any of them has the first one locked.
 */
static char *
copy_part(TgReader *reader, const TgPart *part, TgPageKind kind,
		  TgVertexId id, char **copy)
{
	BlockNumber block = part_block(reader, part, id);
	Buffer		first = InvalidBuffer;

	if (*copy == NULL)
		*copy = palloc(part->size);
	for (int i = 0; i < part->pages_each; i++)
	{
		Buffer		buffer = lock_block(reader, block + i, kind);
		Size		done = (Size) i * TG_PAGE_CONTENT;

		tg_page_check(reader->index, buffer, kind);
		memcpy(*copy + done, PageGetContents(BufferGetPage(buffer)),
			   Min(TG_PAGE_CONTENT, part->size - done));
		if (i == 0)
			first = buffer;
		else
			UnlockReleaseBuffer(buffer);
	}
	UnlockReleaseBuffer(first);
	return *copy;
}

const TgSlotHeader *
tg_reader_open_slot(TgReader *reader, TgVertexId id)
{
	const TgPart *part = &reader->layout.list;

	Assert(!BufferIsValid(reader->list_buffer));

	reader->header = (const TgSlotHeader *)
		(part->per_page > 0 ?
		 open_part(reader, part, reader->layout.kind, id, &reader->list_buffer) :
		 copy_part(reader, part, reader->layout.kind, id, &reader->list_copy));

	/* A page that is no longer what it was, all zeros say, shows no vertex here. */
	if (unlikely(reader->header->kind != TG_SLOT_VERTEX) &&
		BufferIsValid(reader->list_buffer))
		tg_page_check(reader->index, reader->list_buffer, reader->layout.kind);
	tg_slot_check(reader->index, &reader->layout, id, reader->header);
	return reader->header;
}

Buffer
tg_reader_pin(TgReader *reader, TgVertexId id)
{
	reader->pages++;
	return tg_pin_block(reader->index,
						part_block(reader, &reader->layout.list, id));
}

static void
reader_close(TgGraph *graph)
{
	TgReader   *reader = (TgReader *) graph;

	if (BufferIsValid(reader->vector_buffer))
		UnlockReleaseBuffer(reader->vector_buffer);
	if (BufferIsValid(reader->list_buffer))
		UnlockReleaseBuffer(reader->list_buffer);
	reader->vector_buffer = InvalidBuffer;
	reader->list_buffer = InvalidBuffer;
}

/*
 * The slot may have been freed, or reused for another vertex, since the scan
 * read a link to it.  That does no harm: a vertex is read as what it is now,
 * all under one lock, and rows newer than the scan's snapshot are not visible
 * to it.
 */
static bool
reader_open(TgGraph *graph, TgVertexId id, TgVertexView *view)
{
	TgReader   *reader = (TgReader *) graph;
	const TgSlotHeader *header = tg_reader_open_slot(reader, id);

	if (unlikely(header->kind != TG_SLOT_VERTEX))
	{
		reader_close(graph);
		return false;
	}
	view->id = id;
	view->degree = header->degree;
	view->nclusters = header->nclusters;
	view->division = &header->division;
	view->split_at = header->split_at;
	view->blocks = (const char *) header + reader->layout.blocks_offset;
	return true;
}

const void *
tg_reader_vector(TgReader *reader, TgVertexId id)
{
	const TgLayout *layout = &reader->layout;

	if (layout->vector_inline)
		return (const char *) reader->header + layout->vector_offset;
	if (layout->vector.per_page > 0)
		return open_part(reader, &layout->vector, TG_PAGE_VECTOR, id,
						 &reader->vector_buffer);
	return copy_part(reader, &layout->vector, TG_PAGE_VECTOR, id,
					 &reader->vector_copy);
}

void
tg_reader_inner(TgReader *reader, const TgIndex *info, TgVertexId id,
				float *values, float *inner)
{
	tg_unstore(&info->geometry, info->layout.storage,
			   tg_reader_vector(reader, id), values);
	tg_embed(&info->geometry, values, reader->header->norm2, inner);
}

/*
 * Prefetch half of a part's first size bytes from the buffer where its block was
 * last seen; with the first half, what is needed to lock the page.
 */
static pg_attribute_always_inline void
prefetch_part(TgReader *reader, const TgPart *part, Size size, TgVertexId id,
			  int half)
{
	int			place = tg_id_place(&reader->layout, id);
	BlockNumber block = tg_id_stripe(&reader->layout, id) +
		tg_part_page(part, place);
	Buffer		guess = *hint_for(reader->index, block);
	const char *start;
	const char *middle;

	if (guess <= 0 || part->per_page == 0)
		return;
	start = (const char *) BufferGetPage(guess) + tg_part_offset(part, place);
	middle = (const char *) TYPEALIGN(CACHE_LINE, start + size / 2);
	if (half == 0)
	{
		__builtin_prefetch(GetBufferDescriptor(guess - 1), 1);
		prefetch_lines(start, middle);
	}
	else
		prefetch_lines(middle, start + size);
}

/*
 * The vector is needed before the list; of the rows at the list's end, most have one.
 */
static void
reader_prefetch(TgGraph *graph, TgVertexId id, int half)
{
	TgReader   *reader = (TgReader *) graph;
	const TgLayout *layout = &reader->layout;

	if (!layout->vector_inline)
		prefetch_part(reader, &layout->vector, layout->vector_size, id, half);
	prefetch_part(reader, &layout->list, layout->tids_offset + layout->row_size,
				  id, half);
}

static void
read_part_ahead(TgReader *reader, const TgPart *part, TgVertexId id)
{
	BlockNumber block = part_block(reader, part, id);

	for (int i = 0; i < Max(1, part->pages_each); i++)
		PrefetchBuffer(reader->index, MAIN_FORKNUM, block + i);
}

static void
reader_read_ahead(TgGraph *graph, TgVertexId id)
{
	TgReader   *reader = (TgReader *) graph;

	read_part_ahead(reader, &reader->layout.list, id);
	if (!reader->layout.vector_inline)
		read_part_ahead(reader, &reader->layout.vector, id);
}

void
tg_reader_init(TgReader *reader, Relation index, const TgLayout *layout)
{
	memset(reader, 0, sizeof(TgReader));
	reader->graph.shape = layout->block;
	reader->graph.guide = layout->guide;
	reader->graph.open = reader_open;
	reader->graph.close = reader_close;
	reader->graph.prefetch = reader_prefetch;
	reader->graph.read_ahead = reader_read_ahead;
	reader->index = index;
	reader->layout = *layout;
	if (hints == NULL)
		hints_init();
}

void
tg_reader_free(TgReader *reader)
{
	if (reader->list_copy)
		pfree(reader->list_copy);
	if (reader->vector_copy)
		pfree(reader->vector_copy);
	reader->list_copy = NULL;
	reader->vector_copy = NULL;
}

/*
 * The slots on a locked page that are not wanted, a bit each.
 */
static uint32
find_unwanted(const TgSlotScan *scan, Page page, const TgPageSlots *slots)
{
	const TgLayout *layout = scan->layout;
	uint32		unwanted = 0;

	for (int i = 0; i < slots->nslots; i++)
		__builtin_prefetch((char *) page + layout->tids_offset +
						   tg_part_offset(&layout->list, slots->first + i));
	for (int i = 0; i < slots->nslots; i++)
	{
		int			place = slots->first + i;
		const TgSlotHeader *header = (const TgSlotHeader *)
			((char *) page + tg_part_offset(&layout->list, place));

		tg_slot_check(scan->index, layout,
					  tg_id_make(layout, slots->stripe, place), header);
		if (!scan->wanted(header, scan->wanted_arg))
			unwanted |= UINT32_C(1) << i;
	}
	return unwanted;
}

/*
 * See what a block holds; *unwanted is set if scan says what is wanted.
 */
static TgPageSlots
read_page_slots(Relation index, const TgLayout *layout, BlockNumber block,
				BufferAccessStrategy strategy, const TgSlotScan *scan,
				uint32 *unwanted)
{
	Buffer		buffer = strategy ?
		ReadBufferExtended(index, MAIN_FORKNUM, block, RBM_NORMAL, strategy) :
		tg_pin_block(index, block);
	Page		page = BufferGetPage(buffer);
	TgPageSlots slots = {0};

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!PageIsNew(page))
	{
		for (int kind = TG_PAGE_LIST; kind <= TG_PAGE_SKETCH; kind++)
			if (tg_page_is(page, kind))
				slots.kind = kind;
		if (slots.kind == 0)
			tg_page_check(index, buffer, TG_PAGE_LIST);
	}
	/* Before an index has dimensions, a crash may leave list pages unused. */
	if (slots.kind == TG_PAGE_LIST && layout->stripe_slots > 0)
	{
		int			piece = TgPageGetOpaque(page)->piece;

		if (piece >= layout->list.npages || piece >= block)
			tg_report_corruption(index, block,
								 "The page is piece %d of a stripe with %d list pages.",
								 piece, layout->list.npages);
		slots.stripe = block - piece;
		slots.nslots = tg_slots_on_piece(layout, piece, &slots.first);
	}
	else if (slots.kind == TG_PAGE_TIDS)
	{
		slots.stripe = block;
		slots.nslots = 1;
	}
	if (scan && scan->wanted && slots.kind == TG_PAGE_LIST)
		*unwanted = find_unwanted(scan, page, &slots);
	UnlockReleaseBuffer(buffer);
	return slots;
}

TgPageSlots
tg_page_slots(Relation index, const TgLayout *layout, BlockNumber block,
			  BufferAccessStrategy strategy)
{
	return read_page_slots(index, layout, block, strategy, NULL, NULL);
}

void
tg_slot_scan_begin(TgSlotScan *scan, Relation index, const TgLayout *layout)
{
	memset(scan, 0, sizeof(TgSlotScan));
	scan->index = index;
	scan->layout = layout;
	scan->block = TG_METAPAGE_BLKNO + 1;
	scan->nblocks = RelationGetNumberOfBlocks(index);
}

bool
tg_slot_scan_next(TgSlotScan *scan, TgVertexId *id)
{
	for (;;)
	{
		while (scan->place < scan->page.nslots &&
			   (scan->unwanted & (UINT32_C(1) << scan->place)))
			scan->place++;
		if (scan->place < scan->page.nslots)
			break;
		if (scan->next_block)
			scan->block = scan->next_block(scan->block, scan->next_block_arg);
		if (scan->block >= scan->nblocks)
			return false;
		CHECK_FOR_INTERRUPTS();
		scan->unwanted = 0;
		scan->nread++;
		scan->page = read_page_slots(scan->index, scan->layout, scan->block++,
									 scan->strategy, scan, &scan->unwanted);
		scan->place = 0;
	}
	*id = scan->page.kind == TG_PAGE_TIDS ? scan->page.stripe :
		tg_id_make(scan->layout, scan->page.stripe,
				   scan->page.first + scan->place);
	scan->place++;
	return true;
}
