/*-------------------------------------------------------------------------
 *
 * columns.h
 *	  The columns of an index beyond the vector: what is kept of them.
 *
 * A row in a slot is its heap TID and a value of each further column, key or
 * INCLUDE.  All rows of an index take the same number of bytes:
 *
 *	+----------+----------------------------+---------+---------+-----+------+
 *	| heap TID | a bit for each column, set | value 2 | value 3 | ... | room |
 *	|   6 B    | where it is NULL           |         |         |     |      |
 *	+----------+----------------------------+---------+---------+-----+------+
 *
 * Values are not aligned.  The first bit, the vector's, is set if that cannot be
 * had from what the index stores.  (Rows of NULL vectors have a list of their
 * own.)
 *
 * Types of a fixed length are kept as they are.  Of others a key keeps 8 bytes:
 *
 *		an array		its signature, which has a bit set for each element
 *		all else		the hash of the value
 *
 * These say of a row that it cannot satisfy a condition or that it may, in
 * which case the executor has to look at the table.
 *
 * An INCLUDE column of such a type keeps the value's length, 2 bytes, or says
 * that the value is left out; the values themselves are in the room at the end,
 * one after the other, detoasted and without varlena headers.  A value that the
 * room has no place for is left out: then the row is made from the table's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_COLUMNS_H
#define TOGG_COLUMNS_H

#include "access/tupmacs.h"
#include "fmgr.h"
#include "utils/rel.h"

#include "page/layout.h"
#include "type/type.h"

typedef enum TgColumnKind
{
	TG_COLUMN_PLAIN,
	TG_COLUMN_HASH,
	TG_COLUMN_SIGNATURE,
	TG_COLUMN_VARYING
} TgColumnKind;

/* Length of a value of a varying column that is left out. */
#define TG_LEFT_OUT		0xFFFF

typedef struct TgColumn
{
	TgColumnKind kind;
	uint16		offset;			/* in TgRow.values */
	int16		len;			/* bytes there */
	bool		byval;
	FmgrInfo   *hash;			/* of a digest: of the type, or of elements */
	Oid			collation;

	/* Of a signature: the elements' type. */
	Oid			element;
	int16		element_len;
	bool		element_byval;
	char		element_align;
} TgColumn;

typedef struct TgColumns
{
	int			n;				/* columns of the index, the vector's too */
	uint32		row_size;
	uint32		room_offset;	/* in TgRow.values */
	uint32		room;			/* bytes */
	const TgOpclass *opclass;	/* where there are further columns */
	TgColumn	columns[INDEX_MAX_KEYS];	/* from 1 on: the further ones */
} TgColumns;

/*
 * Work out the columns of an index that is to be built.  Raises an error for one
 * that it cannot have: more than one vector, none, or a type that is not
 * supported.
 */
extern void tg_columns_init(TgColumns *columns, Relation index);

/*
 * The same for an index that has been built, whose rows may have another room
 * than its options would give them now.
 */
extern void tg_columns_open(TgColumns *columns, Relation index);

/* Make a row of index values; row has room for row_size bytes. */
extern void tg_row_form(const TgColumns *columns, const Datum *values,
						const bool *isnull, ItemPointer tid, TgRow *row);

/* The same in new memory. */
extern TgRow *tg_row_make(const TgColumns *columns, const Datum *values,
						  const bool *isnull, ItemPointer tid);

/*
 * The values of a row but the vector's, in new memory; NULL where only a digest
 * is kept.  False if a value was left out.  The row must be sane.
 */
extern bool tg_row_deform(const TgColumns *columns, const TgRow *row,
						  Datum *values, bool *isnull);

/* Has the room of a row place for the values that it says are there? */
extern bool tg_row_is_sane(const TgColumns *columns, const TgRow *row);

/* What a value of a column that keeps a digest is kept as. */
extern uint64 tg_column_digest(const TgColumn *column, Datum value);

/*
 * The value of a plain column, stored at the given place.  One that is passed by
 * reference goes to aligned, which is where functions expect it.
 */
typedef union TgAligned
{
	char		bytes[TG_MAX_ROW_SIZE];
	double		force_align_d;
	int64		force_align_i64;
} TgAligned;

static inline Datum
tg_column_value(const TgColumn *column, const char *stored, TgAligned *aligned)
{
	memcpy(aligned->bytes, stored, column->len);
	return fetch_att(aligned->bytes, column->byval, column->len);
}

static inline bool
tg_row_isnull(const TgRow *row, int column)
{
	return (row->values[column / 8] & (1 << (column % 8))) != 0;
}

#endif							/* TOGG_COLUMNS_H */
