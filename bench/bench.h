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
 *		sql.c		connection, statements, binary values
 *		system.c	what is measured: tables, indexes, inserts
 *		measure.c	one point of a sweep: timing, pages, counters
 *		report.c	CSV, Markdown tables, speed at equal recall
 *		util.c		errors, memory, clock
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
	const char *name;			/* last part of the directory's name */
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
 * Reads a data set's directory.  rows and queries of 0 mean all of them; a
 * metric of "auto" is looked up by the data set's name.
 */
extern void dataset_load(Dataset *data, const char *directory,
						 const char *metric, int rows, int queries, int k);

/*
 * Share of the k nearest that ids (k per query, -1 for none) holds.  Every
 * row not farther than the true k-th neighbour counts, so which of several
 * equally distant rows was returned does not matter.
 */
extern double dataset_recall(const Dataset *data, const int *ids);

/* ---- sql.c ---- */

/* How one vector travels in binary; the caller provides the memory. */
typedef struct WireFormat
{
	const char *type;			/* SQL type */
	size_t		(*size) (int dims);
	void		(*encode) (char *wire, const float *values, int dims);
} WireFormat;

extern const WireFormat wire_real_array;
extern const WireFormat wire_vector;

extern PGconn *sql_connect(const char *conninfo);

/* Runs a statement that must succeed; any rows it returns are dropped. */
extern void sql_run(PGconn *conn, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* Runs a query that must return one row, and hands back all of it. */
extern PGresult *sql_row(PGconn *conn, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* The only column of the only row of a query, as text and as a number. */
extern char *sql_text(PGconn *conn, const char *format,...)
			__attribute__((format(printf, 2, 3)));
extern double sql_number(PGconn *conn, const char *format,...)
			__attribute__((format(printf, 2, 3)));

extern void sql_set(PGconn *conn, const char *name, const char *value);
extern void sql_prepare(PGconn *conn, const char *name, const char *statement);

/* Dies with the server's message unless the result has the wanted status. */
extern void sql_check(PGconn *conn, const PGresult *result,
					  ExecStatusType wanted, const char *what);

/* COPY rows 0 .. rows - 1 of the data set into (id int, embedding real[]). */
extern void sql_copy_rows(PGconn *conn, const char *table,
						  const Dataset *data, int rows);

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
} Point;

typedef struct System
{
	/* What it is. */
	const char *name;
	const char *extension;
	const char *method;			/* index access method */
	const char *table;
	const char *index;			/* without schema */
	const WireFormat *wire;
	const char *opclass[METRIC_COUNT];
	const char *search_name;	/* of the prepared statements */
	const char *empty_name;
	const char *ef_setting;
	const char *counter_query;	/* of the last scan; NULL if it has none */
	/* What the user asks for. */
	bool		wanted;
	const char *with;			/* index options */
	/* What came out. */
	char	   *version;
	char	   *search;			/* the query that is measured */
	char	   *empty;			/* what SQL costs without a search */
	int			ef_max;			/* that the server allows */
	double		build_seconds;
	double		index_bytes;
	double		insert_rate;	/* rows per second, 0 if not measured */
	Point	   *points;			/* in ascending order of ef */
	int			npoints;
	/* All queries in wire format. */
	char	   *wire_queries;
	int			wire_length;
} System;

#define SYSTEM_COUNT	2

extern System systems[SYSTEM_COUNT];

/* Is the extension there to be created? */
extern bool system_available(PGconn *conn, const System *system);

/* Creates the extension and loads its library. */
extern void system_install(PGconn *conn, System *system);

/* (Re)creates the schema, and the table that the others are copied from. */
extern void tables_create(PGconn *conn, const Dataset *data, int rows);

/* Fills the system's table and builds its index. */
extern void system_build(PGconn *conn, System *system, const Dataset *data);

/* Inserts rows first .. data->rows - 1, batch rows a transaction. */
extern void system_insert(PGconn *conn, System *system, const Dataset *data,
						  int first, int batch);

/* Prepares for queries; nothing is written to the table afterwards. */
extern void system_ready(PGconn *conn, System *system, const Dataset *data);

/* ---- measure.c ---- */

/* Keeps this process and its backend on one core. */
extern void pin_to_core(PGconn *conn, int core);

/* The highest-numbered core that this process may use. */
extern int	last_core(void);

extern void measure_point(PGconn *conn, const System *system,
						  const Dataset *data, int ef, int passes,
						  Point *point);

/* ---- report.c ---- */

/* What the tables say about the run besides the numbers. */
typedef struct RunInfo
{
	const char *label;
	int			passes;
	int			core;			/* -1 when not pinned */
	int			inserted;
	int			batch;
	char	  **settings;		/* "name=value" */
	int			nsettings;
} RunInfo;

/* Appends a line per point to the file, after a header if it is empty. */
extern void report_csv(const char *path, const Dataset *data,
					   const RunInfo *run);

extern void report_markdown(PGconn *conn, const Dataset *data,
							const RunInfo *run);

#endif							/* BENCH_H */
