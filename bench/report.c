/*-------------------------------------------------------------------------
 *
 * report.c
 *	  What the user gets: CSV lines and Markdown tables.
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

/* A column of the comparison; the ratio beside it has as many digits. */
typedef struct Column
{
	Measure		measure;
	const char *title;
	int			digits;
	int			ratio_digits;
} Column;

static const Column columns[] = {
	{MEASURE_QPS, "QPS", 0, 1},
	{MEASURE_SEARCH_US, "search us", 1, 3},
	{MEASURE_PAGES, "pages", 1, 3},
	{MEASURE_LITERAL_US, "unprepared us", 1, 3},
	{MEASURE_COLD_US, "cold us", 0, 3},
	{MEASURE_COLD_READS, "cold index reads", 1, 3}
};

/* ---- CSV ---- */

/* The columns that every file begins with. */
static const char run_header[] = "dataset,rows,dims,metric,k,system,label";

static void
write_run(FILE *file, const Dataset *data, const RunInfo *run,
		  const System *system)
{
	fprintf(file, "%s,%d,%d,%s,%d,%s,%s", data->name, data->rows, data->dims,
			metric_name(data->metric), data->k, system->name, run->label);
}

/* Opens a file to append to; *empty says that it needs a header. */
static FILE *
open_csv(const char *stem, const char *ending, bool *empty)
{
	char	   *path = format_string("%s%s.csv", stem, ending);
	FILE	   *file = fopen(path, "a");

	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		die("could not open %s: %s", path, strerror(errno));
	*empty = ftell(file) == 0;
	free(path);
	return file;
}

static void
close_csv(FILE *file)
{
	if (ferror(file) || fclose(file) != 0)
		die("could not write the results: %s", strerror(errno));
}

static void
write_csv_header(FILE *file)
{
	fprintf(file, "%s,build_seconds,index_bytes,bytes_per_row,"
			"insert_rows_per_second,insert_wal_bytes,vacuum_seconds,ef,recall,qps,mean_us,p50_us,p99_us,"
			"sql_us,search_us,pages", run_header);
	for (int i = 0; i < COUNTER_COUNT; i++)
		fprintf(file, ",scan_%s", counter_names[i]);
	fputs(",unprepared_us,unprepared_sql_us,cold_us,cold_index_reads,"
		  "cold_table_reads,cold_disk_kb,build_mb,estimated_mb\n", file);
}

/* An empty field is something that was not measured. */
static void
write_megabytes(FILE *file, double bytes)
{
	if (bytes > 0)
		fprintf(file, ",%.1f", bytes / (1024 * 1024));
	else
		fputc(',', file);
}

static void
write_csv_line(FILE *file, const Dataset *data, const RunInfo *run,
			   const System *system, const Point *point)
{
	write_run(file, data, run, system);
	fprintf(file, ",%.2f,%.0f,%.1f,", system->build_seconds,
			system->index_bytes, system->index_bytes / data->rows);
	if (run->inserted > 0)
		fprintf(file, "%.1f,%.0f,", system->insert_rate, system->insert_wal);
	else
		fputs(",,", file);
	if (run->deleted > 0)
		fprintf(file, "%.3f", system->vacuum_seconds);
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
	if (run->unprepared)
		fprintf(file, ",%.2f,%.2f", point->literal_us, point->literal_sql_us);
	else
		fputs(",,", file);
	if (run->cold > 0)
		fprintf(file, ",%.2f,%.2f,%.2f,%.1f", point->cold_us,
				point->cold_index_reads, point->cold_table_reads,
				point->cold_disk_kb);
	else
		fputs(",,,,", file);
	write_megabytes(file, system->build_bytes);
	write_megabytes(file, system->estimated_bytes);
	fputc('\n', file);
}

void
report_csv(const char *stem, const Dataset *data, const RunInfo *run)
{
	bool		empty;
	FILE	   *file = open_csv(stem, "", &empty);

	if (empty)
		write_csv_header(file);
	for (int i = 0; i < nsystems; i++)
		for (int j = 0; j < systems[i].npoints; j++)
			write_csv_line(file, data, run, &systems[i],
						   &systems[i].points[j]);
	close_csv(file);
}

void
report_clients_csv(const char *stem, const Dataset *data, const RunInfo *run,
				   const ClientsPoint *points, int npoints)
{
	bool		empty;
	FILE	   *file = open_csv(stem, "-clients", &empty);

	if (empty)
		fprintf(file, "%s,target_recall,ef,recall,clients,qps\n", run_header);
	for (int i = 0; i < npoints; i++)
	{
		for (int j = 0; points[i].qps != NULL && j < run->nclients; j++)
		{
			write_run(file, data, run, points[i].system);
			fprintf(file, ",%g,%d,%.5f,%d,%.1f\n", points[i].target,
					points[i].ef, points[i].recall, run->clients[j],
					points[i].qps[j]);
		}
	}
	close_csv(file);
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
	printf("%d rows x %d dimensions%s%s%s, %s, recall@%d of %d queries, "
		   "median of %d passes, one client", data->rows, data->dims,
		   data->origin != NULL ? " (" : "",
		   data->origin != NULL ? data->origin : "",
		   data->origin != NULL ? ")" : "",
		   metric_name(data->metric), data->k, data->queries, run->passes);
	if (run->core >= 0)
		printf(" on one core with its backend");
	printf(".\n%s, PostgreSQL %s, shared_buffers %s, %s parallel build "
		   "workers", processor, version, buffers, workers);
	for (int i = 0; i < nsystems; i++)
		if (systems[i].wanted && systems[i].setting == NULL)
			printf(", %s %s", systems[i].name, systems[i].version);
	printf(".");
	for (int i = 0; i < run->nsettings; i++)
		printf("%s%s", i == 0 ? "\nSettings: " : ", ", run->settings[i]);
	if (run->nsettings > 0)
		printf(".");
	if (run->inserted > 0)
		printf("\nThe last %d rows were inserted into the finished index, "
			   "%d a transaction, by %d at a time.", run->inserted, run->batch,
			   run->inserters);
	if (run->deleted > 0)
		printf("\nThen the last %d rows were deleted: what follows is of those "
			   "left.", run->deleted);
	if (run->cold > 0)
		printf("\nCold: means of %d queries, the system's cache of the files "
			   "dropped before each.", Min(run->cold, data->queries));
	printf("\n\n");
	free(workers);
	free(buffers);
	free(version);
	free(processor);
}

static void
write_build_table(const Dataset *data, const RunInfo *run)
{
	printf("| system | options | build s | index MB | bytes per row |%s%s\n"
		   "|---|---|---:|---:|---:|%s%s\n",
		   run->inserted > 0 ? " inserted rows/s | WAL bytes a row |" : "",
		   run->deleted > 0 ? " VACUUM s |" : "",
		   run->inserted > 0 ? "---:|---:|" : "",
		   run->deleted > 0 ? "---:|" : "");
	for (int i = 0; i < nsystems; i++)
	{
		const System *system = &systems[i];

		if (!system->wanted || system->setting != NULL)
			continue;
		printf("| %s | %s | %.1f | %.1f | %.0f |", system->name,
			   system->with[0] != '\0' ? system->with : "default",
			   system->build_seconds, system->index_bytes / (1024 * 1024),
			   system->index_bytes / data->rows);
		if (run->inserted > 0)
			printf(" %.0f | %.0f |", system->insert_rate, system->insert_wal);
		if (run->deleted > 0)
			printf(" %.3f |", system->vacuum_seconds);
		printf("\n");
	}
	printf("\n");
}

static void
write_sweep_table(const RunInfo *run)
{
	printf("| system | ef | recall | QPS | p50 us | p99 us | SQL us | "
		   "search us | pages | hops | distances | estimates |%s%s\n"
		   "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|%s%s\n",
		   run->unprepared ? " unprepared us | its SQL us |" : "",
		   run->cold > 0 ? " cold us | cold index reads | cold table reads |"
		   " cold disk kB |" : "",
		   run->unprepared ? "---:|---:|" : "",
		   run->cold > 0 ? "---:|---:|---:|---:|" : "");
	for (int i = 0; i < nsystems; i++)
	{
		for (int j = 0; j < systems[i].npoints; j++)
		{
			const Point *point = &systems[i].points[j];

			printf("| %s | %d | %.4f | %.0f | %.1f | %.1f | %.1f | %.1f | "
				   "%.1f |", systems[i].name, point->ef, point->recall,
				   point->qps, point->p50_us, point->p99_us, point->sql_us,
				   point->search_us, point->pages);
			if (systems[i].counter_query != NULL)
				printf(" %.1f | %.1f | %.1f |",
					   point->counters[COUNTER_HOPS],
					   point->counters[COUNTER_DISTANCES],
					   point->counters[COUNTER_ESTIMATES]);
			else
				printf(" | | |");
			if (run->unprepared)
				printf(" %.1f | %.1f |", point->literal_us,
					   point->literal_sql_us);
			if (run->cold > 0)
				printf(" %.0f | %.1f | %.1f | %.0f |", point->cold_us,
					   point->cold_index_reads, point->cold_table_reads,
					   point->cold_disk_kb);
			printf("\n");
		}
	}
	printf("\n");
}

static bool
column_measured(const Column *column, const RunInfo *run)
{
	switch (column->measure)
	{
		case MEASURE_LITERAL_US:
			return run->unprepared;
		case MEASURE_COLD_US:
		case MEASURE_COLD_READS:
			return run->cold > 0;
		default:
			return true;
	}
}

/* A value at equal recall and, with compare, its ratio to pgvector's. */
static void
write_summary_cells(const System *system, const Column *column, double recall,
					bool compare, bool *any_bound)
{
	bool		bound;
	bool		other_bound;
	double		value = value_at_recall(system, column->measure, recall,
										&bound);
	double		other;

	*any_bound = *any_bound || bound;
	if (isnan(value))
		printf(" - |");
	else
		printf(" %.*f%s |", column->digits, value, bound ? "*" : "");
	if (!compare)
		return;
	other = value_at_recall(PGVECTOR, column->measure, recall, &other_bound);
	if (system == PGVECTOR)
		printf(" |");
	else if (isnan(value) || isnan(other))
		printf(" - |");
	else
		printf(" %.*f%s |", column->ratio_digits, value / other,
			   bound || other_bound ? "*" : "");
}

static void
write_summary_table(const RunInfo *run)
{
	bool		compare = PGVECTOR->wanted;
	bool		any_bound = false;

	printf("| recall | system |");
	for (size_t i = 0; i < lengthof(columns); i++)
		if (column_measured(&columns[i], run))
			printf(" %s |%s", columns[i].title, compare ? " ratio |" : "");
	printf("\n|---|---|");
	for (size_t i = 0; i < lengthof(columns); i++)
		if (column_measured(&columns[i], run))
			printf("---:|%s", compare ? "---:|" : "");
	printf("\n");

	for (size_t target = 0; target < lengthof(recall_targets); target++)
	{
		for (int i = 0; i < nsystems; i++)
		{
			if (!systems[i].wanted)
				continue;
			printf("| %g | %s |", recall_targets[target], systems[i].name);
			for (size_t j = 0; j < lengthof(columns); j++)
				if (column_measured(&columns[j], run))
					write_summary_cells(&systems[i], &columns[j],
										recall_targets[target], compare,
										&any_bound);
			printf("\n");
		}
	}
	if (any_bound)
		printf("\n\\* already the smallest ef of the sweep reaches this "
			   "recall.\n");
	printf("\n");
}

/* Of the points with the same target, the one of pgvector; NULL if none. */
static const ClientsPoint *
pgvector_clients(const ClientsPoint *points, int npoints, double target)
{
	for (int i = 0; i < npoints; i++)
		if (points[i].system == PGVECTOR && points[i].target == target &&
			points[i].qps != NULL)
			return &points[i];
	return NULL;
}

static void
write_clients_table(const RunInfo *run, const ClientsPoint *points,
					int npoints)
{
	bool		compare = PGVECTOR->wanted;

	printf("Queries per second of so many clients: pgbench -M prepared, "
		   "queries from a table, median of %d runs of %d s on %d cores:\n\n"
		   "| recall | system | ef | its recall |", run->passes, run->seconds,
		   core_count());
	for (int i = 0; i < run->nclients; i++)
		printf(" %d |%s", run->clients[i], compare ? " ratio |" : "");
	printf("\n|---|---|---:|---:|");
	for (int i = 0; i < run->nclients; i++)
		printf("---:|%s", compare ? "---:|" : "");
	printf("\n");

	for (int i = 0; i < npoints; i++)
	{
		const ClientsPoint *point = &points[i];
		const ClientsPoint *other = pgvector_clients(points, npoints,
													 point->target);

		printf("| %g | %s |", point->target, point->system->name);
		if (point->qps == NULL)
		{
			printf(" - | - |\n");
			continue;
		}
		printf(" %d | %.4f |", point->ef, point->recall);
		for (int j = 0; j < run->nclients; j++)
		{
			printf(" %.0f |", point->qps[j]);
			if (!compare)
				continue;
			if (other == NULL || other == point)
				printf(" |");
			else
				printf(" %.1f |", point->qps[j] / other->qps[j]);
		}
		printf("\n");
	}
	printf("\n");
}

void
report_markdown(PGconn *conn, const Dataset *data, const RunInfo *run,
				const ClientsPoint *points, int npoints)
{
	write_settings(conn, data, run);
	write_build_table(data, run);
	printf("At equal recall%s:\n\n",
		   PGVECTOR->wanted ? ", ratios to pgvector" : "");
	write_summary_table(run);
	printf("The sweep:\n\n");
	write_sweep_table(run);
	if (npoints > 0)
		write_clients_table(run, points, npoints);
	if (fflush(stdout) != 0 || ferror(stdout))
		die("could not write to standard output");
}
