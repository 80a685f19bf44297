/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  Vertices of what all members have loaded, and memory for their graph.
 *
 * The leader does this alone: beside building the graph it takes no time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include <math.h>

#include "build/equal.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "graph/order.h"

/* Vectors that are looked at to choose the sphere of inner product. */
#define SPHERE_SAMPLE	4096

/*
 * See all members' vectors.
 */
static void
attach_rows(TgBuild *build)
{
	TgBuildShared *shared = build->shared;
	int			nblocks = 0;

	for (int i = 0; i < shared->members; i++)
		nblocks += shared->loads[i].nblocks;
	build->all.dims = pg_atomic_read_u32(&shared->dims);
	build->all.blocks = MemoryContextAlloc(build->context,
										   sizeof(*build->all.blocks) *
										   Max(nblocks, 1));
	for (int i = 0; i < shared->members; i++)
		tg_rows_add(build, &build->all, &shared->loads[i]);
}

/*
 * Give each distinct row a vertex number.  Returns vertices by row number, and
 * in *n how many there are.
 */
static uint32 *
number_vertices(TgBuild *build, uint32 *n)
{
	TgRows	   *all = &build->all;
	uint32	   *vertices = MemoryContextAllocHuge(build->context,
												  sizeof(uint32) *
												  Max((Size) all->n, 1));

	*n = 0;
	if (build->shared->members == 1)
	{
		for (; *n < all->n; (*n)++)
			vertices[*n] = *n;
	}
	else
	{
		EqualVectors_hash *equal = EqualVectors_create(build->context,
													   all->n, all);

		for (uint32 row = 0; row < all->n; row++)
		{
			bool		found;
			EqualVectors_entry *entry = EqualVectors_insert(equal, row, &found);

			vertices[row] = found ? vertices[entry->row] : (*n)++;
			if ((row & 0xFFF) == 0)
				CHECK_FOR_INTERRUPTS();
		}
		EqualVectors_destroy(equal);
	}
	return vertices;
}

static void
add_unranked(TgBuild *build, int kind, const TgRow *stored)
{
	Size		size = build->columns.row_size;
	int64		n = build->nunranked[kind]++;

	/* Room is doubled when it is full, which is at powers of two. */
	if (n == 0)
		build->unranked[kind] = palloc(size);
	else if ((n & (n - 1)) == 0)
		build->unranked[kind] = repalloc_huge(build->unranked[kind],
											  size * 2 * n);
	memcpy(tg_build_stored(build, build->unranked[kind], n), stored, size);
}

#define NO_VERTEX	PG_UINT32_MAX

/*
 * Call back for each record of all loads, with its vertex.
 */
static void
each_record(TgBuild *build, const uint32 *vertices, int64 *next,
			void (*callback) (TgBuild *build, const TgRecord *record,
							  uint32 vertex, int64 *next))
{
	uint32		first = 0;

	for (int i = 0; i < build->shared->members; i++)
	{
		const TgLoad *load = &build->shared->loads[i];

		for (int b = 0; b < load->nrecord_blocks; b++)
		{
			const char *records =
				tg_piece_address(build, &load->record_blocks[b].piece);

			for (uint32 j = 0; j < load->record_blocks[b].n; j++)
			{
				const TgRecord *record = (const TgRecord *)
					(records + build->record_size * j);

				callback(build, record, record->row < load->n ?
						 vertices[first + record->row] : NO_VERTEX, next);
				if ((j & 0xFFF) == 0)
					CHECK_FOR_INTERRUPTS();
			}
		}
		first += load->n;
	}
}

/* Count rows by vertex, and take those that have none. */
static void
count_record(TgBuild *build, const TgRecord *record, uint32 vertex,
			 int64 *counts)
{
	if (vertex == NO_VERTEX)
		add_unranked(build, PG_UINT32_MAX - record->row, &record->stored);
	else
		counts[vertex]++;
}

/* Put a row next to its vertex's others. */
static void
place_record(TgBuild *build, const TgRecord *record, uint32 vertex,
			 int64 *next)
{
	if (vertex != NO_VERTEX)
		memcpy(tg_build_stored(build, build->stored, next[vertex]++),
			   &record->stored, build->columns.row_size);
}

/*
 * Inner product: the radius of the sphere on which vectors are put.
 *
 * The nearest of a query are among the longest vectors.  A sphere as large as
 * those lets all others crowd round its pole, where a query tells none from the
 * next; on one too small, vectors beyond it are ranked by it alone, and linked by
 * their plain distance.  Nine vectors of ten inside is best, or nearly, on all
 * data measured.
 */
static float
choose_sphere(TgBuild *build)
{
	const TgRows *all = &build->all;
	int			nsample = Min(all->n, SPHERE_SAMPLE);
	float	   *norms = palloc(sizeof(float) * (nsample + 1));
	float		sphere;

	if (nsample == 0)
		return 0;				/* the first insert chooses */
	for (int i = 0; i < nsample; i++)
	{
		const float *vector = tg_row(all, (uint64) i * all->n / nsample);

		norms[i] = tg_kernels->dot(vector, vector, all->dims);
	}
	qsort(norms, nsample, sizeof(float), tg_compare_floats);
	sphere = sqrtf(norms[nsample - 1 - nsample / 10]);
	pfree(norms);
	return sphere > 0 ? sphere : 1;
}

/*
 * The metapage of the index, with all that does not depend on the graph.
 */
static void
choose_format(TgBuild *build)
{
	TgBuildShared *shared = build->shared;
	bool		half_exact = true;
	bool		half_in_range = true;

	for (int i = 0; i < shared->members; i++)
	{
		const TgLoad *load = &shared->loads[i];

		half_exact = half_exact && load->half_exact;
		half_in_range = half_in_range && load->half_in_range;
	}
	if (shared->meta.metric == TG_METRIC_IP)
		shared->meta.sphere = choose_sphere(build);
	tg_meta_set_dims(&shared->meta, &build->options, build->all.dims,
					 half_exact, half_in_range);
	build->info = tg_index_create(&shared->meta);

	/* Where codes do not tell neighbours apart, nor would rounded vectors. */
	if (build->options.bits == TG_BITS_AUTO && !tg_build_codes_tell(build))
	{
		TgOptions	options = build->options;

		options.bits = 0;
		tg_meta_set_dims(&shared->meta, &options, build->all.dims, half_exact,
						 half_exact);
		build->info = tg_index_create(&shared->meta);
	}
}

/*
 * Count the vertices of each layer, and say where their slots will be.
 */
static void
lay_out_layers(TgBuild *build)
{
	TgBuildShared *shared = build->shared;
	TgMetaPage *meta = &shared->meta;
	uint64		slot = 0;

	shared->nlayers = tg_index_layers(build->info);
	for (int i = 0; i < shared->nlayers; i++)
	{
		TgSharedLayer *layer = &shared->layers[i];
		TgVertexId	root = tg_bulk_id(&build->info->layout, slot);

		layer->n = shared->n;
		if (i > 0)
		{
			layer->n = 0;
			for (uint32 vertex = 0; vertex < shared->n; vertex++)
				layer->n += tg_build_rises(build->info, vertex, i);
			meta->upper_roots[i - 1] = root;
		}
		else
			meta->root = root;
		layer->first_slot = slot;
		slot += 1 + (uint64) layer->n;
	}
	shared->nslots = slot;
	build->info->meta = *meta;
}

/*
 * Count the chains that rows need beside their vertices, and their slots,
 * which come after all others.
 */
static void
count_chains(TgBuild *build, const int64 *counts)
{
	TgBuildShared *shared = build->shared;
	const TgLayout *layout = &build->info->layout;

	shared->nchains = 0;
	shared->ntids = 0;
	for (uint32 vertex = 0; vertex < shared->n; vertex++)
	{
		int64		rest = counts[vertex] - layout->vertex_tids;

		shared->ntids += counts[vertex];
		if (rest > 0)
		{
			shared->nchains++;
			shared->nslots += (rest + layout->slot_tids - 1) / layout->slot_tids;
		}
	}
}

/*
 * The arrays in the pieces that are not a layer's: see TgBuild.
 */
static Size
vertices_size(const TgBuild *build)
{
	const TgBuildShared *shared = build->shared;

	return MAXALIGN(sizeof(int64) * ((Size) shared->n + 1)) +
		MAXALIGN(sizeof(TgChain) * shared->nchains) +
		MAXALIGN(sizeof(uint32) * (Size) shared->n) +
		build->columns.row_size * (Size) shared->ntids;
}

static Size
centre_size(const TgBuildShared *shared, const TgIndex *info)
{
	Size		inner_dims = info->geometry.inner_dims;

	return sizeof(double) * (inner_dims + 1) * shared->members +
		3 * MAXALIGN(sizeof(float) * inner_dims) + info->layout.vector_size;
}

static void
map_pieces(TgBuild *build)
{
	TgBuildShared *shared = build->shared;
	Size		inner_dims = build->info->geometry.inner_dims;
	char	   *bytes = tg_piece_address(build, &shared->vertices);

	build->first_tid = (int64 *) bytes;
	bytes += MAXALIGN(sizeof(int64) * ((Size) shared->n + 1));
	build->chains = (TgChain *) bytes;
	bytes += MAXALIGN(sizeof(TgChain) * shared->nchains);
	build->rows = (uint32 *) bytes;
	bytes += MAXALIGN(sizeof(uint32) * (Size) shared->n);
	build->stored = bytes;

	bytes = tg_piece_address(build, &shared->centre);
	build->sums = (double *) bytes;
	bytes += sizeof(double) * (inner_dims + 1) * shared->members;
	build->middle = (float *) bytes;
	bytes += MAXALIGN(sizeof(float) * inner_dims);
	build->middle_rotated = (float *) bytes;
	bytes += MAXALIGN(sizeof(float) * inner_dims);
	build->ranges = (float *) bytes;
	bytes += MAXALIGN(sizeof(float) * inner_dims);
	build->root_bytes = bytes;

	build->nlayers = shared->nlayers;
	for (int i = 0; i < build->nlayers; i++)
		tg_layer_map(build, i);
}

/*
 * Allocate all pieces, by the one way or the other.
 */
static bool
allocate_pieces(TgBuild *build,
				void *(*alloc) (TgBuild *build, TgPiece *piece, Size size))
{
	TgBuildShared *shared = build->shared;

	if (!alloc(build, &shared->vertices, vertices_size(build)) ||
		!alloc(build, &shared->centre, centre_size(shared, build->info)))
		return false;
	for (int i = 0; i < shared->nlayers; i++)
		if (!alloc(build, &shared->layers[i].piece,
				   tg_layer_size(build->info, i, shared->layers[i].n)))
			return false;
	return true;
}

static void
allocate_graph(TgBuild *build)
{
	TgBuildShared *shared = build->shared;

	if (allocate_pieces(build, tg_piece_alloc))
		return;
	ereport(NOTICE,
			(errmsg("index \"%s\": not enough shared memory for its graph",
					RelationGetRelationName(build->index)),
			 errdetail("The graph of %u vectors is built by one process.",
					   shared->n),
			 errhint("Where shared memory is in /dev/shm, make that larger.")));
	shared->apart = true;
	(void) allocate_pieces(build, tg_piece_alloc_own);
}

/*
 * Give rows to their vertices.
 */
static void
place_tids(TgBuild *build, const uint32 *vertices, int64 *counts)
{
	int64		first = 0;

	for (uint32 vertex = 0; vertex < build->shared->n; vertex++)
	{
		build->first_tid[vertex] = first;
		first += counts[vertex];
		counts[vertex] = build->first_tid[vertex];
	}
	build->first_tid[build->shared->n] = first;
	each_record(build, vertices, counts, place_record);
}

void
tg_merge(TgBuild *build)
{
	TgBuildShared *shared = build->shared;
	uint32	   *vertices;
	int64	   *counts;

	attach_rows(build);
	vertices = number_vertices(build, &shared->n);
	counts = tg_alloc(sizeof(int64) * ((Size) shared->n + 1));
	each_record(build, vertices, counts, count_record);
	shared->meta = build->initial;

	/* Without a vector, but some to come, the first of them decides. */
	if (shared->n > 0 ||
		(build->all.dims > 0 && pg_atomic_read_u32(&shared->full) == 0))
	{
		choose_format(build);
		lay_out_layers(build);
		count_chains(build, counts);
		allocate_graph(build);
		map_pieces(build);
		place_tids(build, vertices, counts);
		for (uint32 row = build->all.n; row-- > 0;)
			build->rows[vertices[row]] = row;
	}
	pfree(counts);
	pfree(vertices);
}

void
tg_merge_attach(TgBuild *build)
{
	attach_rows(build);
	build->info = tg_index_create(&build->shared->meta);
	map_pieces(build);
}
