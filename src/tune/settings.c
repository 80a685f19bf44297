/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  How the searches of an index go: what options, settings and calibration
 *	  come to.
 *
 * Options of an index come before settings of a session, since who made the
 * index knows it; and at either place an ef comes before a recall, since it is
 * more definite, but togg.ef_search after togg.target_recall, since it always
 * has a value:
 *
 *		option ef_search, option target_recall, togg.target_recall,
 *		togg.ef_search
 *
 * A scan is not told the LIMIT.  To reach a recall it begins with a pool for as
 * many rows as people mostly ask for, the lowest rank of the curve, and if more
 * are taken, goes on with a larger one: each row comes from a pool that the
 * curve says is large enough for its rank.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

/* With one, up to the highest rank the next pool is for so many times the rows. */
#define RANK_GROWTH			3.2

TgSearchSettings
tg_index_settings(Relation index)
{
	TgOptions	options = tg_options_get(index);
	TgSearchSettings settings = {0};

	settings.routing = TG_ROUTING_TWO_STAGE;
	settings.stage1_width = options.stage1_width >= 0 ?
		options.stage1_width : TG_DEFAULT_STAGE1_WIDTH;
	settings.growth = options.pool_growth;
	return settings;
}

TgSearchSettings
tg_search_settings(Relation index, const TgMetaPage *meta)
{
	TgOptions	options = tg_options_get(index);
	TgSearchSettings settings = tg_index_settings(index);

	settings.routing = tg_routing;
	if (options.stage1_width < 0)
		settings.stage1_width = tg_stage1_width;
	if (options.ef_search == 0)
		settings.recall = options.target_recall > 0 ?
			options.target_recall : tg_target_recall;
	if (settings.recall > 0)
	{
		double		ef;

		settings.curve = tg_curve_is_known(&meta->curve) ?
			meta->curve : tg_curve_assumed;
		ef = tg_curve_ef(&settings.curve, settings.recall, tg_curve_ranks[0]);
		ef = Max(1, Min(ef, TG_MAX_EF_SEARCH));
		settings.ef = tg_whole_ef(ef);
		settings.middle = (ef - 1) / 2;
	}
	else
		settings.ef = options.ef_search > 0 ? options.ef_search : tg_ef_search;
	return settings;
}

int64
tg_settings_rows(const TgSearchSettings *settings, int64 ef, int64 depth)
{
	if (settings->recall > 0)
		return tg_curve_rows(&settings->curve, settings->recall, ef);

	/*
	 * Without a recall to reach, rows come from the nearest two thirds of a pool.
	 * Who sets an ef of few rows wants those fast: up to the lowest rank of the
	 * curve, a pool gives as many as it has.
	 */
	return Max((depth * 2 + 2) / 3, Min(ef, tg_curve_ranks[0]));
}

int64
tg_settings_next(const TgSearchSettings *settings, int64 ef, int64 rows)
{
	const int	highest = tg_curve_ranks[TG_CURVE_RANKS - 1];
	int64		next = 2 * ef;

	if (settings->recall > 0)
		next = Max(next,
				   tg_whole_ef(tg_curve_ef(&settings->curve, settings->recall,
										   Min(RANK_GROWTH * rows, highest))));
	return Min(next, PG_INT32_MAX / 2);
}
