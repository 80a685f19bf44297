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
#include "graph/construct.h"
#include "memory_graph.h"
#include "sample.h"
#include "tap.h"

/* ---- a graph of vectors, its queries and the search for them ---- */

typedef struct Sample
{
	int			n;				/* vectors; the root is vertex n */
	int			dims;
	int			bits;
	float	   *vectors;		/* [n + 1][dims], the last is the root's */
	float	   *root_rotated;
	TgRotation	rotation;
	MemoryGraph *memory;
	TgScoreTable table;			/* of the current query */
} Sample;

static void
sample_list(Sample *sample, const float *rotated, const TgConstructed *graph,
			int id, int nclusters)
{
	int			dims = sample->dims;
	MemoryGraph *memory = sample->memory;
	const uint32 *list = graph->neighbours + (Size) id * graph->degree;
	int			count = graph->counts[id];
	const float *members[TG_MAX_DEGREE];
	uint16		order[TG_MAX_DEGREE];
	float	   *scratch = malloc(sizeof(float) * TG_CLUSTER_SCRATCH(nclusters, dims));
	float	   *residual = malloc(sizeof(float) * dims);
	float	   *centre = malloc(sizeof(float) * dims);
	uint8	   *levels = malloc(dims);
	const float *own = rotated + (Size) id * dims;

	for (int i = 0; i < count; i++)
		members[i] = rotated + (Size) list[i] * dims;
	memory->degrees[id] = count;
	memory->nclusters[id] = tg_cluster(members, count, dims, nclusters, order,
									   memory->starts + id * TG_MAX_CLUSTERS,
									   scratch);
	for (int j = 0; j < dims; j++)
		centre[j] = own[j] - sample->root_rotated[j];
	for (int i = 0; i < count; i++)
	{
		float		a;
		float		f;

		for (int j = 0; j < dims; j++)
			residual[j] = members[order[i]][j] - own[j];
		tg_encode(dims, sample->bits, residual, centre, levels, &a, &f);
		memory_link(memory, id, i, list[order[i]], levels, sample->bits, a, f,
					false);
	}
	free(scratch);
	free(residual);
	free(centre);
	free(levels);
}

/* The root has no rows, as in an index. */
static Sample *
sample_create(int n, int dims, int bits, int degree, int nclusters)
{
	Sample	   *sample = calloc(1, sizeof(Sample));
	float	   *rotated = malloc(sizeof(float) * dims * ((Size) n + 1));
	float	   *vectors = sample_clusters(n + 1, dims, 40, 1.0f);
	float	   *root = vectors + (Size) n * dims;
	TgConstructParams params = {
		.dims = dims,.degree = degree,.ef = 100,.root = root
	};
	TgConstructed *graph;

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
	sample->memory->dead[n] = true;

	graph = tg_construct(&params, vectors, n);
	for (int i = 0; i <= n; i++)
		sample_list(sample, rotated, graph, i, nclusters);
	tg_constructed_free(graph);
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

/* Run a search for the query from the root. */
static void
sample_search(Sample *sample, TgSearch *search, const float *query,
			  TgRouting routing, int ef)
{
	float	   *rotated = malloc(sizeof(float) * sample->dims);

	tg_rotate(&sample->rotation, query, rotated);
	for (int j = 0; j < sample->dims; j++)
		rotated[j] -= sample->root_rotated[j];
	tg_table_build(&sample->table, sample->dims, sample->bits, rotated);
	free(rotated);

	memory_reset(sample->memory);
	sample->memory->query = query;
	tg_search_begin(search, &sample->memory->graph, &sample->table, routing, ef);
	tg_search_add_entry(search, sample->memory->last_id - sample->n);
	tg_search_run(search);
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

/* How many of the k nearest does the search return first? */
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
			if (!taken[i] && (nearest < 0 || distances[i] < distances[nearest]))
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

static const TgRouting routings[] = {
	TG_ROUTING_TWO_STAGE, TG_ROUTING_GUIDED, TG_ROUTING_GREEDY
};
static const char *const routing_names[] = {"two_stage", "guided", "greedy"};

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
handmade_create(float key, const float *estimates, int count)
{
	Handmade	handmade = {
		.memory = memory_create(count + 2, TG_GROUP_DIMS, TG_MAX_DEGREE,
								TG_CODES_SIZE(TG_GROUP_DIMS, 1)),
		.table = {.ngroups = 1,.nplanes = 1}
	};
	MemoryGraph *memory = handmade.memory;

	memory->keys[0] = key;
	memory->degrees[0] = count;
	memory->nclusters[0] = 1;
	for (int i = 0; i < count; i++)
	{
		memory_link(memory, 0, i, i + 1, NULL, 1, estimates[i] - key, 0.0f,
					false);
		memory->keys[i + 1] = estimates[i];
	}
	memory->degrees[count + 1] = 1;
	memory->nclusters[count + 1] = 1;
	memory_link(memory, count + 1, 0, 0, NULL, 1, key, 0.0f, false);
	return handmade;
}

/* Does a search from the entry open these vertices, in this order? */
static bool
opens_in_order(Handmade *handmade, TgRouting routing, int ef, int entry,
			   const int *expected, int n)
{
	MemoryGraph *memory = handmade->memory;
	TgSearch   *search = tg_search_create();
	bool		good;

	handmade->table.entries = handmade->entries;
	memory_reset(memory);
	tg_search_begin(search, &memory->graph, &handmade->table, routing, ef);
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
	/* Two clusters: vertices 1, 2, 3 and 4, 5; representatives 1 and 4. */
	static const float estimates[] = {1, 5, 6, 10, 0.5f};
	static const int greedy[] = {6, 0, 5, 1, 2, 3, 4};
	static const int guided[] = {6, 0, 1, 2, 3, 4};
	static const int entry[] = {0, 5, 1, 2, 3, 4};
	static const int two_stage[] = {6, 0, 0, 5, 1, 2, 3, 4};
	static const int few[] = {6, 0, 0, 5, 1};
	Handmade	handmade = handmade_create(0.0f, estimates, 5);
	MemoryGraph *memory = handmade.memory;

	memory->nclusters[0] = 2;
	memory->starts[1] = 3;
	ok(opens_in_order(&handmade, TG_ROUTING_GREEDY, 20, 6, greedy, 7),
	   "greedy takes the nearest of the whole list");

	/* Vertex 5 is no representative, and not of vertex 1's cluster. */
	ok(opens_in_order(&handmade, TG_ROUTING_GUIDED, 20, 6, guided, 6),
	   "guided takes the representatives and the nearest one's cluster");

	/*
	 * Stage 1 expands vertex 0 in part.  That brings nothing nearer than
	 * vertex 0 itself, so stage 1 is over, and stage 2 begins with the rest.
	 */
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 20, 6, two_stage, 8),
	   "two_stage goes back for the rest, of a divided list only");

	/* Of 0, 1 and 2 in the pool, 5 turns 2 out. */
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 3, 6, few, 5),
	   "of a small pool, what fell out is not expanded");

	/* With vertex 0 as the entry, vertex 5 is not left out. */
	ok(opens_in_order(&handmade, TG_ROUTING_GUIDED, 20, 0, entry, 6),
	   "guided expands an entry whole");
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 20, 0, entry, 6),
	   "two_stage expands an entry whole, and once");

	/*
	 * Vertex 5 came after the list was divided: stage 1 takes it with the
	 * cluster, and as nothing is left out there is nothing to go back for.
	 */
	memory_link(memory, 0, 4, 5, NULL, 1, 0.5f, 0.0f, true);
	ok(opens_in_order(&handmade, TG_ROUTING_GUIDED, 20, 6, greedy, 7),
	   "guided considers stale neighbours");
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 20, 6, greedy, 7),
	   "two_stage does not go back to a list of which nothing was left out");

	/* An undivided list has no first part. */
	memory->nclusters[0] = 1;
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 20, 6, greedy, 7),
	   "a list of one cluster is expanded once");
	memory_destroy(memory);
}

/*
 * Two divided lists.  Vertex 0, at 10, has 1, 2, 3 and 4, 5, of which stage 1
 * leaves out 5, at 12.  Vertex 1 has 6 and 3, 7, of which it leaves out 7.
 * Vertex 8 is the door.
 */
static Handmade
two_lists_create(float estimate_of_1, float estimate_of_7)
{
	const float estimates[] = {
		estimate_of_1, 20, 21, 22, 12, 11, estimate_of_7
	};
	Handmade	handmade = handmade_create(10.0f, estimates, 7);
	MemoryGraph *memory = handmade.memory;
	const int	list[] = {6, 3, 7};

	memory->degrees[0] = 5;
	memory->nclusters[0] = 2;
	memory->starts[1] = 3;
	memory->degrees[1] = lengthof(list);
	memory->nclusters[1] = 2;
	memory->starts[TG_MAX_CLUSTERS + 1] = 1;
	for (int i = 0; i < (int) lengthof(list); i++)
		memory_link(memory, 1, i, list[i], NULL, 1,
					memory->keys[list[i]] - estimate_of_1, 0.0f, false);
	return handmade;
}

static void
test_stage_end(void)
{
	static const int stays[] = {8, 0, 0, 5, 1, 6, 7, 2, 3, 4};
	static const int goes_on[] = {8, 0, 1, 1, 0, 6, 7, 5, 2, 3, 4};
	Handmade	handmade = two_lists_create(15.0f, 11.5f);

	/*
	 * Vertex 0 is expanded, and nothing is nearer: stage 1 is over.  So
	 * vertex 1 is stage 2's, which expands its list whole.
	 */
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 20, 8, stays, 10),
	   "stage 1 ends when the nearest candidate is expanded");
	memory_destroy(handmade.memory);

	/*
	 * Vertex 1 is nearer than vertex 0, so stage 1 goes on there, in part.
	 * Stage 2 goes back to both, the nearer one first.
	 */
	handmade = two_lists_create(1.0f, 11.5f);
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 20, 8, goes_on, 11),
	   "stage 1 goes on as long as the nearest candidate is not expanded");
	memory_destroy(handmade.memory);
}

/*
 * Stage 2 goes back to a list only for what can still enter the pool.  Stage 1
 * ends with a pool of 1, 0, 6, 2, whose limit is 2's estimate, 20.  Of the
 * lists that it left in part, that of vertex 1 comes first; if 7 enters, the
 * pool is 1, 0, 6, 7 and its estimate the limit when vertex 0's turn comes.
 */
static void
test_going_back(void)
{
	static const struct
	{
		float		estimate_of_7;
		int			n;
		int			expected[7];
		const char *name;
	}			cases[] = {
		{11.5f, 6, {8, 0, 1, 1, 6, 7},
		"no going back if the pool's limit fell below what was left out"},
		{12.0f, 6, {8, 0, 1, 1, 6, 7},
		"no going back if the pool's limit fell to what was left out"},
		{12.5f, 7, {8, 0, 1, 1, 0, 6, 5},
		"going back if what was left out is below the pool's limit"},
		{19.5f, 7, {8, 0, 1, 1, 0, 6, 5},
		"going back to one list does not keep from going back to the next"},
		{20.0f, 6, {8, 0, 1, 0, 6, 5},
		"no going back to one list, but to the next"},
	};

	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		Handmade	handmade = two_lists_create(1.0f, cases[i].estimate_of_7);

		ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 4, 8,
						  cases[i].expected, cases[i].n),
		   "%s", cases[i].name);
		memory_destroy(handmade.memory);
	}
}

/* Lists of every length, and clusters across blocks. */
static void
test_lists(void)
{
	float		estimates[TG_MAX_DEGREE];
	int			expected[TG_MAX_DEGREE + 2];
	int			lengths[] = {0, 1, 31, 32, 33, 63, 64, 65, 96, 255, 256};
	Handmade	handmade;

	for (int i = 0; i < TG_MAX_DEGREE; i++)
	{
		estimates[i] = (float) (i + 1);
		expected[i] = i;
	}
	expected[TG_MAX_DEGREE] = TG_MAX_DEGREE;
	for (int l = 0; l < (int) lengthof(lengths); l++)
	{
		int			length = lengths[l];
		bool		good = true;

		handmade = handmade_create(0.0f, estimates, length);

		/* What stands behind the end of the list is nobody's business. */
		for (int i = length; i < (length + 31) / 32 * 32; i++)
			memory_link(handmade.memory, 0, i, 100000, NULL, 1, 0.1f, 0.0f,
						true);
		for (int r = 0; r < (int) lengthof(routings); r++)
		{
			TgSearch   *search = tg_search_create();
			bool	   *returned = calloc(length + 1, sizeof(bool));

			memory_reset(handmade.memory);
			handmade.table.entries = handmade.entries;
			tg_search_begin(search, &handmade.memory->graph, &handmade.table,
							routings[r], 1000);
			tg_search_add_entry(search, handmade.memory->last_id);
			tg_search_run(search);
			good &= take_results(handmade.memory, search, returned) ==
				length + 1 && handmade.memory->sound &&
				memcmp(handmade.memory->opened, expected,
					   sizeof(int) * Min(length + 1, MAX_OPENED)) == 0 &&
				search->stats.estimates == (uint64) (length + 31) / 32 * 32;
			tg_search_destroy(search);
			free(returned);
		}
		ok(good, "a list of %d neighbours", length);
		memory_destroy(handmade.memory);
	}

}

/*
 * Clusters [0, 30), [30, 70) and [70, 100), which begin and end inside blocks;
 * the second one's representative is the nearest.
 */
static void
test_clusters(void)
{
	float		estimates[100];
	int			expected[44] = {101, 0, 31, 1};
	bool		good = true;
	Handmade	handmade;
	MemoryGraph *memory;

	for (int i = 0; i < 100; i++)
		estimates[i] = i == 0 ? 1.0f : i == 30 ? 0.5f : (float) (i + 50);
	handmade = handmade_create(0.0f, estimates, 100);
	memory = handmade.memory;
	memory->nclusters[0] = 3;
	memory->starts[1] = 30;
	memory->starts[2] = 70;

	/* The rest of the second cluster, and the third one's representative. */
	for (int i = 32; i <= 71; i++)
		expected[i - 28] = i;
	ok(opens_in_order(&handmade, TG_ROUTING_GUIDED, 1000, 101, expected, 44),
	   "a cluster that begins and ends inside blocks");

	/*
	 * The pool of five is 0, 31, 1, 32, 33: 32 and 33 are at 81 and 82.
	 * Whatever lane is the only one left out below that, stage 2 goes back
	 * for it and 33 falls out.
	 */
	for (int i = 0; i < 100; i++)
		memory_link(memory, 0, i, i + 1, NULL, 1,
					i == 0 || (i >= 30 && i < 70) ? estimates[i] : 90.0f, 0.0f,
					false);
	{
		const int	without[] = {101, 0, 31, 1, 32, 33};

		ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 5, 101, without, 6),
		   "no lane left out is near enough to go back for");
	}
	for (int i = 0; i < 100; i++)
	{
		const int	with[] = {101, 0, 0, 31, 1, i + 1, 32};

		if (i == 0 || (i >= 30 && i <= 70))
			continue;
		memory_link(memory, 0, i, i + 1, NULL, 1, 2.0f, 0.0f, false);
		good &= opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 5, 101, with, 7);
		memory_link(memory, 0, i, i + 1, NULL, 1, 90.0f, 0.0f, false);
	}
	ok(good, "any lane left out is gone back for if it is near enough");
	memory_destroy(memory);
}

static void
test_odd_graphs(void)
{
	static const float estimates[] = {1, INFINITY, 3, NAN, 3, -2};
	static const int expected[] = {0, 6, 1, 3, 5};
	static const int without[] = {0, 6, 1, 3, 5};
	Handmade	handmade = handmade_create(0.0f, estimates, 6);
	MemoryGraph *memory = handmade.memory;
	TgSearch   *search;
	bool		returned[7] = {false};

	for (int i = 0; i < 7; i++)
		memory->keys[i] = (float) i;
	ok(opens_in_order(&handmade, TG_ROUTING_GREEDY, 20, 0, expected, 5),
	   "infinite estimates and NaNs are not followed, equal ones in order");

	memory->gone[3] = true;
	memory->dead[6] = true;
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 20, 0, without, 5),
	   "vertices that are gone do not stop a search");
	memory->gone[0] = true;
	ok(opens_in_order(&handmade, TG_ROUTING_TWO_STAGE, 20, 0, without, 1),
	   "nor does an entry that is gone");
	memory->gone[0] = false;

	search = tg_search_create();
	handmade.table.entries = handmade.entries;
	tg_search_begin(search, &memory->graph, &handmade.table,
					TG_ROUTING_TWO_STAGE, 5);
	tg_search_run(search);
	ok(tg_search_peek(search) == NULL && take_results(memory, search, returned) == 0,
	   "no entry, no result");

	/* The same entry twice, and one that is another's neighbour. */
	memory_reset(memory);
	tg_search_begin(search, &memory->graph, &handmade.table,
					TG_ROUTING_TWO_STAGE, 10);
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
	Handmade	handmade = handmade_create(10.0f, estimates, 3);
	MemoryGraph *memory = handmade.memory;
	TgSearch   *search = tg_search_create();
	bool		returned[4] = {false};

	memory->dead[0] = true;
	handmade.table.entries = handmade.entries;
	for (int r = 0; r < (int) lengthof(routings); r++)
	{
		TgResult	result;

		memory_reset(memory);
		tg_search_begin(search, &memory->graph, &handmade.table, routings[r], 1);
		tg_search_add_entry(search, memory->last_id);
		tg_search_run(search);
		ok(tg_search_next(search, &result) && result.payload == 3,
		   "a pool of one finds the nearest neighbour, %s", routing_names[r]);
	}

	/* More entries than the pool holds: as many as it does are expanded. */
	memory_reset(memory);
	tg_search_begin(search, &memory->graph, &handmade.table,
					TG_ROUTING_GREEDY, 2);
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

/*
 * Has the search, just run, seen all that a neighbour of a pool's vertex could
 * enter the pool by?  Until the expanded ones are indexed, the set looked into
 * holds all that ever entered the pool.
 */
static bool
pool_is_complete(const Sample *sample, const TgSearch *search)
{
	MemoryGraph *memory = sample->memory;
	float		limit = search->pool_size < search->ef ?
		INFINITY : search->pool[search->pool_size - 1].key;

	for (int c = 0; c < search->pool_size; c++)
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
			uint32		near = tg_kernels->score(&sample->table, block.codes,
												 block.a, block.f, key, limit,
												 estimates);

			complete &= (near >> lane & 1) == 0 ||
				tg_search_was_expanded(search, block.ids[lane]);
		}
		memory->graph.close(&memory->graph);
		if (!complete)
			return false;
	}
	return true;
}

static void
test_recall(int dims, int bits, int degree)
{
	Sample	   *sample = sample_create(1500, dims, bits, degree, 3);
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;

	for (int r = 0; r < (int) lengthof(routings); r++)
	{
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
			uint64		expanded = 0;
			uint64		again = 0;
			int			taken;

			sample_search(sample, search, query, routings[r], 120);
			for (int i = 0; i < memory->n; i++)
			{
				expanded += memory->opens[i] > 0;
				again += memory->opens[i] > 1;
				parts &= memory->opens[i] <=
					(routings[r] == TG_ROUTING_TWO_STAGE &&
					 memory->nclusters[i] > 1 ? 2 : 1);
			}

			/* What is expanded again was expanded in stage 1, in part. */
			parts &= routings[r] != TG_ROUTING_TWO_STAGE ||
				(search->stats.stage1_hops > 0 &&
				 search->stats.stage1_hops < search->stats.hops &&
				 again <= search->stats.stage1_hops);
			parts &= memory->opens[sample->n] == 1;
			stage1 += search->stats.stage1_hops;
			back += again;
			counts &= search->stats.hops == (uint64) memory->nopens &&
				search->stats.distances == search->stats.hops &&
				search->stats.hops >= expanded + again &&
				search->stats.estimates ==
				search->stats.hops * (uint64) memory->degree &&
				(routings[r] != TG_ROUTING_GREEDY ||
				 search->stats.stage1_hops == 0) &&
				search->stats.widenings == 0;
			sound &= memory->sound && memory->open_vertex < 0;
			complete &= routings[r] == TG_ROUTING_GUIDED ||
				pool_is_complete(sample, search);

			taken = count_found(sample, search, query, 10);
			found += taken;
			taken = take_results(memory, search, returned);
			results &= taken >= 0 && taken + 10 + 1 == (int) expanded;
			free(returned);
			free(query);
		}
		if (!ok(found >= 0.95 * QUERIES * 10,
				"recall@10 of %s, %d dimensions, %d bits, degree %d",
				routing_names[r], dims, bits, degree))
			diag("recall %g", found / (QUERIES * 10.0));
		ok(sound, "%s opens and closes one vertex at a time, %d dimensions",
		   routing_names[r], dims);
		ok(parts, "%s expands no part twice, and the entry whole, %d dimensions",
		   routing_names[r], dims);
		if (routings[r] == TG_ROUTING_TWO_STAGE &&
			!ok(back > 0 && back < stage1,
				"two_stage goes back to some lists, not to all, %d dimensions",
				dims))
			diag("%lu of %lu", (long) back, (long) stage1);
		if (routings[r] != TG_ROUTING_GUIDED)
			ok(complete, "%s leaves nothing out that could enter the pool, %d dimensions",
			   routing_names[r], dims);
		ok(counts, "%s counts what it does, %d dimensions", routing_names[r],
		   dims);
		ok(results, "%s returns each expanded vertex once, in order, %d dimensions",
		   routing_names[r], dims);
	}
	tg_search_destroy(search);
	sample_destroy(sample);
}

/* A larger pool finds no less, and takes more hops. */
static void
test_effort(Sample *sample)
{
	static const int efs[] = {1, 2, 10, 40, 300};
	TgSearch   *search = tg_search_create();

	for (int r = 0; r < (int) lengthof(routings); r++)
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

				sample_search(sample, search, query, routings[r], efs[e]);
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
		ok(good, "a larger pool finds more, %s", routing_names[r]);
	}
	tg_search_destroy(search);
}

/* Widen until there is nothing left; some vertices are gone, some dead. */
static void
test_widening(Sample *sample)
{
	TgSearch   *search = tg_search_create();
	MemoryGraph *memory = sample->memory;

	for (int pass = 0; pass < 2; pass++)
		for (int r = 0; r < (int) lengthof(routings); r++)
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
			sample_search(sample, search, query, routings[r], ef);
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
					routing_names[r], pass))
				diag("%d of %d", total, live);
			ok(search->stats.widenings == widenings, "widenings are counted");

			tg_search_index_expanded(search);
			for (int i = 0; i < memory->n; i++)
				indexed &= tg_search_was_expanded(search, memory->last_id - i) ==
					(memory->opens[i] > 0 && !memory->gone[i]);
			ok(indexed, "what was expanded is known, %s", routing_names[r]);
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

		sample_search(sample, search, query, TG_ROUTING_TWO_STAGE, 160);
		at_once = count_found(sample, search, query, 50);
		sample_search(sample, search, query, TG_ROUTING_TWO_STAGE, 10);
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
		TgRouting	routing = routings[q % lengthof(routings)];
		int			ef = q % 5 == 0 ? 700 : 5 + q;
		TgResult	x;
		TgResult	y;
		bool		more;

		sample_search(sample, fresh, query, routing, ef);
		sample_search(sample, reused, query, routing, ef);
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
		sample_search(sample, reused, query, TG_ROUTING_GREEDY, 50);
		reused->epoch = UINT32_MAX - 1;
		for (int i = 0; i < 3; i++)
			tg_search_begin(reused, &memory->graph, &sample->table,
							TG_ROUTING_GREEDY, 50);
		sample_search(sample, reused, query, TG_ROUTING_GREEDY, 50);
		sample_search(sample, fresh, query, TG_ROUTING_GREEDY, 50);
		same = reused->epoch == 3;
		ok(same && fresh->stats.hops == reused->stats.hops &&
		   fresh->nresults == reused->nresults,
		   "marks of an earlier round of epochs are gone");
		tg_search_destroy(fresh);
		free(query);
	}
	tg_search_destroy(reused);
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

	sample_search(sample, search, query, TG_ROUTING_GREEDY, 4 * sample->n);
	ok(memory->sound && memory->nopens == memory->n &&
	   take_results(memory, search, returned) == sample->n,
	   "a pool for all finds all");
	ok(search->visited_mask > first_mask &&
	   search->visited_used * 2 <= search->visited_mask + 1,
	   "the visited set grows and stays half empty");
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
	Size		ids = memory->graph.shape.codes_size +
		2 * TG_BLOCK_LANES * sizeof(float);
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
		sample_search(sample, search, query, TG_ROUTING_TWO_STAGE, 100);
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

		sample_search(sample, search, query, TG_ROUTING_GREEDY, 60);
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

int
main(void)
{
	Sample	   *sample;

	tg_kernels_select("auto");
	test_stages();
	test_stage_end();
	test_going_back();
	test_lists();
	test_clusters();
	test_odd_graphs();
	test_recall(32, 2, 32);
	test_recall(75, 1, 64);

	sample = sample_create(1500, 24, 2, 32, 4);
	test_effort(sample);
	test_widening(sample);
	test_reuse(sample);
	test_visited(sample);
	test_numbers(sample);
	test_prefetch(sample);
	sample_destroy(sample);
	test_pool_of_one();
	return done_testing();
}
