/*-------------------------------------------------------------------------
 *
 * array.c
 *	  Reading a vector from a real[], and the operator classes of real[].
 *
 * PostgreSQL does not store how many elements a real[] column holds, and
 * lets an array be empty, nested or full of NULLs.  What makes an array a
 * vector is checked here, each time a value is read.  A subscript other than
 * 1 for the first element is no obstacle: vectors count their elements from
 * one end, whatever the array calls them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type_d.h"
#include "fmgr.h"
#include "utils/array.h"

#include "type/type.h"

PG_FUNCTION_INFO_V1(togg_array_l2_ops);
PG_FUNCTION_INFO_V1(togg_array_ip_ops);
PG_FUNCTION_INFO_V1(togg_array_cosine_ops);
PG_FUNCTION_INFO_V1(togg_array_l1_ops);

/*
 * Raise the error for an array whose shape is not that of a vector.
 */
static void
report_shape(const ArrayType *array)
{
	int			ndim = ARR_NDIM(array);

	if (ndim > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("a multidimensional array cannot be used as a vector"),
				 errdetail("The array has %d dimensions.", ndim),
				 errhint("Use a one-dimensional array such as '{1,2,3}'.")));

	if (ndim < 1 || ARR_DIMS(array)[0] < 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("an empty array cannot be used as a vector"),
				 errdetail("The array has 0 elements; a vector has 1 to %d.",
						   TG_MAX_DIMS),
				 errhint("Use NULL where there is no vector.")));

	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("array has too many elements for a vector"),
			 errdetail("The array has %d elements; a vector has 1 to %d.",
					   ARR_DIMS(array)[0], TG_MAX_DIMS),
			 errhint("Use fewer dimensions, for example by projecting the vectors.")));
}

/*
 * Raise an error if an element is NULL.  An array may carry a NULL bitmap
 * without any bit of it saying NULL; its elements then are as dense as those
 * of an array without one.
 */
static void
check_nulls(const ArrayType *array)
{
	const uint8 *bitmap = ARR_NULLBITMAP(array);
	int			dims = ARR_DIMS(array)[0];

	for (int i = 0; i < dims; i++)
	{
		if ((bitmap[i / 8] & (1 << (i % 8))) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("NULL is not allowed in a vector"),
					 errdetail("Element %d of %d is NULL.", i + 1, dims),
					 errhint("Replace NULL elements, for example with array_replace(), or make the whole vector NULL.")));
	}
}

/*
 * The elements of a real[], in place if it is stored inline and uncompressed.
 */
TgSpan
tg_array_span(Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	TgSpan		span;

	Assert(ARR_ELEMTYPE(array) == FLOAT4OID);

	if (unlikely(ARR_NDIM(array) != 1 ||
				 ARR_DIMS(array)[0] < 1 ||
				 ARR_DIMS(array)[0] > TG_MAX_DIMS))
		report_shape(array);
	if (unlikely(ARR_HASNULL(array)))
		check_nulls(array);

	span.values = (const float *) ARR_DATA_PTR(array);
	span.dims = ARR_DIMS(array)[0];
	return span;
}

void
tg_check_finite(TgSpan span)
{
	for (int i = 0; i < span.dims; i++)
	{
		float		value = span.values[i];

		if (unlikely(!isfinite(value)))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("%s is not allowed in a vector",
							isnan(value) ? "NaN" : "infinity"),
					 errdetail("Element %d of %d is %s.", i + 1, span.dims,
							   isnan(value) ? "NaN" :
							   value > 0 ? "Infinity" : "-Infinity"),
					 errhint("Replace the element with a finite number, or make the whole vector NULL.")));
	}
}

void
tg_check_same_dims(TgSpan a, TgSpan b)
{
	if (unlikely(a.dims != b.dims))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("vectors have different numbers of dimensions"),
				 errdetail("One vector has %d and the other %d.",
						   a.dims, b.dims),
				 errhint("Only vectors with equally many elements can be compared.")));
}

/*
 * The array that these elements usually are.
 */
static Datum
array_value(TgSpan span)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float) * span.dims;
	ArrayType  *array = palloc0(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = span.dims;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), span.values, sizeof(float) * span.dims);
	return PointerGetDatum(array);
}

/*
 * Support functions 1 of the operator classes of real[].
 */
Datum
togg_array_l2_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_L2, tg_array_span, false, array_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_array_ip_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_IP, tg_array_span, false, array_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_array_cosine_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_COSINE, tg_array_span, false, array_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_array_l1_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_L1, tg_array_span, false, array_value};

	PG_RETURN_POINTER(&opclass);
}
