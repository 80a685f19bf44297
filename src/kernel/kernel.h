/*-------------------------------------------------------------------------
 *
 * kernel.h
 *	  Distance and code-scan kernels: one table of functions, one body per
 *	  instruction set, chosen at run time.
 *
 * A kernel never allocates, never fails and reads no byte outside the spans
 * it is given.  Spans need no alignment.  Results of two instruction sets
 * differ only by the order in which floats are added (relative error below
 * n * 2^-23); code scans are exact integer sums and agree to the last bit
 * before the final scale is applied.  Levels, ranges of groups and the entries
 * of score tables agree to the last bit, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_KERNEL_H
#define TOGG_KERNEL_H

#include "shim.h"

/* Neighbours are coded and scored in blocks of this many. */
#define TG_BLOCK_LANES	32

/* Dimensions whose bits share one four-bit code, and codes of one table. */
#define TG_GROUP_DIMS	4
#define TG_GROUP_CODES	16

/* Bytes that one group of one bit plane takes for a whole block. */
#define TG_GROUP_BYTES	(TG_BLOCK_LANES * TG_GROUP_DIMS / 8)

/*
 * Score tables are padded to a multiple of this many groups, with zeros; so
 * many dimensions that makes.
 */
#define TG_TABLE_ALIGN	4
#define TG_TABLE_DIMS	(TG_TABLE_ALIGN * TG_GROUP_DIMS)

/* Spans of bytes are padded to a multiple of this many. */
#define TG_BYTES_ALIGN	64

/*
 * A query as the code scan needs it: an 8-bit table of the partial sums of
 * every group of four dimensions, and the line that turns the integer sum
 * back into <query, code>:  <query, code> = step * sum + offset.
 * See src/code/rabitq.h for where the numbers come from.
 */
typedef struct TgScoreTable
{
	int			ngroups;		/* groups of four dimensions */
	int			nplanes;		/* bits per dimension: 1 or 2 */
	float		step;
	float		offset;
	uint8	   *entries;		/* [ngroups rounded up to TG_TABLE_ALIGN][16] */
} TgScoreTable;

typedef struct TgKernels
{
	const char *name;

	/* Sums over n floats: of (a-b)^2, of a*b, of |a-b|. */
	float		(*l2sq) (const float *a, const float *b, int n);
	float		(*dot) (const float *a, const float *b, int n);
	float		(*l1) (const float *a, const float *b, int n);

	/* The same with b in half precision. */
	float		(*l2sq_half) (const float *a, const uint16 *b, int n);
	float		(*dot_half) (const float *a, const uint16 *b, int n);

	/*
	 * The sum of (a-b)^2 over n bytes, n being a multiple of TG_BYTES_ALIGN.
	 * No byte of a may differ by more than 127 from that of b.
	 */
	uint32		(*l2sq_bytes) (const int8 *a, const int8 *b, int n);

	/* Conversions; to half rounds to nearest even, overflow to infinity. */
	void		(*half_to_float) (const uint16 *src, float *dst, int n);
	void		(*float_to_half) (const float *src, uint16 *dst, int n);

	/*
	 * One round of the fast Walsh-Hadamard transform of n = 2^k floats,
	 * unscaled, in place.
	 */
	void		(*hadamard) (float *x, int n);

	/*
	 * Code w in levels, of one bit:
	 *
	 * levels[i] = w[i] >= 0 ? 1 : 0, which stands for x = -1, 1
	 *
	 * or of two, where outer is 1 where |w[i]| > threshold and 0 elsewhere:
	 *
	 * levels[i] = w[i] >= 0 ? 2 + outer : 1 - outer, which stands for
	 * x = -1.5, -0.5, 0.5, 1.5
	 *
	 * A NaN in w compares as false.  *xw and *xc receive the sums of x * w
	 * and of x * c.
	 */
	void		(*encode) (const float *w, const float *c, int n, int bits,
						   float threshold, uint8 *levels, float *xw, float *xc);

	/*
	 * What the scale of a score table goes by.  *total and *minimum receive
	 * the sums of all numbers and of those below zero, *range the largest sum
	 * of magnitudes in a group of four, added in pairs.  NaNs count as zero.
	 */
	void		(*table_range) (const float *query, int n,
								float *total, float *minimum, float *range);

	/*
	 * Fill a score table's entries, the padding included:
	 *
	 * entries[group][code] = the sum over the four dimensions of the group of
	 * max(p, 0) where the code's bit is set and max(-p, 0) where it is not,
	 * rounded to nearest, and at most 255;
	 *
	 * p is query * per_step, taken as a multiple of 1/128 between -256 and
	 * 256.  That is coarse enough for the sums of a group to be exact in 16
	 * bits, whatever their order, and fine enough for an entry to be within
	 * 0.5 + 2/128 of the exact sum.  per_step must be finite.  A NaN in query
	 * makes entries of no meaning, but entries.
	 */
	void		(*table_entries) (const float *query, int n, float per_step,
								  uint8 *entries);

	/*
	 * Score the 32 codes of a block.
	 *
	 * codes: nplanes planes, least significant first, each ngroups groups of
	 * 16 bytes; byte j of a group holds the four bits of lane j in its low
	 * nibble and those of lane j + 16 in its high nibble; bit i of a nibble
	 * belongs to dimension 4 * group + i.
	 *
	 * sum[lane] = sum over planes of 2^plane * sum over groups of
	 * entries[group][nibble], and
	 *
	 * estimates[lane] = base + a[lane] + f[lane] * (step * sum[lane] + offset)
	 *
	 * Returns a bit mask of the lanes with estimates[lane] < limit; a NaN is
	 * never below the limit.
	 */
	uint32		(*score) (const TgScoreTable *table, const uint8 *codes,
						  const float *a, const float *f,
						  float base, float limit, float *estimates);
} TgKernels;

/* The kernels in use; never NULL once tg_kernels_select() has run. */
extern const TgKernels *tg_kernels;

/*
 * All bodies that this build has, best first, NULL-terminated.
 * tg_kernels_supported() tells whether this processor can run one.
 */
extern const TgKernels *const tg_kernels_all[];
extern bool tg_kernels_supported(const TgKernels *kernels);

/*
 * Use the best body that this processor runs ("auto"), or the one named.
 * Returns false, and changes nothing, where there is no such body or the
 * processor cannot run it.
 */
extern bool tg_kernels_select(const char *name);

#endif							/* TOGG_KERNEL_H */
