/*-------------------------------------------------------------------------
 *
 * index_only.c
 *	  Index-only scans: rows made of what the index keeps.
 *
 * The executor looks at the table only where the visibility map does not say
 * that all rows of a page are visible to everybody.  That says nothing of a row
 * that VACUUM has removed since it was read here; see "Index-only scans" in
 * src/README.md.
 *
 * Rows that the index does not keep all of are made from the table's: those
 * whose vector was rounded or has no distance, those that a value was left out of,
 * and those in a chain.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/index_only.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "am/am.h"
#include "am/columns.h"

struct TgIndexOnly
{
	IndexScanDesc scan;
	TgColumns	columns;
	MemoryContext context;		/* of one row */
	Buffer		pinned;

	/* To read rows of the table, once one has to be. */
	IndexFetchTableData *fetch;
	TupleTableSlot *slot;
};

static inline bool
is_expression(Relation index, int attno)
{
	return index->rd_index->indkey.values[attno - 1] == InvalidAttrNumber;
}

/*
 * Which columns can be returned?  The vector only where most are stored as they
 * are.
 *
 * On a standby no column can: redo of VACUUM does not wait for pins.  An expression
 * cannot, nor can anything beside a vector that is one: rows are made from the
 * table's at times, and that must not call functions which the table's owner has
 * chosen, with the rights of who reads the table.
 */
bool
tg_amcanreturn(Relation index, int attno)
{
	if (RecoveryInProgress() || RelationGetNumberOfAttributes(index) == 1 ||
		is_expression(index, 1) || is_expression(index, attno))
		return false;
	if (attno > 1)
		return attno > IndexRelationGetNumberOfKeyAttributes(index) ||
			TupleDescAttr(RelationGetDescr(index), attno - 1)->attlen > 0;

	/* That of a partitioned table, which the planner asks as well, is empty. */
	return RELKIND_HAS_STORAGE(index->rd_rel->relkind) &&
		tg_index_get(index)->meta.exact;
}

TgIndexOnly *
tg_index_only_create(IndexScanDesc scan)
{
	TgIndexOnly *only = palloc0(sizeof(TgIndexOnly));

	only->scan = scan;
	only->context = AllocSetContextCreate(CurrentMemoryContext,
										  "togg index-only row",
										  ALLOCSET_DEFAULT_SIZES);
	tg_columns_open(&only->columns, scan->indexRelation);
	return only;
}

void
tg_index_only_release(TgIndexOnly *only)
{
	if (BufferIsValid(only->pinned))
		ReleaseBuffer(only->pinned);
	only->pinned = InvalidBuffer;
}

void
tg_index_only_destroy(TgIndexOnly *only)
{
	tg_index_only_release(only);
	if (only->fetch)
	{
		table_index_fetch_end(only->fetch);
		ExecDropSingleTupleTableSlot(only->slot);
	}
	MemoryContextDelete(only->context);
	pfree(only);
}

/*
 * Read the values of a row that is in the open vertex.  False if it is not there,
 * or not whole.
 */
static bool
read_values(TgIndexOnly *only, const TgIndex *info, TgReader *reader,
			TgVertexId id, const ItemPointerData *tid, Datum *values,
			bool *isnull)
{
	Relation	index = only->scan->indexRelation;
	const TgSlotHeader *header = reader->header;
	const TgRow *row = NULL;
	TgSpan		span;
	float	   *floats;

	if (header->kind != TG_SLOT_VERTEX || header->layer > 0 ||
		header->error != 0)
		return false;
	for (int i = 0; i < header->ntids && row == NULL; i++)
	{
		const TgRow *candidate = tg_slot_row(&reader->layout, header, i);
		ItemPointerData stored = tg_tid_get(&candidate->tid);

		if (ItemPointerEquals(&stored, unconstify(ItemPointerData *, tid)))
			row = candidate;
	}
	if (row == NULL || tg_row_isnull(row, 0))
		return false;
	if (!tg_row_is_sane(&only->columns, row))
		tg_report_corruption(index, tg_id_stripe(&reader->layout, id),
							 "Slot %u has a row with columns longer than it.",
							 id);
	if (!tg_row_deform(&only->columns, row, values, isnull))
		return false;

	floats = palloc(sizeof(float) * info->geometry.dims);
	tg_unstore(&info->geometry, info->layout.storage,
			   tg_reader_vector(reader, id), floats);
	span = (TgSpan) {floats, info->geometry.dims};
	values[0] = tg_opclass_get(index)->value(span);
	isnull[0] = false;
	return true;
}

/*
 * Read the values of the table's row that the snapshot sees at the address, but
 * for expressions; false if there is none.
 */
static bool
fetch_values(TgIndexOnly *only, const ItemPointerData *tid, Datum *values,
			 bool *isnull)
{
	IndexScanDesc scan = only->scan;
	Relation	index = scan->indexRelation;
	ItemPointerData at = *tid;
	bool		again = false;

	if (only->fetch == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(only));

		only->slot = table_slot_create(scan->heapRelation, NULL);
		only->fetch = table_index_fetch_begin(scan->heapRelation);
		MemoryContextSwitchTo(old);
	}
	if (!table_index_fetch_tuple(only->fetch, &at, scan->xs_snapshot,
								 only->slot, &again, NULL))
		return false;
	for (int i = 0; i < only->columns.n; i++)
	{
		isnull[i] = is_expression(index, i + 1);
		if (!isnull[i])
			values[i] = slot_getattr(only->slot,
									 index->rd_index->indkey.values[i],
									 &isnull[i]);
	}
	return true;
}

/*
 * Read the values of a row from the index or, if it has not all of them, from the
 * table.  The page that the row is on in the index is pinned.  False if there is
 * no row.
 */
static bool
get_values(TgIndexOnly *only, TgReader *reader, TgVertexId owner,
		   const ItemPointerData *tid, Datum *values, bool *isnull)
{
	bool		found = false;

	CHECK_FOR_INTERRUPTS();
	tg_index_only_release(only);
	if (owner < TG_MAX_SLOT)
	{
		/* What that may have to read comes before slots. */
		const TgIndex *info = tg_index_get(only->scan->indexRelation);

		only->pinned = tg_reader_pin(reader, owner);
		tg_reader_open_slot(reader, owner);
		found = read_values(only, info, reader, owner, tid, values, isnull);
		reader->graph.close(&reader->graph);
	}
	return found || fetch_values(only, tid, values, isnull);
}

bool
tg_index_only_row(TgIndexOnly *only, TgReader *reader, TgVertexId owner,
				  const ItemPointerData *tid)
{
	IndexScanDesc scan = only->scan;
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	MemoryContext old;
	bool		found;

	MemoryContextReset(only->context);
	old = MemoryContextSwitchTo(only->context);
	found = get_values(only, reader, owner, tid, values, isnull);
	if (found)
	{
		scan->xs_hitupdesc = RelationGetDescr(scan->indexRelation);
		scan->xs_hitup = heap_form_tuple(scan->xs_hitupdesc, values, isnull);
	}
	if (only->slot)
		ExecClearTuple(only->slot);
	MemoryContextSwitchTo(old);
	return found;
}

bool
tg_index_only_distance(TgIndexOnly *only, TgReader *reader, TgVertexId owner,
					   const ItemPointerData *tid, double *distance)
{
	const ScanKeyData *orderby = &only->scan->orderByData[0];
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	MemoryContext old;
	bool		found;

	MemoryContextReset(only->context);
	old = MemoryContextSwitchTo(only->context);
	found = get_values(only, reader, owner, tid, values, isnull) &&
		!isnull[0];
	if (found)
		*distance = DatumGetFloat8(FunctionCall2Coll(unconstify(FmgrInfo *, &orderby->sk_func),
													 orderby->sk_collation,
													 values[0],
													 orderby->sk_argument));
	tg_index_only_release(only);
	if (only->slot)
		ExecClearTuple(only->slot);
	MemoryContextSwitchTo(old);
	return found;
}
