/*-------------------------------------------------------------------------
 *
 * link.c
 *	  Linking a vertex into the graph on pages.
 *
 * A new vertex o has links of its own; what it needs are links from others.
 * Where a list is full, a link p -> o takes the place of some p -> c.  To keep
 * c reachable, c must be a neighbour of o, or become one: then p -> o -> c
 * leads to it.
 * Whatever could be reached from the root before can be reached afterwards,
 * by induction over the links replaced, also when many insert at once: a link
 * o -> c that we count on is itself only ever replaced by such a detour.
 *
 * Which c is given up is judged from p's page alone, by the codes of its
 * neighbours, which share one centre: one scan of the list with the score
 * table of o tells how far o is from each, another with the table of p how far
 * p is.  Without codes the neighbours are read before p's page is locked.
 *
 * Each list is changed under the lock of its own page, and no other lock is
 * held meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/link.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"

/* Lists are judged whole: by the mean of what tg_prune() uses over the slots. */
#define MEAN_RELAX	((TG_PRUNE_RELAX_FIRST + 1.0f) / 2.0f)

/*
 * The graph as a linker's search sees it: the reader's, with distances in the
 * inner space, and every vertex's vector kept.
 */
typedef struct MeetingGraph
{
	TgReader	reader;			/* first */
	const TgIndex *info;
	int			layer;
	const float *query;			/* inner */
	float	   *values;			/* scratch, [dims] */
	TgMet	   *met;
	int			nmet;
	int			capacity;
} MeetingGraph;

/* How often a link from the root is tried that must be made. */
#define ROOT_TRIES	10

struct TgLinker
{
	Relation	index;
	const TgIndex *info;
	const TgLayout *layout;
	TgVertexId	root;			/* of the layer */
	TgPruneRule rule;
	MeetingGraph graph;
	TgListMaker maker;
	TgNeighbour self;
	float	   *rotated;		/* of self */
	TgScoreTable table;			/* of self */
	float	   *other_rotated;
	TgScoreTable other_table;
	float	   *scratch;		/* [inner_dims] */

	/* Neighbours of self, and which of them others are led to through self. */
	TgVertexId	own[TG_MAX_DEGREE];
	bool		needed[TG_MAX_DEGREE];
	int			nown;
};

static float
meet(TgGraph *base, const TgVertexView *view, TgResult *result, bool *live)
{
	MeetingGraph *graph = (MeetingGraph *) base;
	const TgIndex *info = graph->info;
	const TgSlotHeader *header = graph->reader.header;
	int			inner_dims = info->geometry.inner_dims;
	float	   *inner = palloc(sizeof(float) * inner_dims);
	TgMet	   *met;

	if (graph->nmet == graph->capacity)
	{
		graph->capacity *= 2;
		graph->met = repalloc_huge(graph->met,
								   sizeof(TgMet) * graph->capacity);
	}
	met = &graph->met[graph->nmet];
	met->id = view->id;
	met->root = (header->flags & TG_VERTEX_ROOT) != 0;
	met->inner = inner;
	met->rotated = NULL;
	tg_reader_inner(&graph->reader, info, view->id, graph->values, inner);
	met->distance = tg_kernels->l2sq(graph->query, met->inner, inner_dims);

	result->distance = met->distance;
	result->error = 0;
	result->payload = graph->nmet++;
	*live = header->layer == graph->layer &&
		!(header->flags & (TG_VERTEX_DEAD | TG_VERTEX_ROOT));
	return met->distance - tg_excess(&info->geometry, met->inner);
}

TgLinker *
tg_linker_create(Relation index, const TgIndex *info, int layer)
{
	TgLinker   *linker = palloc0(sizeof(TgLinker));
	int			dims = info->geometry.inner_dims;

	linker->index = index;
	linker->info = info;
	linker->layout = &info->layout;
	linker->root = tg_index_root(info, layer);
	linker->rule = tg_index_prune_rule(info);
	tg_reader_init(&linker->graph.reader, index, &info->layout);
	linker->graph.reader.graph.distance = meet;
	linker->graph.info = info;
	linker->graph.layer = layer;
	linker->graph.values = palloc(sizeof(float) * info->geometry.dims);
	linker->graph.capacity = 256;
	linker->graph.met = palloc(sizeof(TgMet) * linker->graph.capacity);
	tg_list_maker_init(&linker->maker, info);
	linker->rotated = palloc(sizeof(float) * dims);
	linker->other_rotated = palloc(sizeof(float) * dims);
	linker->scratch = palloc(sizeof(float) * dims);
	linker->table.entries = palloc(TG_TABLE_SIZE(dims));
	linker->other_table.entries = palloc(TG_TABLE_SIZE(dims));
	return linker;
}

TgReader *
tg_linker_reader(TgLinker *linker)
{
	return &linker->graph.reader;
}

TgListMaker *
tg_linker_maker(TgLinker *linker)
{
	return &linker->maker;
}

const float *
tg_linker_rotated(const TgLinker *linker)
{
	return linker->rotated;
}

/*
 * Build the score table of a rotated vector, which scores codes.
 */
static void
build_table(TgLinker *linker, const float *rotated, TgScoreTable *table)
{
	const TgIndex *info = linker->info;
	int			dims = info->geometry.inner_dims;

	if (linker->layout->bits == 0)
		return;
	for (int i = 0; i < dims; i++)
		linker->scratch[i] = rotated[i] - info->root_rotated[i];
	tg_table_build(table, dims, info->layout.bits, linker->scratch);
}

/* P of a vertex met.  What is computed lives until the next call. */
static const float *
rotate_met(TgLinker *linker, const TgMet *met)
{
	if (met->rotated)
		return met->rotated;
	tg_rotate(&linker->info->rotation, met->inner, linker->other_rotated);
	return linker->other_rotated;
}

TgMet *
tg_linker_search(TgLinker *linker, const float *inner, int ef, int *n)
{
	MeetingGraph *graph = &linker->graph;
	TgSearch   *search = tg_search_create();
	TgSearchParams params = {TG_ROUTING_TWO_STAGE,
	TG_DEFAULT_STAGE1_WIDTH, ef, 1, 0, 0};
	TgMet	   *found;
	TgResult	result;

	tg_rotate(&linker->info->rotation, inner, linker->rotated);
	build_table(linker, linker->rotated, &linker->table);
	linker->self.rotated = linker->rotated;
	graph->query = inner;
	graph->reader.graph.query = inner;
	graph->nmet = 0;
	tg_search_begin(search, &graph->reader.graph, &linker->table, params);
	tg_search_add_entry(search, linker->root);
	tg_search_run(search);

	*n = 0;
	found = palloc(sizeof(TgMet) * (search->nresults + 1));
	while (tg_search_next(search, &result))
		found[(*n)++] = graph->met[result.payload];
	tg_search_destroy(search);
	return found;
}

/*
 * How far a list's neighbours are from self and from the list's holder, squared
 * distances.
 */
typedef struct Judgement
{
	int			n;
	TgVertexId	ids[TG_MAX_DEGREE];
	float		to_self[TG_MAX_DEGREE];
	float		to_holder[TG_MAX_DEGREE];
} Judgement;

/*
 * Estimated distances of a list's neighbours to the table's vector, whose
 * distance to the holder is base.
 */
static void
score_list(const TgLayout *layout, const TgSlotHeader *header,
		   const TgScoreTable *table, float base, float *estimates)
{
	TgVertexView view = {0};

	view.blocks = (const char *) header + layout->blocks_offset;
	for (int b = 0; b * TG_BLOCK_LANES < header->degree; b++)
	{
		TgBlockView block = tg_view_block(&layout->block, &view, b);

		tg_kernels->score(table, block.codes, block.a, block.f, base, INFINITY,
						  estimates + b * TG_BLOCK_LANES);
	}
}

static void
judge_ids(Judgement *judgement, const TgLayout *layout,
		  const TgSlotHeader *header)
{
	judgement->n = header->degree;
	for (int lane = 0; lane < header->degree; lane++)
		judgement->ids[lane] = tg_list_get(layout, header, lane);
}

/*
 * Judge a list by its codes.  linker->other_table is the holder's.
 */
static void
judge_by_codes(const TgLinker *linker, const TgSlotHeader *header,
			   float distance, Judgement *judgement)
{
	judge_ids(judgement, linker->layout, header);
	score_list(linker->layout, header, &linker->table, distance,
			   judgement->to_self);
	score_list(linker->layout, header, &linker->other_table, 0.0f,
			   judgement->to_holder);
}

/*
 * Judge a list without codes, by its neighbours' vectors.  One that has room is
 * not worth it.
 */
static void
judge_by_vectors(TgLinker *linker, const TgMet *holder, Judgement *judgement)
{
	TgReader   *reader = &linker->graph.reader;
	TgGraph    *graph = &reader->graph;
	TgVertexView view;

	judgement->n = 0;
	if (!graph->open(graph, holder->id, &view))
		return;
	judge_ids(judgement, linker->layout, reader->header);
	graph->close(graph);
	for (int lane = 0; lane < judgement->n; lane++)
	{
		TgResult	result;
		bool		live;

		/* One that is gone is as far as can be, and looks so to both. */
		judgement->to_self[lane] = judgement->to_holder[lane] = FLT_MAX;
		if (judgement->n < linker->layout->degree ||
			!graph->open(graph, judgement->ids[lane], &view))
			continue;
		judgement->to_self[lane] = meet(graph, &view, &result, &live);
		graph->close(graph);
		judgement->to_holder[lane] =
			tg_kernels->l2sq(holder->inner,
							 linker->graph.met[result.payload].inner,
							 linker->info->geometry.inner_dims);
	}
}

/* Is the list still the one that was judged? */
static bool
still_judged(const TgLayout *layout, const TgSlotHeader *header,
			 const Judgement *judgement)
{
	if (header->degree != judgement->n)
		return false;
	for (int lane = 0; lane < judgement->n; lane++)
		if (tg_list_get(layout, header, lane) != judgement->ids[lane])
			return false;
	return true;
}

/* Which of self's neighbours is it, or -1. */
static int
find_own(const TgLinker *linker, TgVertexId id)
{
	for (int i = 0; i < linker->nown; i++)
		if (linker->own[i] == id)
			return i;
	return -1;
}

/*
 * What is to be done with a full list.
 */
typedef struct Choice
{
	int			lane;			/* self may take it at once; -1: none */
	TgVertexId	taken_over;		/* else: a neighbour that self must adopt */
} Choice;

/*
 * Choose the lane that self takes in a full list.
 *
 * Of the neighbours that self leads to, the farthest that self makes
 * superfluous gives up its lane.  If there is none, self gets a lane only if
 * it stands for a direction of its own, that is if no nearer neighbour makes
 * self superfluous, or if it must: then self takes the place of the neighbour
 * that it replaces best, one that it leads to if possible.
 */
static Choice
choose_lane(const TgLinker *linker, const Judgement *judgement, float distance,
			bool must)
{
	const float *to_self = judgement->to_self;
	const float *to_holder = judgement->to_holder;
	Choice		choice = {-1, TG_INVALID_VERTEX};
	int			superfluous = -1;
	int			best = -1;
	int			best_own = -1;
	bool		occluded = false;

	for (int lane = 0; lane < judgement->n; lane++)
	{
		/* Compared crosswise: to_holder may be zero. */
#define REPLACED_BETTER(than) \
	((than) < 0 || \
	 to_self[lane] * to_holder[than] < to_self[than] * to_holder[lane])

		if (to_holder[lane] < distance &&
			to_self[lane] < tg_prune_limit(linker->rule, MEAN_RELAX, distance,
										   to_holder[lane]))
			occluded = true;
		if ((superfluous < 0 || to_holder[lane] > to_holder[superfluous]) &&
			to_self[lane] < tg_prune_limit(linker->rule, MEAN_RELAX,
										   to_holder[lane], distance) &&
			find_own(linker, judgement->ids[lane]) >= 0)
			superfluous = lane;
		if (REPLACED_BETTER(best))
			best = lane;
		if (REPLACED_BETTER(best_own) &&
			find_own(linker, judgement->ids[lane]) >= 0)
			best_own = lane;
#undef REPLACED_BETTER
	}

	if (superfluous >= 0)
		choice.lane = superfluous;
	else if (must || !occluded)
	{
		choice.lane = best_own;
		if (best_own < 0)
			choice.taken_over = judgement->ids[best];
	}
	return choice;
}

/*
 * Have self link to a vertex, in place of a neighbour that nobody is led to
 * through self.  Returns false if there is no such neighbour, or the vertex
 * is gone or dying: nobody may link to it then.
 */
static bool
adopt(TgLinker *linker, TgVertexId id)
{
	const TgLayout *layout = linker->layout;
	MeetingGraph *graph = &linker->graph;
	TgNeighbour adopted;
	TgVertexView view;
	TgResult	result;
	TgEdit		edit;
	TgSlotHeader *header;
	const TgCoded *coded;
	bool		live;
	int			at = find_own(linker, id);
	int			lane;

	if (at >= 0)
	{
		linker->needed[at] = true;
		return true;
	}
	if (!graph->reader.graph.open(&graph->reader.graph, id, &view))
		return false;
	meet(&graph->reader.graph, &view, &result, &live);
	graph->reader.graph.close(&graph->reader.graph);
	if (!live)
		return false;
	adopted.id = id;
	adopted.rotated = rotate_met(linker, &graph->met[result.payload]);
	coded = tg_code_neighbour(&linker->maker, linker->rotated, &adopted);

	tg_edit_begin(&edit, linker->index, layout, linker->self.id);
	header = tg_edit_header(&edit);
	if (tg_list_has(layout, header, id))
	{
		/* It was inserted meanwhile, and linked itself back to. */
		tg_edit_abort(&edit);
		return true;
	}
	lane = header->degree;
	if (lane == layout->degree)
	{
		/* Lists are not in order any more: any lane is as good. */
		for (lane = layout->degree - 1; lane >= 0; lane--)
		{
			at = find_own(linker, tg_list_get(layout, header, lane));
			if (at >= 0 && !linker->needed[at])
				break;
		}
		if (lane < 0)
		{
			tg_edit_abort(&edit);
			return false;
		}
	}
	else if (linker->nown == TG_MAX_DEGREE)
	{
		tg_edit_abort(&edit);
		return false;
	}
	else
		at = linker->nown++;
	tg_list_set(layout, header, lane, coded, true);
	tg_edit_finish(&edit);
	linker->own[at] = id;
	linker->needed[at] = true;
	return true;
}

/*
 * Make a vertex link to self in place of the given neighbour, which self
 * adopts first.  Returns whether it was so done.
 */
static bool
take_over(TgLinker *linker, const TgMet *holder, TgVertexId neighbour)
{
	const TgLayout *layout = linker->layout;
	TgNeighbour self = linker->self;
	const TgCoded *coded;
	TgEdit		edit;
	TgSlotHeader *header;

	if (!adopt(linker, neighbour))
		return false;
	coded = tg_code_neighbour(&linker->maker, rotate_met(linker, holder), &self);

	tg_edit_begin(&edit, linker->index, layout, holder->id);
	header = tg_edit_header(&edit);
	if (header->kind == TG_SLOT_VERTEX && !(header->flags & TG_VERTEX_DEAD) &&
		!tg_list_has(layout, header, self.id))
		for (int lane = 0; lane < header->degree; lane++)
			if (tg_list_get(layout, header, lane) == neighbour)
			{
				tg_list_set(layout, header, lane, coded, true);
				tg_edit_finish(&edit);
				return true;
			}
	tg_edit_abort(&edit);
	return false;
}

/*
 * Make a vertex link to self, if the rule wants it or if it must.  Returns
 * whether it does.
 */
static bool
link_one(TgLinker *linker, const TgMet *target, bool must)
{
	const TgLayout *layout = linker->layout;
	TgNeighbour self = linker->self;
	Choice		choice = {-1, TG_INVALID_VERTEX};
	Judgement	judgement;
	const float *rotated;
	const TgCoded *coded;
	TgEdit		edit;
	TgSlotHeader *header;

	/* All that needs no page is done before its lock is taken. */
	rotated = rotate_met(linker, target);
	build_table(linker, rotated, &linker->other_table);
	coded = tg_code_neighbour(&linker->maker, rotated, &self);
	if (layout->bits == 0)
		judge_by_vectors(linker, target, &judgement);

	tg_edit_begin(&edit, linker->index, layout, target->id);
	header = tg_edit_header(&edit);
	if (header->kind != TG_SLOT_VERTEX || (header->flags & TG_VERTEX_DEAD))
	{
		tg_edit_abort(&edit);
		return false;
	}
	if (tg_list_has(layout, header, self.id))
	{
		tg_edit_abort(&edit);
		return true;
	}

	if (header->degree < layout->degree)
		choice.lane = header->degree;
	else
	{
		if (layout->bits > 0)
			judge_by_codes(linker, header, target->distance, &judgement);
		else if (!still_judged(layout, header, &judgement))
		{
			tg_edit_abort(&edit);
			return false;
		}
		choice = choose_lane(linker, &judgement, target->distance, must);
		if (choice.lane >= 0)
			linker->needed[find_own(linker, tg_list_get(layout, header,
														choice.lane))] = true;
	}
	if (choice.lane < 0)
	{
		tg_edit_abort(&edit);
		return choice.taken_over != TG_INVALID_VERTEX &&
			take_over(linker, target, choice.taken_over);
	}
	tg_list_set(layout, header, choice.lane, coded, true);
	tg_edit_finish(&edit);
	return true;
}

bool
tg_linker_link(TgLinker *linker, TgVertexId id, const TgVertexId *own,
			   int nown, bool spare, const TgMet *targets, int n)
{
	bool		linked = false;

	linker->self.id = id;
	linker->nown = nown;
	memcpy(linker->own, own, sizeof(TgVertexId) * nown);
	memset(linker->needed, !spare, sizeof(linker->needed));

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		linked |= link_one(linker, &targets[i], false);
	}

	/* The nearest that can must. */
	for (int i = 0; i < n && !linked; i++)
		linked = link_one(linker, &targets[i], true);
	return linked;
}

/*
 * How little superfluous an entry point is beside the others: squared distance
 * to the nearest of them.  Keeping the least of these large spreads the entry
 * points over all regions there are, as far as they reach.
 */
static float
isolation(const TgLinker *linker, const TgMet *points, int n, int which)
{
	int			dims = linker->info->geometry.inner_dims;
	float		nearest = INFINITY;

	for (int i = 0; i < n; i++)
		if (i != which)
		{
			float		distance = tg_kernels->l2sq(points[i].inner,
													points[which].inner, dims);

			nearest = Min(nearest, distance);
		}
	return nearest;
}

/*
 * Replace the root's most superfluous entry point by self, if self is less so
 * or must be reached; returns whether it was done.  If self is more so, note in
 * the root how superfluous that entry point is.
 */
static bool
replace_entry_point(TgLinker *linker, const TgMet *root, const TgVertexId *ids,
					int n, bool must)
{
	TgGraph    *graph = &linker->graph.reader.graph;
	TgMet	   *points = palloc(sizeof(TgMet) * (n + 1));
	float		least = INFINITY;
	int			least_at = -1;
	TgEdit		edit;

	for (int i = 0; i < n; i++)
	{
		TgVertexView view;
		TgResult	result;
		bool		live;

		if (!graph->open(graph, ids[i], &view))
			return false;
		meet(graph, &view, &result, &live);
		graph->close(graph);
		points[i] = linker->graph.met[result.payload];
	}
	for (int i = 0; i < n; i++)
	{
		float		value = isolation(linker, points, n, i);

		if (value < least)
		{
			least = value;
			least_at = i;
		}
	}
	if (least_at < 0)
		return false;
	points[n].inner = linker->graph.query;
	if (must || isolation(linker, points, n + 1, n) > least)
	{
		bool		done = take_over(linker, root, ids[least_at]);

		/* That one may be dying. */
		for (int i = 0; i < n && must && !done; i++)
			done = take_over(linker, root, ids[i]);
		return done;
	}
	tg_edit_begin(&edit, linker->index, linker->layout, root->id);
	tg_edit_header(&edit)->error = least;
	tg_edit_finish(&edit);
	return false;
}

/*
 * Could self be less superfluous an entry point than some of the root's?
 * Judged from the root's page alone, where there are codes.  ids[] receives the entry points, if
 * there are as many as fit; *n their number.
 */
static bool
may_be_entry_point(TgLinker *linker, const TgMet *root, TgVertexId *ids, int *n)
{
	TgReader   *reader = &linker->graph.reader;
	Judgement	judgement;
	float		nearest = INFINITY;
	float		least;
	TgVertexView view;

	*n = 0;
	if (!reader->graph.open(&reader->graph, root->id, &view))
		return false;
	least = reader->header->error;
	if (linker->layout->bits > 0)
	{
		judge_ids(&judgement, linker->layout, reader->header);
		score_list(linker->layout, reader->header, &linker->table,
				   root->distance, judgement.to_self);
	}
	reader->graph.close(&reader->graph);
	if (linker->layout->bits == 0)
		judge_by_vectors(linker, root, &judgement);
	*n = judgement.n;
	memcpy(ids, judgement.ids, sizeof(TgVertexId) * judgement.n);
	for (int lane = 0; lane < judgement.n; lane++)
		nearest = Min(nearest, judgement.to_self[lane]);
	return nearest > least;
}

void
tg_linker_link_root(TgLinker *linker, bool must)
{
	const TgIndex *info = linker->info;
	TgMet		root = {linker->root, true, 0.0f, info->root_inner,
	info->root_rotated};
	TgVertexId	ids[TG_MAX_DEGREE];
	bool		done = false;
	int			tries = 0;

	root.distance = tg_kernels->l2sq(linker->graph.query, info->root_inner,
									 info->geometry.inner_dims);

	/* Others change the root, too: what must be done may take another try. */
	do
	{
		int			n;
		bool		may = may_be_entry_point(linker, &root, ids, &n);

		CHECK_FOR_INTERRUPTS();
		if (!may && !must)
			return;
		done = n < linker->layout->degree ?
			link_one(linker, &root, false) :
			replace_entry_point(linker, &root, ids, n, must);
	} while (must && !done && ++tries < ROOT_TRIES);
}
