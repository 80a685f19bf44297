/*-------------------------------------------------------------------------
 *
 * contest.h
 *	  Which of some ways to search is fastest at equal recall?
 *
 * Candidates are asked the same queries one right after the other, in an order
 * drawn anew each time, after a search that nobody's time is taken of: so
 * neither caches nor what else the machine does favours one of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_CONTEST_H
#define TOGG_CONTEST_H

#include "datatype/timestamp.h"
#include "utils/array.h"

#include "tune/policy.h"
#include "tune/questions.h"

/* The pools by which a candidate's recall is measured. */
#define TG_CONTEST_POOLS	12

/* Recalls that can be asked for, and rows. */
#define TG_MAX_RECALLS		16
#define TG_MAX_RANK			1000

/* What a search's work counts for where counters stand for the clock. */
typedef struct TgWork
{
	double		hop;
	double		page;
	double		distance;
	double		estimate;
} TgWork;

/* A candidate. */
typedef struct TgTrial
{
	IndexScanDesc scan;
	const TgQuestions *questions;	/* the same of all, if of other indexes */
	TgSearchSettings settings;
	TgWork		work;

	/* How it did with each pool, on the average of queries. */
	double		cost[TG_CONTEST_POOLS];
	double		recall[TG_CONTEST_POOLS];
} TgTrial;

typedef struct TgContest
{
	TgPolicy   *policy;			/* where chance comes from */
	bool		counted;		/* cost is work, not seconds */
	int			k;				/* rows that are asked for */
	int			nrecalls;		/* that are wanted */
	double		recalls[TG_MAX_RECALLS];
	double		distances[TG_MAX_RANK];
} TgContest;

/* How a candidate does at one recall, on queries held out. */
typedef struct TgVerdict
{
	int			ef;
	double		recall;
	double		cost;
} TgVerdict;

/* Set what is asked for from arguments of SQL; errors if that cannot be. */
extern void tg_contest_init(TgContest *contest, TgPolicy *policy,
							ArrayType *recalls, int k, bool counted);

/* Ask candidates the even questions. */
extern void tg_contest_run(TgContest *contest, TgTrial **trials, int n);

/*
 * Area under a candidate's curve of log speed by recall: the mean at the recalls
 * wanted.
 */
extern double tg_contest_reward(const TgContest *contest,
								const TgTrial *trial);

/*
 * Compare two candidates on the odd questions, which they were not chosen by, at
 * each recall wanted, by the ef that each took for it on the even ones.  Is the
 * second faster by a margin (of logarithms) that is no accident, and does it find
 * as much as the first, or as is wanted?
 */
extern bool tg_contest_judge(TgContest *contest, TgTrial **trials,
							 TgVerdict verdicts[][2], double margin);

/* ---------- time ---------- */

/* How long something may take, and when it was last told how far it is. */
typedef struct TgBudget
{
	TimestampTz start;
	double		seconds;
	double		noticed;
} TgBudget;

extern TgBudget tg_budget_start(const Interval *interval);

/* Seconds that it has taken so far. */
extern double tg_budget_spent(const TgBudget *budget);

/* Tell the client every few seconds how many candidates were measured. */
extern void tg_budget_notice(TgBudget *budget, int candidates);

#endif							/* TOGG_CONTEST_H */
