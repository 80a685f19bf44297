/*-------------------------------------------------------------------------
 *
 * test_search.c
 *	  Routing on graphs in memory, laid out in blocks as search.h describes.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "code/rotate.h"
#include "graph/cluster.h"
#include "builders.h"
#include "memory_graph.h"
#include "sample.h"
#include "tap.h"

/* ---- a graph of vectors, its queries and the search for them ---- */

typedef struct Sample
{
	int			n;				/* vectors; the root is vertex n */
	int			dims;
	int			bits;			/* 0: a graph without codes */
	float	   *vectors;		/* [n + 1][dims], the last is the root's */
	float	   *root_rotated;
	TgRotation	rotation;
	MemoryGraph *memory;
	TgScoreTable table;			/* of the current query */
} Sample;

/* Divide a list by the graph's guide; order receives the members. */
static void
sample_divide(Sample *sample, const float *rotated, const uint32 *list,
			  int count, int id, int nclusters, uint16 *order)
{
	int			dims = sample->dims;
	MemoryGraph *memory = sample->memory;
	TgDivision *division = &memory->divisions[id];
	float	   *vertex = sample->vectors + (Size) id * dims;
	const float *members[TG_MAX_DEGREE];
	float	   *scratch = malloc(sizeof(float) * TG_CLUSTER_SCRATCH(nclusters, dims));
	float	   *ranges = malloc(sizeof(float) * dims);
	bool		split = memory->graph.guide == TG_GUIDE_KDTREE;

	for (int i = 0; i < count; i++)
		members[i] = (split ? sample->vectors : rotated) + (Size) list[i] * dims;
	if (split)
	{
		tg_ranges(members, count, dims, ranges);
		memory->nclusters[id] = tg_split(vertex, members, count, dims, ranges,
										 100.0f, order, division);
		if (memory->nclusters[id] > 0)
			memory->split_at[id] = vertex[division->split.dim];
	}
	else
		memory->nclusters[id] = tg_cluster(members, count, dims, nclusters,
										   order, division, scratch);
	free(scratch);
	free(ranges);
}

static void
sample_list(Sample *sample, const float *rotated, const TgConstructed *graph,
			int id, int nclusters)
{
	int			dims = sample->dims;
	MemoryGraph *memory = sample->memory;
	uint32		list[TG_MAX_DEGREE];
	int			count = graph->counts[id];
	uint16		order[TG_MAX_DEGREE];
	float	   *residual = malloc(sizeof(float) * dims);
	float	   *centre = malloc(sizeof(float) * dims);
	uint8	   *levels = malloc(dims);
	const float *own = rotated + (Size) id * dims;

	for (int i = 0; i < count; i++)
		list[i] = tg_constructed_list(graph, id)[i].id;
	memory->degrees[id] = count;
	sample_divide(sample, rotated, list, count, id, nclusters, order);
	for (int j = 0; j < dims; j++)
		centre[j] = own[j] - sample->root_rotated[j];
	for (int i = 0; i < count; i++)
	{
		const float *member = rotated + (Size) list[order[i]] * dims;
		float		a = 0.0f;
		float		f = 0.0f;

		for (int j = 0; j < dims; j++)
			residual[j] = member[j] - own[j];
		if (sample->bits > 0)
			tg_encode(dims, sample->bits, residual, centre, levels, &a, &f);
		memory_link(memory, id, i, list[order[i]],
					sample->bits > 0 ? levels : NULL, sample->bits, a, f, false);
	}
	free(residual);
	free(centre);
	free(levels);
}

/* The root has no rows, as in an index. */
static Sample *
sample_create(int n, int dims, int bits, int degree, TgGuide guide,
			  int nclusters)
{
	Sample	   *sample = calloc(1, sizeof(Sample));
	float	   *rotated = malloc(sizeof(float) * dims * ((Size) n + 1));
	float	   *vectors = sample_clusters(n + 1, dims, 40, 1.0f);
	float	   *root = vectors + (Size) n * dims;
	TgConstructParams params = {
		.dims = dims,.ef = 100,.root = root
	};
	TgConstructed graph;

	memset(root, 0, sizeof(float) * dims);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < dims; j++)
			root[j] += vectors[(Size) i * dims + j] / n;

	sample->n = n;
	sample->dims = dims;
	sample->bits = bits;
	sample->vectors = vectors;
	tg_rotation_init(&sample->rotation, dims, 7,
					 malloc(tg_rotation_signs_size(dims)));
	for (int i = 0; i <= n; i++)
		tg_rotate(&sample->rotation, vectors + (Size) i * dims,
				  rotated + (Size) i * dims);
	sample->root_rotated = malloc(sizeof(float) * dims);
	memcpy(sample->root_rotated, rotated + (Size) n * dims,
		   sizeof(float) * dims);
	sample->table.entries = malloc(TG_TABLE_SIZE(dims));
	sample->memory = memory_create(n + 1, dims, degree,
								   TG_CODES_SIZE(dims, bits));
	sample->memory->vectors = vectors;
	sample->memory->graph.guide = guide;
	sample->memory->dead[n] = true;

	graph = build_graph(&params, degree, vectors, n, 1);
	for (int i = 0; i <= n; i++)
		sample_list(sample, rotated, &graph, i, nclusters);
	free_graph(&graph);
	free(rotated);
	return sample;
}

static void
sample_destroy(Sample *sample)
{
	memory_destroy(sample->memory);
	free(sample->rotation.signs);
	free(sample->root_rotated);
	free(sample->table.entries);
	free(sample->vectors);
	free(sample);
}

/* Ways to route. */
enum
{
	TWO_STAGE, WIDER, PUBLISHED, GUIDED, GREEDY, NWAYS
};

static const struct
{
	TgRouting	routing;
	int			stage1_width;
	const char *name;
}			ways[NWAYS] = {
	[TWO_STAGE] = {TG_ROUTING_TWO_STAGE, TG_DEFAULT_STAGE1_WIDTH, "two_stage"},
	[WIDER] = {TG_ROUTING_TWO_STAGE, 2, "two_stage of width 2"},
	[PUBLISHED] = {TG_ROUTING_TWO_STAGE, 0, "two_stage as published"},
	[GUIDED] = {TG_ROUTING_GUIDED, 1, "guided"},
	[GREEDY] = {TG_ROUTING_GREEDY, 1, "greedy"}
};

static TgSearchParams
search_params(int way, int ef)
{
	return (TgSearchParams)
	{
		ways[way].routing, ways[way].stage1_width, ef, 1, 1.1f, 0
	};
}

/* Run a search for the query from the root. */
static void
sample_search_with(Sample *sample, TgSearch *search, const float *query,
				   TgSearchParams params)
{
	float	   *rotated = malloc(sizeof(float) * sample->dims);

	tg_rotate(&sample->rotation, query, rotated);
	for (int j = 0; j < sample->dims; j++)
		rotated[j] -= sample->root_rotated[j];
	if (sample->bits > 0)
		tg_table_build(&sample->table, sample->dims, sample->bits, rotated);
	free(rotated);

	memory_reset(sample->memory);
	memset(&search->stats, 0, sizeof(search->stats));
	sample->memory->query = query;
	sample->memory->graph.query = query;
	tg_search_begin(search, &sample->memory->graph,
					sample->bits > 0 ? &sample->table : NULL, params);
	tg_search_add_entry(search, sample->memory->last_id - sample->n);
	tg_search_run(search);
}

static void
sample_search(Sample *sample, TgSearch *search, const float *query, int way,
			  int ef)
{
	sample_search_with(sample, search, query, search_params(way, ef));
}

/* A query near the data. */
static float *
sample_query(const Sample *sample)
{
	float	   *query = sample_vectors(1, sample->dims);
	const float *near = sample->vectors +
		(Size) sample_below(sample->n) * sample->dims;

	for (int j = 0; j < sample->dims; j++)
		query[j] = near[j] + 0.5f * query[j];
	return query;
}

/* How many of the k nearest with rows does the search return first? */
static int
count_found(const Sample *sample, TgSearch *search, const float *query, int k)
{
	double	   *distances = malloc(sizeof(double) * sample->n);
	bool	   *taken = calloc(sample->n, sizeof(bool));
	double		limit = 0.0;
	int			found = 0;
	TgResult	result;

	for (int i = 0; i < sample->n; i++)
		distances[i] = reference_l2sq(query, sample->vectors +
									  (Size) i * sample->dims, sample->dims);
	for (int rank = 0; rank < k; rank++)
	{
		int			nearest = -1;

		for (int i = 0; i < sample->n; i++)
			if (!taken[i] && !sample->memory->dead[i] &&
				(nearest < 0 || distances[i] < distances[nearest]))
				nearest = i;
		taken[nearest] = true;
		limit = distances[nearest];
	}
	for (int rank = 0; rank < k && tg_search_next(search, &result); rank++)
		found += result.distance * result.distance <= limit * (1.0 + 1e-5);
	free(distances);
	free(taken);
	return found;
}

/*
 * Take all results.  Each is returned once, in order, by its own number and
 * payload, and peek told it before.  Returns how many, or -1.
 */
static int
take_results(const MemoryGraph *memory, TgSearch *search, bool *returned)
{
	const TgResult *peeked;
	TgResult	result;
	double		last = 0.0;
	int			n = 0;

	while ((peeked = tg_search_peek(search)) != NULL)
	{
		TgResult	expected = *peeked;
		int			i;

		if (!tg_search_next(search, &result) || result.id != expected.id)
			return -1;
		i = (int) (memory->last_id - result.id);
		if (i < 0 || i >= memory->n || returned[i] || memory->dead[i] ||
			memory->gone[i] || result.payload != (uint64) i + 1 ||
			result.distance < last)
			return -1;
		returned[i] = true;
		last = result.distance;
		n++;
	}
	return tg_search_next(search, &result) ? -1 : n;
}

/* ---- what each routing does with a graph made for it ---- */

/*
 * A list with estimates of our choice, that of vertex 0, which is so far from
 * the query as key says; its neighbours have codes without a direction, so
 * that key + a is the distance that the search believes in.  The last vertex
 * is a door: all that its list has is vertex 0.  An entry's list is always
 * expanded whole, so it takes a door to see what stage 1 makes of vertex 0.
 */
typedef struct Handmade
{
	MemoryGraph *memory;
	TgScoreTable table;
	uint8		entries[TG_TABLE_ALIGN * TG_GROUP_CODES];
} Handmade;

static Handmade
handmade_create(float key, const float *estimates, int count, int bits)
{
	Handmade	handmade = {
		.memory = memory_create(count + 2, TG_GROUP_DIMS, TG_MAX_DEGREE,
								TG_CODES_SIZE(TG_GROUP_DIMS, bits)),
		.table = {.ngroups = 1,.nplanes = 1}
	};
	MemoryGraph *memory = handmade.memory;

	memory->keys[0] = key;
	memory->degrees[0] = count;
	memory->nclusters[0] = 1;
	for (int i = 0; i < count; i++)
	{
		memory_link(memory, 0, i, i + 1, NULL, bits, estimates[i] - key, 0.0f,
					false);
		memory->keys[i + 1] = estimates[i];
	}
	memory->degrees[count + 1] = 1;
	memory->nclusters[count + 1] = 1;
	memory_link(memory, count + 1, 0, 0, NULL, bits, key, 0.0f, false);
	return handmade;
}

/* Begin a search of so large a pool. */
static void
handmade_begin(Handmade *handmade, TgSearch *search, int way, int ef)
{
	handmade->table.entries = handmade->entries;
	memory_reset(handmade->memory);
	memset(&search->stats, 0, sizeof(search->stats));
	tg_search_begin(search, &handmade->memory->graph, &handmade->table,
					search_params(way, ef));
}

/* Does a search from the entry open these vertices, in this order? */
static bool
opens_in_order(Handmade *handmade, int way, int ef, int entry,
			   const int *expected, int n)
{
	MemoryGraph *memory = handmade->memory;
	TgSearch   *search = tg_search_create();
	bool		good;

	handmade_begin(handmade, search, way, ef);
	tg_search_add_entry(search, memory->last_id - entry);
	tg_search_run(search);
	good = memory->sound && memory->nopens == n &&
		memcmp(memory->opened, expected, sizeof(int) * n) == 0;
	if (!good)
		for (int i = 0; i < Min(memory->nopens, MAX_OPENED); i++)
			diag("opened %d", memory->opened[i]);
	tg_search_destroy(search);
	return good;
}

static void
test_stages(void)
{
	/* Representatives 1 and 2; of 1's cluster are 3 and 4, of 2's is 5. */
	static const float estimates[] = {1, 10, 5, 6, 0.5f};
	static const int greedy[] = {6, 0, 5, 1, 3, 4, 2};
	static const int guided[] = {6, 0, 1, 3, 4, 2};
	static const int entry[] = {0, 5, 1, 3, 4, 2};
	static const int published[] = {6, 0, 1, 3, 4, 2, 5};
	static const int few[] = {6, 0, 5, 1};
	Handmade	handmade = handmade_create(0.0f, estimates, 5, 1);
	MemoryGraph *memory = handmade.memory;

	memory->nclusters[0] = 2;
	memory->divisions[0].start[1] = 2;
	ok(opens_in_order(&handmade, GREEDY, 20, 6, greedy, 7),
	   "greedy takes the nearest of the whole list");

	/* Vertex 5 is no representative, and not of vertex 1's cluster. */
	ok(opens_in_order(&handmade, GUIDED, 20, 6, guided, 6),
	   "guided takes the representatives and the nearest one's cluster");

	/*
	 * Stage 1 expands vertex 0 in part.  That brings nothing nearer than
	 * vertex 0 itself, so stage 1 is over, and stage 2 begins with the rest,
	 * for which vertex 0 is not expanded again.
	 */
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 6, greedy, 7),
	   "two_stage takes the rest, too");

	ok(opens_in_order(&handmade, PUBLISHED, 20, 6, published, 7),
	   "of width 0, stage 1 expands all of the pool, and stage 2 what it left out");

	/* Of 0, 1 and 3 in the pool, 5 turns 3 out. */
	ok(opens_in_order(&handmade, TWO_STAGE, 3, 6, few, 4),
	   "of a small pool, what fell out is not expanded");

	/* With vertex 0 as the entry, vertex 5 is not left out. */
	ok(opens_in_order(&handmade, GUIDED, 20, 0, entry, 6),
	   "guided expands an entry whole");
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 0, entry, 6),
	   "two_stage expands an entry whole, and once");

	/*
	 * Vertex 5 came after the list was divided: stage 1 takes it with the
	 * cluster.
	 */
	memory_link(memory, 0, 4, 5, NULL, 1, 0.5f, 0.0f, true);
	ok(opens_in_order(&handmade, GUIDED, 20, 6, greedy, 7),
	   "guided considers stale neighbours");
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 6, greedy, 7),
	   "two_stage takes stale neighbours once");

	/* An undivided list has no first part. */
	memory->nclusters[0] = 1;
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 6, greedy, 7),
	   "a list of one cluster is expanded once");
	memory_destroy(memory);
}

/*
 * Two divided lists.  Vertex 0, at 10, has 1 with 3, 4 and 2 with 5, of which
 * stage 1 leaves out 5, at 12.  Vertex 1 has 6 alone and 4 with 7, of which it
 * leaves out 7.  Vertex 8 is the door.
 */
static Handmade
two_lists_create(float estimate_of_1, float estimate_of_7)
{
	const float estimates[] = {
		estimate_of_1, 22, 20, 21, 12, 11, estimate_of_7
	};
	Handmade	handmade = handmade_create(10.0f, estimates, 7, 1);
	MemoryGraph *memory = handmade.memory;
	const int	list[] = {6, 4, 7};

	memory->degrees[0] = 5;
	memory->nclusters[0] = 2;
	memory->divisions[0].start[1] = 2;
	memory->degrees[1] = lengthof(list);
	memory->nclusters[1] = 2;
	for (int i = 0; i < (int) lengthof(list); i++)
		memory_link(memory, 1, i, list[i], NULL, 1,
					memory->keys[list[i]] - estimate_of_1, 0.0f, false);
	return handmade;
}

static void
test_stage_end(void)
{
	static const int stays[] = {8, 0, 5, 1, 6, 7, 3, 4, 2};
	static const int goes_on[] = {8, 0, 1, 6, 7, 5, 3, 4, 2};
	static const int published[] = {8, 0, 1, 6, 3, 4, 2, 7, 5};
	Handmade	handmade = two_lists_create(15.0f, 11.5f);

	/*
	 * Vertex 0 is expanded, and nothing is nearer: stage 1 is over.  So
	 * vertex 1 is stage 2's, which expands its list whole.
	 */
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 8, stays, 9),
	   "stage 1 ends when the nearest candidate is expanded");

	/* Of width 2 it goes on with vertex 1, and with 6, which is nearer. */
	ok(opens_in_order(&handmade, WIDER, 20, 8, goes_on, 9),
	   "stage 1 ends when the two nearest candidates are expanded");
	ok(opens_in_order(&handmade, PUBLISHED, 20, 8, published, 9),
	   "stage 1 ends when all candidates are expanded");
	memory_destroy(handmade.memory);

	/*
	 * Vertex 1 is nearer than vertex 0, so stage 1 goes on there, in part.
	 * Stage 2 takes what was left out of both.
	 */
	handmade = two_lists_create(1.0f, 11.5f);
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 8, goes_on, 9),
	   "stage 1 goes on as long as the nearest candidate is not expanded");
	memory_destroy(handmade.memory);
}

/*
 * Stage 2 takes of what stage 1 left out only what can still enter the pool.
 * Stage 1 ends with a pool of 1, 0, 6, 3, whose limit is 3's estimate, 20, and
 * has left out 5, at 12, and 7.
 */
static void
test_left_out(void)
{
	static const struct
	{
		float		estimate_of_7;
		int			expected[5];
		const char *name;
	}			cases[] = {
		{11.5f, {8, 0, 1, 6, 7}, "the nearer one turns the other out"},
		{12.0f, {8, 0, 1, 6, 5}, "of as near ones the first stays"},
		{12.5f, {8, 0, 1, 6, 5}, "the farther one does not come in"},
		{20.0f, {8, 0, 1, 6, 5}, "one beyond the pool does not come in"},
	};

	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		Handmade	handmade = two_lists_create(1.0f, cases[i].estimate_of_7);

		ok(opens_in_order(&handmade, TWO_STAGE, 4, 8, cases[i].expected, 5),
		   "of what stage 1 left out, %s", cases[i].name);
		memory_destroy(handmade.memory);
	}
}

/* Lists of every length. */
static void
test_lists(int bits)
{
	float		estimates[TG_MAX_DEGREE];
	int			lengths[] = {0, 1, 31, 32, 33, 63, 64, 65, 96, 255, 256};

	for (int i = 0; i < TG_MAX_DEGREE; i++)
		estimates[i] = (float) (i + 1);
	for (int l = 0; l < (int) lengthof(lengths); l++)
	{
		int			length = lengths[l];
		Handmade	handmade = handmade_create(0.0f, estimates, length, bits);
		MemoryGraph *memory = handmade.memory;
		bool		good = true;

		/* What stands behind the end of the list is nobody's business. */
		for (int i = length; i < (length + 31) / 32 * 32; i++)
			memory_link(memory, 0, i, 100000, NULL, bits, 0.1f, 0.0f, true);
		for (int w = 0; w < NWAYS; w++)
		{
			TgSearch   *search = tg_search_create();
			bool	   *returned = calloc(length + 1, sizeof(bool));
			int			visits = bits > 0 ? 0 : length;

			handmade_begin(&handmade, search, w, 1000);
			tg_search_add_entry(search, memory->last_id);
			tg_search_run(search);

			/* The entry; without codes all its neighbours; and them again. */
			for (int i = 0; i < Min(memory->nopens, MAX_OPENED); i++)
				good &= memory->opened[i] == (i <= length ? i : i - visits);
			good &= memory->nopens == 1 + visits + length && memory->sound &&
				take_results(memory, search, returned) == length + 1 &&
				search->stats.estimates ==
				(bits > 0 ? (uint64) (length + 31) / 32 * 32 : 0);
			tg_search_destroy(search);
			free(returned);
		}
		ok(good, "a list of %d neighbours, %d bits", length, bits);
		memory_destroy(memory);
	}
}

/*
 * Clusters of lanes [3, 33), [33, 73) and [73, 100) and one of the first three
 * each, which begin and end inside blocks; the second one's representative is
 * the nearest.
 */
static void
test_clusters(void)
{
	float		estimates[100];
	int			expected[45] = {101, 0, 2, 1, 3};
	bool		good = true;
	Handmade	handmade;
	MemoryGraph *memory;

	for (int i = 0; i < 100; i++)
		estimates[i] = i == 0 ? 1.0f : i == 1 ? 0.5f : (float) (i + 50);
	handmade = handmade_create(0.0f, estimates, 100, 1);
	memory = handmade.memory;
	memory->nclusters[0] = 3;
	memory->divisions[0].start[1] = 30;
	memory->divisions[0].start[2] = 70;

	/* The representatives, and the rest of the second cluster. */
	for (int i = 34; i <= 73; i++)
		expected[i - 29] = i;
	ok(opens_in_order(&handmade, GUIDED, 1000, 101, expected, 45),
	   "a cluster that begins and ends inside blocks");

	/*
	 * The pool of five is 0, 2, 1, 3, 34: 34 is at 83.  Whatever lane is the
	 * only one left out below that, stage 2 takes it and 34 falls out.
	 */
	for (int i = 0; i < 100; i++)
		memory_link(memory, 0, i, i + 1, NULL, 1,
					i < 3 || (i >= 33 && i < 73) ? estimates[i] : 90.0f, 0.0f,
					false);
	{
		const int	without[] = {101, 0, 2, 1, 3, 34};

		ok(opens_in_order(&handmade, TWO_STAGE, 5, 101, without, 6),
		   "no lane left out is near enough for the pool");
	}
	for (int i = 3; i < 100; i++)
	{
		const int	with[] = {101, 0, 2, 1, i + 1, 3};

		if (i >= 33 && i < 73)
			continue;
		memory_link(memory, 0, i, i + 1, NULL, 1, 2.0f, 0.0f, false);
		good &= opens_in_order(&handmade, TWO_STAGE, 5, 101, with, 6);
		memory_link(memory, 0, i, i + 1, NULL, 1, 90.0f, 0.0f, false);
	}
	ok(good, "any lane left out comes in if it is near enough");
	memory_destroy(memory);
}

/*
 * A k-d split of vertex 0's list at 1 on dimension 2, with a band of 0.5:
 * vertices 1 to 40 are on the left, 41 to 50 common, the others on the right.
 */
static void
test_sides(int bits)
{
	static const struct
	{
		float		at;			/* the query's place on the dimension */
		int			first;		/* vertex of its side */
		int			last;
		const char *name;
	}			cases[] = {
		{0.4f, 1, 50, "left"},
		{0.5f, 41, 50, "at the band's left end"},
		{1.0f, 41, 50, "in the band"},
		{1.5f, 41, 50, "at the band's right end"},
		{1.6f, 41, 100, "right"},
	};
	float		estimates[100];
	float		query[TG_GROUP_DIMS] = {7.0f, -7.0f, 0.0f, 7.0f};
	Handmade	handmade;
	MemoryGraph *memory;
	TgSearch   *search = tg_search_create();

	for (int i = 0; i < 100; i++)
		estimates[i] = (float) (i + 1);
	handmade = handmade_create(0.0f, estimates, 100, bits);
	memory = handmade.memory;
	memory->graph.guide = TG_GUIDE_KDTREE;
	memory->graph.query = query;
	memory->nclusters[0] = 2;
	memory->split_at[0] = 1.0f;
	memory->divisions[0].split.common = 40;
	memory->divisions[0].split.right = 50;
	memory->divisions[0].split.dim = 2;
	memory->divisions[0].split.band = 0.5f;
	for (int c = 0; c < (int) lengthof(cases); c++)
	{
		bool		good = true;

		query[2] = cases[c].at;
		handmade_begin(&handmade, search, GUIDED, 1000);
		tg_search_add_entry(search, memory->last_id - 101);
		tg_search_run(search);
		for (int i = 1; i <= 100; i++)
			good &= (memory->opens[i] > 0) ==
				(i >= cases[c].first && i <= cases[c].last);
		ok(good && memory->sound && search->stats.stage1_hops == 1,
		   "guided takes the query's side of a split, %s, %d bits",
		   cases[c].name, bits);

		handmade_begin(&handmade, search, TWO_STAGE, 1000);
		tg_search_add_entry(search, memory->last_id - 101);
		tg_search_run(search);
		good = true;
		for (int i = 0; i <= 101; i++)
			good &= memory->distances[i] == 1;
		ok(good && memory->sound, "two_stage takes the rest, %s, %d bits",
		   cases[c].name, bits);
	}
	tg_search_destroy(search);
	memory_destroy(memory);
}

/*
 * Without codes a neighbour is opened to be judged, and again to be expanded.
 */
static void
test_plain_stages(void)
{
	/* The lists of test_stages(). */
	static const float estimates[] = {1, 10, 5, 6, 0.5f};
	static const int greedy[] = {6, 0, 0, 1, 2, 3, 4, 5, 5, 1, 3, 4, 2};
	static const int guided[] = {6, 0, 0, 1, 2, 3, 4, 1, 3, 4, 2};
	static const int entry[] = {0, 1, 2, 3, 4, 5, 5, 1, 3, 4, 2};
	static const int two_stage[] = {6, 0, 0, 1, 2, 3, 4, 0, 5, 5, 1, 3, 4, 2};
	static const int published[] = {6, 0, 0, 1, 2, 3, 4, 1, 3, 4, 2, 0, 5, 5};
	static const int other[] = {6, 0, 2, 0, 1, 5, 2, 5, 1};
	static const int gone[] = {6, 0, 0, 1, 2, 5, 0, 3, 4, 5, 3, 2};
	Handmade	handmade = handmade_create(0.0f, estimates, 5, 0);
	MemoryGraph *memory = handmade.memory;
	TgSearch   *search = tg_search_create();
	bool		returned[7] = {false};

	memory->nclusters[0] = 2;
	memory->divisions[0].start[1] = 2;
	ok(opens_in_order(&handmade, GREEDY, 20, 6, greedy, 13),
	   "without codes, greedy visits the whole list");
	ok(opens_in_order(&handmade, GUIDED, 20, 6, guided, 11),
	   "without codes, guided visits the representatives and the nearest one's cluster");
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 6, two_stage, 14),
	   "without codes, two_stage goes back for the rest");
	ok(opens_in_order(&handmade, PUBLISHED, 20, 6, published, 14),
	   "without codes and of width 0, stage 1 expands all of the pool");
	ok(opens_in_order(&handmade, GUIDED, 20, 0, entry, 11),
	   "without codes, guided expands an entry whole");

	/* What stage 1 left out is a result, though the pool has no room for it. */
	memory->keys[5] = 7.0f;
	handmade_begin(&handmade, search, TWO_STAGE, 3);
	tg_search_add_entry(search, memory->last_id - 6);
	tg_search_run(search);
	ok(take_results(memory, search, returned) == 7 && search->pool_size == 3 &&
	   memory->opens[5] == 1,
	   "without codes, what is visited is a result, the entry too");
	tg_search_index_expanded(search);
	ok(tg_search_was_expanded(search, memory->last_id - 5),
	   "without codes, what is visited counts as expanded");
	memory->keys[5] = 0.5f;

	memory->gone[1] = memory->gone[4] = true;
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 6, gone, 12),
	   "without codes, a representative that is gone is not the nearest");
	memory->gone[1] = memory->gone[4] = false;

	/* The door leads to vertex 2, too, which is now the nearest. */
	memory->keys[2] = 0.25f;
	memory->degrees[6] = 2;
	memory_link(memory, 6, 1, 2, NULL, 0, 0.0f, 0.0f, false);
	ok(opens_in_order(&handmade, GUIDED, 20, 6, other, 9),
	   "without codes, a representative that was visited before can be the nearest");
	memory->keys[2] = 10.0f;
	memory->degrees[6] = 1;

	memory_link(memory, 0, 4, 5, NULL, 0, 0.0f, 0.0f, true);
	ok(opens_in_order(&handmade, GUIDED, 20, 6, greedy, 13),
	   "without codes, guided considers stale neighbours");
	memory->nclusters[0] = 1;
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 6, greedy, 13),
	   "without codes, a list of one cluster is expanded once");

	tg_search_destroy(search);
	memory_destroy(memory);
}

static void
test_odd_graphs(void)
{
	static const float estimates[] = {1, INFINITY, 3, NAN, 3, -2};
	static const int expected[] = {0, 6, 1, 3, 5};
	static const int without[] = {0, 6, 1, 3, 5};
	Handmade	handmade = handmade_create(0.0f, estimates, 6, 1);
	MemoryGraph *memory = handmade.memory;
	TgSearch   *search;
	bool		returned[7] = {false};

	for (int i = 0; i < 7; i++)
		memory->keys[i] = (float) i;
	ok(opens_in_order(&handmade, GREEDY, 20, 0, expected, 5),
	   "infinite estimates and NaNs are not followed, equal ones in order");

	memory->gone[3] = true;
	memory->dead[6] = true;
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 0, without, 5),
	   "vertices that are gone do not stop a search");
	memory->gone[0] = true;
	ok(opens_in_order(&handmade, TWO_STAGE, 20, 0, without, 1),
	   "nor does an entry that is gone");
	memory->gone[0] = false;

	search = tg_search_create();
	handmade_begin(&handmade, search, TWO_STAGE, 5);
	tg_search_run(search);
	ok(tg_search_peek(search) == NULL && take_results(memory, search, returned) == 0,
	   "no entry, no result");

	/* The same entry twice, and one that is another's neighbour. */
	handmade_begin(&handmade, search, TWO_STAGE, 10);
	tg_search_add_entry(search, memory->last_id);
	tg_search_add_entry(search, memory->last_id);
	tg_search_add_entry(search, memory->last_id - 1);
	tg_search_run(search);
	ok(take_results(memory, search, returned) == 3 && memory->sound &&
	   memory->nopens == 5, "entries are expanded once");
	tg_search_index_expanded(search);
	ok(tg_search_was_expanded(search, memory->last_id) &&
	   tg_search_was_expanded(search, memory->last_id - 6) &&
	   !tg_search_was_expanded(search, memory->last_id - 2) &&
	   !tg_search_was_expanded(search, memory->last_id - 3),
	   "a vertex that was gone does not count as expanded");
	tg_search_destroy(search);
	memory_destroy(memory);
}

/*
 * A pool of one walks on from its entry: the entry, which has no rows, must
 * not be all it ever holds.
 */
static void
test_pool_of_one(void)
{
	static const float estimates[] = {4, 3, 5};
	Handmade	handmade = handmade_create(10.0f, estimates, 3, 1);
	MemoryGraph *memory = handmade.memory;
	TgSearch   *search = tg_search_create();
	bool		returned[4] = {false};

	memory->dead[0] = true;
	for (int w = 0; w < NWAYS; w++)
	{
		TgResult	result;

		handmade_begin(&handmade, search, w, 1);
		tg_search_add_entry(search, memory->last_id);
		tg_search_run(search);
		ok(tg_search_next(search, &result) && result.payload == 3,
		   "a pool of one finds the nearest neighbour, %s", ways[w].name);
	}

	/* More entries than the pool holds: as many as it does are expanded. */
	handmade_begin(&handmade, search, GREEDY, 2);
	for (int i = 1; i < 4; i++)
		tg_search_add_entry(search, memory->last_id - i);
	tg_search_run(search);
	ok(memory->sound && take_results(memory, search, returned) >= 2,
	   "more entries than the pool holds");
	tg_search_destroy(search);
	memory_destroy(memory);
}

/* ---- searches of a sample ---- */

#define QUERIES		40

/* What the pool of a search that has run turns away. */
static float
pool_limit(const TgSearch *search)
{
	const TgCandidate *pool = search->pool;
	float		limit = search->pool_size < search->ef * search->growth ?
		INFINITY : pool[search->pool_size - 1].key;

	if (search->pool_size >= search->ef)
		limit = fminf(limit, fmaxf(pool[search->ef - 1].key, search->slack *
								   pool[(search->ef - 1) / 2].key));
	return limit;
}

/* Has all been expanded that is within the limit? */
static bool
pool_is_done(const TgSearch *search)
{
	return search->cursor == search->pool_size ||
		search->cursor == search->ef * search->growth ||
		search->pool[search->cursor].key > pool_limit(search);
}

/*
 * Has the search, just run, seen all that a neighbour of an expanded vertex could
 * enter the pool by?  Until the expanded ones are indexed, the set looked into
 * holds all that ever entered the pool, or without codes all that was visited.
 */
static bool
pool_is_complete(const Sample *sample, const TgSearch *search)
{
	MemoryGraph *memory = sample->memory;
	float		limit = pool_limit(search);

	for (int c = 0; c < search->cursor; c++)
	{
		TgVertexId	id = search->pool[c].id;
		TgVertexView view;
		TgResult	result;
		float		key;
		bool		live;
		bool		complete = true;

		if (!memory->graph.open(&memory->graph, id, &view))
			continue;
		key = memory->graph.distance(&memory->graph, &view, &result, &live);
		for (int i = 0; i < view.degree; i++)
		{
			TgBlockView block = tg_view_block(&memory->graph.shape, &view,
											  i / TG_BLOCK_LANES);
			int			lane = i % TG_BLOCK_LANES;
			float		estimates[TG_BLOCK_LANES];
			uint32		near = UINT32_MAX;

			if (sample->bits > 0)
				near = tg_kernels->score(&sample->table, block.codes, block.a,
										 block.f, key, limit, estimates);
			complete &= (near >> lane & 1) == 0 ||
				tg_search_was_expanded(search, block.ids[lane]);
		}
		memory->graph.close(&memory->graph);
		if (!complete)
			return false;
	}
	return true;
}

/* What a search, just run, did with the vertices. */
typedef struct Work
{
	uint64		met;			/* vertices whose distance was computed */
	uint64		expanded;		/* vertices that were expanded */
	uint64		again;			/* of these, twice */
	bool		sparing;		/* nothing done more often than needed */
} Work;

/*
 * Without codes a vertex is opened once to be judged, but for the entry, and
 * expanded again if stage 1 did it in part.  No distance is computed twice.
 */
static Work
work_done(const Sample *sample, int way)
{
	const MemoryGraph *memory = sample->memory;
	Work		work = {.sparing = memory->opens[sample->n] == 1};

	for (int i = 0; i < memory->n; i++)
	{
		bool		judged = sample->bits == 0 && i != sample->n &&
			memory->opens[i] > 0;
		int			expansions = memory->opens[i] - judged;
		bool		divided = memory->nclusters[i] > 1;

		work.met += memory->distances[i] > 0;
		work.expanded += expansions > 0;
		work.again += expansions > 1;
		work.sparing &= expansions <=
			(ways[way].routing == TG_ROUTING_TWO_STAGE && divided &&
			 sample->bits == 0 ? 2 : 1);
		work.sparing &= memory->distances[i] == (memory->opens[i] > 0);
	}
	return work;
}

static void
test_recall(int dims, int bits, int degree, TgGuide guide)
{
	Sample	   *sample = sample_create(1500, dims, bits, degree, guide, 3);
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;
	uint64		evaluated[NWAYS] = {0};
	char		graph[100];

	snprintf(graph, sizeof(graph), "%d dimensions, %d bits, degree %d%s", dims,
			 bits, degree, guide == TG_GUIDE_KDTREE ? ", k-d tree" : "");
	for (int w = 0; w < NWAYS; w++)
	{
		const char *name = ways[w].name;
		bool		two_stage = ways[w].routing == TG_ROUTING_TWO_STAGE;
		int			found = 0;
		bool		sound = true;
		bool		parts = true;
		bool		results = true;
		bool		counts = true;
		bool		complete = true;
		uint64		stage1 = 0;
		uint64		back = 0;

		for (int q = 0; q < QUERIES; q++)
		{
			float	   *query = sample_query(sample);
			bool	   *returned = calloc(memory->n, sizeof(bool));
			TgSearchStats *stats = &search->stats;
			Work		work;
			int			taken;

			sample_search(sample, search, query, w, 120);
			work = work_done(sample, w);

			/* What is expanded again was expanded in stage 1, in part. */
			parts &= work.sparing &&
				(!two_stage || (stats->stage1_hops > 0 &&
								stats->stage1_hops < stats->hops &&
								work.again <= stats->stage1_hops));
			stage1 += stats->stage1_hops;
			back += work.again;
			evaluated[w] += work.met;
			counts &= stats->hops == work.expanded + work.again &&
				stats->distances == (bits > 0 ? stats->hops : work.met) &&
				stats->estimates == (bits > 0 ? stats->hops * degree : 0) &&
				(w != GREEDY || stats->stage1_hops == 0) &&
				stats->widenings == 0;
			sound &= memory->sound && memory->open_vertex < 0;
			complete &= w == GUIDED || pool_is_complete(sample, search);

			taken = count_found(sample, search, query, 10);
			found += taken;
			taken = take_results(memory, search, returned);
			results &= taken >= 0 && taken + 10 + 1 == (int) work.met;
			free(returned);
			free(query);
		}
		if (!ok(found >= (w == GUIDED ? 0.8 : 0.95) * QUERIES * 10,
				"recall@10 of %s, %s", name, graph))
			diag("recall %g", found / (QUERIES * 10.0));
		ok(sound, "%s opens and closes one vertex at a time, %s", name, graph);
		ok(parts, "%s expands no part twice, and the entry whole, %s", name,
		   graph);

		if (bits == 0 && two_stage &&
			!ok(back > 0, "%s goes back to lists for the rest, %s", name, graph))
			diag("%lu of %lu", (long) back, (long) stage1);
		if (w != GUIDED)
			ok(complete, "%s leaves nothing out that could enter the pool, %s",
			   name, graph);
		ok(counts, "%s counts what it does, %s", name, graph);
		ok(results, "%s returns each vertex it met once, in order, %s", name,
		   graph);
	}
	if (!ok(evaluated[GUIDED] < 0.9 * evaluated[GREEDY] || bits > 0,
			"without codes guided computes fewer distances, %s", graph))
		diag("%lu of %lu", (long) evaluated[GUIDED], (long) evaluated[GREEDY]);
	tg_search_destroy(search);
	sample_destroy(sample);
}

/*
 * Without codes there is no estimate to go wrong: a pool for all has all in the
 * order of brute force, and widening computes no distance again.
 */
static void
test_plain_order(Sample *sample)
{
	MemoryGraph *memory = sample->memory;
	TgSearch   *search = tg_search_create();

	for (int w = 0; w < NWAYS; w++)
	{
		float	   *query = sample_query(sample);
		bool		same = true;
		bool		once = true;
		TgResult	result;

		/* Guided routing leaves some out until the pool is widened. */
		sample_search(sample, search, query, w, w == GUIDED ? 8 : 2 * sample->n);
		for (int ef = 16; w == GUIDED && ef <= 2 * sample->n; ef *= 2)
			tg_search_widen(search, ef);
		for (int i = 0; i <= sample->n; i++)
			once &= memory->distances[i] == 1;
		ok(once && memory->sound,
		   "without codes each distance is computed once, %s", ways[w].name);
		for (int rank = 1; rank <= sample->n && same; rank++)
		{
			const float *vector;
			int			nearer = 0;

			same &= tg_search_next(search, &result);
			vector = sample->vectors +
				(Size) (memory->last_id - result.id) * sample->dims;
			if (rank % 50 != 1)
				continue;
			for (int i = 0; i < sample->n; i++)
				nearer += tg_kernels->l2sq(query, sample->vectors + (Size) i *
										   sample->dims, sample->dims) <
					tg_kernels->l2sq(query, vector, sample->dims);
			same &= nearer == rank - 1;
		}
		ok(same, "without codes results are in the order of brute force, %s",
		   ways[w].name);
		free(query);
	}
	tg_search_destroy(search);
}

/* A larger pool finds no less, and takes more hops. */
static void
test_effort(Sample *sample)
{
	static const int efs[] = {1, 2, 10, 40, 300};
	TgSearch   *search = tg_search_create();

	for (int w = 0; w < NWAYS; w++)
	{
		int			last_found = 0;
		uint64		last_hops = 0;
		bool		good = true;

		for (int e = 0; e < (int) lengthof(efs); e++)
		{
			int			found = 0;
			uint64		hops = 0;
			uint64		seed = sample_state;

			/* The same queries for all. */
			sample_state = 12345;
			for (int q = 0; q < QUERIES; q++)
			{
				float	   *query = sample_query(sample);

				sample_search(sample, search, query, w, efs[e]);
				good &= sample->memory->sound &&
					search->pool_size <= efs[e] && search->stats.hops > 0;
				hops += search->stats.hops;
				found += count_found(sample, search, query, 10);
				free(query);
			}
			sample_state = seed;
			good &= found >= last_found - QUERIES / 10 && hops > last_hops;
			if (!good)
				diag("ef %d: %d found, %lu hops", efs[e], found, (long) hops);
			last_found = found;
			last_hops = hops;
		}
		ok(good, "a larger pool finds more, %s", ways[w].name);
	}
	tg_search_destroy(search);
}

/*
 * A pool that may grow: it stays small for some queries and grows for others,
 * whose far candidates are within the slack.
 */
static void
test_growth(Sample *sample)
{
	TgSearch   *search = tg_search_create();

	for (int w = 0; w < NWAYS; w++)
	{
		TgSearchParams params = search_params(w, 20);
		bool		bounded = true;
		bool		complete = true;
		bool		widened = true;
		int			found = 0;
		int			small = 0;
		int			large = 0;

		params.growth = 10;
		for (int q = 0; q < QUERIES; q++)
		{
			float	   *query = sample_query(sample);
			int			depth;

			/* Far from the data, all of it is about as near. */
			if (q % 2 == 1)
				for (int j = 0; j < sample->dims; j++)
					query[j] *= 30.0f;
			sample_search_with(sample, search, query, params);
			depth = tg_search_depth(search);
			small += depth < 40;
			large += depth > 60;
			bounded &= sample->memory->sound && depth >= params.ef &&
				depth <= params.ef * params.growth && pool_is_done(search);
			complete &= w == GUIDED || pool_is_complete(sample, search);
			if (q % 2 == 0)
				found += count_found(sample, search, query, 5);

			tg_search_widen(search, 2 * params.ef);
			depth = tg_search_depth(search);
			widened &= depth >= 2 * params.ef &&
				depth <= 2 * params.ef * params.growth &&
				pool_is_done(search);
			free(query);
		}
		if (!ok(bounded && small > 0 && (large > 0 || w == GUIDED),
				"a pool that may grow, %s", ways[w].name))
			diag("%d small, %d large", small, large);
		ok(complete, "it leaves out only what is beyond the slack, %s",
		   ways[w].name);
		ok(widened, "it is widened in proportion, %s", ways[w].name);
		if (!ok(found >= (w == GUIDED ? 0.8 : 0.95) * QUERIES / 2 * 5,
				"it finds the nearest, %s", ways[w].name))
			diag("%d found", found);
	}
	tg_search_destroy(search);
}

/*
 * A middle between two candidates makes a pool between those that they make.
 */
static void
test_middle(Sample *sample)
{
	static const float middles[] = {9, 9.25f, 9.5f, 9.75f, 10};
	TgSearch   *search = tg_search_create();
	int			depths[lengthof(middles)] = {0};
	bool		rising = true;

	for (int q = 0; q < QUERIES; q++)
	{
		float	   *query = sample_query(sample);

		for (int i = 0; i < (int) lengthof(middles); i++)
		{
			TgSearchParams params = search_params(GREEDY, 21);

			params.growth = 10;
			params.middle = middles[i];
			sample_search_with(sample, search, query, params);
			depths[i] += tg_search_depth(search);
		}
		free(query);
	}
	for (int i = 1; i < (int) lengthof(middles); i++)
		rising &= depths[i] >= depths[i - 1];
	if (!ok(rising && depths[2] > depths[0] && depths[4] > depths[2],
			"pools between those of two candidates"))
		diag("%d %d %d %d %d", depths[0], depths[1], depths[2], depths[3],
			 depths[4]);
	tg_search_destroy(search);
}

/* Widen until there is nothing left; some vertices are gone, some dead. */
static void
test_widening(Sample *sample)
{
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;

	for (int pass = 0; pass < 2; pass++)
		for (int w = 0; w < NWAYS; w++)
		{
			float	   *query = sample_query(sample);
			bool	   *returned = calloc(memory->n, sizeof(bool));
			bool		good = true;
			bool		indexed = true;
			uint32		widenings = 0;
			int			total;
			int			live = 0;
			int			ef = 4;

			for (int i = 0; i < sample->n; i++)
			{
				memory->dead[i] = pass == 1 && i % 7 == 0;
				memory->gone[i] = pass == 1 && i % 13 == 1;
				live += !memory->dead[i] && !memory->gone[i];
			}
			sample_search(sample, search, query, w, ef);
			total = take_results(memory, search, returned);
			while (ef < 4 * sample->n)
			{
				int			taken;

				ef *= 2;
				tg_search_widen(search, ef);
				widenings++;
				for (int i = 1; i < search->pool_size; i++)
					good &= search->pool[i - 1].key <= search->pool[i].key;
				taken = take_results(memory, search, returned);
				good &= taken >= 0 && memory->sound;
				total += taken;
			}

			/*
			 * Where lists point to vertices that are gone, some others may be
			 * cut off.
			 */
			good &= pass == 0 ? total == live : total > live * 0.99;
			if (!ok(good, "widening returns every vertex once, %s, pass %d",
					ways[w].name, pass))
				diag("%d of %d", total, live);
			ok(search->stats.widenings == widenings, "widenings are counted");

			tg_search_index_expanded(search);
			for (int i = 0; i < memory->n; i++)
				indexed &= tg_search_was_expanded(search, memory->last_id - i) ==
					(memory->opens[i] > 0 && !memory->gone[i]);
			ok(indexed, "what was expanded is known, %s", ways[w].name);
			free(returned);
			free(query);
		}
	for (int i = 0; i < sample->n; i++)
		memory->gone[i] = memory->dead[i] = false;

	/* Widening finds what a large pool finds at once. */
	{
		float	   *query = sample_query(sample);
		int			at_once;
		int			widened;

		sample_search(sample, search, query, TWO_STAGE, 160);
		at_once = count_found(sample, search, query, 50);
		sample_search(sample, search, query, TWO_STAGE, 10);
		for (int ef = 20; ef <= 160; ef *= 2)
			tg_search_widen(search, ef);
		widened = count_found(sample, search, query, 50);
		if (!ok(widened >= at_once - 1 && at_once >= 47,
				"widening finds what a large pool finds"))
			diag("%d at once, %d widened", at_once, widened);
		free(query);
	}
	tg_search_destroy(search);
}

/*
 * Vertices without rows do not use up the pool: as much is found as if they
 * were not there, but not by walking the whole graph.
 */
static void
test_rowless(Sample *sample)
{
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;
	const int	ef = 40;

	for (int w = 0; w < NWAYS; w++)
	{
		int			filled = 0;
		int			found = 0;

		for (int i = 0; i < sample->n; i++)
			memory->dead[i] = i % 5 != 0;
		for (int q = 0; q < QUERIES; q++)
		{
			float	   *query = sample_query(sample);

			sample_search(sample, search, query, w, ef);
			filled += Min(search->nresults, ef);
			found += count_found(sample, search, query, 10);
			free(query);
		}
		if (!ok(filled >= 0.95 * QUERIES * ef,
				"the pool fills with vertices that have rows, %s",
				ways[w].name))
			diag("%g of %d", filled / (double) QUERIES, ef);
		if (!ok(found >= 0.87 * QUERIES * 10,
				"recall@10 where four of five have no rows, %s",
				ways[w].name))
			diag("recall %g", found / (QUERIES * 10.0));
	}

	/* Where next to none has: the rest is not walked for it. */
	for (int i = 1; i < sample->n; i++)
		memory->dead[i] = true;
	sample_search(sample, search, sample->vectors, 0, 4);
	ok(search->cursor < sample->n / 4,
	   "a search does not walk the whole graph for want of rows");
	for (int i = 0; i < sample->n; i++)
		memory->dead[i] = false;
	tg_search_destroy(search);
}

/* One search object for many queries, across the epoch's end. */
static void
test_reuse(Sample *sample)
{
	TgSearch   *reused = tg_search_create();
	MemoryGraph *memory = sample->memory;
	bool		same = true;
	bool		counters = true;

	reused->epoch = UINT32_MAX - 20;
	for (int q = 0; q < 60; q++)
	{
		TgSearch   *fresh = tg_search_create();
		float	   *query = sample_query(sample);
		int			way = q % NWAYS;
		int			ef = q % 5 == 0 ? 700 : 5 + q;
		TgResult	x;
		TgResult	y;
		bool		more;

		sample_search(sample, fresh, query, way, ef);
		sample_search(sample, reused, query, way, ef);
		if (q % 10 == 9)
		{
			tg_search_widen(fresh, 2 * ef);
			tg_search_widen(reused, 2 * ef);
		}
		same &= memory->sound;
		counters &= memcmp(&fresh->stats, &reused->stats,
						   sizeof(TgSearchStats)) == 0;

		/* Not all are taken: what is left must not come up again. */
		for (int i = 0; i < 3 + q % 50; i++)
		{
			more = tg_search_next(fresh, &x);
			same &= tg_search_next(reused, &y) == more &&
				(!more || (x.id == y.id && x.distance == y.distance));
		}
		tg_search_destroy(fresh);
		free(query);
	}
	ok(reused->epoch > 0 && reused->epoch < 1000, "the epoch went around");
	ok(same, "a reused search finds the same");
	ok(counters, "a reused search counts the same");

	/*
	 * Marks of 2^32 epochs ago must not be taken for today's: leave some of
	 * epoch 3, then let it come again.
	 */
	{
		TgSearch   *fresh = tg_search_create();
		float	   *query = sample_query(sample);

		reused->epoch = 2;
		sample_search(sample, reused, query, GREEDY, 50);
		reused->epoch = UINT32_MAX - 1;
		for (int i = 0; i < 3; i++)
			tg_search_begin(reused, &memory->graph, &sample->table,
							search_params(GREEDY, 50));
		sample_search(sample, reused, query, GREEDY, 50);
		sample_search(sample, fresh, query, GREEDY, 50);
		same = reused->epoch == 3;
		ok(same && fresh->stats.hops == reused->stats.hops &&
		   fresh->nresults == reused->nresults,
		   "marks of an earlier round of epochs are gone");
		tg_search_destroy(fresh);
		free(query);
	}
	tg_search_destroy(reused);
}

/* Does the visited set of a search without codes tell the right distances? */
static bool
remembers_distances(const Sample *sample, const TgSearch *search)
{
	const MemoryGraph *memory = sample->memory;

	for (uint32 slot = 0; slot <= search->visited_mask; slot++)
	{
		uint64		entry = search->visited[slot];
		uint32		i = memory->last_id - (TgVertexId) entry;

		if (entry >> 32 == search->epoch && search->visited_keys[slot] !=
			tg_kernels->l2sq(memory->query, sample->vectors +
							 (Size) i * sample->dims, sample->dims))
			return false;
	}
	return true;
}

/* More vertices seen than the visited set has room for at first. */
static void
test_visited(Sample *sample)
{
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;
	float	   *query = sample_query(sample);
	bool	   *returned = calloc(memory->n, sizeof(bool));
	uint32		first_mask = search->visited_mask;
	bool		once = true;

	sample_search(sample, search, query, GREEDY, 4 * sample->n);
	for (int i = 0; i < memory->n; i++)
		once &= memory->distances[i] == 1;
	ok(memory->sound && once &&
	   take_results(memory, search, returned) == sample->n,
	   "a pool for all finds all");
	ok(search->visited_mask > first_mask &&
	   search->visited_used * 2 <= search->visited_mask + 1,
	   "the visited set grows and stays half empty");
	if (sample->bits == 0)
	{
		ok(remembers_distances(sample, search),
		   "the visited set that has grown remembers distances");
		sample_search(sample, search, query, TWO_STAGE, 50);

		/* By more than luck: what a slot held before is wrong. */
		memset(search->visited_keys, 0xFF,
			   sizeof(float) * ((Size) search->visited_mask + 1));
		tg_search_widen(search, 200);
		ok(remembers_distances(sample, search),
		   "widening remembers distances");
	}
	free(returned);
	free(query);
	tg_search_destroy(search);
}

/* Numbers in use, from one end of their range to the other. */
static void
test_numbers(Sample *sample)
{
	static const TgVertexId last_ids[] = {0xFFFFFFFE, 0x80000100, 5000};
	MemoryGraph *memory = sample->memory;
	TgSearch   *search = tg_search_create();
	float	   *query = sample_query(sample);
	Size		stride = memory->graph.shape.block_size;
	Size		ids = memory->graph.shape.ids_offset;
	int			nblocks = memory->n * (memory->degree / TG_BLOCK_LANES);
	uint64		hops[lengthof(last_ids)];

	for (int l = 0; l < (int) lengthof(last_ids); l++)
	{
		for (int b = 0; b < nblocks; b++)
			for (int lane = 0; lane < TG_BLOCK_LANES; lane++)
			{
				TgVertexId *id = (TgVertexId *) (memory->blocks + b * stride +
												 ids) + lane;

				*id = *id - memory->last_id + last_ids[l];
			}
		memory->last_id = last_ids[l];
		sample_search(sample, search, query, TWO_STAGE, 100);
		hops[l] = memory->sound ? search->stats.hops : (uint64) l;
	}
	ok(hops[0] == hops[1] && hops[1] == hops[2],
	   "numbers of vertices do not matter");
	free(query);
	tg_search_destroy(search);
}

/*
 * What is prefetched should be what is opened next, never what is open
 * already.
 */
static void
test_prefetch(Sample *sample)
{
	MemoryGraph *memory = sample->memory;
	TgSearch   *search = tg_search_create();
	int			opens = 0;
	int			hits = 0;
	int			self = 0;

	memory->graph.prefetch = memory_prefetch;
	for (int q = 0; q < QUERIES; q++)
	{
		float	   *query = sample_query(sample);

		sample_search(sample, search, query, GREEDY, 60);
		opens += memory->nopens - 1;
		hits += memory->prefetch_hits;
		self += memory->prefetch_self;
		free(query);
	}
	memory->graph.prefetch = NULL;
	if (!ok(memory->sound && self == 0, "the open vertex is not prefetched"))
		diag("%d of %d opens", self, opens);
	if (!ok(hits > opens * 0.9, "the next vertex is prefetched"))
		diag("%d of %d opens", hits, opens);
	tg_search_destroy(search);
}

/*
 * Without codes all neighbours that are about to be visited are prefetched,
 * once each.
 */
static void
test_plain_prefetch(Sample *sample)
{
	MemoryGraph *memory = sample->memory;
	TgSearch   *search = tg_search_create();
	float	   *query = sample_query(sample);
	bool		good = true;

	memory->graph.prefetch = memory_prefetch;
	for (int w = 0; w < NWAYS; w++)
	{
		sample_search(sample, search, query, w, 60);
		good &= memory->sound && memory->prefetch_self == 0 &&
			(uint64) memory->nprefetches + 2 == 2 * search->stats.distances;
	}
	memory->graph.prefetch = NULL;
	ok(good, "without codes what is visited was prefetched");
	free(query);
	tg_search_destroy(search);
}

/*
 * As long as the graph asks for it, what is opened was read ahead, and nothing
 * twice but what widening expands again.
 */
static void
test_read_ahead(Sample *sample)
{
	MemoryGraph *memory = sample->memory;
	TgSearch   *search = tg_search_create();
	float	   *query = sample_query(sample);

	memory->graph.prefetch = memory_prefetch;
	memory->graph.read_ahead = memory_read_ahead;
	for (int w = 0; w < NWAYS; w++)
	{
		bool		good = true;

		memory->graph.ahead = 0;
		sample_search(sample, search, query, w, 60);
		for (int i = 0; i < memory->n; i++)
			good &= memory->reads[i] == 0;
		ok(good, "nothing is read ahead without need, %s, %d bits",
		   ways[w].name, sample->bits);

		good = true;
		memory->graph.ahead = 8;
		sample_search(sample, search, query, w, 60);
		for (int i = 0; i < memory->n; i++)
			good &= memory->opens[i] == 0 || memory->reads[i] > 0;
		ok(good && memory->sound, "what is opened was read ahead, %s, %d bits",
		   ways[w].name, sample->bits);

		/* Without codes, to be judged and to be expanded. */
		good = sample->bits == 0 || memory->late_reads == 0;
		for (int i = 0; i < memory->n; i++)
			good &= memory->reads[i] <= (sample->bits > 0 ? 1 : 2);
		ok(good, "nothing is read ahead too often, %s, %d bits", ways[w].name,
		   sample->bits);
	}
	memory->graph.ahead = 0;
	memory->graph.prefetch = NULL;
	memory->graph.read_ahead = NULL;
	free(query);
	tg_search_destroy(search);
}

/* A search that served a graph of one kind serves one of the other. */
static void
test_kinds(Sample *coded, Sample *plain)
{
	Sample	   *samples[] = {coded, plain, coded, plain};
	TgSearch   *reused = tg_search_create();
	bool		same = true;

	for (int i = 0; i < (int) lengthof(samples); i++)
	{
		TgSearch   *fresh = tg_search_create();
		float	   *query = sample_query(samples[i]);
		TgResult	x;
		TgResult	y;

		sample_search(samples[i], fresh, query, TWO_STAGE, 50);
		tg_search_widen(fresh, 400);
		sample_search(samples[i], reused, query, TWO_STAGE, 50);
		tg_search_widen(reused, 400);
		same &= samples[i]->memory->sound &&
			memcmp(&fresh->stats, &reused->stats, sizeof(TgSearchStats)) == 0;
		while (tg_search_next(fresh, &x))
			same &= tg_search_next(reused, &y) && x.id == y.id &&
				x.distance == y.distance;
		same &= !tg_search_next(reused, &y);
		tg_search_destroy(fresh);
		free(query);
	}
	ok(same, "a search goes from graphs with codes to graphs without and back");
	tg_search_destroy(reused);
}

/* A search for the best rows that are not dead, from the root. */
static bool
filtered_search(Sample *sample, TgSearch *search, const float *query,
				const TgFilteredParams *params)
{
	sample_search(sample, search, query, GREEDY, 1);
	memory_reset(sample->memory);
	memset(&search->stats, 0, sizeof(search->stats));
	tg_search_begin(search, &sample->memory->graph,
					sample->bits > 0 ? &sample->table : NULL,
					search_params(GREEDY, 1));
	tg_search_add_entry(search, sample->memory->last_id - sample->n);
	return tg_search_run_filtered(search, params);
}

/* Is no vertex opened for its distance twice? */
static bool
each_met_once(const MemoryGraph *memory)
{
	for (int i = 0; i < memory->n; i++)
		if (memory->distances[i] > 1)
			return false;
	return true;
}

/* Where a filter rejects most vertices, the wanted number of others is found. */
static void
test_filtered(Sample *sample)
{
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;
	TgFilteredParams params = {.wanted = 30,.sweep_hops = 1e9,.memory = 1 << 30};
	const int	shares[] = {1, 2, 10, 40};
	bool		sound = true;
	bool		effort = true;
	bool		results = true;
	bool		hopeless = true;

	for (int s = 0; s < (int) lengthof(shares); s++)
	{
		int			found = 0;
		bool		wanted = true;

		for (int i = 0; i < sample->n; i++)
			memory->dead[i] = i % shares[s] != 0;
		for (int q = 0; q < QUERIES; q++)
		{
			float	   *query = sample_query(sample);
			bool	   *returned = calloc(memory->n, sizeof(bool));
			uint64		hops;

			wanted &= filtered_search(sample, search, query, &params) &&
				search->nresults >= 30;
			hops = search->stats.hops;
			effort &= shares[s] > 2 || search->expanded.n < sample->n / 2 ||
				sample->bits == 0;

			/* More of it: what was done is not done again. */
			params.wanted = 36;
			wanted &= tg_search_run_filtered(search, &params) &&
				search->nresults >= 36 && search->stats.hops >= hops;
			params.wanted = 30;
			sound &= memory->sound && each_met_once(memory);
			found += count_found(sample, search, query, 10);
			results &= take_results(memory, search, returned) >= 26;

			/* All there are, and a false hope. */
			params.wanted = sample->n + 1;
			hopeless &= !filtered_search(sample, search, query, &params);
			params.wanted = 30;
			free(returned);
			free(query);
		}
		ok(wanted, "as many as wanted where one of %d passes, %d bits",
		   shares[s], sample->bits);
		if (!ok(found >= 0.97 * QUERIES * 10,
				"recall@10 where one of %d passes, %d bits", shares[s],
				sample->bits))
			diag("recall %g", found / (QUERIES * 10.0));
	}
	ok(sound, "each vertex is met once");
	ok(effort, "where many pass, few are expanded");
	ok(results, "results are those that pass, in order");
	ok(hopeless, "more than there are cannot be had");

	/* Where none passes, it is given up, and soon. */
	for (int i = 0; i < sample->n; i++)
		memory->dead[i] = true;
	params.sweep_hops = 400;
	ok(!filtered_search(sample, search, sample->vectors, &params) &&
	   search->expanded.n >= 50 && search->expanded.n < 100 &&
	   tg_search_peek(search) == NULL, "a search for nothing is given up");

	/* Those that pass are all at hand but one: the hope does not end before. */
	for (int i = 0; i < 29; i++)
	{
		TgKeyed		near = search->expanded.items[20 + i];

		memory->dead[memory->last_id - near.id] = false;
	}
	ok(!filtered_search(sample, search, sample->vectors, &params) &&
	   search->expanded.n >= 400 && search->expanded.n < 500 &&
	   search->nresults == 29, "nor does it go on for ever for the last one");
	params.memory = 1;
	ok(!filtered_search(sample, search, sample->vectors, &params) &&
	   search->expanded.n == 0, "nor beyond the memory it may have");
	for (int i = 0; i < sample->n; i++)
		memory->dead[i] = false;
	tg_search_destroy(search);
}

/* What a sketch would say that knows all. */
static uint32
which_pass(TgGraph *graph, const TgVertexId *ids, uint32 lanes)
{
	MemoryGraph *memory = (MemoryGraph *) graph;
	uint32		passing = 0;

	for (int i = 0; i < TG_BLOCK_LANES; i++)
		if (lanes >> i & 1)
			passing |= (uint32) !memory->dead[memory->last_id - ids[i]] << i;
	return passing;
}

/* One that knows nothing of nine in ten. */
static uint32
which_might_pass(TgGraph *graph, const TgVertexId *ids, uint32 lanes)
{
	uint32		passing = which_pass(graph, ids, lanes);

	for (int i = 0; i < TG_BLOCK_LANES; i++)
		if (lanes >> i & 1)
			passing |= (uint32) (ids[i] % 10 != 3) << i;
	return passing;
}

/* A sketch that says too little costs hops, and nothing that is wanted. */
static void
test_vague_filter(Sample *sample)
{
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;
	TgFilteredParams params = {.wanted = 40,.sweep_hops = 1e9,.memory = 1 << 30};
	int			found = 0;
	bool		wanted = true;

	for (int i = 0; i < sample->n; i++)
		memory->dead[i] = i % 10 != 0;
	memory->graph.may_pass = which_might_pass;
	for (int q = 0; q < QUERIES; q++)
	{
		float	   *query = sample_query(sample);

		wanted &= filtered_search(sample, search, query, &params) &&
			search->nresults >= 40 && memory->sound && each_met_once(memory);
		found += count_found(sample, search, query, 10);
		free(query);
	}
	memory->graph.may_pass = NULL;
	for (int i = 0; i < sample->n; i++)
		memory->dead[i] = false;
	ok(wanted, "as many as wanted where little is known, %d bits",
	   sample->bits);
	if (!ok(found >= 0.95 * QUERIES * 10,
			"recall@10 where little is known, %d bits", sample->bits))
		diag("recall %g", found / (QUERIES * 10.0));
	tg_search_destroy(search);
}

/*
 * Where it is known which vertices may pass, the same is found with fewer
 * expanded; and none of those that fail is returned.
 */
static void
test_known_filter(Sample *sample)
{
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;
	TgFilteredParams params = {.wanted = 40,.sweep_hops = 1e9,.memory = 1 << 30};
	const int	shares[] = {1, 2, 10, 20};

	for (int s = 0; s < (int) lengthof(shares); s++)
	{
		int64		expanded[2] = {0, 0};
		int			found = 0;
		bool		sound = true;

		for (int i = 0; i < sample->n; i++)
			memory->dead[i] = i % shares[s] != 0;
		for (int q = 0; q < QUERIES; q++)
		{
			float	   *query = sample_query(sample);
			bool	   *returned = calloc(memory->n, sizeof(bool));

			filtered_search(sample, search, query, &params);
			expanded[0] += search->expanded.n;
			memory->graph.may_pass = which_pass;
			sound &= filtered_search(sample, search, query, &params) &&
				search->nresults >= 40;
			memory->graph.may_pass = NULL;
			expanded[1] += search->expanded.n;
			sound &= memory->sound && each_met_once(memory);
			found += count_found(sample, search, query, 10);
			sound &= take_results(memory, search, returned) >= 30;
			free(returned);
			free(query);
		}
		ok(sound, "as many as wanted, of known ones, where one of %d passes, %d bits",
		   shares[s], sample->bits);
		if (!ok(found >= 0.95 * QUERIES * 10,
				"recall@10 of known ones where one of %d passes, %d bits",
				shares[s], sample->bits))
			diag("recall %g", found / (QUERIES * 10.0));
		if (!ok(shares[s] == 1 ? expanded[1] == expanded[0] :
				expanded[1] < expanded[0] * 0.95,
				"fewer are expanded where one of %d is known to pass, %d bits",
				shares[s], sample->bits))
			diag("%ld beside %ld", (long) expanded[1], (long) expanded[0]);
	}
	for (int i = 0; i < sample->n; i++)
		memory->dead[i] = false;
	tg_search_destroy(search);
}

/* What holds for any graph. */
static void
test_sample(Sample *sample)
{
	test_effort(sample);
	test_growth(sample);
	test_middle(sample);
	test_widening(sample);
	test_rowless(sample);
	test_filtered(sample);
	test_known_filter(sample);
	test_vague_filter(sample);
	test_reuse(sample);
	test_visited(sample);
	test_numbers(sample);
}

int
main(void)
{
	Sample	   *sample;
	Sample	   *plain;

	tg_kernels_select("auto");
	test_stages();
	test_stage_end();
	test_left_out();
	test_lists(1);
	test_lists(0);
	test_clusters();
	test_sides(1);
	test_sides(0);
	test_plain_stages();
	test_odd_graphs();
	test_recall(32, 2, 32, TG_GUIDE_KMEANS);
	test_recall(75, 1, 64, TG_GUIDE_KMEANS);
	test_recall(32, 2, 32, TG_GUIDE_KDTREE);
	test_recall(32, 0, 32, TG_GUIDE_KMEANS);
	test_recall(20, 0, 64, TG_GUIDE_KDTREE);

	sample = sample_create(1500, 24, 2, 32, TG_GUIDE_KMEANS, 4);
	plain = sample_create(1500, 24, 0, 32, TG_GUIDE_KMEANS, 4);
	test_sample(sample);
	test_sample(plain);
	test_prefetch(sample);
	test_plain_prefetch(plain);
	test_read_ahead(sample);
	test_read_ahead(plain);
	test_plain_order(plain);
	test_kinds(sample, plain);
	sample_destroy(sample);
	sample_destroy(plain);
	test_pool_of_one();
	return done_testing();
}
