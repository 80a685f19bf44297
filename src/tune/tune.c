/*-------------------------------------------------------------------------
 *
 * tune.c
 *	  togg_tune(): learn by which options an index answers fastest.
 *
 * Each step, the policy (policy.h) proposes a group of candidates.  They are
 * asked the same queries one right after the other, in an order drawn anew each
 * time, after a search that nobody's time is taken of: so neither caches nor
 * what else the machine does favours one of them.  A candidate's reward is the
 * area under its curve of log speed by recall.
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

#include <math.h>

#include "access/relation.h"
#include "access/relscan.h"
#include "access/xlog.h"
#include "catalog/pg_type_d.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "am/stats.h"
#include "tune/policy.h"
#include "tune/questions.h"

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

#define REPEATS			3
#define NOTICE_SECONDS	5.0

/*
 * In the end: so much faster (in logarithms), and finding so little less than
 * before or than is wanted.
 */
#define MARGIN			0.02
#define RECALL_SLACK	0.005

#define MAX_K			1000
#define MAX_RECALLS		16

/* What a candidate is measured with. */
static const int pools[] =
{7, 11, 15, 21, 30, 43, 63, 90, 128, 180, 256, 360};

#define NPOOLS			((int) lengthof(pools))

/* The knobs, and what they may be set to. */
static const int widths[] = {1, 2, 4, 8, 16, 0};
static const int growths[] = {1, 2, 4, 8};
static const int nchoices[] = {lengthof(widths), lengthof(growths)};

/* How a candidate did on some questions. */
typedef struct Trial
{
	TgSearchSettings settings;
	double		cost[NPOOLS];	/* of a query, on the average */
	double		recall[NPOOLS];
} Trial;

typedef struct Tuner
{
	TgIndex    *tg;
	TgQuestions questions;		/* even ones to learn from, others held out */
	IndexScanDesc scan;
	int			k;
	double	   *distances;		/* [k] */
	bool		counted;		/* cost is vertices visited, not seconds */
	TgPolicy	policy;

	int			nrecalls;
	double		recalls[MAX_RECALLS];
} Tuner;

/*
 * Ask one question; returns its cost, and adds the share found.
 */
static double
ask(Tuner *tuner, const TgQuestion *question,
	const TgSearchSettings *settings, double *found)
{
	uint64		hops = tg_scan_stats(tuner->scan).search.hops;
	instr_time	start;
	instr_time	elapsed;
	int			n;

	tg_scan_set(tuner->scan, settings, question->held_out);
	INSTR_TIME_SET_CURRENT(start);
	n = tg_scan_probe(tuner->scan, question->span, tuner->distances, tuner->k);
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, start);
	*found += (double) tg_question_found(question, tuner->distances, n,
										 tuner->k) /
		Min(tuner->k, question->nearest.n);
	return tuner->counted ?
		(double) (tg_scan_stats(tuner->scan).search.hops - hops) :
		INSTR_TIME_GET_DOUBLE(elapsed);
}

/*
 * Put the numbers below n in an order of chance.
 */
static void
shuffle(TgPolicy *policy, int *order, int n)
{
	for (int i = 0; i < n; i++)
	{
		int			j = (int) (tg_policy_random(policy) * (i + 1));

		order[i] = order[j];
		order[j] = i;
	}
}

/*
 * Ask the questions to learn from by several candidates.
 */
static void
try_all(Tuner *tuner, Trial *trials, int n)
{
	int			asked = (tuner->questions.n + 1) / 2;
	int			order[TG_MAX_GROUP];

	for (int i = 0; i < n; i++)
	{
		memset(trials[i].cost, 0, sizeof(trials[i].cost));
		memset(trials[i].recall, 0, sizeof(trials[i].recall));
	}
	for (int i = 0; i < tuner->questions.n; i += 2)
		for (int pool = 0; pool < NPOOLS; pool++)
		{
			const TgQuestion *question = &tuner->questions.items[i];
			double		ignored = 0;

			CHECK_FOR_INTERRUPTS();
			shuffle(&tuner->policy, order, n);
			for (int j = 0; j < n; j++)
				trials[j].settings.ef = pools[pool];
			(void) ask(tuner, question, &trials[order[0]].settings, &ignored);
			for (int j = 0; j < n; j++)
			{
				Trial	   *trial = &trials[order[j]];
				double		found = 0;

				trial->cost[pool] +=
					ask(tuner, question, &trial->settings, &found) / asked;
				trial->recall[pool] += found / asked;
			}
		}
}

/*
 * Area under the curve of log speed by recall: the mean at the recalls wanted.
 */
static double
reward_of(const Tuner *tuner, const Trial *trial)
{
	double		sum = 0;

	for (int i = 0; i < tuner->nrecalls; i++)
		sum -= log(tg_curve_value(trial->cost, trial->recall, NPOOLS,
								  tuner->recalls[i]));
	return sum / tuner->nrecalls;
}

static void
apply(const TgProposal *proposal, TgSearchSettings *settings)
{
	settings->stage1_width = widths[proposal->choice[0]];
	settings->growth = growths[proposal->choice[1]];
}

static double
seconds_since(TimestampTz start)
{
	return (GetCurrentTimestamp() - start) / (double) USECS_PER_SEC;
}

/*
 * Learn for as long as there is time; settings receives what is preferred then.
 */
static void
learn(Tuner *tuner, double budget, TgSearchSettings *settings)
{
	TimestampTz start = GetCurrentTimestamp();
	double		noticed = 0;
	int			steps = tuner->counted ? COUNTED_STEPS : MAX_STEPS;
	TgProposal	preferred;

	for (int step = 0; step < steps; step++)
	{
		TgProposal	group[GROUP];
		Trial		trials[GROUP];
		double		seconds;

		for (int i = 0; i < GROUP; i++)
		{
			tg_policy_propose(&tuner->policy, &group[i]);
			trials[i].settings = *settings;
			apply(&group[i], &trials[i].settings);
		}
		try_all(tuner, trials, GROUP);
		for (int i = 0; i < GROUP; i++)
			group[i].reward = reward_of(tuner, &trials[i]);
		tg_policy_learn(&tuner->policy, group, GROUP);

		if (tuner->counted)
			continue;
		seconds = seconds_since(start);
		if (seconds >= noticed + NOTICE_SECONDS)
		{
			ereport(NOTICE,
					(errmsg("%d candidates measured in %.0f of %.0f s",
							(step + 1) * GROUP, seconds, budget)));
			noticed = seconds;
		}
		if (seconds >= budget * LEARNING_SHARE)
			break;
	}
	tg_policy_preferred(&tuner->policy, &preferred);
	apply(&preferred, settings);
}

/* How settings do at one recall, on questions held out. */
typedef struct Verdict
{
	int			ef;
	double		recall;
	double		cost;
} Verdict;

static int
compare_costs(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/*
 * Compare two settings, [0] and [1], at each recall wanted, by the ef that each
 * took for it on the questions learnt from.  Is [1] better?
 */
static bool
judge(Tuner *tuner, Trial *trials, Verdict verdicts[][2])
{
	int			n = tuner->questions.n / 2;
	double	   *rewards[2];
	double		ef[NPOOLS];
	bool		finds_less = false;

	try_all(tuner, trials, 2);
	for (int i = 0; i < NPOOLS; i++)
		ef[i] = pools[i];
	for (int s = 0; s < 2; s++)
	{
		rewards[s] = palloc0(sizeof(double) * n);
		for (int r = 0; r < tuner->nrecalls; r++)
			verdicts[r][s].ef = (int)
				ceil(tg_curve_value(ef, trials[s].recall, NPOOLS,
									tuner->recalls[r]));
	}
	for (int i = 0; i < n; i++)
		for (int r = 0; r < tuner->nrecalls; r++)
		{
			const TgQuestion *question = &tuner->questions.items[2 * i + 1];
			double		costs[2][REPEATS];
			double		found[2] = {0};
			int			order[2];

			CHECK_FOR_INTERRUPTS();
			for (int repeat = -1; repeat < REPEATS; repeat++)
			{
				shuffle(&tuner->policy, order, 2);
				for (int j = 0; j < 2; j++)
				{
					int			s = order[j];
					double		cost;

					trials[s].settings.ef = verdicts[r][s].ef;
					found[s] = 0;
					cost = ask(tuner, question, &trials[s].settings, &found[s]);
					if (repeat >= 0)
						costs[s][repeat] = cost;
				}
			}
			for (int s = 0; s < 2; s++)
			{
				double		cost;

				qsort(costs[s], REPEATS, sizeof(double), compare_costs);
				cost = costs[s][REPEATS / 2];
				verdicts[r][s].cost += cost / n;
				verdicts[r][s].recall += found[s] / n;
				rewards[s][i] -= log(cost) / tuner->nrecalls;
			}
		}
	for (int r = 0; r < tuner->nrecalls; r++)
		finds_less = finds_less ||
			verdicts[r][1].recall < Min(verdicts[r][0].recall,
										tuner->recalls[r]) - RECALL_SLACK;
	return !finds_less &&
		tg_policy_accepts(rewards[1], rewards[0], n, MARGIN);
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

	tuner->distances = palloc(sizeof(double) * tuner->k);
	tg_policy_init(&tuner->policy, lengthof(nchoices), nchoices, seed);
	if (tuner->tg->meta.dims > 0)
	{
		tg_questions_init(&tuner->questions, tuner->tg, tg_opclass_get(index),
						  2 * HALF, tuner->k);
		tg_reader_init(&reader, index, &tuner->tg->layout);
		if (queries)
			tg_read_queries(index, queries, 2 * HALF, add_question, tuner);
		else
			tg_questions_sample(&tuner->questions, &reader, seed);
		(void) tg_questions_compare(&tuner->questions, index, &reader, NULL);
		tg_reader_free(&reader);
	}
	if (tuner->questions.n < 2 * LEAST_HALF ||
		tuner->questions.vertices <= tuner->k)
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

static void
read_recalls(Tuner *tuner, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;

	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &values, &nulls, &tuner->nrecalls);
	if (tuner->nrecalls < 1 || tuner->nrecalls > MAX_RECALLS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there must be between 1 and %d recalls",
						MAX_RECALLS)));
	for (int i = 0; i < tuner->nrecalls; i++)
	{
		tuner->recalls[i] = nulls[i] ? 0 : DatumGetFloat8(values[i]);
		if (!(tuner->recalls[i] > 0 && tuner->recalls[i] <= TG_MAX_RECALL))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("recalls must be above 0 and at most %g",
							TG_MAX_RECALL)));
	}
}

static double
seconds_of(const Interval *interval)
{
	return interval->time / (double) USECS_PER_SEC +
		(interval->day + 30.0 * interval->month) * SECS_PER_DAY;
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
	Trial		trials[2] = {0};
	Verdict		verdicts[MAX_RECALLS][2] = {0};
	double		budget;
	uint64		seed;
	bool		better;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < 5; i++)
		if (i != 3 && PG_ARGISNULL(i))
			return (Datum) 0;
	oid = PG_GETARG_OID(0);
	read_recalls(&tuner, PG_GETARG_ARRAYTYPE_P(1));
	tuner.k = PG_GETARG_INT32(2);
	if (tuner.k < 1 || tuner.k > MAX_K)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k must be between 1 and %d", MAX_K)));
	budget = seconds_of(PG_GETARG_INTERVAL_P(4));
	tuner.counted = !PG_ARGISNULL(5);
	seed = tuner.counted ? (uint64) PG_GETARG_INT64(5) :
		pg_prng_uint64(&pg_global_prng_state);

	PreventCommandDuringRecovery("togg_tune()");
	PreventCommandIfReadOnly("togg_tune()");
	tg_check_owner(oid);
	index = tg_open_index(oid, AccessShareLock);
	tuner.tg = tg_index_copy(tg_index_get(index));
	prepare(&tuner, index, PG_ARGISNULL(3) ? NULL :
			text_to_cstring(PG_GETARG_TEXT_PP(3)), seed);

	tuner.scan = tg_ambeginscan(index, 0, 1);
	trials[0].settings = trials[1].settings = tg_index_settings(index);
	learn(&tuner, budget, &trials[1].settings);
	better = judge(&tuner, trials, verdicts);
	tg_amendscan(tuner.scan);
	IndexScanEnd(tuner.scan);

	/* ALTER wants it for itself. */
	relation_close(index, NoLock);
	if (better)
		store(oid, &trials[1].settings);

	for (int r = 0; r < tuner.nrecalls; r++)
	{
		Verdict    *before = &verdicts[r][0];
		Verdict    *after = better ? &verdicts[r][1] : before;
		double		unit = tuner.counted ? 1 : 1000;
		Datum		values[9];
		bool		nulls[9] = {0};

		values[0] = Float8GetDatum(tuner.recalls[r]);
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
