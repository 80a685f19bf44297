/*-------------------------------------------------------------------------
 *
 * build.c
 *	  CREATE INDEX, step by step.
 *
 * 1. Loading (load.c): the heap is read once; vectors and heap TIDs gather in
 *	  memory.  The leader makes vertices of them (merge.c).
 * 2. Building (graph.c): the graph is made in memory, layer by layer.
 * 3. Writing (write.c): lists are clustered and coded, and slots written in an
 *	  order that keeps neighbours near each other.
 * 4. Rows that did not fit in maintenance_work_mem are inserted, as by INSERT
 *	  but without WAL.
 * 5. The whole fork is WAL-logged.
 *
 * A member that finds memory full stops reading, and so do the others with
 * their next row; they go through steps 2 and 3 from within the heap scan, and
 * then read on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include "access/xloginsert.h"
#include "catalog/index.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/pg_rusage.h"
#include "utils/wait_event.h"

#include "am/sketch.h"
#include "stat/stat.h"
#include "tune/tune.h"
#include "worker/worker.h"

#if PG_VERSION_NUM < 150000
#error "togg needs PostgreSQL 15 or later"
#endif

char *
tg_ambuildphasename(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case TG_PHASE_LOAD:
			return "loading tuples";
		case TG_PHASE_PREPARE:
			return "preparing vectors";
		case TG_PHASE_GRAPH:
			return "building graph";
		case TG_PHASE_FINISH:
			return "finishing neighbour lists";
		case TG_PHASE_WRITE:
			return "writing pages";
		case TG_PHASE_INSERT:
			return "inserting tuples";
		case TG_PHASE_LOG:
			return "logging pages";
		case TG_PHASE_CLUSTER:
			return "clustering neighbour lists";
		case TG_PHASE_CALIBRATE:
			return "calibrating";
	}
	return NULL;
}

/*
 * DEBUG1 tells how long the phase before took.
 */
void
tg_build_phase(TgBuild *build, int64 phase, int64 total)
{
	instr_time	now;
	const int	params[] = {
		PROGRESS_CREATEIDX_SUBPHASE,
		PROGRESS_CREATEIDX_TUPLES_TOTAL,
		PROGRESS_CREATEIDX_TUPLES_DONE
	};
	const int64 values[] = {phase, total, 0};

	pgstat_progress_update_multi_param(lengthof(params), params, values);

	INSTR_TIME_SET_CURRENT(now);
	if (build->phase != 0)
	{
		instr_time	elapsed = now;

		INSTR_TIME_SUBTRACT(elapsed, build->phase_start);
		ereport(DEBUG1,
				(errmsg_internal("index \"%s\": %s took %.3f s",
								 RelationGetRelationName(build->index),
								 tg_ambuildphasename(build->phase),
								 INSTR_TIME_GET_DOUBLE(elapsed))));
	}
	build->phase = phase;
	build->phase_start = now;
}

void
tg_build_progress(TgBuild *build, int64 done)
{
	if (tg_build_leader(build))
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, done);
}

/* Wait until all members are here. */
static void
meet_all(TgBuild *build)
{
	if (build->shared->members > 1)
		BarrierArriveAndWait(&build->shared->barrier,
							 WAIT_EVENT_PARALLEL_CREATE_INDEX_SCAN);
}

void
tg_build_meet(TgBuild *build)
{
	if (build->together)
		meet_all(build);
}

void
tg_build_deal(TgBuild *build)
{
	pg_atomic_write_u64(&build->shared->next, 0);
}

uint64
tg_build_next(TgBuild *build, uint64 count, uint64 end)
{
	uint64		first = pg_atomic_fetch_add_u64(&build->shared->next, count);

	return Min(first, end);
}

/*
 * Build the graph of what is in memory, and write it.
 */
static void
flush(TgBuild *build)
{
	TgBuildShared *shared = build->shared;
	bool		leader = tg_build_leader(build);
	MemoryContext old = MemoryContextSwitchTo(build->context);

	tg_load_end(build);
	meet_all(build);
	if (leader)
	{
		tg_merge(build);
		if (shared->meta.dims > 0)
			tg_build_check_disk(build);
		tg_meta_create(build->index, MAIN_FORKNUM, &shared->meta);
	}
	meet_all(build);
	build->together = shared->members > 1 && !shared->apart;
	if (shared->meta.dims > 0 && (leader || build->together))
	{
		if (!leader)
			tg_merge_attach(build);
		tg_build_graph(build);
		tg_build_write(build);
	}
	for (int kind = 0; kind < TG_UNRANKED_KINDS; kind++)
		for (int64 i = 0; i < build->nunranked[kind]; i++)
		{
			CHECK_FOR_INTERRUPTS();
			tg_unranked_add(build->index, kind,
							tg_build_stored(build, build->unranked[kind], i));
		}
	meet_all(build);

	/* All of it is on pages now. */
	tg_pieces_detach(build);
	build->flushed = true;
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->context);
}

/*
 * There is no room for this row in memory: in what we may use, or in what there
 * is of shared memory.  This is early in a build, so that who has the memory
 * can begin anew without having lost much.
 */
static void
memory_is_full(TgBuild *build)
{
	TgBuildShared *shared = build->shared;
	uint64		memory = pg_atomic_read_u64(&shared->memory);
	bool		used_up = memory > shared->limit;
	long long	rows = pg_atomic_read_u64(&shared->rows);
	long long	wanted = rows > 0 && build->expected > rows ?
		(long long) (1 + (double) memory / rows * build->expected / 1048576) : 0;
	const char *name = RelationGetRelationName(build->index);

	if (pg_atomic_exchange_u32(&shared->full, 1) != 0)
		return;
	ereport(NOTICE,
			(used_up ?
			 errmsg("index \"%s\" no longer fits into maintenance_work_mem after %lld rows",
					name, rows) :
			 errmsg("index \"%s\" no longer fits into shared memory after %lld rows",
					name, rows),
			 errdetail("The other rows are added to the index one by one."),
			 used_up && wanted > 0 ?
			 errhint("Increase maintenance_work_mem, to about %lld MB for all rows, if that takes longer than you can wait.",
					 wanted) :
			 used_up ?
			 errhint("Increase maintenance_work_mem if that takes longer than you can wait.") :
			 errhint("Where shared memory is in /dev/shm, make that larger.")));
}

static void
build_callback(Relation index, ItemPointer tid, Datum *values, bool *isnull,
			   bool tupleIsAlive, void *arg)
{
	TgBuild    *build = arg;
	TgBuildShared *shared = build->shared;
	TgLoad	   *load = &shared->loads[build->member];
	MemoryContext old = MemoryContextSwitchTo(build->row_context);
	TgRow	   *stored = tg_row_make(&build->columns, values, isnull, tid);
	bool		loaded = false;

	if (!build->flushed)
	{
		if (pg_atomic_read_u32(&shared->full) == 0)
		{
			loaded = tg_load_row(build, values[0], isnull[0], stored);
			if (!loaded)
				memory_is_full(build);
		}
		if (!loaded)
		{
			flush(build);
			if (tg_build_leader(build))
				tg_build_phase(build, TG_PHASE_INSERT,
							   Max(0, build->expected -
								   (int64) pg_atomic_read_u64(&shared->rows)));
		}
	}
	if (!loaded)
	{
		tg_insert_row(index, values[0], isnull[0], stored, false);
		pg_atomic_fetch_add_u64(&shared->inserted, 1);
	}
	pg_atomic_fetch_add_u64(&shared->rows, 1);
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->row_context);
	if ((load->index_tuples++ & 0xFF) == 0)
		tg_build_progress(build, pg_atomic_read_u64(build->flushed ?
													&shared->inserted :
													&shared->rows));
}

void
tg_build_run(TgBuild *build, TableScanDesc scan)
{
	TgLoad	   *load = &build->shared->loads[build->member];
	bool		leader = tg_build_leader(build);
	PGRUsage	start;

	pg_rusage_init(&start);
	if (leader)
		tg_build_phase(build, TG_PHASE_LOAD, build->expected);
	tg_log_suspend(build->index);
	PG_TRY();
	{
		tg_load_begin(build);
		load->heap_tuples = table_index_build_scan(build->heap, build->index,
												   build->index_info, true,
												   leader, build_callback,
												   build, scan);
		load->broken_hot_chain = build->index_info->ii_BrokenHotChain;
		if (!build->flushed)
			flush(build);
		if (leader)
			tg_build_deal(build);
		meet_all(build);
		tg_build_log(build);
		meet_all(build);
	}
	PG_FINALLY();
	{
		tg_log_resume();
	}
	PG_END_TRY();
	if (leader)
		tg_build_phase(build, PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE, 0);
	ereport(DEBUG1,
			(errmsg_internal("index \"%s\": process %d: %s",
							 RelationGetRelationName(build->index),
							 build->member, pg_rusage_show(&start))));
}

Size
tg_build_shared_size(int members)
{
	return add_size(offsetof(TgBuildShared, loads),
					mul_size(sizeof(TgLoad), members));
}

void
tg_build_shared_init(TgBuildShared *shared, int members, Relation heap,
					 Relation index, IndexInfo *info)
{
	memset(shared, 0, tg_build_shared_size(members));
	shared->heap = RelationGetRelid(heap);
	shared->index = RelationGetRelid(index);
	shared->concurrent = info->ii_Concurrent;
	shared->limit = (Size) maintenance_work_mem * 1024;
	ConditionVariableInit(&shared->begun);
	pg_atomic_init_u32(&shared->dims, 0);
	pg_atomic_init_u32(&shared->full, 0);
	pg_atomic_init_u64(&shared->memory, 0);
	pg_atomic_init_u64(&shared->rows, 0);
	pg_atomic_init_u64(&shared->inserted, 0);
	pg_atomic_init_u64(&shared->next, 0);
}

void
tg_build_init(TgBuild *build, TgBuildShared *shared, int member,
			  Relation heap, Relation index, IndexInfo *info)
{
	memset(build, 0, sizeof(TgBuild));

	/*
	 * A relation that is truncated and refilled in the transaction that made
	 * it is built again in place, with what was cached of it left over.
	 */
	tg_index_forget(index);
	build->heap = heap;
	build->index = index;
	build->index_info = info;
	build->shared = shared;
	build->member = member;
	tg_columns_init(&build->columns, index);
	build->record_size = TYPEALIGN(sizeof(uint32),
								   offsetof(TgRecord, stored) +
								   build->columns.row_size);
	build->opclass = tg_opclass_get(index);
	build->options = tg_options_get(index);
	build->initial = tg_meta_initial(index);
	build->expected = Max(0, (int64) heap->rd_rel->reltuples);
	build->context = AllocSetContextCreate(CurrentMemoryContext,
										   "togg build", ALLOCSET_DEFAULT_SIZES);
	build->row_context = AllocSetContextCreate(CurrentMemoryContext,
											   "togg build row",
											   ALLOCSET_DEFAULT_SIZES);
}

void
tg_build_end(TgBuild *build)
{
	MemoryContextDelete(build->context);
	MemoryContextDelete(build->row_context);
}

static void
build_alone(Relation heap, Relation index, IndexInfo *info,
			IndexBuildResult *result)
{
	TgBuildShared *shared = palloc(tg_build_shared_size(1));
	TgBuild		build;

	tg_build_shared_init(shared, 1, heap, index, info);
	shared->members = 1;
	tg_build_init(&build, shared, 0, heap, index, info);
	tg_build_run(&build, NULL);
	result->heap_tuples = shared->loads[0].heap_tuples;
	result->index_tuples = shared->loads[0].index_tuples;
	tg_build_end(&build);
	pfree(shared);
}

IndexBuildResult *
tg_ambuild(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	int			workers = tg_build_workers(heap, index, info);

	if (RelationGetNumberOfBlocks(index) != 0)
		elog(ERROR, "index \"%s\" already contains data",
			 RelationGetRelationName(index));
	if (workers == 0 ||
		!tg_build_parallel(heap, index, info, workers, result))
		build_alone(heap, index, info, result);
	tg_sketch_build(index);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE,
								 TG_PHASE_CALIBRATE);
	tg_calibrate(index);
	if (index->rd_createSubid != InvalidSubTransactionId)
		tg_stat_note_new(index);
	return result;
}

/*
 * The init fork of an unlogged index: an empty one.
 */
void
tg_ambuildempty(Relation index)
{
	TgMetaPage	meta = tg_meta_initial(index);

	tg_meta_create(index, INIT_FORKNUM, &meta);
	log_newpage_range(index, INIT_FORKNUM, 0, 1, true);
}
