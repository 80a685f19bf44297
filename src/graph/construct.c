/*-------------------------------------------------------------------------
 *
 * construct.c
 *	  Building a proximity graph in memory; see construct.h.
 *
 * One pass of incremental insertion, as HNSW and Vamana do it, on distances that
 * are exact, or as good as that (coarse.h):
 *
 *	1. The vertex nearest to the root goes in first: it is where searches
 *	   start.  All others follow in a scattered order, so that data that comes
 *	   sorted does not make a chain.
 *	2. A search for the vertex gives its candidates; tg_prune() chooses its
 *	   neighbours.  Each of them gets a link back.  Lists have half as much
 *	   room again as they keep, and are pruned when that is full, so that most
 *	   links back cost one append.
 *	3. Lists are pruned to the degree; lists that stayed short are filled from
 *	   their neighbours' neighbours, because blocks are scored whole.
 *	4. The root is linked to entry points, chosen by the same rule among a
 *	   sample of all vertices.
 *	5. What cannot be reached from the root is linked in, as NSG does with its
 *	   tree: its nearest reachable vertex gives up a link that the tree of
 *	   paths from the root does not need.
 *
 * A team shares out steps 2 and 3; the leader does the others, which take no
 * time beside them.  A list is changed under its lock, but read without one: a
 * reader may find it between two states, with a link missing or twice.  What
 * stands in it is a vertex in any case, and one link more or less is no matter
 * for a search.  A vertex that another member inserts at the same time is not
 * met yet; with as many vertices as members in such a state, that is no matter
 * either.
 *
 *-------------------------------------------------------------------------
 */
#include "graph/construct.h"

#include <math.h>

/* Vertices looked at to choose the root's entry points. */
#define ROOT_SAMPLE		2048

#define NO_PARENT		TG_INVALID_VERTEX

/* Lists that a member of a team finishes at a time. */
#define FINISH_BATCH	64

/* What a team's members tell each other. */
typedef struct Shared
{
	uint32		entry;			/* where searches start */
	uint32		next_insert;	/* vertices taken by somebody so far */
	uint32		next_finish;	/* the same, of lists */
} Shared;

typedef struct Construction
{
	const TgConstructParams *params;
	const TgTeam *team;
	Shared	   *shared;
	const float *vectors;
	const TgCoarse *coarse;
	int			n;
	int			dims;
	int			degree;
	int			capacity;		/* room of a list while building */

	TgLink	   *links;			/* [n + 1][capacity] */
	uint16	   *counts;			/* [n + 1] */

	/* Search state. */
	uint32		entry;
	uint32	   *visited;		/* [n + 1], epoch of the last visit */
	uint32		epoch;
	TgLink	   *pool;			/* [ef], ascending; high bit of id: expanded */
	int			pool_size;
	int			ef;

	TgPruneCandidate *candidates;
} Construction;

static inline const float *
vector_of(const Construction *c, uint32 id)
{
	return c->vectors + (Size) id * c->dims;
}

/* What of a vertex distances are computed from, as a rule. */
static inline const void *
compared_of(const Construction *c, uint32 id)
{
	return c->coarse ? (const void *) (c->coarse->copies +
									   id * c->coarse->stride) :
		(const void *) vector_of(c, id);
}

static inline TgLink *
links_of(const Construction *c, uint32 id)
{
	return c->links + (Size) id * c->capacity;
}

/*
 * Squared distance between two vertices; if it is not below the limit, any
 * number that is not.
 */
static inline float
distance_within(const Construction *c, uint32 a, uint32 b, float limit)
{
	float		distance;

	if (c->coarse && tg_coarse_distance(c->coarse, a, b, &distance))
		return distance;
	return tg_distance_within(vector_of(c, a), vector_of(c, b), c->dims, limit);
}

static inline float
distance_between(const Construction *c, uint32 a, uint32 b)
{
	return distance_within(c, a, b, INFINITY);
}

static inline float
distance_to_root(const Construction *c, uint32 id)
{
	return tg_kernels->l2sq(c->params->root, vector_of(c, id), c->dims);
}

static void
next_epoch(Construction *c)
{
	if (++c->epoch == 0)
	{
		memset(c->visited, 0, sizeof(uint32) * ((Size) c->n + 1));
		c->epoch = 1;
	}
}

/*
 * How many neighbours a list has now; all of them can be read.
 */
static inline int
count_of(const Construction *c, uint32 id)
{
	return tg_load_acquire_u16(&c->counts[id]);
}

static inline void
set_count(Construction *c, uint32 id, int count)
{
	tg_store_release_u16(&c->counts[id], (uint16) count);
}

/*
 * Write a link where others may be reading.
 */
static inline void
put_link(TgLink *link, float distance, uint32 id)
{
	link->distance = distance;
	tg_store_u32(&link->id, id);
}

static inline void
lock_list(Construction *c, uint32 id)
{
	if (c->team->locks)
		tg_lock(&c->team->locks[id % TG_TEAM_LOCKS]);
}

static inline void
unlock_list(Construction *c, uint32 id)
{
	if (c->team->locks)
		tg_unlock(&c->team->locks[id % TG_TEAM_LOCKS]);
}

static int
list_capacity(int degree)
{
	return degree + degree / 2;
}

/* The parts of a graph's memory: lists, counts, what the team shares. */
static Size
links_size(int degree, int n)
{
	return sizeof(TgLink) * list_capacity(degree) * ((Size) n + 1);
}

static Size
counts_size(int n)
{
	Size		size = sizeof(uint16) * ((Size) n + 1);

	return (size + sizeof(uint64) - 1) / sizeof(uint64) * sizeof(uint64);
}

Size
tg_constructed_size(int degree, int n)
{
	return links_size(degree, n) + counts_size(n) + sizeof(Shared);
}

TgConstructed
tg_constructed_at(void *memory, int degree, int n)
{
	TgConstructed graph;

	graph.n = n;
	graph.degree = degree;
	graph.capacity = list_capacity(degree);
	graph.links = memory;
	graph.counts = (uint16 *) ((char *) memory + links_size(degree, n));
	return graph;
}

Size
tg_construct_memory(void)
{
	return sizeof(uint32);
}

/*
 * Vertex number i in the order of insertion: a walk through all numbers in
 * steps that have no factor in common with n.
 */
typedef struct Scatter
{
	uint64		n;
	uint64		step;
} Scatter;

static Scatter
scatter_init(int n)
{
	Scatter		scatter = {(uint64) n, (uint64) (n * 0.6180339887) | 1};

	for (;; scatter.step += 2)
	{
		uint64		a = scatter.n;
		uint64		b = scatter.step;

		while (b != 0)
		{
			uint64		r = a % b;

			a = b;
			b = r;
		}
		if (a == 1)
			return scatter;
	}
}

static inline uint32
scatter_get(const Scatter *scatter, int i)
{
	return (uint32) (i * scatter->step % scatter->n);
}

/*
 * Insert into the pool, dropping the worst if it is full.  Returns where.
 */
static inline int
pool_insert(Construction *c, float distance, uint32 id)
{
	int			low = 0;
	int			high = c->pool_size;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (c->pool[middle].distance <= distance)
			low = middle + 1;
		else
			high = middle;
	}
	if (low >= c->ef)
		return low;
	if (c->pool_size < c->ef)
		c->pool_size++;
	memmove(&c->pool[low + 1], &c->pool[low],
			sizeof(TgLink) * (c->pool_size - 1 - low));
	c->pool[low].distance = distance;
	c->pool[low].id = id;
	return low;
}

#define EXPANDED	0x80000000u

/*
 * Bring memory nearer.  A macro, because gcc takes a function that does nothing
 * else for one that does nothing.
 */
#define CACHE_LINE		64
#define PREFETCH(start, size) \
	do { \
		const char *from_ = (const char *) (start); \
		int			size_ = (size); \
\
		for (int at_ = 0; at_ < size_; at_ += CACHE_LINE) \
			__builtin_prefetch(from_ + at_); \
	} while (0)

/* More of a vector than this the processor fetches by itself. */
#define PREFETCH_VECTOR	512

/*
 * Fill the pool with the vertices nearest to the query that a greedy search
 * from the entry finds.  On return the pool's ids carry no flags.
 */
static void
search_graph(Construction *c, uint32 query)
{
	uint32		fresh[TG_MAX_DEGREE + TG_MAX_DEGREE / 2];
	int			vector_bytes = Min(c->coarse ? (int) c->coarse->stride :
								   (int) sizeof(float) * c->dims,
								   PREFETCH_VECTOR);
	int			list_bytes = sizeof(TgLink) * c->capacity;
	uint32	   *visited = c->visited;
	uint32		epoch;
	int			cursor = 0;

	next_epoch(c);
	epoch = c->epoch;
	visited[c->entry] = epoch;
	c->pool[0].distance = distance_between(c, query, c->entry);
	c->pool[0].id = c->entry;
	c->pool_size = 1;

	while (cursor < c->pool_size)
	{
		uint32		id = c->pool[cursor].id;
		const TgLink *links = links_of(c, id & ~EXPANDED);
		int			next = c->pool_size;
		int			nfresh = 0;
		int			count;

		if (id & EXPANDED)
		{
			cursor++;
			continue;
		}
		c->pool[cursor].id |= EXPANDED;

		/* The next candidate, unless a nearer one comes up. */
		for (int i = cursor + 1; i < Min(cursor + 3, c->pool_size); i++)
			if (!(c->pool[i].id & EXPANDED))
			{
				PREFETCH(links_of(c, c->pool[i].id), list_bytes);
				PREFETCH(&c->counts[c->pool[i].id], 1);
				break;
			}

		/* Gather and prefetch all, then compute: the misses overlap. */
		count = count_of(c, id);
		for (int i = 0; i < count; i++)
		{
			uint32		neighbour = tg_load_u32(&links[i].id);

			if (visited[neighbour] == epoch)
				continue;
			visited[neighbour] = epoch;
			PREFETCH(compared_of(c, neighbour), vector_bytes);
			fresh[nfresh++] = neighbour;
		}
		for (int i = 0; i < nfresh; i++)
		{
			float		limit = c->pool_size < c->ef ?
				INFINITY : c->pool[c->pool_size - 1].distance;
			float		distance = distance_within(c, query, fresh[i],
												   limit);

			if (c->pool_size < c->ef || distance < limit)
			{
				int			at = pool_insert(c, distance, fresh[i]);

				next = Min(next, at);
			}
		}
		cursor = Min(cursor + 1, next);
	}
	for (int i = 0; i < c->pool_size; i++)
		c->pool[i].id &= ~EXPANDED;
}

/*
 * Keep the best of n links of a vertex.
 */
static void
set_links(Construction *c, uint32 id, const TgLink *links, int n)
{
	TgLink	   *kept = links_of(c, id);
	int			nkept;

	for (int i = 0; i < n; i++)
	{
		c->candidates[i].distance = links[i].distance;
		c->candidates[i].id = links[i].id;
		c->candidates[i].vector = vector_of(c, links[i].id);
	}
	nkept = tg_prune(c->params->rule, c->candidates, n, c->degree, c->degree,
					 c->dims, c->coarse);
	for (int i = 0; i < nkept; i++)
		put_link(&kept[i], c->candidates[i].distance, c->candidates[i].id);
	set_count(c, id, nkept);
}

static void
link_back(Construction *c, uint32 from, uint32 to, float distance)
{
	TgLink	   *links = links_of(c, from);
	int			count;

	lock_list(c, from);
	count = c->counts[from];
	put_link(&links[count++], distance, to);
	if (count == c->capacity)
		set_links(c, from, links, count);
	else
		set_count(c, from, count);
	unlock_list(c, from);
}

static void
insert_vertex(Construction *c, uint32 id)
{
	TgLink		chosen[TG_MAX_DEGREE];
	int			nchosen;

	search_graph(c, id);
	set_links(c, id, c->pool, c->pool_size);

	/* With the first link back, others may begin to add to the list. */
	nchosen = c->counts[id];
	memcpy(chosen, links_of(c, id), sizeof(TgLink) * nchosen);
	for (int i = 0; i < nchosen; i++)
		link_back(c, chosen[i].id, id, chosen[i].distance);
}

static int
compare_links(const void *a, const void *b)
{
	const TgLink *x = a;
	const TgLink *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

/*
 * Bring a list to its final degree, in ascending order: prune what is over,
 * fill what is under from the neighbours' neighbours.  Nobody else changes the
 * list meanwhile.
 */
static void
finish_links(Construction *c, uint32 id)
{
	TgLink		links[TG_MAX_DEGREE];
	TgLink	   *list = links_of(c, id);
	int			count = c->counts[id];
	int			search_ef = c->ef;

	if (count > c->degree)
	{
		set_links(c, id, list, count);
		return;
	}
	memcpy(links, list, sizeof(TgLink) * count);
	if (count < c->degree && count > 0)
	{
		c->ef = c->degree - count;
		c->pool_size = 0;
		next_epoch(c);
		c->visited[id] = c->epoch;
		for (int i = 0; i < count; i++)
			c->visited[links[i].id] = c->epoch;
		for (int i = 0; i < count; i++)
		{
			const TgLink *second = links_of(c, links[i].id);
			int			nsecond = count_of(c, links[i].id);

			for (int j = 0; j < nsecond; j++)
			{
				uint32		candidate = tg_load_u32(&second[j].id);

				if (c->visited[candidate] == c->epoch)
					continue;
				c->visited[candidate] = c->epoch;
				pool_insert(c, distance_between(c, id, candidate), candidate);
			}
		}
		memcpy(links + count, c->pool, sizeof(TgLink) * c->pool_size);
		count += c->pool_size;
		c->ef = search_ef;
	}
	qsort(links, count, sizeof(TgLink), compare_links);
	for (int i = 0; i < count; i++)
		put_link(&list[i], links[i].distance, links[i].id);
	set_count(c, id, count);
}

/*
 * Link the root to its entry points.
 */
static void
link_root(Construction *c)
{
	Scatter		scatter = scatter_init(c->n);
	int			n = Min(c->n, ROOT_SAMPLE);
	TgLink	   *sample = tg_alloc(sizeof(TgLink) * (n + 1));
	bool		has_entry = false;

	for (int i = 0; i < n; i++)
	{
		sample[i].id = scatter_get(&scatter, i);
		has_entry |= sample[i].id == c->entry;
	}
	if (!has_entry)
		sample[n++].id = c->entry;
	for (int i = 0; i < n; i++)
		sample[i].distance = distance_to_root(c, sample[i].id);
	set_links(c, c->n, sample, n);
	tg_free(sample);
}

/*
 * Mark all that can be reached from the queue's vertices, recording in parent
 * the vertex that each was reached from.
 */
static void
spread(const Construction *c, uint32 *parent, uint32 *queue, int queued)
{
	for (int head = 0; head < queued; head++)
	{
		const TgLink *links = links_of(c, queue[head]);

		for (int i = 0; i < c->counts[queue[head]]; i++)
		{
			uint32		id = links[i].id;

			if (parent[id] != NO_PARENT)
				continue;
			parent[id] = queue[head];
			queue[queued++] = id;
		}
		if ((head & 0xFFF) == 0)
			tg_check_interrupts();
	}
}

/*
 * Make one vertex reachable: of the reachable vertices near it, the first that
 * can give up a link does.  Returns false if none can.
 */
static bool
attach(Construction *c, uint32 id, uint32 *parent)
{
	search_graph(c, id);
	for (int i = 0; i < c->pool_size; i++)
	{
		uint32		from = c->pool[i].id;
		TgLink	   *links = links_of(c, from);
		int			victim = c->counts[from];

		if (parent[from] == NO_PARENT)
			continue;
		if (victim == c->degree)
		{
			do
				victim--;
			while (victim >= 0 && parent[links[victim].id] == from);
			if (victim < 0)
				continue;
		}
		else
			c->counts[from]++;

		links[victim].id = id;
		links[victim].distance = c->pool[i].distance;
		qsort(links, c->counts[from], sizeof(TgLink), compare_links);
		parent[id] = from;
		return true;
	}
	return false;
}

static void
make_reachable(Construction *c)
{
	uint32	   *parent = tg_alloc(sizeof(uint32) * ((Size) c->n + 1));
	uint32	   *queue = tg_alloc(sizeof(uint32) * ((Size) c->n + 1));
	bool		again = true;

	for (int i = 0; i < c->n; i++)
		parent[i] = NO_PARENT;
	parent[c->n] = (uint32) c->n;
	queue[0] = (uint32) c->n;
	spread(c, parent, queue, 1);

	/*
	 * Vertices whose surroundings have no link to spare wait for another
	 * round with a larger pool, up to one that holds all.
	 */
	while (again)
	{
		again = false;
		for (uint32 id = 0; id < (uint32) c->n; id++)
		{
			if (parent[id] != NO_PARENT)
				continue;
			tg_check_interrupts();
			if (attach(c, id, parent))
			{
				queue[0] = id;
				spread(c, parent, queue, 1);
			}
			else
				again = true;
		}
		if (again && c->ef > c->n)
			break;
		if (again)
		{
			c->ef *= 2;
			c->pool = tg_realloc(c->pool, sizeof(TgLink) * c->ef);
		}
	}
	tg_free(parent);
	tg_free(queue);
}

static void
report_progress(const Construction *c, TgConstructStage stage, int64 done)
{
	tg_check_interrupts();
	if (c->team->leader && c->params->progress)
		c->params->progress(c->params->progress_arg, stage, done);
}

/* Wait until all members have come to this point. */
static void
meet(const Construction *c)
{
	if (c->team->meet)
		c->team->meet(c->team->arg);
}

/*
 * Insert vertices, each member the next that nobody has taken.
 */
static void
insert_vertices(Construction *c)
{
	Scatter		scatter = scatter_init(c->n);
	uint32		i;

	while ((i = tg_fetch_add_u32(&c->shared->next_insert, 1)) < (uint32) c->n)
	{
		uint32		id = scatter_get(&scatter, i);

		if (id != c->entry)
			insert_vertex(c, id);
		report_progress(c, TG_CONSTRUCT_INSERT, (int64) i + 1);
	}
}

static void
finish_lists(Construction *c)
{
	uint32		first;

	while ((first = tg_fetch_add_u32(&c->shared->next_finish,
									 FINISH_BATCH)) < (uint32) c->n)
	{
		uint32		end = Min(first + FINISH_BATCH, (uint32) c->n);

		for (uint32 id = first; id < end; id++)
			finish_links(c, id);
		report_progress(c, TG_CONSTRUCT_FINISH, end);
	}
}

/* The vertex nearest to the root. */
static uint32
nearest_to_root(const Construction *c)
{
	float		nearest = INFINITY;
	uint32		entry = 0;

	for (int i = 0; i < c->n; i++)
	{
		float		distance = distance_to_root(c, i);

		if (distance < nearest)
		{
			nearest = distance;
			entry = i;
		}
		if ((i & 0xFFF) == 0)
			tg_check_interrupts();
	}
	return entry;
}

void
tg_construct(const TgConstructParams *params, const TgTeam *team,
			 const float *vectors, TgConstructed *graph)
{
	Construction construction = {0};
	Construction *c = &construction;

	Assert(graph->n >= 0 && graph->degree >= 2 &&
		   graph->degree <= TG_MAX_DEGREE);

	c->params = params;
	c->team = team;
	c->vectors = vectors;
	c->coarse = params->coarse;
	c->n = graph->n;
	c->dims = params->dims;
	c->degree = graph->degree;
	c->capacity = graph->capacity;
	c->links = graph->links;
	c->counts = graph->counts;
	c->shared = (Shared *) ((char *) graph->counts + counts_size(c->n));
	c->ef = Max(params->ef, c->degree);
	c->visited = tg_alloc(sizeof(uint32) * ((Size) c->n + 1));
	c->pool = tg_alloc(sizeof(TgLink) * c->ef);
	c->candidates = tg_alloc(sizeof(TgPruneCandidate) *
							 Max(Max(c->ef, c->capacity), ROOT_SAMPLE + 1));

	if (team->leader)
	{
		memset(c->counts, 0, counts_size(c->n) + sizeof(Shared));
		c->shared->entry = nearest_to_root(c);
	}
	meet(c);
	c->entry = c->shared->entry;
	if (c->n > 0)
	{
		insert_vertices(c);
		meet(c);
		finish_lists(c);
		meet(c);
		if (team->leader)
		{
			link_root(c);
			make_reachable(c);
		}
	}
	meet(c);

	tg_free(c->visited);
	tg_free(c->pool);
	tg_free(c->candidates);
}

/*
 * Breadth-first order from the root.  Returns how many vertices there are in
 * it; the rest of order[] is not set.  seen[n] must be false, and tells which.
 */
static int
breadth_first(const TgConstructed *graph, uint32 *order, bool *seen)
{
	int			n = graph->n;
	int			placed = 0;
	int			head = -1;		/* the root, then order[0], order[1] ... */

	for (; head < placed; head++)
	{
		uint32		id = head < 0 ? (uint32) n : order[head];
		const TgLink *list = tg_constructed_list(graph, id);

		for (int i = 0; i < graph->counts[id]; i++)
		{
			if (seen[list[i].id])
				continue;
			seen[list[i].id] = true;
			order[placed++] = list[i].id;
		}
		if ((head & 0xFFF) == 0)
			tg_check_interrupts();
	}
	return placed;
}

int
tg_count_unreachable(const TgConstructed *graph)
{
	uint32	   *order = tg_alloc(sizeof(uint32) * ((Size) graph->n + 1));
	bool	   *seen = tg_alloc(sizeof(bool) * ((Size) graph->n + 1));
	int			reached = breadth_first(graph, order, seen);

	tg_free(order);
	tg_free(seen);
	return graph->n - reached;
}

void
tg_graph_order(const TgConstructed *graph, uint32 *order)
{
	bool	   *seen = tg_alloc(sizeof(bool) * ((Size) graph->n + 1));
	int			placed = breadth_first(graph, order, seen);

	for (int i = 0; i < graph->n; i++)
		if (!seen[i])
			order[placed++] = i;
	tg_free(seen);
}
