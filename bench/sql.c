/*-------------------------------------------------------------------------
 *
 * sql.c
 *	  Connection, statements, and values in binary and in text.
 *
 * Vectors travel in binary in both directions of the comparison, so that
 * neither system pays for parsing text, except where just that is measured.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Of pg_type; it has never changed. */
#define FLOAT4_OID	700

/* How often a backend's memory is looked at. */
#define WATCH_MILLISECONDS	50

/* ndim, has-nulls flag, element type, length, lower bound: see array_recv() */
#define ARRAY_HEADER_SIZE	(5 * 4)

/* int16 dimensions, int16 unused: see pgvector's vector_recv() */
#define VECTOR_HEADER_SIZE	(2 * 2)

/* ---- binary values ---- */

static void
put_int16(char *wire, int16_t value)
{
	uint16_t	big_endian = htons((uint16_t) value);

	memcpy(wire, &big_endian, sizeof(big_endian));
}

void
wire_put_int32(char *wire, int32_t value)
{
	uint32_t	big_endian = htonl((uint32_t) value);

	memcpy(wire, &big_endian, sizeof(big_endian));
}

int32_t
wire_get_int32(const char *wire)
{
	uint32_t	big_endian;

	memcpy(&big_endian, wire, sizeof(big_endian));
	return (int32_t) ntohl(big_endian);
}

static void
put_float(char *wire, float value)
{
	int32_t		bits;

	memcpy(&bits, &value, sizeof(bits));
	wire_put_int32(wire, bits);
}

static size_t
real_array_size(int dims)
{
	return ARRAY_HEADER_SIZE + (size_t) dims * (4 + 4);
}

static void
real_array_encode(char *wire, const float *values, int dims)
{
	wire_put_int32(wire, 1);
	wire_put_int32(wire + 4, 0);
	wire_put_int32(wire + 8, FLOAT4_OID);
	wire_put_int32(wire + 12, dims);
	wire_put_int32(wire + 16, 1);
	wire += ARRAY_HEADER_SIZE;
	for (int i = 0; i < dims; i++, wire += 8)
	{
		wire_put_int32(wire, sizeof(float));
		put_float(wire + 4, values[i]);
	}
}

static size_t
vector_size(int dims)
{
	return VECTOR_HEADER_SIZE + (size_t) dims * 4;
}

static void
vector_encode(char *wire, const float *values, int dims)
{
	put_int16(wire, dims);
	put_int16(wire + 2, 0);
	wire += VECTOR_HEADER_SIZE;
	for (int i = 0; i < dims; i++, wire += 4)
		put_float(wire, values[i]);
}

const WireFormat wire_real_array = {
	"real[]", real_array_size, real_array_encode, '{', '}'
};

const WireFormat wire_vector = {
	"vector", vector_size, vector_encode, '[', ']'
};

/* ---- statements ---- */

PGconn *
sql_connect(const char *conninfo)
{
	PGconn	   *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(conn));
	return conn;
}

void
sql_check(PGconn *conn, const PGresult *result, ExecStatusType wanted,
		  const char *what)
{
	if (PQresultStatus(result) != wanted)
		die("%s\n%s", what, PQerrorMessage(conn));
}

static PGresult *
run_formatted(PGconn *conn, ExecStatusType wanted, const char *format,
			  va_list args)
{
	PGresult   *result;
	char	   *statement;

	if (vasprintf(&statement, format, args) < 0)
		die("out of memory");
	result = PQexec(conn, statement);

	/* A statement run for its effect may well be a SELECT. */
	if (wanted != PGRES_COMMAND_OK ||
		PQresultStatus(result) != PGRES_TUPLES_OK)
		sql_check(conn, result, wanted, statement);
	if (wanted == PGRES_TUPLES_OK && PQntuples(result) != 1)
		die("%s\nreturned %d rows instead of one", statement,
			PQntuples(result));
	free(statement);
	return result;
}

void
sql_run(PGconn *conn, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	PQclear(run_formatted(conn, PGRES_COMMAND_OK, format, args));
	va_end(args);
}

/* Bytes of memory that the process shares with no other, or 0. */
static double
private_memory(int pid)
{
	char	   *path = format_string("/proc/%d/status", pid);
	FILE	   *file = fopen(path, "r");
	char		line[256];
	long		kilobytes = 0;

	free(path);
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL &&
		   sscanf(line, "RssAnon: %ld", &kilobytes) != 1)
		;
	fclose(file);
	return kilobytes * 1024.0;
}

double
sql_run_watched(PGconn *conn, const char *statement)
{
	struct pollfd socket = {.fd = PQsocket(conn),.events = POLLIN};
	double		peak = 0;
	PGresult   *result;

	if (PQsendQuery(conn, statement) != 1)
		die("%s: %s", statement, PQerrorMessage(conn));
	while (PQisBusy(conn))
	{
		double		memory = private_memory(PQbackendPID(conn));

		peak = Max(peak, memory);
		if (poll(&socket, 1, WATCH_MILLISECONDS) > 0 &&
			PQconsumeInput(conn) != 1)
			die("%s: %s", statement, PQerrorMessage(conn));
	}
	while ((result = PQgetResult(conn)) != NULL)
	{
		sql_check(conn, result, PGRES_COMMAND_OK, statement);
		PQclear(result);
	}
	return peak;
}

PGresult *
sql_row(PGconn *conn, const char *format,...)
{
	va_list		args;
	PGresult   *result;

	va_start(args, format);
	result = run_formatted(conn, PGRES_TUPLES_OK, format, args);
	va_end(args);
	return result;
}

char *
sql_text(PGconn *conn, const char *format,...)
{
	va_list		args;
	PGresult   *result;
	char	   *text;

	va_start(args, format);
	result = run_formatted(conn, PGRES_TUPLES_OK, format, args);
	va_end(args);
	text = format_string("%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return text;
}

double
sql_number(PGconn *conn, const char *format,...)
{
	va_list		args;
	PGresult   *result;
	double		number;

	va_start(args, format);
	result = run_formatted(conn, PGRES_TUPLES_OK, format, args);
	va_end(args);
	number = strtod(PQgetvalue(result, 0, 0), NULL);
	PQclear(result);
	return number;
}

void
sql_set(PGconn *conn, const char *name, const char *value)
{
	const char *params[2] = {name, value};
	PGresult   *result;

	result = PQexecParams(conn, "SELECT set_config($1, $2, false)", 2, NULL,
						  params, NULL, NULL, 0);
	sql_check(conn, result, PGRES_TUPLES_OK, name);
	PQclear(result);
}

char *
sql_assign(PGconn *conn, const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	char	   *name = format_string("%.*s", (int) (equals - assignment),
									 assignment);
	char	   *old = sql_text(conn, "SHOW %s", name);
	char	   *back = format_string("%s=%s", name, old);

	sql_set(conn, name, equals + 1);
	free(old);
	free(name);
	return back;
}

void
sql_prepare(PGconn *conn, const char *name, const char *statement)
{
	PGresult   *result = PQprepare(conn, name, statement, 0, NULL);

	sql_check(conn, result, PGRES_COMMAND_OK, statement);
	PQclear(result);
}

char *
sql_with_literal(const char *statement, const WireFormat *wire,
				 const float *values, int dims)
{
	const char *parameter = strstr(statement, "$1");
	char	   *text;
	size_t		size;
	FILE	   *stream = open_memstream(&text, &size);

	if (stream == NULL)
		die("out of memory");
	fprintf(stream, "%.*s'%c", (int) (parameter - statement), statement,
			wire->text_open);
	for (int i = 0; i < dims; i++)
		fprintf(stream, "%s%.9g", i > 0 ? "," : "", values[i]);
	fprintf(stream, "%c'%s", wire->text_close, parameter + 2);
	if (ferror(stream) || fclose(stream) != 0)
		die("out of memory");
	return text;
}

/* ---- loading ---- */

static void
put_copy_data(PGconn *conn, const char *bytes, size_t size)
{
	if (PQputCopyData(conn, bytes, (int) size) != 1)
		die("could not send rows: %s", PQerrorMessage(conn));
}

void
sql_copy_rows(PGconn *conn, const char *table, const float *vectors, int rows,
			  int dims)
{
	/* Signature, flags, length of the header's extension: see COPY's page. */
	static const char header[19] = "PGCOPY\n\377\r\n\0";
	static const char trailer[2] = "\377\377";
	size_t		value_size = wire_real_array.size(dims);
	size_t		tuple_size = 2 + 4 + 4 + 4 + value_size;
	char	   *tuple = allocate(1, tuple_size);
	char	   *statement;
	PGresult   *result;

	/* FREEZE: the caller created the table in this transaction. */
	statement = format_string("COPY %s FROM STDIN (FORMAT binary, FREEZE)",
							  table);
	result = PQexec(conn, statement);
	sql_check(conn, result, PGRES_COPY_IN, statement);
	PQclear(result);

	put_copy_data(conn, header, sizeof(header));
	put_int16(tuple, 2);
	wire_put_int32(tuple + 2, 4);
	wire_put_int32(tuple + 10, (int32_t) value_size);
	for (int row = 0; row < rows; row++)
	{
		wire_put_int32(tuple + 6, row);
		wire_real_array.encode(tuple + 14, vectors + (size_t) row * dims,
							   dims);
		put_copy_data(conn, tuple, tuple_size);
	}
	put_copy_data(conn, trailer, sizeof(trailer));

	if (PQputCopyEnd(conn, NULL) != 1)
		die("could not end COPY: %s", PQerrorMessage(conn));
	while ((result = PQgetResult(conn)) != NULL)
	{
		sql_check(conn, result, PGRES_COMMAND_OK, statement);
		PQclear(result);
	}
	free(statement);
	free(tuple);
}
