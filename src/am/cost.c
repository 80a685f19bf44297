/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  What the planner is told of an index scan.
 *
 * A search expands about as many vertices as its pool holds (ef) and a few
 * more on the way there, a number that grows with the logarithm of the rows.
 * Each costs the pages of one slot and the scoring of its list:
 *
 *		hops		= Min(vertices, POOL_GROWTH * ef + log2(vertices))
 *		hop_cost	= page accesses of a slot * page_cost
 *					  + degree * cpu_operator_cost / CODES_PER_OPERATOR
 *		startup		= hops * hop_cost
 *
 * The pool is followed to the k-th row without more work until most of it has
 * been returned; from there the search is continued with a pool that doubles
 * with the rows read, and expands again what it has expanded.  So each row read
 * to the end costs two hops:
 *
 *		total		= startup + rows * (2 * hop_cost + cpu_index_tuple_cost)
 *
 * and the executor's LIMIT interpolates between the two, which also charges a
 * filter for the rows it throws away.  They thin out the pool, too: the nearest of
 * the rest are found as surely as those without a filter if as many as ef of those
 * expanded pass.  That is more hops than a scan begins with, but what an index
 * that tests the condition itself does; of two indexes, only one of which has the
 * column, the other is not to look cheaper for finding less.
 *
 *		hops		= Min(vertices, Max(POOL_GROWTH * ef, ef / share) + log2(vertices))
 *
 * Conditions on the index's further columns are tested on the way.  As many as
 * ef must pass, which takes more hops the smaller the share of rows that do;
 * where that would cost more, a sweep reads what may pass instead.  Of an index
 * with sketches few that fail are expanded, those near the query:
 *
 *		hops		= Min(vertices, Max(POOL_GROWTH * ef, ef / share)
 *						  + log2(vertices)), with sketches
 *					  Min(vertices, POOL_GROWTH * ef + TG_DETOUR_SHARE * ef
 *						  * (1 / share - 1) + log2(vertices))
 *		sweep		= vertices / TG_FILTER_SWEEP_SHARE * hop_cost, with sketches
 *					  (vertices / TG_SKETCH_SHARE + vertices / TG_SKETCH_PARTS
 *					  + passing) * hop_cost
 *		startup		= Min(hops * hop_cost, sweep + passing * hop_cost)
 *		total		= startup + passing * (hop_cost + cpu_index_tuple_cost)
 *					  + sweep, if it has not been made yet
 *
 * A page access is a buffer look-up, and a random read in the share of cases
 * in which the page is not cached: index / (index + effective_cache_size).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"
#include "am/filter.h"

#include <math.h>

#include "access/sysattr.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

/* To how many times ef a pool grows, about: see tg_pool_slack(). */
#define POOL_GROWTH				1.5

/* Codes scored in about the time of one operator. */
#define CODES_PER_OPERATOR		8

/* A page found in shared buffers, in units of a sequential page read. */
#define CACHED_PAGE_COST		0.1

/*
 * Cost of a scan under a filter that this share of the index's rows passes.
 */
static void
cost_filtered(const IndexPath *path, double share, bool sketches, int ef,
			  double hop_cost, double uncached, Cost *startup, Cost *total)
{
	double		rows = Max(path->indexinfo->tuples, 1.0);
	double		passing = Max(share * rows, 1.0);
	double		hops = log2(rows + 1) +
		(sketches ? POOL_GROWTH * ef + TG_DETOUR_SHARE * ef * (rows / passing - 1) :
		 Max(POOL_GROWTH * ef, ef * rows / passing));
	double		test = list_length(path->indexclauses) * cpu_operator_cost;
	Cost		graph = Min(hops, rows) * (hop_cost + test);
	Cost		sweep = sketches ?
		(rows / TG_SKETCH_SHARE + rows / TG_SKETCH_PARTS + passing) *
		(hop_cost + test) :
		rows * (hop_cost / TG_FILTER_SWEEP_SHARE + test) +
		path->indexinfo->pages * uncached * seq_page_cost;

	*startup = Min(graph, sweep + passing * hop_cost);
	*total = *startup + passing * (hop_cost + cpu_index_tuple_cost);
	if (*startup == graph)
		*total += sweep;
}

/*
 * What share of the rows satisfies the conditions on other columns than the
 * vector?  One on that is about the distance, and does not thin out the nearest.
 */
static double
share_kept(PlannerInfo *root, const IndexOptInfo *info)
{
	int			vector = info->indexkeys[0] - FirstLowInvalidHeapAttributeNumber;
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, info->indrestrictinfo)
	{
		RestrictInfo *condition = lfirst_node(RestrictInfo, lc);
		Bitmapset  *columns = NULL;

		pull_varattnos((Node *) condition->clause, info->rel->relid, &columns);
		if (!bms_is_member(vector, columns))
			others = lappend(others, condition);
	}
	return Max(clauselist_selectivity(root, others, 0, JOIN_INNER, NULL),
			   1e-9);
}

void
tg_amcostestimate(PlannerInfo *root, IndexPath *path, double loop_count,
				  Cost *startup_cost, Cost *total_cost,
				  Selectivity *selectivity, double *correlation, double *pages)
{
	IndexOptInfo *info = path->indexinfo;
	GenericCosts costs = {0};
	Relation	index;
	const TgIndex *tg;
	double		random_page_cost;
	double		rows = Max(info->tuples, 1.0);
	double		uncached = (double) info->pages /
		(info->pages + (double) effective_cache_size + 1.0);
	double		slot_pages = 1.0;
	double		hop_slots = 1.0;
	double		kept;
	double		hop_cost;
	bool		sketches;
	int			ef;

	/* Sets the selectivity of the index's predicate, if it has one. */
	costs.numIndexTuples = rows;
	genericcostestimate(root, path, loop_count, &costs);

	index = index_open(info->indexoid, NoLock);
	tg = tg_index_get(index);
	if (tg->meta.dims > 0)
		slot_pages = Max(1, tg->layout.list.pages_each) +
			(tg->layout.vector_inline ? 0 : Max(1, tg->layout.vector.pages_each));

	/* Without codes, of each list about half the neighbours are visited. */
	if (tg->meta.dims > 0 && tg->meta.bits == 0)
		hop_slots += tg->meta.degree / 2;
	sketches = tg->meta.sketches > 0;
	ef = tg_search_settings(index, &tg->meta).ef;
	hop_cost = tg->meta.degree * cpu_operator_cost / CODES_PER_OPERATOR;
	index_close(index, NoLock);

	get_tablespace_page_costs(info->reltablespace, &random_page_cost, NULL);
	hop_cost += hop_slots * slot_pages *
		(CACHED_PAGE_COST * seq_page_cost + uncached * random_page_cost);

	if (path->indexclauses == NIL)
	{
		kept = share_kept(root, info);
		*startup_cost = hop_cost * Min(rows, log2(rows + 1) +
									   Max(POOL_GROWTH, 1 / kept) * ef);
		*total_cost = *startup_cost +
			rows * (2 * hop_cost + cpu_index_tuple_cost);
	}
	else
		cost_filtered(path, costs.indexSelectivity *
					  Max(info->rel->tuples, 1.0) / rows, sketches, ef,
					  hop_cost, uncached, startup_cost, total_cost);
	*selectivity = costs.indexSelectivity;
	*correlation = 0;
	*pages = Min(info->pages, rows * slot_pages);

	/*
	 * Without ORDER BY the whole index is read and sorted for nothing: not even
	 * where enable_seqscan is off.
	 */
	if (path->indexorderbys == NIL)
	{
#if PG_VERSION_NUM >= 180000
		path->path.disabled_nodes++;
#else
		*startup_cost += disable_cost;
		*total_cost += disable_cost;
#endif
	}
}
