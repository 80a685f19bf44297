/*-------------------------------------------------------------------------
 *
 * tune.h
 *	  Measuring how well an index finds the nearest, and what it takes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_TUNE_H
#define TOGG_TUNE_H

#include "am/am.h"

/* ---------- sample.c: vertices to ask for ---------- */

/*
 * Living vertices of layer 0, in an order that is spread over all of the index
 * from the first few on, each at most once.
 */
typedef struct TgSampler
{
	TgReader   *reader;
	uint64		numbers;		/* of slots that there may be */
	uint64		step;			/* without a common divisor with that */
	uint64		next;
	uint64		left;
} TgSampler;

/* Begin; start chooses one of as many orders as there are slots. */
extern void tg_sampler_begin(TgSampler *sampler, TgReader *reader,
							 uint64 start);

/* The next vertex; false if there is none. */
extern bool tg_sampler_next(TgSampler *sampler, TgVertexId *id);

#endif							/* TOGG_TUNE_H */
