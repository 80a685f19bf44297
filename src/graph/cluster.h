/*-------------------------------------------------------------------------
 *
 * cluster.h
 *	  Dividing a neighbour list for stage 1 of a search: the two partitions of
 *	  the TOGG paper.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_CLUSTER_H
#define TOGG_CLUSTER_H

#include "graph/search.h"

/*
 * OGS-KMC.  Cluster n vectors of dims floats into at most k clusters by
 * k-means; empty clusters are dropped, and a list of at most k members is one
 * cluster, with the first of them for a representative.
 *
 * The vectors are rotated, which makes their coordinates alike: no more than
 * the first TG_CLUSTER_DIMS of them are looked at.
 *
 * order[n] receives the members as TgDivision wants them: the representatives
 * (of each cluster the member nearest to its centre), then cluster by cluster
 * the others.  Returns the number of clusters.  Deterministic.
 *
 * n is at most TG_MAX_DEGREE and k at most TG_MAX_CLUSTERS.  scratch is
 * TG_CLUSTER_SCRATCH(k, dims) floats of the caller's.
 */
extern int	tg_cluster(const float *const *vectors, int n, int dims, int k,
					   uint16 *order, TgDivision *division, float *scratch);

#define TG_CLUSTER_DIMS					256
#define TG_CLUSTER_SCRATCH(k, dims) \
	((Size) (k) * Min(dims, TG_CLUSTER_DIMS))

/*
 * OGS-KDT.  Split a vertex's n neighbours on one dimension j: left of the
 * vertex by more than ranges[j] / interval, right by more than that, or common
 * to both sides.  The dimension kept is the one with the most even sides, and
 * among equals the one with the fewest common neighbours.
 *
 * order[n] receives the neighbours as TgDivision wants them.  Returns 2, or 0
 * if no dimension has neighbours on both sides.
 */
extern int	tg_split(const float *vertex, const float *const *vectors, int n,
					 int dims, const float *ranges, float interval,
					 uint16 *order, TgDivision *division);

/* ranges[dims]: largest less smallest value of each dimension. */
extern void tg_ranges(const float *const *vectors, int64 n, int dims,
					  float *ranges);

#endif							/* TOGG_CLUSTER_H */
