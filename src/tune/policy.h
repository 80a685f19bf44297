/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  Learning which of some settings is rewarded most.
 *
 * After CRINN (Li et al. 2025): a policy proposes groups of candidates, learns
 * from how each did relative to its group, and is drawn towards the best that
 * were seen and away from the worst.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_POLICY_H
#define TOGG_POLICY_H

#include "shim.h"

#define TG_MAX_KNOBS		6
#define TG_MAX_CHOICES		8
#define TG_MAX_GROUP		16
#define TG_EXEMPLARS		3

/* A choice for each knob, and what it came to. */
typedef struct TgProposal
{
	int			choice[TG_MAX_KNOBS];
	double		reward;
} TgProposal;

/*
 * A softmax over the choices of each knob, by itself.
 */
typedef struct TgPolicy
{
	int			nknobs;
	int			nchoices[TG_MAX_KNOBS];
	double		logits[TG_MAX_KNOBS][TG_MAX_CHOICES];

	/* Best and worst so far, best and worst first. */
	TgProposal	best[TG_EXEMPLARS];
	TgProposal	worst[TG_EXEMPLARS];
	int			nbest;
	int			nworst;
	uint64		seed;
} TgPolicy;

/* A policy that prefers nothing. */
extern void tg_policy_init(TgPolicy *policy, int nknobs, const int *nchoices,
						   uint64 seed);

/* Like some choices better than others from the start, by so much of a logit. */
extern void tg_policy_favour(TgPolicy *policy, const TgProposal *proposal,
							 double logit);

/* Propose a candidate. */
extern void tg_policy_propose(TgPolicy *policy, TgProposal *proposal);

/*
 * Learn from a group of candidates that were measured together: rewards of
 * different groups need not be comparable.
 */
extern void tg_policy_learn(TgPolicy *policy, const TgProposal *group, int n);

/* The choices that the policy prefers by now. */
extern void tg_policy_preferred(const TgPolicy *policy, TgProposal *proposal);

/* A number from 0 to 1, without 1. */
extern double tg_policy_random(TgPolicy *policy);

/*
 * Is a candidate better than what is in force?  rewards[i] and current[i] are
 * of the same query, one that neither was chosen by.  It must be better by the
 * margin on the average, and by more than three times the standard error of that.
 */
extern bool tg_policy_accepts(const double *rewards, const double *current,
							  int n, double margin);

#endif							/* TOGG_POLICY_H */
