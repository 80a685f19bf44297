/*-------------------------------------------------------------------------
 *
 * columns.c
 *	  The columns of an index beyond the vector: what is kept of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/columns.h"

#include "access/genam.h"
#include "access/tupmacs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "am/am.h"
#include "page/page.h"

/* Support function 1 makes an operator class one of vectors. */
static bool
is_vector(Relation index, AttrNumber attno)
{
	return attno <= IndexRelationGetNumberOfKeyAttributes(index) &&
		OidIsValid(index_getprocid(index, attno, 1));
}

static void
check_vectors(Relation index)
{
	int			n = RelationGetNumberOfAttributes(index);

	for (AttrNumber attno = 1; attno <= n; attno++)
		if (is_vector(index, attno) != (attno == 1))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the first column of a togg index must be its only vector"),
					 errdetail("Column %d of index \"%s\" %s.", attno,
							   RelationGetRelationName(index),
							   attno == 1 ? "is none" : "is another one"),
					 errhint("Make an index for each vector column; columns to filter by come after the vector.")));
}

/*
 * How a key of a type without a fixed length is kept.
 */
static void
init_digest(TgColumn *column, Relation index, AttrNumber attno)
{
	Oid			type = TupleDescAttr(index->rd_att, attno - 1)->atttypid;
	TypeCacheEntry *entry;

	column->element = get_base_element_type(type);
	column->kind = OidIsValid(column->element) ?
		TG_COLUMN_SIGNATURE : TG_COLUMN_HASH;
	column->len = sizeof(uint64);
	column->collation = index->rd_indcollation[attno - 1];
	entry = lookup_type_cache(OidIsValid(column->element) ?
							  column->element : type,
							  TYPECACHE_HASH_EXTENDED_PROC_FINFO);
	if (!OidIsValid(entry->hash_extended_proc))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a togg index cannot keep values of type %s",
						format_type_be(type)),
				 errdetail("The type has no fixed length, and no hash function of type %s is known.",
						   format_type_be(entry->type_id))));
	column->hash = &entry->hash_extended_proc_finfo;
	column->element_len = entry->typlen;
	column->element_byval = entry->typbyval;
	column->element_align = entry->typalign;
}

static void
init_column(TgColumn *column, Relation index, AttrNumber attno)
{
	Form_pg_attribute attribute = TupleDescAttr(index->rd_att, attno - 1);

	column->kind = TG_COLUMN_PLAIN;
	column->len = attribute->attlen;
	column->byval = attribute->attbyval;
	if (attribute->attlen > 0)
		return;
	if (attno > IndexRelationGetNumberOfKeyAttributes(index))
	{
		column->kind = TG_COLUMN_VARYING;
		column->len = sizeof(uint16);
	}
	else
		init_digest(column, index, attno);
}

/*
 * Work out all but the room.  Returns whether there is to be one.
 */
static bool
init_columns(TgColumns *columns, Relation index)
{
	int			n = RelationGetNumberOfAttributes(index);
	uint32		size = sizeof(ItemPointerData);
	bool		varying = false;

	check_vectors(index);
	memset(columns, 0, offsetof(TgColumns, columns));
	columns->n = n;
	if (n > 1)
	{
		size += (n + 7) / 8;
		columns->opclass = tg_opclass_get(index);
	}
	for (int i = 1; i < n; i++)
	{
		TgColumn   *column = &columns->columns[i];

		memset(column, 0, sizeof(TgColumn));
		init_column(column, index, i + 1);
		column->offset = size - offsetof(TgRow, values);
		size += column->len;
		varying |= column->kind == TG_COLUMN_VARYING;
	}
	columns->room_offset = size - offsetof(TgRow, values);
	return varying;
}

static void
set_row_size(TgColumns *columns, uint32 size)
{
	columns->row_size = size;
	columns->room = size - offsetof(TgRow, values) - columns->room_offset;
}

void
tg_columns_init(TgColumns *columns, Relation index)
{
	bool		varying = init_columns(columns, index);
	uint32		size = offsetof(TgRow, values) + columns->room_offset +
		(varying ? tg_options_get(index).include_size : 0);

	size = TYPEALIGN(sizeof(uint16), size);
	if (size > TG_MAX_ROW_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the columns of index \"%s\" take too many bytes",
						RelationGetRelationName(index)),
				 errdetail("Those beside the vector take %u bytes in a row, and may take %d.",
						   size - (uint32) sizeof(ItemPointerData),
						   TG_MAX_ROW_SIZE - (int) sizeof(ItemPointerData)),
				 errhint(varying ?
						 "Index fewer columns, or narrower ones, or lower include_size." :
						 "Index fewer columns, or narrower ones.")));
	set_row_size(columns, size);
}

void
tg_columns_open(TgColumns *columns, Relation index)
{
	uint32		size = tg_row_size(&tg_index_get(index)->meta);
	bool		varying = init_columns(columns, index);
	uint32		least = TYPEALIGN(sizeof(uint16), offsetof(TgRow, values) +
								  columns->room_offset);

	if (size < least || (size > least && !varying))
		tg_report_corruption(index, TG_METAPAGE_BLKNO,
							 "The metapage says that a row takes %u bytes, not %u.",
							 size, least);
	set_row_size(columns, size);
}

static uint64
hash_value(const TgColumn *column, Datum value)
{
	return DatumGetUInt64(FunctionCall2Coll(column->hash, column->collation,
											value, Int64GetDatum(0)));
}

/*
 * A bit for each element.  NULL elements have none: no operator of arrays
 * takes a NULL for equal to anything.
 */
static uint64
signature(const TgColumn *column, Datum value)
{
	uint64		bits = 0;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(value), column->element,
					  column->element_len, column->element_byval,
					  column->element_align, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			bits |= UINT64CONST(1) << (hash_value(column, elements[i]) & 63);
	return bits;
}

uint64
tg_column_digest(const TgColumn *column, Datum value)
{
	return column->kind == TG_COLUMN_SIGNATURE ?
		signature(column, value) : hash_value(column, value);
}

/*
 * Is the vector, as far as its type goes, what comes back from its elements?
 */
static bool
is_reproducible(const TgOpclass *opclass, Datum value)
{
	struct varlena *plain = PG_DETOAST_DATUM(value);
	struct varlena *made;
	TgSpan		span;

	span = opclass->span(PointerGetDatum(plain));
	if (!tg_keeps_length(opclass->metric, span))
		return false;
	made = (struct varlena *) DatumGetPointer(opclass->value(span));
	return VARSIZE(made) == VARSIZE(plain) &&
		memcmp(made, plain, VARSIZE(plain)) == 0;
}

/*
 * Put a value of a varying column into what is left of the room, and its length
 * where that belongs.  Returns how much of the room it takes.
 *
 * Values are detoasted: what is out of line goes with the table's row, and
 * whether a value was compressed by then must not matter to who compares rows.
 * Nor are they compressed here, which would only serve values that exceed the
 * room, and seldom make them fit.
 */
static uint32
put_varying(Datum value, char *at, char *room, uint32 left)
{
	struct varlena *plain = PG_DETOAST_DATUM_PACKED(value);
	Size		size = VARSIZE_ANY_EXHDR(plain);
	bool		fits = size <= left;
	uint16		length = fits ? size : TG_LEFT_OUT;

	memcpy(at, &length, sizeof(uint16));
	if (fits)
		memcpy(room, VARDATA_ANY(plain), size);
	return fits ? size : 0;
}

void
tg_row_form(const TgColumns *columns, const Datum *values, const bool *isnull,
			ItemPointer tid, TgRow *row)
{
	uint32		room = 0;

	memset(row, 0, columns->row_size);
	row->tid = *tid;
	if (columns->n > 1 && !isnull[0] &&
		!is_reproducible(columns->opclass, values[0]))
		row->values[0] |= 1;
	for (int i = 1; i < columns->n; i++)
	{
		const TgColumn *column = &columns->columns[i];
		char	   *at = row->values + column->offset;

		if (isnull[i])
			row->values[i / 8] |= 1 << (i % 8);
		else if (column->kind == TG_COLUMN_VARYING)
			room += put_varying(values[i], at,
								row->values + columns->room_offset + room,
								columns->room - room);
		else if (column->kind != TG_COLUMN_PLAIN)
		{
			uint64		digest = tg_column_digest(column, values[i]);

			memcpy(at, &digest, sizeof(uint64));
		}
		else if (column->byval)
		{
			Datum		aligned;

			store_att_byval(&aligned, values[i], column->len);
			memcpy(at, &aligned, column->len);
		}
		else
			memcpy(at, DatumGetPointer(values[i]), column->len);
	}
}

/*
 * The length that a row says of a value of a varying column.
 */
static uint16
varying_length(const TgColumns *columns, const TgRow *row, int i)
{
	uint16		length;

	memcpy(&length, row->values + columns->columns[i].offset, sizeof(uint16));
	return length;
}

bool
tg_row_is_sane(const TgColumns *columns, const TgRow *row)
{
	uint32		taken = 0;

	for (int i = 1; i < columns->n; i++)
		if (columns->columns[i].kind == TG_COLUMN_VARYING)
		{
			uint16		length = varying_length(columns, row, i);

			if (length != TG_LEFT_OUT)
				taken += length;
		}
	return taken <= columns->room;
}

bool
tg_row_deform(const TgColumns *columns, const TgRow *row, Datum *values,
			  bool *isnull)
{
	const char *room = row->values + columns->room_offset;

	for (int i = 1; i < columns->n; i++)
	{
		const TgColumn *column = &columns->columns[i];
		const char *at = row->values + column->offset;

		values[i] = (Datum) 0;
		isnull[i] = tg_row_isnull(row, i) ||
			column->kind == TG_COLUMN_HASH ||
			column->kind == TG_COLUMN_SIGNATURE;
		if (isnull[i])
			continue;
		if (column->kind == TG_COLUMN_VARYING)
		{
			uint16		length = varying_length(columns, row, i);
			struct varlena *value;

			if (length == TG_LEFT_OUT)
				return false;
			value = palloc(VARHDRSZ + length);
			SET_VARSIZE(value, VARHDRSZ + length);
			memcpy(VARDATA(value), room, length);
			values[i] = PointerGetDatum(value);
			room += length;
		}
		else
		{
			char	   *aligned = palloc(column->len);

			memcpy(aligned, at, column->len);
			values[i] = fetch_att(aligned, column->byval, column->len);
		}
	}
	return true;
}

TgRow *
tg_row_make(const TgColumns *columns, const Datum *values, const bool *isnull,
			ItemPointer tid)
{
	TgRow	   *row = palloc(columns->row_size);

	tg_row_form(columns, values, isnull, tid, row);
	return row;
}
