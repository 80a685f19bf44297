/*-------------------------------------------------------------------------
 *
 * arrays.c
 *	  libpq with real[] in binary: COPY both ways, prepared statements,
 *	  cursors and pipelines.
 *
 * Each query is answered by the index, and compared with distances that are
 * computed here.  The server is the one that the environment names (PGHOST,
 * PGDATABASE, ...).
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libpq-fe.h"

#include "tap.h"

#define DIMS		24
#define ROWS		2000
#define COPIED		1500		/* the others are inserted */

#define OID_FLOAT4	700
#define OID_FLOAT4S	1021
#define OID_INT4	23

/* A real[] on the wire: header, then length and bits of each element. */
#define ARRAY_HEADER	(5 * sizeof(uint32_t))
#define ARRAY_SIZE		(ARRAY_HEADER + DIMS * 2 * sizeof(uint32_t))

static PGconn *conn;
static float vectors[ROWS][DIMS];	/* of ids 1 to ROWS */

/*
 * Stop where no test could go on.
 */
static void
require(bool passed, const char *what)
{
	if (passed)
		return;
	diag("%s: %s", what, PQerrorMessage(conn));
	exit(1);
}

static char *
put_uint32(char *out, uint32_t value)
{
	uint32_t	wire = htonl(value);

	memcpy(out, &wire, sizeof(wire));
	return out + sizeof(wire);
}

static uint32_t
get_uint32(const char *in)
{
	uint32_t	wire;

	memcpy(&wire, in, sizeof(wire));
	return ntohl(wire);
}

/*
 * Write a vector as the server takes a real[]; returns what follows it.
 */
static char *
put_vector(char *out, const float *vector)
{
	out = put_uint32(out, 1);	/* dimensions of the array */
	out = put_uint32(out, 0);	/* no NULLs */
	out = put_uint32(out, OID_FLOAT4);
	out = put_uint32(out, DIMS);
	out = put_uint32(out, 1);	/* lower bound */
	for (int i = 0; i < DIMS; i++)
	{
		uint32_t	bits;

		memcpy(&bits, &vector[i], sizeof(bits));
		out = put_uint32(out, sizeof(float));
		out = put_uint32(out, bits);
	}
	return out;
}

static bool
is_vector(const char *in, int length, const float *vector)
{
	char		expected[ARRAY_SIZE];

	put_vector(expected, vector);
	return length == (int) ARRAY_SIZE && memcmp(in, expected, length) == 0;
}

/*
 * A vector of elements between -1 and 1, the same on every machine.
 */
static void
make_vector(uint32_t seed, float *vector)
{
	for (int i = 0; i < DIMS; i++)
	{
		seed = seed * 1664525 + 1013904223;
		vector[i] = (float) (int32_t) seed / 2147483648.0f;
	}
}

static double
distance(const float *a, const float *b)
{
	double		sum = 0;

	for (int i = 0; i < DIMS; i++)
		sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
	return sqrt(sum);
}

/*
 * Is id one that can be rank-th from the query: are as many nearer to it?
 */
static bool
has_rank(int id, int rank, const float *query, int rows)
{
	double		own;
	int			nearer = 0;

	if (id < 1 || id > rows)
		return false;
	own = distance(vectors[id - 1], query);
	for (int i = 0; i < rows; i++)
		nearer += distance(vectors[i], query) < own;
	return nearer == rank;
}

/*
 * Are the ids in column 0 of the result, in binary, those from a rank on?
 */
static bool
are_nearest(const PGresult *result, int rank, int n, const float *query)
{
	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != n)
		return false;
	for (int i = 0; i < n; i++)
		if (!has_rank((int) get_uint32(PQgetvalue(result, i, 0)), rank + i,
					  query, ROWS))
			return false;
	return true;
}

static void
command(const char *sql)
{
	PGresult   *result = PQexec(conn, sql);

	require(PQresultStatus(result) == PGRES_COMMAND_OK ||
			PQresultStatus(result) == PGRES_TUPLES_OK, sql);
	PQclear(result);
}

/*
 * A statement with a vector for $1, in binary both ways; prepared, if named.
 */
static PGresult *
ask(const char *sql, const char *name, const float *query)
{
	static const Oid types[] = {OID_FLOAT4S};
	static const int lengths[] = {ARRAY_SIZE};
	static const int formats[] = {1};
	char		bytes[ARRAY_SIZE];
	const char *values[] = {bytes};

	put_vector(bytes, query);
	return name ?
		PQexecPrepared(conn, name, 1, values, lengths, formats, 1) :
		PQexecParams(conn, sql, 1, types, values, lengths, formats, 1);
}

/*
 * COPY ... FROM STDIN (FORMAT binary): signature, flags, rows, trailer.
 */
static void
test_copy_in(void)
{
	static const char signature[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
	PGresult   *result;
	int			sent;

	result = PQexec(conn, "COPY items FROM STDIN (FORMAT binary)");
	require(PQresultStatus(result) == PGRES_COPY_IN, "COPY");
	PQclear(result);
	sent = PQputCopyData(conn, signature, sizeof(signature));
	for (int id = 1; id <= COPIED; id++)
	{
		char		row[2 + 3 * sizeof(uint32_t) + ARRAY_SIZE];
		char	   *out = row;

		*out++ = 0;
		*out++ = 2;				/* fields */
		out = put_uint32(out, sizeof(uint32_t));
		out = put_uint32(out, id);
		out = put_uint32(out, ARRAY_SIZE);
		out = put_vector(out, vectors[id - 1]);
		sent += PQputCopyData(conn, row, out - row);
	}
	sent += PQputCopyData(conn, "\377\377", 2);
	sent += PQputCopyEnd(conn, NULL);
	result = PQgetResult(conn);
	ok(sent == COPIED + 3 && PQresultStatus(result) == PGRES_COMMAND_OK &&
	   atoi(PQcmdTuples(result)) == COPIED, "COPY in");
	PQclear(result);
	require(PQgetResult(conn) == NULL, "end of COPY");
}

static void
test_insert(void)
{
	static const Oid types[] = {OID_INT4, OID_FLOAT4S};
	static const int lengths[] = {sizeof(uint32_t), ARRAY_SIZE};
	static const int formats[] = {1, 1};
	int			inserted = 0;

	PQclear(PQprepare(conn, "insert", "INSERT INTO items VALUES ($1, $2)", 2,
					  types));
	for (int id = COPIED + 1; id <= ROWS; id++)
	{
		char		id_bytes[sizeof(uint32_t)];
		char		bytes[ARRAY_SIZE];
		const char *values[] = {id_bytes, bytes};
		PGresult   *result;

		put_uint32(id_bytes, id);
		put_vector(bytes, vectors[id - 1]);
		result = PQexecPrepared(conn, "insert", 2, values, lengths, formats, 0);
		inserted += PQresultStatus(result) == PGRES_COMMAND_OK;
		PQclear(result);
	}
	ok(inserted == ROWS - COPIED, "rows are inserted by a prepared statement");
}

#define NEAREST	"SELECT id, embedding FROM items ORDER BY embedding <-> $1 LIMIT 10"

/*
 * From the sixth execution on the server may keep one plan for all.
 */
static void
test_prepared(void)
{
	static const Oid types[] = {OID_FLOAT4S};
	bool		nearest = true;
	bool		same = true;

	PQclear(PQprepare(conn, "nearest", NEAREST, 1, types));
	for (int i = 0; i < 12; i++)
	{
		float		query[DIMS];
		PGresult   *result;

		make_vector(100000 + i, query);
		result = ask(NULL, "nearest", query);
		nearest = nearest && are_nearest(result, 0, 10, query);
		for (int row = 0; nearest && row < 10; row++)
			same = same && is_vector(PQgetvalue(result, row, 1),
									 PQgetlength(result, row, 1),
									 vectors[get_uint32(PQgetvalue(result, row, 0)) - 1]);
		PQclear(result);
	}
	ok(nearest, "a prepared statement finds the nearest");
	ok(nearest && same, "vectors come as they went");
}

static void
test_plan(void)
{
	PGresult   *result = ask("EXPLAIN (COSTS OFF) " NEAREST, NULL, vectors[0]);

	ok(PQntuples(result) > 1 &&
	   strstr(PQgetvalue(result, 1, 0), "Index Scan using items_embedding"),
	   "by the index");
	PQclear(result);
}

static void
test_cursor(void)
{
	float		query[DIMS];
	bool		nearest = true;

	make_vector(200000, query);
	command("BEGIN");
	PQclear(ask("DECLARE by_distance BINARY CURSOR FOR SELECT id FROM items "
				"ORDER BY embedding <-> $1", NULL, query));
	for (int i = 0; i < 4; i++)
	{
		PGresult   *result = PQexec(conn, "FETCH 7 FROM by_distance");

		nearest = nearest && are_nearest(result, 7 * i, 7, query);
		PQclear(result);
	}
	command("COMMIT");
	ok(nearest, "a cursor goes on where it was");
}

/*
 * COPY (query) TO STDOUT (FORMAT binary), which takes no parameters: the query
 * is a row of the table.
 */
static void
test_copy_out(void)
{
	PGresult   *result;
	char	   *row;
	int			length;
	int			rows = 0;
	bool		nearest = true;

	result = PQexec(conn, "COPY (SELECT id, embedding FROM items ORDER BY embedding <-> "
					"(SELECT embedding FROM items WHERE id = 7) LIMIT 10) "
					"TO STDOUT (FORMAT binary)");
	require(PQresultStatus(result) == PGRES_COPY_OUT, "COPY");
	PQclear(result);
	while ((length = PQgetCopyData(conn, &row, 0)) > 0)
	{
		/* The first row comes with the signature, the last is the trailer. */
		const char *field = row + (rows == 0 && length > 19 ? 19 : 0) + 2;

		if (row + length > field)
		{
			int			id = (int) get_uint32(field + 4);

			nearest = nearest && has_rank(id, rows, vectors[6], ROWS) &&
				is_vector(field + 12, (int) get_uint32(field + 8),
						  vectors[id - 1]);
			rows++;
		}
		PQfreemem(row);
	}
	ok(rows == 10 && nearest, "COPY out");
	while ((result = PQgetResult(conn)) != NULL)
		PQclear(result);
}

/*
 * Several queries on their way at a time.
 */
static void
test_pipeline(void)
{
	float		queries[5][DIMS];
	bool		nearest = true;

	require(PQenterPipelineMode(conn) == 1, "pipeline");
	for (int i = 0; i < 5; i++)
	{
		static const int lengths[] = {ARRAY_SIZE};
		static const int formats[] = {1};
		char		bytes[ARRAY_SIZE];
		const char *values[] = {bytes};

		make_vector(300000 + i, queries[i]);
		put_vector(bytes, queries[i]);
		require(PQsendQueryPrepared(conn, "nearest", 1, values, lengths,
									formats, 1) == 1, "query");
	}
	require(PQpipelineSync(conn) == 1, "sync");
	for (int i = 0; i < 5; i++)
	{
		PGresult   *result = PQgetResult(conn);

		nearest = nearest && are_nearest(result, 0, 10, queries[i]);
		PQclear(result);
		require(PQgetResult(conn) == NULL, "end of result");
	}
	PQclear(PQgetResult(conn));
	require(PQexitPipelineMode(conn) == 1, "end of pipeline");
	ok(nearest, "queries in a pipeline");
}

static void
test_error(void)
{
	PGresult   *result = PQexec(conn, "SELECT id FROM items ORDER BY embedding <-> '{1,2}' LIMIT 1");
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	ok(state && strcmp(state, "22000") == 0,
	   "wrong dimensions are an error of its own");
	PQclear(result);
	result = ask(NEAREST, NULL, vectors[3]);
	ok(are_nearest(result, 0, 10, vectors[3]), "after which it goes on");
	PQclear(result);
}

int
main(void)
{
	for (int id = 1; id <= ROWS; id++)
		make_vector(id, vectors[id - 1]);

	conn = PQconnectdb("");
	require(PQstatus(conn) == CONNECTION_OK, "connection");
	command("SET client_min_messages = warning");
	command("CREATE EXTENSION IF NOT EXISTS togg");
	command("CREATE TABLE items (id int PRIMARY KEY, embedding real[])");
	command("CREATE INDEX items_embedding ON items USING togg (embedding)");

	/*
	 * What follows must not depend on what the planner makes of a small table,
	 * nor on what a search with a small pool happens to find.
	 */
	command("SET enable_seqscan = off");
	command("SET enable_sort = off");
	command("SET togg.ef_search = 500");

	test_copy_in();
	test_insert();
	test_plan();
	test_prepared();
	test_cursor();
	test_copy_out();
	test_pipeline();
	test_error();

	command("DROP TABLE items");
	PQfinish(conn);
	return done_testing();
}
