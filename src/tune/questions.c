/*-------------------------------------------------------------------------
 *
 * questions.c
 *	  Queries whose nearest vertices are known; see questions.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "tune/questions.h"

#include "miscadmin.h"

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

static void
compare_slot(TgQuestions *questions, TgReader *reader, TgVertexId id)
{
	const TgSlotHeader *header = tg_reader_open_slot(reader, id);

	if (header->kind == TG_SLOT_VERTEX && header->layer == 0 &&
		!(header->flags & (TG_VERTEX_ROOT | TG_VERTEX_DEAD)))
	{
		const void *vector = tg_reader_vector(reader, id);
		TgStored	stored = tg_slot_stored(header);

		questions->vertices++;
		for (int i = 0; i < questions->n; i++)
		{
			TgQuestion *question = &questions->items[i];
			double		distance = tg_query_least(&question->query, vector,
												  stored);

			if (tg_nearest_wants(&question->nearest, distance) &&
				question->held_out != id)
				tg_nearest_add(&question->nearest, distance);
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
		tg_slot_scan_begin(&questions->slots, index, &questions->tg->layout);
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
