/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  INSERT into an index.
 *
 * 1. A search for the vector gives its candidates, with their vectors; one
 *	  that is equal takes the row, and that is all.
 * 2. tg_prune() chooses the neighbours; the new vertex is written with its
 *	  list.  From here on it has a way out, but no way leads to it.
 * 3. The nearest neighbours get links back, one page at a time
 *	  (src/am/link.c).
 * 4. In an HNSW graph the vertex may rise: it is written and linked on upper
 *	  layers in the same way.
 *
 * No lock is held from one step to the next.  A neighbour may die meanwhile;
 * it is not freed as long as we run (see TgSlotHeader).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/columns.h"
#include "am/link.h"
#include "am/sketch.h"

#include <float.h>
#include <math.h>

#include "access/xact.h"
#include "common/pg_prng.h"
#include "miscadmin.h"

#include "graph/prune.h"
#include "worker/worker.h"

/* Pool in which an equal vector is nearly always found, if there is one. */
#define UNCHANGED_EF	8

/*
 * Inner product: the sphere's radius, and the greatest length there is room for,
 * by the length of the first vector, which may be one of the shortest.
 */
#define SPHERE_ROOM		2
#define LONGEST_ROOM	8

/*
 * A row's vector on its way into the index.
 */
typedef struct NewVertex
{
	Relation	index;
	const TgIndex *info;
	TgStored	stored;
	char	   *bytes;			/* the stored vector */
	float	   *inner;
	const TgRow *row;
	bool		unchanged;		/* an UPDATE that left the vector alone? */
	TgVertexId	id;				/* on the layer it was written to last */
} NewVertex;

/*
 * The vector is inserted as it will be read back: stored, then mapped to the
 * inner space.
 */
static void
new_vertex_init(NewVertex *vertex, Relation index, const TgIndex *info,
				TgSpan span, const TgRow *row)
{
	const TgGeometry *geometry = &info->geometry;
	float	   *values = palloc(sizeof(float) * geometry->dims);

	vertex->index = index;
	vertex->info = info;
	vertex->row = row;
	vertex->bytes = palloc0(info->layout.vector_size);
	vertex->inner = palloc(sizeof(float) * geometry->inner_dims);
	vertex->stored = tg_store(geometry, info->layout.storage, span,
							  vertex->bytes);
	tg_unstore(geometry, info->layout.storage, vertex->bytes, values);
	tg_embed(geometry, values, vertex->stored.norm2, vertex->inner);
	pfree(values);
}

/*
 * Is the vertex's stored vector the one to be inserted?
 */
static bool
is_equal(const NewVertex *vertex, TgReader *reader, TgVertexId id)
{
	TgGraph    *graph = &reader->graph;
	TgVertexView view;
	bool		equal = false;

	if (!graph->open(graph, id, &view))
		return false;
	if (reader->header->norm2 == vertex->stored.norm2 &&
		reader->header->error == vertex->stored.error)
		equal = memcmp(tg_reader_vector(reader, id), vertex->bytes,
					   vertex->info->layout.vector_size) == 0;
	graph->close(graph);
	return equal;
}

/*
 * Write the new vertex with its list on one layer.
 */
static TgVertexId
write_vertex(const NewVertex *vertex, TgLinker *linker, int layer,
			 const TgNeighbour *neighbours, int n)
{
	const TgLayout *layout = &vertex->info->layout;
	char	   *list = palloc0(layout->list.size);
	TgSlotHeader *header = (TgSlotHeader *) list;
	TgNeighbour self = {0};

	self.inner = vertex->inner;
	self.rotated = tg_linker_rotated(linker);
	header->kind = TG_SLOT_VERTEX;
	header->layer = layer;
	header->norm2 = vertex->stored.norm2;
	header->error = vertex->stored.error;
	header->next = TG_INVALID_VERTEX;
	header->owner = TG_INVALID_VERTEX;
	header->xid = tg_stamp_now();
	tg_make_list(tg_linker_maker(linker), header, &self, neighbours, n);
	if (layer > 0)
		header->below = vertex->id;
	else
	{
		header->ntids = 1;
		tg_slot_put_row(layout, header, 0, vertex->row);
	}
	if (layout->vector_inline)
		memcpy(list + layout->vector_offset, vertex->bytes,
			   layout->vector_size);
	return tg_slot_insert(vertex->index, layout, list, vertex->bytes);
}

/*
 * Choose the new vertex's neighbours among those met; they come first in
 * met[] on return.  Half of the list may be left free, for links back from
 * vertices that come later: they need not take another's place then.
 */
static int
choose_neighbours(const TgIndex *info, TgMet *met, int n)
{
	TgPruneCandidate *candidates = palloc(sizeof(TgPruneCandidate) * (n + 1));
	TgMet	   *all = palloc(sizeof(TgMet) * (n + 1));
	int			nchosen;

	memcpy(all, met, sizeof(TgMet) * n);
	for (int i = 0; i < n; i++)
	{
		candidates[i].distance = met[i].distance;
		candidates[i].id = i;
		candidates[i].vector = met[i].inner;
	}
	nchosen = tg_prune(tg_index_prune_rule(info), candidates, n, info->layout.degree,
					   info->layout.degree / 2, info->geometry.inner_dims,
					   NULL);
	for (int i = 0; i < nchosen; i++)
		met[i] = all[candidates[i].id];
	pfree(candidates);
	pfree(all);
	return nchosen;
}

int
tg_highest_layer(const TgIndex *info, uint32 random)
{
	int			m = info->layout.degree / 2;
	int			layer = 0;

	for (random /= 2; layer < tg_index_layers(info) - 1 &&
		 random < PG_INT32_MAX / m; random *= m)
		layer++;
	return layer;
}

/*
 * Add the row, which is in the slot, to what is known of that.
 */
static void
sketch_row(const NewVertex *vertex, TgVertexId id)
{
	TgSketcher *sketcher = tg_sketcher_create(vertex->index, vertex->info);

	if (sketcher)
		tg_sketcher_add(sketcher, id, vertex->row);
}

/*
 * Add the row to a vertex of an equal vector, if there is one among those
 * met.
 */
static bool
add_to_equal(const NewVertex *vertex, TgLinker *linker, const TgMet *met, int n)
{
	for (int i = 0; i < n && met[i].distance == 0; i++)
		if (is_equal(vertex, tg_linker_reader(linker), met[i].id) &&
			tg_tids_add(vertex->index, &vertex->info->layout, met[i].id,
						vertex->row))
		{
			sketch_row(vertex, met[i].id);
			return true;
		}
	return false;
}

/*
 * Insert the vertex on a layer, the lowest first.  A row whose vector is in the
 * index already only adds to that vertex: false.
 */
static bool
insert_on_layer(NewVertex *vertex, int layer)
{
	const TgIndex *info = vertex->info;
	TgLinker   *linker = tg_linker_create(vertex->index, info, layer);
	int			ef = Max(info->meta.ef_construction, info->layout.degree);
	TgMet	   *met;
	TgNeighbour *neighbours;
	TgVertexId	own[TG_MAX_DEGREE];
	bool		linked;
	int			n;

	if (layer == 0 && vertex->unchanged)
	{
		met = tg_linker_search(linker, vertex->inner, UNCHANGED_EF, &n);
		if (add_to_equal(vertex, linker, met, n))
			return false;
	}
	met = tg_linker_search(linker, vertex->inner, ef, &n);
	if (layer == 0 && add_to_equal(vertex, linker, met, n))
		return false;

	n = choose_neighbours(info, met, n);
	neighbours = palloc(sizeof(TgNeighbour) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		float	   *rotated = palloc(sizeof(float) * info->geometry.inner_dims);

		tg_rotate(&info->rotation, met[i].inner, rotated);
		neighbours[i].id = own[i] = met[i].id;
		neighbours[i].inner = met[i].inner;
		neighbours[i].rotated = met[i].rotated = rotated;
	}
	vertex->id = write_vertex(vertex, linker, layer, neighbours, n);
	if (layer == 0)
		sketch_row(vertex, vertex->id);
	linked = tg_linker_link(linker, vertex->id, own, n, true, met,
							Min(n, info->layout.degree / 2));
	tg_linker_link_root(linker, !linked);
	return true;
}

/*
 * Insert a vector into the graph.  Returns whether it is a new vertex.
 */
static bool
insert_vector(Relation index, const TgIndex *info, TgSpan span,
			  const TgRow *row, bool unchanged)
{
	NewVertex	vertex;
	int			highest = tg_highest_layer(info,
										   pg_prng_uint32(&pg_global_prng_state));

	new_vertex_init(&vertex, index, info, span, row);
	vertex.unchanged = unchanged;
	for (int layer = 0; layer <= highest; layer++)
		if (!insert_on_layer(&vertex, layer))
			return false;
	return true;
}

/*
 * Write the roots of an index that has none, and tell the metapage.  They are
 * where the first vector is: no other is known.
 */
static void
create_roots(Relation index, TgSpan span)
{
	TgMetaEdit	edit;
	TgIndex    *info;
	char	   *list;
	char	   *bytes;
	float	   *inner;
	TgSlotHeader *header;

	tg_meta_edit_begin(&edit, index);
	if (edit.meta->root != TG_INVALID_VERTEX)
	{
		tg_meta_edit_abort(&edit);
		return;
	}
	info = tg_index_create(edit.meta);
	list = palloc0(info->layout.list.size);
	bytes = palloc0(info->layout.vector_size);
	inner = palloc(sizeof(float) * info->geometry.inner_dims);
	tg_embed_query(&info->geometry, span.values, inner);
	header = (TgSlotHeader *) list;
	header->kind = TG_SLOT_VERTEX;
	header->flags = TG_VERTEX_ROOT;
	header->norm2 = tg_store_inner(&info->geometry, info->layout.storage,
								   inner, bytes).norm2;
	header->next = TG_INVALID_VERTEX;
	header->owner = TG_INVALID_VERTEX;
	if (info->layout.vector_inline)
		memcpy(list + info->layout.vector_offset, bytes,
			   info->layout.vector_size);
	for (int layer = 0; layer < tg_index_layers(info); layer++)
	{
		TgVertexId	root;

		header->layer = layer;
		root = tg_slot_insert(index, &info->layout, list, bytes);
		header->below = root;
		if (layer == 0)
			edit.meta->root = root;
		else
			edit.meta->upper_roots[layer - 1] = root;
	}
	tg_meta_edit_finish(&edit);
}

/*
 * The first vector of an index: it tells the dimensions.
 *
 * The metapage learns of them before any slot is written, so that a crash on
 * the way cannot leave slots of a layout that is not the index's.
 */
static void
set_dims(Relation index, TgSpan span)
{
	TgOptions	options = tg_options_get(index);
	TgMetaEdit	edit;
	float		norm;

	if (options.dimensions > 0)
		tg_check_dims(index, options.dimensions, span.dims);

	tg_meta_edit_begin(&edit, index);
	if (edit.meta->dims > 0)
	{
		int			dims = edit.meta->dims;

		tg_meta_edit_abort(&edit);
		tg_check_dims(index, dims, span.dims);
	}
	else
	{
		tg_meta_set_dims(edit.meta, &options, span.dims, tg_half_exact(span),
						 tg_half_in_range(span));
		norm = sqrtf(tg_kernels->dot(span.values, span.values, span.dims));
		edit.meta->sphere = norm > 0 ? SPHERE_ROOM * norm : 1;
		edit.meta->longest = norm > 0 ? LONGEST_ROOM * norm : FLT_MAX;
		tg_meta_edit_finish(&edit);
	}
	create_roots(index, span);
}

bool
tg_insert_row(Relation index, Datum value, bool isnull, const TgRow *row,
			  bool unchanged)
{
	const TgOpclass *opclass = tg_opclass_get(index);
	const TgIndex *info;
	TgSpan		span;

	if (isnull)
	{
		tg_unranked_add(index, TG_UNRANKED_NULL, row);
		return false;
	}
	span = opclass->span(value);
	tg_check_finite(span);

	info = tg_index_get(index);
	if (info->meta.dims > 0)
		tg_check_dims(index, info->meta.dims, span.dims);
	if (!tg_rankable(opclass, span))
	{
		tg_unranked_add(index, TG_UNRANKED_NAN, row);
		return false;
	}
	if (info->meta.dims == 0)
	{
		set_dims(index, span);
		info = tg_index_get(index);
		tg_check_dims(index, info->meta.dims, span.dims);
	}
	return insert_vector(index, tg_index_copy(info), span, row, unchanged);
}

/*
 * indexUnchanged: the row's last version is in the index with an equal vector,
 * which a small pool finds.  That is but a hint: if it does not, the row is
 * inserted as any other.
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
	TgColumns	columns;

	/*
	 * VACUUM must see us coming: see TgSlotHeader.  CREATE INDEX CONCURRENTLY
	 * inserts without having a transaction ID so far.
	 */
	(void) GetTopTransactionId();

	tg_columns_open(&columns, index);
	if (tg_insert_row(index, values[0], isnull[0],
					  tg_row_make(&columns, values, isnull, tid),
					  indexUnchanged))
		tg_clustering_note_insert(index);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return false;
}
