/*-------------------------------------------------------------------------
 *
 * sketch.h
 *	  Sketches: a byte for each slot and filter column, apart from the slots.
 *
 * A byte says which rows the slot may have: enough to pass over most slots
 * whose rows a filter rejects, without reading their pages.  It may say too
 * little, never too much:
 *
 *	A row that a snapshot sees satisfies what the byte of its slot says, for
 *	each column, at any time from when the snapshot was taken on.
 *
 * That holds by the order of things alone.  Who puts a row into a slot adds it
 * to the sketch afterwards, before the transaction ends, and what is added never
 * replaces what is there, but makes the byte say less (tg_sketch_add()).  VACUUM
 * alone says more: what it finds under the lock of the slot's page, rows of
 * transactions that run included (tg_sketch_put()).  So no order in which the
 * two write loses a row.
 *
 * A build writes sketches at the end of the index, with room for a few times as
 * many slots as there are then; of slots beyond, nothing is known.  They are in
 * the order of the blocks that have the slots' headers:
 *
 *	+---------+-----+---------+---------+-----+---------+---------+-----+
 *	| ruler 0 | ... | ruler n | bytes 0 | ... | bytes 0 | bytes 1 | ... |
 *	+---------+-----+---------+---------+-----+---------+---------+-----+
 *	 a page for each column	   tg_sketch_pages() for each column
 *
 * What a byte means is the caller's (am/sketch.h), but for the two below; so is
 * what a ruler page holds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_PAGE_SKETCH_H
#define TOGG_PAGE_SKETCH_H

#include "page/page.h"

#define TG_SKETCH_ANY	0		/* rows of any kind */
#define TG_SKETCH_NONE	255		/* no row so far */

/*
 * Write sketches: rulers is ncolumns times TG_PAGE_CONTENT bytes, bytes is
 * ncolumns times nblocks * slots_per_block.  Tells the metapage.
 */
extern void tg_sketch_create(Relation index, const TgLayout *layout,
							 int ncolumns, const char *rulers,
							 const uint8 *bytes, BlockNumber nblocks);

/* Bytes for each block and column. */
static inline int
tg_sketch_per_block(const TgLayout *layout)
{
	return Max(1, layout->list.per_page);
}

/* A slot's place among the bytes of a column. */
static inline uint64
tg_sketch_place(const TgLayout *layout, TgVertexId id)
{
	int			per_page = layout->list.per_page;
	BlockNumber stripe;

	/* Numbers are dealt out to stripes, and places to pages. */
	if (per_page == layout->stripe_slots)
		return id;
	stripe = tg_id_stripe(layout, id);
	if (per_page > 0)
		return (uint64) stripe * per_page + tg_id_place(layout, id);
	return stripe + (uint64) tg_part_page(&layout->list, tg_id_place(layout, id));
}

/* Pin and share-lock a column's ruler; returns its content. */
extern const char *tg_sketch_open_ruler(Relation index, const TgMetaPage *meta,
										int column, Buffer *buffer);

/* Add what a new row of a slot is to its bytes, one for each column. */
extern void tg_sketch_add(Relation index, const TgIndex *info, TgVertexId id,
						  const uint8 *bytes, int ncolumns);

/*
 * Replace a slot's bytes.  The caller has its page locked exclusively, or knows
 * that nobody adds rows to it.
 */
extern void tg_sketch_put(Relation index, const TgIndex *info, TgVertexId id,
						  const uint8 *bytes, int ncolumns);

/* A slot's bytes; false if it is beyond what there is room for. */
extern bool tg_sketch_get(Relation index, const TgIndex *info, TgVertexId id,
						  uint8 *bytes, int ncolumns);

/*
 * Bytes of some columns as a scan reads them, page by page, as they are needed:
 * may a slot have rows that pass?  accept[i] says which bytes of column
 * columns[i] do.
 */
typedef struct TgSketchReader
{
	Relation	index;
	const TgLayout *layout;
	BlockNumber first;			/* page of bytes of the first column */
	uint32		npages;			/* of each column */
	uint64		nplaces;		/* of bytes that slots have */
	int			n;
	int			columns[INDEX_MAX_KEYS];
	bool		accept[INDEX_MAX_KEYS][256];
	uint8	  **pages;			/* n * npages copies; NULL: not read yet */
	uint64		pages_read;
} TgSketchReader;

/*
 * Get ready to read, in the current memory context, after columns and accept
 * are set.
 */
extern void tg_sketch_read_begin(TgSketchReader *reader, Relation index,
								 const TgIndex *info, int ncolumns);

/* Copy a page of bytes: column columns[i], page p of it. */
extern uint8 *tg_sketch_load(TgSketchReader *reader, int i, uint32 p);

static inline bool
tg_sketch_may_pass_place(TgSketchReader *reader, uint64 place)
{
	uint64		page = place / TG_PAGE_CONTENT;

	if (page >= reader->npages)
		return true;
	for (int i = 0; i < reader->n; i++)
	{
		uint8	   *bytes = reader->pages[i * (Size) reader->npages + page];

		if (unlikely(bytes == NULL))
			bytes = tg_sketch_load(reader, i, (uint32) page);
		if (!reader->accept[i][bytes[place % TG_PAGE_CONTENT]])
			return false;
	}
	return true;
}

static inline bool
tg_sketch_may_pass(TgSketchReader *reader, TgVertexId id)
{
	return tg_sketch_may_pass_place(reader,
									tg_sketch_place(reader->layout, id));
}

/*
 * The first block, from the given one on, of which a slot may have rows that
 * pass: a TgBlockChoice.
 */
extern BlockNumber tg_sketch_next_block(BlockNumber block, void *reader);

#endif							/* TOGG_PAGE_SKETCH_H */
