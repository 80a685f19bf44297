/*-------------------------------------------------------------------------
 *
 * metric.h
 *	  What a metric means inside the index.
 *
 * The graph and its codes know squared L2 distance only.  Each metric maps
 * vectors to an inner space in which L2 ranks as the metric does:
 *
 *	L2				the vector itself
 *	cosine			the vector divided by its norm
 *	inner product	one more coordinate, sqrt(sphere^2 - |v|^2), which puts
 *					all vectors on one sphere; a query is scaled to the
 *					sphere's radius and has 0 there.  A longer vector has
 *					0 for the coordinate, and is ranked by its distance less
 *					tg_excess(); there is a length that it is cut to.
 *	Hamming			the bits as zeros and ones, of which it is the squared L2
 *	L1				the vector itself.  No space of as many dimensions has L1
 *					for its L2, but the nearest by the one are among the nearest
 *					by the other: the pool has room for the difference.
 *
 * The inner space only routes.  What a scan returns is computed from the
 * stored vector, which is the user's own in float32 or half precision with a
 * bound on what rounding took.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_METRIC_H
#define TOGG_METRIC_H

#include "fmgr.h"

#include "page/layout.h"

typedef struct TgGeometry
{
	TgMetric	metric;
	int			dims;
	int			inner_dims;
	float		sphere;			/* inner product: the radius */
	float		longest;		/* and the length that longer ones are cut to */
} TgGeometry;

extern void tg_geometry_init(TgGeometry *geometry, TgMetric metric, int dims,
							 float sphere, float longest);

/* Dimensions of the inner space. */
extern int	tg_inner_dims(TgMetric metric, int dims);

/*
 * Does the vector have a distance from others?  A zero vector has no cosine, nor
 * has for an operator that is not ours a vector whose length it cannot compute.
 */
extern bool tg_rankable(const TgOpclass *opclass, TgSpan span);

/*
 * A vector as a slot keeps it: bytes are stored apart.
 */
typedef struct TgStored
{
	float		norm2;			/* squared norm to divide a cosine by */
	float		error;			/* bound on |stored - true vector| */
} TgStored;

/*
 * Is a vector stored with its own length?  Under cosine an extreme one is not.
 */
extern bool tg_keeps_length(TgMetric metric, TgSpan span);

/*
 * Convert a rankable vector to its stored form; bytes receives
 * layout->vector_size bytes.  Keeps the user's values where the storage holds
 * them exactly; else error is positive, and under cosine the vector is
 * normalised first, so that half floats serve any length.
 */
extern TgStored tg_store(const TgGeometry *geometry, TgStorage storage,
						 TgSpan span, void *bytes);

/*
 * The stored form of a point given in the inner space, which need not be the
 * image of any vector: mapping it back with tg_embed() gives the point, but
 * for rounding.
 */
extern TgStored tg_store_inner(const TgGeometry *geometry, TgStorage storage,
							   const float *inner, void *bytes);

/* Would half floats keep all of this vector; would it at least be in range? */
extern bool tg_half_exact(TgSpan span);
extern bool tg_half_in_range(TgSpan span);

/* The stored vector as floats: values[dims]. */
extern void tg_unstore(const TgGeometry *geometry, TgStorage storage,
					   const void *bytes, float *values);

/* Map a stored vector's values, or a query's, to the inner space. */
extern void tg_embed(const TgGeometry *geometry, const float *values,
					 float norm2, float *inner);
extern void tg_embed_query(const TgGeometry *geometry, const float *values,
						   float *inner);

/*
 * Inner product: how far the square of an inner vector's length (or that of its
 * rotation) is above the sphere's, 0 on it.  So much are squared distances from
 * it above what it is ranked by: searches subtract it from keys, and the codes
 * of lists have it in their factors.
 */
extern float tg_excess(const TgGeometry *geometry, const float *inner);

/*
 * A query's side of exact distances.  What it points to is the caller's, or in
 * the memory context of tg_query_init().
 */
typedef struct TgQuery
{
	const TgGeometry *geometry;
	TgStorage	storage;
	bool		foreign_operator;	/* see TgOpclass */
	const float *values;		/* [dims], the user's own */
	const float *inner;			/* [inner_dims], by tg_embed_query() */
	float		norm2;
	double		norm;
	double		scale;			/* inner product: sphere / norm */
	float		slack;			/* relative error of a float32 sum */
	float	   *scratch;		/* L1: a stored vector; [dims] */
} TgQuery;

extern void tg_query_init(TgQuery *query, const TgGeometry *geometry,
						  TgStorage storage, bool foreign_operator,
						  const float *values, const float *inner);

/*
 * Exact distance to a stored vector: returns the key in the inner space, and
 * in *distance and *error what tg_distance() returns for the stored vector, and a
 * bound on how far the distance operator's result for the true vector is from
 * that (0 where both vectors and both sums are the same).
 */
extern float tg_query_distance(const TgQuery *query, const void *bytes,
							   TgStored stored, double *distance,
							   double *error);

/*
 * How far from the query, in the inner space, a vector is at most whose distance
 * is this at most, but for the rounding of sums; INFINITY by metrics for which
 * nothing tells.
 */
extern double tg_query_reach(const TgQuery *query, double distance);

/* The least that the distance may be, which is what rows are ordered by. */
static inline double
tg_query_least(const TgQuery *query, const void *bytes, TgStored stored)
{
	double		distance;
	double		error;

	tg_query_distance(query, bytes, stored, &distance, &error);
	return distance - error;
}

#endif							/* TOGG_METRIC_H */
