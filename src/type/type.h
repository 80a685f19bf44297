/*-------------------------------------------------------------------------
 *
 * type.h
 *	  From SQL values to plain spans of floats, and the distances that SQL
 *	  promises between them.
 *
 * The access method never looks inside a value itself: an operator class
 * names, as its support function 1, a function that returns a TgOpclass, and
 * that struct says which metric ranks the values, how to read one, and whether
 * the distance operator is this library's.  A new column type needs a TgOpclass
 * and SQL, nothing else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_TYPE_H
#define TOGG_TYPE_H

#include "postgres.h"

/* Most dimensions a vector may have, in a column or in an index. */
#define TG_MAX_DIMS		16000

/* Stored in the metapage: never renumber. */
typedef enum TgMetric
{
	TG_METRIC_L2 = 1,
	TG_METRIC_IP = 2,
	TG_METRIC_COSINE = 3,
	TG_METRIC_HAMMING = 4,
	TG_METRIC_L1 = 5
} TgMetric;

/* A vector's elements; see TgOpclass.span for how long they live. */
typedef struct TgSpan
{
	const float *values;
	int			dims;
} TgSpan;

typedef struct TgOpclass
{
	TgMetric	metric;

	/*
	 * Read a non-NULL value.  The span is part of the value where it can be;
	 * what has to be detoasted or converted is in the current memory context.
	 * Raises an error on a shape that is no vector (more than one array
	 * dimension, no elements, too many elements, NULL elements); does not look
	 * at the elements' values.
	 */
	TgSpan		(*span) (Datum value);

	/*
	 * Is the distance operator another than tg_distance()?  It adds up in an
	 * order of its own then, to other last digits, or to infinity or NaN where
	 * float32 ends.  (Numbers of bits are the same whoever counts.)
	 */
	bool		foreign_operator;

	/* Make a value of a span, in new memory. */
	Datum		(*value) (TgSpan span);
} TgOpclass;

/* Span of a real[]; see TgOpclass.span. */
extern TgSpan tg_array_span(Datum value);

/* Raise ERROR if an element is NaN or infinite; the detail names it. */
extern void tg_check_finite(TgSpan span);

/* Raise ERROR unless both have the same number of dimensions. */
extern void tg_check_same_dims(TgSpan a, TgSpan b);

/*
 * What SQL's distance operator returns for this metric, from the float32
 * sums the kernels make: L2 from sum (a-b)^2, negative inner product from
 * sum a*b, cosine from sum a*b and both squared norms.  Of Hamming distance,
 * sum (a-b)^2 of zeros and ones, and L1 the sum is the distance.  Index scans
 * order rows by these same functions, so that they agree with a sort to the bit.
 */
static inline double
tg_l2_from_sum(double l2sq)
{
	return __builtin_sqrt(l2sq);
}

static inline double
tg_ip_from_sum(double dot)
{
	return -dot;
}

/* NaN where a norm is zero: a zero vector has no direction. */
static inline double
tg_cosine_from_sums(double dot, double norm2_a, double norm2_b)
{
	double		similarity = dot / __builtin_sqrt(norm2_a * norm2_b);

	/* Rounding must not take a cosine out of its range. */
	if (similarity > 1.0)
		similarity = 1.0;
	else if (similarity < -1.0)
		similarity = -1.0;
	return 1.0 - similarity;
}

/*
 * Distance of two spans of equal dims as SQL's operator returns it.  Where
 * float32 sums overflow, the sums are made again in double precision, so that
 * the result is finite for all finite input.  Elements that are NaN or
 * infinite raise an error.
 */
extern double tg_distance(TgMetric metric, TgSpan a, TgSpan b);

#endif							/* TOGG_TYPE_H */
