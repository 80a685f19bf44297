/*-------------------------------------------------------------------------
 *
 * stat.c
 *	  Counting in a session, and what SQL can ask of it.
 *
 * A session adds up what its queries cost on its own, and hands that over at the
 * end of each transaction.  Nobody waits for the lock then: if others hold it,
 * what there is stays for the next time, though for no longer than a second of
 * queries and not beyond the session.
 *
 * Temporary indexes are left out: there may be any number of them, and a session
 * can see by togg_last_scan() what its own do.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "stat/stat.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/timestamp.h"

#include "am/am.h"
#include "tune/tune.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(togg_stat_get);
PG_FUNCTION_INFO_V1(togg_stat_reset);

/* Indexes used in one transaction beyond these hand over at once. */
#define MAX_PENDING		16

#define PATIENCE_MS		1000

/* Lists read to estimate how many are stale. */
#define SAMPLED_LISTS	100

typedef struct Pending
{
	Oid			index;
	TgStatCounts counts;
	TgStatSample sample;
} Pending;

static Pending pending[MAX_PENDING];
static int	npending = 0;
static TimestampTz handed_over = 0; /* when there was nothing pending last */

/*
 * Hand over what there is.
 */
static void
hand_over(bool wait)
{
	int			left = 0;

	for (int i = 0; i < npending; i++)
		if (!tg_stat_table_add(pending[i].index, &pending[i].counts,
							   &pending[i].sample, wait))
			pending[left++] = pending[i];
	npending = left;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (npending == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			hand_over(false);
			if (npending > 0 &&
				TimestampDifferenceExceeds(handed_over, GetCurrentTimestamp(),
										   PATIENCE_MS))
				hand_over(true);
			break;
		default:
			break;
	}
}

static void
at_exit(int code, Datum arg)
{
	hand_over(true);
}

/*
 * The counts of an index that are still to be handed over; NULL if none are
 * kept of it.
 */
static Pending *
pending_of(Relation index)
{
	static bool begun = false;
	Oid			oid = RelationGetRelid(index);

	for (int i = 0; i < npending; i++)
		if (pending[i].index == oid)
			return &pending[i];
	if (RelationUsesLocalBuffers(index) || !tg_stat_table_attach())
		return NULL;
	if (!begun)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		before_shmem_exit(at_exit, 0);
		begun = true;
	}
	if (npending == MAX_PENDING)
		hand_over(true);
	if (npending == 0)
		handed_over = GetCurrentTransactionStartTimestamp();
	memset(&pending[npending], 0, sizeof(Pending));
	pending[npending].index = oid;
	return &pending[npending++];
}

void
tg_stat_count_scan(Relation index, const TgScanStats *stats)
{
	Pending    *item = pending_of(index);

	if (item == NULL)
		return;
	item->counts.scans++;
	item->counts.rows += stats->rows;
	item->counts.hops += stats->search.hops;
	item->counts.pages += stats->search.pages;
	item->counts.distances += stats->search.distances;
	item->counts.widenings += stats->search.widenings;
	item->counts.sweeps += stats->sweeps;
}

void
tg_stat_count_worker(Relation index)
{
	Pending    *item = pending_of(index);

	if (item)
		item->counts.worker_runs++;
}

void
tg_stat_note_sample(Relation index, const TgStatSample *sample)
{
	Pending    *item = pending_of(index);

	if (item)
		item->sample = *sample;
}

void
tg_stat_note_new(Relation index)
{
	if (!RelationUsesLocalBuffers(index) && tg_stat_table_attach())
		tg_stat_table_reset(RelationGetRelid(index));
}

/* ---------- functions ---------- */

/*
 * Open an index if nobody is changing it, and if it is there and can be read;
 * NULL otherwise.  Who looks at a view waits for no REINDEX.
 */
static Relation
open_if_readable(Oid oid)
{
	Relation	index;

	if (!ConditionalLockRelationOid(oid, AccessShareLock))
		return NULL;
	index = try_relation_open(oid, NoLock);
	if (index == NULL)
	{
		UnlockRelationOid(oid, AccessShareLock);
		return NULL;
	}
	if (tg_is_index(index) && index->rd_index->indisready &&
		!RELATION_IS_OTHER_TEMP(index) &&
		(RelationIsPermanent(index) || !RecoveryInProgress()) &&
		RelationGetNumberOfBlocks(index) > 0)
		return index;
	relation_close(index, AccessShareLock);
	return NULL;
}

/*
 * How many lists are stale, judged by some of them; of a small index, all.
 */
static int64
estimate_stale_lists(Relation index)
{
	const TgIndex *tg = tg_index_copy(tg_index_get(index));
	TgReader	reader;
	TgSampler	sampler;
	TgVertexId	id;
	int64		stale = 0;
	double		seen;

	if (tg->meta.dims == 0)
		return 0;
	tg_reader_init(&reader, index, &tg->layout);
	tg_sampler_begin(&sampler, &reader, 0);
	for (int i = 0; i < SAMPLED_LISTS && tg_sampler_next(&sampler, &id); i++)
	{
		stale += tg_list_is_stale(&tg->layout,
								  tg_reader_open_slot(&reader, id));
		reader.graph.close(&reader.graph);
	}
	tg_reader_free(&reader);
	seen = (double) (sampler.numbers - sampler.left) / sampler.numbers;
	return (int64) rint(stale / seen);
}

#define COLUMNS			17

/*
 * What the index itself tells.
 */
static void
put_state(Oid oid, Datum *values, bool *nulls)
{
	Relation	index = open_if_readable(oid);
	TgMetaPage	meta;

	if (index == NULL)
		return;
	meta = tg_meta_read(index);
	values[13] = TimestampTzGetDatum(meta.calibrate_time);
	nulls[13] = meta.calibrate_time == 0;
	values[14] = BoolGetDatum(tg_calibration_is_due(index, &meta));
	nulls[14] = meta.calibrate_time == 0;
	values[15] = Int64GetDatum(estimate_stale_lists(index));
	nulls[15] = false;
	relation_close(index, AccessShareLock);
}

/*
 * What was counted.
 */
static void
put_counts(Oid oid, Datum *values, bool *nulls)
{
	TgStat		stat;
	const TgStatCounts *counts = &stat.counts;
	const TgStatSample *sample = &stat.sample;

	if (!tg_stat_table_attach())
		return;
	hand_over(true);
	stat = tg_stat_table_get(oid);
	memset(nulls, false, sizeof(bool) * 8);
	values[0] = Int64GetDatum(counts->scans);
	values[1] = Int64GetDatum(counts->rows);
	values[2] = Int64GetDatum(counts->hops);
	values[3] = Int64GetDatum(counts->pages);
	values[4] = Int64GetDatum(counts->distances);
	values[5] = Int64GetDatum(counts->widenings);
	values[6] = Int64GetDatum(counts->sweeps);
	values[7] = Int64GetDatum(counts->worker_runs);
	if (sample->taken != 0)
	{
		memset(nulls + 8, false, sizeof(bool) * 5);
		values[8] = TimestampTzGetDatum(sample->taken);
		values[9] = Int32GetDatum(sample->k);
		values[10] = Int32GetDatum(sample->asked);
		values[11] = Float8GetDatum(sample->target);
		nulls[11] = sample->target == 0;
		values[12] = Float8GetDatum(sample->recall);
	}
	values[16] = TimestampTzGetDatum(stat.since);
	nulls[16] = false;
}

/*
 * togg_stat_get(index oid): a row of the view togg_stat.
 */
Datum
togg_stat_get(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS];

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(nulls, true, sizeof(nulls));
	put_counts(PG_GETARG_OID(0), values, nulls);
	put_state(PG_GETARG_OID(0), values, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * togg_stat_reset(index regclass): NULL stands for all of the database.
 */
Datum
togg_stat_reset(PG_FUNCTION_ARGS)
{
	Oid			oid = InvalidOid;

	if (!PG_ARGISNULL(0))
	{
		oid = PG_GETARG_OID(0);
		relation_close(tg_open_index(oid, AccessShareLock), AccessShareLock);
	}
	if (tg_stat_table_attach())
	{
		hand_over(true);
		tg_stat_table_reset(oid);
	}
	PG_RETURN_VOID();
}
