/*-------------------------------------------------------------------------
 *
 * repair.c
 *	  Keeping the graph whole when vertices leave it.
 *
 * A link to a vertex that leaves is replaced by a link to that of its own
 * neighbours that is nearest to it and not in the list yet, coded anew for the
 * list's holder.  That keeps lists full and local, but may cut off what only the
 * vertex led to: so all that can be reached from the root is marked once, and
 * each living vertex that cannot be is linked in as an insert would do it, on
 * its own layer.  Only
 * a vertex whose inserter may still be at work is left to that: what leaves was
 * stamped after it, so that it did not lead to the vertex alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/repair.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/link.h"

static bool
is_dead(const TgDeadSet *dead, TgVertexId id)
{
	int64		low = 0;
	int64		high = dead->n;

	while (low < high)
	{
		int64		middle = (low + high) / 2;

		if (dead->ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < dead->n && dead->ids[low] == id;
}

/*
 * What replacing links works with.
 */
typedef struct Repair
{
	Relation	index;
	const TgIndex *tg;
	const TgDeadSet *dead;
	TgReader	reader;
	TgListMaker maker;
	TgVertexId	holder;
	TgVertexId	present[TG_MAX_DEGREE];	/* links of the holder, old and new */
	int			npresent;
	float	   *values;			/* scratch, [dims] */
	float	   *holder_inner;
	float	   *holder_rotated;
	float	   *inner;			/* scratch */
	float	   *other_inner;	/* scratch */
	float	   *rotated;		/* scratch */
	TgScoreTable table;			/* of the dead vertex */
} Repair;

static void
repair_init(Repair *repair, Relation index, const TgIndex *tg,
			const TgDeadSet *dead)
{
	int			dims = tg->geometry.inner_dims;

	repair->index = index;
	repair->tg = tg;
	repair->dead = dead;
	tg_reader_init(&repair->reader, index, &tg->layout);
	tg_list_maker_init(&repair->maker, tg);
	repair->values = palloc(sizeof(float) * tg->geometry.dims);
	repair->holder_inner = palloc(sizeof(float) * dims);
	repair->holder_rotated = palloc(sizeof(float) * dims);
	repair->inner = palloc(sizeof(float) * dims);
	repair->other_inner = palloc(sizeof(float) * dims);
	repair->rotated = palloc(sizeof(float) * dims);
	repair->table.entries = palloc(TG_TABLE_SIZE(dims));
}

/* Inner vector of the open vertex. */
static void
read_inner(Repair *repair, TgVertexId id, float *inner)
{
	const TgIndex *tg = repair->tg;

	tg_unstore(&tg->geometry, tg->layout.storage,
			   tg_reader_vector(&repair->reader, id), repair->values);
	tg_embed(&tg->geometry, repair->values, repair->reader.header->norm2,
			 inner);
}

static bool
is_present(const Repair *repair, TgVertexId id)
{
	for (int i = 0; i < repair->npresent; i++)
		if (repair->present[i] == id)
			return true;
	return id == repair->holder;
}

/*
 * How far the open vertex's neighbours look from it, by their codes.
 * repair->inner is the vertex.
 */
static void
score_neighbours(Repair *repair, const TgVertexView *view, float *estimates)
{
	const TgIndex *tg = repair->tg;

	tg_rotate(&tg->rotation, repair->inner, repair->rotated);
	for (int i = 0; i < tg->geometry.inner_dims; i++)
		repair->rotated[i] -= tg->root_rotated[i];
	tg_table_build(&repair->table, tg->geometry.inner_dims, tg->layout.bits,
				   repair->rotated);
	for (int b = 0; b * TG_BLOCK_LANES < view->degree; b++)
	{
		TgBlockView block = tg_view_block(&tg->layout.block, view, b);

		tg_kernels->score(&repair->table, block.codes, block.a, block.f, 0.0f,
						  INFINITY, estimates + b * TG_BLOCK_LANES);
	}
}

/*
 * How far a vertex is from repair->inner.
 */
static float
distance_to(Repair *repair, TgVertexId id)
{
	TgGraph    *graph = &repair->reader.graph;
	TgVertexView view;

	if (!graph->open(graph, id, &view))
		return INFINITY;
	read_inner(repair, id, repair->other_inner);
	graph->close(graph);
	return tg_kernels->l2sq(repair->inner, repair->other_inner,
							repair->tg->geometry.inner_dims);
}

/*
 * Of a dead vertex's neighbours, the one that looks nearest to it and could
 * take its place.  (The nearest to the holder would make lists draw in with
 * every generation, and lose the links that lead far.)
 */
static TgVertexId
nearest_substitute(Repair *repair, TgVertexId dead)
{
	TgGraph    *graph = &repair->reader.graph;
	bool		coded = repair->tg->layout.bits > 0;
	TgVertexId	best = TG_INVALID_VERTEX;
	float		best_distance = INFINITY;
	TgVertexId	ids[TG_MAX_DEGREE];
	float		distances[TG_MAX_DEGREE];
	TgVertexView view;

	if (!graph->open(graph, dead, &view))
		return TG_INVALID_VERTEX;
	read_inner(repair, dead, repair->inner);
	for (int lane = 0; lane < view.degree; lane++)
		ids[lane] = tg_list_get(&repair->tg->layout, repair->reader.header,
								lane);
	if (coded)
		score_neighbours(repair, &view, distances);
	graph->close(graph);

	for (int lane = 0; lane < view.degree; lane++)
	{
		if (is_dead(repair->dead, ids[lane]) || is_present(repair, ids[lane]))
			continue;
		if (!coded)
			distances[lane] = distance_to(repair, ids[lane]);
		if (distances[lane] < best_distance)
		{
			best_distance = distances[lane];
			best = ids[lane];
		}
	}
	return best;
}

/*
 * Read the substitute's vector into repair->rotated; false if it is no vertex
 * to link to.
 */
static bool
read_substitute(Repair *repair, TgVertexId id)
{
	TgGraph    *graph = &repair->reader.graph;
	TgVertexView view;
	bool		alive;

	if (!graph->open(graph, id, &view))
		return false;
	alive = !(repair->reader.header->flags &
			  (TG_VERTEX_DEAD | TG_VERTEX_ROOT));
	if (alive)
	{
		read_inner(repair, id, repair->inner);
		tg_rotate(&repair->tg->rotation, repair->inner,
				  repair->rotated);
	}
	graph->close(graph);
	return alive;
}

/*
 * Put the substitute, or nothing if coded is NULL, where the holder links to
 * the dead vertex.
 */
static void
replace_link(Repair *repair, TgVertexId dead, const TgCoded *coded)
{
	const TgLayout *layout = &repair->tg->layout;
	TgEdit		edit;
	TgSlotHeader *header;

	tg_edit_begin(&edit, repair->index, layout, repair->holder);
	header = tg_edit_header(&edit);
	for (int lane = 0; lane < header->degree; lane++)
	{
		if (header->kind != TG_SLOT_VERTEX ||
			tg_list_get(layout, header, lane) != dead)
			continue;
		if (coded && !tg_list_has(layout, header, coded->id))
			tg_list_set(layout, header, lane, coded, true);
		else
			tg_list_remove(layout, header, lane);
		tg_edit_finish(&edit);
		return;
	}
	tg_edit_abort(&edit);
}

/*
 * Replace all of a vertex's links to dead vertices.  repair->present holds its
 * links, its vector is in repair->holder_inner.
 */
static void
repair_links(Repair *repair)
{
	const TgIndex *tg = repair->tg;
	int			nlinks = repair->npresent;

	tg_rotate(&tg->rotation, repair->holder_inner, repair->holder_rotated);
	for (int i = 0; i < nlinks; i++)
	{
		TgVertexId	dead = repair->present[i];
		TgNeighbour substitute;
		const TgCoded *coded = NULL;

		if (!is_dead(repair->dead, dead))
			continue;
		substitute.id = nearest_substitute(repair, dead);
		substitute.rotated = repair->rotated;
		if (substitute.id != TG_INVALID_VERTEX &&
			read_substitute(repair, substitute.id))
		{
			coded = tg_code_neighbour(&repair->maker, repair->holder_rotated,
									  &substitute);
			repair->present[i] = substitute.id;
		}
		replace_link(repair, dead, coded);
	}
}

/*
 * Repair one vertex's list, if it links to the dead.
 */
static void
repair_list(Repair *repair, TgVertexId id)
{
	TgGraph    *graph = &repair->reader.graph;
	TgVertexView view;
	bool		found = false;

	if (!graph->open(graph, id, &view))
		return;
	repair->holder = id;
	repair->npresent = view.degree;
	for (int lane = 0; lane < view.degree; lane++)
	{
		repair->present[lane] = tg_list_get(&repair->tg->layout,
											repair->reader.header, lane);
		found |= is_dead(repair->dead, repair->present[lane]);
	}
	if (found)
		read_inner(repair, id, repair->holder_inner);
	graph->close(graph);
	if (found)
		repair_links(repair);
}

void
tg_repair_lists(Relation index, const TgIndex *tg, const TgDeadSet *dead)
{
	Repair		repair = {0};
	TgSlotScan	scan;
	TgVertexId	id;

	repair_init(&repair, index, tg, dead);
	tg_slot_scan_begin(&scan, index, &tg->layout);
	while (tg_slot_scan_next(&scan, &id))
	{
		tg_vacuum_delay_point();
		if (scan.page.kind == TG_PAGE_LIST && !is_dead(dead, id))
			repair_list(&repair, id);
	}
	tg_reader_free(&repair.reader);
}

typedef struct Reach
{
	Relation	index;
	const TgIndex *tg;
	TgReader	reader;
	bool	   *reached;		/* by id */
	uint64		nslots;
	TgVertexId *queue;
	int64		queued;
} Reach;

static void
reach_slot(Reach *reach, TgVertexId id)
{
	if (id >= reach->nslots || reach->reached[id])
		return;
	reach->reached[id] = true;
	reach->queue[reach->queued++] = id;
}

/*
 * Mark all that can be reached from a slot.
 */
static void
reach_from(Reach *reach, TgVertexId id)
{
	TgGraph    *graph = &reach->reader.graph;

	reach->queued = 0;
	reach_slot(reach, id);
	for (int64 head = 0; head < reach->queued; head++)
	{
		TgVertexView view;

		tg_vacuum_delay_point();
		if (!graph->open(graph, reach->queue[head], &view))
			continue;
		for (int lane = 0; lane < view.degree; lane++)
			reach_slot(reach, tg_list_get(&reach->tg->layout,
										  reach->reader.header, lane));
		graph->close(graph);
	}
}

/*
 * Link a vertex in that cannot be reached, as if it were inserted.
 */
static void
link_in(Reach *reach, TgVertexId id, int layer)
{
	const TgIndex *tg = reach->tg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "togg link in",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TgGraph    *graph = &reach->reader.graph;
	float	   *values = palloc(sizeof(float) * tg->geometry.dims);
	float	   *inner = palloc(sizeof(float) * tg->geometry.inner_dims);
	TgVertexId	own[TG_MAX_DEGREE];
	TgVertexView view;
	TgLinker   *linker;
	TgMet	   *met;
	bool		linked;
	int			n;

	if (graph->open(graph, id, &view))
	{
		for (int lane = 0; lane < view.degree; lane++)
			own[lane] = tg_list_get(&tg->layout, reach->reader.header, lane);
		tg_unstore(&tg->geometry, tg->layout.storage,
				   tg_reader_vector(&reach->reader, id), values);
		tg_embed(&tg->geometry, values, reach->reader.header->norm2, inner);
		graph->close(graph);

		linker = tg_linker_create(reach->index, tg, layer);
		met = tg_linker_search(linker, inner, tg->meta.ef_construction, &n);

		/* It may have come within reach since, by its neighbours' doing. */
		for (int i = 0; i < n; i++)
			if (met[i].id == id)
				memmove(&met[i], &met[i + 1], sizeof(TgMet) * (--n - i));
		n = Min(n, tg->layout.degree);

		/*
		 * The marks are of a graph in motion: should others be led through the
		 * vertex after all, then its own links must stay, if that can be had.
		 */
		linked = tg_linker_link(linker, id, own, view.degree, false, met, n) ||
			tg_linker_link(linker, id, own, view.degree, true, met, n);
		tg_linker_link_root(linker, !linked);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
tg_repair_reach(Relation index, const TgIndex *tg)
{
	Reach		reach = {0};
	TgSlotScan	scan;
	TgVertexId	id;

	reach.index = index;
	reach.tg = tg;
	reach.nslots = (uint64) RelationGetNumberOfBlocks(index) *
		tg->layout.stripe_slots;

	/* Too large a graph keeps what is lost for the sweep of scans to find. */
	if (reach.nslots * (1 + sizeof(TgVertexId)) >
		(uint64) maintenance_work_mem * 1024)
		return;
	reach.reached = MemoryContextAllocExtended(CurrentMemoryContext,
											 reach.nslots,
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	reach.queue = MemoryContextAllocHuge(CurrentMemoryContext,
										 sizeof(TgVertexId) * reach.nslots);
	tg_reader_init(&reach.reader, index, &tg->layout);
	for (int layer = 0; layer < tg_index_layers(tg); layer++)
		reach_from(&reach, tg_index_root(tg, layer));

	tg_slot_scan_begin(&scan, index, &tg->layout);
	while (tg_slot_scan_next(&scan, &id))
	{
		bool		living;
		int			layer;

		if (scan.page.kind != TG_PAGE_LIST || id >= reach.nslots ||
			reach.reached[id])
			continue;
		tg_vacuum_delay_point();
		tg_reader_open_slot(&reach.reader, id);
		living = reach.reader.header->kind == TG_SLOT_VERTEX &&
			!(reach.reader.header->flags & (TG_VERTEX_DEAD | TG_VERTEX_ROOT)) &&
			tg_stamp_is_past(reach.reader.header->xid);
		layer = reach.reader.header->layer;
		reach.reader.graph.close(&reach.reader.graph);
		if (living)
		{
			link_in(&reach, id, layer);
			reach_from(&reach, id);
		}
	}
	tg_reader_free(&reach.reader);
	pfree(reach.reached);
	pfree(reach.queue);
}
