/*-------------------------------------------------------------------------
 *
 * layout.c
 *	  Sizes and offsets; see layout.h.
 *
 *-------------------------------------------------------------------------
 */
#include "page/layout.h"

#include "code/rabitq.h"

/* Most slots of a stripe: what an insert extends the index by. */
#define MAX_STRIPE_SLOTS	16

static void
part_init(TgPart *part, uint32 size)
{
	part->size = size;
	part->per_page = TG_PAGE_CONTENT / size;
	part->pages_each = part->per_page > 0 ? 0 :
		(size + TG_PAGE_CONTENT - 1) / TG_PAGE_CONTENT;
}

/* Pages that n parts take. */
static int
part_pages(const TgPart *part, int n)
{
	if (part->size == 0)
		return 0;
	if (part->per_page > 0)
		return (n + part->per_page - 1) / part->per_page;
	return n * part->pages_each;
}

/*
 * Choose how many slots a stripe holds so that its pages are fullest; the
 * smallest stripe among equals.  Returns bytes per slot.
 */
static double
stripe_init(TgLayout *layout)
{
	double		best = 0;

	for (int slots = 1; slots <= MAX_STRIPE_SLOTS; slots++)
	{
		int			pages = part_pages(&layout->list, slots) +
			part_pages(&layout->vector, slots);
		double		bytes = (double) pages * BLCKSZ / slots;

		if (best == 0 || bytes < best)
		{
			best = bytes;
			layout->stripe_slots = slots;
			layout->stripe_pages = pages;
		}
	}
	layout->list.npages = part_pages(&layout->list, layout->stripe_slots);
	layout->vector.npages = layout->stripe_pages - layout->list.npages;
	layout->vector.first_page = layout->list.npages;
	return best;
}

/*
 * Lay out with the vector in the list part or apart from it.  Returns bytes
 * per slot.
 */
static double
layout_try(TgLayout *layout, bool vector_inline)
{
	uint32		blocks_size = layout->degree / TG_BLOCK_LANES *
		layout->block.block_size;
	uint32		tids_size = TG_MIN_VERTEX_TIDS * layout->row_size;
	uint32		size = sizeof(TgSlotHeader) + blocks_size;
	bool		spans;

	memset(&layout->list, 0, sizeof(TgPart));
	memset(&layout->vector, 0, sizeof(TgPart));
	layout->vector_inline = vector_inline;
	size += tids_size + (vector_inline ? layout->vector_size : 0);
	spans = MAXALIGN(size) > TG_PAGE_CONTENT;

	layout->blocks_offset = sizeof(TgSlotHeader) +
		(spans ? tids_size : 0);
	layout->vector_offset = layout->blocks_offset + blocks_size;
	layout->tids_offset = spans ? sizeof(TgSlotHeader) :
		layout->vector_offset + (vector_inline ? layout->vector_size : 0);
	part_init(&layout->list, MAXALIGN(size));

	/* Room that a page has left over goes to rows. */
	if (layout->list.per_page > 0)
		layout->list.size = MAXALIGN_DOWN(TG_PAGE_CONTENT /
										  layout->list.per_page);
	layout->vertex_tids = spans ? TG_MIN_VERTEX_TIDS :
		(layout->list.size - layout->tids_offset) / layout->row_size;
	layout->slot_tids = (Min(layout->list.size, TG_PAGE_CONTENT) -
						 sizeof(TgSlotHeader)) / layout->row_size;

	if (!vector_inline)
		part_init(&layout->vector, MAXALIGN(layout->vector_size));
	return stripe_init(layout);
}

void
tg_layout_init(TgLayout *layout, const TgMetaPage *meta, int inner_dims)
{
	double		together;
	double		apart;
	bool		spans_apart;

	Assert(meta->dims > 0 && meta->degree % TG_BLOCK_LANES == 0);

	memset(layout, 0, sizeof(TgLayout));
	layout->kind = TG_PAGE_LIST;
	layout->dims = meta->dims;
	layout->inner_dims = inner_dims;
	layout->degree = meta->degree;
	layout->bits = meta->bits;
	layout->guide = meta->guide;
	layout->storage = meta->storage;
	layout->row_size = tg_row_size(meta);
	layout->block = tg_block_shape(TG_CODES_SIZE(inner_dims, meta->bits));
	layout->vector_size = layout->dims * (layout->storage == TG_STORAGE_HALF ?
										  sizeof(uint16) : sizeof(float));
	layout->vector_size = TYPEALIGN(sizeof(float), layout->vector_size);

	/*
	 * A vector beside its list saves a page access for every hop, unless the
	 * pages it leaves half empty cost too much memory, or it makes the list
	 * part span pages, which then has to be copied to be read.
	 */
	apart = layout_try(layout, false);
	spans_apart = layout->list.per_page == 0;
	together = layout_try(layout, true);
	if (together > 1.2 * apart ||
		(layout->list.per_page == 0 && !spans_apart))
		layout_try(layout, false);
}

void
tg_layout_init_unranked(TgLayout *layout, uint32 row_size)
{
	memset(layout, 0, sizeof(TgLayout));
	layout->kind = TG_PAGE_TIDS;
	layout->row_size = row_size;
	layout->slot_tids = (TG_PAGE_CONTENT - sizeof(TgSlotHeader)) / row_size;
	part_init(&layout->list, TG_PAGE_CONTENT);
	layout->list.npages = 1;
	layout->stripe_slots = 1;
	layout->stripe_pages = 1;
}

double
tg_layout_bytes_per_vertex(const TgLayout *layout)
{
	return (double) layout->stripe_pages * BLCKSZ / layout->stripe_slots;
}

int
tg_degree_for_m(int m)
{
	return TYPEALIGN(TG_BLOCK_LANES, 2 * m);
}

int
tg_slots_on_piece(const TgLayout *layout, int piece, int *first)
{
	const TgPart *part = &layout->list;

	if (part->per_page == 0)
	{
		*first = piece / part->pages_each;
		return piece % part->pages_each == 0;
	}
	*first = piece * part->per_page;
	return Min(part->per_page, layout->stripe_slots - *first);
}
