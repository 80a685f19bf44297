/*-------------------------------------------------------------------------
 *
 * clients.c
 *	  Queries per second of several clients at a time, by pgbench.
 *
 * Each client draws stored queries by their ids through a prepared statement,
 * at the ef by which the system just reaches the recall.  pgbench and the
 * backends may use all cores that this program may.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static const double recall_targets[] = {0.95, 0.99};

/* ---- pgbench ---- */

/* Appends " -c name=value" to options, as PGOPTIONS wants it quoted. */
static void
add_option(FILE *options, const char *assignment)
{
	fputs(" -c ", options);
	for (const char *c = assignment; *c != '\0'; c++)
	{
		if (*c == ' ' || *c == '\\')
			fputc('\\', options);
		fputc(*c, options);
	}
}

/* What makes the sessions of pgbench like our own. */
static char *
session_options(const System *system, int ef, const RunInfo *run)
{
	const char *inherited = getenv("PGOPTIONS");
	char	   *text;
	size_t		size;
	FILE	   *options = open_memstream(&text, &size);
	char	   *ef_assignment = format_string("%s=%d", system->ef_setting, ef);

	if (options == NULL)
		die("out of memory");
	fputs(inherited != NULL ? inherited : "", options);
	add_option(options, "enable_seqscan=off");
	for (int i = 0; i < run->nsettings; i++)
		add_option(options, run->settings[i]);
	if (system->setting != NULL)
		add_option(options, system->setting);
	add_option(options, ef_assignment);
	if (ferror(options) || fclose(options) != 0)
		die("out of memory");
	free(ef_assignment);
	return text;
}

/* In the child: becomes pgbench, with the pipes' ends as its streams. */
static void
become_pgbench(const char *conninfo, const char *session, int clients,
			   int seconds, int input, int output, pid_t parent)
{
	char	   *nclients = format_string("%d", clients);
	char	   *threads = format_string("%d", Min(clients, core_count()));
	char	   *duration = format_string("%d", seconds);

	/* It must not outlive us. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
		_exit(127);
	unpin();
	setenv("PGOPTIONS", session, 1);
	if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0)
		execlp("pgbench", "pgbench", "-n", "-M", "prepared", "-f", "-",
			   "-c", nclients, "-j", threads, "-T", duration,
			   conninfo, (char *) NULL);
	perror("bench: could not run pgbench");
	_exit(127);
}

/* Runs pgbench and returns the queries per second that it tells. */
static double
run_pgbench(const char *conninfo, const char *session, const char *script,
			int clients, int seconds)
{
	int			to_child[2];
	int			from_child[2];
	pid_t		parent = getpid();
	pid_t		child;
	FILE	   *stream;
	char		line[256];
	double		qps = 0;
	int			status;

	if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0)
		die("could not create a pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		die("could not fork: %s", strerror(errno));
	if (child == 0)
		become_pgbench(conninfo, session, clients, seconds, to_child[0],
					   from_child[1], parent);
	close(to_child[0]);
	close(from_child[1]);

	/* If pgbench could not be started, its exit status tells. */
	signal(SIGPIPE, SIG_IGN);
	if (write(to_child[1], script, strlen(script)) < 0 && errno != EPIPE)
		die("could not write to pgbench: %s", strerror(errno));
	close(to_child[1]);
	stream = fdopen(from_child[0], "r");
	if (stream == NULL)
		die("could not read from pgbench: %s", strerror(errno));
	while (fgets(line, sizeof(line), stream) != NULL)
		if (strncmp(line, "tps = ", 6) == 0)
			qps = strtod(line + 6, NULL);
	fclose(stream);
	if (waitpid(child, &status, 0) != child || status != 0)
		die("pgbench failed");
	if (qps <= 0)
		die("pgbench did not tell its tps");
	return qps;
}

/* ---- points ---- */

/*
 * Sets the point's ef to the smallest one that reaches its target, but not
 * below the smallest one of the sweep, and its recall; leaves them 0 if the
 * sweep never reached the target.
 */
static void
find_ef(PGconn *conn, const Dataset *data, System *system,
		ClientsPoint *point)
{
	const Point *upper = point_at_recall(system, point->target);
	int			low;

	if (upper == NULL)
		return;
	point->ef = upper->ef;
	point->recall = upper->recall;

	/* Where the point before is too small, what is between may do. */
	low = point->ef;
	if (upper > system->points && upper[-1].recall < point->target)
		low = upper[-1].ef;
	while (point->ef - low > 1)
	{
		int			middle = low + (point->ef - low) / 2;
		double		recall = measure_recall(conn, system, data, middle);

		if (recall < point->target)
			low = middle;
		else
		{
			point->ef = middle;
			point->recall = recall;
		}
	}
}

/* Each number of clients, the systems by turns, the median of all rounds. */
static void
measure_target(const char *conninfo, const Dataset *data, const RunInfo *run,
			   ClientsPoint *points, int npoints)
{
	double	   *rounds = allocate((size_t) npoints * run->passes,
								  sizeof(double));

	for (int i = 0; i < run->nclients; i++)
	{
		for (int round = 0; round < run->passes; round++)
		{
			for (int j = 0; j < npoints; j++)
			{
				const System *system = points[j].system;
				char	   *session;
				char	   *search;
				char	   *script;

				if (points[j].qps == NULL)
					continue;
				session = session_options(system, points[j].ef, run);
				search = system_stored_search(system, data, ":id");
				script = format_string("\\set id random(0, %d)\n%s;\n",
									   data->queries - 1, search);
				rounds[j * run->passes + round] =
					run_pgbench(conninfo, session, script, run->clients[i],
								run->seconds);
				free(script);
				free(search);
				free(session);
			}
		}
		for (int j = 0; j < npoints; j++)
		{
			if (points[j].qps == NULL)
				continue;
			qsort(rounds + j * run->passes, run->passes, sizeof(double),
				  compare_doubles);
			points[j].qps[i] = rounds[j * run->passes + run->passes / 2];
			note("%s, recall %g, %d clients: %.0f queries per second",
				 points[j].system->name, points[j].target, run->clients[i],
				 points[j].qps[i]);
		}
	}
	free(rounds);
}

ClientsPoint *
clients_measure(PGconn *conn, const char *conninfo, const Dataset *data,
				const RunInfo *run, int *count)
{
	ClientsPoint *points = allocate(lengthof(recall_targets) * nsystems,
									sizeof(ClientsPoint));

	*count = 0;
	for (size_t i = 0; i < lengthof(recall_targets); i++)
	{
		ClientsPoint *first = points + *count;

		for (int j = 0; j < nsystems; j++)
		{
			ClientsPoint *point = points + *count;
			char	   *search;

			if (!systems[j].wanted)
				continue;
			(*count)++;
			point->system = &systems[j];
			point->target = recall_targets[i];
			find_ef(conn, data, &systems[j], point);
			if (point->ef == 0)
				continue;
			point->qps = allocate(run->nclients, sizeof(double));
			search = system_stored_search(&systems[j], data, "0");
			system_check_plan(conn, &systems[j], search, false);
			free(search);
		}
		measure_target(conninfo, data, run, first,
					   (int) (points + *count - first));
	}
	return points;
}
