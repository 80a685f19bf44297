/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  What scans cost.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_STATS_H
#define TOGG_STATS_H

#include "access/genam.h"
#include "access/relscan.h"

#include "graph/search.h"

typedef struct TgScanStats
{
	TgSearchStats search;
	int64		rows;			/* returned */
	int64		sweeps;			/* readings of the whole index */
} TgScanStats;

/* Of the last query of this session; set when its scan ends or is restarted. */
extern TgScanStats tg_last_scan;

/* Of a scan so far, all its restarts together. */
extern TgScanStats tg_scan_stats(IndexScanDesc scan);

#endif							/* TOGG_STATS_H */
