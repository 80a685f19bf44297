/*-------------------------------------------------------------------------
 *
 * bench.h
 *	  What the files of the benchmark program share.
 *
 * The program asks one server the same queries through one or two indexes
 * and reports speed at equal recall.  Each file does one thing:
 *
 *		bench.c		options, and the order of events
 *		dataset.c	vectors and true neighbours from files; recall
 *		reshape.c	data sets of other dimensions, made from those
 *		sql.c		connection, statements, values in binary and in text
 *		system.c	what is measured: tables, indexes, inserts
 *		measure.c	one point of a sweep: timing, pages, counters
 *		cold.c		the same queries when nothing is cached
 *		compare.c	values at equal recall, from the points of a sweep
 *		clients.c	several clients at a time, by pgbench
 *		report.c	CSV and Markdown tables
 *		util.c		errors, memory, order, clock
 *
 * There is no error recovery: whatever goes wrong ends the program with a
 * message, since half a benchmark is worth nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libpq-fe.h"

#define lengthof(array)	(sizeof(array) / sizeof((array)[0]))
#define Min(x, y)		((x) < (y) ? (x) : (y))
#define Max(x, y)		((x) > (y) ? (x) : (y))

/* ---- util.c ---- */

/* Prints "bench: " and the message to stderr, and exits with status 1. */
extern void die(const char *format,...)
			__attribute__((noreturn, format(printf, 1, 2)));

/* Progress for whoever watches, on stderr. */
extern void note(const char *format,...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory for count items; never returns NULL. */
extern void *allocate(size_t count, size_t size);

/* A formatted string in memory of its own. */
extern char *format_string(const char *format,...)
			__attribute__((format(printf, 1, 2)));

/* A clock that only moves forward, in seconds. */
extern double now_seconds(void);

/* Ascending order, for qsort(). */
extern int	compare_doubles(const void *a, const void *b);

/* ---- dataset.c ---- */

/* Also the subscript of everything that depends on the metric. */
typedef enum Metric
{
	METRIC_L2,
	METRIC_COSINE,
	METRIC_IP
} Metric;

#define METRIC_COUNT	3

typedef struct Dataset
{
	const char *name;			/* last part of the directory's name, and
								 * "-dims" if they were changed */
	const char *origin;			/* what reshape.c did to it, or NULL */
	Metric		metric;
	int			rows;
	int			dims;
	int			queries;
	int			k;				/* neighbours asked for */
	float	   *base;			/* rows * dims */
	float	   *query;			/* queries * dims */
	double	   *base_norm;		/* cosine only, else NULL */
	double	   *query_norm;
	double	   *kth_distance;	/* of each query's k-th true neighbour */
} Dataset;

extern const char *metric_name(Metric metric);

/*
 * Reads a data set's directory.  rows and queries of 0 mean all of them, dims
 * of 0 those that it has; a metric of "auto" is looked up by the data set's
 * name.
 */
extern void dataset_load(Dataset *data, const char *directory,
						 const char *metric, int rows, int queries, int dims,
						 int k);

/*
 * Share of the k nearest that ids (k per query, -1 for none) holds.  Every
 * row not farther than the true k-th neighbour counts, so which of several
 * equally distant rows was returned does not matter.
 */
extern double dataset_recall(const Dataset *data, const int *ids);

extern double dot_product(const float *a, const float *b, int dims);

/* ---- reshape.c ---- */

/* Gives all vectors that many dimensions, the same way in every run. */
extern void reshape(Dataset *data, int dims);

/* Gives the base that many rows, more than it has, likewise. */
extern void enlarge(Dataset *data, int rows);

/* ---- sql.c ---- */

/* How one vector travels; the caller provides the memory for binary. */
typedef struct WireFormat
{
	const char *type;			/* SQL type */
	size_t		(*size) (int dims);
	void		(*encode) (char *wire, const float *values, int dims);
	char		text_open;		/* around the numbers in text */
	char		text_close;
} WireFormat;

extern const WireFormat wire_real_array;
extern const WireFormat wire_vector;

extern PGconn *sql_connect(const char *conninfo);

/* Runs a statement that must succeed; any rows it returns are dropped. */
extern void sql_run(PGconn *conn, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/*
 * Runs a statement that must succeed, and returns the most memory of its own
 * that the backend was seen to have: 0 where /proc does not tell.
 */
extern double sql_run_watched(PGconn *conn, const char *statement);

/* Runs a query that must return one row, and hands back all of it. */
extern PGresult *sql_row(PGconn *conn, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* The only column of the only row of a query, as text and as a number. */
extern char *sql_text(PGconn *conn, const char *format,...)
			__attribute__((format(printf, 2, 3)));
extern double sql_number(PGconn *conn, const char *format,...)
			__attribute__((format(printf, 2, 3)));

extern void sql_set(PGconn *conn, const char *name, const char *value);

/* The same by "name=value"; returns what would set it back. */
extern char *sql_assign(PGconn *conn, const char *assignment);

extern void sql_prepare(PGconn *conn, const char *name, const char *statement);

/* Dies with the server's message unless the result has the wanted status. */
extern void sql_check(PGconn *conn, const PGresult *result,
					  ExecStatusType wanted, const char *what);

/* COPY the vectors, numbered from 0, into (id int, embedding real[]). */
extern void sql_copy_rows(PGconn *conn, const char *table,
						  const float *vectors, int rows, int dims);

/* The statement with a literal in the place of its only parameter, $1. */
extern char *sql_with_literal(const char *statement, const WireFormat *wire,
							  const float *values, int dims);

/* int32 in the byte order of the wire. */
extern void wire_put_int32(char *wire, int32_t value);
extern int32_t wire_get_int32(const char *wire);

/* ---- system.c ---- */

/* The counters of counter_query, in its order. */
typedef enum Counter
{
	COUNTER_ROWS,
	COUNTER_HOPS,
	COUNTER_PAGES,
	COUNTER_DISTANCES,
	COUNTER_ESTIMATES,
	COUNTER_STAGE1_HOPS,
	COUNTER_WIDENINGS,
	COUNTER_SWEEP
} Counter;

#define COUNTER_COUNT	8

extern const char *const counter_names[COUNTER_COUNT];

/* One line of the result: what a system did at one ef. */
typedef struct Point
{
	int			ef;
	double		recall;
	double		mean_us;		/* of a query, in the median pass */
	double		p50_us;
	double		p99_us;
	double		sql_us;			/* mean of a query that searches nothing */
	double		search_us;		/* mean_us - sql_us */
	double		qps;
	double		pages;			/* index pages per query */
	double		counters[COUNTER_COUNT];	/* averages, if it has any */
	/* --unprepared: means of queries sent as text, the vector a literal */
	double		literal_us;
	double		literal_sql_us; /* that search nothing */
	/* --cold: means of queries with nothing in the system's cache */
	double		cold_us;
	double		cold_index_reads;	/* pages from outside shared_buffers ... */
	double		cold_table_reads;	/* ... of the table and its toast table */
	double		cold_disk_kb;	/* what storage delivered for them */
} Point;

typedef struct System
{
	/* What it is. */
	const char *name;
	const char *extension;
	const char *method;			/* index access method */
	const char *table;
	const char *query_table;	/* what pgbench draws queries from */
	const char *index;			/* without schema */
	const WireFormat *wire;
	const char *opclass[METRIC_COUNT];
	const char *search_name;	/* of the prepared statements */
	const char *empty_name;
	const char *ef_setting;
	const char *counter_query;	/* of the last scan; NULL if it has none */
	const char *estimate;		/* function of a build's memory, or NULL */
	/* What the user asks for. */
	bool		wanted;
	const char *with;			/* index options */
	const char *setting;		/* "name=value" of a variant, else NULL */
	char	   *replaced;		/* what was set before, while that is */
	/* What came out. */
	char	   *version;
	char	   *search;			/* the query that is measured */
	char	   *empty;			/* what SQL costs without a search */
	int			ef_max;			/* that the server allows */
	double		build_seconds;
	double		build_bytes;	/* the backend's own memory, at most; 0 if not
								 * known */
	double		estimated_bytes;	/* what it was to be, 0 likewise */
	double		index_bytes;
	double		insert_rate;	/* rows per second, 0 if not measured */
	double		insert_wal;		/* bytes of WAL for each of these rows */
	double		vacuum_seconds; /* after deleting rows, 0 if not measured */
	Point	   *points;			/* in ascending order of ef */
	int			npoints;
	/* All queries in wire format. */
	char	   *wire_queries;
	int			wire_length;
	/* With --unprepared, a statement per query. */
	char	  **search_texts;
	char	  **empty_texts;
} System;

/* The two systems that are compared come first, variants of togg follow. */
#define MAX_SYSTEMS		16

#define TOGG			(&systems[0])
#define PGVECTOR		(&systems[1])

extern System systems[MAX_SYSTEMS];
extern int	nsystems;

/* Is the extension there to be created? */
extern bool system_available(PGconn *conn, const System *system);

/* Creates the extension and loads its library. */
extern void system_install(PGconn *conn, System *system);

/* (Re)creates the schema, and the table that the others are copied from. */
extern void tables_create(PGconn *conn, const Dataset *data, int rows);

/* Fills the system's table and builds its index. */
extern void system_build(PGconn *conn, System *system, const Dataset *data);

/*
 * Inserts rows first .. data->rows - 1, batch rows a transaction, by so many
 * clients at a time: processes of their own, if there are several.
 */
extern void system_insert(PGconn *conn, const char *conninfo, System *system,
						  const Dataset *data, int first, int batch,
						  int clients);

/* Deletes the rows from first on, and runs VACUUM. */
extern void system_vacuum(PGconn *conn, System *system, int first);

/* Prepares for queries; nothing is written to the table afterwards. */
extern void system_ready(PGconn *conn, System *system, const Dataset *data,
						 bool unprepared);

/* Adds togg with another setting, on the index that is ready. */
extern void system_add_variant(const char *setting);

/* Sets ef and what makes a variant for the session, and undoes the latter. */
extern void system_enter(PGconn *conn, System *system, int ef);
extern void system_leave(PGconn *conn, System *system);

/* Stores the queries in a table for each system. */
extern void queries_create(PGconn *conn, const Dataset *data);

/* The statement that asks the stored query of that id. */
extern char *system_stored_search(const System *system, const Dataset *data,
								  const char *id);

/* Dies unless the statement, after EXPLAIN, shows a scan of the index. */
extern void system_check_plan(PGconn *conn, const System *system,
							  const char *statement, bool has_parameter);

/* ---- measure.c ---- */

/* What the user wants to be measured, and the tables say about the run. */
typedef struct RunInfo
{
	const char *label;
	int			passes;
	int			core;			/* -1 when not pinned */
	int			inserted;
	int			batch;
	int			inserters;		/* clients at a time */
	int			deleted;
	char	  **settings;		/* "name=value" */
	int			nsettings;
	bool		unprepared;
	int			cold;			/* queries from cold at each ef, or 0 */
	int		   *clients;		/* numbers of them, ascending */
	int			nclients;
	int			seconds;		/* of one run of pgbench */
} RunInfo;

/* Accesses to an index and its table since the server started. */
typedef struct PageCount
{
	double		index;
	double		index_reads;	/* of them from outside shared_buffers */
	double		table_reads;	/* toast table included */
} PageCount;

extern PageCount read_page_count(PGconn *conn, const System *system);

/* Executes the system's prepared statement of that name for a query. */
extern PGresult *run_prepared(PGconn *conn, const System *system,
							  const char *name, int query);

extern void measure_point(PGconn *conn, System *system, const Dataset *data,
						  int ef, const RunInfo *run, Point *point);

/* Recall alone, by one pass. */
extern double measure_recall(PGconn *conn, System *system,
							 const Dataset *data, int ef);

/*
 * Queries per second of a statement of one parameter, in about so many seconds,
 * after as many to warm up; parameters is a query for the values of it.
 */
extern double measure_query(PGconn *conn, const char *query,
							const char *parameters, int seconds);

/* Keeps this process and its backend on one core. */
extern void pin_to_core(PGconn *conn, int core);

/* Lets this process alone run where it could at first. */
extern void unpin(void);

/* The highest-numbered core that this process may use, and their number. */
extern int	last_core(void);
extern int	core_count(void);

/* ---- cold.c ---- */

/* Fills in the point's cold_ fields by that many queries. */
extern void cold_measure(PGconn *conn, const System *system, int queries,
						 Point *point);

/* ---- compare.c ---- */

/* What is compared at equal recall. */
typedef enum Measure
{
	MEASURE_QPS,
	MEASURE_SEARCH_US,
	MEASURE_PAGES,
	MEASURE_LITERAL_US,
	MEASURE_COLD_US,
	MEASURE_COLD_READS
} Measure;

/*
 * The first point of the sweep that reaches the recall, or the next if that
 * takes fewer pages: a pool smaller than k costs more than a larger one if it
 * has to be widened.  (Time would say the same, but for noise.)  NULL if no
 * point reaches the recall.
 */
extern const Point *point_at_recall(const System *system, double recall);

/*
 * The value at a recall, between that point and the one before: its logarithm
 * is taken to be linear in recall.  If the one before reaches the recall, too,
 * it is the point's own value, and if already the first point of the sweep
 * does, *bound is set: a smaller ef might do better.  NAN if no point reaches
 * the recall.
 */
extern double value_at_recall(const System *system, Measure measure,
							  double recall, bool *bound);

/* ---- clients.c ---- */

/* A system at one ef and one recall, asked by each number of clients. */
typedef struct ClientsPoint
{
	const System *system;
	double		target;			/* the recall that was wanted */
	int			ef;
	double		recall;
	double	   *qps;			/* for each of run->clients; NULL if the
								 * sweep never reached the recall */
} ClientsPoint;

/* Returns *count points, those of one target side by side. */
extern ClientsPoint *clients_measure(PGconn *conn, const char *conninfo,
									 const Dataset *data, const RunInfo *run,
									 int *count);

/* ---- report.c ---- */

/*
 * Append to STEM.csv a line per point, and to STEM-clients.csv one per point
 * and number of clients, after a header if the file is empty.
 */
extern void report_csv(const char *stem, const Dataset *data,
					   const RunInfo *run);
extern void report_clients_csv(const char *stem, const Dataset *data,
							   const RunInfo *run,
							   const ClientsPoint *points, int npoints);

extern void report_markdown(PGconn *conn, const Dataset *data,
							const RunInfo *run,
							const ClientsPoint *points, int npoints);

#endif							/* BENCH_H */
