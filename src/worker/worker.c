/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  Background workers that cluster neighbour lists, and calibrate.
 *
 * Inserts count themselves in the metapage.  When as many vertices have come
 * as make it worth going over the index, the inserting backend asks the
 * postmaster for a dynamic background worker, which needs no preloading.  If
 * none can be had, somebody asks again after a while.  What is due, clustering
 * or a new calibration (src/tune/calibrate.c), is found in the same counts by
 * the worker.
 *
 * A worker is nobody's prerequisite, so it must be in nobody's way:
 *
 *	- The lock on the index that makes it the only one, ShareUpdateExclusive,
 *	  is not waited for.  Inserts, queries and VACUUM do not conflict with it.
 *	- Who does (DROP, REINDEX, ALTER, togg_cluster()) waits for PAUSE_CHECK_MS
 *	  at most: the worker looks for waiters, and gives up when there is one.
 *	- So it does when the database is about to be dropped, renamed or copied,
 *	  which fails if somebody is connected to it for longer than five seconds.
 *	- It goes in transactions of BATCH_MS, holding no snapshot.
 *	- It sleeps as autovacuum does.
 *
 * What it has done until then stays done.  An error ends it; the next one comes
 * when as many vertices have been inserted again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "stat/stat.h"
#include "tune/tune.h"

/* One insert in so many counts, for all of them. */
#define COUNTED_INSERTS		64

/* Fewer new vertices than this are not worth a process. */
#define MIN_INSERTED		1024

/* An index does not ask more often than this. */
#define ASK_INTERVAL_MS		10000

#define PAUSE_CHECK_MS		100
#define BATCH_MS			1000

#define WORKER_NAME			"togg clustering worker"

bool		tg_clustering_workers = true;

extern PGDLLEXPORT void togg_clustering_worker(Datum arg);

static void
ask_for_worker(Oid index)
{
	BackgroundWorker worker = {0};

	snprintf(worker.bgw_name, BGW_MAXLEN, WORKER_NAME " for index %u", index);
	snprintf(worker.bgw_type, BGW_MAXLEN, WORKER_NAME);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "togg");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "togg_clustering_worker");
	worker.bgw_main_arg = ObjectIdGetDatum(index);
	memcpy(worker.bgw_extra, &MyDatabaseId, sizeof(Oid));
	if (!RegisterDynamicBackgroundWorker(&worker, NULL))
		ereport(DEBUG1,
				(errmsg_internal("no background worker is free to cluster index %u",
								 index)));
}

/*
 * Is it worth clustering the lists of an index of so many slots?
 */
static bool
clustering_is_due(const TgMetaPage *meta, uint64 slots)
{
	return meta->inserted >= Max(MIN_INSERTED, slots / TG_STALE_SHARE);
}

static uint64
count_slots(Relation index, const TgLayout *layout)
{
	return (uint64) RelationGetNumberOfBlocks(index) / layout->stripe_pages *
		layout->stripe_slots;
}

/*
 * Is it time to ask?
 */
static bool
is_due(Relation index, const TgMetaPage *meta, uint64 slots, TimestampTz now)
{
	TimestampTz again = TimestampTzPlusMilliseconds(meta->cluster_asked,
													ASK_INTERVAL_MS);

	/* The clock may have been set back. */
	return (clustering_is_due(meta, slots) || tg_calibration_is_due(index, meta)) &&
		(now >= again || now < meta->cluster_asked);
}

void
tg_clustering_note_insert(Relation index)
{
	const TgLayout *layout;
	uint64		slots;
	TimestampTz now;
	TgMetaEdit	edit;
	bool		clusters;
	bool		ask;

	if (likely(pg_prng_uint32(&pg_global_prng_state) % COUNTED_INSERTS != 0))
		return;

	layout = &tg_index_get(index)->layout;
	slots = count_slots(index, layout);
	clusters = tg_layout_has_divisions(layout);
	now = GetCurrentTimestamp();
	tg_meta_edit_begin(&edit, index);
	edit.meta->changed += COUNTED_INSERTS;
	if (clusters)
		edit.meta->inserted += COUNTED_INSERTS;
	ask = tg_clustering_workers && !RelationUsesLocalBuffers(index) &&
		is_due(index, edit.meta, slots, now);
	if (ask)
		edit.meta->cluster_asked = now;
	tg_meta_edit_finish(&edit);
	if (ask)
		ask_for_worker(RelationGetRelid(index));
}

/* ---------- in the worker ---------- */

static TimestampTz batch_start;
static TimestampTz last_check;
static bool in_the_way;			/* somebody waits for what the worker has */

/* What a worker has to do, and how far it is. */
typedef struct Job
{
	bool		begun;			/* are the next two known? */
	bool		cluster;		/* still to be done */
	bool		calibrate;
	TgClusterRun run;
	TgCalibration *calibration;
} Job;

/*
 * Does somebody hold the database who needs it for himself?  DROP DATABASE
 * locks it before it looks who is connected.
 */
static bool
database_is_claimed(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	if (LockAcquire(&tag, RowExclusiveLock, false, true) ==
		LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowExclusiveLock, false);
	return false;
}

/*
 * Is the batch at its end, or the worker in somebody's way?
 */
static bool
must_pause(Relation index)
{
	TimestampTz now = GetCurrentTimestamp();

	/* A snapshot of the catalogs would keep VACUUM from what has died since. */
	InvalidateCatalogSnapshot();
	if (!TimestampDifferenceExceeds(last_check, now, PAUSE_CHECK_MS))
		return false;
	last_check = now;
	in_the_way = LockHasWaitersRelation(index, ShareUpdateExclusiveLock) ||
		database_is_claimed();
	return in_the_way ||
		TimestampDifferenceExceeds(batch_start, now, BATCH_MS);
}

/*
 * Open and lock the index; NULL if it is gone, or locked by another.
 */
static Relation
open_if_free(Oid oid)
{
	Relation	index;

	if (!ConditionalLockRelationOid(oid, ShareUpdateExclusiveLock))
		return NULL;
	index = try_relation_open(oid, NoLock);
	if (index && tg_is_index(index))
		return index;
	if (index)
		relation_close(index, NoLock);
	UnlockRelationOid(oid, ShareUpdateExclusiveLock);
	return NULL;
}

/*
 * Cluster lists for a while; returns how the run stands then.  run->end is 0
 * before the first time.
 */
static TgClusterState
cluster(TgClusterRun *run, Relation index)
{
	TgClusterState state = TG_CLUSTER_PAUSED;

	if (run->end == 0)
		tg_cluster_begin(run, index, false);
	if (tg_cluster_pages(run, index, must_pause))
		state = TG_CLUSTER_DONE;
	else if (in_the_way)
		state = TG_CLUSTER_GIVEN_UP;
	tg_cluster_note(run, index, state);
	return state;
}

/*
 * Calibrate for a while; likewise.  *calibration is NULL before the first time.
 */
static TgClusterState
calibrate(TgCalibration **calibration, Relation index)
{
	/* It outlives the transaction; the process ends with it. */
	if (*calibration == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		*calibration = tg_calibration_begin(index);
		MemoryContextSwitchTo(old);
	}
	if (tg_calibration_run(*calibration, index, must_pause))
		return TG_CLUSTER_DONE;
	return in_the_way ? TG_CLUSTER_GIVEN_UP : TG_CLUSTER_PAUSED;
}

/*
 * Find out what is due.
 */
static void
begin_job(Job *job, Relation index)
{
	TgMetaPage	meta = tg_meta_read(index);
	const TgIndex *tg = tg_index_get(index);

	job->begun = true;
	if (tg->meta.dims == 0)
		return;
	job->cluster = clustering_is_due(&meta, count_slots(index, &tg->layout));
	job->calibrate = tg_calibration_is_due(index, &meta);
	if (job->cluster || job->calibrate)
		tg_stat_count_worker(index);
}

/*
 * Work on the index for a while, with the rights of its owner; returns how the
 * job stands then.
 */
static TgClusterState
work(Job *job, Relation index)
{
	TgClusterState state = TG_CLUSTER_DONE;
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(index->rd_rel->relowner,
						   security | SECURITY_RESTRICTED_OPERATION);
	batch_start = last_check = GetCurrentTimestamp();
	if (!job->begun)
		begin_job(job, index);
	if (job->cluster)
	{
		state = cluster(&job->run, index);
		job->cluster = state == TG_CLUSTER_PAUSED;
		if (state == TG_CLUSTER_DONE)
		{
			TgMetaPage	meta = tg_meta_read(index);

			/* What was clustered may have made it so. */
			job->calibrate = tg_calibration_is_due(index, &meta);
		}
	}
	else if (job->calibrate)
	{
		state = calibrate(&job->calibration, index);
		job->calibrate = state == TG_CLUSTER_PAUSED;
	}
	if (state == TG_CLUSTER_DONE && job->calibrate)
		state = TG_CLUSTER_PAUSED;
	SetUserIdAndSecContext(user, security);
	return state;
}

/*
 * Follow the settings of autovacuum where they differ from those of VACUUM.
 */
static void
throttle_as_autovacuum(void)
{
	char		value[32];

	if (autovacuum_vac_cost_delay >= 0)
	{
		snprintf(value, sizeof(value), "%g", autovacuum_vac_cost_delay);
		SetConfigOption("vacuum_cost_delay", value, PGC_USERSET,
						PGC_S_OVERRIDE);
	}
	if (autovacuum_vac_cost_limit > 0)
	{
		snprintf(value, sizeof(value), "%d", autovacuum_vac_cost_limit);
		SetConfigOption("vacuum_cost_limit", value, PGC_USERSET,
						PGC_S_OVERRIDE);
	}
	tg_throttle();
}

/*
 * What autovacuum sets as well, so that no default of the database or of the
 * owner makes code run that is not the index's.
 */
static void
set_defaults(void)
{
	SetConfigOption("search_path", "", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_SUSET,
					PGC_S_OVERRIDE);
}

/*
 * Set what pg_stat_activity shows.
 */
static void
report_activity(const Job *job, Relation index)
{
	char	   *schema = get_namespace_name(RelationGetNamespace(index));
	char	   *text = psprintf("%s index %s.%s",
								job->begun && !job->cluster ?
								"calibrating" : "clustering neighbour lists of",
								schema ? schema : "?",
								RelationGetRelationName(index));

	pgstat_report_activity(STATE_RUNNING, text);
}

/*
 * Where a worker begins; the argument is the index.
 */
void
togg_clustering_worker(Datum arg)
{
	Job			job = {0};
	TgClusterState state;
	Oid			database;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(Oid));
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	set_defaults();
	throttle_as_autovacuum();

	do
	{
		Relation	index;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			throttle_as_autovacuum();
			if (!tg_clustering_workers)
				break;
		}

		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		index = open_if_free(DatumGetObjectId(arg));
		if (index == NULL)
		{
			CommitTransactionCommand();
			break;
		}
		report_activity(&job, index);
		state = work(&job, index);
		relation_close(index, ShareUpdateExclusiveLock);
		CommitTransactionCommand();
		pgstat_report_stat(false);
	} while (state == TG_CLUSTER_PAUSED);

	pgstat_report_stat(true);
}
