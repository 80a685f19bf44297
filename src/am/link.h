/*-------------------------------------------------------------------------
 *
 * link.h
 *	  Linking a vertex into the graph on pages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_LINK_H
#define TOGG_LINK_H

#include "am/am.h"

/* A vertex that a search met. */
typedef struct TgMet
{
	TgVertexId	id;
	bool		root;
	float		distance;		/* squared, in the inner space */
	const float *inner;			/* [inner_dims] */
	const float *rotated;		/* [inner_dims]: P inner; NULL unless known */
} TgMet;

typedef struct TgLinker TgLinker;

/*
 * A linker for one layer of the graph.  Everything is allocated in the current
 * memory context.
 */
extern TgLinker *tg_linker_create(Relation index, const TgIndex *info,
								  int layer);

/*
 * Search for a vector of the inner space: all living vertices met, nearest
 * first, at least ef of them where there are so many, without the root.
 */
extern TgMet *tg_linker_search(TgLinker *linker, const float *inner, int ef,
							   int *n);

/* A reader of the index, for vertices one by one. */
extern TgReader *tg_linker_reader(TgLinker *linker);

/* List maker of the index. */
extern TgListMaker *tg_linker_maker(TgLinker *linker);

/* P of the vector last searched for. */
extern const float *tg_linker_rotated(const TgLinker *linker);

/*
 * Make others link to the vertex that was last searched for, which is written
 * and whose list is own[nown].  Links of that list may be given up if spare,
 * which is safe as long as nobody is led through the vertex.  Of targets[n], nearest first, as many as the
 * pruning rule wants get a link; at least one does, unless each of them has
 * gone meanwhile: returns whether.  Every vertex that could be reached still
 * can.
 */
extern bool tg_linker_link(TgLinker *linker, TgVertexId id,
						   const TgVertexId *own, int nown, bool spare,
						   const TgMet *targets, int n);

/*
 * Have the root link to the vertex as well: while the root has room, if the
 * vertex stands for a region that is new to the root, or if it must.
 */
extern void tg_linker_link_root(TgLinker *linker, bool must);

#endif							/* TOGG_LINK_H */
