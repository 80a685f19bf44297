/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  The conditions of an index scan, tested on rows as slots keep them.
 *
 * A condition on a plain column is tested by the function of its operator, as
 * the executor would.  One on a column that keeps a digest is tested on that,
 * and what passes has to be checked again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/filter.h"

#include "access/stratnum.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

void
tg_filter_init(TgFilter *filter, Relation index)
{
	memset(filter, 0, sizeof(TgFilter));
	tg_columns_open(&filter->columns, index);
}

/*
 * The arguments of a key: one, or the elements of an array that are not NULL,
 * to which nothing compares.
 */
static Datum *
key_arguments(const ScanKeyData *key, int *n)
{
	ArrayType  *array;
	Datum	   *args;
	bool	   *nulls;
	int16		len;
	bool		byval;
	char		align;
	int			total;

	*n = 0;
	if (key->sk_flags & SK_ISNULL)
		return NULL;
	if (!(key->sk_flags & SK_SEARCHARRAY))
	{
		args = palloc(sizeof(Datum));
		args[(*n)++] = key->sk_argument;
		return args;
	}
	array = DatumGetArrayTypeP(key->sk_argument);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &len, &byval, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), len, byval, align,
					  &args, &nulls, &total);
	for (int i = 0; i < total; i++)
		if (!nulls[i])
			args[(*n)++] = args[i];
	return args;
}

/*
 * The digest of an argument for a column that keeps digests, of which only
 * some operators can be answered.
 */
static void
set_digests(TgCondition *condition, const ScanKeyData *key)
{
	bool		array = condition->column->kind == TG_COLUMN_SIGNATURE;

	if (array ? key->sk_strategy != TG_STRATEGY_OVERLAP &&
		key->sk_strategy != TG_STRATEGY_CONTAINS :
		key->sk_strategy != BTEqualStrategyNumber)
		elog(ERROR, "strategy %d of a togg operator class is not for a type without a fixed length",
			 key->sk_strategy);
	condition->digests = palloc(sizeof(uint64) * Max(condition->nargs, 1));
	for (int i = 0; i < condition->nargs; i++)
		condition->digests[i] = tg_column_digest(condition->column,
												 condition->args[i]);
}

static void
set_condition(TgFilter *filter, TgCondition *condition, const ScanKeyData *key)
{
	condition->number = key->sk_attno - 1;
	condition->column = &filter->columns.columns[condition->number];
	condition->wants_null = (key->sk_flags & SK_SEARCHNULL) != 0;
	condition->wants_value = (key->sk_flags & SK_SEARCHNOTNULL) != 0;
	if (condition->wants_null || condition->wants_value)
		return;
	condition->strategy = key->sk_strategy;
	fmgr_info_copy(&condition->function, unconstify(FmgrInfo *, &key->sk_func),
				   CurrentMemoryContext);
	condition->collation = key->sk_collation;
	condition->type = key->sk_subtype;
	condition->args = key_arguments(key, &condition->nargs);
	if (condition->nargs == 0)
		filter->never = true;
	if (condition->column->kind != TG_COLUMN_PLAIN)
	{
		set_digests(condition, key);
		filter->lossy = true;
	}
}

/*
 * A condition on the vector itself.  How far a row is from the center decides
 * the executor; the scan may know where to stop.
 */
static void
set_sphere(TgFilter *filter, const ScanKeyData *key)
{
	if (key->sk_strategy != TG_STRATEGY_WITHIN)
		elog(ERROR, "unexpected strategy %d for the vector of a togg index",
			 key->sk_strategy);
	filter->null_vectors = false;
	filter->lossy = true;
	filter->has_sphere = !(key->sk_flags & (SK_ISNULL | SK_SEARCHARRAY)) &&
		tg_sphere_get(key->sk_argument, &filter->sphere);
	if (key->sk_flags & SK_ISNULL)
		filter->never = true;
}

void
tg_filter_set(TgFilter *filter, const ScanKeyData *keys, int nkeys)
{
	filter->conditions = palloc0(sizeof(TgCondition) * Max(nkeys, 1));
	filter->n = 0;
	filter->never = false;
	filter->lossy = false;
	filter->null_vectors = true;
	filter->true_vectors = true;
	filter->has_sphere = false;
	for (int i = 0; i < nkeys; i++)
	{
		const ScanKeyData *key = &keys[i];

		if (key->sk_attno > 1)
			set_condition(filter, &filter->conditions[filter->n++], key);
		else if (key->sk_flags & SK_SEARCHNULL)
			filter->true_vectors = false;
		else if (key->sk_flags & SK_SEARCHNOTNULL)
			filter->null_vectors = false;
		else
			set_sphere(filter, key);
	}
}

static bool
pass_plain(TgCondition *condition, const TgRow *row)
{
	TgAligned	aligned;
	Datum		value = tg_column_value(condition->column, row->values +
										condition->column->offset, &aligned);

	for (int i = 0; i < condition->nargs; i++)
		if (DatumGetBool(FunctionCall2Coll(&condition->function,
										   condition->collation, value,
										   condition->args[i])))
			return true;
	return false;
}

static bool
pass_digest(const TgCondition *condition, const TgRow *row)
{
	uint64		digest;

	memcpy(&digest, row->values + condition->column->offset, sizeof(uint64));
	for (int i = 0; i < condition->nargs; i++)
	{
		uint64		wanted = condition->digests[i];

		switch (condition->strategy)
		{
			case TG_STRATEGY_OVERLAP:
				if ((digest & wanted) != 0)
					return true;
				break;
			case TG_STRATEGY_CONTAINS:
				if ((digest & wanted) == wanted)
					return true;
				break;
			default:
				if (digest == wanted)
					return true;
		}
	}
	return false;
}

static inline bool
pass_condition(TgCondition *condition, const TgRow *row)
{
	bool		isnull = tg_row_isnull(row, condition->number);

	if (condition->wants_null || isnull)
		return condition->wants_null && isnull;
	if (condition->wants_value)
		return true;
	if (condition->column->kind == TG_COLUMN_PLAIN)
		return pass_plain(condition, row);
	return pass_digest(condition, row);
}

bool
tg_filter_pass(const TgRow *row, void *arg)
{
	TgFilter   *filter = arg;

	for (int i = 0; i < filter->n; i++)
		if (!pass_condition(&filter->conditions[i], row))
			return false;
	return true;
}
