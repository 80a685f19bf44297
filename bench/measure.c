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
#include <unistd.h>

#include "bench.h"

/* Seconds per query. */
typedef struct Timing
{
	double		mean;
	double		p50;
	double		p99;
} Timing;

/* What is asked: a prepared statement, or a text for each query. */
typedef struct Statement
{
	const char *name;
	char	  **texts;
} Statement;

/* ---- cores ---- */

/* The cores that this process had before it was pinned to one. */
static const cpu_set_t *
allowed_cores(void)
{
	static cpu_set_t cores;
	static bool known = false;

	if (!known && sched_getaffinity(0, sizeof(cores), &cores) != 0)
		die("could not read this process's cores: %s", strerror(errno));
	known = true;
	return &cores;
}

int
core_count(void)
{
	return CPU_COUNT(allowed_cores());
}

int
last_core(void)
{
	for (int core = CPU_SETSIZE - 1; core >= 0; core--)
		if (CPU_ISSET(core, allowed_cores()))
			return core;
	die("this process may use no core");
}

void
unpin(void)
{
	if (sched_setaffinity(0, sizeof(cpu_set_t), allowed_cores()) != 0)
		die("could not unpin process %d: %s", (int) getpid(),
			strerror(errno));
}

void
pin_to_core(PGconn *conn, int core)
{
	pid_t		processes[2] = {0, PQbackendPID(conn)};
	cpu_set_t	cores;

	/* To be remembered before they are changed. */
	allowed_cores();
	CPU_ZERO(&cores);
	CPU_SET(core, &cores);
	for (int i = 0; i < 2; i++)
		if (sched_setaffinity(processes[i], sizeof(cores), &cores) != 0)
			die("could not pin process %d to core %d: %s\n"
				"Run as the server's user on the server's machine, or with "
				"--pin none.", (int) processes[i], core, strerror(errno));
}

/* ---- time ---- */

PGresult *
run_prepared(PGconn *conn, const System *system, const char *name, int query)
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

static PGresult *
run_statement(PGconn *conn, const System *system, const Statement *statement,
			  int query)
{
	PGresult   *result;

	if (statement->texts == NULL)
		return run_prepared(conn, system, statement->name, query);
	result = PQexec(conn, statement->texts[query]);
	sql_check(conn, result, PGRES_TUPLES_OK, "a query with a literal");
	return result;
}

/*
 * Asks all queries once.  Each one's time goes to seconds; the sum of them is
 * returned.  The rows found go to ids unless that is NULL, which it must be
 * unless the statement is prepared: only then they come in binary.
 */
static double
run_pass(PGconn *conn, const System *system, const Dataset *data,
		 const Statement *statement, double *seconds, int *ids)
{
	double		total = 0;

	for (int query = 0; query < data->queries; query++)
	{
		double		start = now_seconds();
		PGresult   *result = run_statement(conn, system, statement, query);

		seconds[query] = now_seconds() - start;
		total += seconds[query];
		for (int i = 0; ids != NULL && i < data->k; i++)
			ids[(size_t) query * data->k + i] = i < PQntuples(result)
				? wire_get_int32(PQgetvalue(result, i, 0)) : -1;
		PQclear(result);
	}
	return total;
}

/* The smallest value that at least this share of the sorted ones reach. */
static double
percentile(const double *sorted, int count, double share)
{
	return sorted[Max((int) ceil(share * count), 1) - 1];
}

/*
 * Times the statement: of an odd number of passes, the one with the median
 * total; of an even number, the better one of the middle two.
 */
static Timing
time_statement(PGconn *conn, const System *system, const Dataset *data,
			   const Statement *statement, int passes, int *ids)
{
	int			queries = data->queries;
	double	   *seconds = allocate((size_t) passes * queries, sizeof(double));
	double	   *totals = allocate(passes, sizeof(double));
	double	   *sorted = allocate(passes, sizeof(double));
	double	   *median = NULL;
	Timing		timing;

	for (int pass = 0; pass < passes; pass++)
		totals[pass] = run_pass(conn, system, data, statement,
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

PageCount
read_page_count(PGconn *conn, const System *system)
{
	PGresult   *result;
	PageCount	count;

	/* Our own backend's share is sent at the end of this statement ... */
	sql_run(conn, "SELECT pg_stat_force_next_flush()");
	/* ... and the next one must not look at an older snapshot. */
	sql_run(conn, "SELECT pg_stat_clear_snapshot()");
	result = sql_row(conn, "SELECT i.idx_blks_hit + i.idx_blks_read, "
					 "i.idx_blks_read, t.heap_blks_read + "
					 "coalesce(t.toast_blks_read + t.tidx_blks_read, 0) "
					 "FROM pg_statio_user_indexes i "
					 "JOIN pg_statio_user_tables t USING (relid) "
					 "WHERE i.indexrelid = 'togg_bench.%s'::regclass",
					 system->index);
	count.index = strtod(PQgetvalue(result, 0, 0), NULL);
	count.index_reads = strtod(PQgetvalue(result, 0, 1), NULL);
	count.table_reads = strtod(PQgetvalue(result, 0, 2), NULL);
	PQclear(result);
	return count;
}

static void
average_counters(PGconn *conn, const System *system, const Dataset *data,
				 double *averages)
{
	memset(averages, 0, COUNTER_COUNT * sizeof(double));
	for (int query = 0; query < data->queries; query++)
	{
		PGresult   *result;

		PQclear(run_prepared(conn, system, system->search_name, query));
		result = sql_row(conn, "%s", system->counter_query);
		for (int i = 0; i < COUNTER_COUNT; i++)
			averages[i] += strtod(PQgetvalue(result, 0, i), NULL) / data->queries;
		PQclear(result);
	}
}

/* ---- points ---- */

/* Means of the queries as texts, which nothing has prepared. */
static void
measure_unprepared(PGconn *conn, const System *system, const Dataset *data,
				   int passes, Point *point)
{
	const Statement empty = {.texts = system->empty_texts};
	const Statement search = {.texts = system->search_texts};

	point->literal_sql_us =
		time_statement(conn, system, data, &empty, passes, NULL).mean * 1e6;
	point->literal_us =
		time_statement(conn, system, data, &search, passes, NULL).mean * 1e6;
}

void
measure_point(PGconn *conn, System *system, const Dataset *data, int ef,
			  const RunInfo *run, Point *point)
{
	const Statement empty_statement = {.name = system->empty_name};
	const Statement search_statement = {.name = system->search_name};
	int		   *ids = allocate((size_t) data->queries * data->k, sizeof(int));
	double	   *unused = allocate(data->queries, sizeof(double));
	PageCount	before;
	PageCount	after;
	Timing		search;
	Timing		empty;

	system_enter(conn, system, ef);

	/* Warm up; also past the executions that are planned anew. */
	run_pass(conn, system, data, &empty_statement, unused, NULL);
	empty = time_statement(conn, system, data, &empty_statement, run->passes,
						   NULL);
	run_pass(conn, system, data, &search_statement, unused, NULL);
	before = read_page_count(conn, system);
	search = time_statement(conn, system, data, &search_statement,
							run->passes, ids);
	after = read_page_count(conn, system);
	if (after.index_reads > before.index_reads && run->cold == 0)
		note("%.0f pages of %s were not in shared_buffers: the times of ef "
			 "%d are not those of a cached index",
			 after.index_reads - before.index_reads, system->index, ef);

	memset(point, 0, sizeof(*point));
	point->ef = ef;
	point->recall = dataset_recall(data, ids);
	point->mean_us = search.mean * 1e6;
	point->p50_us = search.p50 * 1e6;
	point->p99_us = search.p99 * 1e6;
	point->sql_us = empty.mean * 1e6;
	point->search_us = point->mean_us - point->sql_us;
	point->qps = 1 / search.mean;
	point->pages = (after.index - before.index) / run->passes / data->queries;
	if (system->counter_query != NULL)
	{
		average_counters(conn, system, data, point->counters);

		/*
		 * The server's statistics miss a page that is found again through a
		 * remembered buffer; the scan's own count has it.
		 */
		point->pages = Max(point->pages, point->counters[COUNTER_PAGES]);
	}
	if (run->unprepared)
		measure_unprepared(conn, system, data, run->passes, point);
	if (run->cold > 0)
		cold_measure(conn, system, Min(run->cold, data->queries), point);
	system_leave(conn, system);
	free(unused);
	free(ids);
}

/* Asks queries by turns, from the first on; returns when it is time. */
static int
ask_until(PGconn *conn, const System *system, int queries, double end)
{
	int			asked = 0;

	do
		PQclear(run_prepared(conn, system, system->search_name,
							 asked++ % queries));
	while (now_seconds() < end);
	return asked;
}

double
measure_query(PGconn *conn, const char *query, const char *parameters,
			  int seconds)
{
	System		system = {.search_name = "query"};
	PGresult   *result = PQexecParams(conn, parameters, 0, NULL, NULL, NULL,
									  NULL, 1);
	int			count;
	int			asked;
	double		start;

	/* What the server sends in binary, it takes in binary. */
	sql_check(conn, result, PGRES_TUPLES_OK, parameters);
	count = PQntuples(result);
	if (count == 0)
		die("%s\nreturned no rows", parameters);
	system.wire_length = PQgetlength(result, 0, 0);
	system.wire_queries = allocate(count, system.wire_length);
	for (int i = 0; i < count; i++)
	{
		if (PQgetlength(result, i, 0) != system.wire_length)
			die("%s\nreturned values of %d and of %d bytes", parameters,
				system.wire_length, PQgetlength(result, i, 0));
		memcpy(system.wire_queries + (size_t) i * system.wire_length,
			   PQgetvalue(result, i, 0), system.wire_length);
	}
	PQclear(result);

	/* Warm up; also past the executions that are planned anew. */
	sql_prepare(conn, system.search_name, query);
	ask_until(conn, &system, count, now_seconds() + seconds);
	start = now_seconds();
	asked = ask_until(conn, &system, count, start + seconds);
	free(system.wire_queries);
	return asked / (now_seconds() - start);
}

double
measure_recall(PGconn *conn, System *system, const Dataset *data, int ef)
{
	const Statement search = {.name = system->search_name};
	int		   *ids = allocate((size_t) data->queries * data->k, sizeof(int));
	double	   *unused = allocate(data->queries, sizeof(double));
	double		recall;

	system_enter(conn, system, ef);
	run_pass(conn, system, data, &search, unused, ids);
	system_leave(conn, system);
	recall = dataset_recall(data, ids);
	free(unused);
	free(ids);
	return recall;
}
