/*-------------------------------------------------------------------------
 *
 * tune.c
 *	  togg_tune(): learn by which options an index answers fastest.
 *
 * Each step, the policy (policy.h) proposes a group of candidates, and learns
 * from how each did beside the others (contest.h).
 *
 * In the end what the policy prefers and what is in force are measured on
 * queries that neither has been chosen by.  Only what is faster there by a
 * margin, and finds as much, becomes the index's options, by ALTER INDEX: they
 * are part of the transaction, and survive whatever options survive.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/tune.h"

#include "access/relation.h"
#include "access/relscan.h"
#include "access/xlog.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "tune/contest.h"

PG_FUNCTION_INFO_V1(togg_tune);

/* Questions of either half, wanted and needed. */
#define HALF			200
#define LEAST_HALF		16

#define GROUP			6
#define MAX_STEPS		200

/* With counters for a clock there is no time to go by. */
#define COUNTED_STEPS	25

/* The last part of the budget is for the comparison at the end. */
#define LEARNING_SHARE	0.8

/* In the end: so much faster, in logarithms. */
#define MARGIN			0.02

/* The knobs, and what they may be set to. */
static const int widths[] = {1, 2, 4, 8, 16, 0};
static const int growths[] = {1, 2, 4, 8};
static const int nchoices[] = {lengthof(widths), lengthof(growths)};

typedef struct Tuner
{
	TgIndex    *tg;
	TgQuestions questions;		/* even ones to learn from, others held out */
	IndexScanDesc scan;
	TgPolicy	policy;
	TgContest	contest;
} Tuner;

static void
apply(const TgProposal *proposal, TgSearchSettings *settings)
{
	settings->stage1_width = widths[proposal->choice[0]];
	settings->growth = growths[proposal->choice[1]];
}

static TgTrial
make_trial(const Tuner *tuner, const TgSearchSettings *settings)
{
	return (TgTrial) {
		.scan = tuner->scan,
		.questions = &tuner->questions,
		.settings = *settings,
		.work = {.hop = 1}
	};
}

/*
 * Learn for as long as there is time; settings receives what is preferred then.
 */
static void
learn(Tuner *tuner, TgBudget *budget, TgSearchSettings *settings)
{
	bool		counted = tuner->contest.counted;
	int			steps = counted ? COUNTED_STEPS : MAX_STEPS;
	TgProposal	preferred;

	for (int step = 0; step < steps; step++)
	{
		TgProposal	group[GROUP];
		TgTrial		trials[GROUP];
		TgTrial    *pointers[GROUP];

		for (int i = 0; i < GROUP; i++)
		{
			tg_policy_propose(&tuner->policy, &group[i]);
			trials[i] = make_trial(tuner, settings);
			apply(&group[i], &trials[i].settings);
			pointers[i] = &trials[i];
		}
		tg_contest_run(&tuner->contest, pointers, GROUP);
		for (int i = 0; i < GROUP; i++)
			group[i].reward = tg_contest_reward(&tuner->contest, &trials[i]);
		tg_policy_learn(&tuner->policy, group, GROUP);

		if (counted)
			continue;
		tg_budget_notice(budget, (step + 1) * GROUP);
		if (tg_budget_spent(budget) >= budget->seconds * LEARNING_SHARE)
			break;
	}
	tg_policy_preferred(&tuner->policy, &preferred);
	apply(&preferred, settings);
}

/* ---------- the function ---------- */

static char *
options_text(const TgSearchSettings *settings)
{
	return psprintf("stage1_width = %d, pool_growth = %d",
					settings->stage1_width, settings->growth);
}

static void
add_question(void *arg, Datum value)
{
	Tuner	   *tuner = arg;
	TgSpan		span = tuner->questions.opclass->span(value);

	tg_check_finite(span);
	if (span.dims != tuner->tg->geometry.dims)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d",
						tuner->tg->geometry.dims, span.dims)));
	tg_questions_add(&tuner->questions, span);
}

/*
 * Collect questions, from a user's query or the index, and find their nearest.
 */
static void
prepare(Tuner *tuner, Relation index, const char *queries, uint64 seed)
{
	TgReader	reader;

	tg_policy_init(&tuner->policy, lengthof(nchoices), nchoices, seed);
	if (tuner->tg->meta.dims > 0)
	{
		tg_questions_init(&tuner->questions, tuner->tg, tg_opclass_get(index),
						  2 * HALF, tuner->contest.k);
		tg_reader_init(&reader, index, &tuner->tg->layout);
		if (queries)
			tg_read_queries(index, queries, 2 * HALF, add_question, tuner);
		else
			tg_questions_sample(&tuner->questions, &reader, seed);
		(void) tg_questions_compare(&tuner->questions, index, &reader, NULL);
		tg_reader_free(&reader);
	}
	if (tuner->questions.n < 2 * LEAST_HALF ||
		tuner->questions.vertices <= tuner->contest.k)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is too little to tune index \"%s\" by",
						RelationGetRelationName(index)),
				 errdetail("There are %d queries, where %d are needed, and %llu vectors, where more than k are.",
						   tuner->questions.n, 2 * LEAST_HALF,
						   (unsigned long long) tuner->questions.vertices)));
}

/*
 * Have the index use these settings from now on, and learn its ef anew.
 */
static void
store(Oid oid, const TgSearchSettings *settings)
{
	char	   *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(oid)),
												  get_rel_name(oid));
	Relation	index;

	SPI_connect();
	SPI_execute(psprintf("ALTER INDEX %s SET (%s)", name,
						 options_text(settings)), false, 0);
	SPI_finish();
	index = tg_open_index(oid, AccessShareLock);
	tg_calibrate(index);
	relation_close(index, NoLock);
}

/*
 * togg_tune(index regclass, recalls float8[], k int, queries text,
 *			 budget interval, seed bigint)
 */
Datum
togg_tune(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			oid;
	Relation	index;
	Tuner		tuner = {0};
	TgContest  *contest = &tuner.contest;
	TgSearchSettings settings;
	TgTrial		trials[2];
	TgVerdict	verdicts[TG_MAX_RECALLS][2] = {0};
	TgBudget	budget;
	uint64		seed;
	bool		better;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < 5; i++)
		if (i != 3 && PG_ARGISNULL(i))
			return (Datum) 0;
	oid = PG_GETARG_OID(0);
	tg_contest_init(contest, &tuner.policy, PG_GETARG_ARRAYTYPE_P(1),
					PG_GETARG_INT32(2), !PG_ARGISNULL(5));
	seed = contest->counted ? (uint64) PG_GETARG_INT64(5) :
		pg_prng_uint64(&pg_global_prng_state);

	PreventCommandDuringRecovery("togg_tune()");
	PreventCommandIfReadOnly("togg_tune()");
	tg_check_owner(oid);
	index = tg_open_index(oid, AccessShareLock);
	tuner.tg = tg_index_copy(tg_index_get(index));
	prepare(&tuner, index, PG_ARGISNULL(3) ? NULL :
			text_to_cstring(PG_GETARG_TEXT_PP(3)), seed);

	tuner.scan = tg_ambeginscan(index, 0, 1);
	settings = tg_index_settings(index);
	trials[0] = make_trial(&tuner, &settings);
	budget = tg_budget_start(PG_GETARG_INTERVAL_P(4));
	learn(&tuner, &budget, &settings);
	trials[1] = make_trial(&tuner, &settings);
	better = tg_contest_judge(contest, (TgTrial *[]) {&trials[0], &trials[1]},
							  verdicts, MARGIN);
	tg_amendscan(tuner.scan);
	IndexScanEnd(tuner.scan);

	/* ALTER wants it for itself. */
	relation_close(index, NoLock);
	if (better)
		store(oid, &trials[1].settings);

	for (int r = 0; r < contest->nrecalls; r++)
	{
		TgVerdict  *before = &verdicts[r][0];
		TgVerdict  *after = better ? &verdicts[r][1] : before;
		double		unit = contest->counted ? 1 : 1000;
		Datum		values[9];
		bool		nulls[9] = {0};

		values[0] = Float8GetDatum(contest->recalls[r]);
		values[1] = CStringGetTextDatum(options_text(&trials[0].settings));
		values[2] = CStringGetTextDatum(options_text(&trials[better].settings));
		values[3] = Int32GetDatum(before->ef);
		values[4] = Int32GetDatum(after->ef);
		values[5] = Float8GetDatum(before->recall);
		values[6] = Float8GetDatum(after->recall);
		values[7] = Float8GetDatum(before->cost * unit);
		values[8] = Float8GetDatum(after->cost * unit);
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	return (Datum) 0;
}
