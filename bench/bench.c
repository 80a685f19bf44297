/*-------------------------------------------------------------------------
 *
 * bench.c
 *	  Options of the benchmark program, and the order of events.
 *
 * Load the rows, build the indexes, insert rows if asked to, then sweep ef.
 * The systems take turns at each step of the sweep, so that a machine that
 * gets slower for a while does so for both.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* A sweep goes on past the given values until it reaches this recall ... */
#define ENOUGH_RECALL	0.999
/* ... but doubles ef no more often than this. */
#define MAX_DOUBLINGS	4

#define MAX_SETTINGS	64

/* In label and data set names: what needs no quotes in CSV and gnuplot. */
#define PLAIN_CHARACTERS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=+-"

typedef struct Options
{
	const char *conninfo;
	const char *directory;
	const char *metric;
	const char *opclass;
	const char *csv;
	int			rows;
	int			queries;
	int			k;
	int		   *efs;
	int			nefs;
	RunInfo		run;
} Options;

static const char usage_text[] =
"Compares vector indexes of one PostgreSQL server at equal recall.\n"
"\n"
"  bench --data DIR [option]...\n"
"\n"
"  --data DIR           base.*, query.* and gt100.ibin (see README.md)\n"
"  --rows N             only the first N rows of the base\n"
"  --queries N          only the first N queries\n"
"  --metric METRIC      l2, cosine, ip; auto (default) knows some data sets\n"
"  --k N                neighbours asked for (10)\n"
"  --ef LIST            values of ef to begin with (10,20,40,80,160,320)\n"
"  --passes N           timed passes over the queries at each ef (3)\n"
"  --system NAME        togg, hnsw or both (default; togg alone where\n"
"                       pgvector is not installed)\n"
"  --opclass NAME       operator class of the togg index\n"
"  --index-with LIST    WITH (...) of the togg index\n"
"  --hnsw-with LIST     of pgvector's (m = 16, ef_construction = 64)\n"
"  --insert N           insert the last N rows into the finished index\n"
"  --batch N            rows a transaction when inserting (100)\n"
"  --set NAME=VALUE     SET in the session; may be repeated\n"
"  --pin CORE           where client and backend run while measured: a\n"
"                       number, last (default) or none\n"
"  --label TEXT         goes into the CSV lines\n"
"  --csv FILE           append to this file\n"
"  --dsn CONNINFO       libpq connection string\n";

/* A whole number of at least least. */
static int
parse_int(const char *option, const char *text, int least)
{
	char	   *end;
	long		value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < least ||
		value > INT_MAX)
		die("--%s needs a whole number of at least %d, not \"%s\"", option,
			least, text);
	return (int) value;
}

/* A list of ascending numbers, separated by commas. */
static void
parse_efs(Options *options, const char *text)
{
	char	   *copy = format_string("%s", text);
	char	   *rest = NULL;

	free(options->efs);
	options->efs = allocate(strlen(text) + 1, sizeof(int));
	options->nefs = 0;
	for (char *item = strtok_r(copy, ",", &rest); item != NULL;
		 item = strtok_r(NULL, ",", &rest))
	{
		int			ef = parse_int("ef", item, 1);

		if (options->nefs > 0 && ef <= options->efs[options->nefs - 1])
			die("--ef needs ascending numbers, not \"%s\"", text);
		options->efs[options->nefs++] = ef;
	}
	if (options->nefs == 0)
		die("--ef needs at least one number");
	free(copy);
}

static void
parse_system(const char *name)
{
	bool		both = strcmp(name, "both") == 0;
	bool		any = false;

	for (int i = 0; i < SYSTEM_COUNT; i++)
	{
		systems[i].wanted = both || strcmp(name, systems[i].method) == 0;
		any = any || systems[i].wanted;
	}
	if (!any)
		die("--system must be togg, hnsw or both, not \"%s\"", name);
}

static int
parse_core(const char *text)
{
	if (strcmp(text, "none") == 0)
		return -1;
	if (strcmp(text, "last") == 0)
		return last_core();
	return parse_int("pin", text, 0);
}

static void
parse_options(Options *options, int argc, char **argv)
{
	enum
	{
		DATA = 1, ROWS, QUERIES, METRIC, K, EF, PASSES, SYSTEM, OPCLASS,
		INDEX_WITH, HNSW_WITH, INSERT, BATCH, SETTING, PIN, LABEL, CSV, DSN,
		HELP
	};
	static const struct option names[] = {
		{"data", required_argument, NULL, DATA},
		{"rows", required_argument, NULL, ROWS},
		{"queries", required_argument, NULL, QUERIES},
		{"metric", required_argument, NULL, METRIC},
		{"k", required_argument, NULL, K},
		{"ef", required_argument, NULL, EF},
		{"passes", required_argument, NULL, PASSES},
		{"system", required_argument, NULL, SYSTEM},
		{"opclass", required_argument, NULL, OPCLASS},
		{"index-with", required_argument, NULL, INDEX_WITH},
		{"hnsw-with", required_argument, NULL, HNSW_WITH},
		{"insert", required_argument, NULL, INSERT},
		{"batch", required_argument, NULL, BATCH},
		{"set", required_argument, NULL, SETTING},
		{"pin", required_argument, NULL, PIN},
		{"label", required_argument, NULL, LABEL},
		{"csv", required_argument, NULL, CSV},
		{"dsn", required_argument, NULL, DSN},
		{"help", no_argument, NULL, HELP},
		{NULL, 0, NULL, 0}
	};
	RunInfo    *run = &options->run;
	int			option;

	memset(options, 0, sizeof(*options));
	options->conninfo = "";
	options->metric = "auto";
	options->k = 10;
	run->label = "";
	run->passes = 3;
	run->batch = 100;
	run->core = parse_core("last");
	run->settings = allocate(MAX_SETTINGS, sizeof(char *));
	parse_efs(options, "10,20,40,80,160,320");
	parse_system("both");

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
	{
		switch (option)
		{
			case DATA:
				options->directory = optarg;
				break;
			case ROWS:
				options->rows = parse_int("rows", optarg, 1);
				break;
			case QUERIES:
				options->queries = parse_int("queries", optarg, 1);
				break;
			case METRIC:
				options->metric = optarg;
				break;
			case K:
				options->k = parse_int("k", optarg, 1);
				break;
			case EF:
				parse_efs(options, optarg);
				break;
			case PASSES:
				run->passes = parse_int("passes", optarg, 1);
				break;
			case SYSTEM:
				parse_system(optarg);
				break;
			case OPCLASS:
				options->opclass = optarg;
				break;
			case INDEX_WITH:
				systems[0].with = optarg;
				break;
			case HNSW_WITH:
				systems[1].with = optarg;
				break;
			case INSERT:
				run->inserted = parse_int("insert", optarg, 0);
				break;
			case BATCH:
				run->batch = parse_int("batch", optarg, 1);
				break;
			case SETTING:
				if (strchr(optarg, '=') == NULL)
					die("--set needs NAME=VALUE, not \"%s\"", optarg);
				if (run->nsettings == MAX_SETTINGS)
					die("--set can be given %d times", MAX_SETTINGS);
				run->settings[run->nsettings++] = optarg;
				break;
			case PIN:
				run->core = parse_core(optarg);
				break;
			case LABEL:
				if (optarg[strspn(optarg, PLAIN_CHARACTERS)] != '\0')
					die("--label may only use %s", PLAIN_CHARACTERS);
				run->label = optarg;
				break;
			case CSV:
				options->csv = optarg;
				break;
			case DSN:
				options->conninfo = optarg;
				break;
			case HELP:
				fputs(usage_text, stdout);
				exit(0);
			default:
				die("see bench --help");
		}
	}
	if (optind < argc)
		die("unexpected argument \"%s\"; see bench --help", argv[optind]);
	if (options->directory == NULL)
		die("--data is missing; see bench --help");
}

/* Creates the extensions; "both" becomes togg alone without pgvector. */
static void
install_systems(PGconn *conn)
{
	if (systems[0].wanted && systems[1].wanted &&
		!system_available(conn, &systems[1]))
	{
		note("pgvector is not installed in this server: measuring togg only");
		systems[1].wanted = false;
	}
	for (int i = 0; i < SYSTEM_COUNT; i++)
		if (systems[i].wanted)
			system_install(conn, &systems[i]);
}

static void
apply_settings(PGconn *conn, const RunInfo *run)
{
	for (int i = 0; i < run->nsettings; i++)
	{
		char	   *name = format_string("%s", run->settings[i]);
		char	   *equals = strchr(name, '=');

		*equals = '\0';
		sql_set(conn, name, equals + 1);
		free(name);
	}
}

/*
 * The ef of a step of the system's sweep, or 0 if the sweep is over: first
 * the given values, then doubled ones as long as recall is wanting.
 */
static int
next_ef(const System *system, const Options *options, int step)
{
	const Point *last = system->points + system->npoints - 1;

	if (step < options->nefs)
		return options->efs[step] <= system->ef_max ? options->efs[step] : 0;
	if (system->npoints == 0 || step >= options->nefs + MAX_DOUBLINGS ||
		last->recall >= ENOUGH_RECALL || last->ef >= system->ef_max)
		return 0;
	return last->ef <= system->ef_max / 2 ? last->ef * 2 : system->ef_max;
}

/* One step for each system by turns, until all of them have finished. */
static void
sweep(PGconn *conn, const Dataset *data, const Options *options)
{
	int			max_steps = options->nefs + MAX_DOUBLINGS;

	for (int i = 0; i < SYSTEM_COUNT; i++)
		systems[i].points = allocate(max_steps, sizeof(Point));
	for (int step = 0; step < max_steps; step++)
	{
		for (int i = 0; i < SYSTEM_COUNT; i++)
		{
			System	   *system = &systems[i];
			Point	   *point = &system->points[system->npoints];
			int			ef;

			if (!system->wanted)
				continue;
			ef = next_ef(system, options, step);
			if (ef == 0)
				continue;
			measure_point(conn, system, data, ef, options->run.passes, point);
			system->npoints++;
			note("%s ef %d: recall %.4f, %.0f queries per second",
				 system->name, ef, point->recall, point->qps);
		}
	}
}

int
main(int argc, char **argv)
{
	Options		options;
	Dataset		data;
	PGconn	   *conn;
	int			built_rows;

	parse_options(&options, argc, argv);
	conn = sql_connect(options.conninfo);
	sql_set(conn, "client_min_messages", "warning");
	install_systems(conn);
	apply_settings(conn, &options.run);

	dataset_load(&data, options.directory, options.metric, options.rows,
				 options.queries, options.k);
	if (data.name[strspn(data.name, PLAIN_CHARACTERS)] != '\0')
		die("the name of data set \"%s\" may only use %s", data.name,
			PLAIN_CHARACTERS);
	if (options.opclass != NULL)
		systems[0].opclass[data.metric] = options.opclass;
	built_rows = data.rows - options.run.inserted;
	if (built_rows < 1)
		die("--insert must leave rows to build the index on: there are %d",
			data.rows);

	tables_create(conn, &data, built_rows);
	for (int i = 0; i < SYSTEM_COUNT; i++)
		if (systems[i].wanted)
			system_build(conn, &systems[i], &data);
	if (options.run.core >= 0)
		pin_to_core(conn, options.run.core);
	for (int i = 0; i < SYSTEM_COUNT; i++)
	{
		if (!systems[i].wanted)
			continue;
		if (options.run.inserted > 0)
			system_insert(conn, &systems[i], &data, built_rows,
						  options.run.batch);
		system_ready(conn, &systems[i], &data);
	}

	/* Keep the checkpointer from writing the indexes while we measure. */
	sql_run(conn, "CHECKPOINT");
	sweep(conn, &data, &options);

	if (options.csv != NULL)
		report_csv(options.csv, &data, &options.run);
	report_markdown(conn, &data, &options.run);
	PQfinish(conn);
	return 0;
}
