/*-------------------------------------------------------------------------
 *
 * construct.h
 *	  Building a proximity graph in memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_CONSTRUCT_H
#define TOGG_CONSTRUCT_H

#include "graph/prune.h"
#include "graph/search.h"

/* A neighbour. */
typedef struct TgLink
{
	float		distance;		/* squared */
	uint32		id;
} TgLink;

/*
 * A graph, in memory of the caller's.  List i is links[i * capacity ...],
 * counts[i] of them, in ascending order of distance once the graph is finished
 * (by coarse copies, where there are any: a few hundredths may be out of order);
 * list n is the root's, which is no vertex itself but links to the entry
 * points.
 */
typedef struct TgConstructed
{
	int			n;
	int			degree;			/* neighbours of a vertex, at most */
	int			capacity;		/* room of a list */
	TgLink	   *links;			/* [n + 1][capacity] */
	uint16	   *counts;			/* [n + 1] */
} TgConstructed;

/* Bytes of memory for a graph, and the graph that is in such memory. */
extern Size tg_constructed_size(int degree, int n);
extern TgConstructed tg_constructed_at(void *memory, int degree, int n);

static inline const TgLink *
tg_constructed_list(const TgConstructed *graph, uint32 id)
{
	return graph->links + (Size) id * graph->capacity;
}

/* What is being done, and counted. */
typedef enum TgConstructStage
{
	TG_CONSTRUCT_INSERT,		/* vertices */
	TG_CONSTRUCT_FINISH			/* lists */
} TgConstructStage;

/* How the graph is made. */
typedef struct TgConstructParams
{
	int			dims;
	int			ef;				/* pool of the search for candidates */
	TgPruneRule rule;			/* by which neighbours are chosen of them */
	const float *root;			/* [dims]: where every search starts */
	const TgCoarse *coarse;		/* copies of the vectors; may be NULL */

	/*
	 * Called by the leader now and then with the number done of n; may be
	 * NULL.
	 */
	void		(*progress) (void *arg, TgConstructStage stage, int64 done);
	void	   *progress_arg;
} TgConstructParams;

/*
 * Several processes that build a graph together, in memory that all of them
 * see: each has a TgTeam of its own, and calls tg_construct() with the same
 * arguments otherwise.  One of them is the leader.
 */
typedef struct TgTeam
{
	bool		leader;
	void		(*meet) (void *arg);	/* waits until all members are here; NULL
										 * for a team of one */
	void	   *arg;
	TgLock	   *locks;			/* [TG_TEAM_LOCKS], shared; NULL for one */
} TgTeam;

#define TG_TEAM_LOCKS	1024

/*
 * Build the graph of vectors[n][dims].
 *
 * Every vertex ends with min(degree, n - 1) neighbours, unless it has fewer
 * candidates, and can be reached from the root.  A team of one builds the same
 * graph each time.  The memory need not be zeroed.
 */
extern void tg_construct(const TgConstructParams *params, const TgTeam *team,
						 const float *vectors, TgConstructed *graph);

/* Bytes that each member takes for each vertex on the way, about. */
extern Size tg_construct_memory(void);

/* Vertices that cannot be reached from the root, as a check. */
extern int	tg_count_unreachable(const TgConstructed *graph);

/*
 * An order of the vertices that keeps neighbours near each other: breadth
 * first from the root, then what cannot be reached.  order[n] receives vertex
 * numbers.
 */
extern void tg_graph_order(const TgConstructed *graph, uint32 *order);

#endif							/* TOGG_CONSTRUCT_H */
