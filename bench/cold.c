/*-------------------------------------------------------------------------
 *
 * cold.c
 *	  Queries whose pages have to come from storage.
 *
 * Before each query the operating system is told to forget the files of the
 * table and the index (POSIX_FADV_DONTNEED; the rest of the machine keeps its
 * cache).  shared_buffers cannot be emptied so: start the server with far
 * fewer than the index has pages.  What the kernel says it fetched from
 * storage for the backend goes into the result, since an advice may be
 * ignored; whether the storage has a cache of its own is beyond us.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

/* Of the table, its toast table, and the indexes of both. */
typedef struct Files
{
	int		   *descriptors;
	int			count;
} Files;

/* Opens the relation's segments: path, path.1, path.2, and so on. */
static void
open_segments(Files *files, const char *path)
{
	for (int segment = 0;; segment++)
	{
		char	   *name = segment == 0 ? format_string("%s", path)
			: format_string("%s.%d", path, segment);
		int			descriptor = open(name, O_RDONLY | O_CLOEXEC);

		if (descriptor < 0 && errno == ENOENT && segment > 0)
		{
			free(name);
			return;
		}
		if (descriptor < 0)
			die("could not open %s: %s\n"
				"--cold has to run as root or as the server's user on the "
				"server's machine.", name, strerror(errno));
		free(name);
		files->descriptors = realloc(files->descriptors,
									 (files->count + 1) * sizeof(int));
		if (files->descriptors == NULL)
			die("out of memory");
		files->descriptors[files->count++] = descriptor;
	}
}

static Files
open_files(PGconn *conn, const System *system)
{
	char	   *statement = format_string(
		"WITH tables AS (SELECT unnest(ARRAY[oid, reltoastrelid]) AS oid "
		"FROM pg_class WHERE oid = '%s'::regclass) "
		"SELECT current_setting('data_directory') || '/' || "
		"pg_relation_filepath(oid) FROM pg_class "
		"WHERE oid IN (SELECT oid FROM tables) OR oid IN "
		"(SELECT indexrelid FROM pg_index WHERE indrelid IN "
		"(SELECT oid FROM tables))", system->table);
	PGresult   *result = PQexec(conn, statement);
	Files		files = {0};

	sql_check(conn, result, PGRES_TUPLES_OK, statement);
	for (int i = 0; i < PQntuples(result); i++)
		open_segments(&files, PQgetvalue(result, i, 0));
	PQclear(result);
	free(statement);
	return files;
}

static void
close_files(Files *files)
{
	for (int i = 0; i < files->count; i++)
		close(files->descriptors[i]);
	free(files->descriptors);
}

/* Pages that were changed stay, so there must have been a checkpoint. */
static void
forget_files(const Files *files)
{
	for (int i = 0; i < files->count; i++)
	{
		int			error = posix_fadvise(files->descriptors[i], 0, 0,
										  POSIX_FADV_DONTNEED);

		if (error != 0)
			die("could not drop a file from the cache: %s", strerror(error));
	}
}

/* Bytes that the kernel has fetched from storage for the backend. */
static double
storage_bytes(PGconn *conn)
{
	char	   *path = format_string("/proc/%d/io", PQbackendPID(conn));
	FILE	   *file = fopen(path, "r");
	char		line[128];
	double		bytes = -1;

	if (file == NULL)
		die("could not open %s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, "read_bytes: ", 12) == 0)
			bytes = strtod(line + 12, NULL);
	if (bytes < 0)
		die("%s does not tell read_bytes", path);
	fclose(file);
	free(path);
	return bytes;
}

void
cold_measure(PGconn *conn, const System *system, int queries, Point *point)
{
	Files		files = open_files(conn, system);
	PageCount	before = read_page_count(conn, system);
	PageCount	after;
	double		bytes = storage_bytes(conn);
	double		seconds = 0;

	for (int query = 0; query < queries; query++)
	{
		double		start;

		forget_files(&files);
		start = now_seconds();
		PQclear(run_prepared(conn, system, system->search_name, query));
		seconds += now_seconds() - start;
	}
	point->cold_us = seconds / queries * 1e6;
	point->cold_disk_kb = (storage_bytes(conn) - bytes) / queries / 1024;
	after = read_page_count(conn, system);
	point->cold_index_reads =
		(after.index_reads - before.index_reads) / queries;
	point->cold_table_reads =
		(after.table_reads - before.table_reads) / queries;
	if (after.index_reads == before.index_reads)
		note("all pages of %s that ef %d needs are in shared_buffers: start "
			 "the server with fewer", system->index, point->ef);
	close_files(&files);
}
