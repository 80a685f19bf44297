/*-------------------------------------------------------------------------
 *
 * system.c
 *	  The systems that are measured: tables, indexes, inserts, statements.
 *
 * Everything lives in the schema togg_bench, which each run drops and makes
 * anew.  The real[] table is loaded from the data set; the others are copied
 * from it by a cast.  Wide real[] values are kept out of line uncompressed, as
 * pgvector's type has them by default, so that neither has to decompress.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define BASE_TABLE	"togg_bench.arrays"

static const char *const operators[METRIC_COUNT] = {"<->", "<=>", "<#>"};

const char *const counter_names[COUNTER_COUNT] = {
	"rows", "hops", "pages", "distances", "estimates", "stage1_hops",
	"widenings", "sweep"
};

System		systems[MAX_SYSTEMS] = {
	{
		.name = "togg",
		.extension = "togg",
		.method = "togg",
		.table = BASE_TABLE,
		.query_table = "togg_bench.array_queries",
		.index = "arrays_index",
		.wire = &wire_real_array,
		.opclass = {"array_l2_ops", "array_cosine_ops", "array_ip_ops"},
		.search_name = "togg_search",
		.empty_name = "togg_empty",
		.ef_setting = "togg.ef_search",
		.counter_query = "SELECT rows, hops, pages, distances, estimates, "
		"stage1_hops, widenings, sweep::int FROM togg_last_scan()",
		.estimate = "togg_estimate_build_memory",
		.with = "",
	},
	{
		.name = "pgvector",
		.extension = "vector",
		.method = "hnsw",
		.table = "togg_bench.vectors",
		.query_table = "togg_bench.vector_queries",
		.index = "vectors_index",
		.wire = &wire_vector,
		.opclass = {"vector_l2_ops", "vector_cosine_ops", "vector_ip_ops"},
		.search_name = "pgvector_search",
		.empty_name = "pgvector_empty",
		.ef_setting = "hnsw.ef_search",
		.with = "m = 16, ef_construction = 64",
	}
};

int			nsystems = 2;

bool
system_available(PGconn *conn, const System *system)
{
	return sql_number(conn, "SELECT count(*) FROM pg_available_extensions "
					  "WHERE name = '%s'", system->extension) > 0;
}

void
system_install(PGconn *conn, System *system)
{
	sql_run(conn, "CREATE EXTENSION IF NOT EXISTS %s", system->extension);
	system->version = sql_text(conn, "SELECT extversion FROM pg_extension "
							   "WHERE extname = '%s'", system->extension);

	/* Settings are checked only once the library that knows them is there. */
	sql_run(conn, "LOAD '%s'", system->extension);
	system->ef_max = (int) sql_number(conn, "SELECT max_val FROM pg_settings "
									  "WHERE name = '%s'",
									  system->ef_setting);
}

void
tables_create(PGconn *conn, const Dataset *data, int rows)
{
	note("loading %d rows of %d dimensions", rows, data->dims);
	sql_run(conn, "DROP SCHEMA IF EXISTS togg_bench CASCADE");
	sql_run(conn, "CREATE SCHEMA togg_bench");
	sql_run(conn, "BEGIN");
	sql_run(conn, "CREATE TABLE " BASE_TABLE " (id int, embedding real[])");
	sql_run(conn, "ALTER TABLE " BASE_TABLE
			" ALTER COLUMN embedding SET STORAGE EXTERNAL");
	sql_copy_rows(conn, BASE_TABLE, data->base, rows, data->dims);
	sql_run(conn, "COMMIT");
	sql_run(conn, "VACUUM (FREEZE, ANALYZE) " BASE_TABLE);
}

/* Puts all queries into wire format, so that no pass pays for it. */
static void
encode_queries(System *system, const Dataset *data)
{
	size_t		length = system->wire->size(data->dims);

	system->wire_length = (int) length;
	system->wire_queries = allocate(data->queries, length);
	for (int i = 0; i < data->queries; i++)
		system->wire->encode(system->wire_queries + i * length,
							 data->query + (size_t) i * data->dims,
							 data->dims);
}

/* The statement once for each query, its parameter replaced by a literal. */
static char **
write_texts(const System *system, const Dataset *data, const char *statement)
{
	char	  **texts = allocate(data->queries, sizeof(char *));

	for (int i = 0; i < data->queries; i++)
		texts[i] = sql_with_literal(statement, system->wire,
									data->query + (size_t) i * data->dims,
									data->dims);
	return texts;
}

void
system_check_plan(PGconn *conn, const System *system, const char *statement,
				  bool has_parameter)
{
	char	   *explain = format_string("EXPLAIN (COSTS OFF) %s", statement);
	char	   *scan = format_string("Index Scan using %s ", system->index);
	const char *values[1] = {system->wire_queries};
	const int	lengths[1] = {system->wire_length};
	const int	formats[1] = {1};
	PGresult   *result;
	bool		found = false;

	result = PQexecParams(conn, explain, has_parameter ? 1 : 0, NULL, values,
						  lengths, formats, 0);
	sql_check(conn, result, PGRES_TUPLES_OK, explain);
	for (int i = 0; i < PQntuples(result); i++)
		found = found || strstr(PQgetvalue(result, i, 0), scan) != NULL;
	if (!found)
	{
		for (int i = 0; i < PQntuples(result); i++)
			note("%s", PQgetvalue(result, i, 0));
		die("the plan of %s does not use the index", statement);
	}
	PQclear(result);
	free(scan);
	free(explain);
}

void
system_build(PGconn *conn, System *system, const Dataset *data)
{
	char	   *statement;
	double		start;

	if (strcmp(system->table, BASE_TABLE) != 0)
	{
		sql_run(conn, "CREATE TABLE %s AS SELECT id, embedding::%s(%d) "
				"FROM " BASE_TABLE, system->table, system->wire->type,
				data->dims);
		sql_run(conn, "VACUUM (FREEZE, ANALYZE) %s", system->table);
	}

	/* All workers that there may be, however small the table seems. */
	sql_run(conn, "ALTER TABLE %s SET (parallel_workers = %d)", system->table,
			(int) sql_number(conn, "SELECT current_setting("
							 "'max_parallel_maintenance_workers')::int"));
	note("building the %s index", system->name);
	statement = format_string("CREATE INDEX %s ON %s USING %s (embedding %s)%s%s%s",
							  system->index, system->table, system->method,
							  system->opclass[data->metric],
							  system->with[0] != '\0' ? " WITH (" : "",
							  system->with,
							  system->with[0] != '\0' ? ")" : "");
	start = now_seconds();
	system->build_bytes = sql_run_watched(conn, statement);
	system->build_seconds = now_seconds() - start;
	free(statement);
	if (system->estimate != NULL && system->with[0] == '\0')
		system->estimated_bytes =
			sql_number(conn, "SELECT %s(%d, %d)", system->estimate,
					   data->rows, data->dims);
}

/*
 * Insert every so manieth row from first on.
 */
static void
insert_rows(PGconn *conn, const System *system, const Dataset *data, int first,
			int step, int batch)
{
	static const char statement_name[] = "insert_row";
	size_t		length = system->wire->size(data->dims);
	char		wire_id[4];
	char	   *wire_value = allocate(1, length);
	const char *values[2] = {wire_id, wire_value};
	const int	lengths[2] = {sizeof(wire_id), (int) length};
	const int	formats[2] = {1, 1};
	char	   *statement;
	int			n = 0;

	statement = format_string("INSERT INTO %s VALUES ($1::int, $2::%s)",
							  system->table, system->wire->type);
	sql_prepare(conn, statement_name, statement);

	for (int row = first; row < data->rows; row += step)
	{
		PGresult   *result;

		if (n % batch == 0)
			sql_run(conn, "BEGIN");
		wire_put_int32(wire_id, row);
		system->wire->encode(wire_value,
							 data->base + (size_t) row * data->dims,
							 data->dims);
		result = PQexecPrepared(conn, statement_name, 2, values, lengths,
								formats, 0);
		sql_check(conn, result, PGRES_COMMAND_OK, statement);
		PQclear(result);
		if (++n % batch == 0 || row + step >= data->rows)
			sql_run(conn, "COMMIT");
	}

	sql_run(conn, "DEALLOCATE %s", statement_name);
	free(statement);
	free(wire_value);
}

/* The same by several processes. */
static void
insert_by_clients(const char *conninfo, const System *system,
				  const Dataset *data, int first, int batch, int clients)
{
	fflush(NULL);
	for (int i = 0; i < clients; i++)
	{
		pid_t		child = fork();

		if (child < 0)
			die("could not fork: %s", strerror(errno));
		if (child == 0)
		{
			PGconn	   *conn = sql_connect(conninfo);

			insert_rows(conn, system, data, first + i, clients, batch);
			PQfinish(conn);
			_exit(0);
		}
	}
	for (int i = 0; i < clients; i++)
	{
		int			status;

		if (wait(&status) < 0 || status != 0)
			die("a client that inserted rows has failed");
	}
}

/* Bytes of WAL that the server has written so far. */
static double
wal_bytes(PGconn *conn)
{
	return sql_number(conn,
					  "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
}

void
system_insert(PGconn *conn, const char *conninfo, System *system,
			  const Dataset *data, int first, int batch, int clients)
{
	int			rows = data->rows - first;
	double		wal = wal_bytes(conn);
	double		start = now_seconds();

	note("inserting %d rows into %s", rows, system->table);
	if (clients == 1)
		insert_rows(conn, system, data, first, 1, batch);
	else
		insert_by_clients(conninfo, system, data, first, batch, clients);
	system->insert_rate = rows / (now_seconds() - start);
	system->insert_wal = (wal_bytes(conn) - wal) / rows;
}

void
system_vacuum(PGconn *conn, System *system, int first)
{
	double		start;

	sql_run(conn, "DELETE FROM %s WHERE id >= %d", system->table, first);
	note("vacuuming %s", system->table);
	start = now_seconds();
	sql_run(conn, "VACUUM %s", system->table);
	system->vacuum_seconds = now_seconds() - start;
}

void
system_ready(PGconn *conn, System *system, const Dataset *data,
			 bool unprepared)
{
	system->index_bytes =
		sql_number(conn, "SELECT pg_relation_size('togg_bench.%s')",
				   system->index);
	encode_queries(system, data);
	system->search = format_string("SELECT id FROM %s "
								   "ORDER BY embedding %s $1::%s LIMIT %d",
								   system->table, operators[data->metric],
								   system->wire->type, data->k);
	sql_run(conn, "SET enable_seqscan = off");
	system_check_plan(conn, system, system->search, true);
	sql_prepare(conn, system->search_name, system->search);
	system->empty = format_string("SELECT 1 WHERE $1::%s IS NOT NULL",
								  system->wire->type);
	sql_prepare(conn, system->empty_name, system->empty);
	if (unprepared)
	{
		system->search_texts = write_texts(system, data, system->search);
		system->empty_texts = write_texts(system, data, system->empty);
	}
}

/* ---- variants ---- */

void
system_add_variant(const char *setting)
{
	System	   *variant;
	const char *dot = strchr(setting, '.');

	if (nsystems == MAX_SYSTEMS)
		die("--variant can be given %d times", MAX_SYSTEMS - 2);
	variant = &systems[nsystems++];
	*variant = *TOGG;
	variant->name = format_string("%s:%s", TOGG->name,
								  dot != NULL ? dot + 1 : setting);
	variant->setting = setting;
}

void
system_enter(PGconn *conn, System *system, int ef)
{
	char	   *value = format_string("%d", ef);

	sql_set(conn, system->ef_setting, value);
	free(value);
	if (system->setting != NULL)
		system->replaced = sql_assign(conn, system->setting);
}

void
system_leave(PGconn *conn, System *system)
{
	if (system->setting != NULL)
	{
		free(sql_assign(conn, system->replaced));
		free(system->replaced);
	}
}

/* ---- queries in tables ---- */

void
queries_create(PGconn *conn, const Dataset *data)
{
	for (int i = 0; i < nsystems; i++)
	{
		const System *system = &systems[i];
		bool		is_base = system == TOGG;

		/* All others are copied from the first, variants have what it has. */
		if (system->setting != NULL || !(is_base || system->wanted))
			continue;
		sql_run(conn, "BEGIN");
		/* In line if they fit a page: reading them is not what we measure. */
		sql_run(conn, "CREATE TABLE %s (id int PRIMARY KEY, embedding %s) "
				"WITH (toast_tuple_target = 8160)", system->query_table,
				system->wire->type);
		sql_run(conn, "ALTER TABLE %s ALTER COLUMN embedding "
				"SET STORAGE EXTERNAL", system->query_table);
		if (is_base)
			sql_copy_rows(conn, system->query_table, data->query,
						  data->queries, data->dims);
		else
			sql_run(conn, "INSERT INTO %s SELECT id, embedding::%s FROM %s",
					system->query_table, system->wire->type,
					TOGG->query_table);
		sql_run(conn, "COMMIT");
		sql_run(conn, "VACUUM (FREEZE, ANALYZE) %s", system->query_table);
	}
}

char *
system_stored_search(const System *system, const Dataset *data,
					 const char *id)
{
	return format_string("SELECT id FROM %s ORDER BY embedding %s "
						 "(SELECT embedding FROM %s WHERE id = %s) LIMIT %d",
						 system->table, operators[data->metric],
						 system->query_table, id, data->k);
}
