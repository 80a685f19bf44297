/*-------------------------------------------------------------------------
 *
 * equal.h
 *	  Vectors by row number, and a hash table that finds equal ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_EQUAL_H
#define TOGG_EQUAL_H

#include "build/build.h"

#include "common/hashfn.h"

/*
 * The table of distinct vectors, keyed by row number; private_data is the
 * TgRows that they are in.
 */
typedef struct EqualVectors_entry
{
	uint32		row;
	uint32		hash;
	char		status;
} EqualVectors_entry;

static inline uint32
row_hash(const TgRows *rows, uint32 row)
{
	return hash_bytes((const unsigned char *) tg_row(rows, row),
					  sizeof(float) * rows->dims);
}

static inline bool
row_equal(const TgRows *rows, uint32 a, uint32 b)
{
	return memcmp(tg_row(rows, a), tg_row(rows, b),
				  sizeof(float) * rows->dims) == 0;
}

#define SH_PREFIX EqualVectors
#define SH_ELEMENT_TYPE EqualVectors_entry
#define SH_KEY_TYPE uint32
#define SH_KEY row
#define SH_HASH_KEY(tb, key) row_hash((tb)->private_data, key)
#define SH_EQUAL(tb, a, b) row_equal((tb)->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#endif							/* TOGG_EQUAL_H */
