/*-------------------------------------------------------------------------
 *
 * radius.c
 *	  Scans that end at a distance.
 *
 *		SELECT ... WHERE v <-> q < r ORDER BY v <-> q
 *
 * The planner knows how to order by v <-> q, but has no way to say that the
 * condition is one on the same distance: what is compared with r is not the
 * index's column.  So once it has made the paths of a table, we look for such
 * conditions and add to the path of our index the condition
 *
 *		v <-< ROW(q, r)		"v is within the sphere about q of radius r"
 *
 * which follows from the other, for < as for <=.  The condition itself is still
 * tested by the executor, so that nothing depends on how r was rounded.
 *
 * At the same place we take back index-only scans in the order of several
 * distances: of all but the first the index gives bounds, and the executor puts
 * only the rows of other scans in order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/radius.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "am/am.h"

PG_FUNCTION_INFO_V1(togg_l2_within);
PG_FUNCTION_INFO_V1(togg_ip_within);
PG_FUNCTION_INFO_V1(togg_cosine_within);
PG_FUNCTION_INFO_V1(togg_l1_within);

static set_rel_pathlist_hook_type prev_set_rel_pathlist_hook = NULL;

bool
tg_sphere_get(Datum value, TgSphere *sphere)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	bool		no_center;
	bool		no_radius;
	Datum		radius;

	sphere->center = GetAttributeByNum(row, 1, &no_center);
	radius = GetAttributeByNum(row, 2, &no_radius);
	if (no_center || no_radius)
		return false;
	sphere->radius = DatumGetFloat8(radius);
	return true;
}

/*
 * Is the vector at most so far from the center?  As in SQL, NaN is larger than
 * all numbers.
 */
static Datum
within(FunctionCallInfo fcinfo, TgMetric metric)
{
	TgSpan		span = tg_array_span(PG_GETARG_DATUM(0));
	TgSphere	sphere;
	TgSpan		center;
	double		distance;

	if (!tg_sphere_get(PG_GETARG_DATUM(1), &sphere))
		PG_RETURN_NULL();
	center = tg_array_span(sphere.center);
	tg_check_same_dims(span, center);
	distance = tg_distance(metric, span, center);
	PG_RETURN_BOOL(isnan(sphere.radius) || distance <= sphere.radius);
}

Datum
togg_l2_within(PG_FUNCTION_ARGS)
{
	return within(fcinfo, TG_METRIC_L2);
}

Datum
togg_ip_within(PG_FUNCTION_ARGS)
{
	return within(fcinfo, TG_METRIC_IP);
}

Datum
togg_cosine_within(PG_FUNCTION_ARGS)
{
	return within(fcinfo, TG_METRIC_COSINE);
}

Datum
togg_l1_within(PG_FUNCTION_ARGS)
{
	return within(fcinfo, TG_METRIC_L1);
}

/*
 * Is the expression the distance that the path orders by, one way round or the
 * other?
 */
static bool
is_distance(Node *node, const OpExpr *orderby)
{
	OpExpr	   *distance = (OpExpr *) node;

	if (!is_opclause(node) || list_length(distance->args) != 2)
		return false;
	if (distance->opno == orderby->opno &&
		equal(distance->args, orderby->args))
		return true;
	return get_commutator(distance->opno) == orderby->opno &&
		equal(linitial(distance->args), lsecond(orderby->args)) &&
		equal(lsecond(distance->args), linitial(orderby->args));
}

/*
 * The r of a condition that the distance is less than r; or NULL.
 */
static Node *
find_radius(PlannerInfo *root, const RelOptInfo *rel, RestrictInfo *condition,
			const OpExpr *orderby)
{
	Node	   *clause = (Node *) condition->clause;
	Node	   *distance;
	Node	   *radius;

	if (!is_opclause(clause) || list_length(((OpExpr *) clause)->args) != 2)
		return NULL;
	switch (get_opcode(((OpExpr *) clause)->opno))
	{
		case F_FLOAT8LT:
		case F_FLOAT8LE:
			distance = get_leftop(clause);
			radius = get_rightop(clause);
			break;
		case F_FLOAT8GT:
		case F_FLOAT8GE:
			distance = get_rightop(clause);
			radius = get_leftop(clause);
			break;
		default:
			return NULL;
	}
	if (!is_distance(distance, orderby) ||
		bms_is_member(rel->relid, pull_varnos(root, radius)) ||
		contain_volatile_functions(radius) || contain_subplans(radius))
		return NULL;
	return radius;
}

/*
 * The operator of an operator family that asks for what is in a sphere, and the
 * sphere's type; false if the family has none.
 */
static bool
find_operator(Oid family, Oid *operator, Oid *sphere_type)
{
	CatCList   *members = SearchSysCacheList1(AMOPSTRATEGY,
											  ObjectIdGetDatum(family));
	bool		found = false;

	for (int i = 0; i < members->n_members; i++)
	{
		Form_pg_amop form = (Form_pg_amop)
			GETSTRUCT(&members->members[i]->tuple);

		if (form->amopstrategy == TG_STRATEGY_WITHIN &&
			form->amoppurpose == AMOP_SEARCH)
		{
			*operator = form->amopopr;
			*sphere_type = form->amoprighttype;
			found = true;
		}
	}
	ReleaseSysCacheList(members);
	return found;
}

/*
 * Add to an index path what follows from a condition on its distance.
 */
static void
add_sphere(PlannerInfo *root, IndexPath *path, RestrictInfo *condition,
		   Node *radius)
{
	const OpExpr *orderby = linitial(path->indexorderbys);
	Oid			operator;
	Oid			sphere_type;
	RowExpr    *sphere;
	Expr	   *clause;
	IndexClause *added;
	double		share;

	if (!find_operator(path->indexinfo->opfamily[0], &operator, &sphere_type))
		return;
	sphere = makeNode(RowExpr);
	sphere->args = list_make2(copyObject(lsecond(orderby->args)),
							  copyObject(radius));
	sphere->row_typeid = sphere_type;
	sphere->row_format = COERCE_EXPLICIT_CAST;
	sphere->location = -1;
	clause = make_opclause(operator, BOOLOID, false,
						   copyObject(linitial(orderby->args)),
						   (Expr *) sphere, InvalidOid, orderby->inputcollid);
	set_opfuncid((OpExpr *) clause);

	added = makeNode(IndexClause);
	added->rinfo = condition;
	added->indexquals = list_make1(make_simple_restrictinfo(root, clause));
	added->lossy = true;
	added->indexcol = 0;
	added->indexcols = NIL;
	path->indexclauses = lcons(added, list_copy(path->indexclauses));

	/* What is beyond is not read. */
	share = clause_selectivity(root, (Node *) condition, 0, JOIN_INNER, NULL);
	path->path.total_cost = path->path.startup_cost + share *
		(path->path.total_cost - path->path.startup_cost);
}

/*
 * Look over the paths of a table.
 */
static void
look_for_radius(PlannerInfo *root, RelOptInfo *rel, Index rti,
				 RangeTblEntry *rte)
{
	ListCell   *lc;
	ListCell   *lc2;

	if (prev_set_rel_pathlist_hook)
		prev_set_rel_pathlist_hook(root, rel, rti, rte);
	foreach(lc, rel->pathlist)
	{
		IndexPath  *path = (IndexPath *) lfirst(lc);

		if (!IsA(path, IndexPath) || path->indexorderbys == NIL ||
			(uintptr_t) path->indexinfo->amcostestimate !=
			(uintptr_t) tg_amcostestimate)
			continue;
		if (list_length(path->indexorderbys) > 1)
			path->path.pathtype = T_IndexScan;
		foreach(lc2, path->indexinfo->indrestrictinfo)
		{
			RestrictInfo *condition = lfirst_node(RestrictInfo, lc2);
			Node	   *radius = find_radius(root, rel, condition,
											 linitial(path->indexorderbys));

			/* Conditions that must wait for others do. */
			if (radius && restriction_is_securely_promotable(condition, rel))
			{
				add_sphere(root, path, condition, radius);
				break;
			}
		}
	}
}

void
tg_radius_init(void)
{
	prev_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = look_for_radius;
}
