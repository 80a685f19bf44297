/*-------------------------------------------------------------------------
 *
 * metric.c
 *	  What a metric means inside the index; see metric.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "type/metric.h"

#include <float.h>
#include <math.h>

#include "kernel/kernel.h"

/*
 * Coordinates beyond this are routed as if they were this: squares and sums
 * of 16,000 of them stay finite.
 */
#define INNER_LIMIT		1e15f

/* Squared distances beyond this are those of vectors cut to that limit. */
#define KEY_MAX			1e30

/*
 * Inner product: vectors longer than so many radii of the sphere are routed as if
 * they were that long, unless the index says otherwise.  They are still above
 * all others, while the errors of codes, which grow with length, stay bounded.
 */
#define SPHERE_CUT		1.5f

#define HALF_MAX		65504.0f

/* Squared norms outside this range lose digits in float32. */
#define NORM2_MIN		1e-30f
#define NORM2_MAX		1e30f

/*
 * Squared norms within this range come out of any float32 sum but for rounding:
 * products that underflow are no part of it, and no partial sum overflows.
 */
#define SUM_MIN			(64 * FLT_MIN)
#define SUM_MAX			(FLT_MAX / 64)

int
tg_inner_dims(TgMetric metric, int dims)
{
	return metric == TG_METRIC_IP ? dims + 1 : dims;
}

void
tg_geometry_init(TgGeometry *geometry, TgMetric metric, int dims,
				 float sphere, float longest)
{
	geometry->metric = metric;
	geometry->dims = dims;
	geometry->inner_dims = tg_inner_dims(metric, dims);
	geometry->sphere = Min(sphere, INNER_LIMIT);
	geometry->longest = Min(longest > 0 ? longest : SPHERE_CUT * sphere,
							INNER_LIMIT);
}

bool
tg_rankable(const TgOpclass *opclass, TgSpan span)
{
	if (opclass->metric != TG_METRIC_COSINE)
		return true;
	if (opclass->foreign_operator)
	{
		float		norm2 = tg_kernels->dot(span.values, span.values, span.dims);

		return norm2 > SUM_MIN && norm2 < SUM_MAX;
	}
	for (int i = 0; i < span.dims; i++)
		if (span.values[i] != 0.0f)
			return true;
	return false;
}

bool
tg_half_exact(TgSpan span)
{
	uint16		half[256];
	float		back[256];

	for (int i = 0; i < span.dims; i += lengthof(half))
	{
		int			n = Min(span.dims - i, (int) lengthof(half));

		tg_kernels->float_to_half(span.values + i, half, n);
		tg_kernels->half_to_float(half, back, n);
		for (int j = 0; j < n; j++)
			if (back[j] != span.values[i + j])
				return false;
	}
	return true;
}

bool
tg_half_in_range(TgSpan span)
{
	for (int i = 0; i < span.dims; i++)
		if (fabsf(span.values[i]) > HALF_MAX)
			return false;
	return true;
}

/*
 * Norm of a vector whose squared norm in float32 is norm2.
 */
static double
norm_of(const float *values, int dims, float norm2)
{
	double		sum = 0;

	if (norm2 > NORM2_MIN && norm2 < NORM2_MAX)
		return sqrt(norm2);
	for (int i = 0; i < dims; i++)
		sum += (double) values[i] * values[i];
	return sqrt(sum);
}

bool
tg_keeps_length(TgMetric metric, TgSpan span)
{
	float		norm2;

	if (metric != TG_METRIC_COSINE)
		return true;
	norm2 = tg_kernels->dot(span.values, span.values, span.dims);
	return norm2 > NORM2_MIN && norm2 < NORM2_MAX;
}

TgStored
tg_store(const TgGeometry *geometry, TgStorage storage, TgSpan span,
		 void *bytes)
{
	TgStored	stored = {0};
	double		scale = 1.0;
	double		error = 0.0;

	Assert(span.dims == geometry->dims);

	stored.norm2 = tg_kernels->dot(span.values, span.values, span.dims);
	if ((storage == TG_STORAGE_FLOAT || tg_half_exact(span)) &&
		(geometry->metric != TG_METRIC_COSINE ||
		 (stored.norm2 > NORM2_MIN && stored.norm2 < NORM2_MAX)))
	{
		if (storage == TG_STORAGE_FLOAT)
			memcpy(bytes, span.values, sizeof(float) * span.dims);
		else
			tg_kernels->float_to_half(span.values, bytes, span.dims);
		return stored;
	}

	if (geometry->metric == TG_METRIC_COSINE)
	{
		scale = 1.0 / norm_of(span.values, span.dims, 0.0f);
		stored.norm2 = 1.0f;
	}
	for (int i = 0; i < span.dims; i++)
	{
		double		value = span.values[i] * scale;
		float		kept = (float) value;

		if (storage == TG_STORAGE_HALF)
		{
			uint16		half;

			kept = Max(-HALF_MAX, Min(kept, HALF_MAX));
			tg_kernels->float_to_half(&kept, &half, 1);
			tg_kernels->half_to_float(&half, &kept, 1);
			((uint16 *) bytes)[i] = half;
		}
		else
			((float *) bytes)[i] = kept;
		error += (value - kept) * (value - kept);
	}

	/* Rounded up: a bound must not be rounded below what it bounds. */
	stored.error = (float) (sqrt(error) * (1.0 + 1e-6)) + FLT_MIN;
	return stored;
}

TgStored
tg_store_inner(const TgGeometry *geometry, TgStorage storage,
			   const float *inner, void *bytes)
{
	int			dims = geometry->dims;
	TgStored	stored = {1.0f, 0.0f};

	if (storage == TG_STORAGE_HALF)
		for (int i = 0; i < dims; i++)
		{
			float		value = Max(-HALF_MAX, Min(inner[i], HALF_MAX));

			tg_kernels->float_to_half(&value, (uint16 *) bytes + i, 1);
		}
	else
		memcpy(bytes, inner, sizeof(float) * dims);
	if (geometry->metric == TG_METRIC_IP)
		stored.norm2 = geometry->sphere * geometry->sphere -
			inner[dims] * inner[dims];
	return stored;
}

void
tg_unstore(const TgGeometry *geometry, TgStorage storage, const void *bytes,
		   float *values)
{
	if (storage == TG_STORAGE_HALF)
		tg_kernels->half_to_float(bytes, values, geometry->dims);
	else
		memcpy(values, bytes, sizeof(float) * geometry->dims);
}

/* values * scale, within limits. */
static void
embed_scaled(const float *values, int dims, double scale, float *inner)
{
	if (scale > NORM2_MIN && scale < NORM2_MAX)
	{
		float		factor = (float) scale;

		for (int i = 0; i < dims; i++)
			inner[i] = Max(-INNER_LIMIT, Min(values[i] * factor, INNER_LIMIT));
	}
	else
	{
		for (int i = 0; i < dims; i++)
		{
			double		value = values[i] * scale;

			inner[i] = (float) Max(-INNER_LIMIT, Min(value, INNER_LIMIT));
		}
	}
}

/*
 * Inner product: what tg_embed() multiplies a vector of this norm by.  The key
 * must be of what is in the inner space, as estimates of a vertex's neighbours
 * start from it: else those of a vector that was cut would all look too near.
 */
static double
shortening(const TgGeometry *geometry, double norm)
{
	return norm > geometry->longest ? geometry->longest / norm : 1.0;
}

void
tg_embed(const TgGeometry *geometry, const float *values, float norm2,
		 float *inner)
{
	int			dims = geometry->dims;

	switch (geometry->metric)
	{
		case TG_METRIC_L2:
		case TG_METRIC_HAMMING:
		case TG_METRIC_L1:
			embed_scaled(values, dims, 1.0, inner);
			break;
		case TG_METRIC_COSINE:
			embed_scaled(values, dims, 1.0 / sqrt(norm2), inner);
			break;
		case TG_METRIC_IP:
			embed_scaled(values, dims,
						 shortening(geometry, norm_of(values, dims, norm2)),
						 inner);
			inner[dims] = geometry->sphere * geometry->sphere - norm2;
			inner[dims] = inner[dims] > 0 ? sqrtf(inner[dims]) : 0;
			break;
	}
}

float
tg_excess(const TgGeometry *geometry, const float *inner)
{
	float		norm2;

	if (geometry->metric != TG_METRIC_IP)
		return 0.0f;
	norm2 = tg_kernels->dot(inner, inner, geometry->inner_dims);
	return Max(norm2 - geometry->sphere * geometry->sphere, 0.0f);
}

void
tg_embed_query(const TgGeometry *geometry, const float *values, float *inner)
{
	int			dims = geometry->dims;
	double		norm;

	if (geometry->metric != TG_METRIC_IP &&
		geometry->metric != TG_METRIC_COSINE)
	{
		embed_scaled(values, dims, 1.0, inner);
		return;
	}
	norm = norm_of(values, dims, tg_kernels->dot(values, values, dims));
	if (norm == 0)
		norm = 1.0;
	if (geometry->metric == TG_METRIC_COSINE)
		embed_scaled(values, dims, 1.0 / norm, inner);
	else
	{
		embed_scaled(values, dims, geometry->sphere / norm, inner);
		inner[dims] = 0.0f;
	}
}

void
tg_query_init(TgQuery *query, const TgGeometry *geometry, TgStorage storage,
			  bool foreign_operator, const float *values,
			  const float *inner)
{
	int			dims = geometry->dims;

	query->geometry = geometry;
	query->storage = storage;
	query->foreign_operator = foreign_operator;
	query->values = values;
	query->inner = inner;
	query->norm2 = tg_kernels->dot(values, values, dims);
	query->norm = norm_of(values, dims, query->norm2);
	query->scale = query->norm > 0 ? geometry->sphere / query->norm : 0;
	query->scratch = geometry->metric == TG_METRIC_L1 ?
		palloc(sizeof(float) * dims) : NULL;

	/*
	 * A float32 sum of n terms in 16 or more partial sums is off by at most
	 * about n / 16 roundings; both the index's sum and SQL's are.  An operator
	 * that is not ours may sum one term after the other.
	 */
	query->slack = (dims / 8 + 16 + (foreign_operator ? dims : 0)) * FLT_EPSILON;
}

/*
 * What float32 cannot sum, SQL's own function sums in double.
 */
static double
slow_distance(const TgQuery *query, const void *bytes)
{
	const TgGeometry *geometry = query->geometry;
	float	   *values = palloc(sizeof(float) * geometry->dims);
	TgSpan		a = {query->values, geometry->dims};
	TgSpan		b = {values, geometry->dims};
	double		distance;

	tg_unstore(geometry, query->storage, bytes, values);
	distance = tg_distance(geometry->metric, a, b);
	pfree(values);
	return distance;
}

/*
 * The key of a vector that the inner space only holds within its limits.
 */
static float
slow_key(const TgQuery *query, const void *bytes, TgStored stored)
{
	const TgGeometry *geometry = query->geometry;
	float	   *values = palloc(sizeof(float) * geometry->dims);
	float	   *inner = palloc(sizeof(float) * geometry->inner_dims);
	float		key;

	tg_unstore(geometry, query->storage, bytes, values);
	tg_embed(geometry, values, stored.norm2, inner);
	key = tg_kernels->l2sq(query->inner, inner, geometry->inner_dims) -
		tg_excess(geometry, inner);
	pfree(values);
	pfree(inner);
	return key;
}

/*
 * The sums that distances are made of, of the query's and a stored vector's
 * elements.
 */
static float
l2sq_of(const TgQuery *query, const void *bytes)
{
	int			dims = query->geometry->dims;

	return query->storage == TG_STORAGE_HALF ?
		tg_kernels->l2sq_half(query->values, bytes, dims) :
		tg_kernels->l2sq(query->values, bytes, dims);
}

static float
dot_of(const TgQuery *query, const void *bytes)
{
	int			dims = query->geometry->dims;

	return query->storage == TG_STORAGE_HALF ?
		tg_kernels->dot_half(query->values, bytes, dims) :
		tg_kernels->dot(query->values, bytes, dims);
}

static float
l1_of(const TgQuery *query, const void *bytes)
{
	tg_unstore(query->geometry, query->storage, bytes, query->scratch);
	return tg_kernels->l1(query->values, query->scratch,
						  query->geometry->dims);
}

/*
 * What tg_distance() returns for the stored vector.
 */
static double
kernel_distance(const TgQuery *query, const void *bytes, TgStored stored)
{
	float		sum = 0;
	double		distance = 0;

	switch (query->geometry->metric)
	{
		case TG_METRIC_L2:
			sum = l2sq_of(query, bytes);
			distance = tg_l2_from_sum(sum);
			break;
		case TG_METRIC_IP:
			sum = dot_of(query, bytes);
			distance = tg_ip_from_sum(sum);
			break;
		case TG_METRIC_COSINE:
			if (!(query->norm2 > NORM2_MIN && query->norm2 < NORM2_MAX))
				return slow_distance(query, bytes);
			return tg_cosine_from_sums(dot_of(query, bytes), query->norm2,
									   stored.norm2);
		case TG_METRIC_HAMMING:
			return l2sq_of(query, bytes);
		case TG_METRIC_L1:
			sum = l1_of(query, bytes);
			distance = sum;
			break;
	}
	return isfinite(sum) ? distance : slow_distance(query, bytes);
}

/*
 * How far that may be from what the distance operator returns for the vector
 * that was stored with an error.
 */
static double
distance_error(const TgQuery *query, TgStored stored, double distance)
{
	/* What products lose that underflow. */
	double		lost = query->geometry->dims * (double) FLT_MIN;
	double		length;

	switch (query->geometry->metric)
	{
		case TG_METRIC_L2:
			return stored.error + query->slack * distance + sqrt(lost);
		case TG_METRIC_IP:
			length = sqrt(stored.norm2 + lost) + stored.error;

			/* Only our own operator knows how to go on beyond float32. */
			if (query->foreign_operator && !(query->norm * length < SUM_MAX))
				return INFINITY;
			return query->norm * (stored.error + query->slack * length) + lost;
		case TG_METRIC_COSINE:
			return stored.error + query->slack;
		case TG_METRIC_HAMMING:
			return 0;
		case TG_METRIC_L1:
			/* A vector's L1 norm is at most sqrt(dims) times that of L2. */
			return sqrt(query->geometry->dims) * stored.error +
				query->slack * distance;
	}
	return INFINITY;			/* keep compiler quiet */
}

float
tg_query_distance(const TgQuery *query, const void *bytes, TgStored stored,
				  double *distance, double *error)
{
	const TgGeometry *geometry = query->geometry;
	double		key = 0;

	*distance = kernel_distance(query, bytes, stored);
	*error = stored.error > 0 || query->foreign_operator ?
		distance_error(query, stored, *distance) : 0;

	switch (geometry->metric)
	{
		case TG_METRIC_L2:
			key = *distance * *distance;
			break;
		case TG_METRIC_IP:
			/* The excess of |v| is left out: see tg_excess(). */
			key = 2 * ((double) geometry->sphere * geometry->sphere +
					   query->scale * *distance *
					   shortening(geometry, sqrt(stored.norm2)));
			break;
		case TG_METRIC_COSINE:
			key = 2 * *distance;
			break;
		case TG_METRIC_HAMMING:
			key = *distance;
			break;
		case TG_METRIC_L1:
			key = l2sq_of(query, bytes);
			break;
	}
	if (unlikely(!(fabs(key) < KEY_MAX) || stored.norm2 > NORM2_MAX))
		return slow_key(query, bytes, stored);
	return (float) key;
}

double
tg_query_reach(const TgQuery *query, double distance)
{
	/* What sums in another order may be off by. */
	double		most = distance * (1 + query->slack) + query->slack;

	switch (query->geometry->metric)
	{
		case TG_METRIC_L2:
			return most;
		case TG_METRIC_COSINE:
			return sqrt(2 * Max(most, 0));
		case TG_METRIC_HAMMING:
			return sqrt(most);
		case TG_METRIC_IP:
		case TG_METRIC_L1:
			break;
	}
	return INFINITY;
}
