/*-------------------------------------------------------------------------
 *
 * togg.c
 *	  The module: what PostgreSQL calls first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"
#include "am/radius.h"
#include "am/spare.h"

#include "fmgr.h"

#include "stat/stat.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(togg_handler);

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	tg_options_init();
	tg_explain_init();
	tg_radius_init();
	tg_spare_init();
	tg_stat_table_init();
}

/*
 * pg_index_column_has_property(): the vector, which is the first column, is
 * what rows are ordered by.
 */
static bool
tg_amproperty(Oid index_oid, int attno, IndexAMProperty prop,
			  const char *propname, bool *res, bool *isnull)
{
	if (prop != AMPROP_DISTANCE_ORDERABLE || attno == 0)
		return false;
	*res = attno == 1;
	*isnull = false;
	return true;
}

/*
 * togg_handler(internal) returns index_am_handler
 */
Datum
togg_handler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *routine = makeNode(IndexAmRoutine);

	routine->amstrategies = 0;
	routine->amsupport = 1;
	routine->amoptsprocnum = 0;
	routine->amcanorder = false;
	routine->amcanorderbyop = true;
	routine->amcanbackward = false;
	routine->amcanunique = false;
	routine->amcanmulticol = true;
	routine->amoptionalkey = true;
	routine->amsearcharray = true;
	routine->amsearchnulls = true;
	routine->amstorage = false;
	routine->amclusterable = false;
	routine->ampredlocks = false;
	routine->amcanparallel = false;
#if PG_VERSION_NUM >= 170000
	routine->amcanbuildparallel = true;
#endif
	routine->amcaninclude = true;
	routine->amusemaintenanceworkmem = true;
#if PG_VERSION_NUM >= 160000
	routine->amsummarizing = false;
#endif
	routine->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL |
		VACUUM_OPTION_PARALLEL_CLEANUP;
	routine->amkeytype = InvalidOid;

	routine->ambuild = tg_ambuild;
	routine->ambuildempty = tg_ambuildempty;
	routine->aminsert = tg_aminsert;
	routine->ambulkdelete = tg_ambulkdelete;
	routine->amvacuumcleanup = tg_amvacuumcleanup;
	routine->amcanreturn = tg_amcanreturn;
	routine->amcostestimate = tg_amcostestimate;
	routine->amoptions = tg_amoptions;
	routine->amproperty = tg_amproperty;
	routine->ambuildphasename = tg_ambuildphasename;
	routine->amvalidate = tg_amvalidate;
	routine->ambeginscan = tg_ambeginscan;
	routine->amrescan = tg_amrescan;
	routine->amgettuple = tg_amgettuple;
	routine->amendscan = tg_amendscan;

	PG_RETURN_POINTER(routine);
}
