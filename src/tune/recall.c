/*-------------------------------------------------------------------------
 *
 * recall.c
 *	  togg_recall(): how many of the true nearest rows an index finds, and what
 *	  that costs.
 *
 * 1. Queries are taken from the user's query, or are vectors of the index
 *	  themselves.  Such a vector is nearest to itself, so its rows are left out
 *	  of the answers on both sides, and its vertex out of the search, which would
 *	  otherwise be led by the very links that were made for it.
 * 2. One pass over the table computes all distances, and keeps the k least for
 *	  each query.
 * 3. Each query is asked of the index as the executor would ask, for k rows.
 *	  One that is as near as the k-th nearest is found, so that rows at equal
 *	  distances are as good as one another.
 *
 * The table's rows are read past its privileges and policies, so these are
 * asked first.  Expressions of the index are the owner's: they run with the
 * owner's rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/tune.h"

#include <math.h>

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_type_d.h"
#include "common/pg_prng.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "am/stats.h"
#include "stat/stat.h"
#include "tune/nearest.h"

PG_FUNCTION_INFO_V1(togg_recall);

#define MAX_K			1000
#define MAX_QUERIES		10000

/* A query, and what is nearest to it. */
typedef struct Asked
{
	Datum		value;
	TgSpan		span;
	TgNearest	nearest;

	/* If it is a vector of the index: where it is, and its rows, sorted. */
	TgVertexId	vertex;
	ItemPointerData *tids;
	int64		ntids;
} Asked;

typedef struct Measurement
{
	Relation	heap;
	Relation	index;
	const TgOpclass *opclass;
	TgIndex    *tg;
	Snapshot	snapshot;
	int			k;
	int			limit;			/* queries wanted */
	int			n;				/* queries there are */
	Asked	   *queries;

	/* For values of the index's column. */
	MemoryContext row_context;	/* of one row, or of one query's answers */
	IndexInfo  *info;
	EState	   *estate;
	TupleTableSlot *slot;
} Measurement;

/* What one setting came to, over all queries. */
typedef struct Outcome
{
	int64		wanted;
	int64		found;
	double		seconds;
	TgScanStats stats;
} Outcome;

void
tg_check_policies(Oid heap, const char *function)
{
	if (check_enable_rls(heap, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s reads rows that row-level security hides", function),
				 errdetail("Row-level security is active for you on table \"%s\".",
						   get_rel_name(heap)),
				 errhint("Ask as the table's owner, or as a role with BYPASSRLS.")));
}

/*
 * Raise an error unless the user may read all of the table.
 */
static void
check_may_read(Oid heap)
{
	AclResult	allowed = pg_class_aclcheck(heap, GetUserId(), ACL_SELECT);

	if (allowed != ACLCHECK_OK)
		aclcheck_error(allowed, OBJECT_TABLE, get_rel_name(heap));
	tg_check_policies(heap, "togg_recall()");
}

/*
 * The value of the index's column for the row in the slot; false if it is NULL.
 */
static bool
slot_value(Measurement *m, Datum *value)
{
	ExprContext *context = GetPerTupleExprContext(m->estate);
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	ResetExprContext(context);
	context->ecxt_scantuple = m->slot;
	FormIndexDatum(m->info, m->slot, m->estate, values, isnull);
	*value = values[0];
	return !isnull[0];
}

/* ---------- queries ---------- */

/*
 * Add a query, if a distance can rank rows by it.
 */
static void
add_query(Measurement *m, Datum value, TgVertexId vertex)
{
	Asked	   *query = &m->queries[m->n];

	query->value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	query->span = m->opclass->span(query->value);
	tg_check_finite(query->span);
	if (m->tg->meta.dims > 0)
		tg_check_dims(m->index, m->tg->meta.dims, query->span.dims);
	if (!tg_rankable(m->opclass, query->span))
		return;
	query->vertex = vertex;
	query->nearest.k = m->k;
	query->nearest.distances = palloc(sizeof(double) * m->k);
	m->n++;
}

/* The same of a query that is none of the index's vectors. */
static void
add_foreign_query(void *arg, Datum value)
{
	add_query(arg, value, TG_INVALID_VERTEX);
}

static int
compare_tids(const void *a, const void *b)
{
	return ItemPointerCompare((ItemPointer) a, (ItemPointer) b);
}

/*
 * Read the value of the first of these rows that is visible; false if none is.
 */
static bool
fetch_value(Measurement *m, const ItemPointerData *tids, int64 ntids,
			Datum *value)
{
	IndexFetchTableData *fetch = table_index_fetch_begin(m->heap);
	bool		found = false;

	for (int64 i = 0; i < ntids && !found; i++)
	{
		ItemPointerData tid = tids[i];
		bool		again = false;
		bool		all_dead;

		found = table_index_fetch_tuple(fetch, &tid, m->snapshot, m->slot,
										&again, &all_dead) &&
			slot_value(m, value);
	}
	table_index_fetch_end(fetch);
	return found;
}

/*
 * Vectors of the index as queries.
 */
static void
sample_queries(Measurement *m)
{
	TgReader	reader;
	TgSampler	sampler;
	TgRowChoice all = {0};
	TgVertexId	id;

	if (m->tg->meta.dims == 0)
		return;
	tg_reader_init(&reader, m->index, &m->tg->layout);
	tg_sampler_begin(&sampler, &reader, pg_prng_uint64(&pg_global_prng_state));
	while (m->n < m->limit && tg_sampler_next(&sampler, &id))
	{
		ItemPointerData *tids = NULL;
		int64		capacity = 0;
		int64		ntids = tg_tids_collect(&reader, id, &all, &tids,
											&capacity);
		int			n = m->n;
		Datum		value;

		if (fetch_value(m, tids, ntids, &value))
			add_query(m, value, id);
		if (m->n == n)
		{
			if (tids)
				pfree(tids);
			continue;
		}
		qsort(tids, ntids, sizeof(ItemPointerData), compare_tids);
		m->queries[n].tids = tids;
		m->queries[n].ntids = ntids;
	}
	tg_reader_free(&reader);
}

/* ---------- exact answers ---------- */

static bool
is_own_row(const Asked *query, ItemPointer tid)
{
	return query->ntids > 0 &&
		bsearch(tid, query->tids, query->ntids, sizeof(ItemPointerData),
				compare_tids) != NULL;
}

static void
compare_row(Relation index, ItemPointer tid, Datum *values, bool *isnull,
			bool tupleIsAlive, void *arg)
{
	Measurement *m = arg;
	MemoryContext old;
	TgSpan		span;

	CHECK_FOR_INTERRUPTS();
	if (isnull[0])
		return;
	old = MemoryContextSwitchTo(m->row_context);
	span = m->opclass->span(values[0]);
	if (tg_rankable(m->opclass, span))
	{
		for (int i = 0; i < m->n; i++)
		{
			Asked	   *query = &m->queries[i];
			double		distance;

			tg_check_same_dims(query->span, span);
			distance = tg_distance(m->opclass->metric, query->span, span);
			if (tg_nearest_wants(&query->nearest, distance) &&
				!is_own_row(query, tid))
				tg_nearest_add(&query->nearest, distance);
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(m->row_context);
}

/*
 * Compute the distances of all rows to all queries.
 */
static void
find_nearest(Measurement *m)
{
	TableScanDesc scan = table_beginscan_strat(m->heap, m->snapshot, 0, NULL,
											   true, true);

	m->info->ii_Concurrent = true;
	table_index_build_scan(m->heap, m->index, m->info, true, false,
						   compare_row, m, scan);
	for (int i = 0; i < m->n; i++)
		tg_nearest_sort(&m->queries[i].nearest);
}

/* ---------- the index's answers ---------- */

/*
 * Distances of rows that wait until no nearer one can come: the executor keeps
 * those that it had to compute itself.
 */
typedef struct Waiting
{
	double	   *distances;
	int			n;
	int			capacity;
} Waiting;

static void
waiting_add(Waiting *waiting, double distance)
{
	if (waiting->n == waiting->capacity)
	{
		waiting->capacity = Max(16, 2 * waiting->capacity);
		waiting->distances = waiting->distances == NULL ?
			palloc(sizeof(double) * waiting->capacity) :
			repalloc(waiting->distances, sizeof(double) * waiting->capacity);
	}
	waiting->distances[waiting->n++] = distance;
}

/* Place of the least. */
static int
waiting_first(const Waiting *waiting)
{
	int			first = 0;

	for (int i = 1; i < waiting->n; i++)
		if (waiting->distances[i] < waiting->distances[first])
			first = i;
	return first;
}

/*
 * Read the first k rows as the executor does (IndexNextWithReorder): their
 * distances, in order.  Rows without a distance come last and end it.
 */
static int
read_first(Measurement *m, IndexScanDesc scan, const Asked *query,
		   double *distances)
{
	Waiting		waiting = {0};
	bool		ended = false;
	double		least = 0;		/* what comes from the index is no nearer */
	int			n = 0;

	while (n < m->k)
	{
		int			first = waiting_first(&waiting);
		double		distance;

		if (waiting.n > 0 && (ended || waiting.distances[first] <= least))
		{
			distances[n++] = waiting.distances[first];
			waiting.distances[first] = waiting.distances[--waiting.n];
			continue;
		}
		if (ended)
			break;
		if (!index_getnext_slot(scan, ForwardScanDirection, m->slot) ||
			scan->xs_orderbynulls[0] ||
			isnan(DatumGetFloat8(scan->xs_orderbyvals[0])))
		{
			ended = true;
			continue;
		}
		distance = least = DatumGetFloat8(scan->xs_orderbyvals[0]);
		if (scan->xs_recheckorderby)
		{
			Datum		value;

			if (slot_value(m, &value))
				distance = tg_distance(m->opclass->metric, query->span,
									   m->opclass->span(value));
		}
		if (distance > least || waiting.n > 0)
			waiting_add(&waiting, distance);
		else
			distances[n++] = distance;
	}
	return n;
}

/*
 * Ask all queries of the index.
 */
static Outcome
ask_all(Measurement *m, const TgSearchSettings *settings)
{
	Outcome		result = {0};
	IndexScanDesc scan;
	ScanKeyData key;
	double	   *distances = palloc(sizeof(double) * m->k);
	Oid			type = m->index->rd_opcintype[0];
	Oid			operator = get_opfamily_member(m->index->rd_opfamily[0], type,
											   type, 1);

#if PG_VERSION_NUM >= 180000
	scan = index_beginscan(m->heap, m->index, m->snapshot, NULL, 0, 1);
#else
	scan = index_beginscan(m->heap, m->index, m->snapshot, 0, 1);
#endif
	for (int i = 0; i < m->n; i++)
	{
		Asked	   *query = &m->queries[i];
		const TgNearest *nearest = &query->nearest;
		MemoryContext old;
		instr_time	start;
		instr_time	elapsed;
		int			n;

		CHECK_FOR_INTERRUPTS();
		tg_scan_set(scan, settings, query->vertex);
		ScanKeyEntryInitialize(&key, SK_ORDER_BY, 1, 1, type,
							   m->index->rd_indcollation[0],
							   get_opcode(operator), query->value);
		INSTR_TIME_SET_CURRENT(start);
		index_rescan(scan, NULL, 0, &key, 1);
		old = MemoryContextSwitchTo(m->row_context);
		n = read_first(m, scan, query, distances);
		MemoryContextSwitchTo(old);
		INSTR_TIME_SET_CURRENT(elapsed);
		INSTR_TIME_SUBTRACT(elapsed, start);
		result.seconds += INSTR_TIME_GET_DOUBLE(elapsed);
		MemoryContextReset(m->row_context);

		result.wanted += nearest->n;
		for (int j = 0; j < Min(n, nearest->n); j++)
			result.found += distances[j] <= nearest->distances[nearest->n - 1];
	}
	result.stats = tg_scan_stats(scan);
	index_endscan(scan);
	pfree(distances);
	return result;
}

static void
put_result(Measurement *m, ReturnSetInfo *set, int ef, const Outcome *result)
{
	const TgSearchStats *search = &result->stats.search;
	Datum		values[7];
	bool		nulls[7] = {0};

	values[0] = Int32GetDatum(ef);
	values[1] = Int32GetDatum(m->n);
	values[2] = Float8GetDatum(result->wanted > 0 ?
							   (double) result->found / result->wanted : 0);
	nulls[2] = result->wanted == 0;
	values[3] = Float8GetDatum((double) search->hops / m->n);
	values[4] = Float8GetDatum((double) search->pages / m->n);
	values[5] = Float8GetDatum((double) search->distances / m->n);
	values[6] = Float8GetDatum(result->seconds * 1000 / m->n);
	tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
}

/*
 * What the settings in force came to is for the view togg_stat.
 */
static void
note_sample(Measurement *m, double target, const Outcome *result)
{
	TgStatSample sample = {
		.taken = GetCurrentTimestamp(),
		.k = m->k,
		.asked = m->n,
		.target = target
	};

	if (result->wanted == 0)
		return;
	sample.recall = (double) result->found / result->wanted;
	tg_stat_note_sample(m->index, &sample);
}

/* ---------- the function ---------- */

static void
measurement_begin(Measurement *m, Oid index, int k, int limit)
{
	Oid			heap = IndexGetRelation(index, true);

	/* As everywhere, the table is locked before the index. */
	if (OidIsValid(heap))
	{
		check_may_read(heap);
		m->heap = table_open(heap, AccessShareLock);
	}
	m->index = tg_open_index(index, AccessShareLock);
	if (!m->index->rd_index->indisvalid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not valid",
						RelationGetRelationName(m->index)),
				 errhint("Wait until it is built, or REINDEX it.")));
	m->opclass = tg_opclass_get(m->index);
	m->tg = tg_index_copy(tg_index_get(m->index));
	m->snapshot = GetActiveSnapshot();
	m->k = k;
	m->limit = limit;
	m->queries = palloc0(sizeof(Asked) * limit);
	m->row_context = AllocSetContextCreate(CurrentMemoryContext,
										   "togg recall row",
										   ALLOCSET_DEFAULT_SIZES);
	m->estate = CreateExecutorState();
	m->slot = table_slot_create(m->heap, NULL);
	m->info = BuildIndexInfo(m->index);
}

static void
measurement_end(Measurement *m)
{
	ExecDropSingleTupleTableSlot(m->slot);
	FreeExecutorState(m->estate);
	MemoryContextDelete(m->row_context);
	relation_close(m->index, AccessShareLock);
	table_close(m->heap, AccessShareLock);
}

static int
int_argument(FunctionCallInfo fcinfo, int number, const char *name, int max)
{
	int			value = PG_ARGISNULL(number) ? 0 : PG_GETARG_INT32(number);

	if (value < 1 || value > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 1 and %d", name, max)));
	return value;
}

/*
 * The pools to be measured; NULL and *n 0 for that of the settings in force.
 */
static Datum *
ef_argument(FunctionCallInfo fcinfo, int number, int *n)
{
	Datum	   *values;
	bool	   *nulls;

	*n = 0;
	if (PG_ARGISNULL(number))
		return NULL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(number), INT4OID, sizeof(int32),
					  true, TYPALIGN_INT, &values, &nulls, n);
	for (int i = 0; i < *n; i++)
		if (nulls[i] || DatumGetInt32(values[i]) < 1 ||
			DatumGetInt32(values[i]) > TG_MAX_EF_SEARCH)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("ef_search must be between 1 and %d",
							TG_MAX_EF_SEARCH)));
	return values;
}

/*
 * togg_recall(index regclass, k int, sample int, queries text, ef_search int[])
 */
Datum
togg_recall(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	Measurement m = {0};
	int			k = int_argument(fcinfo, 1, "k", MAX_K);
	int			limit = int_argument(fcinfo, 2, "sample", MAX_QUERIES);
	int			nef;
	Datum	   *ef = ef_argument(fcinfo, 4, &nef);
	Oid			user;
	int			security;
	int			nest_level;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	measurement_begin(&m, PG_GETARG_OID(0), k, limit);
	if (!PG_ARGISNULL(3))
		tg_read_queries(m.index, text_to_cstring(PG_GETARG_TEXT_PP(3)), limit,
						add_foreign_query, &m);

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(m.heap->rd_rel->relowner,
						   security | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	tg_restrict_search_path();
	if (PG_ARGISNULL(3))
		sample_queries(&m);
	if (m.n > 0)
	{
		TgSearchSettings settings = tg_search_settings(m.index, &m.tg->meta);

		find_nearest(&m);
		for (int i = 0; i < Max(nef, 1); i++)
		{
			Outcome		result;

			if (nef > 0)
			{
				settings.ef = DatumGetInt32(ef[i]);
				settings.recall = 0;
			}
			result = ask_all(&m, &settings);
			if (nef == 0)
				note_sample(&m, settings.recall, &result);
			put_result(&m, set, settings.ef, &result);
		}
	}
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, security);
	measurement_end(&m);
	return (Datum) 0;
}
