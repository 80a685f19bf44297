/*-------------------------------------------------------------------------
 *
 * memory.c
 *	  The memory of a build: what it will take, and pieces of it that all
 *	  members see.
 *
 * Pieces of shared memory are segments of their own, which can be made when it
 * is known how large they have to be.  A system that has not got so much
 * shared memory (a container's /dev/shm is often small) says so by an error; it
 * is caught here, and the build goes on by another way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "optimizer/paths.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(togg_estimate_build_memory);

Size
tg_build_row_memory(Size row_size)
{
	/* As it is loaded, and as its vertex has it. */
	return TYPEALIGN(sizeof(uint32), offsetof(TgRecord, stored) + row_size) +
		row_size;
}

Size
tg_build_vertex_memory(const TgMetaPage *meta, int dims, int members)
{
	int			inner_dims = tg_inner_dims(meta->metric, dims);
	int			m = meta->degree / 2;
	Size		graph = sizeof(float) * inner_dims +
		sizeof(TgLink) * (meta->degree + meta->degree / 2) + sizeof(uint16) +
		sizeof(uint32) + sizeof(TgVertexId);
	Size		bytes = sizeof(float) * dims + sizeof(uint32) + sizeof(int64);

	if (inner_dims >= TG_COARSE_LEAST_DIMS)
		graph += tg_coarse_stride(inner_dims);

	/* Upper layers are copies: 1/m of the vertices on each. */
	if (meta->graph == TG_GRAPH_HNSW)
		graph += (graph + 2 * sizeof(uint32)) / (m - 1) + 1;
	if (meta->guide == TG_GUIDE_KDTREE)
		bytes += sizeof(float) * inner_dims;

	/* A hash table finds equal vectors, before searches mark the visited. */
	return bytes + graph +
		Max(2 * 3 * sizeof(uint32),
			members * tg_construct_memory() + 2 * sizeof(uint32));
}

/*
 * togg_estimate_build_memory(rows bigint, dimensions integer, options text[])
 * returns bigint
 *
 * Bytes of maintenance_work_mem that a build takes to hold all of so many rows
 * with different vectors; options as in WITH, or as pg_class.reloptions has
 * them.
 */
Datum
togg_estimate_build_memory(PG_FUNCTION_ARGS)
{
	int64		rows = PG_GETARG_INT64(0);
	int32		dims = PG_GETARG_INT32(1);
	TgOptions  *options = (TgOptions *) tg_amoptions(PG_GETARG_DATUM(2), true);
	TgMetaPage	meta = {0};
	Size		bytes;

	if (rows < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of rows must not be negative"),
				 errdetail("It is " INT64_FORMAT ".", rows)));
	if (dims < 1 || dims > TG_MAX_DIMS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of dimensions must be between 1 and %d",
						TG_MAX_DIMS),
				 errdetail("It is %d.", dims)));
	meta.metric = TG_METRIC_L2;
	meta.degree = tg_degree_for_m(options->m);
	meta.graph = options->graph;
	meta.guide = options->guide;
	bytes = tg_build_row_memory(sizeof(ItemPointerData)) +
		tg_build_vertex_memory(&meta, dims,
							   max_parallel_maintenance_workers + 1);
	if (rows > PG_INT64_MAX / (int64) bytes)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bigint out of range")));
	PG_RETURN_INT64(rows * (int64) bytes);
}

/*
 * Make a segment of dynamic shared memory, or return NULL if there is no room
 * for it.
 *
 * Whatever error is raised in here, it is that the segment could not be made,
 * and nothing shared was changed.  What is left of the attempt in this process
 * goes with a resource owner of its own.
 */
static dsm_segment *
create_segment(Size size)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ResourceOwner attempt = ResourceOwnerCreate(owner, "togg build memory");
	dsm_segment *volatile segment = NULL;

	CurrentResourceOwner = attempt;
	PG_TRY();
	{
		segment = dsm_create(size, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		if (segment)
			dsm_pin_mapping(segment);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		segment = NULL;
	}
	PG_END_TRY();
	ResourceOwnerRelease(attempt, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	CurrentResourceOwner = owner;
	ResourceOwnerDelete(attempt);
	CHECK_FOR_INTERRUPTS();

	if (segment)
		dsm_unpin_mapping(segment);
	return segment;
}

static void *
remember_segment(TgBuild *build, dsm_segment *segment)
{
	MemoryContext old = MemoryContextSwitchTo(build->context);

	build->segments = lappend(build->segments, segment);
	MemoryContextSwitchTo(old);
	return dsm_segment_address(segment);
}

void *
tg_piece_alloc_own(TgBuild *build, TgPiece *piece, Size size)
{
	piece->own = MemoryContextAllocHuge(build->context, Max(size, 1));
	return piece->own;
}

void *
tg_piece_alloc(TgBuild *build, TgPiece *piece, Size size)
{
	dsm_segment *segment;

	if (build->shared->members == 1)
		return tg_piece_alloc_own(build, piece, size);
	segment = create_segment(Max(size, 1));
	if (segment == NULL)
		return NULL;
	piece->handle = dsm_segment_handle(segment);
	return remember_segment(build, segment);
}

void *
tg_piece_address(TgBuild *build, const TgPiece *piece)
{
	dsm_segment *segment;

	if (piece->own)
		return piece->own;
	segment = dsm_find_mapping(piece->handle);
	if (segment)
		return dsm_segment_address(segment);
	segment = dsm_attach(piece->handle);
	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not map dynamic shared memory segment")));
	return remember_segment(build, segment);
}

void
tg_pieces_detach(TgBuild *build)
{
	ListCell   *cell;

	foreach(cell, build->segments)
		dsm_detach(lfirst(cell));
	list_free(build->segments);
	build->segments = NIL;
}

void
tg_rows_add(TgBuild *build, TgRows *rows, const TgLoad *load)
{
	for (int i = 0; i < load->nblocks; i++)
	{
		const TgBlock *block = &load->blocks[i];

		if (block->n == 0)
			continue;
		rows->blocks[rows->nblocks].first = rows->n;
		rows->blocks[rows->nblocks++].vectors =
			tg_piece_address(build, &block->piece);
		rows->n += block->n;
	}
}
