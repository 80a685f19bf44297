/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What the user gets: CSV lines, Markdown tables, and the comparison at
 *	  equal recall.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Where the systems are compared. */
static const double recall_targets[] = {0.90, 0.95, 0.99, 0.999};

/* A search that costs less than the noise counts as this many microseconds. */
#define LEAST_SEARCH_US	0.1

/* What is compared at equal recall. */
typedef enum Measure
{
	MEASURE_QPS,
	MEASURE_SEARCH_US,
	MEASURE_PAGES
} Measure;

#define MEASURE_COUNT	3

static const char *const measure_titles[MEASURE_COUNT] = {
	"QPS", "search us", "pages"
};

/* ---- CSV ---- */

static void
write_csv_header(FILE *file)
{
	fputs("dataset,rows,dims,metric,k,system,label,build_seconds,index_bytes,"
		  "bytes_per_row,insert_rows_per_second,ef,recall,qps,mean_us,p50_us,"
		  "p99_us,sql_us,search_us,pages", file);
	for (int i = 0; i < COUNTER_COUNT; i++)
		fprintf(file, ",scan_%s", counter_names[i]);
	fputc('\n', file);
}

static void
write_csv_line(FILE *file, const Dataset *data, const RunInfo *run,
			   const System *system, const Point *point)
{
	fprintf(file, "%s,%d,%d,%s,%d,%s,%s,%.2f,%.0f,%.1f,", data->name,
			data->rows, data->dims, metric_name(data->metric), data->k,
			system->name, run->label, system->build_seconds,
			system->index_bytes, system->index_bytes / data->rows);
	if (run->inserted > 0)
		fprintf(file, "%.1f", system->insert_rate);
	fprintf(file, ",%d,%.5f,%.1f,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f", point->ef,
			point->recall, point->qps, point->mean_us, point->p50_us,
			point->p99_us, point->sql_us, point->search_us, point->pages);
	for (int i = 0; i < COUNTER_COUNT; i++)
	{
		if (system->counter_query != NULL)
			fprintf(file, ",%.2f", point->counters[i]);
		else
			fputc(',', file);
	}
	fputc('\n', file);
}

void
report_csv(const char *path, const Dataset *data, const RunInfo *run)
{
	FILE	   *file = fopen(path, "a");

	if (file == NULL)
		die("could not open %s: %s", path, strerror(errno));
	if (fseek(file, 0, SEEK_END) != 0)
		die("could not seek in %s: %s", path, strerror(errno));
	if (ftell(file) == 0)
		write_csv_header(file);
	for (int i = 0; i < SYSTEM_COUNT; i++)
		for (int j = 0; j < systems[i].npoints; j++)
			write_csv_line(file, data, run, &systems[i],
						   &systems[i].points[j]);
	if (ferror(file) || fclose(file) != 0)
		die("could not write %s: %s", path, strerror(errno));
}

/* ---- equal recall ---- */

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
	}
	die("unknown measure %d", measure);
}

/*
 * The value at a recall, between the two neighbouring points of the sweep
 * around it: its logarithm is taken to be linear in recall.  NAN if no point
 * reaches the recall.  If already the first point does, the result is that
 * point's value and *bound is set: a smaller ef would be faster still.
 */
static double
value_at_recall(const System *system, Measure measure, double recall,
				bool *bound)
{
	const Point *upper = system->points;
	const Point *end = system->points + system->npoints;
	double		share;

	*bound = false;
	while (upper < end && upper->recall < recall)
		upper++;
	if (upper == end)
		return NAN;
	if (upper == system->points)
	{
		*bound = true;
		return point_value(upper, measure);
	}
	share = (recall - upper[-1].recall) / (upper->recall - upper[-1].recall);
	return exp((1 - share) * log(point_value(upper - 1, measure)) +
			   share * log(point_value(upper, measure)));
}

/* ---- Markdown ---- */

/* The processor's name, as the kernel knows it. */
static char *
processor_name(void)
{
	FILE	   *file = fopen("/proc/cpuinfo", "r");
	char		line[256];
	char	   *name = NULL;

	while (file != NULL && name == NULL &&
		   fgets(line, sizeof(line), file) != NULL)
	{
		char	   *colon = strchr(line, ':');

		if (colon == NULL || strncmp(line, "model name", 10) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		name = format_string("%s", colon + 2);
	}
	if (file != NULL)
		fclose(file);
	return name != NULL ? name : format_string("unknown processor");
}

static void
write_settings(PGconn *conn, const Dataset *data, const RunInfo *run)
{
	char	   *processor = processor_name();
	char	   *version = sql_text(conn, "SHOW server_version");
	char	   *buffers = sql_text(conn, "SHOW shared_buffers");
	char	   *workers = sql_text(conn,
								   "SHOW max_parallel_maintenance_workers");

	printf("### %s%s%s\n\n", data->name, run->label[0] != '\0' ? ", " : "",
		   run->label);
	printf("%d rows x %d dimensions, %s, recall@%d of %d queries, median of "
		   "%d passes, one client", data->rows, data->dims,
		   metric_name(data->metric), data->k, data->queries, run->passes);
	if (run->core >= 0)
		printf(" on one core with its backend");
	printf(".\n%s, PostgreSQL %s, shared_buffers %s, %s parallel build "
		   "workers", processor, version, buffers, workers);
	for (int i = 0; i < SYSTEM_COUNT; i++)
		if (systems[i].wanted)
			printf(", %s %s", systems[i].name, systems[i].version);
	printf(".");
	for (int i = 0; i < run->nsettings; i++)
		printf("%s%s", i == 0 ? "\nSettings: " : ", ", run->settings[i]);
	if (run->nsettings > 0)
		printf(".");
	if (run->inserted > 0)
		printf("\nThe last %d rows were inserted into the finished index, "
			   "%d a transaction.", run->inserted, run->batch);
	printf("\n\n");
	free(workers);
	free(buffers);
	free(version);
	free(processor);
}

static void
write_build_table(const Dataset *data, const RunInfo *run)
{
	printf("| system | options | build s | index MB | bytes per row |%s\n"
		   "|---|---|---:|---:|---:|%s\n",
		   run->inserted > 0 ? " inserted rows/s |" : "",
		   run->inserted > 0 ? "---:|" : "");
	for (int i = 0; i < SYSTEM_COUNT; i++)
	{
		const System *system = &systems[i];

		if (!system->wanted)
			continue;
		printf("| %s | %s | %.1f | %.1f | %.0f |", system->name,
			   system->with[0] != '\0' ? system->with : "default",
			   system->build_seconds, system->index_bytes / (1024 * 1024),
			   system->index_bytes / data->rows);
		if (run->inserted > 0)
			printf(" %.0f |", system->insert_rate);
		printf("\n");
	}
	printf("\n");
}

static void
write_sweep_table(void)
{
	printf("| system | ef | recall | QPS | p50 us | p99 us | SQL us | "
		   "search us | pages | hops | distances | estimates |\n"
		   "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
	for (int i = 0; i < SYSTEM_COUNT; i++)
	{
		for (int j = 0; j < systems[i].npoints; j++)
		{
			const Point *point = &systems[i].points[j];

			printf("| %s | %d | %.4f | %.0f | %.1f | %.1f | %.1f | %.1f | "
				   "%.1f |", systems[i].name, point->ef, point->recall,
				   point->qps, point->p50_us, point->p99_us, point->sql_us,
				   point->search_us, point->pages);
			if (systems[i].counter_query != NULL)
				printf(" %.1f | %.1f | %.1f |\n",
					   point->counters[COUNTER_HOPS],
					   point->counters[COUNTER_DISTANCES],
					   point->counters[COUNTER_ESTIMATES]);
			else
				printf(" | | |\n");
		}
	}
	printf("\n");
}

static void
write_summary_header(bool compare)
{
	int			columns = 0;

	printf("| recall |");
	for (int measure = 0; measure < MEASURE_COUNT; measure++)
	{
		for (int i = 0; i < SYSTEM_COUNT; i++)
		{
			if (!systems[i].wanted)
				continue;
			printf(" %s %s |", systems[i].name, measure_titles[measure]);
			columns++;
		}
		if (compare)
		{
			printf(" ratio |");
			columns++;
		}
	}
	printf("\n|---|");
	for (int i = 0; i < columns; i++)
		printf("---:|");
	printf("\n");
}

/* The ratio is the first system's value by the second's. */
static void
write_summary_cells(double recall, Measure measure, bool compare)
{
	double		values[SYSTEM_COUNT];
	bool		bounds[SYSTEM_COUNT];

	for (int i = 0; i < SYSTEM_COUNT; i++)
	{
		values[i] = value_at_recall(&systems[i], measure, recall, &bounds[i]);
		if (!systems[i].wanted)
			continue;
		if (isnan(values[i]))
			printf(" - |");
		else
			printf(" %.*f%s |", measure == MEASURE_QPS ? 0 : 1, values[i],
				   bounds[i] ? "*" : "");
	}
	if (!compare)
		return;
	if (isnan(values[0]) || isnan(values[1]))
		printf(" - |");
	else
		printf(" %.*f%s |", measure == MEASURE_QPS ? 1 : 3,
			   values[0] / values[1], bounds[0] || bounds[1] ? "*" : "");
}

static void
write_summary_table(void)
{
	bool		compare = systems[0].wanted && systems[1].wanted;
	bool		bound;
	bool		any_bound = false;

	write_summary_header(compare);
	for (size_t i = 0; i < lengthof(recall_targets); i++)
	{
		printf("| %g |", recall_targets[i]);
		for (int measure = 0; measure < MEASURE_COUNT; measure++)
			write_summary_cells(recall_targets[i], measure, compare);
		printf("\n");
		for (int j = 0; j < SYSTEM_COUNT; j++)
		{
			value_at_recall(&systems[j], MEASURE_QPS, recall_targets[i],
							&bound);
			any_bound = any_bound || bound;
		}
	}
	if (any_bound)
		printf("\n\\* already the smallest ef of the sweep reaches this "
			   "recall: its value.\n");
	printf("\n");
}

void
report_markdown(PGconn *conn, const Dataset *data, const RunInfo *run)
{
	write_settings(conn, data, run);
	write_build_table(data, run);
	printf("At equal recall:\n\n");
	write_summary_table();
	printf("The sweep:\n\n");
	write_sweep_table();
	if (fflush(stdout) != 0 || ferror(stdout))
		die("could not write to standard output");
}
