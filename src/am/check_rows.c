/*-------------------------------------------------------------------------
 *
 * check_rows.c
 *	  togg_check() of an index beside its table: do the rows that it names
 *	  exist, have they the vectors that it has them under, and are all of the
 *	  table's rows in it?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/check.h"

#include <math.h>

#include "access/heapam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"

/* How far two ways of rounding may be apart, of a vector's length. */
#define ROUNDING	1e-4

bool
tg_check_note_row(const TgRow *row, void *arg)
{
	TgCheck    *check = arg;
	ItemPointerData tid = tg_tid_get(&row->tid);

	if (!tg_row_is_sane(&check->columns, row))
		tg_check_report(check, TG_METAPAGE_BLKNO, -1,
						"row (%u,%u) of the index has columns longer than it",
						ItemPointerGetBlockNumberNoCheck(&tid),
						ItemPointerGetOffsetNumberNoCheck(&tid));
	if (check->rows == NULL)
		return true;
	memcpy(check->plain, row, check->columns.row_size);
	check->plain->tid = tid;
	bloom_add_element(check->rows, (unsigned char *) check->plain,
					  check->columns.row_size);
	return true;
}

void
tg_check_rows_begin(TgCheck *check)
{
	check->rows = bloom_create(Max(check->index->rd_rel->reltuples, 1000),
							   maintenance_work_mem, 0);
	check->plain = palloc(check->columns.row_size);
	check->info = BuildIndexInfo(check->index);
	check->estate = CreateExecutorState();
	check->row = table_slot_create(check->heap, NULL);
	check->fetch = table_index_fetch_begin(check->heap);
	GetPerTupleExprContext(check->estate)->ecxt_scantuple = check->row;
	check->row_values = palloc(sizeof(float) * check->tg->geometry.dims);
	check->row_bytes = palloc(check->tg->layout.vector_size);
}

void
tg_check_rows_end(TgCheck *check)
{
	table_index_fetch_end(check->fetch);
	ExecDropSingleTupleTableSlot(check->row);
	FreeExecutorState(check->estate);
	bloom_free(check->rows);
}

/*
 * Has a heap a line pointer in use there?  A heap TID in the index keeps it so
 * until VACUUM has taken it out.
 */
static bool
is_in_use(TgCheck *check, const ItemPointerData *tid)
{
	Buffer		buffer = ReadBuffer(check->heap,
									ItemPointerGetBlockNumber(tid));
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);
	Page		page;
	bool		used;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	used = !PageIsNew(page) && offset <= PageGetMaxOffsetNumber(page) &&
		ItemIdIsUsed(PageGetItemId(page, offset));
	UnlockReleaseBuffer(buffer);
	return used;
}

/*
 * Is the row's vector the one given?  Storage may have rounded it.
 */
static bool
is_vector(TgCheck *check, TgSpan span, const float *values, float error)
{
	const TgIndex *tg = check->tg;
	int			dims = tg->geometry.dims;
	TgStored	stored;
	double		apart = 0;
	double		length = 0;

	if (span.dims != dims)
		return false;
	stored = tg_store(&tg->geometry, tg->layout.storage, span,
					  check->row_bytes);
	tg_unstore(&tg->geometry, tg->layout.storage, check->row_bytes,
			   check->row_values);
	for (int i = 0; i < dims; i++)
	{
		double		difference = (double) check->row_values[i] - values[i];

		apart += difference * difference;
		length += (double) values[i] * values[i];
	}
	return sqrt(apart) <= stored.error + error + ROUNDING * sqrt(length);
}

/*
 * What is wrong with the place of the row in check->row, or NULL.
 */
static const char *
misplaced(TgCheck *check, const float *values, float error, TgUnranked kind)
{
	const TgOpclass *opclass = tg_opclass_get(check->index);
	Datum		datums[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	TgSpan		span;

	FormIndexDatum(check->info, check->row, check->estate, datums, isnull);
	if (isnull[0])
		return values == NULL && kind == TG_UNRANKED_NULL ? NULL :
			"is NULL, but is not in the list of those";
	span = opclass->span(datums[0]);
	if (!tg_rankable(opclass, span))
		return values == NULL && kind == TG_UNRANKED_NAN ? NULL :
			"has no distance, but is not in the list of those";
	return values && is_vector(check, span, values, error) ? NULL :
		"has another vector than the index has it under";
}

void
tg_check_rows(TgCheck *check, BlockNumber block, int slot,
			  const ItemPointerData *tids, int64 n, const float *values,
			  float error, TgUnranked kind)
{
	for (int64 i = 0; i < n; i++)
	{
		ItemPointerData tid = tids[i];
		const char *fault = NULL;
		bool		again = false;

		CHECK_FOR_INTERRUPTS();
		if (!ItemPointerIsValid(&tid) ||
			ItemPointerGetBlockNumber(&tid) >= check->heap_blocks)
			fault = "is beyond the end of the table";
		else if (check->rows == NULL)
			continue;
		else if (check->heap->rd_tableam == GetHeapamTableAmRoutine() &&
				 !is_in_use(check, &tid))
			fault = "does not exist";
		else if (table_index_fetch_tuple(check->fetch, &tid, check->snapshot,
										 check->row, &again, NULL))
			fault = misplaced(check, values, error, kind);
		if (fault)
			tg_check_report(check, block, slot, "row (%u,%u) of the index %s",
							ItemPointerGetBlockNumberNoCheck(&tids[i]),
							ItemPointerGetOffsetNumberNoCheck(&tids[i]), fault);
		if (check->rows)
		{
			ExecClearTuple(check->row);
			ResetPerTupleExprContext(check->estate);
		}
	}
}

/*
 * Is a row of the table in the index, with the columns it has?
 */
static void
check_row(Relation index, ItemPointer tid, Datum *values, bool *isnull,
		  bool tupleIsAlive, void *arg)
{
	TgCheck    *check = arg;

	tg_row_form(&check->columns, values, isnull, tid, check->plain);
	if (bloom_lacks_element(check->rows, (unsigned char *) check->plain,
							check->columns.row_size))
		tg_check_report(check, TG_METAPAGE_BLKNO, -1,
						"row (%u,%u) of the table is not in the index%s",
						ItemPointerGetBlockNumber(tid),
						ItemPointerGetOffsetNumber(tid),
						check->columns.n > 1 ? " with these columns" : "");
}

void
tg_check_table(TgCheck *check)
{
	TableScanDesc scan = table_beginscan_strat(check->heap, check->snapshot, 0,
											   NULL, true, true);

	check->info->ii_Concurrent = true;
	table_index_build_scan(check->heap, check->index, check->info, true, false,
						   check_row, check, scan);
}
