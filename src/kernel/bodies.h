/*-------------------------------------------------------------------------
 *
 * bodies.h
 *	  What the bodies of the kernels share: their names, the half-precision
 *	  conversions of a single number, the coding of what is left of a span,
 *	  the arithmetic of score tables, and the limits of the code scan.
 *
 * Included by src/kernel only; everybody else calls through kernel.h.
 *
 * Every body sums in several accumulators of its own width, so two bodies
 * add in different orders.  Within one body, though, the sum over floats and
 * the sum over halves are instances of one function, told apart by a constant
 * argument: they add in the same order, and the distance to a half-precision
 * vector is to the last bit the distance to its conversion.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_KERNEL_BODIES_H
#define TOGG_KERNEL_BODIES_H

#include <math.h>

#include "kernel/kernel.h"

#if defined(__x86_64__)
#define TG_KERNEL_X86
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define TG_KERNEL_NEON
#endif

/* Inlined even into a function compiled for another instruction set. */
#define TG_INLINE		static inline __attribute__((always_inline))

extern const TgKernels tg_kernels_scalar;
#ifdef TG_KERNEL_X86
extern const TgKernels tg_kernels_avx2;
extern const TgKernels tg_kernels_avx512;
extern const TgKernels tg_kernels_avx512vnni;
#endif
#ifdef TG_KERNEL_NEON
extern const TgKernels tg_kernels_neon;
#endif

/* What a sum over two spans adds up. */
typedef enum TgSum
{
	TG_SUM_L2SQ,
	TG_SUM_DOT,
	TG_SUM_L1
} TgSum;

/*
 * Groups whose table entries, weighted by their planes, add up to no more
 * than 16 unsigned bits, rounded down to whole steps of the scan.
 */
#define TG_SCAN_GROUPS(nplanes) \
	(65535 / 255 / ((1 << (nplanes)) - 1) / TG_TABLE_ALIGN * TG_TABLE_ALIGN)

/*
 * The fixed point of table_entries(): 1 is TG_PART_ONE, and a part is kept
 * within TG_PART_MAX, so that the parts of a group with a range of 255 and
 * what rounds their sum still fit 16 bits.
 */
#define TG_PART_SHIFT	7
#define TG_PART_ONE		(1 << TG_PART_SHIFT)
#define TG_PART_MAX		32767

/*
 * Vector bodies of table_entries() keep what the four dimensions of a group
 * may add to a sum in eight words of 16 bits: max(p, 0) of each, then
 * max(-p, 0) of each.  Shuffled by the first three of these lists of bytes,
 * the eight words become what the first three dimensions add to the entries
 * of codes 0 to 7, and also of codes 8 to 15; by the fourth and the fifth,
 * what the last dimension adds to all of codes 0 to 7 and 8 to 15.
 */
#define TG_ENTRY_SHUFFLES	5

static const uint8 tg_entry_shuffles[TG_ENTRY_SHUFFLES][16] = {
	{8, 9, 0, 1, 8, 9, 0, 1, 8, 9, 0, 1, 8, 9, 0, 1},
	{10, 11, 10, 11, 2, 3, 2, 3, 10, 11, 10, 11, 2, 3, 2, 3},
	{12, 13, 12, 13, 12, 13, 12, 13, 4, 5, 4, 5, 4, 5, 4, 5},
	{14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15, 14, 15},
	{6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7, 6, 7}
};

/*
 * Code the elements from the first-th on, one by one, and add to the sums;
 * for the scalar body, and for what fills no vector.  Without a branch: the
 * signs of a residual are as good as random.
 */
TG_INLINE void
tg_encode_rest(const float *w, const float *c, int first, int n, int bits,
			   float threshold, uint8 *levels, double *xw, double *xc)
{
	for (int i = first; i < n; i++)
	{
		float		wi;
		float		ci;
		double		x;
		int			level;

		memcpy(&wi, w + i, sizeof(wi));
		memcpy(&ci, c + i, sizeof(ci));
		level = wi >= 0.0f;
		if (bits == 1)
			x = 2 * level - 1;
		else
		{
			level = (1 + level) ^ (fabsf(wi) > threshold);
			x = level - 1.5;
		}
		levels[i] = (uint8) level;
		*xw += x * wi;
		*xc += x * ci;
	}
}

/* The half-precision number with the given bits; NaNs become quiet ones. */
TG_INLINE float
tg_float_of_half(uint16 half)
{
	uint32		sign = (uint32) (half & 0x8000) << 16;
	uint32		magnitude = half & 0x7FFF;
	uint32		bits;
	float		value;

	if (magnitude < 0x0400)
	{
		/* Zero or denormal: a count of 2^-24, which a float holds exactly. */
		value = (float) magnitude * 0x1p-24f;
		memcpy(&bits, &value, sizeof(bits));
	}
	else if (magnitude < 0x7C00)
		bits = (magnitude << 13) + 0x38000000;
	else
		bits = (magnitude << 13) + 0x70000000 +
			(magnitude > 0x7C00 && magnitude < 0x7E00 ? 0x00400000 : 0);

	bits |= sign;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * The half-precision number nearest to value, ties to the even one.  As the
 * processors do it: at 65520 and beyond infinity, a NaN keeps the upper bits
 * of its payload and becomes quiet.
 */
TG_INLINE uint16
tg_half_of_float(float value)
{
	uint32		bits;
	uint32		sign;
	uint32		magnitude;

	memcpy(&bits, &value, sizeof(bits));
	sign = (bits >> 16) & 0x8000;
	magnitude = bits & 0x7FFFFFFF;

	if (magnitude > 0x7F800000)
		return sign | 0x7E00 | ((magnitude >> 13) & 0x03FF);
	if (magnitude >= 0x47800000)
		return sign | 0x7C00;
	if (magnitude < 0x38800000)
	{
		/*
		 * Denormal.  The last bit of a float between 0.5 and 1 is worth as
		 * much as the last bit of a denormal half, so this addition rounds
		 * where we need it.
		 */
		memcpy(&value, &magnitude, sizeof(value));
		value += 0.5f;
		memcpy(&magnitude, &value, sizeof(magnitude));
		return sign | (magnitude - 0x3F000000);
	}

	/* A carry moves on to the next exponent, from 65520 on to infinity. */
	magnitude += 0x0FFF + ((magnitude >> 13) & 1);
	return sign | ((magnitude - 0x38000000) >> 13);
}

/* One level of butterflies: n floats, partners h apart. */
TG_INLINE void
tg_hadamard_level(float *x, int n, int h)
{
	for (int i = 0; i < n; i += 2 * h)
	{
		for (int j = i; j < i + h; j++)
		{
			float		low;
			float		high;
			float		sum;

			memcpy(&low, x + j, sizeof(low));
			memcpy(&high, x + j + h, sizeof(high));
			sum = low + high;
			high = low - high;
			memcpy(x + j, &sum, sizeof(sum));
			memcpy(x + j + h, &high, sizeof(high));
		}
	}
}

#endif							/* TOGG_KERNEL_BODIES_H */
