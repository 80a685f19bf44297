/*-------------------------------------------------------------------------
 *
 * test_construct.c
 *	  Graphs built in memory, against the promises of construct.h.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "builders.h"
#include "coarse_copies.h"
#include "sample.h"
#include "tap.h"

static const float *
vector_of(const TgConstructParams *params, const float *vectors, int n, uint32 id)
{
	return id == (uint32) n ? params->root : vectors + (Size) id * params->dims;
}

/*
 * Vertices reached from the root, by a walk of our own.
 */
static int
count_reached(const TgConstructed *graph)
{
	bool	   *seen = calloc(graph->n + 1, sizeof(bool));
	uint32	   *stack = malloc(sizeof(uint32) * (graph->n + 1));
	int			depth = 0;
	int			reached = 0;

	seen[graph->n] = true;
	stack[depth++] = graph->n;
	while (depth > 0)
	{
		uint32		id = stack[--depth];

		for (int i = 0; i < graph->counts[id]; i++)
		{
			uint32		next = tg_constructed_list(graph, id)[i].id;

			if (seen[next])
				continue;
			seen[next] = true;
			stack[depth++] = next;
			reached++;
		}
	}
	free(seen);
	free(stack);
	return reached;
}

/* Are all lists in order: valid, ascending, each once, not itself? */
static bool
lists_are_sound(const TgConstructed *graph, const TgConstructParams *params,
				const float *vectors)
{
	int			n = graph->n;
	int		   *seen_by = malloc(sizeof(int) * (n + 1));
	bool		good = true;

	for (int i = 0; i <= n; i++)
		seen_by[i] = -1;
	for (int id = 0; id <= n && good; id++)
	{
		const TgLink *list = tg_constructed_list(graph, id);
		const float *vector = vector_of(params, vectors, n, id);
		float		last = 0.0f;

		good &= graph->counts[id] <= graph->degree;
		for (int i = 0; i < graph->counts[id] && good; i++)
		{
			float		distance;

			if (list[i].id >= (uint32) n || (int) list[i].id == id ||
				seen_by[list[i].id] == id)
			{
				diag("vertex %d has neighbour %u at %d", id, list[i].id, i);
				good = false;
				break;
			}
			seen_by[list[i].id] = id;
			distance = tg_kernels->l2sq(vector,
										vectors + (Size) list[i].id * params->dims,
										params->dims);
			if (distance < last)
			{
				diag("vertex %d: neighbour %d is out of order", id, i);
				good = false;
			}
			last = distance;
		}
	}
	free(seen_by);
	return good;
}

/* Lists, other than the root's, that are shorter than they should be. */
static int
count_short(const TgConstructed *graph)
{
	int			full = Min(graph->degree, graph->n - 1);
	int			nshort = 0;

	for (int i = 0; i < graph->n; i++)
		nshort += graph->counts[i] != full;
	return nshort;
}

/* Is the first of the root's neighbours the vertex nearest to it? */
static bool
root_finds_nearest(const TgConstructed *graph, const TgConstructParams *params,
				   const float *vectors)
{
	uint32		first = tg_constructed_list(graph, graph->n)[0].id;
	float		distance = tg_kernels->l2sq(params->root, vectors +
											(Size) first * params->dims,
											params->dims);

	for (int i = 0; i < graph->n; i++)
		if (tg_kernels->l2sq(params->root, vectors + (Size) i * params->dims,
							 params->dims) < distance)
			return false;
	return true;
}

static bool
order_is_permutation(const TgConstructed *graph)
{
	uint32	   *order = malloc(sizeof(uint32) * graph->n + 1);
	bool	   *seen = calloc(graph->n + 1, sizeof(bool));
	bool		good = true;

	tg_graph_order(graph, order);
	for (int i = 0; i < graph->n && good; i++)
	{
		good = order[i] < (uint32) graph->n && !seen[order[i]];
		if (good)
			seen[order[i]] = true;
	}

	/* Breadth first: the root's own neighbours come at the head. */
	for (int i = 0; i < graph->counts[graph->n]; i++)
		good &= order[i] ==
			tg_constructed_list(graph, graph->n)[i].id;
	free(order);
	free(seen);
	return good;
}

static bool
same_graph(const TgConstructed *x, const TgConstructed *y)
{
	bool		same = x->n == y->n && x->degree == y->degree;

	for (int id = 0; same && id <= x->n; id++)
		same = x->counts[id] == y->counts[id] &&
			memcmp(tg_constructed_list(x, id), tg_constructed_list(y, id),
				   sizeof(TgLink) * x->counts[id]) == 0;
	return same;
}

/*
 * Build a graph around the mean of the vectors by one rule, and check all that
 * holds for any data.
 */
static void
check_graph_by(TgPruneRule rule, const char *data, const float *vectors, int n,
			   int dims, int degree, int ef, int members)
{
	float	   *root = calloc(dims, sizeof(float));
	TgConstructParams params = {
		.dims = dims,.ef = ef,.rule = rule,.root = root
	};
	char		name[100];
	TgConstructed graph;
	int			nshort;

	snprintf(name, sizeof(name), "%s, n %d, degree %d%s, %d built it", data, n,
			 degree, rule == TG_PRUNE_ANGLE ? ", by angle" : "", members);
	for (int j = 0; j < dims && n > 0; j++)
	{
		double		sum = 0.0;

		for (int i = 0; i < n; i++)
			sum += vectors[(Size) i * dims + j];
		root[j] = (float) (sum / n);
	}
	graph = build_graph(&params, degree, vectors, n, members);
	ok(graph.n == n && lists_are_sound(&graph, &params, vectors),
	   "%s: lists are sound", name);
	ok(count_reached(&graph) == n && tg_count_unreachable(&graph) == 0,
	   "%s: all is reachable", name);
	ok(graph.counts[n] == Min(degree, n) &&
	   (n == 0 || root_finds_nearest(&graph, &params, vectors)),
	   "%s: the root leads to the nearest", name);
	nshort = count_short(&graph);
	if (!ok(nshort == 0, "%s: lists are full", name))
		diag("%d of %d lists are short", nshort, n);
	ok(order_is_permutation(&graph), "%s: order", name);
	if (n <= 500 && members == 1)
	{
		TgConstructed again = build_graph(&params, degree, vectors, n, 1);

		ok(same_graph(&graph, &again), "%s: the same again", name);
		free_graph(&again);
	}
	free_graph(&graph);
	free(root);
}

/* By either rule, where that does not take long, and by one or a team. */
static void
check_graph(const char *data, const float *vectors, int n, int dims,
			int degree, int ef)
{
	check_graph_by(TG_PRUNE_RNG, data, vectors, n, dims, degree, ef, 1);
	check_graph_by(TG_PRUNE_RNG, data, vectors, n, dims, degree, ef, 4);
	if (n <= 1000)
		check_graph_by(TG_PRUNE_ANGLE, data, vectors, n, dims, degree, ef, 1);
}

static void
test_sizes(void)
{
	static const int counts[] = {0, 1, 2, 3, 5, 31, 32, 33, 34, 65, 500};
	float	   *vectors = sample_vectors(5000, 16);

	for (int i = 0; i < (int) lengthof(counts); i++)
	{
		check_graph("random", vectors, counts[i], 16, 32, 64);
		check_graph("random", vectors, counts[i], 16, 64, 40);
		check_graph("random", vectors, counts[i], 2, 4, 8);
	}
	check_graph("random", vectors, 5000, 16, 32, 64);
	check_graph("random", vectors, 400, 16, 256, 100);
	/* Little room: trees of paths take most links there are. */
	check_graph("random", vectors, 2000, 16, 2, 8);
	free(vectors);
}

static void
test_shapes(void)
{
	const int	dims = 12;
	const int	n = 1000;
	float	   *vectors;

	/* All at the same distance from all others. */
	vectors = calloc(200 * 200, sizeof(float));
	for (int i = 0; i < 200; i++)
		vectors[i * 200 + i] = 1.0f;
	check_graph("one-hot corners", vectors, 200, 200, 32, 64);
	free(vectors);

	/* A lattice: few different distances. */
	vectors = malloc(sizeof(float) * 1000 * 3);
	for (int i = 0; i < 1000; i++)
		for (int j = 0, rest = i; j < 3; j++, rest /= 10)
			vectors[i * 3 + j] = (float) (rest % 10);
	check_graph("lattice", vectors, 1000, 3, 32, 64);
	free(vectors);

	vectors = malloc(sizeof(float) * n * dims);
	for (int i = 0; i < n * dims; i++)
		vectors[i] = 2.5f;
	check_graph("equal vectors", vectors, n, dims, 32, 64);

	/* Sorted along a line, and the same backwards. */
	for (int i = 0; i < n * dims; i++)
		vectors[i] = (float) (i / dims);
	check_graph("sorted", vectors, n, dims, 32, 64);
	for (int i = 0; i < n * dims; i++)
		vectors[i] = -vectors[i];
	check_graph("sorted backwards", vectors, n, dims, 32, 64);
	free(vectors);

	/* Clusters smaller, and larger, than a list; far, and very far apart. */
	vectors = sample_clusters(n, dims, 100, 1000.0f);
	check_graph("100 clusters far apart", vectors, n, dims, 32, 64);
	free(vectors);
	vectors = sample_clusters(n, dims, 5, 1e6f);
	check_graph("5 clusters far apart", vectors, n, dims, 32, 64);
	check_graph("5 clusters far apart", vectors, n, dims, 8, 8);
	free(vectors);

	vectors = sample_vectors(n, dims);
	vectors[700 * dims] = 1e15f;
	check_graph("one outlier", vectors, n, dims, 32, 64);

	/* So far that its distances are infinite. */
	vectors[700 * dims] = 1e25f;
	check_graph("one beyond floats", vectors, n, dims, 32, 64);
	for (int i = 0; i < n; i += 3)
		vectors[i * dims + 1] = 1e25f * (float) i;
	check_graph("a third beyond floats", vectors, n, dims, 32, 64);
	free(vectors);
}

/*
 * Neighbours should be near: a greedy walk over the graph that always goes on
 * to the neighbour nearest to the target ends there.
 */
static void
test_walks(TgPruneRule rule, int members)
{
	const int	n = 2000;
	const int	dims = 12;
	float	   *vectors = sample_vectors(n, dims);
	float		root[12] = {0};
	TgConstructParams params = {
		.dims = dims,.ef = 100,.rule = rule,.root = root
	};
	TgConstructed graph = build_graph(&params, 32, vectors, n, members);
	int			arrived = 0;
	int			nearest_first = 0;

	for (int target = 0; target < n; target++)
	{
		const float *to = vectors + target * dims;
		uint32		at = n;
		double		distance = INFINITY;
		uint32		nearest = n;
		bool		moved = true;

		while (moved)
		{
			const TgLink *list = tg_constructed_list(&graph, at);
			int			count = graph.counts[at];

			moved = false;
			for (int i = 0; i < count; i++)
			{
				double		d = reference_l2sq(vectors + (Size) list[i].id * dims,
											   to, dims);

				if (d < distance)
				{
					distance = d;
					at = list[i].id;
					moved = true;
				}
			}
		}
		arrived += at == (uint32) target;

		distance = INFINITY;
		for (int i = 0; i < n && target < 300; i++)
		{
			double		d = reference_l2sq(vectors + (Size) i * dims, to, dims);

			if (i != target && d < distance)
			{
				distance = d;
				nearest = i;
			}
		}
		nearest_first += tg_constructed_list(&graph, target)[0].id == nearest;
	}
	if (!ok(arrived > n * 0.97, "greedy walks arrive, rule %d, %d built it",
			rule, members))
		diag("%d of %d", arrived, n);
	if (!ok(nearest_first >= 300 * 0.97, "the first neighbour is the nearest vertex, rule %d",
			rule))
		diag("%d of 300", nearest_first);

	/* The checks that others rely on must see what is wrong. */
	graph.counts[n] = 0;
	ok(tg_count_unreachable(&graph) == n, "without the root's links nothing is reachable");
	free_graph(&graph);
	free(vectors);
}

/* Lists that the rule makes of all other vertices. */
static int
count_by_rule(const TgConstructed *graph, const float *vectors, int dims,
			  TgPruneRule rule)
{
	int			n = graph->n;
	TgPruneCandidate *candidates = malloc(sizeof(TgPruneCandidate) * n);
	int			by_rule = 0;

	for (int id = 0; id < n; id++)
	{
		const TgLink *list = tg_constructed_list(graph, id);
		int			ncandidates = 0;
		bool		same;
		int			nkept;

		for (int i = 0; i < n; i++)
			if (i != id)
				candidates[ncandidates++] = (TgPruneCandidate)
				{
					.distance = tg_kernels->l2sq(vectors + i * dims,
												 vectors + id * dims, dims),
						.id = i,
						.vector = vectors + i * dims
				};
		nkept = tg_prune(rule, candidates, ncandidates, graph->degree,
						 graph->degree, dims, NULL);
		same = nkept == graph->counts[id];
		for (int i = 0; i < nkept && same; i++)
			same = candidates[i].id == list[i].id;
		by_rule += same;
	}
	free(candidates);
	return by_rule;
}

/*
 * The lists are by the rule asked for: where links from others were added, not
 * what it makes of all vertices, but sooner that than what the other does.
 */
static void
test_rules(void)
{
	const int	n = 150;
	const int	dims = 6;
	float	   *vectors = sample_vectors(n, dims);
	float		root[6] = {0};

	for (int rule = TG_PRUNE_RNG; rule <= TG_PRUNE_ANGLE; rule++)
	{
		TgConstructParams params = {
			.dims = dims,.ef = n,.rule = rule,.root = root
		};
		TgConstructed graph = build_graph(&params, 12, vectors, n, 1);
		int			own = count_by_rule(&graph, vectors, dims, rule);
		int			other = count_by_rule(&graph, vectors, dims,
										  TG_PRUNE_RNG + TG_PRUNE_ANGLE - rule);

		if (!ok(own > 2 * other,
				"lists are by the rule asked for, rule %d", rule))
			diag("%d by it, %d by the other", own, other);
		free_graph(&graph);
	}
	free(vectors);
}

/*
 * With coarse copies the graph is sound as without, and nearly the same: most
 * neighbours are.  Where copies tell nothing at all, it is the same.
 */
static void
check_coarse(const char *data, const float *vectors, int n, int dims,
			 bool told, int members)
{
	float	   *root = calloc(dims, sizeof(float));
	TgCoarse	coarse = make_copies(vectors, n, dims, root);
	TgConstructParams params = {.dims = dims,.ef = 64,.root = root};
	TgConstructed exact = build_graph(&params, 32, vectors, n, 1);
	TgConstructed graph;
	int			common = 0;

	params.coarse = coarse.step > 0.0f ? &coarse : NULL;
	graph = build_graph(&params, 32, vectors, n, members);
	ok(count_reached(&graph) == n && count_short(&graph) == 0 &&
	   root_finds_nearest(&graph, &params, vectors),
	   "%s, %d dimensions, coarse: all is reachable, lists are full", data, dims);
	for (int id = 0; id < n; id++)
		for (int i = 0; i < graph.counts[id]; i++)
			for (int j = 0; j < exact.counts[id]; j++)
				common += tg_constructed_list(&graph, id)[i].id ==
					tg_constructed_list(&exact, id)[j].id;
	if (!ok(told ? common > n * 32 * 0.9 && common < n * 32 :
			same_graph(&graph, &exact),
			"%s, %d dimensions, coarse: %s", data, dims,
			told ? "most neighbours are the same" : "the same graph"))
		diag("%d of %d", common, n * 32);
	free_graph(&graph);
	free_graph(&exact);
	free_copies(&coarse);
	free(root);
}

static void
test_coarse(void)
{
	const int	n = 1000;
	float	   *vectors = sample_vectors(n, 300);

	check_coarse("random", vectors, n, 64, true, 1);
	check_coarse("random", vectors, n, 300, true, 1);
	check_coarse("random", vectors, n, 300, true, 3);
	vectors[500 * 64 + 1] = 1e25f;
	check_coarse("one beyond floats", vectors, n, 64, true, 1);
	for (int i = 0; i < n * 64; i++)
		vectors[i] = 2.5f;
	check_coarse("equal vectors", vectors, n, 64, false, 1);
	free(vectors);

	vectors = sample_clusters(n, 64, 2, 1e4f);
	check_coarse("2 clusters far apart", vectors, n, 64, true, 1);
	free(vectors);
}

/* How far each stage is said to be. */
typedef struct Progress
{
	int64		done[TG_CONSTRUCT_FINISH + 1];
	bool		rises;
} Progress;

static void
note_progress(void *arg, TgConstructStage stage, int64 done)
{
	Progress   *progress = arg;

	progress->rises &= done >= progress->done[stage];
	if (stage == TG_CONSTRUCT_INSERT)
		progress->rises &= progress->done[TG_CONSTRUCT_FINISH] == 0;
	progress->done[stage] = done;
}

static void
test_progress(void)
{
	float	   *vectors = sample_vectors(1000, 4);
	float		root[4] = {0};
	Progress	progress = {.rises = true};
	TgConstructParams params = {
		.dims = 4,.ef = 32,.root = root,
		.progress = note_progress,.progress_arg = &progress
	};
	TgConstructed graph = build_graph(&params, 32, vectors, 1000, 1);

	ok(progress.rises && progress.done[TG_CONSTRUCT_INSERT] == 1000 &&
	   progress.done[TG_CONSTRUCT_FINISH] == 1000,
	   "progress rises up to the number of vertices, stage by stage");
	free_graph(&graph);
	free(vectors);
}

int
main(void)
{
	tg_kernels_select("auto");
	test_sizes();
	test_shapes();
	test_walks(TG_PRUNE_RNG, 1);
	test_walks(TG_PRUNE_RNG, 3);
	test_walks(TG_PRUNE_ANGLE, 1);
	test_rules();
	test_coarse();
	test_progress();
	return done_testing();
}
