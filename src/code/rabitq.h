/*-------------------------------------------------------------------------
 *
 * rabitq.h
 *	  Compact codes of a vertex's neighbours, and the table that scores them
 *	  against a query.
 *
 * After RaBitQ (Gao and Long, SIGMOD 2024; Gao et al., SIGMOD 2025), with the
 * vertex that holds the neighbour list as the centre of the codes.  For a
 * neighbour o of the vertex p, with P the rotation:
 *
 *		w = P(o - p)			the residual, of length n
 *		x = code(w)				1 bit: the signs of w, in {-1, 1}
 *								2 bits: the nearest of {-1.5, -.5, .5, 1.5}
 *								after scaling, by largest cosine
 *		<P(q - p), w> is estimated by <P(q - p), x> * n^2 / <x, w>
 *
 * which is unbiased for a random rotation.  With p' = P(p - mean) and
 * q' = P(q - mean), and
 *
 *		f = -2 n^2 / <x, w>
 *		a = n^2 - f <p', x>
 *
 *		|q - o|^2 = |q - p|^2 + n^2 - 2 <q - p, o - p>
 *				  ~ |q - p|^2 + a + f <q', x>
 *
 * so that one table of q' serves the list of every vertex, and what depends
 * on the neighbour alone are two floats and the code.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_RABITQ_H
#define TOGG_RABITQ_H

#include "kernel/kernel.h"

#define TG_MAX_BITS		2

/* Groups of four dimensions that hold so many dimensions. */
#define TG_GROUPS(dims)	(((dims) + TG_GROUP_DIMS - 1) / TG_GROUP_DIMS)

/* Bytes of the codes of one block. */
#define TG_CODES_SIZE(dims, bits)	((Size) TG_GROUPS(dims) * TG_GROUP_BYTES * (bits))

/* Bytes of a score table's entries. */
#define TG_TABLE_SIZE(dims) \
	((Size) (TG_GROUPS(dims) + TG_TABLE_ALIGN - 1) / TG_TABLE_ALIGN * \
	 TG_TABLE_ALIGN * TG_GROUP_CODES)

/*
 * Code one neighbour.
 *
 * residual[dims] is P(o) - P(p), centre[dims] is P(p - mean).  levels[dims]
 * receives the level of each dimension (0 .. 2^bits - 1), *a and *f the
 * factors above.  A residual of length zero, or one whose factors are not
 * finite, gets factors that never let the neighbour look nearer than p.
 */
extern void tg_encode(int dims, int bits, const float *residual,
					  const float *centre, uint8 *levels, float *a, float *f);

/* Put levels into one lane of a block's codes, over whatever was there. */
extern void tg_codes_set_lane(uint8 *codes, int dims, int bits, int lane,
							  const uint8 *levels);

/* The reverse, for checks. */
extern void tg_codes_get_lane(const uint8 *codes, int dims, int bits, int lane,
							  uint8 *levels);

/*
 * Build the score table of a query: query[dims] is P(q - mean).
 * table->entries is the caller's, TG_TABLE_SIZE(dims) bytes.
 */
extern void tg_table_build(TgScoreTable *table, int dims, int bits,
						   const float *query);

#endif							/* TOGG_RABITQ_H */
