/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  Index scans: the state of a scan, and what its parts do for each other.
 *
 * See scan.c for how a scan goes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_SCAN_H
#define TOGG_SCAN_H

#include "am/am.h"

#include "access/relscan.h"
#include "executor/tuptable.h"
#include "utils/tuplesort.h"

#include "am/filter.h"
#include "am/index_only.h"
#include "am/sketch.h"
#include "am/stats.h"

typedef enum TgScanPhase
{
	TG_PHASE_START,
	TG_PHASE_GRAPH,
	TG_PHASE_SWEEP,
	TG_PHASE_NAN,
	TG_PHASE_NULL,
	TG_PHASE_DONE
} TgScanPhase;

/*
 * The graph as a scan sees it: the reader's, with the query's distances.
 */
typedef struct TgScanGraph
{
	TgReader	reader;			/* first */
	TgQuery		query;
	float		root_key;		/* the root is not a vector's image */
	int			layer;			/* on which the search is */
	TgRowChoice choice;			/* of rows: not dead to all, passing the filter */

	/* What is known of vertices under the filter; see reader.graph.may_pass. */
	TgSketchReader sketch;
	double		may_pass_share; /* of vertices, about */
} TgScanGraph;

typedef struct TgScanState
{
	TgScanPhase phase;
	MemoryContext context;		/* of one query; reset by rescans */
	TgSearch   *search;			/* reused by rescans */

	/* The query. */
	TgFilter	filter;
	double		radius;			/* rows beyond are not wanted */
	bool		ranked;			/* false: distances are NULL or NaN, all alike */
	bool		null_distance;
	TgScanGraph graph;
	TgGeometry	geometry;
	TgScoreTable table;
	TgSearchSettings settings;
	bool		forced;			/* settings are the caller's, tg_scan_set() */
	int64		ef;
	int64		share;			/* results to be taken before it grows */
	int64		taken;			/* results taken from the search */
	Tuplesortstate *sort;		/* of the sweep */
	TupleTableSlot *sort_slot;
	bool		has_ahead;		/* is there a row of it that is not a result? */
	TgResult	ahead;			/* then the first of them */

	/*
	 * Rows of the vertex, or the unranked list, that is being returned.  Of
	 * those returned, the ones found dead to all are kept at the front.
	 */
	TgVertexId	owner;
	ItemPointerData *tids;
	int64		ntids;
	int64		next_tid;
	int64		nkilled;
	int64		tids_capacity;
	double		distance;		/* of these rows: lower bound */
	bool		recheck;
	bool		isnull;
	double		upper;			/* largest upper bound returned so far */

	TgIndexOnly *only;			/* of an index-only scan */

	int64		rows;			/* returned */
	TgScanStats past;			/* of the queries before this one */

	/* What the executor is told of a row, one for each ORDER BY. */
	Oid		   *distance_types;
	IndexOrderByDistance *distances;
} TgScanState;

/* Payload of a result: the row's address where there is just one. */
#define TG_PAYLOAD_MANY		UINT64_MAX

static inline uint64
tg_payload_from_tid(const ItemPointerData *stored)
{
	ItemPointerData tid = tg_tid_get(stored);

	return (uint64) ItemPointerGetBlockNumberNoCheck(&tid) << 16 |
		ItemPointerGetOffsetNumberNoCheck(&tid);
}

static inline void
tg_payload_to_tid(uint64 payload, ItemPointer tid)
{
	ItemPointerSet(tid, (BlockNumber) (payload >> 16),
				   (OffsetNumber) (payload & 0xFFFF));
}

/* ---------- scan_graph.c: the search ---------- */

/*
 * Get ready for a query, whatever it is.
 */
extern void tg_scan_init_graph(TgScanState *state, Relation index,
							   const TgIndex *info);

/*
 * Start the search for a query vector.
 */
extern void tg_scan_start_search(IndexScanDesc scan, const TgIndex *info,
								 const TgOpclass *opclass, TgSpan span);

/*
 * Load the next vertex of the search.  False when the graph has no more to
 * give.
 */
extern bool tg_scan_next_of_graph(IndexScanDesc scan);

/*
 * Does a vertex have rows to return or, on an upper layer, lead down?
 */
extern bool tg_scan_is_live(const TgSlotHeader *header,
							const TgScanGraph *graph);

/* ---------- scan_sweep.c: all that the search did not return ---------- */

/*
 * Load the next vertex, if any; the first call reads the whole index.
 */
extern bool tg_scan_next_of_sweep(IndexScanDesc scan);
extern void tg_scan_end_sweep(TgScanState *state);

/* ---------- scan_rows.c: rows of what was found ---------- */

/*
 * Take a result, which is not among those of the search any more: load its rows,
 * to be returned one after the other.  Or put them back among the results, with
 * exact distances, if one might have to come after the next result, which is NULL
 * if there is none.
 */
extern void tg_scan_take(IndexScanDesc scan, const TgResult *result,
						 const TgResult *next);

/* Load the rows of an unranked list. */
extern void tg_scan_load_unranked(IndexScanDesc scan, TgUnranked kind);

/*
 * Mark the rows that were found dead to all, for later scans to skip.
 */
extern void tg_scan_kill_rows(IndexScanDesc scan);

/*
 * Tell the executor the distance of the row being returned.
 */
extern void tg_scan_report_distance(IndexScanDesc scan);

#endif							/* TOGG_SCAN_H */
