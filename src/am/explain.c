/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN (ANALYZE) tells of our index scans.
 *
 * Below the node of an index scan, the cost of its searches in things that can
 * be counted, summed over all loops as core's own "Index Searches" and buffer
 * counts are:
 *
 *		Graph Search: hops=71 stage1=4 pages=71 distances=71 estimates=2240
 *
 * and "widenings" and "sweeps" where there were any.  Formats for programs have
 * all of them, each a property.  A scan inside a parallel worker is not counted:
 * it is the worker's, and gone when the plan is printed.
 *
 * The hook that this takes came with PostgreSQL 18; see togg_last_scan() for a
 * way that works on all versions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

#if PG_VERSION_NUM >= 180000

#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"

#include "am/stats.h"

static explain_per_node_hook_type prev_explain_per_node_hook = NULL;

/*
 * The index scan that a plan node ran, if it ran one of ours; or NULL.
 */
static IndexScanDesc
scan_of_node(PlanState *node)
{
	IndexScanDesc scan;

	if (IsA(node, IndexScanState))
		scan = ((IndexScanState *) node)->iss_ScanDesc;
	else if (IsA(node, IndexOnlyScanState))
		scan = ((IndexOnlyScanState *) node)->ioss_ScanDesc;
	else
		return NULL;
	if (scan == NULL || scan->indexRelation->rd_indam->amgettuple != tg_amgettuple)
		return NULL;
	return scan;
}

static void
explain_text(const TgScanStats *stats, ExplainState *es)
{
	const TgSearchStats *search = &stats->search;

	ExplainIndentText(es);
	appendStringInfo(es->str, "Graph Search: hops=" UINT64_FORMAT
					 " stage1=" UINT64_FORMAT
					 " pages=" UINT64_FORMAT
					 " distances=" UINT64_FORMAT
					 " estimates=" UINT64_FORMAT,
					 search->hops, search->stage1_hops, search->pages,
					 search->distances, search->estimates);
	if (search->widenings > 0)
		appendStringInfo(es->str, " widenings=%u", search->widenings);
	if (stats->sweeps > 0)
		appendStringInfo(es->str, " sweeps=" INT64_FORMAT, stats->sweeps);
	appendStringInfoChar(es->str, '\n');
}

static void
explain_properties(const TgScanStats *stats, ExplainState *es)
{
	const TgSearchStats *search = &stats->search;

	ExplainOpenGroup("Graph Search", "Graph Search", true, es);
	ExplainPropertyUInteger("Hops", NULL, search->hops, es);
	ExplainPropertyUInteger("Stage 1 Hops", NULL, search->stage1_hops, es);
	ExplainPropertyUInteger("Pages", NULL, search->pages, es);
	ExplainPropertyUInteger("Distances", NULL, search->distances, es);
	ExplainPropertyUInteger("Estimates", NULL, search->estimates, es);
	ExplainPropertyUInteger("Widenings", NULL, search->widenings, es);
	ExplainPropertyInteger("Sweeps", NULL, stats->sweeps, es);
	ExplainCloseGroup("Graph Search", "Graph Search", true, es);
}

static void
explain_node(PlanState *node, List *ancestors, const char *relationship,
			 const char *plan_name, ExplainState *es)
{
	IndexScanDesc scan;

	if (prev_explain_per_node_hook)
		prev_explain_per_node_hook(node, ancestors, relationship, plan_name, es);

	if (es->analyze && (scan = scan_of_node(node)) != NULL)
	{
		TgScanStats stats = tg_scan_stats(scan);

		if (es->format == EXPLAIN_FORMAT_TEXT)
			explain_text(&stats, es);
		else
			explain_properties(&stats, es);
	}
}

void
tg_explain_init(void)
{
	prev_explain_per_node_hook = explain_per_node_hook;
	explain_per_node_hook = explain_node;
}

#else							/* PG_VERSION_NUM < 180000 */

void
tg_explain_init(void)
{
}

#endif							/* PG_VERSION_NUM */
