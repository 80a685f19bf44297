/*-------------------------------------------------------------------------
 *
 * tune_build.c
 *	  togg_tune_build(): learn by which options an index should be built.
 *
 * 1. A sample of the table is copied to a table of its own, beside it.  One row
 *	  in some is held out, to be a query.
 * 2. An index with default options is built on the rest.  It stays, to be what
 *	  others are compared with.
 * 3. Each step, the policy (policy.h) proposes a group of options.  Of those not
 *	  seen yet indexes are built and asked the same queries side by side with the
 *	  first (contest.h).  The reward is how much faster than that they are at
 *	  equal recall, less what is due for a build that takes longer, or an index
 *	  that is larger, than is wanted.
 * 4. The best that keeps within these limits is built again, and recommended if
 *	  it is faster, too, on queries that it was not chosen by.
 *
 * All of it is one transaction that leaves nothing.  The table is no temporary
 * one, because small local buffers would slow down larger indexes more.  It is
 * read by a query of the user's: what he may not read, this function does not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/tune.h"

#include <math.h>

#include "access/relation.h"
#include "access/relscan.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "am/stats.h"
#include "tune/contest.h"

#if PG_VERSION_NUM < 160000
#define stringToQualifiedNameList(string, context)	stringToQualifiedNameList(string)
#endif

PG_FUNCTION_INFO_V1(togg_tune_build);

#define MIN_SAMPLE		1000
#define MAX_SAMPLE		1000000
#define QUERIES			200

#define GROUP			4
#define MAX_STEPS		200
#define MAX_CANDIDATES	256

/* With counters for a clock there is no time to go by. */
#define COUNTED_STEPS	10

#define LEARNING_SHARE	0.85
#define MARGIN			0.05

/* How much more than others the policy likes default choices at first. */
#define FAITH			1.0

/* What each limit that is exceeded costs, in logarithms for logarithms. */
#define EXCESS_COST		2.0

/*
 * Operators, for psprintf().  They are PostgreSQL's own, whatever is in the
 * schemas of search_path.
 */
#define REST			"OPERATOR(pg_catalog.%%)"
#define EQUALS			"OPERATOR(pg_catalog.=)"
#define DIFFERS			"OPERATOR(pg_catalog.<>)"

/* Accessing a page takes as long as reading so many bytes of it. */
#define PAGE_WORK		4096

/* The knobs, what they may be set to, and which choice is the default. */
typedef enum Knob
{
	KNOB_M,
	KNOB_EF_CONSTRUCTION,
	KNOB_GRAPH,
	KNOB_GUIDE,
	KNOB_CLUSTERS,
	KNOB_BITS,
	KNOBS
} Knob;

static const struct
{
	const char *name;
	int			n;
	const char *values[TG_MAX_CHOICES];
	int			preset;
}			knobs[KNOBS] = {
	[KNOB_M] = {"m", 3, {"16", "32", "48"}, 0},
	[KNOB_EF_CONSTRUCTION] =
	{"ef_construction", 4, {"32", "64", "128", "256"}, 1},
	[KNOB_GRAPH] = {"graph", 3, {"nsg", "nssg", "hnsw"}, 0},
	[KNOB_GUIDE] = {"guide", 3, {"kmeans", "kdtree", "none"}, 0},
	[KNOB_CLUSTERS] = {"clusters", 3, {"2", "3", "5"}, 1},
	[KNOB_BITS] = {"bits", 4, {"-1", "0", "1", "2"}, 0},
};

/* Options, and what came of them. */
typedef struct Candidate
{
	TgProposal	proposal;
	double		seconds;
	int64		bytes;
	double		speed;			/* logarithm, of queries, beside the default */
} Candidate;

/* An index of the sample. */
typedef struct Built
{
	MemoryContext context;
	char	   *name;			/* qualified */
	Relation	index;
	TgIndex    *tg;
	TgQuestions questions;
	TgTrial		trial;
} Built;

typedef struct Tuner
{
	/* What is asked for. */
	char	   *table;			/* qualified */
	const char *column;
	const char *opclass;		/* with a space before it, or empty */
	double		max_seconds;	/* as many times what the default takes */
	double		max_bytes;

	/* The sample. */
	Oid			schema;
	char	   *sample;
	int64		step;			/* one in so many rows is a query */
	int			made;			/* indexes so far */
	int			bits;			/* by default */

	TgPolicy	policy;
	TgContest	contest;
	TgBudget	budget;
	int			ncandidates;	/* the first is the default */
	Candidate	candidates[MAX_CANDIDATES];
} Tuner;

static void
execute(const char *command)
{
	SPI_connect();
	SPI_execute(command, false, 0);
	SPI_finish();
}

/* ---------- options ---------- */

/*
 * Have one form only of the proposals for the same index: clusters are of k-means
 * alone, and the default stands for so many bits as it comes to.
 */
static void
normalize(const Tuner *tuner, TgProposal *proposal)
{
	int		   *choice = proposal->choice;

	if (choice[KNOB_GUIDE] != knobs[KNOB_GUIDE].preset)
		choice[KNOB_CLUSTERS] = knobs[KNOB_CLUSTERS].preset;
	if (atoi(knobs[KNOB_BITS].values[choice[KNOB_BITS]]) == tuner->bits)
		choice[KNOB_BITS] = knobs[KNOB_BITS].preset;
}

static TgProposal
default_proposal(void)
{
	TgProposal	proposal = {0};

	for (int i = 0; i < KNOBS; i++)
		proposal.choice[i] = knobs[i].preset;
	return proposal;
}

/*
 * Options as text, those that are not as by default.
 */
static char *
options_text(const TgProposal *proposal)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < KNOBS; i++)
		if (proposal->choice[i] != knobs[i].preset)
			appendStringInfo(&text, "%s%s = %s", text.len > 0 ? ", " : "",
							 knobs[i].name,
							 knobs[i].values[proposal->choice[i]]);
	return text.data;
}

static char *
with_clause(const TgProposal *proposal)
{
	char	   *options = options_text(proposal);

	return options[0] ? psprintf(" WITH (%s)", options) : "";
}

/* ---------- the sample ---------- */

/*
 * Rows of the table, as far as anybody knows.
 */
static double
count_rows(const Tuner *tuner, Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	double		rows = 0;
	bool		isnull;

	if (HeapTupleIsValid(tuple))
	{
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
	}
	if (rows > 0)
		return rows;
	SPI_connect();
	SPI_execute(psprintf("SELECT pg_catalog.count(*) FROM %s", tuner->table),
				true, 0);
	rows = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return rows;
}

/*
 * Step 1.
 */
static void
take_sample(Tuner *tuner, Oid table, int limit, uint64 seed)
{
	/*
	 * A little more than that, as chance may bring less, and NULLs are of no
	 * use.  Whole pages at a time are chance enough where they are many.
	 */
	double		percent = 120.0 * limit / count_rows(tuner, table);
	const char *clause = percent < 100 ?
		psprintf(" TABLESAMPLE %s (%.17g) REPEATABLE (%u)",
				 percent < 10 ? "SYSTEM" : "BERNOULLI", percent,
				 (uint32) seed) : "";
	char	   *name = psprintf("togg_tune_build_%d", MyProcPid);
	int64		rows;

	tuner->sample =
		quote_qualified_identifier(get_namespace_name(tuner->schema), name);
	SPI_connect();
	SPI_execute(psprintf("CREATE UNLOGGED TABLE %s AS"
						 " SELECT pg_catalog.row_number() OVER () AS n, v"
						 " FROM (SELECT %s AS v FROM %s%s"
						 " WHERE %s IS NOT NULL LIMIT %d) s",
						 tuner->sample, tuner->column, tuner->table, clause,
						 tuner->column, limit), false, 0);
	rows = SPI_processed;
	SPI_finish();
	if (rows < MIN_SAMPLE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is too little in %s to learn options by",
						tuner->table),
				 errdetail("There are %lld vectors, where %d are needed.",
						   (long long) rows, MIN_SAMPLE)));
	tuner->step = Max(10, rows / QUERIES);
}

/* ---------- indexes of the sample ---------- */

static void
add_question(void *arg, Datum value)
{
	Built	   *built = arg;
	TgSpan		span = built->questions.opclass->span(value);

	tg_check_finite(span);
	tg_check_dims(built->index, built->tg->geometry.dims, span.dims);
	tg_questions_add(&built->questions, span);
}

/*
 * Build an index, and get ready to ask it.
 */
static Built
build(Tuner *tuner, Candidate *candidate)
{
	Built		built = {0};
	MemoryContext old;
	char	   *name = psprintf("togg_tune_build_%d_%d", MyProcPid,
								tuner->made++);
	instr_time	start;
	instr_time	elapsed;
	const TgLayout *layout;
	TgReader	reader;
	int			dims;

	built.context = AllocSetContextCreate(CurrentMemoryContext,
										  "togg candidate",
										  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(built.context);
	INSTR_TIME_SET_CURRENT(start);
	execute(psprintf("CREATE INDEX %s ON %s USING togg (v%s)%s"
					 " WHERE n " REST " %lld " DIFFERS " 0",
					 name, tuner->sample, tuner->opclass,
					 with_clause(&candidate->proposal),
					 (long long) tuner->step));
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, start);

	built.name =
		quote_qualified_identifier(get_namespace_name(tuner->schema), name);
	built.index = tg_open_index(get_relname_relid(name, tuner->schema),
								AccessShareLock);
	candidate->seconds = INSTR_TIME_GET_DOUBLE(elapsed);
	candidate->bytes =
		(int64) RelationGetNumberOfBlocks(built.index) * BLCKSZ;

	built.tg = tg_index_copy(tg_index_get(built.index));
	tg_questions_init(&built.questions, built.tg, tg_opclass_get(built.index),
					  2 * QUERIES, tuner->contest.k);

	/*
	 * All candidates are asked the same, and in one order: each second query is
	 * held out.  (The caller's snapshot is older than the sample.)
	 */
	PushActiveSnapshot(GetTransactionSnapshot());
	tg_read_queries(built.index,
					psprintf("SELECT v FROM %s WHERE n " REST " %lld " EQUALS " 0"
							 " ORDER BY n",
							 tuner->sample, (long long) tuner->step),
					2 * QUERIES, add_question, &built);
	PopActiveSnapshot();
	layout = &built.tg->layout;
	tg_reader_init(&reader, built.index, layout);
	(void) tg_questions_compare(&built.questions, built.index, &reader, NULL);
	tg_reader_free(&reader);
	if (built.questions.vertices <= tuner->contest.k ||
		built.questions.n < QUERIES / 10)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is too little in %s to learn options by",
						tuner->table),
				 errdetail("There are %llu different vectors, where more than k are needed, and %d that can be asked for, where %d are.",
						   (unsigned long long) built.questions.vertices,
						   built.questions.n, QUERIES / 10)));

	dims = built.tg->geometry.inner_dims;
	built.trial.scan = tg_ambeginscan(built.index, 0, 1);
	built.trial.settings = tg_index_settings(built.index);
	built.trial.work.page = PAGE_WORK;
	built.trial.work.distance = dims *
		(layout->storage == TG_STORAGE_HALF ? 2 : sizeof(float));
	built.trial.work.estimate = dims * layout->bits / 8.0;
	MemoryContextSwitchTo(old);
	return built;
}

/*
 * Its memory goes, too.
 */
static void
drop(Built *built)
{
	tg_amendscan(built->trial.scan);
	IndexScanEnd(built->trial.scan);
	relation_close(built->index, AccessShareLock);
	execute(psprintf("DROP INDEX %s", built->name));
	MemoryContextDelete(built->context);
}

/* ---------- learning ---------- */

/* By how much is a limit exceeded?  In logarithms; not at all: 0. */
static double
excess(double value, double of_default, double limit)
{
	return Max(0, log(value / (of_default * limit)));
}

/*
 * Where there is no clock, the time of a build is not looked at, either.
 */
static double
excess_of(const Tuner *tuner, const Candidate *candidate)
{
	const Candidate *first = &tuner->candidates[0];
	double		result = excess(candidate->bytes, first->bytes,
								tuner->max_bytes);

	if (!tuner->contest.counted)
		result += excess(candidate->seconds, first->seconds,
						 tuner->max_seconds);
	return result;
}

static Candidate *
find_candidate(Tuner *tuner, const TgProposal *proposal)
{
	for (int i = 0; i < tuner->ncandidates; i++)
		if (memcmp(tuner->candidates[i].proposal.choice, proposal->choice,
				   sizeof(proposal->choice)) == 0)
			return &tuner->candidates[i];
	return NULL;
}

/*
 * Of a group, build what is not known yet and measure it beside the first.
 */
static void
measure(Tuner *tuner, Built *first, const TgProposal *group)
{
	Built		built[GROUP];
	TgTrial    *trials[GROUP + 1];
	Candidate  *candidates = &tuner->candidates[tuner->ncandidates];
	int			n = 0;
	double		reward;

	for (int i = 0; i < GROUP; i++)
	{
		if (find_candidate(tuner, &group[i]) ||
			tuner->ncandidates == MAX_CANDIDATES)
			continue;
		tuner->ncandidates++;
		candidates[n].proposal = group[i];
		built[n] = build(tuner, &candidates[n]);
		n++;
	}
	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		built[i].trial.questions = &built[i].questions;
		trials[i] = &built[i].trial;
	}
	trials[n] = &first->trial;
	tg_contest_run(&tuner->contest, trials, n + 1);
	reward = tg_contest_reward(&tuner->contest, &first->trial);
	for (int i = 0; i < n; i++)
	{
		candidates[i].speed =
			tg_contest_reward(&tuner->contest, trials[i]) - reward;
		drop(&built[i]);
	}
}

/*
 * Steps 2 and 3, but for building the first.
 */
static void
learn(Tuner *tuner, Built *first)
{
	bool		counted = tuner->contest.counted;
	int			steps = counted ? COUNTED_STEPS : MAX_STEPS;

	for (int step = 0; step < steps; step++)
	{
		TgProposal	group[GROUP];

		for (int i = 0; i < GROUP; i++)
		{
			tg_policy_propose(&tuner->policy, &group[i]);
			normalize(tuner, &group[i]);
		}
		measure(tuner, first, group);
		for (int i = 0; i < GROUP; i++)
		{
			const Candidate *known = find_candidate(tuner, &group[i]);

			if (known == NULL)
				return;
			group[i].reward = known->speed -
				EXCESS_COST * excess_of(tuner, known);
		}
		tg_policy_learn(&tuner->policy, group, GROUP);
		if (counted)
			continue;
		tg_budget_notice(&tuner->budget, tuner->ncandidates);
		if (tg_budget_spent(&tuner->budget) >=
			tuner->budget.seconds * LEARNING_SHARE)
			return;
	}
}

/*
 * The fastest within the limits; NULL if it is the default.
 */
static Candidate *
find_best(Tuner *tuner)
{
	Candidate  *best = &tuner->candidates[0];

	for (int i = 1; i < tuner->ncandidates; i++)
		if (tuner->candidates[i].speed > best->speed &&
			excess_of(tuner, &tuner->candidates[i]) == 0)
			best = &tuner->candidates[i];
	return best == &tuner->candidates[0] ? NULL : best;
}

/*
 * Step 4: is it better on queries held out?  *speed receives by how much.
 */
static bool
holds(Tuner *tuner, Built *first, Candidate *best, double *speed)
{
	TgVerdict	verdicts[TG_MAX_RECALLS][2] = {0};
	Candidate	again = *best;
	Built		built = build(tuner, &again);
	bool		better;

	built.trial.questions = &built.questions;
	better = tg_contest_judge(&tuner->contest,
							  (TgTrial *[]) {&first->trial, &built.trial},
							  verdicts, MARGIN);
	*speed = 0;
	for (int r = 0; r < tuner->contest.nrecalls; r++)
		*speed += log(verdicts[r][0].cost / verdicts[r][1].cost) /
			tuner->contest.nrecalls;
	drop(&built);
	return better;
}

/* ---------- the function ---------- */

static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = *(Candidate *const *) a;
	const Candidate *y = *(Candidate *const *) b;

	return (x->speed < y->speed) - (x->speed > y->speed);
}

/*
 * A row for each candidate, the one recommended first, then the fastest.
 */
static void
put_results(const Tuner *tuner, ReturnSetInfo *set, const Candidate *chosen,
			const Candidate *best, double held_out)
{
	const Candidate *order[MAX_CANDIDATES];

	for (int i = 0; i < tuner->ncandidates; i++)
		order[i] = &tuner->candidates[i];
	qsort(order, tuner->ncandidates, sizeof(Candidate *), compare_candidates);
	for (int i = -1; i < tuner->ncandidates; i++)
	{
		const Candidate *candidate = i < 0 ? chosen : order[i];
		Datum		values[7];
		bool		nulls[7] = {0};

		if (i >= 0 && candidate == chosen)
			continue;
		values[0] = CStringGetTextDatum(psprintf("CREATE INDEX ON %s USING togg (%s%s)%s",
												 tuner->table, tuner->column,
												 tuner->opclass,
												 with_clause(&candidate->proposal)));
		values[1] = BoolGetDatum(candidate == chosen);
		values[2] = CStringGetTextDatum(options_text(&candidate->proposal));
		values[3] = Float8GetDatum(candidate->seconds);
		values[4] = Int64GetDatum(candidate->bytes);
		values[5] = Float8GetDatum(exp(candidate->speed));
		values[6] = Float8GetDatum(exp(held_out));
		nulls[6] = candidate != best;
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
}

/*
 * Whether the table can be sampled, and what it is called.
 */
static void
check_table(Tuner *tuner, Oid table, const char *column)
{
	char		kind = get_rel_relkind(table);
	char	   *name = get_rel_name(table);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", table)));
	if (kind != RELKIND_RELATION && kind != RELKIND_MATVIEW &&
		kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table or materialized view", name)));
	if (get_attnum(table, column) == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						column, name)));
	tg_check_policies(table, "togg_tune_build()");
	tuner->schema = get_rel_namespace(table);
	tuner->table =
		quote_qualified_identifier(get_namespace_name(tuner->schema), name);
	tuner->column = quote_identifier(column);
}

static double
limit_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	double		value = PG_GETARG_FLOAT8(number);

	if (!(value >= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at least 1", name)));
	return value;
}

/*
 * togg_tune_build("table" regclass, "column" name, opclass text, sample int,
 *				   budget interval, recalls float8[], k int,
 *				   max_seconds float8, max_bytes float8, seed bigint)
 */
Datum
togg_tune_build(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	Tuner	   *tuner = palloc0(sizeof(Tuner));
	int			nchoices[KNOBS];
	TgProposal	preset = default_proposal();
	Oid			table;
	int			sample;
	uint64		seed;
	Built		first;
	Candidate  *best;
	double		held_out = 0;
	bool		better = false;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < 9; i++)
		if (i != 2 && PG_ARGISNULL(i))
			return (Datum) 0;
	table = PG_GETARG_OID(0);
	sample = PG_GETARG_INT32(3);
	if (sample < MIN_SAMPLE || sample > MAX_SAMPLE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sample must be between %d and %d", MIN_SAMPLE,
						MAX_SAMPLE)));
	tg_contest_init(&tuner->contest, &tuner->policy,
					PG_GETARG_ARRAYTYPE_P(5), PG_GETARG_INT32(6),
					!PG_ARGISNULL(9));
	tuner->max_seconds = limit_argument(fcinfo, 7, "max_seconds");
	tuner->max_bytes = limit_argument(fcinfo, 8, "max_bytes");
	seed = tuner->contest.counted ? (uint64) PG_GETARG_INT64(9) :
		pg_prng_uint64(&pg_global_prng_state);

	PreventCommandDuringRecovery("togg_tune_build()");
	PreventCommandIfReadOnly("togg_tune_build()");
	check_table(tuner, table, NameStr(*PG_GETARG_NAME(1)));
	tuner->opclass = "";
	if (!PG_ARGISNULL(2))
		tuner->opclass = psprintf(" %s",
								  NameListToQuotedString(stringToQualifiedNameList(text_to_cstring(PG_GETARG_TEXT_PP(2)), NULL)));
	tuner->budget = tg_budget_start(PG_GETARG_INTERVAL_P(4));
	for (int i = 0; i < KNOBS; i++)
		nchoices[i] = knobs[i].n;
	tg_policy_init(&tuner->policy, KNOBS, nchoices, seed);
	tg_policy_favour(&tuner->policy, &preset, FAITH);

	take_sample(tuner, table, sample, seed);
	tuner->ncandidates = 1;
	tuner->candidates[0].proposal = preset;
	first = build(tuner, &tuner->candidates[0]);
	first.trial.questions = &first.questions;
	tuner->bits = first.tg->layout.bits;
	learn(tuner, &first);
	best = find_best(tuner);
	if (best)
		better = holds(tuner, &first, best, &held_out);
	drop(&first);
	execute(psprintf("DROP TABLE %s", tuner->sample));
	put_results(tuner, set, better ? best : &tuner->candidates[0], best,
				held_out);
	return (Datum) 0;
}
