/*-------------------------------------------------------------------------
 *
 * sketch.c
 *	  What the bytes of sketches mean; see am/sketch.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/sketch.h"

#include "access/stratnum.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define SKETCH_NULL			1
#define FIRST_PART			2
#define ARRAY_PART			128
#define ARRAY_BITS			7

StaticAssertDecl(FIRST_PART + TG_SKETCH_PARTS == TG_SKETCH_NONE,
				 "bytes of sketches must be used up");

/* Rows that a ruler is drawn from. */
#define SAMPLE				(32 * TG_SKETCH_PARTS)

/*
 * The content of a ruler page.
 */
typedef struct Ruler
{
	uint32		counts[TG_SKETCH_NONE + 1]; /* vertices there were of each byte */
	uint32		nbounds;
	char		bounds[FLEXIBLE_ARRAY_MEMBER];	/* ascending, as rows keep them */
} Ruler;

struct TgSketcher
{
	Relation	index;
	const TgIndex *info;
	TgColumns	columns;
	int			n;				/* filter columns; the first is columns[1] */
	bool		ordered[INDEX_MAX_KEYS];
	FmgrInfo	less_equal[INDEX_MAX_KEYS];
};

/* Bounds that a ruler page has room for. */
static inline uint32
max_bounds(const TgColumn *column)
{
	return Min(TG_SKETCH_PARTS - 1,
			   (TG_PAGE_CONTENT - offsetof(Ruler, bounds)) / column->len);
}

/*
 * Pin and share-lock the ruler of a column.
 */
static const Ruler *
open_ruler(Relation index, const TgIndex *info, int i, const TgColumn *column,
		   Buffer *buffer)
{
	const Ruler *ruler = (const Ruler *)
		tg_sketch_open_ruler(index, &info->meta, i - 1, buffer);

	if (ruler->nbounds > max_bounds(column))
		tg_report_corruption(index, BufferGetBlockNumber(*buffer),
							 "The ruler of column %d has %u bounds.", i + 1,
							 ruler->nbounds);
	return ruler;
}

/* Filter columns of an index. */
static int
filter_columns(Relation index)
{
	return IndexRelationGetNumberOfKeyAttributes(index) - 1;
}

/*
 * The operator class's "column <= value of this type".  False if there is none.
 */
static bool
find_less_equal(Relation index, int column, Oid type, FmgrInfo *function)
{
	Oid			operator = get_opfamily_member(index->rd_opfamily[column],
											   index->rd_opcintype[column],
											   type,
											   BTLessEqualStrategyNumber);

	if (!OidIsValid(operator))
		return false;
	fmgr_info(get_opcode(operator), function);
	return true;
}

static TgSketcher *
create_sketcher(Relation index, const TgIndex *info)
{
	TgSketcher *sketcher = palloc0(sizeof(TgSketcher));

	sketcher->index = index;
	sketcher->info = info;
	tg_columns_open(&sketcher->columns, index);
	sketcher->n = filter_columns(index);
	for (int i = 1; i <= sketcher->n; i++)
		if (sketcher->columns.columns[i].kind == TG_COLUMN_PLAIN)
			sketcher->ordered[i] = find_less_equal(index, i,
												   index->rd_opcintype[i],
												   &sketcher->less_equal[i]);
	return sketcher;
}

TgSketcher *
tg_sketcher_create(Relation index, const TgIndex *info)
{
	return info->meta.sketches == 0 ? NULL : create_sketcher(index, info);
}

/* ---------- rows to bytes ---------- */

static inline bool
less_equal(FmgrInfo *function, Oid collation, Datum a, Datum b)
{
	return DatumGetBool(FunctionCall2Coll(function, collation, a, b));
}

/*
 * How many of the ruler's bounds are not above the value?
 */
static int
count_bounds(const Ruler *ruler, const TgColumn *column, FmgrInfo *function,
			 Oid collation, Datum value)
{
	int			low = 0;
	int			high = ruler->nbounds;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		TgAligned	aligned;
		Datum		bound = tg_column_value(column, ruler->bounds +
											(Size) middle * column->len,
											&aligned);

		if (less_equal(function, collation, bound, value))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The bits of an array's signature, folded into fewer. */
static uint8
fold(uint64 signature)
{
	uint8		bits = 0;

	for (; signature != 0; signature >>= ARRAY_BITS)
		bits |= signature & ((1 << ARRAY_BITS) - 1);
	return bits;
}

/*
 * The byte of a hash or of a signature.  One with all bits says nothing.
 */
static uint8
digest_byte(const TgColumn *column, uint64 digest)
{
	int			byte = column->kind == TG_COLUMN_HASH ?
		FIRST_PART + (digest >> 32) % TG_SKETCH_PARTS : ARRAY_PART + fold(digest);

	return byte == TG_SKETCH_NONE ? TG_SKETCH_ANY : byte;
}

static uint8
row_byte(TgSketcher *sketcher, int i, const Ruler *ruler, const TgRow *row)
{
	const TgColumn *column = &sketcher->columns.columns[i];
	const char *stored = row->values + column->offset;
	TgAligned	aligned;

	if (tg_row_isnull(row, i))
		return SKETCH_NULL;
	if (column->kind != TG_COLUMN_PLAIN)
	{
		uint64		digest;

		memcpy(&digest, stored, sizeof(uint64));
		return digest_byte(column, digest);
	}
	if (!sketcher->ordered[i])
		return TG_SKETCH_ANY;
	return FIRST_PART + count_bounds(ruler, column, &sketcher->less_equal[i],
									 sketcher->index->rd_indcollation[i],
									 tg_column_value(column, stored, &aligned));
}

/*
 * The byte of all rows of a vertex.  What is chained from it is not looked at.
 */
static uint8
vertex_byte(TgSketcher *sketcher, int i, const Ruler *ruler,
			const TgSlotHeader *header)
{
	uint8		byte = TG_SKETCH_NONE;

	if (header->kind != TG_SLOT_VERTEX || header->layer > 0)
		return TG_SKETCH_NONE;
	if (header->next != TG_INVALID_VERTEX)
		return TG_SKETCH_ANY;
	for (int r = 0; r < header->ntids; r++)
	{
		uint8		added = row_byte(sketcher, i, ruler,
									 tg_slot_row(&sketcher->info->layout,
												 header, r));

		if (r > 0 && byte != added)
			return TG_SKETCH_ANY;
		byte = added;
	}
	return byte;
}

/*
 * The bytes of a vertex, or of a row: by the rulers of the index.
 */
static void
make_bytes(TgSketcher *sketcher, const TgSlotHeader *header, const TgRow *row,
		   uint8 *bytes)
{
	for (int i = 1; i <= sketcher->n; i++)
	{
		Buffer		buffer;
		const Ruler *ruler = open_ruler(sketcher->index, sketcher->info, i,
										&sketcher->columns.columns[i],
										&buffer);

		bytes[i - 1] = row ? row_byte(sketcher, i, ruler, row) :
			vertex_byte(sketcher, i, ruler, header);
		UnlockReleaseBuffer(buffer);
	}
}

void
tg_sketcher_add(TgSketcher *sketcher, TgVertexId id, const TgRow *row)
{
	uint8		bytes[INDEX_MAX_KEYS];

	make_bytes(sketcher, NULL, row, bytes);
	tg_sketch_add(sketcher->index, sketcher->info, id, bytes, sketcher->n);
}

void
tg_sketcher_renew(TgSketcher *sketcher, TgVertexId id,
				  const TgSlotHeader *header)
{
	uint8		bytes[INDEX_MAX_KEYS];

	make_bytes(sketcher, header, NULL, bytes);
	tg_sketch_put(sketcher->index, sketcher->info, id, bytes, sketcher->n);
}

bool
tg_sketcher_fits(TgSketcher *sketcher, TgVertexId id, const TgRow *row)
{
	uint8		bytes[INDEX_MAX_KEYS];
	uint8		stored[INDEX_MAX_KEYS];

	make_bytes(sketcher, NULL, row, bytes);
	if (!tg_sketch_get(sketcher->index, sketcher->info, id, stored,
					   sketcher->n))
		return true;
	for (int c = 0; c < sketcher->n; c++)
		if (stored[c] != TG_SKETCH_ANY && stored[c] != bytes[c])
			return false;
	return true;
}

/* ---------- building ---------- */

/* The order of a column's values, for sorting. */
typedef struct Order
{
	const TgColumn *column;
	FmgrInfo   *less_equal;
	Oid			collation;
} Order;

static int
compare_values(const void *a, const void *b, void *arg)
{
	const Order *order = arg;
	TgAligned	left;
	TgAligned	right;
	Datum		x = tg_column_value(order->column, a, &left);
	Datum		y = tg_column_value(order->column, b, &right);

	if (!less_equal(order->less_equal, order->collation, x, y))
		return 1;
	return less_equal(order->less_equal, order->collation, y, x) ? 0 : -1;
}

/*
 * Draw a ruler from a sample of rows.
 */
static void
draw_ruler(TgSketcher *sketcher, int i, const char *sample, int nrows,
		   Ruler *ruler)
{
	const TgColumn *column = &sketcher->columns.columns[i];
	Order		order = {
		column, &sketcher->less_equal[i], sketcher->index->rd_indcollation[i]
	};
	int			most = max_bounds(column);
	char	   *values = palloc((Size) column->len * Max(nrows, 1));
	int			n = 0;

	for (int r = 0; r < nrows; r++)
	{
		const TgRow *row = (const TgRow *)
			(sample + (Size) r * sketcher->columns.row_size);

		if (!tg_row_isnull(row, i))
			memcpy(values + (Size) column->len * n++,
				   row->values + column->offset, column->len);
	}
	qsort_arg(values, n, column->len, compare_values, &order);
	for (int b = 0; b < most && n > 0; b++)
	{
		const char *value = values + (Size) column->len *
			((Size) n * (b + 1) / (most + 1));
		char	   *next = ruler->bounds + (Size) column->len * ruler->nbounds;

		if (ruler->nbounds == 0 ||
			compare_values(next - column->len, value, &order) < 0)
		{
			memcpy(next, value, column->len);
			ruler->nbounds++;
		}
	}
	pfree(values);
}

/*
 * Call a function for each vertex of layer 0 that has rows.
 */
static void
for_each_vertex(TgSketcher *sketcher,
				void (*visit) (TgSketcher *, TgVertexId, const TgSlotHeader *,
							   void *), void *arg)
{
	TgReader	reader;
	TgSlotScan	scan;
	TgVertexId	id;

	tg_reader_init(&reader, sketcher->index, &sketcher->info->layout);
	tg_slot_scan_begin(&scan, sketcher->index, &sketcher->info->layout);
	while (tg_slot_scan_next(&scan, &id))
	{
		const TgSlotHeader *header;

		if (scan.page.kind != TG_PAGE_LIST)
			continue;
		header = tg_reader_open_slot(&reader, id);
		if (header->kind == TG_SLOT_VERTEX && header->layer == 0 &&
			header->ntids > 0)
			visit(sketcher, id, header, arg);
		reader.graph.close(&reader.graph);
	}
	tg_reader_free(&reader);
}

typedef struct Sample
{
	char	   *rows;
	int			n;
	uint64		seen;
	uint64		step;			/* every so many-th vertex is taken */
} Sample;

/*
 * Take a row of every step-th vertex.  When there are too many, every other one
 * is dropped.
 */
static void
sample_vertex(TgSketcher *sketcher, TgVertexId id, const TgSlotHeader *header,
			  void *arg)
{
	Sample	   *sample = arg;
	Size		size = sketcher->columns.row_size;

	if (sample->seen++ % sample->step != 0)
		return;
	if (sample->n == SAMPLE)
	{
		for (int i = 0; i < SAMPLE / 2; i++)
			memcpy(sample->rows + i * size, sample->rows + 2 * i * size, size);
		sample->n = SAMPLE / 2;
		sample->step *= 2;
	}
	memcpy(sample->rows + sample->n++ * size,
		   tg_slot_row(&sketcher->info->layout, header, 0), size);
}

typedef struct Making
{
	char	   *rulers;
	uint8	   *bytes;
	uint64		nbytes;			/* of a column */
} Making;

static void
sketch_vertex(TgSketcher *sketcher, TgVertexId id, const TgSlotHeader *header,
			  void *arg)
{
	Making	   *making = arg;

	for (int c = 0; c < sketcher->n; c++)
	{
		Ruler	   *ruler = (Ruler *) (making->rulers +
									   (Size) c * TG_PAGE_CONTENT);
		uint8		byte = vertex_byte(sketcher, c + 1, ruler, header);

		making->bytes[c * making->nbytes +
					  tg_sketch_place(&sketcher->info->layout, id)] = byte;
		ruler->counts[byte]++;
	}
}

void
tg_sketch_build(Relation index)
{
	const TgIndex *cached = tg_index_get(index);
	TgIndex    *info;
	TgSketcher *sketcher;
	BlockNumber nblocks = RelationGetNumberOfBlocks(index);
	Sample		sample = {0};
	Making		making;

	if (cached->meta.dims == 0 || filter_columns(index) == 0)
		return;
	info = tg_index_copy(cached);
	sketcher = create_sketcher(index, info);
	sample.rows = palloc((Size) SAMPLE * sketcher->columns.row_size);
	sample.step = 1;
	for_each_vertex(sketcher, sample_vertex, &sample);

	making.rulers = palloc0((Size) sketcher->n * TG_PAGE_CONTENT);
	for (int c = 0; c < sketcher->n; c++)
		if (sketcher->ordered[c + 1])
			draw_ruler(sketcher, c + 1, sample.rows, sample.n,
					   (Ruler *) (making.rulers + (Size) c * TG_PAGE_CONTENT));
	making.nbytes = (uint64) nblocks * tg_sketch_per_block(&info->layout);
	making.bytes = MemoryContextAllocHuge(CurrentMemoryContext,
										  making.nbytes * sketcher->n);
	memset(making.bytes, TG_SKETCH_NONE, making.nbytes * sketcher->n);
	for_each_vertex(sketcher, sketch_vertex, &making);
	tg_sketch_create(index, &info->layout, sketcher->n, making.rulers,
					 making.bytes, nblocks);
	pfree(making.bytes);
	pfree(making.rulers);
	pfree(sample.rows);
	pfree(sketcher);
	pfree(info);
}

/* ---------- conditions to bytes ---------- */

/*
 * Mark the bytes of a column of a fixed length that an argument is satisfied by.
 */
static void
accept_range(const TgCondition *condition, Relation index,
			 const Ruler *ruler, FmgrInfo *function, Datum arg, bool *accept)
{
	int			part = FIRST_PART +
		count_bounds(ruler, condition->column, function,
					 index->rd_indcollation[condition->number], arg);
	int			low = FIRST_PART;
	int			high = TG_SKETCH_NONE - 1;

	switch (condition->strategy)
	{
		case BTLessStrategyNumber:
		case BTLessEqualStrategyNumber:
			high = part;
			break;
		case BTEqualStrategyNumber:
			low = high = part;
			break;
		default:
			low = part;
	}
	for (int b = low; b <= high; b++)
		accept[b] = true;
}

/*
 * Mark the bytes that a digest wanted is satisfied by.
 */
static void
accept_digest(const TgCondition *condition, uint64 digest, bool *accept)
{
	uint8		bits = fold(digest);

	if (condition->column->kind == TG_COLUMN_HASH)
		accept[digest_byte(condition->column, digest)] = true;
	else
		for (int b = ARRAY_PART; b < TG_SKETCH_NONE; b++)
			if (condition->strategy == TG_STRATEGY_OVERLAP ?
				(b & bits) != 0 : (b & bits) == bits)
				accept[b] = true;
}

/*
 * Which bytes satisfy a condition?  False if that cannot be told.
 */
static bool
accept_condition(const TgCondition *condition, Relation index,
				 const Ruler *ruler, bool *accept)
{
	FmgrInfo	function;

	if (condition->wants_null)
		accept[SKETCH_NULL] = true;
	else if (condition->wants_value)
		memset(accept + FIRST_PART, true, TG_SKETCH_PARTS);
	else if (condition->column->kind != TG_COLUMN_PLAIN)
		for (int i = 0; i < condition->nargs; i++)
			accept_digest(condition, condition->digests[i], accept);
	else if (find_less_equal(index, condition->number, condition->type,
							 &function))
		for (int i = 0; i < condition->nargs; i++)
			accept_range(condition, index, ruler, &function,
						 condition->args[i], accept);
	else
		return false;
	return true;
}

/*
 * Which bytes of a column satisfy all of the filter's conditions on it?  False
 * if nothing can be told.  *share is that of the vertices when the ruler was
 * drawn.
 */
static bool
accept_column(const TgFilter *filter, Relation index, int number,
			  const Ruler *ruler, bool *accept, double *share)
{
	bool		known = false;
	double		passing = 0;
	double		all = 0;

	memset(accept, true, TG_SKETCH_NONE);
	accept[TG_SKETCH_NONE] = false;
	for (int i = 0; i < filter->n; i++)
	{
		const TgCondition *condition = &filter->conditions[i];
		bool		own[TG_SKETCH_NONE + 1] = {0};

		if (condition->number != number ||
			!accept_condition(condition, index, ruler, own))
			continue;
		own[TG_SKETCH_ANY] = true;
		for (int b = 0; b < TG_SKETCH_NONE; b++)
			accept[b] &= own[b];
		known = true;
	}
	for (int b = 0; b < TG_SKETCH_NONE; b++)
	{
		all += ruler->counts[b];
		passing += accept[b] ? ruler->counts[b] : 0;
	}
	*share = passing / Max(all, 1);
	return known;
}

static bool
has_condition(const TgFilter *filter, int number)
{
	for (int i = 0; i < filter->n; i++)
		if (filter->conditions[i].number == number)
			return true;
	return false;
}

bool
tg_sketch_filter(TgSketchReader *reader, Relation index, const TgIndex *info,
				 const TgFilter *filter, double *share)
{
	int			ncolumns = filter_columns(index);

	*share = 1;
	reader->n = 0;
	if (info->meta.sketches == 0)
		return false;
	for (int i = 1; i <= ncolumns; i++)
	{
		Buffer		buffer;
		const Ruler *ruler;
		double		own;

		if (!has_condition(filter, i))
			continue;
		ruler = open_ruler(index, info, i, &filter->columns.columns[i],
						   &buffer);
		reader->columns[reader->n] = i - 1;
		if (accept_column(filter, index, i, ruler,
						  reader->accept[reader->n], &own))
		{
			*share *= own;
			reader->n++;
		}
		UnlockReleaseBuffer(buffer);
	}
	if (reader->n == 0)
		return false;
	tg_sketch_read_begin(reader, index, info, ncolumns);
	return true;
}
