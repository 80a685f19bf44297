/*-------------------------------------------------------------------------
 *
 * search.h
 *	  Two-stage routing on a proximity graph whose vertices carry their
 *	  neighbours' codes, or only their numbers.
 *
 * The search sees a graph through TgGraph only, so the same code walks the
 * pages of an index and the arrays of a unit test.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_SEARCH_H
#define TOGG_SEARCH_H

#include "kernel/kernel.h"

typedef uint32 TgVertexId;

#define TG_INVALID_VERTEX	((TgVertexId) 0xFFFFFFFF)

/* Most neighbours a vertex may have, and blocks they fill. */
#define TG_MAX_DEGREE		256
#define TG_MAX_BLOCKS		(TG_MAX_DEGREE / TG_BLOCK_LANES)

/* Most clusters that a neighbour list is divided into. */
#define TG_MAX_CLUSTERS		8

/*
 * How a neighbour list is divided for stage 1: the guide of TOGG's guided
 * search.
 */
typedef enum TgGuide
{
	TG_GUIDE_KMEANS = 0,		/* clusters with representatives: OGS-KMC */
	TG_GUIDE_KDTREE = 1,		/* two sides of one dimension: OGS-KDT */
	TG_GUIDE_NONE = 2
} TgGuide;

/*
 * The division of one list.
 *
 * k-means, nclusters of them: lanes [0, nclusters) are the representatives,
 * and from there on the other members follow cluster by cluster; those of
 * cluster c begin start[c] lanes on, and the last cluster ends with the list.
 *
 * k-d tree, nclusters 2: lanes [0, common) are to the left on dimension dim,
 * [common, right) within the band about the vertex, the rest to the right.
 */
typedef union TgDivision
{
	uint8		start[TG_MAX_CLUSTERS];
	struct
	{
		uint8		common;
		uint8		right;
		uint16		dim;		/* of the inner space */
		float		band;
	}			split;
} TgDivision;

/*
 * One block of up to 32 neighbours.  Lanes of stale are neighbours that came
 * after the list was divided: no part's, so every stage considers them.
 */
typedef struct TgBlockView
{
	const uint8 *codes;
	const float *a;
	const float *f;
	const TgVertexId *ids;
	uint32		stale;
} TgBlockView;

/*
 * A vertex while it is open.  The list is in blocks of TG_BLOCK_LANES; of the
 * last block only the first degree % TG_BLOCK_LANES lanes are in use where
 * the degree is no multiple.  A list with less than two clusters is not
 * divided.
 */
typedef struct TgVertexView
{
	TgVertexId	id;
	int			degree;
	int			nclusters;
	const TgDivision *division;
	float		split_at;		/* k-d tree: the vertex on the dimension kept */
	const char *blocks;
} TgVertexView;

/*
 * Where the parts of a block stand, the same for all vertices of a graph:
 * codes, float a[32], f[32], ids[32], the stale mask.  Without codes there are
 * no factors either.
 */
typedef struct TgBlockShape
{
	uint32		codes_size;
	uint32		ids_offset;
	uint32		block_size;
} TgBlockShape;

static inline TgBlockShape
tg_block_shape(Size codes_size)
{
	TgBlockShape shape;

	shape.codes_size = codes_size;
	shape.ids_offset = codes_size == 0 ? 0 :
		codes_size + 2 * TG_BLOCK_LANES * sizeof(float);
	shape.block_size = shape.ids_offset +
		TG_BLOCK_LANES * sizeof(TgVertexId) + sizeof(uint32);
	return shape;
}

/* A vertex whose distance was computed: what the search hands out. */
typedef struct TgResult
{
	double		distance;		/* exact up to error, as SQL returns it */
	double		error;			/* bound on |distance - true distance| */
	TgVertexId	id;
	bool		rounded;		/* the graph's own: was the vector, when stored? */
	uint64		payload;		/* likewise, e.g. a row's address */
} TgResult;

/* Cost of a search, in things that can be counted. */
typedef struct TgSearchStats
{
	uint64		hops;			/* vertices expanded */
	uint64		stage1_hops;	/* of these, in part, in stage 1 */
	uint64		pages;			/* page accesses */
	uint64		distances;		/* exact distances computed */
	uint64		estimates;		/* codes scored */
	uint32		widenings;
} TgSearchStats;

/*
 * A graph to walk.  At most one vertex is open at a time.
 */
typedef struct TgGraph TgGraph;
struct TgGraph
{
	TgBlockShape shape;
	TgGuide		guide;
	const float *query;			/* in the inner space; for TG_GUIDE_KDTREE */

	/*
	 * Open a vertex; false if the id holds none (any more).
	 */
	bool		(*open) (TgGraph *graph, TgVertexId id, TgVertexView *view);

	/*
	 * Exact distance between the query and the open vertex.  Returns its key:
	 * the squared L2 distance of the index's inner geometry, which is what
	 * estimates are made of.  Fills *result (all but the id) and sets *live to
	 * whether the vertex has rows to return.
	 */
	float		(*distance) (TgGraph *graph, const TgVertexView *view,
							 TgResult *result, bool *live);

	/* Close the open vertex. */
	void		(*close) (TgGraph *graph);

	/*
	 * Bring half 0 or 1 of a vertex's record nearer to the processor, if that
	 * takes no lock and no pin.  Only so many lines can be under way (16 on
	 * recent Intel cores): who asks for more at once waits for the first of them.
	 * That is why there are halves, to be asked for at different times.  May be
	 * NULL.
	 */
	void		(*prefetch) (TgGraph *graph, TgVertexId id, int half);

	/*
	 * Begin to read a vertex's record from disk.  The search asks for that of
	 * the ahead best candidates; the graph sets the number while records come
	 * from disk, and leaves it at 0 otherwise.
	 */
	void		(*read_ahead) (TgGraph *graph, TgVertexId id);
	int			ahead;

	/*
	 * Under a filter: which of up to 32 vertices, those whose bit is set in lanes,
	 * may have rows that pass, by what is known without opening them?  NULL where
	 * nothing is known.
	 */
	uint32		(*may_pass) (TgGraph *graph, const TgVertexId *ids,
							 uint32 lanes);
};

/* Prefetch both halves of a record. */
static inline void
tg_graph_prefetch(TgGraph *graph, TgVertexId id)
{
	graph->prefetch(graph, id, 0);
	graph->prefetch(graph, id, 1);
}

typedef enum TgRouting
{
	TG_ROUTING_TWO_STAGE,
	TG_ROUTING_GUIDED,
	TG_ROUTING_GREEDY
} TgRouting;

/*
 * Stage 1 ends when as many of the best candidates as this are expanded: far
 * fewer than the pool holds.  0 stands for the whole pool, as published.
 */
#define TG_DEFAULT_STAGE1_WIDTH		1

/* How to route, and with how large a pool. */
typedef struct TgSearchParams
{
	TgRouting	routing;
	int			stage1_width;
	int			ef;
	int			growth;			/* see tg_pool_slack(); 1: the pool is ef's size */
	float		slack;
	float		middle;			/* in the first ef; 0: (ef - 1) / 2, a whole number */
} TgSearchParams;

/*
 * A pool of fixed size that is large enough for hard queries is larger than
 * most queries need.  So the nearest ef candidates are expanded in any case,
 * and of those that follow, up to growth times ef in all, the ones whose squared
 * distance is at most slack times that of the candidate in the middle of the
 * first ef.  They are few where distances rise fast, and many where much is
 * about as near.  A middle between two candidates stands for a distance between
 * theirs: with few candidates, recall would rise in large steps.
 *
 * A tenth more serves data of 100 dimensions and up; below, the error of codes,
 * which grows as the dimensions' square root falls, asks for more.
 */
extern float tg_pool_slack(int dims);

#define TG_POOL_GROWTH		4

/* A candidate of the pool. */
typedef struct TgCandidate
{
	float		key;			/* squared distance: estimated, without codes exact */
	TgVertexId	id;
	int16		part;			/* what is left to expand: see search.c */
	bool		read_ahead;		/* is its record being read? */
	uint8		prefetched;		/* halves of the record that are asked for */
} TgCandidate;

typedef struct TgKeyed
{
	float		key;
	TgVertexId	id;
} TgKeyed;

typedef struct TgKeyedArray
{
	TgKeyed    *items;
	int			n;
	int			capacity;
} TgKeyedArray;

/* A candidate under a filter. */
typedef struct TgWaiting
{
	float		key;
	TgVertexId	id;
	int			detour;			/* so many in a row fail; see filtered.c */
} TgWaiting;

typedef struct TgWaitingHeap
{
	TgWaiting  *items;
	int			n;
	int			capacity;
} TgWaitingHeap;

typedef struct TgSearch
{
	TgGraph    *graph;
	const TgScoreTable *table;
	TgRouting	routing;
	int			stage1_width;

	/*
	 * The pool: the best candidates seen, in ascending order of key.  The first
	 * sure of them are to be expanded: ef, and as many as turned out to have
	 * no rows; and those up to width that are within the slack.  Where there are
	 * vertices without rows, it has room for some to take their place.
	 */
	TgCandidate *pool;
	int			ef;
	int			growth;
	float		slack;
	float		ef_middle;		/* 0: by ef */
	int			middle;			/* the candidate that the slack is measured by, */
	float		between;		/* and how far from it to the next */
	int			sure;
	int			width;
	int			room;
	int			pool_capacity;
	int			pool_size;
	int			cursor;			/* nothing before it is unexpanded */

	/* The visited set: open addressing, emptied by raising the epoch. */
	uint64	   *visited;		/* epoch << 32 | id */
	float	   *visited_keys;	/* without codes: distances of the visited */
	uint32		visited_mask;
	uint32		visited_used;
	uint32		epoch;
	TgVertexId	held_out;		/* always counts as visited, so that it is never met */

	/* Vertices with rows, a binary min-heap by distance. */
	TgResult   *results;
	int			nresults;
	int			results_capacity;

	/*
	 * Every vertex whose distance is known (all expanded so far; without
	 * codes, all visited), for widening and for the final sweep.
	 */
	TgKeyedArray expanded;
	int			nrowless;		/* of these, without rows, but near enough */

	/* With codes: what stage 1 left out, for stage 2 to offer to the pool. */
	TgKeyedArray left_out;

	/*
	 * Under a filter, instead of the pool: candidates not expanded yet, in two
	 * binary min-heaps by key, those that may pass and those known to fail;
	 * unordered, those set aside as too far; keys of the nearest seen that may
	 * pass, a binary max-heap; and the keys of the vertices found that pass, in
	 * ascending order.
	 */
	TgWaitingHeap frontier;
	TgWaitingHeap detours;
	TgWaitingHeap aside;
	float		aside_key;		/* the nearest of them, detours excepted */
	float	   *seen;
	int			nseen;
	int			seen_room;
	int			seen_capacity;
	TgKeyedArray passing;
	int64		wanted;			/* as many are to pass */

	TgSearchStats stats;
} TgSearch;

/* Allocate a search in the current memory context; it may be used often. */
extern TgSearch *tg_search_create(void);
extern void tg_search_destroy(TgSearch *search);

/*
 * Forget the last query and get ready for another.  table scores the graph's
 * codes, where it has any.  Counters go on: they are the caller's to clear.
 */
extern void tg_search_begin(TgSearch *search, TgGraph *graph,
							const TgScoreTable *table, TgSearchParams params);

/*
 * Add a vertex to begin from, before tg_search_run().  More than ef of them
 * are ignored, and only the first is sure to be expanded: an index has one
 * entry, its root, which leads to all others.
 */
extern void tg_search_add_entry(TgSearch *search, TgVertexId id);

/* Route until all of the pool that is to be expanded is. */
extern void tg_search_run(TgSearch *search);

/*
 * Continue with a larger pool: every vertex expanded so far is expanded
 * again, for what the smaller pool turned away, and then whatever comes up.
 * Results already taken do not come again.
 */
extern void tg_search_widen(TgSearch *search, int ef);

/* Candidates with rows that the pool was expanded to: ef or more. */
static inline int
tg_search_depth(const TgSearch *search)
{
	return Max(search->ef, search->cursor - (search->sure - search->ef));
}

/* Under a filter: detours are made as far out as this share of those wanted. */
#define TG_DETOUR_SHARE		0.25

/*
 * Under a filter, instead of tg_search_run() and tg_search_widen(): route until
 * the wanted best candidates that have rows to return, of those seen, are all
 * expanded, and those within the slack that a pool of that size has.  See
 * filtered.c.
 *
 * Of what sweep_hops stands for it is told what it may cost: as many hops as
 * reading all of the index takes.  False if the search is better given up for
 * that, or has come to its end, so that a sweep has to bring what is left.
 *
 * It may be called again with a larger number.
 */
typedef struct TgFilteredParams
{
	int64		wanted;
	double		sweep_hops;
	Size		memory;			/* bytes that the search may take */
} TgFilteredParams;

extern bool tg_search_run_filtered(TgSearch *search,
								   const TgFilteredParams *params);

/* Take the nearest result found and not taken yet; false if there is none. */
extern bool tg_search_next(TgSearch *search, TgResult *result);

/* Add a result, maybe one that was taken. */
extern void tg_results_add(TgSearch *search, const TgResult *result);

/* The nearest result without taking it; NULL if there is none. */
extern const TgResult *tg_search_peek(const TgSearch *search);

/*
 * Is the vertex's distance known, so that it became a result if it has rows?
 * Valid after tg_search_index_expanded().
 */
extern void tg_search_index_expanded(TgSearch *search);
extern bool tg_search_was_expanded(const TgSearch *search, TgVertexId id);

/* Bytes a search takes with so many candidates in its pool, at most about. */
extern Size tg_search_memory(int candidates);

/* Block b of an open vertex. */
static inline TgBlockView
tg_view_block(const TgBlockShape *shape, const TgVertexView *view, int b)
{
	const char *block = view->blocks + (Size) b * shape->block_size;
	TgBlockView result;

	result.codes = (const uint8 *) block;
	result.a = (const float *) (block + shape->codes_size);
	result.f = result.a + TG_BLOCK_LANES;
	result.ids = (const TgVertexId *) (block + shape->ids_offset);
	result.stale = result.ids[TG_BLOCK_LANES];
	return result;
}

#endif							/* TOGG_SEARCH_H */
