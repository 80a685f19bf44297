/*-------------------------------------------------------------------------
 *
 * spare.c
 *	  Sparing queries the distances that nothing reads.
 *
 *		SELECT id FROM t ORDER BY v <-> q LIMIT 10
 *
 * The planner adds what rows are ordered by to what the scan returns, as a
 * column that is thrown away at the top of the query ("junk").  Where the index
 * gives the order, nothing ever reads that column, but the executor computes it
 * for every row: it fetches the vector from the TOAST table, which takes longer
 * than the search does from some hundred dimensions up, and which a cold query
 * has to wait for.  So we look over the finished plan, and where an index scan
 * of ours hands its rows on to a node that cannot read the junk, the distance
 * gives way to a NULL.
 *
 * Such nodes are the top of a SELECT and of a subquery, which leave junk out, and
 * LIMIT, unless it is WITH TIES and compares: what a LIMIT hands on is the result
 * of a SELECT or a subquery.  Sort, MergeAppend and the like order by junk, and
 * LockRows may compute it anew.  A distance that the query asks for by name is
 * not junk.
 *
 * A session plans its first such query before this library is loaded, and
 * without it, then, unless it is preloaded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/spare.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/planner.h"
#include "utils/syscache.h"

static planner_hook_type prev_planner_hook = NULL;

static bool
is_ours(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	bool		ours;

	if (!HeapTupleIsValid(tuple))
		return false;
	ours = ((Form_pg_class) GETSTRUCT(tuple))->relam ==
		get_index_am_oid("togg", true);
	ReleaseSysCache(tuple);
	return ours;
}

/*
 * Put NULLs in the place of what an index scan is ordered by, where that is
 * junk.
 */
static void
spare_distances(IndexScan *scan)
{
	ListCell   *lc;

	if (scan->indexorderby == NIL || !is_ours(scan->indexid))
		return;
	foreach(lc, scan->scan.plan.targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);
		Node	   *expr = (Node *) entry->expr;

		if (entry->resjunk && entry->ressortgroupref != 0)
			entry->expr = (Expr *) makeNullConst(exprType(expr),
												 exprTypmod(expr),
												 exprCollation(expr));
	}
}

/*
 * Look over a plan.  junk_is_read tells whether what it hands its rows to may
 * read columns that are junk.
 */
static void
look_over(Plan *plan, bool junk_is_read)
{
	ListCell   *lc;

	if (plan == NULL)
		return;
	check_stack_depth();
	switch (nodeTag(plan))
	{
		case T_IndexScan:
			if (!junk_is_read)
				spare_distances((IndexScan *) plan);
			break;
		case T_Limit:
			look_over(outerPlan(plan),
					  ((Limit *) plan)->limitOption != LIMIT_OPTION_COUNT);
			break;
		case T_SubqueryScan:
			look_over(((SubqueryScan *) plan)->subplan, false);
			break;
		case T_Append:
			foreach(lc, ((Append *) plan)->appendplans)
				look_over(lfirst(lc), true);
			break;
		case T_MergeAppend:
			foreach(lc, ((MergeAppend *) plan)->mergeplans)
				look_over(lfirst(lc), true);
			break;
		default:
			look_over(outerPlan(plan), true);
			look_over(innerPlan(plan), true);
			break;
	}
}

static PlannedStmt *
plan_and_spare(Query *parse, const char *query_string, int cursor_options,
			   ParamListInfo params)
{
	PlannedStmt *stmt = prev_planner_hook ?
		prev_planner_hook(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);
	ListCell   *lc;

	look_over(stmt->planTree, stmt->commandType != CMD_SELECT);
	foreach(lc, stmt->subplans)
		look_over(lfirst(lc), false);
	return stmt;
}

void
tg_spare_init(void)
{
	prev_planner_hook = planner_hook;
	planner_hook = plan_and_spare;
}
