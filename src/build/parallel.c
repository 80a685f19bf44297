/*-------------------------------------------------------------------------
 *
 * parallel.c
 *	  Building an index with parallel workers.
 *
 * The leader and its workers do the same (build.c).  What is here is how they
 * come together: the segment of the parallel context is small, and holds what
 * the members share but for the large pieces, which come later (memory.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

/* Keys of the parallel context's table of contents. */
#define KEY_SHARED		UINT64CONST(0x7067676F00000001)
#define KEY_SCAN		UINT64CONST(0x7067676F00000002)
#define KEY_QUERY		UINT64CONST(0x7067676F00000003)

/*
 * The tranche of the locks on lists, one number for the whole server.
 */
static int
lock_tranche(void)
{
	static int	tranche = 0;
	int		   *shared;
	bool		found;

	if (tranche != 0)
		return tranche;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("togg build", sizeof(int), &found);
	if (!found)
		*shared = LWLockNewTrancheId();
	LWLockRelease(AddinShmemInitLock);
	tranche = *shared;
	LWLockRegisterTranche(tranche, "ToggBuild");
	return tranche;
}

/* Blocks of a table and of what it keeps out of line. */
static BlockNumber
table_blocks(Relation heap)
{
	BlockNumber nblocks = RelationGetNumberOfBlocks(heap);

	if (OidIsValid(heap->rd_rel->reltoastrelid))
	{
		Relation	toast = table_open(heap->rd_rel->reltoastrelid,
									   AccessShareLock);

		nblocks += RelationGetNumberOfBlocks(toast);
		table_close(toast, AccessShareLock);
	}
	return nblocks;
}

/*
 * May expressions be evaluated by workers?
 */
static bool
is_safe(IndexInfo *info)
{
	PlannerInfo root = {.type = T_PlannerInfo};
	PlannerGlobal glob = {.type = T_PlannerGlobal};
	Query		query = {.type = T_Query};

	glob.maxParallelHazard = PROPARALLEL_UNSAFE;
	root.glob = &glob;
	root.parse = &query;
	return is_parallel_safe(&root, (Node *) info->ii_Expressions) &&
		is_parallel_safe(&root, (Node *) info->ii_Predicate);
}

/*
 * The planner counts workers for sorts only, and by the size of the heap
 * alone, where vectors need not be.  To build a graph takes so much longer than
 * to read the table that all the workers there may be are of use, unless the
 * table is so small that a scan would have none.
 */
int
tg_build_workers(Relation heap, Relation index, IndexInfo *info)
{
	int			workers = RelationGetParallelWorkers(heap, -1);

	if (!IsUnderPostmaster || max_parallel_maintenance_workers == 0 ||
		heap->rd_rel->relpersistence == RELPERSISTENCE_TEMP ||
		!is_safe(info))
		return 0;
	if (workers >= 0)
		return Min(workers, max_parallel_maintenance_workers);
	if (table_blocks(heap) < min_parallel_table_scan_size)
		return 0;
	return max_parallel_maintenance_workers;
}

/*
 * The parallel context, with what the members share; NULL if it cannot be had.
 */
static ParallelContext *
make_context(Relation heap, Relation index, IndexInfo *info, int workers,
			 Snapshot snapshot, TgBuildShared **shared)
{
	ParallelContext *context = CreateParallelContext("togg", "tg_build_worker",
													 workers);
	Size		scan_size = table_parallelscan_estimate(heap, snapshot);
	Size		query_size = debug_query_string ?
		strlen(debug_query_string) + 1 : 0;
	ParallelTableScanDesc scan;

	shm_toc_estimate_chunk(&context->estimator,
						   tg_build_shared_size(workers + 1));
	shm_toc_estimate_chunk(&context->estimator, scan_size);
	shm_toc_estimate_chunk(&context->estimator, query_size);
	shm_toc_estimate_keys(&context->estimator, 3);
	InitializeParallelDSM(context);
	if (context->seg == NULL)
	{
		DestroyParallelContext(context);
		return NULL;
	}

	*shared = shm_toc_allocate(context->toc, tg_build_shared_size(workers + 1));
	tg_build_shared_init(*shared, workers + 1, heap, index, info);
	for (int i = 0; i < TG_TEAM_LOCKS; i++)
		LWLockInitialize(&(*shared)->locks[i], lock_tranche());
	shm_toc_insert(context->toc, KEY_SHARED, *shared);
	scan = shm_toc_allocate(context->toc, scan_size);
	table_parallelscan_initialize(heap, scan, snapshot);
	shm_toc_insert(context->toc, KEY_SCAN, scan);
	if (query_size > 0)
	{
		char	   *query = shm_toc_allocate(context->toc, query_size);

		memcpy(query, debug_query_string, query_size);
		shm_toc_insert(context->toc, KEY_QUERY, query);
	}
	return context;
}

/*
 * Add up what the members have done.
 */
static void
collect(const TgBuildShared *shared, IndexInfo *info, IndexBuildResult *result)
{
	for (int i = 0; i < shared->members; i++)
	{
		const TgLoad *load = &shared->loads[i];

		result->heap_tuples += load->heap_tuples;
		result->index_tuples += load->index_tuples;
		if (load->broken_hot_chain)
			info->ii_BrokenHotChain = true;
	}
}

bool
tg_build_parallel(Relation heap, Relation index, IndexInfo *info, int workers,
				  IndexBuildResult *result)
{
	ParallelContext *context;
	TgBuildShared *shared;
	Snapshot	snapshot = SnapshotAny;
	TgBuild		build;
	bool		done = false;

	EnterParallelMode();
	if (info->ii_Concurrent)
		snapshot = RegisterSnapshot(GetTransactionSnapshot());
	context = make_context(heap, index, info, workers, snapshot, &shared);
	if (context)
	{
		LaunchParallelWorkers(context);
		if (context->nworkers_launched > 0)
		{
			/* All that were launched do come, or there is an error. */
			WaitForParallelWorkersToAttach(context);
			BarrierInit(&shared->barrier, context->nworkers_launched + 1);
			pg_write_barrier();
			shared->members = context->nworkers_launched + 1;
			ConditionVariableBroadcast(&shared->begun);

			ereport(DEBUG1,
					(errmsg_internal("index \"%s\": %d processes build it",
									 RelationGetRelationName(index),
									 shared->members)));
			tg_build_init(&build, shared, 0, heap, index, info);
			tg_build_run(&build,
						 table_beginscan_parallel(heap,
												  shm_toc_lookup(context->toc,
																 KEY_SCAN,
																 false)));
			collect(shared, info, result);
			tg_build_end(&build);
			done = true;
		}
		WaitForParallelWorkersToFinish(context);
		DestroyParallelContext(context);
	}
	if (info->ii_Concurrent)
		UnregisterSnapshot(snapshot);
	ExitParallelMode();
	return done;
}

/*
 * A worker.
 */
void
tg_build_worker(dsm_segment *segment, shm_toc *toc)
{
	TgBuildShared *shared = shm_toc_lookup(toc, KEY_SHARED, false);
	LOCKMODE	heap_lock;
	LOCKMODE	index_lock;
	Relation	heap;
	Relation	index;
	IndexInfo  *info;
	TgBuild		build;

	debug_query_string = shm_toc_lookup(toc, KEY_QUERY, true);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	(void) lock_tranche();

	/* The leader holds these, so that a worker may have them. */
	heap_lock = shared->concurrent ? ShareUpdateExclusiveLock : ShareLock;
	index_lock = shared->concurrent ? RowExclusiveLock : AccessExclusiveLock;
	heap = table_open(shared->heap, heap_lock);
	index = index_open(shared->index, index_lock);
	info = BuildIndexInfo(index);
	info->ii_Concurrent = shared->concurrent;

	ConditionVariablePrepareToSleep(&shared->begun);
	while (*(volatile int *) &shared->members == 0)
		ConditionVariableSleep(&shared->begun,
							   WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
	ConditionVariableCancelSleep();
	pg_read_barrier();

	tg_build_init(&build, shared, ParallelWorkerNumber + 1, heap, index, info);
	tg_build_run(&build,
				 table_beginscan_parallel(heap, shm_toc_lookup(toc, KEY_SCAN,
															   false)));
	tg_build_end(&build);
	index_close(index, index_lock);
	table_close(heap, heap_lock);
}
