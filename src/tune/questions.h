/*-------------------------------------------------------------------------
 *
 * questions.h
 *	  Queries whose nearest vertices are known.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_QUESTIONS_H
#define TOGG_QUESTIONS_H

#include "graph/coarse.h"
#include "tune/nearest.h"
#include "tune/tune.h"

/* A query. */
typedef struct TgQuestion
{
	TgVertexId	held_out;		/* whose vector it is, if it is a vertex's */
	TgSpan		span;
	TgQuery		query;
	TgNearest	nearest;
	uint32		beyond;			/* by its copy, what is farther is none of these */
} TgQuestion;

typedef struct TgQuestions
{
	const TgIndex *tg;
	const TgOpclass *opclass;
	int			n;
	int			limit;
	TgQuestion *items;			/* [limit] */
	int			k;				/* neighbours wanted of each */
	TgCoarse	coarse;			/* copies of the queries; the last: of a vertex */
	float	   *scratch;		/* [dims] and [inner_dims] */
	TgSlotScan	slots;
	uint64		vertices;		/* seen so far */
} TgQuestions;

/*
 * Begin with none; at most limit of them will be, in the current memory
 * context.
 */
extern void tg_questions_init(TgQuestions *questions, const TgIndex *tg,
							  const TgOpclass *opclass, int limit, int k);

/* Add vectors of the index until there are enough; start: tg_sampler_begin(). */
extern void tg_questions_sample(TgQuestions *questions, TgReader *reader,
								uint64 start);

/* Add one, whose dimensions are those of the index, if it can be ranked by. */
extern void tg_questions_add(TgQuestions *questions, TgSpan span);

/*
 * Compare all vertices of the index with the queries, or go on with that; until
 * the end, or until pause() (see tg_calibration_run()).  Returns whether it was
 * the end.
 */
extern bool tg_questions_compare(TgQuestions *questions, Relation index,
								 TgReader *reader,
								 bool (*pause) (Relation index));

/*
 * Of the first rows of an answer, as many as a rank says: how many are as near
 * as the true ones.
 */
extern int	tg_question_found(const TgQuestion *question,
							  const double *distances, int n, int rank);

/* Count pages read towards the next sleep of who is throttled. */
extern void tg_charge_pages(uint64 *pages);

#endif							/* TOGG_QUESTIONS_H */
