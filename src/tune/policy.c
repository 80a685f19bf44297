/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  Learning which of some settings is rewarded most; see policy.h.
 *
 *-------------------------------------------------------------------------
 */
#include "tune/policy.h"

#include <math.h>

/* How far one group moves the logits of a choice. */
#define LEARNING_RATE		0.3

/* What being in all of the best, and none of the worst, adds to a logit. */
#define CONTRAST			1.0

/* No choice becomes less likely than this: the first few may be deceptive. */
#define LEAST_CHANCE		0.02

void
tg_policy_init(TgPolicy *policy, int nknobs, const int *nchoices, uint64 seed)
{
	memset(policy, 0, sizeof(TgPolicy));
	policy->nknobs = nknobs;
	for (int i = 0; i < nknobs; i++)
		policy->nchoices[i] = nchoices[i];
	policy->seed = seed;
}

void
tg_policy_favour(TgPolicy *policy, const TgProposal *proposal, double logit)
{
	for (int i = 0; i < policy->nknobs; i++)
		policy->logits[i][proposal->choice[i]] += logit;
}

/* SplitMix64. */
double
tg_policy_random(TgPolicy *policy)
{
	uint64		z = (policy->seed += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	z ^= z >> 31;
	return (double) (z >> 11) / (double) (UINT64_C(1) << 53);
}

/* Share of these proposals that have a knob at this choice. */
static double
share_of(const TgProposal *proposals, int n, int knob, int choice)
{
	int			count = 0;

	for (int i = 0; i < n; i++)
		count += proposals[i].choice[knob] == choice;
	return n > 0 ? (double) count / n : 0;
}

/*
 * Chances of a knob's choices.
 */
static void
chances_of(const TgPolicy *policy, int knob, double *chances)
{
	int			n = policy->nchoices[knob];
	double		largest = -INFINITY;
	double		sum = 0;

	for (int i = 0; i < n; i++)
	{
		chances[i] = policy->logits[knob][i] + CONTRAST *
			(share_of(policy->best, policy->nbest, knob, i) -
			 share_of(policy->worst, policy->nworst, knob, i));
		largest = Max(largest, chances[i]);
	}
	for (int i = 0; i < n; i++)
	{
		chances[i] = exp(chances[i] - largest);
		sum += chances[i];
	}
	for (int i = 0; i < n; i++)
		chances[i] = LEAST_CHANCE +
			(1 - n * LEAST_CHANCE) * chances[i] / sum;
}

void
tg_policy_propose(TgPolicy *policy, TgProposal *proposal)
{
	double		chances[TG_MAX_CHOICES];

	memset(proposal, 0, sizeof(TgProposal));
	for (int knob = 0; knob < policy->nknobs; knob++)
	{
		double		draw = tg_policy_random(policy);
		int			choice = 0;

		chances_of(policy, knob, chances);
		while (choice < policy->nchoices[knob] - 1 && draw >= chances[choice])
			draw -= chances[choice++];
		proposal->choice[knob] = choice;
	}
}

/* Put a proposal among those with the largest reward * sign. */
static void
keep_exemplar(TgProposal *kept, int *n, const TgProposal *proposal,
			  double sign)
{
	int			at = *n;

	while (at > 0 && sign * proposal->reward > sign * kept[at - 1].reward)
		at--;
	if (at == TG_EXEMPLARS)
		return;
	*n = Min(*n + 1, TG_EXEMPLARS);
	memmove(&kept[at + 1], &kept[at], sizeof(TgProposal) * (*n - 1 - at));
	kept[at] = *proposal;
}

void
tg_policy_learn(TgPolicy *policy, const TgProposal *group, int n)
{
	double		mean = 0;
	double		deviation = 0;
	double		chances[TG_MAX_CHOICES];

	for (int i = 0; i < n; i++)
		mean += group[i].reward / n;
	for (int i = 0; i < n; i++)
		deviation += (group[i].reward - mean) * (group[i].reward - mean) / n;
	deviation = sqrt(deviation);
	if (deviation == 0)
		return;

	for (int knob = 0; knob < policy->nknobs; knob++)
	{
		chances_of(policy, knob, chances);
		for (int i = 0; i < n; i++)
		{
			double		advantage = (group[i].reward - mean) / deviation;

			/* The gradient of the logarithm of the chance of this choice. */
			for (int c = 0; c < policy->nchoices[knob]; c++)
				policy->logits[knob][c] += LEARNING_RATE / n * advantage *
					((c == group[i].choice[knob]) - chances[c]);
		}
	}

	/* Exemplars have their advantage for a score, which groups share. */
	for (int i = 0; i < n; i++)
	{
		TgProposal	scored = group[i];

		scored.reward = (group[i].reward - mean) / deviation;
		keep_exemplar(policy->best, &policy->nbest, &scored, 1);
		keep_exemplar(policy->worst, &policy->nworst, &scored, -1);
	}
}

void
tg_policy_preferred(const TgPolicy *policy, TgProposal *proposal)
{
	memset(proposal, 0, sizeof(TgProposal));
	for (int knob = 0; knob < policy->nknobs; knob++)
		for (int c = 1; c < policy->nchoices[knob]; c++)
			if (policy->logits[knob][c] >
				policy->logits[knob][proposal->choice[knob]])
				proposal->choice[knob] = c;
}

bool
tg_policy_accepts(const double *rewards, const double *current, int n,
				  double margin)
{
	double		mean = 0;
	double		variance = 0;

	if (n < 2)
		return false;
	for (int i = 0; i < n; i++)
		mean += (rewards[i] - current[i]) / n;
	for (int i = 0; i < n; i++)
	{
		double		off = rewards[i] - current[i] - mean;

		variance += off * off / (n - 1);
	}
	return mean >= margin && mean > 3 * sqrt(variance / n);
}
