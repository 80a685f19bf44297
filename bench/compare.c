/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  What the points of a sweep say about a recall between them.
 *
 *-------------------------------------------------------------------------
 */
#include <math.h>

#include "bench.h"

/* A search that costs less than the noise counts as this many microseconds. */
#define LEAST_SEARCH_US	0.1

/* Likewise, a query that finds everything cached. */
#define LEAST_READS		0.01

static double
point_value(const Point *point, Measure measure)
{
	switch (measure)
	{
		case MEASURE_QPS:
			return point->qps;
		case MEASURE_SEARCH_US:
			return Max(point->search_us, LEAST_SEARCH_US);
		case MEASURE_PAGES:
			return point->pages;
		case MEASURE_LITERAL_US:
			return point->literal_us;
		case MEASURE_COLD_US:
			return point->cold_us;
		case MEASURE_COLD_READS:
			return Max(point->cold_index_reads, LEAST_READS);
	}
	die("unknown measure %d", measure);
}

const Point *
point_at_recall(const System *system, double recall)
{
	const Point *point = system->points;
	const Point *end = system->points + system->npoints;
	const Point *best;

	while (point < end && point->recall < recall)
		point++;
	if (point == end)
		return NULL;
	best = point;
	for (point++; point < end; point++)
		if (point->recall >= recall && point->pages < best->pages)
			best = point;
	return best;
}

double
value_at_recall(const System *system, Measure measure, double recall,
				bool *bound)
{
	const Point *upper = point_at_recall(system, recall);
	double		share;

	*bound = false;
	if (upper == NULL)
		return NAN;
	if (upper == system->points || upper[-1].recall >= recall)
	{
		*bound = system->points[0].recall >= recall;
		return point_value(upper, measure);
	}
	share = (recall - upper[-1].recall) / (upper->recall - upper[-1].recall);
	return exp((1 - share) * log(point_value(upper - 1, measure)) +
			   share * log(point_value(upper, measure)));
}
