/*-------------------------------------------------------------------------
 *
 * test_policy.c
 *	  The policy of togg_tune(): it finds what is best in planted problems, and
 *	  lets nothing pass that is no better.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include <math.h>

#include "tap.h"
#include "tune/policy.h"

#define GROUP		6
#define RUNS		100

static const int nchoices[] = {2, 3, 4};

/* The reward of a choice in a problem whose best is given, with noise. */
static double
reward_of(TgPolicy *noise, const TgProposal *proposal, const int *best,
		  double loudness)
{
	double		reward = 0;

	for (int knob = 0; knob < 3; knob++)
		reward -= 0.1 * abs(proposal->choice[knob] - best[knob]);
	return reward + loudness * (tg_policy_random(noise) - 0.5);
}

/* Learn for some steps; is the best preferred then? */
static bool
learns(uint64 seed, const int *best, double loudness, int steps)
{
	TgPolicy	policy;
	TgPolicy	noise;
	TgProposal	preferred;
	bool		right = true;

	tg_policy_init(&policy, 3, nchoices, seed);
	tg_policy_init(&noise, 0, NULL, ~seed);
	for (int step = 0; step < steps; step++)
	{
		TgProposal	group[GROUP];

		/* What all of a group have in common does not count. */
		double		common = 10 * tg_policy_random(&noise);

		for (int i = 0; i < GROUP; i++)
		{
			tg_policy_propose(&policy, &group[i]);
			group[i].reward = common + reward_of(&noise, &group[i], best,
												 loudness);
		}
		tg_policy_learn(&policy, group, GROUP);
	}
	tg_policy_preferred(&policy, &preferred);
	for (int knob = 0; knob < 3; knob++)
		right = right && preferred.choice[knob] == best[knob];
	return right;
}

static void
test_planted(const char *name, double loudness, int steps, int least)
{
	int			right = 0;

	for (int run = 0; run < RUNS; run++)
	{
		int			best[3] = {run % 2, run % 3, run % 4};

		right += learns(run + 1, best, loudness, steps);
	}
	if (!ok(right >= least, "%s: the best is found", name))
		diag("%d of %d", right, RUNS);
}

static void
test_proposals(void)
{
	TgPolicy	policy;
	TgPolicy	again;
	bool		same = true;
	bool		valid = true;
	int			seen[3][4] = {{0}};
	bool		all = true;

	tg_policy_init(&policy, 3, nchoices, 42);
	tg_policy_init(&again, 3, nchoices, 42);
	for (int i = 0; i < 1000; i++)
	{
		TgProposal	a;
		TgProposal	b;

		tg_policy_propose(&policy, &a);
		tg_policy_propose(&again, &b);
		for (int knob = 0; knob < 3; knob++)
		{
			same = same && a.choice[knob] == b.choice[knob];
			valid = valid && a.choice[knob] >= 0 &&
				a.choice[knob] < nchoices[knob];
			seen[knob][a.choice[knob]]++;
		}
	}
	for (int knob = 0; knob < 3; knob++)
		for (int c = 0; c < nchoices[knob]; c++)
			all = all && seen[knob][c] > 1000 / nchoices[knob] / 2;
	ok(same, "a seed repeats itself");
	ok(valid, "proposals are choices that there are");
	ok(all, "at first all are as likely");
}

/* Exemplars alone, with no advantage learnt, draw proposals their way. */
static void
test_contrast(void)
{
	TgPolicy	policy;
	int			best = 0;
	int			worst = 0;

	tg_policy_init(&policy, 3, nchoices, 7);
	policy.nbest = policy.nworst = 1;
	policy.best[0].choice[2] = 3;
	policy.worst[0].choice[2] = 1;
	for (int i = 0; i < 1000; i++)
	{
		TgProposal	proposal;

		tg_policy_propose(&policy, &proposal);
		best += proposal.choice[2] == 3;
		worst += proposal.choice[2] == 1;
	}
	ok(best > 400 && worst < 150 && worst > 0,
	   "proposals like the best and unlike the worst");
}

static void
test_equal(void)
{
	TgPolicy	policy;
	TgProposal	group[GROUP];
	bool		still = true;

	tg_policy_init(&policy, 3, nchoices, 3);
	for (int i = 0; i < GROUP; i++)
	{
		tg_policy_propose(&policy, &group[i]);
		group[i].reward = 5;
	}
	tg_policy_learn(&policy, group, GROUP);
	for (int knob = 0; knob < 3; knob++)
		for (int c = 0; c < nchoices[knob]; c++)
			still = still && policy.logits[knob][c] == 0;
	ok(still && policy.nbest == 0, "from equals nothing is learnt");
}

/* Does a candidate better by this much pass, of noise as large? */
static int
count_accepted(double better, double loudness)
{
	TgPolicy	noise;
	int			accepted = 0;

	tg_policy_init(&noise, 0, NULL, 11);
	for (int run = 0; run < RUNS; run++)
	{
		double		rewards[50];
		double		current[50];

		for (int i = 0; i < 50; i++)
		{
			current[i] = 3 * tg_policy_random(&noise);
			rewards[i] = current[i] + better +
				loudness * (tg_policy_random(&noise) - 0.5);
		}
		accepted += tg_policy_accepts(rewards, current, 50, 0.02);
	}
	return accepted;
}

int
main(void)
{
	test_proposals();
	test_contrast();
	test_equal();
	test_planted("plain", 0, 60, 95);
	test_planted("noise as large as a step", 0.1, 60, 90);
	test_planted("noise three times as large", 0.3, 150, 80);
	ok(count_accepted(-0.05, 0.5) == 0, "what is worse is kept out");
	ok(count_accepted(0, 0.5) <= 2, "so is what is as good");
	ok(count_accepted(0.01, 0.01) == 0, "and what is better by less than the margin");
	ok(count_accepted(0.05, 0.01) == RUNS, "what is better passes");
	ok(count_accepted(0.2, 0.5) >= 95, "even in noise");
	ok(!tg_policy_accepts((double[]) {1}, (double[]) {0}, 1, 0.02),
	   "one query proves nothing");
	return done_testing();
}
