/*-------------------------------------------------------------------------
 *
 * distance.c
 *	  Distances between vectors, and the SQL functions on real[].
 *
 * A distance is a sum that a float32 kernel makes in one pass, without a look
 * at the single elements.  That the sum is finite proves that all elements
 * are: a NaN or an infinity in either vector leaves no other sum.  A sum that
 * is not finite therefore means one of two things, which only then are told
 * apart: an element that is no number, which is an error, or a sum too large
 * for float32.  The latter is made again in double precision, where finite
 * elements cannot overflow: TG_MAX_DIMS squares of FLT_MAX stay below 1e82,
 * and the product of two such sums below 1e164.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "kernel/kernel.h"
#include "type/type.h"

PG_FUNCTION_INFO_V1(togg_l2_distance);
PG_FUNCTION_INFO_V1(togg_inner_product);
PG_FUNCTION_INFO_V1(togg_negative_inner_product);
PG_FUNCTION_INFO_V1(togg_cosine_distance);
PG_FUNCTION_INFO_V1(togg_l1_distance);
PG_FUNCTION_INFO_V1(togg_l2_normalize);
PG_FUNCTION_INFO_V1(togg_vector_norm);
PG_FUNCTION_INFO_V1(togg_vector_dims);

/*
 * Sums in double precision: of (a-b)^2, of a*b, of |a-b|.
 */
static double
wide_l2sq(TgSpan a, TgSpan b)
{
	double		sum = 0.0;

	for (int i = 0; i < a.dims; i++)
	{
		double		diff = (double) a.values[i] - (double) b.values[i];

		sum += diff * diff;
	}
	return sum;
}

static double
wide_dot(TgSpan a, TgSpan b)
{
	double		sum = 0.0;

	for (int i = 0; i < a.dims; i++)
		sum += (double) a.values[i] * (double) b.values[i];
	return sum;
}

static double
wide_l1(TgSpan a, TgSpan b)
{
	double		sum = 0.0;

	for (int i = 0; i < a.dims; i++)
		sum += fabs((double) a.values[i] - (double) b.values[i]);
	return sum;
}

static void
check_both_finite(TgSpan a, TgSpan b)
{
	tg_check_finite(a);
	tg_check_finite(b);
}

static double
l2_distance(TgSpan a, TgSpan b)
{
	double		l2sq = tg_kernels->l2sq(a.values, b.values, a.dims);

	if (unlikely(!isfinite(l2sq)))
	{
		check_both_finite(a, b);
		l2sq = wide_l2sq(a, b);
	}
	return tg_l2_from_sum(l2sq);
}

static double
ip_distance(TgSpan a, TgSpan b)
{
	double		dot = tg_kernels->dot(a.values, b.values, a.dims);

	if (unlikely(!isfinite(dot)))
	{
		check_both_finite(a, b);
		dot = wide_dot(a, b);
	}
	return tg_ip_from_sum(dot);
}

static double
inner_product(TgSpan a, TgSpan b)
{
	return -ip_distance(a, b);
}

/*
 * A norm that float32 holds with all its bits can be trusted, and then so can
 * the products that underflowed on the way to it or to the inner product:
 * next to the norms, what they lost is no more than the rounding of a sum.
 */
static bool
norm_is_normal(double norm2)
{
	return norm2 >= FLT_MIN && norm2 <= FLT_MAX;
}

/*
 * A cosine depends on directions alone, so vectors too short for the squares
 * in float32 deserve the same answer as longer ones: they take the way of
 * those that are too long.  A zero vector goes that way too, for nothing.
 */
static double
cosine_distance(TgSpan a, TgSpan b)
{
	double		dot = tg_kernels->dot(a.values, b.values, a.dims);
	double		norm2_a = tg_kernels->dot(a.values, a.values, a.dims);
	double		norm2_b = tg_kernels->dot(b.values, b.values, b.dims);

	if (unlikely(!isfinite(dot) ||
				 !norm_is_normal(norm2_a) || !norm_is_normal(norm2_b)))
	{
		check_both_finite(a, b);
		dot = wide_dot(a, b);
		norm2_a = wide_dot(a, a);
		norm2_b = wide_dot(b, b);
	}
	return tg_cosine_from_sums(dot, norm2_a, norm2_b);
}

static double
l1_distance(TgSpan a, TgSpan b)
{
	double		l1 = tg_kernels->l1(a.values, b.values, a.dims);

	if (unlikely(!isfinite(l1)))
	{
		check_both_finite(a, b);
		l1 = wide_l1(a, b);
	}
	return l1;
}

double
tg_distance(TgMetric metric, TgSpan a, TgSpan b)
{
	switch (metric)
	{
		case TG_METRIC_L2:
			return l2_distance(a, b);
		case TG_METRIC_IP:
			return ip_distance(a, b);
		case TG_METRIC_COSINE:
			return cosine_distance(a, b);
		case TG_METRIC_HAMMING:
			return tg_kernels->l2sq(a.values, b.values, a.dims);
		case TG_METRIC_L1:
			return l1_distance(a, b);
	}
	elog(ERROR, "unrecognized metric: %d", (int) metric);
	return 0.0;					/* keep compiler quiet */
}

/*
 * Length of a vector.  Always summed in double precision: the length is a
 * result of its own here, seldom wanted by the million, and l2_normalize()
 * should be no less exact than its result type.
 */
static double
norm(TgSpan span)
{
	double		norm2 = wide_dot(span, span);

	if (unlikely(!isfinite(norm2)))
		tg_check_finite(span);
	return sqrt(norm2);
}

/*
 * Apply a distance to the two real[] arguments of a SQL function.  A sort or
 * an aggregate may call it for each row of a table in one memory context, so
 * detoasted copies are freed at once.
 */
static pg_attribute_always_inline double
measure_args(FunctionCallInfo fcinfo, double (*distance) (TgSpan a, TgSpan b))
{
	ArrayType  *left = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType  *right = PG_GETARG_ARRAYTYPE_P(1);
	TgSpan		a = tg_array_span(PointerGetDatum(left));
	TgSpan		b = tg_array_span(PointerGetDatum(right));
	double		result;

	tg_check_same_dims(a, b);
	result = distance(a, b);

	PG_FREE_IF_COPY(left, 0);
	PG_FREE_IF_COPY(right, 1);
	return result;
}

Datum
togg_l2_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(measure_args(fcinfo, l2_distance));
}

Datum
togg_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(measure_args(fcinfo, inner_product));
}

Datum
togg_negative_inner_product(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(measure_args(fcinfo, ip_distance));
}

Datum
togg_cosine_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(measure_args(fcinfo, cosine_distance));
}

Datum
togg_l1_distance(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(measure_args(fcinfo, l1_distance));
}

/*
 * A vector of the same direction and of length 1; a zero vector stays what it
 * is.  Subscripts are those of the argument.
 */
Datum
togg_l2_normalize(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	TgSpan		span = tg_array_span(PointerGetDatum(array));
	double		length = norm(span);
	Size		size = ARR_OVERHEAD_NONULLS(1) + span.dims * sizeof(float);
	ArrayType  *result = palloc0(size);
	float	   *values;

	SET_VARSIZE(result, size);
	result->ndim = 1;
	result->elemtype = FLOAT4OID;
	ARR_DIMS(result)[0] = span.dims;
	ARR_LBOUND(result)[0] = ARR_LBOUND(array)[0];

	values = (float *) ARR_DATA_PTR(result);
	if (length > 0.0)
	{
		for (int i = 0; i < span.dims; i++)
			values[i] = (float) (span.values[i] / length);
	}

	PG_FREE_IF_COPY(array, 0);
	PG_RETURN_ARRAYTYPE_P(result);
}

Datum
togg_vector_norm(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	double		result = norm(tg_array_span(PointerGetDatum(array)));

	PG_FREE_IF_COPY(array, 0);
	PG_RETURN_FLOAT8(result);
}

Datum
togg_vector_dims(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	int			result = tg_array_span(PointerGetDatum(array)).dims;

	PG_FREE_IF_COPY(array, 0);
	PG_RETURN_INT32(result);
}
