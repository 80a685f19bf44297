/*-------------------------------------------------------------------------
 *
 * questions.c
 *	  Queries whose nearest vertices are known; see questions.h.
 *
 * Nearly all vertices are far from nearly all queries, which coarse copies tell
 * (graph/coarse.h), of queries and vertex, in an eighth of the time.  Who makes a
 * copy knows how much it may be off, so that what is found is exact.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/questions.h"

#include <math.h>

#include "miscadmin.h"

/*
 * How far a copy may be off, in steps; the bound on what rounding adds to the
 * stored vectors that are compared by copies, likewise; and what sums in float32
 * add to either.
 */
#define COPY_ERROR(dims)	sqrt(TG_COARSE_ERROR_LIMIT / 12.0 * (dims))
#define STORED_ERROR		1.0
#define SUM_ERROR			1e-4

void
tg_questions_init(TgQuestions *questions, const TgIndex *tg,
				  const TgOpclass *opclass, int limit, int k)
{
	memset(questions, 0, sizeof(TgQuestions));
	questions->tg = tg;
	questions->opclass = opclass;
	questions->limit = limit;
	questions->items = palloc0(sizeof(TgQuestion) * limit);
	questions->k = k;
}

/*
 * Add a query; its values must live as long.
 */
static void
add(TgQuestions *questions, const float *values, TgVertexId held_out)
{
	const TgGeometry *geometry = &questions->tg->geometry;
	TgQuestion *question = &questions->items[questions->n];
	float	   *inner;

	question->held_out = held_out;
	question->span = (TgSpan) {values, geometry->dims};
	if (!tg_rankable(questions->opclass, question->span))
		return;
	inner = palloc(sizeof(float) * geometry->inner_dims);
	tg_embed_query(geometry, values, inner);
	tg_query_init(&question->query, geometry, questions->tg->layout.storage,
				  questions->opclass->foreign_operator, values, inner);
	question->nearest.k = questions->k;
	question->nearest.distances = palloc(sizeof(double) * questions->k);
	questions->n++;
}

void
tg_questions_add(TgQuestions *questions, TgSpan span)
{
	float	   *values = palloc(sizeof(float) * span.dims);

	memcpy(values, span.values, sizeof(float) * span.dims);
	add(questions, values, TG_INVALID_VERTEX);
}

void
tg_questions_sample(TgQuestions *questions, TgReader *reader, uint64 start)
{
	const TgGeometry *geometry = &questions->tg->geometry;
	TgGraph    *graph = &reader->graph;
	TgSampler	sampler;
	TgVertexId	id;
	TgVertexView view;

	tg_sampler_begin(&sampler, reader, start);
	while (questions->n < questions->limit && tg_sampler_next(&sampler, &id))
	{
		float	   *values;

		if (!graph->open(graph, id, &view))
			continue;
		values = palloc(sizeof(float) * geometry->dims);
		tg_unstore(geometry, questions->tg->layout.storage,
				   tg_reader_vector(reader, id), values);
		graph->close(graph);
		add(questions, values, id);
	}
}

/* ---------- comparing ---------- */

/*
 * Note from which sum of its copy on a query wants no vertex any more.
 */
static void
set_beyond(const TgQuestions *questions, TgQuestion *question)
{
	const TgNearest *nearest = &question->nearest;
	double		step = questions->coarse.step;
	double		reach;

	question->beyond = PG_UINT32_MAX;
	if (nearest->n < nearest->k || step == 0)
		return;
	reach = tg_query_reach(&question->query, nearest->distances[0] +
						   STORED_ERROR * step) / step;
	reach = reach * (1 + SUM_ERROR) + 2 * COPY_ERROR(questions->coarse.dims);
	if (reach * reach < PG_UINT32_MAX)
		question->beyond = (uint32) (reach * reach);
}

/*
 * Make copies of the queries.
 */
static void
make_copies(TgQuestions *questions)
{
	const TgGeometry *geometry = &questions->tg->geometry;
	const float *centre = questions->tg->root_inner;
	int			dims = geometry->inner_dims;
	float	   *relative = palloc(sizeof(float) * Max(questions->n, 1) * dims);

	for (int i = 0; i < questions->n; i++)
		for (int j = 0; j < dims; j++)
			relative[i * dims + j] =
				questions->items[i].query.inner[j] - centre[j];
	tg_coarse_init(&questions->coarse, dims,
				   tg_coarse_step(relative, questions->n, dims), centre,
				   palloc((questions->n + 1) * tg_coarse_stride(dims)));
	questions->scratch = palloc(sizeof(float) * (geometry->dims + dims));
	pfree(relative);
	for (int i = 0; i < questions->n; i++)
	{
		if (questions->coarse.step > 0)
			tg_coarse_put(&questions->coarse, i, questions->items[i].query.inner);
		set_beyond(questions, &questions->items[i]);
	}
}

/*
 * Make a copy of a stored vector; false if there can be none.
 */
static bool
copy_vertex(TgQuestions *questions, const void *vector, TgStored stored)
{
	const TgGeometry *geometry = &questions->tg->geometry;
	float	   *inner = questions->scratch + geometry->dims;

	if (questions->coarse.step == 0 ||
		stored.error > STORED_ERROR * questions->coarse.step)
		return false;
	tg_unstore(geometry, questions->tg->layout.storage, vector,
			   questions->scratch);
	tg_embed(geometry, questions->scratch, stored.norm2, inner);
	tg_coarse_put(&questions->coarse, questions->n, inner);
	return true;
}

static void
compare_slot(TgQuestions *questions, TgReader *reader, TgVertexId id)
{
	const TgSlotHeader *header = tg_reader_open_slot(reader, id);

	if (header->kind == TG_SLOT_VERTEX && header->layer == 0 &&
		!(header->flags & (TG_VERTEX_ROOT | TG_VERTEX_DEAD)))
	{
		const void *vector = tg_reader_vector(reader, id);
		TgStored	stored = tg_slot_stored(header);
		bool		copied = copy_vertex(questions, vector, stored);

		questions->vertices++;
		for (int i = 0; i < questions->n; i++)
		{
			TgQuestion *question = &questions->items[i];
			double		distance;

			if (copied && tg_coarse_sum(&questions->coarse, i,
										questions->n) > question->beyond)
				continue;
			distance = tg_query_least(&question->query, vector, stored);
			if (tg_nearest_wants(&question->nearest, distance) &&
				question->held_out != id)
			{
				tg_nearest_add(&question->nearest, distance);
				set_beyond(questions, question);
			}
		}
	}
	reader->graph.close(&reader->graph);
}

void
tg_charge_pages(uint64 *pages)
{
	if (VacuumCostActive)
		VacuumCostBalance += VacuumCostPageHit * (int) *pages;
	*pages = 0;
	tg_vacuum_delay_point();
}

bool
tg_questions_compare(TgQuestions *questions, Relation index, TgReader *reader,
					 bool (*pause) (Relation index))
{
	TgVertexId	id;

	if (questions->slots.index == NULL)
	{
		make_copies(questions);
		tg_slot_scan_begin(&questions->slots, index, &questions->tg->layout);
	}
	questions->slots.index = index;
	while (tg_slot_scan_next(&questions->slots, &id))
	{
		if (questions->slots.page.kind == TG_PAGE_LIST)
			compare_slot(questions, reader, id);
		tg_charge_pages(&reader->pages);
		if (pause && pause(index))
			return false;
	}
	for (int i = 0; i < questions->n; i++)
		tg_nearest_sort(&questions->items[i].nearest);
	return true;
}

int
tg_question_found(const TgQuestion *question, const double *distances, int n,
				  int rank)
{
	const TgNearest *nearest = &question->nearest;
	int			found = 0;

	rank = Min(rank, nearest->n);
	while (found < Min(n, rank) &&
		   distances[found] <= nearest->distances[rank - 1])
		found++;
	return found;
}
