/*-------------------------------------------------------------------------
 *
 * sketch.c
 *	  Sketches: a byte for each slot and filter column; see sketch.h.
 *
 * A page of sketches is locked after the page of a slot, by who has that locked,
 * and nothing is locked after it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "page/sketch.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"

/*
 * Sketches have room for so many times the slots of the index they are made
 * for.
 */
#define ROOM_FACTOR		4

/*
 * Append a page to the index, with this content.  Returns its block.
 */
static BlockNumber
append_page(Relation index, const char *content)
{
	Buffer		buffer;
	BlockNumber block;
	GenericXLogState *xlog;
	Page		page;

	LockRelationForExtension(index, ExclusiveLock);
	buffer = ReadBuffer(index, P_NEW);
	UnlockRelationForExtension(index, ExclusiveLock);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	block = BufferGetBlockNumber(buffer);
	xlog = GenericXLogStart(index);
	page = GenericXLogRegisterBuffer(xlog, buffer, GENERIC_XLOG_FULL_IMAGE);
	tg_page_init(page, TG_PAGE_SKETCH, 0);
	memcpy(PageGetContents(page), content, TG_PAGE_CONTENT);
	((PageHeader) page)->pd_lower = ((PageHeader) page)->pd_upper;
	GenericXLogFinish(xlog);
	UnlockReleaseBuffer(buffer);
	return block;
}

void
tg_sketch_create(Relation index, const TgLayout *layout, int ncolumns,
				 const char *rulers, const uint8 *bytes, BlockNumber nblocks)
{
	uint64		nbytes = (uint64) nblocks * tg_sketch_per_block(layout);
	uint32		npages = (uint32) (ROOM_FACTOR * nbytes / TG_PAGE_CONTENT) + 1;
	BlockNumber first = InvalidBlockNumber;
	char		content[TG_PAGE_CONTENT];
	TgMetaEdit	edit;

	for (int c = 0; c < ncolumns; c++)
	{
		BlockNumber block = append_page(index, rulers +
										(Size) c * TG_PAGE_CONTENT);

		if (c == 0)
			first = block;
	}
	for (int c = 0; c < ncolumns; c++)
		for (uint32 p = 0; p < npages; p++)
		{
			uint64		start = (uint64) p * TG_PAGE_CONTENT;

			CHECK_FOR_INTERRUPTS();
			memset(content, TG_SKETCH_NONE, TG_PAGE_CONTENT);
			if (start < nbytes)
				memcpy(content, bytes + c * nbytes + start,
					   Min(TG_PAGE_CONTENT, nbytes - start));
			append_page(index, content);
		}

	tg_meta_edit_begin(&edit, index);
	edit.meta->sketches = first;
	edit.meta->sketch_pages = npages;
	tg_meta_edit_finish(&edit);

	/*
	 * Every backend has a copy of the metapage.  Nobody inserts by an older one:
	 * an index is not told of rows before its build is over.
	 */
	CacheInvalidateRelcache(index);
	tg_index_forget(index);
}

const char *
tg_sketch_open_ruler(Relation index, const TgMetaPage *meta, int column,
					 Buffer *buffer)
{
	*buffer = tg_pin_block(index, meta->sketches + column);
	LockBuffer(*buffer, BUFFER_LOCK_SHARE);
	tg_page_check(index, *buffer, TG_PAGE_SKETCH);
	return PageGetContents(BufferGetPage(*buffer));
}

/*
 * Pin the page that a slot's byte of a column is on.  False if there is none.
 */
static bool
pin_byte(Relation index, const TgIndex *info, TgVertexId id, int column,
		 int ncolumns, Buffer *buffer, int *at)
{
	const TgMetaPage *meta = &info->meta;
	uint64		place = tg_sketch_place(&info->layout, id);
	uint64		p = place / TG_PAGE_CONTENT;

	if (meta->sketches == 0 || p >= meta->sketch_pages)
		return false;
	*buffer = ReadBuffer(index, meta->sketches + ncolumns +
						 column * meta->sketch_pages + (uint32) p);
	*at = place % TG_PAGE_CONTENT;
	return true;
}

bool
tg_sketch_get(Relation index, const TgIndex *info, TgVertexId id,
			  uint8 *bytes, int ncolumns)
{
	for (int c = 0; c < ncolumns; c++)
	{
		Buffer		buffer;
		int			at;

		if (!pin_byte(index, info, id, c, ncolumns, &buffer, &at))
			return false;
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		tg_page_check(index, buffer, TG_PAGE_SKETCH);
		bytes[c] = PageGetContents(BufferGetPage(buffer))[at];
		UnlockReleaseBuffer(buffer);
	}
	return true;
}

/*
 * What a byte becomes when a row is added.
 */
static uint8
merge(uint8 old, uint8 added)
{
	return old == TG_SKETCH_NONE ? added :
		old == added ? old : TG_SKETCH_ANY;
}

static uint8
replace(uint8 old, uint8 new)
{
	return new;
}

static void
change(Relation index, const TgIndex *info, TgVertexId id, const uint8 *bytes,
	   int ncolumns, uint8 (*change_byte) (uint8 old, uint8 new))
{
	for (int c = 0; c < ncolumns; c++)
	{
		Buffer		buffer;
		int			at;
		uint8		old;
		uint8		new;

		if (!pin_byte(index, info, id, c, ncolumns, &buffer, &at))
			return;
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		tg_page_check(index, buffer, TG_PAGE_SKETCH);
		old = PageGetContents(BufferGetPage(buffer))[at];
		new = change_byte(old, bytes[c]);
		if (new != old)
		{
			GenericXLogState *xlog = GenericXLogStart(index);
			Page		page = GenericXLogRegisterBuffer(xlog, buffer, 0);

			PageGetContents(page)[at] = new;
			GenericXLogFinish(xlog);
		}
		UnlockReleaseBuffer(buffer);
	}
}

void
tg_sketch_add(Relation index, const TgIndex *info, TgVertexId id,
			  const uint8 *bytes, int ncolumns)
{
	change(index, info, id, bytes, ncolumns, merge);
}

void
tg_sketch_put(Relation index, const TgIndex *info, TgVertexId id,
			  const uint8 *bytes, int ncolumns)
{
	change(index, info, id, bytes, ncolumns, replace);
}

void
tg_sketch_read_begin(TgSketchReader *reader, Relation index,
					 const TgIndex *info, int ncolumns)
{
	BlockNumber nblocks;

	reader->index = index;
	reader->layout = &info->layout;
	reader->first = info->meta.sketches + ncolumns;
	reader->npages = info->meta.sketch_pages;
	reader->pages_read = 0;
	nblocks = RelationGetNumberOfBlocks(index);
	reader->nplaces = Min((uint64) reader->npages * TG_PAGE_CONTENT,
						  (uint64) nblocks *
						  tg_sketch_per_block(reader->layout));
	if ((uint64) reader->first + (uint64) ncolumns * reader->npages >
		nblocks)
		tg_report_corruption(index, TG_METAPAGE_BLKNO,
							 "The metapage says that sketches begin at block %u and take %u pages for each of %d columns.",
							 info->meta.sketches, reader->npages, ncolumns);
	reader->pages = palloc0(sizeof(uint8 *) * reader->n *
							(Size) reader->npages);
}

uint8 *
tg_sketch_load(TgSketchReader *reader, int i, uint32 p)
{
	uint8	   *copy = palloc(TG_PAGE_CONTENT);
	Buffer		buffer;

	CHECK_FOR_INTERRUPTS();
	buffer = tg_pin_block(reader->index, reader->first +
						  reader->columns[i] * reader->npages + p);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	tg_page_check(reader->index, buffer, TG_PAGE_SKETCH);
	memcpy(copy, PageGetContents(BufferGetPage(buffer)), TG_PAGE_CONTENT);
	UnlockReleaseBuffer(buffer);
	reader->pages_read++;
	reader->pages[i * (Size) reader->npages + p] = copy;
	return copy;
}

BlockNumber
tg_sketch_next_block(BlockNumber block, void *arg)
{
	TgSketchReader *reader = arg;
	int			per_block = tg_sketch_per_block(reader->layout);
	uint64		place = (uint64) block * per_block;

	while (place < reader->nplaces && !tg_sketch_may_pass_place(reader, place))
	{
		uint64		page = place / TG_PAGE_CONTENT;
		uint64		end = Min(reader->nplaces, (page + 1) * TG_PAGE_CONTENT);
		const uint8 *bytes = reader->pages[page];

		/* On to what the first column accepts, on this page. */
		for (place++; place < end; place++)
			if (reader->accept[0][bytes[place - page * TG_PAGE_CONTENT]])
				break;
	}
	return Max(block, place / per_block);
}
