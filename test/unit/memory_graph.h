/*-------------------------------------------------------------------------
 *
 * memory_graph.h
 *	  A graph in memory for the search to walk, laid out in blocks as search.h
 *	  describes, which watches how it is used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_MEMORY_GRAPH_H
#define TOGG_MEMORY_GRAPH_H

#include "shim.h"

#include "code/rabitq.h"
#include "graph/search.h"

/*
 * Vertex i has the number last_id - i, so that numbers can lie at the far end
 * of what there is.
 */
typedef struct MemoryGraph
{
	TgGraph		graph;
	int			n;				/* vertices, with the root */
	int			dims;
	int			degree;			/* room of a list */
	TgVertexId	last_id;

	/* The vertices. */
	const float *vectors;
	float	   *keys;			/* if there are no vectors, the distances */
	int		   *degrees;
	int		   *nclusters;
	TgDivision *divisions;
	float	   *split_at;
	char	   *blocks;
	bool	   *gone;			/* open() says false */
	bool	   *dead;			/* no rows to return */

	/* The query, and what came of it. */
	const float *query;
	int			open_vertex;	/* -1 if none */
	int			nopens;
	int		   *opens;			/* of each vertex */
	int		   *distances;		/* computed, of each vertex */
	int		   *opened;			/* the first of them, in order */
	int		   *halves;			/* prefetched, of each vertex, in order */
	int			nprefetches;
	int			prefetch_hits;	/* opens of what was prefetched whole */
	int			prefetch_self;	/* prefetches of the open vertex */
	int		   *reads;			/* asked for ahead, of each vertex */
	int			late_reads;		/* of what had been opened already */
	bool		sound;			/* no call that breaks the rules */
} MemoryGraph;

#define MAX_OPENED		64

static inline bool
memory_open(TgGraph *graph, TgVertexId id, TgVertexView *view)
{
	MemoryGraph *memory = (MemoryGraph *) graph;
	TgVertexId	i = memory->last_id - id;

	if (memory->open_vertex >= 0 || i >= (TgVertexId) memory->n)
	{
		memory->sound = false;
		return false;
	}
	memory->prefetch_hits += memory->halves[i] == 2;
	if (memory->nopens < MAX_OPENED)
		memory->opened[memory->nopens] = i;
	memory->nopens++;
	memory->opens[i]++;
	if (memory->gone[i])
		return false;
	memory->open_vertex = i;
	view->id = id;
	view->degree = memory->degrees[i];
	view->nclusters = memory->nclusters[i];
	view->division = &memory->divisions[i];
	view->split_at = memory->split_at[i];
	view->blocks = memory->blocks + (Size) i *
		(memory->degree / TG_BLOCK_LANES) * graph->shape.block_size;
	return true;
}

static inline float
memory_distance(TgGraph *graph, const TgVertexView *view, TgResult *result,
				bool *live)
{
	MemoryGraph *memory = (MemoryGraph *) graph;
	int			i = memory->open_vertex;
	float		key;

	if (i < 0 || memory->last_id - view->id != (TgVertexId) i)
	{
		memory->sound = false;
		return 0.0f;
	}
	memory->distances[i]++;
	key = memory->vectors == NULL ? memory->keys[i] :
		tg_kernels->l2sq(memory->query, memory->vectors + (Size) i * memory->dims,
						 memory->dims);
	result->distance = sqrt(key);
	result->error = 0.0f;
	result->payload = (uint64) i + 1;
	*live = !memory->dead[i];
	return key;
}

static inline void
memory_close(TgGraph *graph)
{
	MemoryGraph *memory = (MemoryGraph *) graph;

	memory->sound &= memory->open_vertex >= 0;
	memory->open_vertex = -1;
}

static inline void
memory_prefetch(TgGraph *graph, TgVertexId id, int half)
{
	MemoryGraph *memory = (MemoryGraph *) graph;
	TgVertexId	i = memory->last_id - id;

	memory->sound &= i < (TgVertexId) memory->n && half == memory->halves[i]++;
	memory->prefetch_self += memory->open_vertex >= 0 &&
		i == (TgVertexId) memory->open_vertex;
	memory->nprefetches++;
}

static inline void
memory_read_ahead(TgGraph *graph, TgVertexId id)
{
	MemoryGraph *memory = (MemoryGraph *) graph;
	TgVertexId	i = memory->last_id - id;

	memory->sound &= i < (TgVertexId) memory->n;
	memory->late_reads += memory->opens[i] > 0;
	memory->reads[i]++;
}

/* Forget what was watched. */
static inline void
memory_reset(MemoryGraph *memory)
{
	memory->open_vertex = -1;
	memory->nopens = 0;
	memset(memory->opens, 0, sizeof(int) * memory->n);
	memset(memory->distances, 0, sizeof(int) * memory->n);
	memset(memory->reads, 0, sizeof(int) * memory->n);
	memset(memory->halves, 0, sizeof(int) * memory->n);
	memory->nprefetches = 0;
	memory->prefetch_hits = 0;
	memory->prefetch_self = 0;
	memory->late_reads = 0;
	memory->sound = true;
}

static inline MemoryGraph *
memory_create(int n, int dims, int degree, Size codes_size)
{
	MemoryGraph *memory = calloc(1, sizeof(MemoryGraph));

	memory->graph.shape = tg_block_shape(codes_size);
	memory->graph.open = memory_open;
	memory->graph.distance = memory_distance;
	memory->graph.close = memory_close;
	memory->n = n;
	memory->dims = dims;
	memory->degree = degree;
	memory->last_id = TG_INVALID_VERTEX - 1;
	memory->keys = calloc(n, sizeof(float));
	memory->degrees = calloc(n, sizeof(int));
	memory->nclusters = calloc(n, sizeof(int));
	memory->divisions = calloc(n, sizeof(TgDivision));
	memory->split_at = calloc(n, sizeof(float));
	memory->blocks = calloc((Size) n * degree / TG_BLOCK_LANES,
							memory->graph.shape.block_size);
	memory->gone = calloc(n, sizeof(bool));
	memory->dead = calloc(n, sizeof(bool));
	memory->opens = calloc(n, sizeof(int));
	memory->distances = calloc(n, sizeof(int));
	memory->halves = calloc(n, sizeof(int));
	memory->reads = calloc(n, sizeof(int));
	memory->opened = calloc(MAX_OPENED, sizeof(int));
	memory_reset(memory);
	return memory;
}

static inline void
memory_destroy(MemoryGraph *memory)
{
	free(memory->keys);
	free(memory->degrees);
	free(memory->nclusters);
	free(memory->divisions);
	free(memory->split_at);
	free(memory->blocks);
	free(memory->gone);
	free(memory->dead);
	free(memory->opens);
	free(memory->distances);
	free(memory->halves);
	free(memory->reads);
	free(memory->opened);
	free(memory);
}

/*
 * Put a neighbour into a list; levels NULL for one without a direction.  Of a
 * graph without codes only its number is kept.
 */
static inline void
memory_link(MemoryGraph *memory, int from, int at, int to, const uint8 *levels,
			int bits, float a, float f, bool stale)
{
	const TgBlockShape *shape = &memory->graph.shape;
	char	   *block = memory->blocks + shape->block_size *
		((Size) from * (memory->degree / TG_BLOCK_LANES) + at / TG_BLOCK_LANES);
	float	   *floats = (float *) (block + shape->codes_size);
	TgVertexId *ids = (TgVertexId *) (block + shape->ids_offset);
	int			lane = at % TG_BLOCK_LANES;

	if (levels)
		tg_codes_set_lane((uint8 *) block, memory->dims, bits, lane, levels);
	if (shape->codes_size > 0)
	{
		floats[lane] = a;
		floats[TG_BLOCK_LANES + lane] = f;
	}
	ids[lane] = memory->last_id - to;
	if (stale)
		ids[TG_BLOCK_LANES] |= (uint32) 1 << lane;
}

#endif							/* TOGG_MEMORY_GRAPH_H */
