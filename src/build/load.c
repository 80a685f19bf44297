/*-------------------------------------------------------------------------
 *
 * load.c
 *	  The first step of a build: rows into memory.
 *
 * Each member puts what it reads of the table into blocks of its own, a vector
 * that it has seen before only once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include <math.h>

#include "build/equal.h"
#include "utils/memutils.h"

/* Smallest block, and how many a member loads in any case. */
#define MIN_BLOCK_BYTES		((Size) 1024 * 1024)
#define MIN_ROWS			100

/*
 * A member's loading, in its own memory.
 */
typedef struct TgLoader
{
	TgLoad	   *load;			/* what others will see */
	TgRows		rows;			/* its vectors, and then the candidate */
	EqualVectors_hash *equal;
	char	   *records;		/* of the last block */
	Size		limit;			/* of the memory that all members take */
	Size		vertex_memory;
	Size		row_memory;
	MemoryContext context;
} TgLoader;

void
tg_load_begin(TgBuild *build)
{
	TgLoader   *loader = palloc0(sizeof(TgLoader));

	loader->context = AllocSetContextCreate(build->context, "togg load",
											ALLOCSET_DEFAULT_SIZES);
	loader->load = &build->shared->loads[build->member];
	loader->load->half_exact = true;
	loader->load->half_in_range = true;
	loader->limit = build->shared->limit;
	loader->row_memory = tg_build_row_memory(build->columns.row_size);
	build->loader = loader;
}

/*
 * The first vector tells the dimensions, and what a vertex will take.
 */
static void
set_dims(TgBuild *build, int dims)
{
	TgLoader   *loader = build->loader;
	uint32		known = 0;

	if (build->options.dimensions > 0)
		tg_check_dims(build->index, build->options.dimensions, dims);
	if (!pg_atomic_compare_exchange_u32(&build->shared->dims, &known, dims))
		tg_check_dims(build->index, known, dims);
	loader->rows.dims = dims;
	loader->rows.blocks = MemoryContextAlloc(loader->context,
											 sizeof(*loader->rows.blocks) *
											 TG_LOAD_BLOCKS);
	loader->equal = EqualVectors_create(loader->context, 1024, &loader->rows);
	loader->vertex_memory = tg_build_vertex_memory(&build->initial, dims,
												   build->shared->members);
	loader->limit = Min(loader->limit,
						(Size) (TG_MAX_SLOT / 2) * loader->vertex_memory);
}

/*
 * Count what a row will take.  False if that is more than there is.
 */
static bool
take_memory(TgBuild *build, Size bytes)
{
	return pg_atomic_add_fetch_u64(&build->shared->memory, bytes) <=
		build->loader->limit;
}

/*
 * Have room for one more item of a load, n of which are in blocks already.
 * Returns the last block's items, NULL if there is no memory for another.
 *
 * The first block is for the member's share of the rows that the table is said
 * to have, each of the others for half of what there is.  What does not fit in
 * memory is not asked for; a member that comes out short of the others adds
 * another block.
 */
static void *
grow(TgBuild *build, TgBlock *blocks, int *nblocks, int64 n, Size item_size,
	 Size item_memory)
{
	TgBuildShared *shared = build->shared;
	uint64		used = pg_atomic_read_u64(&shared->memory);
	uint64		left = shared->limit > used ? shared->limit - used : 0;
	uint64		capacity = n > 0 ? n / 2 :
		(build->expected + build->expected / 16) / shared->members;
	TgBlock    *block = &blocks[*nblocks];
	void	   *items;

	if (*nblocks == TG_LOAD_BLOCKS)
		return NULL;
	capacity = Max(capacity, MIN_BLOCK_BYTES / item_size);
	capacity = Min(capacity, left / item_memory / shared->members);
	capacity = Max(capacity, MIN_ROWS);

	items = tg_piece_alloc(build, &block->piece, item_size * capacity);
	if (items == NULL)
		return NULL;
	block->capacity = capacity;
	(*nblocks)++;
	return items;
}

static bool
block_is_full(const TgBlock *blocks, int nblocks)
{
	return nblocks == 0 ||
		blocks[nblocks - 1].n == blocks[nblocks - 1].capacity;
}

static bool
room_for_vector(TgBuild *build)
{
	TgLoader   *loader = build->loader;
	TgLoad	   *load = loader->load;
	TgRows	   *rows = &loader->rows;
	float	   *vectors;

	if (!block_is_full(load->blocks, load->nblocks))
		return true;
	vectors = grow(build, load->blocks, &load->nblocks, load->n,
				   sizeof(float) * rows->dims, loader->vertex_memory);
	if (vectors == NULL)
		return false;
	rows->blocks[rows->nblocks].first = load->n;
	rows->blocks[rows->nblocks++].vectors = vectors;
	return true;
}

static bool
room_for_record(TgBuild *build)
{
	TgLoader   *loader = build->loader;
	TgLoad	   *load = loader->load;
	char	   *records;

	if (!block_is_full(load->record_blocks, load->nrecord_blocks))
		return true;
	records = grow(build, load->record_blocks, &load->nrecord_blocks,
				   load->nrecords, build->record_size, loader->row_memory);
	if (records == NULL)
		return false;
	loader->records = records;
	return true;
}

/* Add a row.  There is room for it. */
static void
add_record(TgBuild *build, uint32 row, const TgRow *stored)
{
	TgLoader   *loader = build->loader;
	TgLoad	   *load = loader->load;
	TgBlock    *block = &load->record_blocks[load->nrecord_blocks - 1];
	TgRecord   *record = (TgRecord *)
		(loader->records + build->record_size * block->n++);

	record->row = row;
	memcpy(&record->stored, stored, build->columns.row_size);
	load->nrecords++;
}

/*
 * Add a vector, or find it.  There is room for it.
 */
static uint32
add_vector(TgBuild *build, TgSpan span)
{
	TgLoader   *loader = build->loader;
	TgLoad	   *load = loader->load;
	EqualVectors_entry *entry;
	bool		found;

	memcpy(tg_row(&loader->rows, load->n), span.values,
		   sizeof(float) * span.dims);
	entry = EqualVectors_insert(loader->equal, load->n, &found);
	if (found)
		return entry->row;
	take_memory(build, loader->vertex_memory);
	load->half_exact = load->half_exact && tg_half_exact(span);
	load->half_in_range = load->half_in_range &&
		(load->half_exact || tg_half_in_range(span));
	load->blocks[load->nblocks - 1].n++;
	return load->n++;
}

bool
tg_load_row(TgBuild *build, Datum value, bool isnull, const TgRow *stored)
{
	TgLoader   *loader = build->loader;
	TgSpan		span;

	/* However little memory there is, a few rows fit. */
	if (!take_memory(build, loader->row_memory) &&
		loader->load->nrecords >= MIN_ROWS)
		return false;
	if (!room_for_record(build))
		return false;
	if (isnull)
	{
		add_record(build, TG_UNRANKED_ROW(TG_UNRANKED_NULL), stored);
		return true;
	}

	span = build->opclass->span(value);
	tg_check_finite(span);
	if (loader->rows.dims == 0)
		set_dims(build, span.dims);
	tg_check_dims(build->index, loader->rows.dims, span.dims);
	if (!tg_rankable(build->opclass, span))
	{
		add_record(build, TG_UNRANKED_ROW(TG_UNRANKED_NAN), stored);
		return true;
	}
	if (!room_for_vector(build))
		return false;
	add_record(build, add_vector(build, span), stored);
	return true;
}

void
tg_load_end(TgBuild *build)
{
	MemoryContextDelete(build->loader->context);
	pfree(build->loader);
	build->loader = NULL;
}
