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

/* What the graph is made of and for. */
typedef struct TgConstructParams
{
	int			dims;
	int			degree;			/* neighbours of a vertex, at most */
	int			ef;				/* pool of the search for candidates */
	TgPruneRule rule;			/* by which neighbours are chosen of them */
	const float *root;			/* [dims]: where every search starts */

	/* Called now and then with the number of vertices done; may be NULL. */
	void		(*progress) (void *arg, int64 done);
	void	   *progress_arg;
} TgConstructParams;

/*
 * The finished graph.  List i is neighbours[i * degree ...], counts[i] of
 * them, in ascending order of distance; list n is the root's, which is no
 * vertex itself but links to the entry points.
 */
typedef struct TgConstructed
{
	int			n;
	int			degree;
	uint32	   *neighbours;		/* [n + 1][degree] */
	uint16	   *counts;			/* [n + 1] */
} TgConstructed;

/*
 * Build the graph of n vectors, vectors[n][dims].
 *
 * Every vertex ends with min(degree, n - 1) neighbours, unless it has fewer
 * candidates, and can be reached from the root.  Deterministic.
 */
extern TgConstructed *tg_construct(const TgConstructParams *params,
								   const float *vectors, int n);
extern void tg_constructed_free(TgConstructed *graph);

/* Vertices that cannot be reached from the root, as a check. */
extern int	tg_count_unreachable(const TgConstructed *graph);

/*
 * An order of the vertices that keeps neighbours near each other: breadth
 * first from the root, then what cannot be reached.  order[n] receives vertex
 * numbers.
 */
extern void tg_graph_order(const TgConstructed *graph, uint32 *order);

/* Bytes that tg_construct takes for each vertex beside its vector, about. */
extern Size tg_construct_memory(int degree);

#endif							/* TOGG_CONSTRUCT_H */
