/*-------------------------------------------------------------------------
 *
 * repair.c
 *	  Keeping the graph whole when vertices leave it.
 *
 * A link to a vertex that leaves is replaced by a link to that of its own
 * neighbours that is nearest to it and not in the list yet, coded anew for the
 * list's holder.  That keeps lists full and local, but may cut off what only the
 * vertex led to: so the same pass marks all that can be reached from the root,
 * and each living vertex that cannot be is linked in as an insert would do it,
 * on its own layer.  Only a vertex whose inserter may still be at work is left
 * to that: what leaves was stamped after it, so that it did not lead to the
 * vertex alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/repair.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/link.h"
#include "graph/reach.h"

/* Bits of the filter for each of the dead, at least. */
#define FILTER_BITS		8

static inline uint64
filter_place(const TgDeadSet *dead, TgVertexId id)
{
	return (id * UINT64CONST(0x9E3779B97F4A7C15)) >> dead->filter_shift;
}

static int
compare_ids(const void *a, const void *b)
{
	TgVertexId	x = *(const TgVertexId *) a;
	TgVertexId	y = *(const TgVertexId *) b;

	return (x > y) - (x < y);
}

/*
 * Get ready to be asked for one link of the index after the other: nearly all
 * of them get a "no" from one bit.
 */
static void
dead_set_index(TgDeadSet *dead)
{
	int			width = 6;

	while ((UINT64CONST(1) << width) < (uint64) dead->n * FILTER_BITS)
		width++;
	qsort(dead->ids, dead->n, sizeof(TgVertexId), compare_ids);
	dead->filter_shift = 64 - width;
	dead->filter = MemoryContextAllocExtended(CurrentMemoryContext,
											  (Size) 1 << (width - 3),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int64 i = 0; i < dead->n; i++)
	{
		uint64		place = filter_place(dead, dead->ids[i]);

		dead->filter[place / 64] |= UINT64CONST(1) << (place % 64);
	}
}

static bool
is_dead(const TgDeadSet *dead, TgVertexId id)
{
	uint64		place = filter_place(dead, id);

	return (dead->filter[place / 64] >> (place % 64) & 1) != 0 &&
		bsearch(&id, dead->ids, dead->n, sizeof(TgVertexId), compare_ids) != NULL;
}

/*
 * Mark what a vertex links to, if it was reached itself.
 */
static void
reach_on(TgReach *reach, TgVertexId id, const TgLayout *layout,
		 const TgSlotHeader *header)
{
	if (!tg_reach_has(reach, id))
		return;
	tg_reach_follow(reach, id);
	for (int lane = 0; lane < header->degree; lane++)
		tg_reach_mark(reach, tg_list_get(layout, header, lane));
}

/*
 * Begin at the roots.  Too large a graph keeps what is lost for the sweep of
 * scans to find.
 */
static void
reach_begin(TgReach *reach, Relation index, const TgIndex *tg, int64 memory)
{
	uint64		nslots = (uint64) RelationGetNumberOfBlocks(index) *
		tg->layout.stripe_slots;

	if (TG_REACH_BYTES(nslots) > (uint64) memory)
		return;
	tg_reach_init(reach, nslots);
	for (int layer = 0; layer < tg_index_layers(tg); layer++)
		tg_reach_mark(reach, tg_index_root(tg, layer));
}

/*
 * What takes the place of a link.
 */
typedef struct Substitute
{
	TgVertexId	dead;
	bool		found;
	TgCoded		coded;
} Substitute;

/*
 * What replacing links works with.
 */
typedef struct Repair
{
	Relation	index;
	const TgIndex *tg;
	const TgDeadSet *dead;
	TgReach    *reach;
	TgReader	reader;
	TgListMaker maker;
	TgVertexId	holder;
	TgVertexId	present[TG_MAX_DEGREE];	/* links of the holder, old and new */
	int			npresent;
	bool		doubles;		/* is a link of the holder there twice? */
	Substitute	substitutes[TG_MAX_DEGREE];
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
			const TgDeadSet *dead, TgReach *reach)
{
	int			dims = tg->geometry.inner_dims;

	repair->index = index;
	repair->tg = tg;
	repair->dead = dead;
	repair->reach = reach;
	for (int i = 0; i < tg->layout.degree; i++)
		repair->substitutes[i].coded.levels = palloc(dims);
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
	tg_reader_inner(&repair->reader, repair->tg, id, repair->values, inner);
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
 * Find a substitute for each of the holder's links to the dead, coded for its
 * list.  repair->present holds its links, its vector is in
 * repair->holder_inner.  Returns how many.
 */
static int
find_substitutes(Repair *repair)
{
	const TgIndex *tg = repair->tg;
	int			dims = tg->geometry.inner_dims;
	int			nlinks = repair->npresent;
	int			n = 0;

	tg_rotate(&tg->rotation, repair->holder_inner, repair->holder_rotated);
	for (int i = 0; i < nlinks; i++)
	{
		Substitute *substitute = &repair->substitutes[n];
		TgNeighbour neighbour;

		if (!is_dead(repair->dead, repair->present[i]))
			continue;
		n++;
		substitute->dead = repair->present[i];
		neighbour.id = nearest_substitute(repair, substitute->dead);
		neighbour.rotated = repair->rotated;
		substitute->found = neighbour.id != TG_INVALID_VERTEX &&
			read_substitute(repair, neighbour.id);
		if (substitute->found)
		{
			const TgCoded *coded = tg_code_neighbour(&repair->maker,
													 repair->holder_rotated,
													 &neighbour);

			substitute->coded.id = coded->id;
			substitute->coded.a = coded->a;
			substitute->coded.f = coded->f;
			memcpy(substitute->coded.levels, coded->levels, dims);
			repair->present[i] = neighbour.id;
		}
	}
	return n;
}

static void
replace_link(const TgLayout *layout, TgSlotHeader *header,
			 const Substitute *substitute)
{
	for (int lane = 0; lane < header->degree; lane++)
		if (tg_list_get(layout, header, lane) == substitute->dead)
		{
			if (substitute->found &&
				!tg_list_has(layout, header, substitute->coded.id))
				tg_list_set(layout, header, lane, &substitute->coded, true);
			else
				tg_list_remove(layout, header, lane);
			return;
		}
}

/*
 * Links that are in the list twice.  A list that spans more pages than a WAL
 * record covers has some when there was a crash while it was shortened: the
 * last link had been moved to another lane, and was in its own still.
 */
static bool
has_doubles(const TgLayout *layout, const TgVertexId *links, int n)
{
	if (layout->list.pages_each == 0)
		return false;
	for (int i = 1; i < n; i++)
		for (int j = 0; j < i; j++)
			if (links[i] == links[j])
				return true;
	return false;
}

static void
remove_doubles(const TgLayout *layout, TgSlotHeader *header)
{
	for (int lane = header->degree - 1; lane > 0; lane--)
		for (int other = 0; other < lane; other++)
			if (tg_list_get(layout, header, other) ==
				tg_list_get(layout, header, lane))
			{
				tg_list_remove(layout, header, lane);
				break;
			}
}

/*
 * Replace all of the holder's links to the dead, in one WAL record.  After
 * that, its list is what leads on.
 */
static void
repair_links(Repair *repair)
{
	const TgLayout *layout = &repair->tg->layout;
	int			n = find_substitutes(repair);
	TgEdit		edit;
	TgSlotHeader *header;

	tg_edit_begin(&edit, repair->index, layout, repair->holder);
	header = tg_edit_header(&edit);
	if (header->kind != TG_SLOT_VERTEX)
	{
		tg_edit_abort(&edit);
		return;
	}
	for (int i = 0; i < n; i++)
		replace_link(layout, header, &repair->substitutes[i]);
	if (repair->doubles)
		remove_doubles(layout, header);
	reach_on(repair->reach, repair->holder, layout, header);
	tg_edit_finish(&edit);
}

/*
 * Repair one vertex's list, if it links to the dead, or to a vertex twice.
 */
static void
repair_list(Repair *repair, TgVertexId id)
{
	const TgLayout *layout = &repair->tg->layout;
	TgGraph    *graph = &repair->reader.graph;
	TgVertexView view;
	bool		found = false;

	if (!graph->open(graph, id, &view))
		return;
	repair->holder = id;
	repair->npresent = view.degree;
	for (int lane = 0; lane < view.degree; lane++)
	{
		repair->present[lane] = tg_list_get(layout, repair->reader.header, lane);
		found |= is_dead(repair->dead, repair->present[lane]);
	}
	repair->doubles = has_doubles(layout, repair->present, view.degree);
	found |= repair->doubles;
	if (found)
		read_inner(repair, id, repair->holder_inner);
	else
		reach_on(repair->reach, id, layout, repair->reader.header);
	graph->close(graph);
	if (found)
		repair_links(repair);
}

/*
 * Go on from whatever was reached and not gone on from, until there is none.
 */
static void
reach_all(Repair *repair)
{
	TgGraph    *graph = &repair->reader.graph;
	TgVertexView view;
	TgVertexId	id;

	while (tg_reach_next(repair->reach, &id))
	{
		tg_vacuum_delay_point();
		if (graph->open(graph, id, &view))
		{
			reach_on(repair->reach, id, &repair->tg->layout,
					 repair->reader.header);
			graph->close(graph);
		}
		else
			tg_reach_follow(repair->reach, id);
	}
}

/*
 * Link a vertex in that cannot be reached, as if it were inserted.
 */
static void
link_in(Repair *repair, TgVertexId id, int layer)
{
	const TgIndex *tg = repair->tg;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "togg link in",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TgGraph    *graph = &repair->reader.graph;
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
			own[lane] = tg_list_get(&tg->layout, repair->reader.header, lane);
		read_inner(repair, id, inner);
		graph->close(graph);

		linker = tg_linker_create(repair->index, tg, layer);
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

/*
 * Link in again every living vertex that cannot be reached.
 */
static void
repair_reach(Repair *repair, BufferAccessStrategy strategy)
{
	TgReach    *reach = repair->reach;
	TgReader   *reader = &repair->reader;
	TgSlotScan	scan;
	TgVertexId	id;

	reach_all(repair);
	tg_slot_scan_begin(&scan, repair->index, &repair->tg->layout);
	scan.strategy = strategy;
	while (tg_slot_scan_next(&scan, &id))
	{
		bool		living;
		int			layer;

		if (scan.page.kind != TG_PAGE_LIST || id / 64 >= reach->nwords ||
			tg_reach_has(reach, id))
			continue;
		tg_vacuum_delay_point();
		tg_reader_open_slot(reader, id);
		living = reader->header->kind == TG_SLOT_VERTEX &&
			!(reader->header->flags & (TG_VERTEX_DEAD | TG_VERTEX_ROOT)) &&
			tg_stamp_is_past(reader->header->xid);
		layer = reader->header->layer;
		reader->graph.close(&reader->graph);
		if (living)
		{
			link_in(repair, id, layer);
			tg_reach_mark(reach, id);
			reach_all(repair);
		}
	}
}

void
tg_repair(Relation index, const TgIndex *tg, TgDeadSet *dead, int64 memory,
		  BufferAccessStrategy strategy)
{
	Repair		repair = {0};
	TgReach		reach = {0};
	TgSlotScan	scan;
	TgVertexId	id;

	dead_set_index(dead);
	reach_begin(&reach, index, tg, memory);
	repair_init(&repair, index, tg, dead, &reach);
	tg_slot_scan_begin(&scan, index, &tg->layout);
	scan.strategy = strategy;
	while (tg_slot_scan_next(&scan, &id))
	{
		tg_vacuum_delay_point();
		if (scan.page.kind == TG_PAGE_LIST && !is_dead(dead, id))
			repair_list(&repair, id);
	}
	if (reach.nwords > 0)
		repair_reach(&repair, strategy);
	tg_reader_free(&repair.reader);
}
