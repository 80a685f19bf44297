/*-------------------------------------------------------------------------
 *
 * measure.c
 *	  One point of a sweep: time, recall, pages and counters at one ef.
 *
 * Waking a process on another core costs as much as a fast search, and how
 * much depends on what the core did before.  So client and backend share a
 * core: they never run at the same time anyway.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Queries whose counters are averaged; reading them is slow. */
#define COUNTER_SAMPLE	100

/* Seconds per query. */
typedef struct Timing
{
	double		mean;
	double		p50;
	double		p99;
} Timing;

/* Pages of an index that were accessed since the server started. */
typedef struct PageCount
{
	double		all;
	double		read;			/* of them from outside shared_buffers */
} PageCount;

/* ---- cores ---- */

int
last_core(void)
{
	cpu_set_t	cores;

	if (sched_getaffinity(0, sizeof(cores), &cores) != 0)
		die("could not read this process's cores: %s", strerror(errno));
	for (int core = CPU_SETSIZE - 1; core >= 0; core--)
		if (CPU_ISSET(core, &cores))
			return core;
	die("this process may use no core");
}

void
pin_to_core(PGconn *conn, int core)
{
	pid_t		processes[2] = {0, PQbackendPID(conn)};
	cpu_set_t	cores;

	CPU_ZERO(&cores);
	CPU_SET(core, &cores);
	for (int i = 0; i < 2; i++)
		if (sched_setaffinity(processes[i], sizeof(cores), &cores) != 0)
			die("could not pin process %d to core %d: %s\n"
				"Run as the server's user on the server's machine, or with "
				"--pin none.", (int) processes[i], core, strerror(errno));
}

/* ---- time ---- */

static PGresult *
run_query(PGconn *conn, const System *system, const char *name, int query)
{
	const char *values[1];
	const int	lengths[1] = {system->wire_length};
	const int	formats[1] = {1};
	PGresult   *result;

	values[0] = system->wire_queries + (size_t) query * system->wire_length;
	result = PQexecPrepared(conn, name, 1, values, lengths, formats, 1);
	sql_check(conn, result, PGRES_TUPLES_OK, name);
	return result;
}

/*
 * Asks all queries once.  Each one's time goes to seconds; the sum of them is
 * returned.  The rows found go to ids unless that is NULL.
 */
static double
run_pass(PGconn *conn, const System *system, const Dataset *data,
		 const char *name, double *seconds, int *ids)
{
	double		total = 0;

	for (int query = 0; query < data->queries; query++)
	{
		double		start = now_seconds();
		PGresult   *result = run_query(conn, system, name, query);

		seconds[query] = now_seconds() - start;
		total += seconds[query];
		for (int i = 0; ids != NULL && i < data->k; i++)
			ids[(size_t) query * data->k + i] = i < PQntuples(result)
				? wire_get_int32(PQgetvalue(result, i, 0)) : -1;
		PQclear(result);
	}
	return total;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* The smallest value that at least this share of the sorted ones reach. */
static double
percentile(const double *sorted, int count, double share)
{
	return sorted[Max((int) ceil(share * count), 1) - 1];
}

/*
 * Times the prepared statement: of an odd number of passes, the one with the
 * median total; of an even number, the better one of the middle two.
 */
static Timing
time_statement(PGconn *conn, const System *system, const Dataset *data,
			   const char *name, int passes, int *ids)
{
	int			queries = data->queries;
	double	   *seconds = allocate((size_t) passes * queries, sizeof(double));
	double	   *totals = allocate(passes, sizeof(double));
	double	   *sorted = allocate(passes, sizeof(double));
	double	   *median = NULL;
	Timing		timing;

	for (int pass = 0; pass < passes; pass++)
		totals[pass] = run_pass(conn, system, data, name,
								seconds + (size_t) pass * queries, ids);
	memcpy(sorted, totals, passes * sizeof(double));
	qsort(sorted, passes, sizeof(double), compare_doubles);
	timing.mean = sorted[(passes - 1) / 2] / queries;
	for (int pass = 0; pass < passes; pass++)
		if (totals[pass] == sorted[(passes - 1) / 2])
			median = seconds + (size_t) pass * queries;
	qsort(median, queries, sizeof(double), compare_doubles);
	timing.p50 = percentile(median, queries, 0.50);
	timing.p99 = percentile(median, queries, 0.99);
	free(sorted);
	free(totals);
	free(seconds);
	return timing;
}

/* ---- pages and counters ---- */

static PageCount
read_page_count(PGconn *conn, const System *system)
{
	PGresult   *result;
	PageCount	count;

	/* Our own backend's share is sent at the end of this statement ... */
	sql_run(conn, "SELECT pg_stat_force_next_flush()");
	/* ... and the next one must not look at an older snapshot. */
	sql_run(conn, "SELECT pg_stat_clear_snapshot()");
	result = sql_row(conn, "SELECT idx_blks_hit + idx_blks_read, "
					 "idx_blks_read FROM pg_statio_user_indexes "
					 "WHERE indexrelid = 'togg_bench.%s'::regclass",
					 system->index);
	count.all = strtod(PQgetvalue(result, 0, 0), NULL);
	count.read = strtod(PQgetvalue(result, 0, 1), NULL);
	PQclear(result);
	return count;
}

static void
average_counters(PGconn *conn, const System *system, const Dataset *data,
				 double *averages)
{
	int			sample = Min(data->queries, COUNTER_SAMPLE);

	memset(averages, 0, COUNTER_COUNT * sizeof(double));
	for (int query = 0; query < sample; query++)
	{
		PGresult   *result;

		PQclear(run_query(conn, system, system->search_name, query));
		result = sql_row(conn, "%s", system->counter_query);
		for (int i = 0; i < COUNTER_COUNT; i++)
			averages[i] += strtod(PQgetvalue(result, 0, i), NULL) / sample;
		PQclear(result);
	}
}

void
measure_point(PGconn *conn, const System *system, const Dataset *data, int ef,
			  int passes, Point *point)
{
	int		   *ids = allocate((size_t) data->queries * data->k, sizeof(int));
	double	   *unused = allocate(data->queries, sizeof(double));
	char	   *setting = format_string("%d", ef);
	PageCount	before;
	PageCount	after;
	Timing		search;
	Timing		empty;

	sql_set(conn, system->ef_setting, setting);

	/* Warm up; also past the executions that are planned anew. */
	run_pass(conn, system, data, system->empty_name, unused, NULL);
	empty = time_statement(conn, system, data, system->empty_name, passes,
						   NULL);
	run_pass(conn, system, data, system->search_name, unused, NULL);
	before = read_page_count(conn, system);
	search = time_statement(conn, system, data, system->search_name, passes,
							ids);
	after = read_page_count(conn, system);
	if (after.read > before.read)
		note("%.0f pages of %s were not in shared_buffers: the times of ef "
			 "%d are not those of a cached index", after.read - before.read,
			 system->index, ef);

	memset(point, 0, sizeof(*point));
	point->ef = ef;
	point->recall = dataset_recall(data, ids);
	point->mean_us = search.mean * 1e6;
	point->p50_us = search.p50 * 1e6;
	point->p99_us = search.p99 * 1e6;
	point->sql_us = empty.mean * 1e6;
	point->search_us = point->mean_us - point->sql_us;
	point->qps = 1 / search.mean;
	point->pages = (after.all - before.all) / passes / data->queries;
	if (system->counter_query != NULL)
	{
		average_counters(conn, system, data, point->counters);

		/*
		 * The server's statistics miss a page that is found again through a
		 * remembered buffer; the scan's own count has it.
		 */
		point->pages = Max(point->pages, point->counters[COUNTER_PAGES]);
	}
	free(setting);
	free(unused);
	free(ids);
}
