/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  Clustering neighbour lists again that have changed: by hand, and by
 *	  background workers that inserts ask for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_WORKER_H
#define TOGG_WORKER_H

#include "am/am.h"

/*
 * A list is stale when one in so many of its lanes came after it was
 * clustered; an index is, when one in so many of its vertices did.
 */
#define TG_STALE_SHARE		4

/* What pg_stat_progress_create_index shows, besides the phases of a build. */
#define TG_PHASE_CLUSTER	32

/* ---------- recluster.c: lists ---------- */

/* Are there lists to cluster: has the index a guide, and lists on one page? */
extern bool tg_layout_has_divisions(const TgLayout *layout);

/* Is a slot's list one that a worker would cluster? */
extern bool tg_list_is_stale(const TgLayout *layout,
							 const TgSlotHeader *header);

/*
 * Going over an index once.  It may be interrupted after any list, and the
 * index be closed and opened again.
 */
typedef struct TgClusterRun
{
	bool		all;			/* cluster every list that has changed at all */
	uint64		inserted;		/* vertices that came since the last run */
	BlockNumber block;			/* to be read next */
	BlockNumber end;
	int64		clustered;		/* lists so far */
	int64		noted;			/* of these, in the metapage */
} TgClusterRun;

/*
 * Begin a run over an index that is locked in ShareUpdateExclusiveLock, the
 * only one at a time.
 */
extern void tg_cluster_begin(TgClusterRun *run, Relation index, bool all);

/*
 * Cluster list by list, in the order of the pages, until the end, or until
 * pause() is true (NULL: never).  Returns whether it was the end.  No buffer is
 * locked while pause() runs.
 */
extern bool tg_cluster_pages(TgClusterRun *run, Relation index,
							 bool (*pause) (Relation index));

/* How a run stands after tg_cluster_pages(). */
typedef enum TgClusterState
{
	TG_CLUSTER_PAUSED,
	TG_CLUSTER_DONE,
	TG_CLUSTER_GIVEN_UP			/* others need the index: due again */
} TgClusterState;

/* Note in the metapage how a run stands. */
extern void tg_cluster_note(TgClusterRun *run, Relation index,
							TgClusterState state);

/* Have vacuum_delay_point() follow the settings vacuum_cost_delay and _limit. */
extern void tg_throttle(void);

/* ---------- worker.c: background workers ---------- */

extern bool tg_clustering_workers;	/* setting togg.clustering_workers */

/*
 * A vertex was inserted: see whether it is time for a worker.  The caller
 * holds no buffer lock.
 */
extern void tg_clustering_note_insert(Relation index);

#endif							/* TOGG_WORKER_H */
