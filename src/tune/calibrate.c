/*-------------------------------------------------------------------------
 *
 * calibrate.c
 *	  Learning how large a pool an index needs for a recall.
 *
 * 1. Vertices spread over the index are taken for queries, each as if it were
 *	  not there: the search never meets it, and so is not led by its links.
 * 2. One pass over all vertices computes their distances to all queries, which
 *	  gives the true nearest.
 * 3. The queries are asked with larger and larger pools, by the very code that
 *	  scans run, until hardly anything is missed.
 * 4. The curve that comes of that goes to the metapage.
 *
 * What the searches cost and find is that of vertices, not of rows, so that no
 * table and no snapshot is needed.  Rows of the table are asked for as well as
 * queries from elsewhere can be guessed: see bench/RESULTS.md for how well that
 * is.
 *
 * It may stop between any two pages or searches and go on in another
 * transaction, which is how a background worker does it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/tune.h"

#include <math.h>

#include "access/relation.h"
#include "access/relscan.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "am/stats.h"
#include "tune/questions.h"
#include "worker/worker.h"

#if PG_VERSION_NUM < 160000
#define object_ownercheck(class_id, oid, role)	pg_class_ownercheck(oid, role)
#endif

PG_FUNCTION_INFO_V1(togg_calibrate);
PG_FUNCTION_INFO_V1(togg_calibration);

/*
 * Queries; of wide vectors, with which they take longer, fewer, but not less than
 * half.
 */
#define QUERIES(dims)	Max(128, Min(256, 100000 / (dims)))

/* Fewer vertices are not worth it: searches of them are quick at any ef. */
#define MIN_VERTICES	500

/*
 * Pools to try, of an odd ef each, which has a candidate in its middle; and the
 * recalls of each rank with which it is enough.
 *
 * All queries are asked where one row in ten is missed.  The fewer are, the fewer
 * queries tell their share as exactly, which is what makes large pools affordable;
 * and where more than twice as many are, nobody cares.
 */
static const int pools[] =
{5, 7, 9, 11, 13, 15, 17, 21, 27, 39, 63, 125, 249, 499, 999};
static const double enough[TG_CURVE_RANKS] = {0.999, 0.99};

#define NPOOLS			((int) lengthof(pools))
#define MANY_MISSED		0.1
#define TOO_MANY_MISSED	0.2
#define LEAST_SHARE		0.33

/* The most rows that are asked for. */
#define MAX_RANK		(tg_curve_ranks[TG_CURVE_RANKS - 1])

struct TgCalibration
{
	MemoryContext context;		/* of all there is */
	Oid			filenode;		/* a REINDEX calibrates by itself */
	TgIndex    *tg;
	uint64		changed;		/* when it began */

	TgQuestions questions;
	bool		compared;		/* are their nearest known? */

	/* The searches: by pools[pool], of which asked[pool] are done. */
	int			pool;
	int			asked[NPOOLS];
	int64		found[NPOOLS][TG_CURVE_RANKS];
};

TgCalibration *
tg_calibration_begin(Relation index)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "togg calibration",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TgCalibration *calibration = palloc0(sizeof(TgCalibration));

	calibration->context = context;
	calibration->filenode = index->rd_rel->relfilenode;
	calibration->changed = tg_meta_read(index).changed;
	calibration->tg = tg_index_copy(tg_index_get(index));
	MemoryContextSwitchTo(old);
	return calibration;
}

void
tg_calibration_end(TgCalibration *calibration)
{
	MemoryContextDelete(calibration->context);
}

static double
recall_at(const TgCalibration *calibration, int pool, int rank)
{
	return (double) calibration->found[pool][rank] /
		((double) calibration->asked[pool] * tg_curve_ranks[rank]);
}

static bool
has_enough(const TgCalibration *calibration, int pool, int rank)
{
	return recall_at(calibration, pool, rank) >= enough[rank];
}

/*
 * How many queries to ask with the pool that is next.
 */
static int
count_wanted(const TgCalibration *calibration)
{
	double		share = LEAST_SHARE;
	double		missed = 1;

	if (calibration->pool > 0)
		missed = 1 - recall_at(calibration, calibration->pool - 1, 0);
	if (missed <= TOO_MANY_MISSED)
		share = Max(share, Min(missed / MANY_MISSED, 1));
	return (int) ceil(calibration->questions.n * share);
}

/*
 * Of step 3, one pool; returns whether it is at its end.
 */
static bool
ask_with(TgCalibration *calibration, Relation index, IndexScanDesc scan,
		bool (*pause) (Relation index))
{
	const TgQuestions *questions = &calibration->questions;
	TgSearchSettings settings = tg_index_settings(index);
	double	   *distances = palloc(sizeof(double) * MAX_RANK);
	int			pool = calibration->pool;
	int			wanted = count_wanted(calibration);
	int		   *asked = &calibration->asked[pool];

	settings.ef = pools[pool];
	for (; *asked < wanted; (*asked)++)
	{
		const TgQuestion *question =
			&questions->items[*asked * questions->n / wanted];
		uint64		pages = tg_scan_stats(scan).search.pages;
		int			n;

		if (pause && pause(index))
			break;
		tg_scan_set(scan, &settings, question->held_out);
		n = tg_scan_probe(scan, question->span, distances, MAX_RANK);
		for (int rank = 0; rank < TG_CURVE_RANKS; rank++)
			calibration->found[pool][rank] +=
				tg_question_found(question, distances, n,
								  tg_curve_ranks[rank]);
		pages = tg_scan_stats(scan).search.pages - pages;
		tg_charge_pages(&pages);
	}
	pfree(distances);
	return *asked >= wanted;
}

/*
 * Step 3; returns whether it is at its end.
 */
static bool
ask_with_all_pools(TgCalibration *calibration, Relation index,
				   bool (*pause) (Relation index))
{
	IndexScanDesc scan = tg_ambeginscan(index, 0, 1);
	bool		paused = false;
	bool		done = false;

	while (!paused && !done)
	{
		int			pool = calibration->pool;

		paused = !ask_with(calibration, index, scan, pause);
		if (paused)
			break;
		done = pool + 1 == NPOOLS ||
			(has_enough(calibration, pool, 0) &&
			 has_enough(calibration, pool, 1));
		calibration->pool++;
	}
	tg_amendscan(scan);
	IndexScanEnd(scan);
	return done;
}

/*
 * Step 4.
 */
static void
store_curve(const TgCalibration *calibration, Relation index)
{
	TgSearchSettings settings = tg_index_settings(index);
	TgCurve		curve = {0};
	TgMetaEdit	edit;

	for (int rank = 0; rank < TG_CURVE_RANKS && calibration->pool > 0; rank++)
	{
		double		recall[NPOOLS];

		for (int i = 0; i < calibration->pool; i++)
			recall[i] = recall_at(calibration, i, rank);
		tg_curve_fit(&curve, rank, pools, recall, calibration->pool);
	}
	tg_meta_edit_begin(&edit, index);
	edit.meta->curve = curve;
	edit.meta->calibrated = calibration->questions.vertices;
	edit.meta->changed -= Min(edit.meta->changed, calibration->changed);
	edit.meta->calibrate_time = GetCurrentTimestamp();
	edit.meta->calibrated_width = settings.stage1_width;
	edit.meta->calibrated_growth = settings.growth;
	tg_meta_edit_finish(&edit);

	/* Every backend has a copy of the metapage. */
	CacheInvalidateRelcache(index);
}

bool
tg_calibration_run(TgCalibration *calibration, Relation index,
				   bool (*pause) (Relation index))
{
	TgQuestions *questions = &calibration->questions;
	MemoryContext old;
	TgReader	reader;
	bool		done = true;

	if (calibration->tg->meta.dims == 0 ||
		calibration->filenode != index->rd_rel->relfilenode)
		return true;

	/* One of the catalogs would keep VACUUM from what has died since. */
	InvalidateCatalogSnapshot();
	old = MemoryContextSwitchTo(calibration->context);
	tg_reader_init(&reader, index, &calibration->tg->layout);
	if (questions->items == NULL)
	{
		tg_questions_init(questions, calibration->tg, tg_opclass_get(index),
						  QUERIES(calibration->tg->geometry.inner_dims), MAX_RANK);
		tg_questions_sample(questions, &reader, 0);
	}
	if (!calibration->compared)
		done = calibration->compared =
			tg_questions_compare(questions, index, &reader, pause);
	tg_reader_free(&reader);
	if (done && questions->vertices >= MIN_VERTICES)
		done = ask_with_all_pools(calibration, index, pause);
	if (done)
		store_curve(calibration, index);
	MemoryContextSwitchTo(old);
	return done;
}

bool
tg_calibration_is_due(Relation index, const TgMetaPage *meta)
{
	TgSearchSettings settings = tg_index_settings(index);

	if (meta->calibrate_time != 0 &&
		(meta->calibrated_width != settings.stage1_width ||
		 meta->calibrated_growth != settings.growth))
		return true;
	return meta->changed >= Max(TG_MIN_CHANGED,
								meta->calibrated / TG_CHANGED_SHARE);
}

void
tg_calibrate(Relation index)
{
	TgCalibration *calibration = tg_calibration_begin(index);

	(void) tg_calibration_run(calibration, index, NULL);
	tg_calibration_end(calibration);
}

/* ---------- functions ---------- */

/*
 * That is asked under a lock that keeps nobody waiting.
 */
void
tg_check_owner(Oid oid)
{
	Relation	index = tg_open_index(oid, AccessShareLock);

	if (!object_ownercheck(RelationRelationId, oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX,
					   RelationGetRelationName(index));
	relation_close(index, AccessShareLock);
}

/*
 * togg_calibrate(index regclass)
 */
Datum
togg_calibrate(PG_FUNCTION_ARGS)
{
	Oid			oid = PG_GETARG_OID(0);
	Relation	index;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("recovery is in progress"),
				 errdetail("Indexes cannot be calibrated during recovery."),
				 errhint("Run togg_calibrate() on the primary; its replicas follow.")));
	tg_check_owner(oid);
	index = tg_open_index(oid, ShareUpdateExclusiveLock);
	tg_throttle();
	PG_TRY();
	{
		tg_calibrate(index);
	}
	PG_FINALLY();
	{
		VacuumCostActive = false;
	}
	PG_END_TRY();
	relation_close(index, ShareUpdateExclusiveLock);
	PG_RETURN_VOID();
}

/*
 * togg_calibration(index regclass): a row for each rank and recall.
 */
Datum
togg_calibration(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	index;
	TgMetaPage	meta;

	InitMaterializedSRF(fcinfo, 0);
	index = tg_open_index(PG_GETARG_OID(0), AccessShareLock);
	meta = tg_meta_read(index);
	for (int i = 0; i < TG_CURVE_RANKS * TG_CURVE_POINTS; i++)
	{
		int			rank = i / TG_CURVE_POINTS;
		int			point = i % TG_CURVE_POINTS;
		Datum		values[7];
		bool		nulls[7] = {0};

		if (!tg_curve_is_known(&meta.curve))
			break;
		values[0] = Int32GetDatum(tg_curve_ranks[rank]);
		values[1] = Float8GetDatum(tg_curve_recalls[point]);
		values[2] = Int32GetDatum(tg_whole_ef(meta.curve.ef[rank][point]));
		values[3] = TimestampTzGetDatum(meta.calibrate_time);
		values[4] = Int64GetDatum((int64) meta.calibrated);
		values[5] = Int64GetDatum((int64) meta.changed);
		values[6] = BoolGetDatum(tg_calibration_is_due(index, &meta));
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	relation_close(index, AccessShareLock);
	return (Datum) 0;
}
