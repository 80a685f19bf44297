/*-------------------------------------------------------------------------
 *
 * index_only.h
 *	  Index-only scans: rows made of what the index keeps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_INDEX_ONLY_H
#define TOGG_INDEX_ONLY_H

#include "access/genam.h"
#include "access/relscan.h"

#include "page/page.h"

typedef struct TgIndexOnly TgIndexOnly;

extern TgIndexOnly *tg_index_only_create(IndexScanDesc scan);
extern void tg_index_only_destroy(TgIndexOnly *only);

/*
 * Make scan->xs_hitup of a row with this heap TID, which the scan found at the
 * owner, a vertex or an unranked list.  False if the row is not there any more,
 * so that nobody sees it.
 *
 * The page that it is on stays pinned until tg_index_only_release(), so that
 * VACUUM cannot remove the row before its visibility is known.
 */
extern bool tg_index_only_row(TgIndexOnly *only, TgReader *reader,
							  TgVertexId owner, const ItemPointerData *tid);
extern void tg_index_only_release(TgIndexOnly *only);

/*
 * The first distance of ORDER BY of a row that the scan found at the vertex, from
 * the vector in the index or, where that is not the whole of it, in the table.
 * False if nobody sees a row there.
 */
extern bool tg_index_only_distance(TgIndexOnly *only, TgReader *reader,
								   TgVertexId owner,
								   const ItemPointerData *tid,
								   double *distance);

#endif							/* TOGG_INDEX_ONLY_H */
