/*-------------------------------------------------------------------------
 *
 * test_reach.c
 *	  What can be reached, against a plain search; and that many small islands
 *	  are marked in time proportional to what they are.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/reach.h"

#include <time.h>

#include "sample.h"
#include "tap.h"

#define DEGREE		4
#define ISLANDS		400000

typedef struct Graph
{
	int			n;
	TgVertexId *links;			/* [n * DEGREE] */
} Graph;

/* Links of a vertex lead up to `width` further. */
static Graph
random_graph(int n, int width)
{
	Graph		graph = {n, tg_alloc(sizeof(TgVertexId) * n * DEGREE)};

	for (int i = 0; i < n * DEGREE; i++)
		graph.links[i] = (i / DEGREE + sample_below(width)) % n;
	return graph;
}

/* Go on from all that is pending; returns how many were followed. */
static int64
follow_all(TgReach *reach, const Graph *graph)
{
	TgVertexId	id;
	int64		n = 0;

	while (tg_reach_next(reach, &id))
	{
		tg_reach_follow(reach, id);
		for (int i = 0; i < DEGREE; i++)
			tg_reach_mark(reach, graph->links[id * DEGREE + i]);
		n++;
	}
	return n;
}

/* The same, the plain way. */
static void
flood(const Graph *graph, bool *reached, TgVertexId from)
{
	TgVertexId *queue = tg_alloc(sizeof(TgVertexId) * graph->n);
	int			head = 0;
	int			tail = 0;

	reached[from] = true;
	queue[tail++] = from;
	while (head < tail)
	{
		TgVertexId	id = queue[head++];

		for (int i = 0; i < DEGREE; i++)
		{
			TgVertexId	next = graph->links[id * DEGREE + i];

			if (!reached[next])
			{
				reached[next] = true;
				queue[tail++] = next;
			}
		}
	}
	tg_free(queue);
}

static void
test_against_flood(int n, int width)
{
	Graph		graph = random_graph(n, width);
	bool	   *expected = tg_alloc(n);
	TgReach		reach;
	int64		followed = 0;
	int			wrong = 0;
	int			total = 0;

	tg_reach_init(&reach, n);
	for (int i = 0; i < 5; i++)
	{
		TgVertexId	from = sample_below(n);

		/* As VACUUM does: lists are passed in order before, some of them reached. */
		tg_reach_mark(&reach, from);
		for (int id = 0; id < n; id += 1 + (int) sample_below(3))
			if (tg_reach_has(&reach, id))
			{
				tg_reach_follow(&reach, id);
				for (int j = 0; j < DEGREE; j++)
					tg_reach_mark(&reach, graph.links[id * DEGREE + j]);
			}
		followed += follow_all(&reach, &graph);
		flood(&graph, expected, from);
	}
	for (int id = 0; id < n; id++)
	{
		wrong += tg_reach_has(&reach, id) != expected[id];
		total += expected[id];
	}
	ok(wrong == 0 && followed <= total, "%d vertices, links up to %d: %d reached",
	   n, width, total);
	tg_free(expected);
	tg_free(reach.reached);
	tg_free(graph.links);
}

/* Each vertex is marked and gone on from by itself, and leads nowhere new. */
static void
test_islands(void)
{
	Graph		graph = {ISLANDS, tg_alloc(sizeof(TgVertexId) * ISLANDS * DEGREE)};
	TgReach		reach;
	int64		followed = 0;
	clock_t		start = clock();

	for (int i = 0; i < ISLANDS * DEGREE; i++)
		graph.links[i] = i / DEGREE;
	tg_reach_init(&reach, ISLANDS);
	for (int i = 0; i < ISLANDS; i++)
	{
		tg_reach_mark(&reach, i);
		followed += follow_all(&reach, &graph);
	}
	ok(followed == ISLANDS, "each of %d islands is followed", ISLANDS);

	/* All marks gone through for each takes 2.5e9 steps; this takes 1e6. */
	ok(clock() - start < CLOCKS_PER_SEC, "and none goes through all marks");
	tg_free(reach.reached);
	tg_free(graph.links);
}

int
main(void)
{
	TgReach		reach;

	test_against_flood(1, 1);
	test_against_flood(64, 3);
	test_against_flood(1000, 5);
	test_against_flood(100000, 2);
	test_against_flood(100000, 100000);
	test_islands();

	tg_reach_init(&reach, 10);
	tg_reach_mark(&reach, 1000);
	ok(reach.nstack == 0 && !tg_reach_has(&reach, 1000),
	   "an id beyond the last is let pass");
	tg_free(reach.reached);
	return done_testing();
}
