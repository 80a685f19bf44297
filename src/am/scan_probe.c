/*-------------------------------------------------------------------------
 *
 * scan_probe.c
 *	  Index scans for who measures: by settings of its own, without the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/scan.h"

void
tg_scan_set(IndexScanDesc scan, const TgSearchSettings *settings,
			TgVertexId held_out)
{
	TgScanState *state = scan->opaque;

	state->settings = *settings;
	state->forced = true;
	state->search->held_out = held_out;
}

int
tg_scan_probe(IndexScanDesc scan, TgSpan span, double *distances, int max)
{
	TgScanState *state = scan->opaque;
	const TgOpclass *opclass = tg_opclass_get(scan->indexRelation);
	const TgIndex *info = tg_index_get(scan->indexRelation);
	MemoryContext old;
	TgResult	result;
	int			n = 0;

	tg_amrescan(scan, NULL, 0, NULL, 0);
	old = MemoryContextSwitchTo(state->context);
	state->rows = 0;
	tg_scan_init_graph(state, scan->indexRelation, info);
	tg_scan_start_search(scan, info, opclass, span);
	while (n < max && tg_search_next(state->search, &result))
		distances[n++] = result.distance;
	state->past = tg_scan_stats(scan);
	state->phase = TG_PHASE_START;
	MemoryContextSwitchTo(old);
	return n;
}
