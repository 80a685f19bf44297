/*-------------------------------------------------------------------------
 *
 * cluster.h
 *	  Dividing a neighbour list into clusters (TOGG's OGS-KMC partition).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_CLUSTER_H
#define TOGG_CLUSTER_H

#include "shim.h"

/*
 * Cluster n vectors of dims floats into at most k clusters by k-means; empty
 * clusters are dropped, and a list of at most k members is one cluster, with
 * the first of them for a representative.
 *
 * order[n] receives the members cluster by cluster, each cluster's
 * representative (the member nearest to its centre) first; start[] where each
 * cluster begins.  Returns the number of clusters.  Deterministic.
 *
 * n is at most TG_MAX_DEGREE and k at most TG_MAX_CLUSTERS.  scratch is
 * TG_CLUSTER_SCRATCH(k, dims) floats of the caller's.
 */
extern int	tg_cluster(const float *const *vectors, int n, int dims, int k,
					   uint16 *order, uint8 *start, float *scratch);

#define TG_CLUSTER_SCRATCH(k, dims)		((Size) (k) * (dims))

#endif							/* TOGG_CLUSTER_H */
