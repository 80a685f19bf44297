/*-------------------------------------------------------------------------
 *
 * am.h
 *	  The access method: what its callbacks share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_AM_H
#define TOGG_AM_H

#include "access/amapi.h"
#include "access/genam.h"
#include "commands/vacuum.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "utils/rel.h"

#include "graph/prune.h"
#include "page/page.h"
#include "tune/curve.h"

#if PG_VERSION_NUM >= 180000
#define tg_vacuum_delay_point()		vacuum_delay_point(false)
#else
#define tg_vacuum_delay_point()		vacuum_delay_point()
#endif
#if PG_VERSION_NUM < 170000
#define AmAutoVacuumWorkerProcess()	IsAutoVacuumWorkerProcess()
#endif

/* ---------- options.c: index options and settings ---------- */

#define TG_DEFAULT_M				16
#define TG_MIN_M					2
#define TG_MAX_M					(TG_MAX_DEGREE / 2)
#define TG_DEFAULT_EF_CONSTRUCTION	64
#define TG_MIN_EF_CONSTRUCTION		4
#define TG_DEFAULT_CLUSTERS			3
#define TG_DEFAULT_KDTREE_INTERVAL	100.0
#define TG_DEFAULT_EF_SEARCH		40
#define TG_MAX_EF_SEARCH			1000000
#define TG_MAX_POOL_GROWTH			16
#define TG_DEFAULT_INCLUDE_SIZE		64

/* Without the option bits, codes have two bits up to this many dimensions. */
#define TG_BITS_AUTO				(-1)
#define TG_TWO_BIT_DIMS				256

typedef struct TgOptions
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int			m;
	int			ef_construction;
	int			graph;			/* TgGraphKind */
	int			guide;			/* TgGuide */
	int			clusters;
	double		kdtree_interval;
	int			bits;			/* TG_BITS_AUTO: by dimensions */
	int			dimensions;		/* 0: those of the first row */
	int			ef_search;		/* 0: by recall, or togg.ef_search */
	double		target_recall;	/* 0: togg.target_recall */
	int			stage1_width;	/* -1: togg.stage1_width */
	int			pool_growth;
	int			include_size;	/* room for INCLUDE columns in a row */
} TgOptions;

extern int	tg_ef_search;
extern double tg_target_recall;	/* 0: none */
extern int	tg_routing;			/* TgRouting */
extern int	tg_stage1_width;

extern void tg_options_init(void);
extern bytea *tg_amoptions(Datum reloptions, bool validate);

/*
 * How the searches of a scan go.
 */
typedef struct TgSearchSettings
{
	TgRouting	routing;
	int			stage1_width;
	int			growth;			/* of the pool, see TG_POOL_SLACK */
	int			ef;				/* of the first pool */
	double		middle;			/* of that, for an ef that is not whole; 0: by ef */
	double		recall;			/* wanted; 0: what ef gives */
	TgCurve		curve;			/* of the index, if a recall is wanted */
} TgSearchSettings;

/*
 * The settings in force for an index: its option ef_search comes before its
 * option target_recall, that before togg.target_recall, and that before
 * togg.ef_search.
 */
extern TgSearchSettings tg_search_settings(Relation index,
										   const TgMetaPage *meta);

/* What of it is the index's own: its options, as far as it has them, but ef. */
extern TgSearchSettings tg_index_settings(Relation index);

/*
 * How many rows may be returned from a pool of this ef that was expanded to this
 * depth, and to which ef it grows when more are wanted.
 */
extern int64 tg_settings_rows(const TgSearchSettings *settings, int64 ef,
							  int64 depth);
extern int64 tg_settings_next(const TgSearchSettings *settings, int64 ef,
							  int64 rows);

/* Options of an index, defaults filled in. */
extern TgOptions tg_options_get(Relation index);

/* The operator class of an index. */
extern const TgOpclass *tg_opclass_get(Relation index);

/* A metapage for an index that has no dimensions yet. */
extern TgMetaPage tg_meta_initial(Relation index);

/*
 * Give a metapage the dimensions, and all that is chosen by them.  Would half
 * floats keep every vector known so far exactly, and at least in range?
 */
extern void tg_meta_set_dims(TgMetaPage *meta, const TgOptions *options,
							 int dims, bool half_exact, bool half_in_range);

/* Raise ERROR if the dimensions are not those of the index. */
extern void tg_check_dims(Relation index, int expected, int dims);

/* ---------- ../build/build.c ---------- */

extern IndexBuildResult *tg_ambuild(Relation heap, Relation index,
									IndexInfo *indexInfo);
extern void tg_ambuildempty(Relation index);
extern char *tg_ambuildphasename(int64 phase);

/* ---------- insert.c ---------- */

extern bool tg_aminsert(Relation index, Datum *values, bool *isnull,
						ItemPointer tid, Relation heap,
						IndexUniqueCheck checkUnique, bool indexUnchanged,
						IndexInfo *indexInfo);

/*
 * Index one row; unchanged if an equal vector is likely to be in the index.
 * Returns whether that took a new vertex.  Allocates in the current memory
 * context.
 */
extern bool tg_insert_row(Relation index, Datum value, bool isnull,
						  const TgRow *row, bool unchanged);

/*
 * The highest layer of a vertex that has drawn this random number: 1/m of the
 * vertices of a layer are on the next, too.
 */
extern int	tg_highest_layer(const TgIndex *info, uint32 random);

/* ---------- neighbours.c: making lists ---------- */

/* By which rule the index chooses neighbours. */
extern TgPruneRule tg_index_prune_rule(const TgIndex *info);

/* One neighbour of a list to be made. */
typedef struct TgNeighbour
{
	TgVertexId	id;
	const float *inner;			/* needed for a k-d guide alone */
	const float *rotated;		/* P of its inner vector */
} TgNeighbour;

/* Workspace of the functions below. */
typedef struct TgListMaker
{
	const TgIndex *info;
	float	   *residual;
	float	   *centre;
	float	   *clusters;
	float	   *list_ranges;
	const float *ranges;		/* of the data; NULL: those of a list serve */
	const float **vectors;
	uint16	   *order;
	TgCoded		coded;
} TgListMaker;

extern void tg_list_maker_init(TgListMaker *maker, const TgIndex *info);

/* Code a neighbour of the vertex whose rotated vector is given. */
extern const TgCoded *tg_code_neighbour(TgListMaker *maker,
										const float *rotated,
										const TgNeighbour *neighbour);

/*
 * Divide a list by the index's guide: the header receives the division,
 * maker->order the members in the order that it wants.  Rotated vectors serve
 * distances alone.
 */
extern void tg_divide_list(TgListMaker *maker, TgSlotHeader *header,
						   const TgNeighbour *self,
						   const TgNeighbour *neighbours, int n);

/*
 * Fill the empty list of a slot: divide the neighbours, code them, put them in
 * part by part.  self is the vertex that holds the list.
 */
extern void tg_make_list(TgListMaker *maker, void *slot,
						 const TgNeighbour *self,
						 const TgNeighbour *neighbours, int n);

/* ---------- scan.c ---------- */

extern IndexScanDesc tg_ambeginscan(Relation index, int nkeys, int norderbys);
extern void tg_amrescan(IndexScanDesc scan, ScanKey keys, int nkeys,
						ScanKey orderbys, int norderbys);
extern bool tg_amgettuple(IndexScanDesc scan, ScanDirection dir);
extern void tg_amendscan(IndexScanDesc scan);

/* ---------- scan_probe.c ---------- */

/*
 * For who measures: search by these settings, and as if a vertex were not in
 * the index (TG_INVALID_VERTEX: none is left out), until told otherwise.
 */
extern void tg_scan_set(IndexScanDesc scan, const TgSearchSettings *settings,
						TgVertexId held_out);

/*
 * Search for a vector that can be ranked, in an index with vertices, without
 * asking for rows, nor for a snapshot: receives the distances of the nearest
 * vertices found, at most max of them, as tg_query_least() has them.  Returns
 * how many.
 */
extern int	tg_scan_probe(IndexScanDesc scan, TgSpan span, double *distances,
						  int max);

/* ---------- index_only.c ---------- */

extern bool tg_amcanreturn(Relation index, int attno);

/* ---------- vacuum.c ---------- */

extern IndexBulkDeleteResult *tg_ambulkdelete(IndexVacuumInfo *info,
											  IndexBulkDeleteResult *stats,
											  IndexBulkDeleteCallback callback,
											  void *callback_state);
extern IndexBulkDeleteResult *tg_amvacuumcleanup(IndexVacuumInfo *info,
												 IndexBulkDeleteResult *stats);

/* ---------- cost.c ---------- */

extern void tg_amcostestimate(PlannerInfo *root, IndexPath *path,
							  double loop_count, Cost *startup_cost,
							  Cost *total_cost, Selectivity *selectivity,
							  double *correlation, double *pages);

/* ---------- explain.c ---------- */

extern void tg_explain_init(void);

/* ---------- info.c ---------- */

/* Is it an index of ours? */
extern bool tg_is_index(Relation relation);

/* Open an index of ours; raise ERROR if it is none. */
extern Relation tg_open_index(Oid oid, LOCKMODE lockmode);

/*
 * Until AtEOXact_GUC(): have functions that are called with their owner's rights
 * find nothing in schemas that the caller has put into his search_path.
 */
extern void tg_restrict_search_path(void);

/* ---------- validate.c ---------- */

extern bool tg_amvalidate(Oid opclassoid);

#endif							/* TOGG_AM_H */
