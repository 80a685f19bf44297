/*-------------------------------------------------------------------------
 *
 * sample.c
 *	  Vertices of an index to ask for.
 *
 * Slots are numbered page by page, with room for as many as a page can hold.
 * Going round by steps of about the golden section visits each number once, and
 * any few that follow each other are spread evenly.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/tune.h"

#include "miscadmin.h"

#define GOLDEN_SECTION	0.6180339887498949

static uint64
common_divisor(uint64 a, uint64 b)
{
	while (b != 0)
	{
		uint64		rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Slots whose header a list page has, at most. */
static uint64
slots_per_page(const TgSampler *sampler)
{
	return Max(1, sampler->reader->layout.list.per_page);
}

void
tg_sampler_begin(TgSampler *sampler, TgReader *reader, uint64 start)
{
	sampler->reader = reader;
	sampler->numbers = slots_per_page(sampler) *
		RelationGetNumberOfBlocks(reader->index);
	sampler->left = sampler->numbers;
	sampler->next = start % Max(sampler->numbers, 1);
	sampler->step = Max(1, (uint64) (sampler->numbers * GOLDEN_SECTION));
	while (common_divisor(sampler->numbers, sampler->step) > 1)
		sampler->step++;
}

bool
tg_sampler_next(TgSampler *sampler, TgVertexId *id)
{
	TgReader   *reader = sampler->reader;
	const TgLayout *layout = &reader->layout;

	while (sampler->left > 0)
	{
		BlockNumber block = sampler->next / slots_per_page(sampler);
		int			place = sampler->next % slots_per_page(sampler);
		const TgSlotHeader *header;
		TgPageSlots page;
		bool		living;

		CHECK_FOR_INTERRUPTS();
		sampler->left--;
		sampler->next = (sampler->next + sampler->step) % sampler->numbers;
		if (block == TG_METAPAGE_BLKNO)
			continue;
		page = tg_page_slots(reader->index, layout, block, NULL);
		if (page.kind != TG_PAGE_LIST || place >= page.nslots)
			continue;
		*id = tg_id_make(layout, page.stripe, page.first + place);
		header = tg_reader_open_slot(reader, *id);
		living = header->kind == TG_SLOT_VERTEX && header->layer == 0 &&
			!(header->flags & (TG_VERTEX_ROOT | TG_VERTEX_DEAD));
		reader->graph.close(&reader->graph);
		if (living)
			return true;
	}
	return false;
}
