/*-------------------------------------------------------------------------
 *
 * info.c
 *	  What SQL can ask about an index and about the last scan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_am_d.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "am/stats.h"
#include "tune/tune.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(togg_index_info);
PG_FUNCTION_INFO_V1(togg_last_scan);

TgScanStats tg_last_scan;

bool
tg_is_index(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_INDEX &&
		relation->rd_rel->relam == get_index_am_oid("togg", true);
}

Relation
tg_open_index(Oid oid, LOCKMODE lockmode)
{
	Relation	index = relation_open(oid, lockmode);

	if (!tg_is_index(index))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a togg index",
						RelationGetRelationName(index)),
				 errhint("Name an index made with USING togg; for a partitioned index, one of its partitions.")));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot access temporary indexes of other sessions"),
				 errdetail("Index \"%s\" belongs to another session.",
						   RelationGetRelationName(index))));
	return index;
}

/*
 * PostgreSQL 17 has RestrictSearchPath() for that.
 */
void
tg_restrict_search_path(void)
{
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static const char *
metric_name(TgMetric metric)
{
	switch (metric)
	{
		case TG_METRIC_L2:
			return "l2";
		case TG_METRIC_IP:
			return "inner product";
		case TG_METRIC_COSINE:
			return "cosine";
		case TG_METRIC_HAMMING:
			return "hamming";
		case TG_METRIC_L1:
			return "l1";
	}
	return NULL;
}

static const char *
graph_name(TgGraphKind graph)
{
	switch (graph)
	{
		case TG_GRAPH_NSG:
			return "nsg";
		case TG_GRAPH_NSSG:
			return "nssg";
		case TG_GRAPH_HNSW:
			return "hnsw";
	}
	return NULL;
}

static const char *
guide_name(TgGuide guide)
{
	switch (guide)
	{
		case TG_GUIDE_KMEANS:
			return "kmeans";
		case TG_GUIDE_KDTREE:
			return "kdtree";
		case TG_GUIDE_NONE:
			return "none";
	}
	return NULL;
}

/*
 * What counting all slots gives.
 */
typedef struct Counts
{
	int64		vertices;
	int64		dead;
	int64		free_slots;
	int64		rows;
	int64		unranked;
	int64		neighbours;
	int64		stale_lists;
} Counts;

static void
count_slots(Relation index, const TgIndex *tg, Counts *counts)
{
	TgReader	reader;
	TgSlotScan	scan;
	TgVertexId	id;

	tg_reader_init(&reader, index, &tg->layout);
	tg_slot_scan_begin(&scan, index, &tg->layout);
	while (tg_slot_scan_next(&scan, &id))
	{
		const TgSlotHeader *header;

		if (scan.page.kind != TG_PAGE_LIST)
			continue;
		header = tg_reader_open_slot(&reader, id);
		if (header->kind == TG_SLOT_FREE)
			counts->free_slots++;
		else if (header->ntids != TG_TIDS_CLOSED)
			counts->rows += header->ntids;
		if (header->kind == TG_SLOT_VERTEX && header->layer == 0 &&
			!(header->flags & TG_VERTEX_ROOT))
		{
			counts->vertices++;
			counts->dead += (header->flags & TG_VERTEX_DEAD) != 0;
			counts->neighbours += header->degree;
			counts->stale_lists += tg_list_is_stale(&tg->layout, header);
		}
		reader.graph.close(&reader.graph);
	}
	tg_reader_free(&reader);
}

/*
 * togg_index_info(index regclass): one row; reads the whole index.
 */
Datum
togg_index_info(PG_FUNCTION_ARGS)
{
	Relation	index = tg_open_index(PG_GETARG_OID(0), AccessShareLock);
	const TgIndex *tg = tg_index_copy(tg_index_get(index));
	BlockNumber nblocks = RelationGetNumberOfBlocks(index);
	TgMetaPage	now = tg_meta_read(index);
	Counts		counts = {0};
	const TgRowChoice all = {0};
	ItemPointerData *tids = NULL;
	int64		capacity = 0;
	int64		rows;
	TupleDesc	desc;
	Datum		values[21];
	bool		nulls[21] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	if (tg->meta.dims > 0)
		count_slots(index, tg, &counts);
	for (int kind = 0; kind < TG_UNRANKED_KINDS; kind++)
		counts.unranked += tg_unranked_collect(index, kind, &all, &tids,
											   &capacity);
	rows = counts.rows + counts.unranked;

	values[0] = Int32GetDatum(tg->meta.version);
	values[1] = Int32GetDatum(tg->meta.dims > 0 ? (int) tg->meta.dims :
							  tg_options_get(index).dimensions);
	values[2] = CStringGetTextDatum(metric_name(tg->meta.metric));
	values[3] = CStringGetTextDatum(tg->meta.storage == TG_STORAGE_HALF ?
									"half" : "float");
	values[4] = Int32GetDatum(tg->meta.bits);
	nulls[3] = nulls[4] = tg->meta.dims == 0;
	values[5] = Int32GetDatum(tg->meta.degree);
	values[6] = CStringGetTextDatum(graph_name(tg->meta.graph));
	values[7] = CStringGetTextDatum(guide_name(tg->meta.guide));
	values[8] = Int64GetDatum(counts.vertices);
	values[9] = Int64GetDatum(counts.dead);
	values[10] = Int64GetDatum(counts.free_slots);
	values[11] = Int64GetDatum(rows);
	values[12] = Int64GetDatum(counts.unranked);
	values[13] = Int64GetDatum(nblocks);
	values[14] = Float8GetDatum(rows > 0 ? (double) nblocks * BLCKSZ / rows : 0);
	nulls[14] = rows == 0;
	values[15] = Float8GetDatum(counts.vertices > 0 ?
								(double) counts.neighbours / counts.vertices : 0);
	nulls[15] = counts.vertices == 0;
	values[16] = Int64GetDatum(counts.stale_lists);
	values[17] = Int64GetDatum((int64) now.clustered);
	values[18] = TimestampTzGetDatum(now.cluster_time);
	nulls[18] = now.cluster_time == 0;
	values[19] = TimestampTzGetDatum(now.calibrate_time);
	values[20] = BoolGetDatum(tg_calibration_is_due(index, &now));
	nulls[19] = nulls[20] = now.calibrate_time == 0;

	relation_close(index, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * togg_last_scan(): what the last index scan of this session did.
 */
Datum
togg_last_scan(PG_FUNCTION_ARGS)
{
	const TgSearchStats *search = &tg_last_scan.search;
	TupleDesc	desc;
	Datum		values[8];
	bool		nulls[8] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	values[0] = Int64GetDatum(tg_last_scan.rows);
	values[1] = Int64GetDatum((int64) search->hops);
	values[2] = Int64GetDatum((int64) search->pages);
	values[3] = Int64GetDatum((int64) search->distances);
	values[4] = Int64GetDatum((int64) search->estimates);
	values[5] = Int64GetDatum((int64) search->stage1_hops);
	values[6] = Int32GetDatum((int32) search->widenings);
	values[7] = BoolGetDatum(tg_last_scan.sweeps > 0);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
