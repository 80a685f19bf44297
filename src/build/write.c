/*-------------------------------------------------------------------------
 *
 * write.c
 *	  The last step of a build: pages.
 *
 * Slots stand in an order that keeps neighbours near each other: layer by
 * layer, in each its root and then its vertices breadth first; behind them
 * chains of heap TIDs that vertices have no room for.  What is in a slot
 * follows from its number, so that members write stripe by stripe as they are
 * dealt.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include "access/xloginsert.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "pgstat.h"

/* Pages that a member writes, or WAL-logs, at a time. */
#define WRITE_BATCH		64
#define LOG_BATCH		256

/*
 * What writing the slots needs to know.
 */
typedef struct Writer
{
	TgBuild    *build;
	TgBulk		bulk;
	TgListMaker maker;
	char	   *list;
	char	   *vector;
	TgNeighbour *neighbours;
} Writer;

/* The vertex that a layer has at a place. */
static uint32
vertex_at(const TgBuild *build, int number, uint32 place)
{
	return number == 0 ? place : build->layers[number].vertices[place];
}

/* The same, as lists refer to it. */
static TgNeighbour
neighbour_at(const TgBuild *build, int number, uint32 place)
{
	const TgLayer *layer = &build->layers[number];
	Size		inner_dims = build->info->geometry.inner_dims;
	TgNeighbour neighbour = {0};

	neighbour.id = layer->ids[place];
	neighbour.rotated = layer->rotated + place * inner_dims;
	if (build->inner)
		neighbour.inner = build->inner +
			vertex_at(build, number, place) * inner_dims;
	return neighbour;
}

/*
 * Begin a vertex in the writer's buffers: header and neighbours.  self is it,
 * place its own in the layer; n for the root.
 */
static TgSlotHeader *
fill_vertex(Writer *writer, int number, uint32 place, const TgNeighbour *self)
{
	TgBuild    *build = writer->build;
	const TgConstructed *graph = &build->layers[number].graph;
	const TgLink *list = tg_constructed_list(graph, place);
	TgSlotHeader *header = (TgSlotHeader *) writer->list;
	int			count = graph->counts[place];

	header->kind = TG_SLOT_VERTEX;
	header->next = TG_INVALID_VERTEX;
	header->owner = TG_INVALID_VERTEX;
	header->layer = number;
	for (int i = 0; i < count; i++)
		writer->neighbours[i] = neighbour_at(build, number, list[i].id);
	tg_make_list(&writer->maker, header, self, writer->neighbours, count);
	return header;
}

static void
fill_root(Writer *writer, int number)
{
	TgBuild    *build = writer->build;
	const TgIndex *info = build->info;
	TgNeighbour self = {0};
	TgSlotHeader *header;

	self.inner = info->root_inner;
	self.rotated = info->root_rotated;
	header = fill_vertex(writer, number, build->layers[number].n, &self);
	header->flags = TG_VERTEX_ROOT;
	header->norm2 = build->shared->root.norm2;
	header->error = build->shared->root.error;
	if (number > 0)
		header->below = tg_index_root(info, number - 1);
	memcpy(writer->vector, build->root_bytes, info->layout.vector_size);
}

/* The first chain of a vertex at this place or a later one. */
static const TgChain *
find_chain(const TgBuild *build, uint32 place)
{
	int64		low = 0;
	int64		high = build->shared->nchains;

	while (low < high)
	{
		int64		middle = (low + high) / 2;

		if (build->chains[middle].place < place)
			low = middle + 1;
		else
			high = middle;
	}
	return &build->chains[low];
}

/*
 * Rows of a vertex: as many as fit in its slot, the rest in a chain.
 * place is its place in the order of layer 0.
 */
static void
fill_tids(Writer *writer, TgSlotHeader *header, uint32 vertex, uint32 place)
{
	TgBuild    *build = writer->build;
	const TgLayout *layout = &build->info->layout;
	int64		first = build->first_tid[vertex];
	int64		ntids = build->first_tid[vertex + 1] - first;

	header->ntids = Min(ntids, layout->vertex_tids);
	memcpy(tg_slot_row(layout, header, 0),
		   tg_build_stored(build, build->stored, first),
		   (Size) layout->row_size * header->ntids);
	if (ntids > header->ntids)
		header->next = tg_bulk_id(layout, find_chain(build, place)->first_slot);
}

/*
 * A slot of a layer: its root's, or a vertex's.
 */
static void
fill_layer_slot(Writer *writer, int number, uint64 slot)
{
	TgBuild    *build = writer->build;
	const TgIndex *info = build->info;
	const TgLayer *layer = &build->layers[number];
	uint32		place;
	uint32		vertex;
	TgNeighbour self;
	TgSlotHeader *header;
	TgSpan		span;
	TgStored	stored;

	if (slot == layer->first_slot)
	{
		fill_root(writer, number);
		return;
	}
	place = layer->order[slot - layer->first_slot - 1];
	vertex = vertex_at(build, number, place);
	self = neighbour_at(build, number, place);
	header = fill_vertex(writer, number, place, &self);
	span.values = tg_row(&build->all, build->rows[vertex]);
	span.dims = build->all.dims;
	stored = tg_store(&info->geometry, info->layout.storage, span,
					  writer->vector);
	header->norm2 = stored.norm2;
	header->error = stored.error;
	if (number > 0)
		header->below = build->layers[number - 1].ids[layer->below[place]];
	else
		fill_tids(writer, header, vertex, slot - layer->first_slot - 1);
}

/*
 * A slot of a chain: the rows that belong there.
 */
static void
fill_chain_slot(Writer *writer, uint64 slot)
{
	TgBuild    *build = writer->build;
	const TgLayout *layout = &build->info->layout;
	TgSlotHeader *header = (TgSlotHeader *) writer->list;
	int64		low = 0;
	int64		high = build->shared->nchains - 1;
	const TgChain *chain;
	uint32		vertex;
	int64		first;
	int64		rest;

	while (low < high)
	{
		int64		middle = (low + high + 1) / 2;

		if (build->chains[middle].first_slot <= slot)
			low = middle;
		else
			high = middle - 1;
	}
	chain = &build->chains[low];
	vertex = build->layers[0].order[chain->place];
	first = build->first_tid[vertex] + layout->vertex_tids +
		(int64) (slot - chain->first_slot) * layout->slot_tids;
	rest = build->first_tid[vertex + 1] - first;

	header->kind = TG_SLOT_TIDS;
	header->owner = build->layers[0].ids[vertex];
	header->next = rest > layout->slot_tids ?
		tg_bulk_id(layout, slot + 1) : TG_INVALID_VERTEX;
	header->ntids = Min(rest, layout->slot_tids);
	memcpy(tg_slot_row(layout, header, 0),
		   tg_build_stored(build, build->stored, first),
		   (Size) layout->row_size * header->ntids);
}

static void
write_slot(Writer *writer, uint64 slot)
{
	TgBuild    *build = writer->build;
	const TgLayout *layout = &build->info->layout;
	int			number = build->nlayers - 1;
	const TgLayer *top = &build->layers[number];

	memset(writer->list, 0, layout->list.size);
	if (slot > top->first_slot + top->n)
	{
		fill_chain_slot(writer, slot);
		tg_bulk_put(&writer->bulk, slot, writer->list, NULL);
		return;
	}
	while (build->layers[number].first_slot > slot)
		number--;
	fill_layer_slot(writer, number, slot);
	if (layout->vector_inline)
		memcpy(writer->list + layout->vector_offset, writer->vector,
			   layout->vector_size);
	tg_bulk_put(&writer->bulk, slot, writer->list, writer->vector);
}

/*
 * Say where the chains are.
 */
static void
place_chains(TgBuild *build)
{
	const TgLayout *layout = &build->info->layout;
	const TgLayer *bottom = &build->layers[0];
	const TgLayer *top = &build->layers[build->nlayers - 1];
	TgChain    *chain = build->chains;
	uint64		slot = top->first_slot + 1 + top->n;

	for (uint32 place = 0; place < bottom->n; place++)
	{
		uint32		vertex = bottom->order[place];
		int64		rest = build->first_tid[vertex + 1] -
			build->first_tid[vertex] - layout->vertex_tids;

		if (rest <= 0)
			continue;
		chain->place = place;
		chain->first_slot = slot;
		chain++;
		slot += (rest + layout->slot_tids - 1) / layout->slot_tids;
	}
	Assert(slot == build->shared->nslots);
}

static void
writer_init(Writer *writer, TgBuild *build)
{
	const TgLayout *layout = &build->info->layout;

	writer->build = build;
	writer->list = palloc0(layout->list.size);
	writer->vector = palloc0(layout->vector_size);
	writer->neighbours = palloc(sizeof(TgNeighbour) * layout->degree);
	tg_list_maker_init(&writer->maker, build->info);
	if (build->inner)
		writer->maker.ranges = build->ranges;
	tg_bulk_begin(&writer->bulk, build->index, layout, build->shared->nslots);
}

void
tg_build_write(TgBuild *build)
{
	const TgLayout *layout = &build->info->layout;
	uint64		nslots = build->shared->nslots;
	uint64		batch = Max(WRITE_BATCH / layout->stripe_pages, 1) *
		layout->stripe_slots;
	uint64		first;
	Writer		writer;

	if (tg_build_leader(build))
	{
		tg_build_phase(build, TG_PHASE_WRITE, nslots);
		place_chains(build);
		tg_build_deal(build);
	}
	tg_build_meet(build);
	writer_init(&writer, build);
	while ((first = tg_build_next(build, batch, nslots)) < nslots)
	{
		uint64		end = Min(first + batch, nslots);

		for (uint64 slot = first; slot < end; slot++)
		{
			write_slot(&writer, slot);
			CHECK_FOR_INTERRUPTS();
		}
		tg_build_progress(build, end);
	}
	tg_bulk_end(&writer.bulk);
	tg_build_meet(build);
}

void
tg_build_log(TgBuild *build)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(build->index);
	uint64		first;

	if (!RelationNeedsWAL(build->index))
		return;
	if (tg_build_leader(build))
	{
		tg_build_phase(build, TG_PHASE_LOG, 0);
		pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_TOTAL, nblocks);
	}
	while ((first = tg_build_next(build, LOG_BATCH, nblocks)) < nblocks)
	{
		log_newpage_range(build->index, MAIN_FORKNUM, first,
						  Min(first + LOG_BATCH, nblocks), true);
		if (tg_build_leader(build))
			pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_DONE, first);
	}
}
