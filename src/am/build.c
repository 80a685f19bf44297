/*-------------------------------------------------------------------------
 *
 * build.c
 *	  CREATE INDEX.
 *
 * 1. Loading: the heap is read once; vectors and heap TIDs gather in memory.
 *	  Equal vectors are found by a hash table and share a vertex.
 * 2. Building: the graph is made in memory (src/graph/construct.c), on rotated
 *	  inner vectors, whose distances are those of the vectors themselves.
 * 3. Writing: lists are clustered and coded, and slots written in an order
 *	  that keeps neighbours near each other; then the whole fork is
 *	  WAL-logged at once.
 *
 * Rows that do not fit in maintenance_work_mem are inserted one by one, as
 * INSERT does it, once the graph of those that do is written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

#include <math.h>

#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#include "graph/cluster.h"
#include "graph/construct.h"
#include "tune/tune.h"
#include "worker/worker.h"

#if PG_VERSION_NUM < 150000
#error "togg needs PostgreSQL 15 or later"
#endif

/* Phases in pg_stat_progress_create_index. */
#define PHASE_LOAD		2
#define PHASE_GRAPH		3
#define PHASE_WRITE		4
#define PHASE_INSERT	5

/* A row beyond the first of an equal vector. */
typedef struct ExtraTid
{
	uint32		vertex;
	ItemPointerData tid;
} ExtraTid;

typedef struct TidArray
{
	ItemPointerData *tids;
	int64		n;
	int64		capacity;
} TidArray;

/*
 * A layer of the graph.  Each has a root of its own, and its vertices are among
 * those of the layer below.
 */
typedef struct Layer
{
	int64		n;
	uint32	   *vertices;		/* [n], numbers of the vertices on it */
	uint32	   *below;			/* [n], their places in the layer below */
	const float *rotated;		/* [n][inner_dims] */
	TgConstructed *graph;
	uint32	   *order;			/* [n], in which they are written */
	TgVertexId *ids;			/* [n] */
	uint64		first_slot;		/* the root's; then the vertices */
} Layer;

struct EqualVectors_hash;

typedef struct BuildState
{
	Relation	index;
	const TgOpclass *opclass;
	TgOptions	options;
	TgMetaPage	meta;
	TgIndex    *info;			/* once all vectors are known */

	int			dims;			/* 0 until known */
	int64		expected;		/* rows of the table, 0 if not known */
	int64		rows;			/* indexed */
	int64		inserted;		/* of these, one by one */
	bool		full;			/* memory is: rows are inserted */

	/* Distinct vectors, in the order of their coming. */
	float	   *vectors;		/* [n][dims] */
	ItemPointerData *tids;		/* [n], of the first row of each */
	int64		n;
	int64		capacity;
	int64		limit;			/* most that fit in memory */
	bool		half_exact;		/* would half floats keep all vectors? */
	bool		half_in_range;
	double		max_norm;
	struct EqualVectors_hash *equal;
	ExtraTid   *extra;
	int64		nextra;
	int64		extra_capacity;

	TidArray	unranked[TG_UNRANKED_KINDS];

	/* What the graph is made of. */
	float	   *inner;			/* [n][inner_dims], for a k-d guide alone */
	Layer		layers[TG_MAX_LAYERS];
	int			nlayers;

	int64		phase;			/* in progress */
	instr_time	phase_start;

	MemoryContext context;		/* of all the above */
	MemoryContext row_context;	/* of one row */
} BuildState;

/*
 * The table of distinct vectors, keyed by vertex number.
 */
typedef struct EqualVectors_entry
{
	uint32		vertex;
	uint32		hash;
	char		status;
} EqualVectors_entry;

static inline const float *
vector_at(const BuildState *state, uint32 vertex)
{
	return state->vectors + (Size) vertex * state->dims;
}

static inline uint32
vector_hash(const BuildState *state, uint32 vertex)
{
	return hash_bytes((const unsigned char *) vector_at(state, vertex),
					  sizeof(float) * state->dims);
}

static inline bool
vector_equal(const BuildState *state, uint32 a, uint32 b)
{
	return memcmp(vector_at(state, a), vector_at(state, b),
				  sizeof(float) * state->dims) == 0;
}

#define SH_PREFIX EqualVectors
#define SH_ELEMENT_TYPE EqualVectors_entry
#define SH_KEY_TYPE uint32
#define SH_KEY vertex
#define SH_HASH_KEY(tb, key) vector_hash((tb)->private_data, key)
#define SH_EQUAL(tb, a, b) vector_equal((tb)->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

char *
tg_ambuildphasename(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case PHASE_LOAD:
			return "loading tuples";
		case PHASE_GRAPH:
			return "building graph";
		case PHASE_WRITE:
			return "writing pages";
		case PHASE_INSERT:
			return "inserting tuples";
		case TG_PHASE_CLUSTER:
			return "clustering neighbour lists";
		case TG_PHASE_CALIBRATE:
			return "calibrating";
	}
	return NULL;
}

/*
 * Enter a phase.  DEBUG1 tells how long the one before it took.
 */
static void
begin_phase(BuildState *state, int64 phase, int64 total)
{
	instr_time	now;
	const int	params[] = {
		PROGRESS_CREATEIDX_SUBPHASE,
		PROGRESS_CREATEIDX_TUPLES_TOTAL,
		PROGRESS_CREATEIDX_TUPLES_DONE
	};
	const int64 values[] = {phase, total, 0};

	pgstat_progress_update_multi_param(lengthof(params), params, values);

	INSTR_TIME_SET_CURRENT(now);
	if (state->phase != 0)
	{
		instr_time	elapsed = now;

		INSTR_TIME_SUBTRACT(elapsed, state->phase_start);
		ereport(DEBUG1,
				(errmsg_internal("index \"%s\": %s took %.3f s",
								 RelationGetRelationName(state->index),
								 tg_ambuildphasename(state->phase),
								 INSTR_TIME_GET_DOUBLE(elapsed))));
	}
	state->phase = phase;
	state->phase_start = now;
}

static void
report_done(void *arg, int64 done)
{
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, done);
}

static void
tid_array_add(BuildState *state, TidArray *array, ItemPointer tid)
{
	if (array->n == array->capacity)
	{
		MemoryContext old = MemoryContextSwitchTo(state->context);

		array->capacity = Max(1024, array->capacity * 2);
		array->tids = array->tids == NULL ?
			tg_alloc(sizeof(ItemPointerData) * array->capacity) :
			tg_realloc(array->tids, sizeof(ItemPointerData) * array->capacity);
		MemoryContextSwitchTo(old);
	}
	array->tids[array->n++] = *tid;
}

/*
 * The first vector tells the dimensions, and with them how many vectors fit in
 * memory.
 */
static void
set_dims(BuildState *state, int dims)
{
	int			inner_dims = tg_inner_dims(state->opclass->metric, dims);
	Size		bytes = sizeof(float) * (dims + inner_dims) +
		sizeof(ItemPointerData) + 2 * sizeof(EqualVectors_entry) +
		tg_construct_memory(state->meta.degree);

	if (state->meta.guide == TG_GUIDE_KDTREE)
		bytes += sizeof(float) * inner_dims;
	if (state->options.dimensions > 0)
		tg_check_dims(state->index, state->options.dimensions, dims);
	state->dims = dims;
	state->limit = Max((Size) maintenance_work_mem * 1024 / bytes, 100);
	state->limit = Min(state->limit, (int64) TG_MAX_SLOT / 2);
	state->capacity = 0;
}

static void
grow_vectors(BuildState *state)
{
	int64		capacity = Max(1024, state->capacity + state->capacity / 2);
	Size		vectors_size;

	/* One more than the limit: the candidate for equality. */
	capacity = Min(capacity, state->limit + 1);
	vectors_size = sizeof(float) * state->dims * capacity;
	if (state->vectors == NULL)
	{
		state->vectors = tg_alloc(vectors_size);
		state->tids = tg_alloc(sizeof(ItemPointerData) * capacity);
		state->equal = EqualVectors_create(state->context, 1024, state);
	}
	else
	{
		state->vectors = tg_realloc(state->vectors, vectors_size);
		state->tids = tg_realloc(state->tids,
								 sizeof(ItemPointerData) * capacity);
	}
	state->capacity = capacity;
}

static void
add_extra(BuildState *state, uint32 vertex, ItemPointer tid)
{
	if (state->nextra == state->extra_capacity)
	{
		state->extra_capacity = Max(1024, state->extra_capacity * 2);
		state->extra = state->extra == NULL ?
			tg_alloc(sizeof(ExtraTid) * state->extra_capacity) :
			tg_realloc(state->extra, sizeof(ExtraTid) * state->extra_capacity);
	}
	state->extra[state->nextra].vertex = vertex;
	state->extra[state->nextra].tid = *tid;
	state->nextra++;
}

/*
 * Add a vector in memory.
 */
static void
add_vector(BuildState *state, TgSpan span, ItemPointer tid)
{
	EqualVectors_entry *entry;
	bool		found;
	double		norm2;

	if (state->n == state->capacity)
		grow_vectors(state);
	memcpy(state->vectors + (Size) state->n * state->dims, span.values,
		   sizeof(float) * state->dims);
	entry = EqualVectors_insert(state->equal, (uint32) state->n, &found);
	if (found)
	{
		add_extra(state, entry->vertex, tid);
		return;
	}
	state->tids[state->n++] = *tid;
	state->half_exact = state->half_exact && tg_half_exact(span);
	state->half_in_range = state->half_in_range &&
		(state->half_exact || tg_half_in_range(span));
	norm2 = tg_kernels->dot(span.values, span.values, span.dims);
	state->max_norm = Max(state->max_norm, sqrt(norm2));
}

static void flush_graph(BuildState *state);

static void
build_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
			   bool tupleIsAlive, void *arg)
{
	BuildState *state = arg;
	MemoryContext old = MemoryContextSwitchTo(state->row_context);
	TgSpan		span;

	state->rows++;
	if (state->full)
	{
		tg_insert_row(index, values[0], isnull[0], tid, false);
		state->inserted++;
	}
	else if (isnull[0])
		tid_array_add(state, &state->unranked[TG_UNRANKED_NULL], tid);
	else
	{
		span = state->opclass->span(values[0]);
		tg_check_finite(span);
		if (state->dims == 0)
			set_dims(state, span.dims);
		tg_check_dims(index, state->dims, span.dims);
		if (!tg_rankable(state->opclass, span))
			tid_array_add(state, &state->unranked[TG_UNRANKED_NAN], tid);
		else
		{
			MemoryContextSwitchTo(state->context);
			add_vector(state, span, tid);
			if (state->n >= state->limit)
			{
				ereport(NOTICE,
						(errmsg("index \"%s\" no longer fits into maintenance_work_mem after %lld rows",
								RelationGetRelationName(index),
								(long long) state->rows),
						 errdetail("The other rows are inserted one by one, which takes longer."),
						 errhint("Increase maintenance_work_mem to build the index faster.")));
				flush_graph(state);
				begin_phase(state, PHASE_INSERT,
							Max(0, state->expected - state->rows));
				state->full = true;
			}
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->row_context);
	if ((state->rows & 0xFF) == 0)
		report_done(NULL, state->full ? state->inserted : state->rows);
}

/*
 * Inner vectors of all vertices, and their mean.
 */
static float *
embed_all(BuildState *state, double *mean)
{
	const TgGeometry *geometry = &state->info->geometry;
	int			inner_dims = geometry->inner_dims;
	float	   *inner = tg_alloc(sizeof(float) * inner_dims * Max(state->n, 1));

	memset(mean, 0, sizeof(double) * inner_dims);
	for (int64 i = 0; i < state->n; i++)
	{
		float	   *out = inner + (Size) i * inner_dims;
		const float *vector = vector_at(state, i);
		float		norm2 = tg_kernels->dot(vector, vector, state->dims);

		if (geometry->metric == TG_METRIC_COSINE)
			tg_embed_query(geometry, vector, out);
		else
			tg_embed(geometry, vector, norm2, out);
		for (int j = 0; j < inner_dims; j++)
			mean[j] += out[j];
	}
	for (int j = 0; j < inner_dims; j++)
		mean[j] /= Max(state->n, 1);
	return inner;
}

/*
 * Choose the root, the centre that codes refer to: bytes receives its stored
 * vector.
 */
static TgStored
choose_root(TgIndex *info, const double *mean, void *bytes)
{
	int			inner_dims = info->geometry.inner_dims;
	float	   *inner = palloc(sizeof(float) * inner_dims);
	TgStored	stored;

	for (int j = 0; j < inner_dims; j++)
		inner[j] = (float) mean[j];
	stored = tg_store_inner(&info->geometry, info->layout.storage, inner,
							bytes);
	tg_index_set_root(info, bytes, stored.norm2);
	pfree(inner);
	return stored;
}

static void
rotate_all(BuildState *state, float *inner)
{
	int			inner_dims = state->info->geometry.inner_dims;
	float	   *scratch = palloc(sizeof(float) * inner_dims);

	if (state->info->layout.guide == TG_GUIDE_KDTREE)
	{
		Size		size = sizeof(float) * inner_dims * Max(state->n, 1);

		state->inner = tg_alloc(size);
		memcpy(state->inner, inner, size);
	}
	for (int64 i = 0; i < state->n; i++)
	{
		float	   *vector = inner + (Size) i * inner_dims;

		memcpy(scratch, vector, sizeof(float) * inner_dims);
		tg_rotate(&state->info->rotation, scratch, vector);
		if ((i & 0xFFF) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	pfree(scratch);
}

/*
 * How far the data reach in each dimension, for k-d splits.
 */
static float *
ranges_of(const BuildState *state)
{
	int			inner_dims = state->info->geometry.inner_dims;
	const float **vectors = tg_alloc(sizeof(float *) * Max(state->n, 1));
	float	   *ranges = palloc(sizeof(float) * inner_dims);

	for (int64 i = 0; i < state->n; i++)
		vectors[i] = state->inner + (Size) i * inner_dims;
	tg_ranges(vectors, state->n, inner_dims, ranges);
	pfree(vectors);
	return ranges;
}

static int
compare_extra(const void *a, const void *b)
{
	uint32		x = ((const ExtraTid *) a)->vertex;
	uint32		y = ((const ExtraTid *) b)->vertex;

	return (x > y) - (x < y);
}

/*
 * What writing the slots needs to know.
 */
typedef struct Writer
{
	BuildState *state;
	TgBulk		bulk;
	TgListMaker maker;
	uint64		next_tids_slot;	/* number of the next TG_SLOT_TIDS slot */
	char	   *list;
	char	   *vector;
	TgNeighbour *neighbours;
} Writer;

/* A vertex of a layer, as lists refer to it. */
static TgNeighbour
neighbour_at(const BuildState *state, const Layer *layer, uint32 place)
{
	int			inner_dims = state->info->geometry.inner_dims;
	TgNeighbour neighbour = {0};

	neighbour.id = layer->ids[place];
	neighbour.rotated = layer->rotated + (Size) place * inner_dims;
	if (state->inner)
		neighbour.inner = state->inner +
			(Size) layer->vertices[place] * inner_dims;
	return neighbour;
}

/*
 * Begin a vertex in the writer's buffers: header and neighbours.  self is it,
 * place its own in the layer; n for the root.
 */
static TgSlotHeader *
fill_vertex(Writer *writer, int layer_number, uint32 place,
			const TgNeighbour *self)
{
	BuildState *state = writer->state;
	const Layer *layer = &state->layers[layer_number];
	const TgConstructed *graph = layer->graph;
	const uint32 *list = graph->neighbours + (Size) place * graph->degree;
	TgSlotHeader *header = (TgSlotHeader *) writer->list;
	int			count = graph->counts[place];

	memset(writer->list, 0, writer->bulk.layout->list.size);
	header->kind = TG_SLOT_VERTEX;
	header->next = TG_INVALID_VERTEX;
	header->owner = TG_INVALID_VERTEX;
	header->layer = layer_number;
	for (int i = 0; i < count; i++)
		writer->neighbours[i] = neighbour_at(state, layer, list[i]);
	tg_make_list(&writer->maker, header, self, writer->neighbours, count);
	return header;
}

static void
write_vertex(Writer *writer)
{
	const TgLayout *layout = writer->bulk.layout;

	if (layout->vector_inline)
		memcpy(writer->list + layout->vector_offset, writer->vector,
			   layout->vector_size);
	tg_bulk_add(&writer->bulk, writer->list, writer->vector);
}

/*
 * Heap TIDs of a vertex: as many as fit in its slot, the rest in slots that
 * follow all vertices.
 */
static void
fill_tids(Writer *writer, TgSlotHeader *header, ItemPointer first,
		  const ExtraTid *extra, int64 nextra)
{
	const TgLayout *layout = writer->bulk.layout;
	ItemPointer tids = tg_slot_tids(layout, header);
	int64		rest;

	tids[0] = *first;
	header->ntids = Min(1 + nextra, layout->vertex_tids);
	for (int i = 1; i < header->ntids; i++)
		tids[i] = extra[i - 1].tid;
	rest = 1 + nextra - header->ntids;
	if (rest > 0)
	{
		header->next = tg_bulk_id(layout, writer->next_tids_slot);
		writer->next_tids_slot += (rest + layout->slot_tids - 1) /
			layout->slot_tids;
	}
}

/*
 * The chain of TG_SLOT_TIDS slots of one vertex: heap TIDs tids[0 .. n).
 */
static void
write_tids_chain(Writer *writer, TgVertexId owner, const ExtraTid *tids,
				 int64 n)
{
	const TgLayout *layout = writer->bulk.layout;
	TgSlotHeader *header = (TgSlotHeader *) writer->list;

	while (n > 0)
	{
		int			count = Min(n, layout->slot_tids);

		memset(writer->list, 0, layout->list.size);
		header->kind = TG_SLOT_TIDS;
		header->owner = owner;
		writer->next_tids_slot++;
		header->next = n > count ?
			tg_bulk_id(layout, writer->next_tids_slot) : TG_INVALID_VERTEX;
		header->ntids = count;
		for (int i = 0; i < count; i++)
			tg_slot_tids(layout, header)[i] = tids[i].tid;
		tg_bulk_add(&writer->bulk, writer->list, NULL);
		tids += count;
		n -= count;
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Write a layer: its root, then its vertices in their order.
 */
static void
write_layer(Writer *writer, int number, TgStored root, const void *root_bytes,
			const int64 *first_extra)
{
	BuildState *state = writer->state;
	TgIndex    *info = state->info;
	const TgLayout *layout = &info->layout;
	const Layer *layer = &state->layers[number];
	TgNeighbour self = {0};
	TgSlotHeader *header;

	self.inner = info->root_inner;
	self.rotated = info->root_rotated;
	header = fill_vertex(writer, number, (uint32) layer->n, &self);
	header->flags = TG_VERTEX_ROOT;
	header->norm2 = root.norm2;
	header->error = root.error;
	if (number > 0)
		header->below = tg_index_root(info, number - 1);
	memcpy(writer->vector, root_bytes, layout->vector_size);
	write_vertex(writer);

	for (int64 i = 0; i < layer->n; i++)
	{
		uint32		place = layer->order[i];
		uint32		vertex = layer->vertices[place];
		TgSpan		span = {vector_at(state, vertex), state->dims};
		TgStored	stored;

		self = neighbour_at(state, layer, place);
		header = fill_vertex(writer, number, place, &self);
		stored = tg_store(&info->geometry, layout->storage, span,
						  writer->vector);
		header->norm2 = stored.norm2;
		header->error = stored.error;
		if (number > 0)
			header->below = layer[-1].ids[layer->below[place]];
		else
			fill_tids(writer, header, &state->tids[vertex],
					  state->extra + first_extra[vertex],
					  first_extra[vertex + 1] - first_extra[vertex]);
		write_vertex(writer);
		CHECK_FOR_INTERRUPTS();
		if (number == 0 && (i & 0xFF) == 0)
			report_done(NULL, i);
	}
}

/*
 * Write the layers one after the other, then the heap TIDs that are left over.
 */
static void
write_graph(BuildState *state, TgStored root, const void *root_bytes)
{
	TgIndex    *info = state->info;
	const TgLayout *layout = &info->layout;
	const Layer *bottom = &state->layers[0];
	const Layer *top = &state->layers[state->nlayers - 1];
	int64	   *first_extra = tg_alloc(sizeof(int64) * (state->n + 1));
	Writer		writer = {0};

	begin_phase(state, PHASE_WRITE, state->n);

	/* Extra heap TIDs by vertex: those of v are [first_extra[v], [v + 1]). */
	qsort(state->extra, state->nextra, sizeof(ExtraTid), compare_extra);
	for (int64 i = 0; i < state->nextra; i++)
		first_extra[state->extra[i].vertex + 1]++;
	for (int64 i = 0; i < state->n; i++)
		first_extra[i + 1] += first_extra[i];

	writer.state = state;
	writer.list = palloc0(layout->list.size);
	writer.vector = palloc0(layout->vector_size);
	writer.neighbours = palloc(sizeof(TgNeighbour) * layout->degree);
	tg_list_maker_init(&writer.maker, info);
	if (state->inner)
		writer.maker.ranges = ranges_of(state);
	writer.next_tids_slot = top->first_slot + 1 + top->n;
	tg_bulk_begin(&writer.bulk, state->index, MAIN_FORKNUM, layout);
	for (int i = 0; i < state->nlayers; i++)
		write_layer(&writer, i, root, root_bytes, first_extra);

	writer.next_tids_slot = top->first_slot + 1 + top->n;
	for (int64 i = 0; i < bottom->n; i++)
	{
		uint32		number = bottom->order[i];
		int64		inside = layout->vertex_tids - 1;
		int64		nextra = first_extra[number + 1] - first_extra[number];

		if (nextra > inside)
			write_tids_chain(&writer, bottom->ids[number],
							 state->extra + first_extra[number] + inside,
							 nextra - inside);
	}
	tg_bulk_end(&writer.bulk);
}

/*
 * Choose the vertices of a layer: of the one below, those that rise.
 */
static void
choose_vertices(BuildState *state, int number)
{
	Layer	   *layer = &state->layers[number];
	int			inner_dims = state->info->geometry.inner_dims;
	float	   *rotated;

	layer->vertices = tg_alloc(sizeof(uint32) * Max(layer[-1].n, 1));
	layer->below = tg_alloc(sizeof(uint32) * Max(layer[-1].n, 1));
	for (int64 i = 0; i < layer[-1].n; i++)
	{
		uint32		vertex = layer[-1].vertices[i];

		if (tg_highest_layer(state->info, murmurhash32(vertex)) < number)
			continue;
		layer->vertices[layer->n] = vertex;
		layer->below[layer->n++] = i;
	}
	rotated = tg_alloc(sizeof(float) * inner_dims * Max(layer->n, 1));
	for (int64 i = 0; i < layer->n; i++)
		memcpy(rotated + i * inner_dims,
			   layer[-1].rotated + (Size) layer->below[i] * inner_dims,
			   sizeof(float) * inner_dims);
	layer->rotated = rotated;
}

/*
 * Build a layer's graph, and say where its slots will be.
 */
static void
construct_layer(BuildState *state, int number)
{
	Layer	   *layer = &state->layers[number];
	const TgIndex *info = state->info;
	TgConstructParams params = {0};

	params.dims = info->geometry.inner_dims;
	params.degree = info->layout.degree;
	params.ef = state->options.ef_construction;
	params.rule = tg_index_prune_rule(info);
	params.root = info->root_rotated;
	params.progress = number == 0 ? report_done : NULL;
	layer->graph = tg_construct(&params, layer->rotated, (int) layer->n);
	layer->order = tg_alloc(sizeof(uint32) * Max(layer->n, 1));
	tg_graph_order(layer->graph, layer->order);

	layer->first_slot = number == 0 ? 0 :
		layer[-1].first_slot + 1 + layer[-1].n;
	layer->ids = tg_alloc(sizeof(TgVertexId) * Max(layer->n, 1));
	for (int64 i = 0; i < layer->n; i++)
		layer->ids[layer->order[i]] =
			tg_bulk_id(&info->layout, layer->first_slot + 1 + i);
}

/*
 * Build all layers of the graph.
 */
static void
construct_graph(BuildState *state, const float *rotated)
{
	Layer	   *bottom = &state->layers[0];
	TgMetaPage *meta = &state->info->meta;

	begin_phase(state, PHASE_GRAPH, state->n);
	state->nlayers = tg_index_layers(state->info);
	bottom->n = state->n;
	bottom->rotated = rotated;
	bottom->vertices = tg_alloc(sizeof(uint32) * Max(state->n, 1));
	for (int64 i = 0; i < state->n; i++)
		bottom->vertices[i] = (uint32) i;
	for (int i = 0; i < state->nlayers; i++)
	{
		TgVertexId	root;

		if (i > 0)
			choose_vertices(state, i);
		construct_layer(state, i);
		root = tg_bulk_id(&state->info->layout, state->layers[i].first_slot);
		if (i == 0)
			meta->root = root;
		else
			meta->upper_roots[i - 1] = root;
	}
	state->meta = *meta;
}

/*
 * Build the graph of what is in memory, write it, WAL-log it.
 */
static void
flush_graph(BuildState *state)
{
	Relation	index = state->index;

	if (state->dims > 0)
	{
		double	   *mean;
		float	   *inner;
		void	   *root_bytes;
		TgStored	root;

		state->meta.max_norm = (float) state->max_norm;
		tg_meta_set_dims(&state->meta, &state->options, state->dims,
						 state->half_exact, state->half_in_range);
		state->info = tg_index_create(&state->meta);

		mean = palloc(sizeof(double) * state->info->geometry.inner_dims);
		root_bytes = palloc(state->info->layout.vector_size);
		inner = embed_all(state, mean);
		root = choose_root(state->info, mean, root_bytes);
		rotate_all(state, inner);

		construct_graph(state, inner);
		tg_meta_create(index, MAIN_FORKNUM, &state->meta);
		write_graph(state, root, root_bytes);
	}
	else
		tg_meta_create(index, MAIN_FORKNUM, &state->meta);

	if (RelationNeedsWAL(index))
		log_newpage_range(index, MAIN_FORKNUM, 0,
						  RelationGetNumberOfBlocks(index), true);

	for (int kind = 0; kind < TG_UNRANKED_KINDS; kind++)
		for (int64 i = 0; i < state->unranked[kind].n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			tg_unranked_add(index, kind, &state->unranked[kind].tids[i]);
		}

	/* All of it is on pages now. */
	MemoryContextReset(state->context);
	state->vectors = NULL;
	state->inner = NULL;
	memset(state->unranked, 0, sizeof(state->unranked));
}

/*
 * A relation that is truncated and refilled in the transaction that made it
 * is built again in place, with what was cached of it left over.
 */
static void
forget_cached(Relation index)
{
	if (index->rd_amcache)
		pfree(index->rd_amcache);
	index->rd_amcache = NULL;
}

IndexBuildResult *
tg_ambuild(Relation heap, Relation index, IndexInfo *indexInfo)
{
	BuildState	state = {0};
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	MemoryContext old;

	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data",
			 RelationGetRelationName(index));
	forget_cached(index);

	state.index = index;
	state.opclass = tg_opclass_get(index);
	state.options = tg_options_get(index);
	state.meta = tg_meta_initial(index);
	state.half_exact = true;
	state.half_in_range = true;
	state.context = AllocSetContextCreate(CurrentMemoryContext,
										  "togg build", ALLOCSET_DEFAULT_SIZES);
	state.row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "togg build row",
											  ALLOCSET_DEFAULT_SIZES);

	state.expected = Max(0, (int64) heap->rd_rel->reltuples);
	begin_phase(&state, PHASE_LOAD, state.expected);
	result->heap_tuples = table_index_build_scan(heap, index, indexInfo, true,
												 true, build_callback, &state,
												 NULL);
	if (!state.full)
	{
		old = MemoryContextSwitchTo(state.context);
		flush_graph(&state);
		MemoryContextSwitchTo(old);
	}
	result->index_tuples = state.rows;

	begin_phase(&state, TG_PHASE_CALIBRATE, 0);
	tg_calibrate(index);
	forget_cached(index);
	begin_phase(&state, PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE, 0);

	MemoryContextDelete(state.context);
	MemoryContextDelete(state.row_context);
	return result;
}

/*
 * The init fork of an unlogged index: an empty one.
 */
void
tg_ambuildempty(Relation index)
{
	TgMetaPage	meta = tg_meta_initial(index);

	tg_meta_create(index, INIT_FORKNUM, &meta);
	log_newpage_range(index, INIT_FORKNUM, 0, 1, true);
}
