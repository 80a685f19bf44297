/*-------------------------------------------------------------------------
 *
 * contest.c
 *	  Which of some ways to search is fastest at equal recall?  See contest.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/contest.h"

#include <math.h>

#include "access/relscan.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/timestamp.h"

#include "am/stats.h"

#define REPEATS			3
#define NOTICE_SECONDS	5.0

/* Finding so little less than another, or than is wanted, is as good. */
#define RECALL_SLACK	0.005

static const int pools[TG_CONTEST_POOLS] =
{7, 11, 15, 21, 30, 43, 63, 90, 128, 180, 256, 360};

void
tg_contest_init(TgContest *contest, TgPolicy *policy, ArrayType *recalls,
				int k, bool counted)
{
	Datum	   *values;
	bool	   *nulls;

	contest->policy = policy;
	contest->counted = counted;
	contest->k = k;
	if (k < 1 || k > TG_MAX_RANK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k must be between 1 and %d", TG_MAX_RANK)));
	deconstruct_array(recalls, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &values, &nulls, &contest->nrecalls);
	if (contest->nrecalls < 1 || contest->nrecalls > TG_MAX_RECALLS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there must be between 1 and %d recalls",
						TG_MAX_RECALLS)));
	for (int i = 0; i < contest->nrecalls; i++)
	{
		contest->recalls[i] = nulls[i] ? 0 : DatumGetFloat8(values[i]);
		if (!(contest->recalls[i] > 0 && contest->recalls[i] <= TG_MAX_RECALL))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("recalls must be above 0 and at most %g",
							TG_MAX_RECALL)));
	}
}

static double
work_of(const TgTrial *trial)
{
	TgSearchStats search = tg_scan_stats(trial->scan).search;

	return trial->work.hop * search.hops + trial->work.page * search.pages +
		trial->work.distance * search.distances +
		trial->work.estimate * search.estimates;
}

/*
 * Ask one question; returns its cost, and adds the share found.
 */
static double
ask(TgContest *contest, const TgTrial *trial, int number, double *found)
{
	const TgQuestion *question = &trial->questions->items[number];
	double		work = work_of(trial);
	instr_time	start;
	instr_time	elapsed;
	int			n;

	tg_scan_set(trial->scan, &trial->settings, question->held_out);
	INSTR_TIME_SET_CURRENT(start);
	n = tg_scan_probe(trial->scan, question->span, contest->distances,
					  contest->k);
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, start);
	*found += (double) tg_question_found(question, contest->distances, n,
										 contest->k) /
		Min(contest->k, question->nearest.n);
	return contest->counted ? work_of(trial) - work :
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

void
tg_contest_run(TgContest *contest, TgTrial **trials, int n)
{
	int			questions = trials[0]->questions->n;
	int			asked = (questions + 1) / 2;
	int			order[TG_MAX_GROUP + 1];

	for (int i = 0; i < n; i++)
	{
		memset(trials[i]->cost, 0, sizeof(trials[i]->cost));
		memset(trials[i]->recall, 0, sizeof(trials[i]->recall));
	}
	for (int i = 0; i < questions; i += 2)
		for (int pool = 0; pool < TG_CONTEST_POOLS; pool++)
		{
			double		ignored = 0;

			CHECK_FOR_INTERRUPTS();
			shuffle(contest->policy, order, n);
			for (int j = 0; j < n; j++)
				trials[j]->settings.ef = pools[pool];
			(void) ask(contest, trials[order[0]], i, &ignored);
			for (int j = 0; j < n; j++)
			{
				TgTrial    *trial = trials[order[j]];
				double		found = 0;

				trial->cost[pool] += ask(contest, trial, i, &found) / asked;
				trial->recall[pool] += found / asked;
			}
		}
}

double
tg_contest_reward(const TgContest *contest, const TgTrial *trial)
{
	double		sum = 0;

	for (int i = 0; i < contest->nrecalls; i++)
		sum -= log(tg_curve_value(trial->cost, trial->recall, TG_CONTEST_POOLS,
								  contest->recalls[i]));
	return sum / contest->nrecalls;
}

static int
compare_costs(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/*
 * Ask both candidates one of the odd questions, several times by turns, with the
 * pool that each takes for a recall; receives the median of what that costs.
 */
static void
ask_both(TgContest *contest, TgTrial **trials, int number,
		 const TgVerdict *verdicts, double *cost, double *found)
{
	double		costs[2][REPEATS];

	CHECK_FOR_INTERRUPTS();
	for (int repeat = -1; repeat < REPEATS; repeat++)
	{
		int			order[2];

		shuffle(contest->policy, order, 2);
		for (int j = 0; j < 2; j++)
		{
			int			s = order[j];
			double		asked;

			trials[s]->settings.ef = verdicts[s].ef;
			found[s] = 0;
			asked = ask(contest, trials[s], number, &found[s]);
			if (repeat >= 0)
				costs[s][repeat] = asked;
		}
	}
	for (int s = 0; s < 2; s++)
	{
		qsort(costs[s], REPEATS, sizeof(double), compare_costs);
		cost[s] = costs[s][REPEATS / 2];
	}
}

bool
tg_contest_judge(TgContest *contest, TgTrial **trials,
				 TgVerdict verdicts[][2], double margin)
{
	int			n = trials[0]->questions->n / 2;
	double	   *rewards[2];
	double		ef[TG_CONTEST_POOLS];
	bool		finds_less = false;

	tg_contest_run(contest, trials, 2);
	for (int i = 0; i < TG_CONTEST_POOLS; i++)
		ef[i] = pools[i];
	for (int s = 0; s < 2; s++)
	{
		rewards[s] = palloc0(sizeof(double) * n);
		for (int r = 0; r < contest->nrecalls; r++)
			verdicts[r][s].ef = (int)
				ceil(tg_curve_value(ef, trials[s]->recall, TG_CONTEST_POOLS,
									contest->recalls[r]));
	}
	for (int i = 0; i < n; i++)
		for (int r = 0; r < contest->nrecalls; r++)
		{
			double		cost[2];
			double		found[2];

			ask_both(contest, trials, 2 * i + 1, verdicts[r], cost, found);
			for (int s = 0; s < 2; s++)
			{
				verdicts[r][s].cost += cost[s] / n;
				verdicts[r][s].recall += found[s] / n;
				rewards[s][i] -= log(cost[s]) / contest->nrecalls;
			}
		}
	for (int r = 0; r < contest->nrecalls; r++)
		finds_less = finds_less ||
			verdicts[r][1].recall < Min(verdicts[r][0].recall,
										contest->recalls[r]) - RECALL_SLACK;
	return !finds_less &&
		tg_policy_accepts(rewards[1], rewards[0], n, margin);
}

/* ---------- time ---------- */

TgBudget
tg_budget_start(const Interval *interval)
{
	TgBudget	budget = {0};

	budget.start = GetCurrentTimestamp();
	budget.seconds = interval->time / (double) USECS_PER_SEC +
		(interval->day + 30.0 * interval->month) * SECS_PER_DAY;
	return budget;
}

double
tg_budget_spent(const TgBudget *budget)
{
	return (GetCurrentTimestamp() - budget->start) / (double) USECS_PER_SEC;
}

void
tg_budget_notice(TgBudget *budget, int candidates)
{
	double		spent = tg_budget_spent(budget);

	if (spent < budget->noticed + NOTICE_SECONDS)
		return;
	ereport(NOTICE,
			(errmsg("%d candidates measured in %.0f of %.0f s",
					candidates, spent, budget->seconds)));
	budget->noticed = spent;
}
