/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  INSERT into an index.
 *
 * 1. A search for the vector gives its candidates, with their vectors; one
 *	  that is equal takes the row's heap TID, and that is all.
 * 2. tg_prune() chooses the neighbours; the new vertex is written with its
 *	  list.  From here on it has a way out, but no way leads to it.
 * 3. Each neighbour gets a link back, one page at a time.  Lists are full, so
 *	  a link must replace another; which one is judged from the page alone, by
 *	  the codes of its neighbours: see choose_lane().
 *
 * No lock is held from one step to the next.  A neighbour may die meanwhile;
 * it is not freed as long as we run (see TgSlotHeader).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

#include <math.h>

#include "graph/prune.h"

/*
 * A link to c is not worth a lane of p's list if a kept neighbour v has
 * d(v, c) below this share of d(p, c), squared distances: the mean of what
 * tg_prune() uses over the slots.
 */
#define OCCLUSION	((TG_PRUNE_RELAX_FIRST + 1.0f) / 2.0f)

/* A vertex met by the search. */
typedef struct Candidate
{
	TgVertexId	id;
	bool		root;
	float	   *inner;			/* [inner_dims] */
} Candidate;

/*
 * The graph as the search of an insert sees it: the reader's, with distances
 * in the inner space, and every vertex's vector kept.
 */
typedef struct InsertGraph
{
	TgReader	reader;			/* first */
	TgIndex    *info;
	const float *query;			/* inner */
	float	   *values;			/* scratch, [dims] */
	Candidate  *candidates;
	int			ncandidates;
	int			capacity;
} InsertGraph;

static float
insert_distance(TgGraph *base, const TgVertexView *view, TgResult *result,
				bool *live)
{
	InsertGraph *graph = (InsertGraph *) base;
	const TgIndex *info = graph->info;
	const TgSlotHeader *header = graph->reader.header;
	int			inner_dims = info->geometry.inner_dims;
	Candidate  *candidate;
	float		key;

	if (graph->ncandidates == graph->capacity)
	{
		graph->capacity *= 2;
		graph->candidates = repalloc_huge(graph->candidates,
										  sizeof(Candidate) * graph->capacity);
	}
	candidate = &graph->candidates[graph->ncandidates];
	candidate->id = view->id;
	candidate->root = (header->flags & TG_VERTEX_ROOT) != 0;
	candidate->inner = palloc(sizeof(float) * inner_dims);
	tg_unstore(&info->geometry, info->layout.storage,
			   tg_reader_vector(&graph->reader, view->id), graph->values);
	tg_embed(&info->geometry, graph->values, header->norm2, candidate->inner);

	key = tg_kernels->l2sq(graph->query, candidate->inner, inner_dims);
	result->distance = key;
	result->error = 0.0f;
	result->payload = graph->ncandidates++;
	*live = (header->flags & TG_VERTEX_DEAD) == 0;
	return key;
}

/*
 * What an insert works with.
 */
typedef struct Insertion
{
	Relation	index;
	TgIndex    *info;
	const TgLayout *layout;
	TgListMaker maker;
	TgStored	stored;
	char	   *bytes;			/* the stored vector */
	float	   *inner;
	TgNeighbour self;			/* id once written */
	TgScoreTable table;			/* of self */
	TgScoreTable other_table;	/* of the neighbour being linked */
} Insertion;

static void
alloc_table(TgScoreTable *table, int dims)
{
	table->entries = palloc(TG_TABLE_SIZE(dims));
}

/*
 * The score table of a rotated inner vector.
 */
static void
make_table(const Insertion *insertion, TgScoreTable *table,
		   const float *rotated)
{
	const TgIndex *info = insertion->info;
	int			dims = info->geometry.inner_dims;
	float	   *centred = palloc(sizeof(float) * dims);

	for (int i = 0; i < dims; i++)
		centred[i] = rotated[i] - info->root_rotated[i];
	tg_table_build(table, dims, info->layout.bits, centred);
	pfree(centred);
}

static float *
rotate_inner(const TgIndex *info, const float *inner)
{
	float	   *rotated = palloc(sizeof(float) * info->geometry.inner_dims);

	tg_rotate(&info->rotation, inner, rotated);
	return rotated;
}

/*
 * Is the vertex's stored vector the one to be inserted?
 */
static bool
is_equal(Insertion *insertion, TgReader *reader, TgVertexId id)
{
	TgGraph    *graph = &reader->graph;
	TgVertexView view;
	bool		equal = false;

	if (!graph->open(graph, id, &view))
		return false;
	if (reader->header->norm2 == insertion->stored.norm2 &&
		reader->header->error == insertion->stored.error)
		equal = memcmp(tg_reader_vector(reader, id), insertion->bytes,
					   insertion->layout->vector_size) == 0;
	graph->close(graph);
	return equal;
}

/*
 * The lane that a new neighbour takes in a full list, or -1.
 *
 * to_new[] are estimated squared distances from the list's neighbours to the
 * new one, to_holder[] to the vertex p that holds the list, distance is from p
 * to the new one.
 *
 * The list is pruned, so only pairs with the new one matter.  If the new one
 * makes some neighbour superfluous, it takes the lane of the farthest such.
 * Otherwise, unless a nearer neighbour makes the new one superfluous, it takes
 * the lane of the farthest neighbour, if that is farther than itself.  A link
 * that must be made, because no other may lead to the new vertex, takes that
 * lane in any case.
 */
static int
choose_lane(const float *to_new, const float *to_holder, int degree,
			float distance, bool must)
{
	int			farthest = 0;
	int			superfluous = -1;
	bool		occluded = false;

	for (int i = 0; i < degree; i++)
	{
		if (to_holder[i] > to_holder[farthest])
			farthest = i;
		if (to_holder[i] < distance)
			occluded |= to_new[i] < OCCLUSION * distance;
		else if (to_new[i] < OCCLUSION * to_holder[i] &&
				 (superfluous < 0 || to_holder[i] > to_holder[superfluous]))
			superfluous = i;
	}
	if (superfluous >= 0)
		return superfluous;
	if (must || (!occluded && to_holder[farthest] > distance))
		return farthest;
	return -1;
}

/*
 * Estimated squared distances of a list's neighbours to the table's vector,
 * whose squared distance to the holder is base.
 */
static void
score_list(const TgLayout *layout, const TgSlotHeader *header,
		   const TgScoreTable *table, float base, float *estimates)
{
	TgVertexView view = {0};

	view.blocks = (const char *) (header + 1);
	for (int b = 0; b * TG_BLOCK_LANES < header->degree; b++)
	{
		TgBlockView block = tg_view_block(&layout->block, &view, b);

		tg_kernels->score(table, block.codes, block.a, block.f, base, INFINITY,
						  estimates + b * TG_BLOCK_LANES);
	}
}

/*
 * Link a neighbour back to the new vertex.
 */
static void
link_back(Insertion *insertion, const TgNeighbour *neighbour, float distance,
		  bool must)
{
	const TgLayout *layout = insertion->layout;
	const TgCoded *coded;
	TgEdit		edit;
	TgSlotHeader *header;
	int			lane;

	/* All that needs no page is done before its lock is taken. */
	coded = tg_code_neighbour(&insertion->maker, neighbour->rotated,
							  &insertion->self);
	make_table(insertion, &insertion->other_table, neighbour->rotated);

	tg_edit_begin(&edit, insertion->index, layout, neighbour->id);
	header = tg_edit_header(&edit);
	if (header->kind != TG_SLOT_VERTEX || (header->flags & TG_VERTEX_DEAD))
	{
		tg_edit_abort(&edit);
		return;
	}
	lane = header->degree;
	if (lane == layout->degree)
	{
		float		to_new[TG_MAX_DEGREE];
		float		to_holder[TG_MAX_DEGREE];

		score_list(layout, header, &insertion->table, distance, to_new);
		score_list(layout, header, &insertion->other_table, 0.0f, to_holder);
		lane = choose_lane(to_new, to_holder, header->degree, distance, must);
	}
	if (lane < 0)
		tg_edit_abort(&edit);
	else
	{
		tg_list_set(layout, header, lane, coded, true);
		tg_edit_finish(&edit);
	}
}

/*
 * Write the new vertex with its list.
 */
static TgVertexId
write_vertex(Insertion *insertion, const TgNeighbour *neighbours, int n,
			 ItemPointer tid)
{
	const TgLayout *layout = insertion->layout;
	char	   *list = palloc0(layout->list.size);
	TgSlotHeader *header = (TgSlotHeader *) list;

	header->kind = TG_SLOT_VERTEX;
	header->norm2 = insertion->stored.norm2;
	header->error = insertion->stored.error;
	header->next = TG_INVALID_VERTEX;
	header->owner = TG_INVALID_VERTEX;
	tg_make_list(&insertion->maker, header, insertion->self.rotated,
				 neighbours, n);
	header->ntids = 1;
	*tg_slot_tids(layout, header) = *tid;
	if (layout->vector_inline)
		memcpy(list + layout->vector_offset, insertion->bytes,
			   layout->vector_size);
	return tg_slot_insert(insertion->index, layout, list, insertion->bytes);
}

/*
 * Insert a vector into the graph.
 */
static void
insert_vector(Relation index, TgIndex *info, TgSpan span, ItemPointer tid)
{
	int			inner_dims = info->geometry.inner_dims;
	int			ef = Max(info->meta.ef_construction, info->layout.degree);
	Insertion	insertion = {0};
	InsertGraph graph = {0};
	TgSearch   *search;
	TgResult	result;
	TgPruneCandidate *chosen;
	TgNeighbour *neighbours;
	int			nchosen = 0;

	insertion.index = index;
	insertion.info = info;
	insertion.layout = &info->layout;
	tg_list_maker_init(&insertion.maker, info);
	alloc_table(&insertion.table, inner_dims);
	alloc_table(&insertion.other_table, inner_dims);

	/*
	 * The vector is inserted as it will be read back: stored, then mapped to
	 * the inner space.
	 */
	insertion.bytes = palloc0(info->layout.vector_size);
	insertion.stored = tg_store(&info->geometry, info->layout.storage, span,
								insertion.bytes);
	graph.values = palloc(sizeof(float) * info->geometry.dims);
	tg_unstore(&info->geometry, info->layout.storage, insertion.bytes,
			   graph.values);
	insertion.inner = palloc(sizeof(float) * inner_dims);
	tg_embed(&info->geometry, graph.values, insertion.stored.norm2,
			 insertion.inner);
	insertion.self.rotated = rotate_inner(info, insertion.inner);
	make_table(&insertion, &insertion.table, insertion.self.rotated);

	tg_reader_init(&graph.reader, index, &info->layout);
	graph.reader.graph.distance = insert_distance;
	graph.info = info;
	graph.query = insertion.inner;
	graph.capacity = 2 * ef;
	graph.candidates = palloc(sizeof(Candidate) * graph.capacity);

	search = tg_search_create();
	tg_search_begin(search, &graph.reader.graph, &insertion.table,
					TG_ROUTING_TWO_STAGE, ef);
	tg_search_add_entry(search, info->meta.root);
	tg_search_run(search);

	chosen = palloc(sizeof(TgPruneCandidate) * (search->nresults + 1));
	while (tg_search_next(search, &result))
	{
		const Candidate *candidate = &graph.candidates[result.payload];

		if (candidate->root)
			continue;
		if (result.distance == 0 &&
			is_equal(&insertion, &graph.reader, candidate->id) &&
			tg_tids_add(index, &info->layout, candidate->id, tid))
			return;
		chosen[nchosen].id = candidate->id;
		chosen[nchosen].distance = (float) result.distance;
		chosen[nchosen].vector = candidate->inner;
		nchosen++;
	}
	tg_search_destroy(search);
	nchosen = tg_prune(chosen, nchosen, info->layout.degree, inner_dims);

	neighbours = palloc(sizeof(TgNeighbour) * (nchosen + 1));
	for (int i = 0; i < nchosen; i++)
	{
		neighbours[i].id = chosen[i].id;
		neighbours[i].rotated = rotate_inner(info, chosen[i].vector);
	}
	insertion.self.id = write_vertex(&insertion, neighbours, nchosen, tid);

	/* The nearest neighbour must link back: else nothing may lead here. */
	for (int i = 0; i < nchosen; i++)
	{
		CHECK_FOR_INTERRUPTS();
		link_back(&insertion, &neighbours[i], chosen[i].distance, i == 0);
	}

	/* So does the root while it has room, or if there is nothing else. */
	neighbours[nchosen].id = info->meta.root;
	neighbours[nchosen].rotated = info->root_rotated;
	link_back(&insertion, &neighbours[nchosen],
			  tg_kernels->l2sq(insertion.inner, info->root_inner, inner_dims),
			  false);
}

/*
 * The first vector of an index that has no dimensions yet: write the root and
 * tell the metapage.
 */
static void
set_dims(Relation index, TgSpan span)
{
	TgOptions	options = tg_options_get(index);
	TgMetaEdit	edit;
	TgIndex    *info;
	char	   *list;
	char	   *bytes;
	float	   *inner;
	TgSlotHeader *header;
	TgStored	stored;

	if (options.dimensions > 0)
		tg_check_dims(index, options.dimensions, span.dims);

	tg_meta_edit_begin(&edit, index);
	if (edit.meta->dims > 0)
	{
		tg_meta_edit_abort(&edit);
		return;
	}
	tg_meta_set_dims(edit.meta, &options, span.dims, tg_half_exact(span));
	edit.meta->max_norm = sqrtf(tg_kernels->dot(span.values, span.values,
												span.dims));
	info = tg_index_create(edit.meta);

	list = palloc0(info->layout.list.size);
	bytes = palloc0(info->layout.vector_size);
	inner = palloc(sizeof(float) * info->geometry.inner_dims);
	tg_embed_query(&info->geometry, span.values, inner);
	stored = tg_store_inner(&info->geometry, info->layout.storage, inner,
							bytes);
	header = (TgSlotHeader *) list;
	header->kind = TG_SLOT_VERTEX;
	header->flags = TG_VERTEX_ROOT;
	header->norm2 = stored.norm2;
	header->error = stored.error;
	header->next = TG_INVALID_VERTEX;
	header->owner = TG_INVALID_VERTEX;
	if (info->layout.vector_inline)
		memcpy(list + info->layout.vector_offset, bytes,
			   info->layout.vector_size);
	edit.meta->root = tg_slot_insert(index, &info->layout, list, bytes);
	tg_meta_edit_finish(&edit);
}

void
tg_insert_row(Relation index, Datum value, bool isnull, ItemPointer tid)
{
	const TgOpclass *opclass = tg_opclass_get(index);
	const TgIndex *info;
	TgSpan		span;

	if (isnull)
	{
		tg_unranked_add(index, TG_UNRANKED_NULL, tid);
		return;
	}
	span = opclass->span(value);
	tg_check_finite(span);

	info = tg_index_get(index);
	if (info->meta.dims > 0)
		tg_check_dims(index, info->meta.dims, span.dims);
	if (!tg_rankable(opclass->metric, span))
	{
		tg_unranked_add(index, TG_UNRANKED_NAN, tid);
		return;
	}
	if (info->meta.dims == 0)
	{
		set_dims(index, span);
		info = tg_index_get(index);
		tg_check_dims(index, info->meta.dims, span.dims);
	}
	insert_vector(index, tg_index_copy(info), span, tid);
}

/*
 * indexUnchanged needs no case of its own: an unchanged vector is found to be
 * equal by the search and adds a heap TID to its vertex.
 */
bool
tg_aminsert(Relation index, Datum *values, bool *isnull, ItemPointer tid,
			Relation heap, IndexUniqueCheck checkUnique, bool indexUnchanged,
			IndexInfo *indexInfo)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "togg insert",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	tg_insert_row(index, values[0], isnull[0], tid);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
