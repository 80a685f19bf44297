/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  What the last scan of this session cost.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_STATS_H
#define TOGG_STATS_H

#include "graph/search.h"

typedef struct TgLastScan
{
	TgSearchStats search;
	int64		rows;			/* returned */
	bool		sweep;			/* did it read the whole index? */
} TgLastScan;

/* Set when a scan ends; read by togg_last_scan(). */
extern TgLastScan tg_last_scan;

#endif							/* TOGG_STATS_H */
