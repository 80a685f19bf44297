/*-------------------------------------------------------------------------
 *
 * builders.h
 *	  Graphs built in memory, by one thread or by a team of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BUILDERS_H
#define BUILDERS_H

#include <pthread.h>

#include "graph/construct.h"

typedef struct Builder
{
	const TgConstructParams *params;
	TgTeam		team;
	const float *vectors;
	TgConstructed *graph;
	pthread_t	thread;
} Builder;

static void
wait_for_all(void *arg)
{
	pthread_barrier_wait(arg);
}

static void *
run_builder(void *arg)
{
	Builder    *builder = arg;

	tg_construct(builder->params, &builder->team, builder->vectors,
				 builder->graph);
	return NULL;
}

/*
 * Build a graph; free it with free_graph().
 */
static TgConstructed
build_graph(const TgConstructParams *params, int degree, const float *vectors,
			int n, int members)
{
	Size		size = tg_constructed_size(degree, n);
	void	   *memory = malloc(size);
	TgConstructed graph = tg_constructed_at(memory, degree, n);
	Builder    *builders = calloc(members, sizeof(Builder));
	TgLock	   *locks = calloc(TG_TEAM_LOCKS, sizeof(TgLock));
	pthread_barrier_t barrier;

	/* What was in the memory before must not matter. */
	memset(memory, 0x5A, size);
	pthread_barrier_init(&barrier, NULL, members);
	for (int i = 0; i < TG_TEAM_LOCKS; i++)
		pthread_mutex_init(&locks[i], NULL);
	for (int i = 0; i < members; i++)
	{
		Builder    *builder = &builders[i];

		builder->params = params;
		builder->vectors = vectors;
		builder->graph = &graph;
		builder->team.leader = i == 0;
		if (members > 1)
		{
			builder->team.meet = wait_for_all;
			builder->team.arg = &barrier;
			builder->team.locks = locks;
		}
		if (i > 0)
			pthread_create(&builder->thread, NULL, run_builder, builder);
	}
	run_builder(&builders[0]);
	for (int i = 1; i < members; i++)
		pthread_join(builders[i].thread, NULL);
	pthread_barrier_destroy(&barrier);
	free(builders);
	free(locks);
	return graph;
}

static void
free_graph(TgConstructed *graph)
{
	free(graph->links);
}

#endif							/* BUILDERS_H */
