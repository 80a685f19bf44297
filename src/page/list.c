/*-------------------------------------------------------------------------
 *
 * list.c
 *	  Neighbour lists in the list part of a slot.
 *
 * These functions work on a private copy of the bytes (a page being built, or
 * a TgEdit); they take no locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "page/page.h"

#include "port/pg_bitutils.h"

static char *
list_block(const TgLayout *layout, const void *slot, int block)
{
	return (char *) slot + layout->blocks_offset +
		(Size) block * layout->block.block_size;
}

static float *
block_factors(const TgLayout *layout, char *block)
{
	return (float *) (block + layout->block.codes_size);
}

static TgVertexId *
block_ids(const TgLayout *layout, char *block)
{
	return (TgVertexId *) (block + layout->block.ids_offset);
}

static uint32 *
block_stale(const TgLayout *layout, char *block)
{
	return block_ids(layout, block) + TG_BLOCK_LANES;
}

TgVertexId
tg_list_get(const TgLayout *layout, const void *slot, int lane)
{
	char	   *block = list_block(layout, slot, lane / TG_BLOCK_LANES);

	return block_ids(layout, block)[lane % TG_BLOCK_LANES];
}

bool
tg_list_has(const TgLayout *layout, const void *slot, TgVertexId id)
{
	const TgSlotHeader *header = slot;

	for (int lane = 0; lane < header->degree; lane++)
		if (tg_list_get(layout, slot, lane) == id)
			return true;
	return false;
}

static void
mark_stale(const TgLayout *layout, void *slot, int lane)
{
	*block_stale(layout, list_block(layout, slot, lane / TG_BLOCK_LANES)) |=
		UINT32_C(1) << (lane % TG_BLOCK_LANES);
}

/*
 * A lane's neighbour is not the one that was divided.  If it stood for a
 * cluster, nothing leads there any more: all of the cluster becomes stale.
 */
static void
lane_changed(const TgLayout *layout, void *slot, int lane)
{
	const TgSlotHeader *header = slot;
	int			k = header->nclusters;

	mark_stale(layout, slot, lane);
	if (layout->guide == TG_GUIDE_KMEANS && lane < k)
	{
		const uint8 *start = header->division.start;
		int			end = lane + 1 < k ? k + start[lane + 1] : header->degree;

		for (int i = k + start[lane]; i < Min(end, header->degree); i++)
			mark_stale(layout, slot, i);
	}
}

void
tg_list_set(const TgLayout *layout, void *slot, int lane,
			const TgCoded *coded, bool fresh)
{
	TgSlotHeader *header = slot;
	char	   *block = list_block(layout, slot, lane / TG_BLOCK_LANES);
	int			place = lane % TG_BLOCK_LANES;

	Assert(lane <= header->degree && lane < layout->degree);

	if (layout->bits > 0)
	{
		tg_codes_set_lane((uint8 *) block, layout->inner_dims, layout->bits,
						  place, coded->levels);
		block_factors(layout, block)[place] = coded->a;
		block_factors(layout, block)[TG_BLOCK_LANES + place] = coded->f;
	}
	block_ids(layout, block)[place] = coded->id;
	if (lane == header->degree)
		header->degree++;
	if (fresh)
		lane_changed(layout, slot, lane);
}

/*
 * What is in a lane of a block; moved->levels is the caller's.
 */
static void
take_lane(const TgLayout *layout, char *block, int place, TgCoded *moved)
{
	moved->id = block_ids(layout, block)[place];
	if (layout->bits > 0)
	{
		tg_codes_get_lane((uint8 *) block, layout->inner_dims, layout->bits,
						  place, moved->levels);
		moved->a = block_factors(layout, block)[place];
		moved->f = block_factors(layout, block)[TG_BLOCK_LANES + place];
	}
}

void
tg_list_remove(const TgLayout *layout, void *slot, int lane)
{
	TgSlotHeader *header = slot;
	int			last = header->degree - 1;
	char	   *block = list_block(layout, slot, last / TG_BLOCK_LANES);
	int			place = last % TG_BLOCK_LANES;

	Assert(lane <= last);

	if (lane < last)
	{
		TgCoded		moved = {0};

		moved.levels = palloc(layout->inner_dims);
		take_lane(layout, block, place, &moved);
		tg_list_set(layout, slot, lane, &moved, true);
		pfree(moved.levels);
	}
	*block_stale(layout, block) &= ~(UINT32_C(1) << place);
	header->degree = last;

	/* A division that does not lie within the list any more is none. */
	if (header->nclusters > last)
		header->nclusters = 0;
}

int
tg_list_stale_lanes(const TgLayout *layout, const void *slot)
{
	const TgSlotHeader *header = slot;
	int			stale = 0;

	for (int b = 0; b * TG_BLOCK_LANES < header->degree; b++)
		stale += pg_popcount32(*block_stale(layout,
											list_block(layout, slot, b)));
	return stale;
}

void
tg_list_reorder(const TgLayout *layout, void *slot, const uint16 *order,
				const TgSlotHeader *divided)
{
	TgSlotHeader *header = slot;
	int			nblocks = (header->degree + TG_BLOCK_LANES - 1) / TG_BLOCK_LANES;
	Size		size = (Size) nblocks * layout->block.block_size;
	char	   *old = palloc(size);
	TgCoded		moved = {0};

	moved.levels = palloc(layout->inner_dims);
	memcpy(old, list_block(layout, slot, 0), size);
	for (int lane = 0; lane < header->degree; lane++)
	{
		int			from = order[lane];

		take_lane(layout,
				  old + from / TG_BLOCK_LANES * layout->block.block_size,
				  from % TG_BLOCK_LANES, &moved);
		tg_list_set(layout, slot, lane, &moved, false);
	}
	for (int b = 0; b < nblocks; b++)
		*block_stale(layout, list_block(layout, slot, b)) = 0;
	header->nclusters = divided->nclusters;
	header->division = divided->division;
	if (layout->guide == TG_GUIDE_KDTREE)
		header->split_at = divided->split_at;
	pfree(moved.levels);
	pfree(old);
}
