/*-------------------------------------------------------------------------
 *
 * pgvector.c
 *	  Reading the types that pgvector has operators for, and the operator
 *	  classes on them.
 *
 * The extension togg_pgvector makes operator classes of the functions here.
 * They know the bytes of a vector and of a halfvec, and need neither header
 * nor library of pgvector:
 *
 *	+---------------+----------+--------------+------------------------------+
 *	| varlena, 4 B  | dims 2 B | reserved 2 B | elements, float32 or float16 |
 *	+---------------+----------+--------------+------------------------------+
 *
 * pgvector keeps the reserved field zero for a later format to tell itself by.
 * A value that says it is of such a format, or whose size is not that of its
 * dimensions, is refused: read as if it were of this one, it would be indexed
 * at a place where it is not.
 *
 * pgvector refuses NaN and infinity, and a column's type modifier any other
 * number of dimensions, before a value comes here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/varbit.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "kernel/kernel.h"
#include "type/type.h"

PG_FUNCTION_INFO_V1(togg_vector_l2_ops);
PG_FUNCTION_INFO_V1(togg_vector_ip_ops);
PG_FUNCTION_INFO_V1(togg_vector_cosine_ops);
PG_FUNCTION_INFO_V1(togg_vector_l1_ops);
PG_FUNCTION_INFO_V1(togg_halfvec_l2_ops);
PG_FUNCTION_INFO_V1(togg_halfvec_ip_ops);
PG_FUNCTION_INFO_V1(togg_halfvec_cosine_ops);
PG_FUNCTION_INFO_V1(togg_halfvec_l1_ops);
PG_FUNCTION_INFO_V1(togg_bit_hamming_ops);

typedef struct PgvectorValue
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int16		dims;
	int16		reserved;
	char		elements[FLEXIBLE_ARRAY_MEMBER];
} PgvectorValue;

#define PGVECTOR_HEADER		offsetof(PgvectorValue, elements)

/*
 * The value behind a Datum, detoasted, if its layout is the one above.
 */
static const PgvectorValue *
read_value(Datum datum, const char *type, Size element_size)
{
	const PgvectorValue *value = (PgvectorValue *) PG_DETOAST_DATUM(datum);
	Size		size = VARSIZE(value);

	if (unlikely(size < PGVECTOR_HEADER))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("value of type %s has a layout that togg does not know",
						type),
				 errdetail("The value has %zu bytes, fewer than the %zu of its header.",
						   size, PGVECTOR_HEADER),
				 errhint("Look for a version of togg that knows this version of pgvector.")));
	if (unlikely(value->reserved != 0 ||
				 value->dims < 1 || value->dims > TG_MAX_DIMS ||
				 size != PGVECTOR_HEADER + value->dims * element_size))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("value of type %s has a layout that togg does not know",
						type),
				 errdetail("The value has %zu bytes, says %d for its dimensions, and %d where 0 is expected.",
						   size, value->dims, value->reserved),
				 errhint("Look for a version of togg that knows this version of pgvector.")));
	return value;
}

static TgSpan
vector_span(Datum datum)
{
	const PgvectorValue *value = read_value(datum, "vector", sizeof(float));
	TgSpan		span;

	span.values = (const float *) value->elements;
	span.dims = value->dims;
	return span;
}

static TgSpan
halfvec_span(Datum datum)
{
	const PgvectorValue *value = read_value(datum, "halfvec", sizeof(uint16));
	float	   *values = palloc(sizeof(float) * value->dims);
	TgSpan		span;

	tg_kernels->half_to_float((const uint16 *) value->elements, values,
							  value->dims);
	span.values = values;
	span.dims = value->dims;
	return span;
}

/*
 * A bit or varbit, which is PostgreSQL's own, as zeros and ones.
 */
static TgSpan
bit_span(Datum datum)
{
	const VarBit *bits = DatumGetVarBitP(datum);
	int			n = VARBITLEN(bits);
	float	   *values;
	TgSpan		span;

	if (unlikely(n < 1))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("an empty bit string cannot be used as a vector"),
				 errdetail("The string has 0 bits; a vector has 1 to %d.",
						   TG_MAX_DIMS),
				 errhint("Use NULL where there is no vector.")));
	if (unlikely(n > TG_MAX_DIMS))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("bit string has too many bits for a vector"),
				 errdetail("The string has %d bits; a vector has 1 to %d.",
						   n, TG_MAX_DIMS),
				 errhint("Use fewer bits, for example by substring().")));

	values = palloc(sizeof(float) * n);
	for (int i = 0; i < n; i++)
		values[i] = (VARBITS(bits)[i / BITS_PER_BYTE] &
					 (HIGHBIT >> i % BITS_PER_BYTE)) != 0;
	span.values = values;
	span.dims = n;
	return span;
}

/*
 * Values of spans; see TgOpclass.value.  A number that a halfvec cannot hold is
 * rounded.
 */
static PgvectorValue *
make_value(int dims, Size element_size)
{
	Size		size = PGVECTOR_HEADER + dims * element_size;
	PgvectorValue *value = palloc0(size);

	SET_VARSIZE(value, size);
	value->dims = dims;
	return value;
}

static Datum
vector_value(TgSpan span)
{
	PgvectorValue *value = make_value(span.dims, sizeof(float));

	memcpy(value->elements, span.values, span.dims * sizeof(float));
	return PointerGetDatum(value);
}

static Datum
halfvec_value(TgSpan span)
{
	PgvectorValue *value = make_value(span.dims, sizeof(uint16));

	tg_kernels->float_to_half(span.values, (uint16 *) value->elements,
							  span.dims);
	return PointerGetDatum(value);
}

static Datum
bit_value(TgSpan span)
{
	Size		size = VARBITTOTALLEN(span.dims);
	VarBit	   *bits = palloc0(size);

	SET_VARSIZE(bits, size);
	VARBITLEN(bits) = span.dims;
	for (int i = 0; i < span.dims; i++)
		if (span.values[i] != 0)
			VARBITS(bits)[i / BITS_PER_BYTE] |= HIGHBIT >> i % BITS_PER_BYTE;
	return PointerGetDatum(bits);
}

/*
 * Support functions 1 of the operator classes of vector, halfvec and bit.
 */
Datum
togg_vector_l2_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_L2, vector_span, true, vector_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_vector_ip_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_IP, vector_span, true, vector_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_vector_cosine_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_COSINE, vector_span, true, vector_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_vector_l1_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_L1, vector_span, true, vector_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_halfvec_l2_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_L2, halfvec_span, true, halfvec_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_halfvec_ip_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_IP, halfvec_span, true, halfvec_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_halfvec_cosine_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_COSINE, halfvec_span, true,
	halfvec_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_halfvec_l1_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_L1, halfvec_span, true, halfvec_value};

	PG_RETURN_POINTER(&opclass);
}

Datum
togg_bit_hamming_ops(PG_FUNCTION_ARGS)
{
	static const TgOpclass opclass = {TG_METRIC_HAMMING, bit_span, false, bit_value};

	PG_RETURN_POINTER(&opclass);
}
