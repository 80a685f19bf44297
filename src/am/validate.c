/*-------------------------------------------------------------------------
 *
 * validate.c
 *	  Checking operator classes.
 *
 * There are two kinds: of vectors, which have a support function 1, one operator
 * to order by and perhaps one to stop at a distance, and of filter columns, which have operators to search
 * by and no function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"
#include "am/filter.h"

#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type_d.h"
#include "parser/parse_type.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

/* Strategy of the distance operator, and number of the support function. */
#define DISTANCE_STRATEGY	1
#define SUPPORT_OPCLASS		1

static void
complain(bool *valid, const char *family, const char *what, const char *object)
{
	ereport(INFO,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("operator family \"%s\" of access method togg contains %s %s",
					family, what, object)));
	*valid = false;
}

static void
validate_function(HeapTuple tuple, const char *family, bool *valid)
{
	Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(tuple);

	if (form->amprocnum != SUPPORT_OPCLASS)
		complain(valid, family, "function with an invalid support number:",
				 format_procedure(form->amproc));
	else if (!check_amproc_signature(form->amproc, INTERNALOID, true, 1, 1,
									 INTERNALOID))
		complain(valid, family,
				 "a support function that is not from internal to internal:",
				 format_procedure(form->amproc));
}

/*
 * On the right of "within" is a composite type of a vector and a radius.
 */
static void
validate_within(Form_pg_amop form, const char *family, bool *valid)
{
	Oid			relation = typeidTypeRelid(form->amoprighttype);

	if (!check_amop_signature(form->amopopr, BOOLOID, form->amoplefttype,
							  form->amoprighttype))
		complain(valid, family, "operator that does not return boolean:",
				 format_operator(form->amopopr));
	else if (!OidIsValid(relation) ||
			 get_atttype(relation, 1) != form->amoplefttype ||
			 get_atttype(relation, 2) != FLOAT8OID ||
			 OidIsValid(get_atttype(relation, 3)))
		complain(valid, family, "operator that does not take a vector and a radius:",
				 format_operator(form->amopopr));
}

static void
validate_distance(Form_pg_amop form, const char *family, bool *valid)
{
	if (form->amopstrategy == TG_STRATEGY_WITHIN &&
		form->amoppurpose == AMOP_SEARCH)
		validate_within(form, family, valid);
	else if (form->amopstrategy != DISTANCE_STRATEGY)
		complain(valid, family, "operator with an invalid strategy number:",
				 format_operator(form->amopopr));
	else if (form->amoppurpose != AMOP_ORDER)
		complain(valid, family, "operator that is not for ordering:",
				 format_operator(form->amopopr));
	else if (!check_amop_signature(form->amopopr, FLOAT8OID,
								   form->amoplefttype, form->amoprighttype))
		complain(valid, family, "operator that does not return double precision:",
				 format_operator(form->amopopr));
}

/*
 * Can a filter column of this type be tested by the operator of this strategy?
 */
static bool
is_filter_strategy(Oid type, int strategy)
{
	if (type == ANYARRAYOID || OidIsValid(get_base_element_type(type)))
		return strategy == TG_STRATEGY_OVERLAP ||
			strategy == TG_STRATEGY_CONTAINS;
	if (get_typlen(type) < 0)
		return strategy == BTEqualStrategyNumber;
	return strategy >= BTLessStrategyNumber &&
		strategy <= BTGreaterStrategyNumber;
}

static void
validate_search(Form_pg_amop form, const char *family, bool *valid)
{
	if (!is_filter_strategy(form->amoplefttype, form->amopstrategy))
		complain(valid, family, "operator with an invalid strategy number:",
				 format_operator(form->amopopr));
	else if (form->amoppurpose != AMOP_SEARCH)
		complain(valid, family, "operator that is not for searching:",
				 format_operator(form->amopopr));
	else if (!check_amop_signature(form->amopopr, BOOLOID,
								   form->amoplefttype, form->amoprighttype))
		complain(valid, family, "operator that does not return boolean:",
				 format_operator(form->amopopr));
	else if (get_typlen(form->amoplefttype) < 0 &&
			 form->amoplefttype != form->amoprighttype)
		complain(valid, family, "operator of two types, one of which is kept as a hash:",
				 format_operator(form->amopopr));
}

bool
tg_amvalidate(Oid opclassoid)
{
	bool		valid = true;
	bool		has_operator = false;
	bool		has_function = false;
	bool		is_distance = false;
	HeapTuple	class_tuple;
	HeapTuple	family_tuple;
	Form_pg_opclass class_form;
	const char *family;
	CatCList   *functions;
	CatCList   *operators;

	class_tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclassoid));
	if (!HeapTupleIsValid(class_tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclassoid);
	class_form = (Form_pg_opclass) GETSTRUCT(class_tuple);

	family_tuple = SearchSysCache1(OPFAMILYOID,
								   ObjectIdGetDatum(class_form->opcfamily));
	if (!HeapTupleIsValid(family_tuple))
		elog(ERROR, "cache lookup failed for operator family %u",
			 class_form->opcfamily);
	family = NameStr(((Form_pg_opfamily) GETSTRUCT(family_tuple))->opfname);

	operators = SearchSysCacheList1(AMOPSTRATEGY,
									ObjectIdGetDatum(class_form->opcfamily));
	functions = SearchSysCacheList1(AMPROCNUM,
									ObjectIdGetDatum(class_form->opcfamily));
	for (int i = 0; i < functions->n_members; i++)
	{
		HeapTuple	tuple = &functions->members[i]->tuple;

		validate_function(tuple, family, &valid);
		has_function |= ((Form_pg_amproc) GETSTRUCT(tuple))->amproclefttype ==
			class_form->opcintype;
	}
	for (int i = 0; i < operators->n_members; i++)
	{
		Form_pg_amop form = (Form_pg_amop)
			GETSTRUCT(&operators->members[i]->tuple);

		if (functions->n_members > 0 || form->amoppurpose == AMOP_ORDER)
			validate_distance(form, family, &valid);
		else
			validate_search(form, family, &valid);
		has_operator |= form->amoplefttype == class_form->opcintype;
		is_distance |= form->amoppurpose == AMOP_ORDER;
	}
	if (!has_operator || (is_distance && !has_function))
		complain(&valid, family, "no distance operator or no support function for operator class",
				 NameStr(class_form->opcname));

	ReleaseCatCacheList(functions);
	ReleaseCatCacheList(operators);
	ReleaseSysCache(family_tuple);
	ReleaseSysCache(class_tuple);
	return valid;
}
