/*-------------------------------------------------------------------------
 *
 * queries.c
 *	  Queries that a user's query returns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/tune.h"

#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

void
tg_read_queries(Relation index, const char *command, int limit,
				void (*add) (void *arg, Datum value), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			type = index->rd_opcintype[0];
	TupleDesc	desc;

	SPI_connect();
	if (SPI_execute(command, true, limit) != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queries must come from a SELECT"),
				 errhint("For example: queries => 'SELECT embedding FROM asked'.")));
	desc = SPI_tuptable->tupdesc;
	if (desc->natts != 1 || getBaseType(SPI_gettypeid(desc, 1)) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("queries must be one column of type %s",
						format_type_be(type)),
				 errdetail("There are %d columns, the first of type %s.",
						   desc->natts,
						   format_type_be(SPI_gettypeid(desc, 1))),
				 errhint("Cast it, or name the columns wanted.")));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[i], desc, 1,
										  &isnull);
		MemoryContext old = MemoryContextSwitchTo(context);

		if (!isnull)
			add(arg, value);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
}
