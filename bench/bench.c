/*-------------------------------------------------------------------------
 *
 * bench.c
 *	  Options of the benchmark program, and the order of events.
 *
 * Load the rows, build the indexes, insert rows if asked to, then sweep ef,
 * then have several clients ask if asked to.  The systems take turns at each
 * step, so that a machine that gets slower for a while does so for all.
 *
 * Or, with --query, time one query on tables that are there: then nothing else
 * of this happens.
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

/* What needs no quotes in CSV and gnuplot, where names and labels go. */
#define PLAIN_CHARACTERS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=+-"

typedef struct Options
{
	const char *conninfo;
	const char *directory;
	const char *metric;
	const char *opclass;
	const char *out;
	const char *query;
	const char *parameters;
	int			rows;
	int			queries;
	int			dims;
	int			k;
	int		   *efs;
	int			nefs;
	char	  **variants;		/* "name=value" */
	int			nvariants;
	RunInfo		run;
} Options;

static const char usage_text[] =
"Compares vector indexes of one PostgreSQL server at equal recall.\n"
"\n"
"  bench --data DIR [option]...\n"
"  bench --query SQL --parameters SQL [--seconds N] [--set NAME=VALUE]...\n"
"        [--pin CORE] [--dsn CONNINFO]\n"
"\n"
"  --data DIR           base.*, query.* and gt100.ibin (see README.md)\n"
"  --rows N             only the first N rows of the base; where there are\n"
"                       fewer, they come again, moved at random\n"
"  --queries N          only the first N queries\n"
"  --dims N             make vectors of N dimensions from those of the set\n"
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
"  --inserters N        clients that insert at a time (1); several are not\n"
"                       pinned\n"
"  --delete N           then delete the last N rows, and VACUUM\n"
"  --set NAME=VALUE     SET in the session; may be repeated\n"
"  --variant NAME=VALUE measure togg with this setting, too; may be repeated\n"
"  --unprepared         also send queries as text, with the vector in them\n"
"  --cold N             also ask N queries with nothing in the system's cache\n"
"  --clients LIST       then let so many clients ask at a time, by pgbench\n"
"  --query SQL          print the queries per second of this one, with $1\n"
"  --parameters SQL     what $1 is to be, one after the other: a query\n"
"  --seconds N          how long each run of pgbench, or of a query, takes (5)\n"
"  --pin CORE           where client and backend run while measured: a\n"
"                       number, last (default) or none\n"
"  --label TEXT         goes into the CSV lines\n"
"  --out STEM           append to STEM.csv, and to STEM-clients.csv\n"
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

/* A list of ascending numbers, separated by commas, replaces *numbers. */
static void
parse_list(const char *option, const char *text, int **numbers, int *count)
{
	char	   *copy = format_string("%s", text);
	char	   *rest = NULL;

	free(*numbers);
	*numbers = allocate(strlen(text) + 1, sizeof(int));
	*count = 0;
	for (char *item = strtok_r(copy, ",", &rest); item != NULL;
		 item = strtok_r(NULL, ",", &rest))
	{
		int			number = parse_int(option, item, 1);

		if (*count > 0 && number <= (*numbers)[*count - 1])
			die("--%s needs ascending numbers, not \"%s\"", option, text);
		(*numbers)[(*count)++] = number;
	}
	if (*count == 0)
		die("--%s needs at least one number", option);
	free(copy);
}

/* Appends "name=value" to a list of at most MAX_SETTINGS. */
static void
parse_assignment(const char *option, char *text, char **list, int *count)
{
	if (strchr(text, '=') == NULL)
		die("--%s needs NAME=VALUE, not \"%s\"", option, text);
	if (*count == MAX_SETTINGS)
		die("--%s can be given %d times", option, MAX_SETTINGS);
	list[(*count)++] = text;
}

static void
parse_system(const char *name)
{
	bool		both = strcmp(name, "both") == 0;
	bool		any = false;

	for (int i = 0; i < nsystems; i++)
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
		DATA = 1, ROWS, QUERIES, DIMS, METRIC, K, EF, PASSES, SYSTEM, OPCLASS,
		INDEX_WITH, HNSW_WITH, INSERT, BATCH, INSERTERS, DELETE, SETTING, VARIANT, UNPREPARED,
		COLD, CLIENTS, QUERY, PARAMETERS, SECONDS, PIN, LABEL, OUT, DSN, HELP
	};
	static const struct option names[] = {
		{"data", required_argument, NULL, DATA},
		{"rows", required_argument, NULL, ROWS},
		{"queries", required_argument, NULL, QUERIES},
		{"dims", required_argument, NULL, DIMS},
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
		{"inserters", required_argument, NULL, INSERTERS},
		{"delete", required_argument, NULL, DELETE},
		{"set", required_argument, NULL, SETTING},
		{"variant", required_argument, NULL, VARIANT},
		{"unprepared", no_argument, NULL, UNPREPARED},
		{"cold", required_argument, NULL, COLD},
		{"clients", required_argument, NULL, CLIENTS},
		{"query", required_argument, NULL, QUERY},
		{"parameters", required_argument, NULL, PARAMETERS},
		{"seconds", required_argument, NULL, SECONDS},
		{"pin", required_argument, NULL, PIN},
		{"label", required_argument, NULL, LABEL},
		{"out", required_argument, NULL, OUT},
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
	run->inserters = 1;
	run->core = parse_core("last");
	run->seconds = 5;
	run->settings = allocate(MAX_SETTINGS, sizeof(char *));
	options->variants = allocate(MAX_SETTINGS, sizeof(char *));
	parse_list("ef", "10,20,40,80,160,320", &options->efs, &options->nefs);
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
			case DIMS:
				options->dims = parse_int("dims", optarg, 1);
				break;
			case METRIC:
				options->metric = optarg;
				break;
			case K:
				options->k = parse_int("k", optarg, 1);
				break;
			case EF:
				parse_list("ef", optarg, &options->efs, &options->nefs);
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
				TOGG->with = optarg;
				break;
			case HNSW_WITH:
				PGVECTOR->with = optarg;
				break;
			case INSERT:
				run->inserted = parse_int("insert", optarg, 0);
				break;
			case BATCH:
				run->batch = parse_int("batch", optarg, 1);
				break;
			case INSERTERS:
				run->inserters = parse_int("inserters", optarg, 1);
				break;
			case DELETE:
				run->deleted = parse_int("delete", optarg, 0);
				break;
			case SETTING:
				parse_assignment("set", optarg, run->settings,
								 &run->nsettings);
				break;
			case VARIANT:
				if (optarg[strspn(optarg, PLAIN_CHARACTERS)] != '\0')
					die("--variant may only use %s", PLAIN_CHARACTERS);
				parse_assignment("variant", optarg, options->variants,
								 &options->nvariants);
				break;
			case UNPREPARED:
				run->unprepared = true;
				break;
			case COLD:
				run->cold = parse_int("cold", optarg, 1);
				break;
			case CLIENTS:
				parse_list("clients", optarg, &run->clients, &run->nclients);
				break;
			case QUERY:
				options->query = optarg;
				break;
			case PARAMETERS:
				options->parameters = optarg;
				break;
			case SECONDS:
				run->seconds = parse_int("seconds", optarg, 1);
				break;
			case PIN:
				run->core = parse_core(optarg);
				break;
			case LABEL:
				if (optarg[strspn(optarg, PLAIN_CHARACTERS)] != '\0')
					die("--label may only use %s", PLAIN_CHARACTERS);
				run->label = optarg;
				break;
			case OUT:
				options->out = optarg;
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
	if ((options->directory == NULL) == (options->query == NULL))
		die("either --data or --query is needed; see bench --help");
	if ((options->query == NULL) != (options->parameters == NULL))
		die("--query and --parameters go together; see bench --help");
}

/* Creates the extensions; "both" becomes togg alone without pgvector. */
static void
install_systems(PGconn *conn)
{
	if (TOGG->wanted && PGVECTOR->wanted &&
		!system_available(conn, PGVECTOR))
	{
		note("pgvector is not installed in this server: measuring togg only");
		PGVECTOR->wanted = false;
	}
	for (int i = 0; i < nsystems; i++)
		if (systems[i].wanted)
			system_install(conn, &systems[i]);
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

	for (int i = 0; i < nsystems; i++)
		systems[i].points = allocate(max_steps, sizeof(Point));
	for (int step = 0; step < max_steps; step++)
	{
		for (int i = 0; i < nsystems; i++)
		{
			System	   *system = &systems[i];
			Point	   *point = &system->points[system->npoints];
			int			ef;

			if (!system->wanted)
				continue;
			ef = next_ef(system, options, step);
			if (ef == 0)
				continue;
			measure_point(conn, system, data, ef, &options->run, point);
			system->npoints++;
			note("%s ef %d: recall %.4f, %.0f queries per second",
				 system->name, ef, point->recall, point->qps);
		}
	}
}

/*
 * Insert and delete what is to be, in all systems; data becomes what is left,
 * with its own true neighbours.
 */
static void
write_rows(PGconn *conn, const Options *options, Dataset *data, int built_rows)
{
	const RunInfo *run = &options->run;
	int			left = data->rows - run->deleted;

	for (int i = 0; i < nsystems; i++)
	{
		if (!systems[i].wanted)
			continue;
		if (run->inserted > 0)
			system_insert(conn, options->conninfo, &systems[i], data,
						  built_rows, run->batch, run->inserters);
		if (run->deleted > 0)
			system_vacuum(conn, &systems[i], left);
	}
	if (run->deleted > 0)
		dataset_load(data, options->directory, options->metric, left,
					 options->queries, options->dims, options->k);
}

int
main(int argc, char **argv)
{
	Options		options;
	Dataset		data;
	PGconn	   *conn;
	int			built_rows;
	ClientsPoint *points = NULL;
	int			npoints = 0;

	parse_options(&options, argc, argv);
	conn = sql_connect(options.conninfo);
	sql_set(conn, "client_min_messages", "warning");
	if (options.query == NULL)
		install_systems(conn);
	for (int i = 0; i < options.run.nsettings; i++)
		free(sql_assign(conn, options.run.settings[i]));
	if (options.query != NULL)
	{
		if (options.run.core >= 0)
			pin_to_core(conn, options.run.core);
		printf("%.1f\n", measure_query(conn, options.query,
									   options.parameters,
									   options.run.seconds));
		PQfinish(conn);
		return 0;
	}

	dataset_load(&data, options.directory, options.metric, options.rows,
				 options.queries, options.dims, options.k);
	if (data.name[strspn(data.name, PLAIN_CHARACTERS)] != '\0')
		die("the name of data set \"%s\" may only use %s", data.name,
			PLAIN_CHARACTERS);
	if (options.opclass != NULL)
		TOGG->opclass[data.metric] = options.opclass;
	built_rows = data.rows - options.run.inserted;
	if (built_rows < 1)
		die("--insert must leave rows to build the index on: there are %d",
			data.rows);
	if (options.run.deleted > data.rows - options.k)
		die("--delete must leave %d rows: there are %d", options.k, data.rows);

	tables_create(conn, &data, built_rows);
	for (int i = 0; i < nsystems; i++)
		if (systems[i].wanted)
			system_build(conn, &systems[i], &data);
	if (options.run.core >= 0 && options.run.inserters == 1)
		pin_to_core(conn, options.run.core);
	write_rows(conn, &options, &data, built_rows);
	if (options.run.core >= 0 && options.run.inserters > 1)
		pin_to_core(conn, options.run.core);
	for (int i = 0; i < nsystems; i++)
		if (systems[i].wanted)
			system_ready(conn, &systems[i], &data, options.run.unprepared);
	for (int i = 0; i < options.nvariants; i++)
		system_add_variant(options.variants[i]);
	if (options.run.nclients > 0)
		queries_create(conn, &data);

	/* Keep the checkpointer from writing the indexes while we measure. */
	sql_run(conn, "CHECKPOINT");
	sweep(conn, &data, &options);
	if (options.run.nclients > 0)
		points = clients_measure(conn, options.conninfo, &data, &options.run,
								 &npoints);

	if (options.out != NULL)
	{
		report_csv(options.out, &data, &options.run);
		if (npoints > 0)
			report_clients_csv(options.out, &data, &options.run, points,
							   npoints);
	}
	report_markdown(conn, &data, &options.run, points, npoints);
	PQfinish(conn);
	return 0;
}
