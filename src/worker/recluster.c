/*-------------------------------------------------------------------------
 *
 * recluster.c
 *	  Clustering neighbour lists again that have changed.
 *
 * Clustering puts a list's neighbours in another order, and changes nothing
 * else: no link comes or goes.  So it needs none of the care that inserts take
 * for reachability, nor a transaction ID for VACUUM to see, and it may run
 * beside everything else.  For each list that has enough stale lanes:
 *
 *	1. Its ids are read, then each neighbour's vector, one share lock at a
 *	   time.
 *	2. They are divided as the index's guide wants it, which gives an order.
 *	3. Under an exclusive lock on the list's page, if the ids are still those
 *	   that were read, the lanes are put in that order.  Otherwise somebody was
 *	   faster, and the list is left to the next run.
 *
 * Should the slot have been freed and reused meanwhile for a vertex with the
 * very same neighbours, then theirs is what was ordered: no harm either.
 *
 * A list part that spans more pages than a WAL record holds is left alone: a
 * crash between two records would lose neighbours.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/worker.h"

#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "commands/progress.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM < 160000
#define object_ownercheck(class_id, oid, role)	pg_class_ownercheck(oid, role)
#endif

PG_FUNCTION_INFO_V1(togg_cluster);

/*
 * A list on its way into another order.
 */
typedef struct Clusterer
{
	Relation	index;
	const TgIndex *tg;
	TgReader	reader;
	TgListMaker maker;
	float	   *values;			/* scratch, [dims] */
	TgVertexId	holder;
	int			degree;
	TgNeighbour self;
	TgNeighbour *neighbours;	/* [degree] */
	float	   *inner;			/* theirs, then the holder's, [inner_dims] each */
	TgSlotHeader divided;		/* for the division */
} Clusterer;

static Clusterer *
clusterer_create(Relation index, const TgIndex *tg)
{
	Clusterer  *clusterer = palloc0(sizeof(Clusterer));
	int			degree = tg->layout.degree;
	int			inner_dims = tg->geometry.inner_dims;

	clusterer->index = index;
	clusterer->tg = tg;
	tg_reader_init(&clusterer->reader, index, &tg->layout);
	tg_list_maker_init(&clusterer->maker, tg);
	clusterer->values = palloc(sizeof(float) * tg->geometry.dims);
	clusterer->neighbours = palloc(sizeof(TgNeighbour) * degree);
	clusterer->inner = palloc(sizeof(float) * (degree + 1) * inner_dims);

	/* Distances are what they were before a rotation: it can be spared. */
	for (int i = 0; i <= degree; i++)
	{
		TgNeighbour *neighbour = i < degree ? &clusterer->neighbours[i] :
			&clusterer->self;

		neighbour->inner = clusterer->inner + (Size) i * inner_dims;
		neighbour->rotated = neighbour->inner;
	}
	return clusterer;
}

bool
tg_layout_has_divisions(const TgLayout *layout)
{
	return layout->guide != TG_GUIDE_NONE &&
		layout->list.pages_each <= TG_WHOLE_PAGES;
}

/*
 * Can this list be divided, and has it at least one stale lane in share?
 */
static bool
has_stale_lanes(const TgLayout *layout, const TgSlotHeader *header, int share)
{
	int			stale;

	if (header->kind != TG_SLOT_VERTEX || header->layer > 0 ||
		(header->flags & (TG_VERTEX_ROOT | TG_VERTEX_DEAD)) ||
		!tg_layout_has_divisions(layout))
		return false;
	stale = tg_list_stale_lanes(layout, header);
	return stale > 0 && stale * share >= header->degree;
}

bool
tg_list_is_stale(const TgLayout *layout, const TgSlotHeader *header)
{
	return has_stale_lanes(layout, header, TG_STALE_SHARE);
}

/* Read the open vertex's vector to the given place. */
static void
read_inner(Clusterer *clusterer, TgVertexId id, int place)
{
	const TgIndex *tg = clusterer->tg;

	tg_reader_inner(&clusterer->reader, tg, id, clusterer->values,
					clusterer->inner + (Size) place * tg->geometry.inner_dims);
}

/*
 * Step 1: the list and its holder's vector; false if the list is not to be
 * clustered.
 */
static bool
read_list(Clusterer *clusterer, TgVertexId id, int share)
{
	const TgLayout *layout = &clusterer->tg->layout;
	TgReader   *reader = &clusterer->reader;
	const TgSlotHeader *header = tg_reader_open_slot(reader, id);
	bool		stale = has_stale_lanes(layout, header, share);

	if (stale)
	{
		clusterer->holder = id;
		clusterer->degree = header->degree;
		for (int lane = 0; lane < header->degree; lane++)
			clusterer->neighbours[lane].id = tg_list_get(layout, header, lane);
		read_inner(clusterer, id, layout->degree);
	}
	reader->graph.close(&reader->graph);
	return stale;
}

/*
 * The neighbours' vectors; false if one of them is gone.
 */
static bool
read_neighbours(Clusterer *clusterer)
{
	TgGraph    *graph = &clusterer->reader.graph;

	for (int i = 0; i < clusterer->degree; i++)
	{
		TgVertexId	id = clusterer->neighbours[i].id;
		TgVertexView view;

		if (!graph->open(graph, id, &view))
			return false;
		read_inner(clusterer, id, i);
		graph->close(graph);
	}
	return true;
}

/*
 * Step 3: put the list in order, if it is still the same; returns whether it
 * is.
 */
static bool
write_order(Clusterer *clusterer)
{
	const TgLayout *layout = &clusterer->tg->layout;
	const TgSlotHeader *header;
	bool		same;
	TgEdit		edit;

	tg_edit_begin(&edit, clusterer->index, layout, clusterer->holder);
	header = tg_edit_header(&edit);
	same = header->kind == TG_SLOT_VERTEX && header->layer == 0 &&
		header->degree == clusterer->degree;
	for (int lane = 0; lane < clusterer->degree && same; lane++)
		same = tg_list_get(layout, header, lane) ==
			clusterer->neighbours[lane].id;
	if (!same)
	{
		tg_edit_abort(&edit);
		return false;
	}
	tg_list_reorder(layout, edit.slot, clusterer->maker.order,
					&clusterer->divided);
	tg_edit_finish(&edit);
	return true;
}

/*
 * Returns whether the list was clustered.
 */
static bool
cluster_list(Clusterer *clusterer, TgVertexId id, int share)
{
	tg_vacuum_delay_point();
	if (!read_list(clusterer, id, share) || !read_neighbours(clusterer))
		return false;
	tg_divide_list(&clusterer->maker, &clusterer->divided, &clusterer->self,
				   clusterer->neighbours, clusterer->degree);
	return write_order(clusterer);
}

/*
 * Count the pages read towards the next sleep: the reader finds most of them
 * where it saw them last, without the buffer manager's account.
 */
static void
charge_reads(Clusterer *clusterer)
{
	if (VacuumCostActive)
		VacuumCostBalance += VacuumCostPageHit * (int) clusterer->reader.pages;
	clusterer->reader.pages = 0;
}

void
tg_cluster_begin(TgClusterRun *run, Relation index, bool all)
{
	const int	params[] = {
		PROGRESS_CREATEIDX_INDEX_OID,
		PROGRESS_CREATEIDX_ACCESS_METHOD_OID,
		PROGRESS_CREATEIDX_PHASE,
		PROGRESS_CREATEIDX_SUBPHASE,
		PROGRESS_SCAN_BLOCKS_TOTAL
	};
	int64		values[lengthof(params)];
	TgMetaEdit	edit;

	memset(run, 0, sizeof(TgClusterRun));
	run->all = all;
	run->block = TG_METAPAGE_BLKNO + 1;
	run->end = RelationGetNumberOfBlocks(index);

	values[0] = RelationGetRelid(index);
	values[1] = index->rd_rel->relam;
	values[2] = PROGRESS_CREATEIDX_PHASE_BUILD;
	values[3] = TG_PHASE_CLUSTER;
	values[4] = run->end - run->block;
	pgstat_progress_start_command(PROGRESS_COMMAND_CREATE_INDEX,
								  index->rd_index->indrelid);
	pgstat_progress_update_multi_param(lengthof(params), params, values);

	/* From now on, inserts count towards the next run. */
	tg_meta_edit_begin(&edit, index);
	run->inserted = edit.meta->inserted;
	edit.meta->inserted = 0;
	tg_meta_edit_finish(&edit);
}

bool
tg_cluster_pages(TgClusterRun *run, Relation index,
				 bool (*pause) (Relation index))
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "togg clustering",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const TgIndex *tg = tg_index_copy(tg_index_get(index));
	int			share = run->all ? TG_MAX_DEGREE : TG_STALE_SHARE;
	bool		paused = false;

	/* Before there are dimensions, there are no lists. */
	if (tg->meta.dims > 0 && tg_layout_has_divisions(&tg->layout))
	{
		Clusterer  *clusterer = clusterer_create(index, tg);

		/* One of the catalogs would keep VACUUM from what has died since. */
		InvalidateCatalogSnapshot();

		/* It may have been rebuilt since the last time. */
		run->end = Min(run->end, RelationGetNumberOfBlocks(index));
		while (run->block < run->end && !paused)
		{
			TgPageSlots page = tg_page_slots(index, &tg->layout, run->block,
											 NULL);

			for (int i = 0; page.kind == TG_PAGE_LIST && i < page.nslots &&
				 !paused; i++)
			{
				TgVertexId	id = tg_id_make(&tg->layout, page.stripe,
											page.first + i);

				run->clustered += cluster_list(clusterer, id, share);
				charge_reads(clusterer);
				paused = pause && pause(index);
			}

			/* A page that was left is gone over again: that is soon done. */
			if (!paused)
				pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_DONE,
											 run->block++);
		}
		tg_reader_free(&clusterer->reader);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return !paused;
}

void
tg_cluster_note(TgClusterRun *run, Relation index, TgClusterState state)
{
	TgMetaEdit	edit;

	tg_meta_edit_begin(&edit, index);
	edit.meta->clustered += run->clustered - run->noted;

	/* Searches go another way by them: calibrations tell of the old one. */
	edit.meta->changed += run->clustered - run->noted;
	if (state == TG_CLUSTER_DONE)
		edit.meta->cluster_time = GetCurrentTimestamp();
	if (state == TG_CLUSTER_GIVEN_UP)
		edit.meta->inserted += run->inserted;
	tg_meta_edit_finish(&edit);
	run->noted = run->clustered;
	if (state != TG_CLUSTER_PAUSED)
		pgstat_progress_end_command();
}

void
tg_throttle(void)
{
#if PG_VERSION_NUM >= 160000
	VacuumUpdateCosts();
#else
	VacuumCostActive = VacuumCostDelay > 0;
#endif
	VacuumCostBalance = 0;
}

/*
 * Raise an error unless the current user owns the index.  That is asked under
 * a lock that keeps nobody waiting.
 */
static void
check_owner(Oid oid)
{
	Relation	index = tg_open_index(oid, AccessShareLock);

	if (!object_ownercheck(RelationRelationId, oid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_INDEX,
					   RelationGetRelationName(index));
	relation_close(index, AccessShareLock);
}

/*
 * togg_cluster(index regclass): cluster every list that has changed.  Returns
 * how many there were.
 */
Datum
togg_cluster(PG_FUNCTION_ARGS)
{
	Oid			oid = PG_GETARG_OID(0);
	Relation	index;
	TgClusterRun run;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("recovery is in progress"),
				 errdetail("Neighbour lists cannot be clustered during recovery."),
				 errhint("Run togg_cluster() on the primary; its replicas follow.")));
	check_owner(oid);
	index = tg_open_index(oid, ShareUpdateExclusiveLock);

	tg_throttle();
	PG_TRY();
	{
		tg_cluster_begin(&run, index, true);
		(void) tg_cluster_pages(&run, index, NULL);
		tg_cluster_note(&run, index, TG_CLUSTER_DONE);
	}
	PG_FINALLY();
	{
		VacuumCostActive = false;
	}
	PG_END_TRY();

	relation_close(index, ShareUpdateExclusiveLock);
	PG_RETURN_INT64(run.clustered);
}
