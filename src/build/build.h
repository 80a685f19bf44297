/*-------------------------------------------------------------------------
 *
 * build.h
 *	  CREATE INDEX: what its files share.
 *
 * A build is the work of one process or of several, the leader being the one
 * that runs CREATE INDEX.  All of them go through the same steps, meet between
 * them, and take their shares of each by counters (build.c).  What only one
 * can do, the leader does.
 *
 * TgBuildShared, and the pieces of memory that it names, are seen by all; a
 * TgBuild is each member's own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_BUILD_H
#define TOGG_BUILD_H

#include "am/am.h"
#include "am/columns.h"

#include "access/parallel.h"
#include "access/tableam.h"
#include "portability/instr_time.h"
#include "storage/barrier.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"

#include "graph/construct.h"

/* Phases in pg_stat_progress_create_index. */
#define TG_PHASE_LOAD		2
#define TG_PHASE_PREPARE	3
#define TG_PHASE_GRAPH		4
#define TG_PHASE_FINISH		5
#define TG_PHASE_WRITE		6
#define TG_PHASE_INSERT		7
#define TG_PHASE_LOG		8

/* ---------- memory.c ---------- */

/*
 * Memory that all members see: of the leader's own where it is alone, else a
 * segment of dynamic shared memory.
 */
typedef struct TgPiece
{
	void	   *own;
	dsm_handle	handle;
} TgPiece;

/* Vectors that one member has loaded, or records: up to capacity of them. */
typedef struct TgBlock
{
	TgPiece		piece;
	uint32		n;
	uint32		capacity;
} TgBlock;

#define TG_LOAD_BLOCKS		48

/*
 * Vectors by row numbers: those of the first block first.
 */
typedef struct TgRows
{
	int			dims;
	uint32		n;
	int			nblocks;
	struct
	{
		uint32		first;
		float	   *vectors;
	}		   *blocks;
} TgRows;

/* ---------- load.c ---------- */

/*
 * A row as a slot will have it, and the row number of its vector, or why it has
 * none.  Records of an index are all of the same size: TgBuild.record_size.
 */
typedef struct TgRecord
{
	uint32		row;
	TgRow		stored;
} TgRecord;

#define TG_UNRANKED_ROW(kind)	(PG_UINT32_MAX - (uint32) (kind))

/*
 * What a member has loaded: distinct vectors in blocks, numbered in the order
 * of their coming, and a record of each row.
 */
typedef struct TgLoad
{
	uint32		n;
	int			nblocks;
	TgBlock		blocks[TG_LOAD_BLOCKS];
	int64		nrecords;
	int			nrecord_blocks;
	TgBlock		record_blocks[TG_LOAD_BLOCKS];
	bool		half_exact;		/* would half floats keep all vectors? */
	bool		half_in_range;

	/* Of the member's whole scan. */
	double		heap_tuples;
	int64		index_tuples;
	bool		broken_hot_chain;
} TgLoad;

/* ---------- graph.c ---------- */

/*
 * A layer of the graph, where all see it.  Each has a root of its own, and its
 * vertices are among those of the layer below.
 */
typedef struct TgSharedLayer
{
	uint32		n;
	uint64		first_slot;		/* the root's; then the vertices */
	TgPiece		piece;
} TgSharedLayer;

/* The same as a member sees it: arrays in the piece. */
typedef struct TgLayer
{
	uint32		n;
	uint64		first_slot;
	float	   *rotated;		/* [n][inner_dims] */
	int8	   *coarse;			/* coarse copies of these; NULL if none */
	TgConstructed graph;
	uint32	   *order;			/* [n], in which they are written */
	TgVertexId *ids;			/* [n] */
	uint32	   *vertices;		/* [n], numbers of the vertices on it */
	uint32	   *below;			/* [n], their places in the layer below */
} TgLayer;

/* A chain of slots for heap TIDs that a vertex has no room for. */
typedef struct TgChain
{
	uint32		place;			/* of the vertex in the order of layer 0 */
	uint64		first_slot;
} TgChain;

/* ---------- all members ---------- */

typedef struct TgBuildShared
{
	/* Fixed before anybody else comes. */
	Oid			heap;
	Oid			index;
	bool		concurrent;
	Size		limit;			/* of memory */
	TgLock		locks[TG_TEAM_LOCKS];

	/* The members: how many, once that is known. */
	ConditionVariable begun;
	int			members;		/* 0 until it is known */
	Barrier		barrier;

	/* Loading. */
	pg_atomic_uint32 dims;		/* 0 until known */
	pg_atomic_uint32 full;		/* is memory?  Rows are inserted then */
	pg_atomic_uint64 memory;	/* bytes that what came takes in the end */
	pg_atomic_uint64 rows;
	pg_atomic_uint64 inserted;	/* of these, one by one */

	/* What the leader has found out of all loads. */
	bool		apart;			/* only the leader sees the pieces */
	uint32		n;				/* vertices */
	int64		ntids;			/* heap TIDs of all vertices */
	int64		nchains;
	uint64		nslots;
	TgMetaPage	meta;
	float		far_off;		/* squared distance from the middle */
	float		coarse_step;	/* see graph/coarse.h */
	TgStored	root;
	TgPiece		vertices;		/* see TgBuild */
	TgPiece		centre;
	int			nlayers;
	TgSharedLayer layers[TG_MAX_LAYERS];

	/* What is dealt out in the step that is under way. */
	pg_atomic_uint64 next;

	TgLoad		loads[FLEXIBLE_ARRAY_MEMBER];	/* of each member */
} TgBuildShared;

struct TgLoader;

typedef struct TgBuild
{
	Relation	heap;
	Relation	index;
	IndexInfo  *index_info;
	TgBuildShared *shared;
	int			member;			/* 0: the leader */
	const TgOpclass *opclass;
	TgOptions	options;
	TgMetaPage	initial;		/* metapage of an empty index */
	TgColumns	columns;
	Size		record_size;

	struct TgLoader *loader;
	bool		flushed;		/* what was loaded is on pages */
	bool		together;		/* is the graph built by several? */

	TgIndex    *info;			/* once all vectors are known */

	/* shared->vertices */
	uint32	   *rows;			/* [n], row numbers of vertices' vectors */
	int64	   *first_tid;		/* [n + 1], into stored */
	TgChain    *chains;			/* [nchains], by place and by slot */
	char	   *stored;			/* rows as slots have them, by vertex */

	/* shared->centre */
	double	   *sums;			/* [members][inner_dims + 1]: of inner
								 * vectors not far off, and their number */
	float	   *middle;			/* [inner_dims], about there */
	float	   *middle_rotated; /* [inner_dims] */
	float	   *ranges;			/* [inner_dims], for a k-d guide alone */
	char	   *root_bytes;		/* the root's stored vector */

	TgRows		all;			/* all members' vectors */
	float	   *inner;			/* [n][inner_dims], for a k-d guide alone */
	TgLayer		layers[TG_MAX_LAYERS];
	int			nlayers;

	/* The leader's: rows without a vertex. */
	char	   *unranked[TG_UNRANKED_KINDS];
	int64		nunranked[TG_UNRANKED_KINDS];

	int64		expected;		/* rows of the table, 0 if not known */
	int64		phase;			/* in progress */
	instr_time	phase_start;

	List	   *segments;		/* of shared memory, that are attached */
	MemoryContext context;		/* of all that goes when it is flushed */
	MemoryContext row_context;	/* of one row */
} TgBuild;

/* Number i of rows as slots have them, one after the other. */
static inline TgRow *
tg_build_stored(const TgBuild *build, char *stored, int64 i)
{
	return (TgRow *) (stored + i * build->columns.row_size);
}

static inline bool
tg_build_leader(const TgBuild *build)
{
	return build->member == 0;
}

/* ---------- build.c ---------- */

/* Do a member's part of the whole build; scan is NULL for one alone. */
extern void tg_build_run(TgBuild *build, TableScanDesc scan);

/* Get a member ready, and let go of what it has. */
extern void tg_build_init(TgBuild *build, TgBuildShared *shared, int member,
						  Relation heap, Relation index, IndexInfo *info);
extern void tg_build_end(TgBuild *build);

/* Prepare what all members share; it has room for so many. */
extern Size tg_build_shared_size(int members);
extern void tg_build_shared_init(TgBuildShared *shared, int members,
								 Relation heap, Relation index,
								 IndexInfo *info);

/*
 * Wait until all members that build the graph are here; the leader does what
 * only one can do between two meetings.
 */
extern void tg_build_meet(TgBuild *build);

/*
 * Deal out the numbers below end: returns the first of the next count of them,
 * or end.  The leader begins the deal before a meeting.
 */
extern void tg_build_deal(TgBuild *build);
extern uint64 tg_build_next(TgBuild *build, uint64 count, uint64 end);

/* The leader enters a phase, and tells how far it is. */
extern void tg_build_phase(TgBuild *build, int64 phase, int64 total);
extern void tg_build_progress(TgBuild *build, int64 done);

/* ---------- load.c ---------- */

/* Begin to load; take a row, or say that memory is full. */
extern void tg_load_begin(TgBuild *build);
extern bool tg_load_row(TgBuild *build, Datum value, bool isnull,
						const TgRow *stored);

/* There is nothing more to load. */
extern void tg_load_end(TgBuild *build);

/* ---------- merge.c ---------- */

/*
 * The leader makes vertices of what all have loaded, of equal vectors one, and
 * allocates the memory for the rest of the build.  Then the others see it.
 */
extern void tg_merge(TgBuild *build);
extern void tg_merge_attach(TgBuild *build);

/* ---------- disk.c ---------- */

/* Warn if there seems to be no room for the index, once it is laid out. */
extern void tg_build_check_disk(const TgBuild *build);

/* ---------- codes.c ---------- */

/*
 * Do codes tell near from far, for vectors like those that were loaded?  Looks
 * at the inner vectors.
 */
extern bool tg_build_codes_tell(TgBuild *build);

/* ---------- graph.c ---------- */

/* Is the vertex on this layer, which is above 0? */
extern bool tg_build_rises(const TgIndex *info, uint32 vertex, int layer);

/* Size of, and the arrays in, a layer's piece. */
extern Size tg_layer_size(const TgIndex *info, int number, uint32 n);
extern void tg_layer_map(TgBuild *build, int number);

/* A row's inner vector. */
extern void tg_build_embed(const TgBuild *build, uint32 row, float *inner);

/* Where the root will be, about: mean[inner_dims]. */
extern void tg_build_sample_mean(const TgBuild *build, float *mean);

/* Build all layers of the graph, and say in which order they are written. */
extern void tg_build_graph(TgBuild *build);

/* ---------- write.c ---------- */

/* Write the pages of the graph. */
extern void tg_build_write(TgBuild *build);

/* WAL-log all pages. */
extern void tg_build_log(TgBuild *build);

/* ---------- memory.c ---------- */

/* Bytes of a build of so many members for each vertex, and for each row. */
extern Size tg_build_vertex_memory(const TgMetaPage *meta, int dims,
								   int members);
extern Size tg_build_row_memory(Size row_size);

/*
 * Allocate a piece, which is not zeroed: for all members, or NULL where shared
 * memory cannot be had; for the leader alone.
 */
extern void *tg_piece_alloc(TgBuild *build, TgPiece *piece, Size size);
extern void *tg_piece_alloc_own(TgBuild *build, TgPiece *piece, Size size);

/* Where it is in this process. */
extern void *tg_piece_address(TgBuild *build, const TgPiece *piece);
extern void tg_pieces_detach(TgBuild *build);

/* Add a load's vectors; rows->blocks has room. */
extern void tg_rows_add(TgBuild *build, TgRows *rows, const TgLoad *load);

static inline float *
tg_row(const TgRows *rows, uint32 row)
{
	int			low = 0;
	int			high = rows->nblocks - 1;

	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (rows->blocks[middle].first <= row)
			low = middle;
		else
			high = middle - 1;
	}
	return rows->blocks[low].vectors +
		(Size) (row - rows->blocks[low].first) * rows->dims;
}

/* ---------- parallel.c ---------- */

/* How many workers a build may have. */
extern int	tg_build_workers(Relation heap, Relation index, IndexInfo *info);

/*
 * Build with workers; false, and nothing done, if there are none to be had.
 */
extern bool tg_build_parallel(Relation heap, Relation index, IndexInfo *info,
							  int workers, IndexBuildResult *result);

extern PGDLLEXPORT void tg_build_worker(dsm_segment *segment, shm_toc *toc);

#endif							/* TOGG_BUILD_H */
