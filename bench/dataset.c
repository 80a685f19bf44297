/*-------------------------------------------------------------------------
 *
 * dataset.c
 *	  Vectors and true neighbours from files, and recall against them.
 *
 * A data set is a directory with base.X and query.X, and optionally
 * gt100.ibin, the rows of each query's nearest neighbours.  All are little
 * endian: int32 n, int32 dims, then n * dims values.  X says what a value
 * is (see encodings below), and ".gz" may follow.
 *
 * Distances here are summed in double precision from the same float32
 * values that the server gets.  They decide what counts as found, so they
 * are computed anew for the rows an index returns rather than taken from it.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* A file being read, maybe through gzip. */
typedef struct Source
{
	char	   *path;
	FILE	   *stream;
	pid_t		gzip;			/* 0 if the file is read directly */
	int32_t		count;
	int32_t		dims;
} Source;

/* How the values of a vector file are stored. */
typedef struct Encoding
{
	const char *suffix;
	size_t		size;
	void		(*decode) (float *values, const void *raw, int count);
} Encoding;

static void decode_uint8(float *values, const void *raw, int count);
static void decode_half(float *values, const void *raw, int count);
static void decode_float(float *values, const void *raw, int count);

static const Encoding encodings[] = {
	{"u8bin", 1, decode_uint8},
	{"f16bin", 2, decode_half},
	{"fbin", 4, decode_float}
};

static const char *const metric_names[METRIC_COUNT] = {"l2", "cosine", "ip"};

/* Metrics of well-known data sets, by the beginning of their names. */
static const struct
{
	const char *prefix;
	Metric		metric;
}			known_metrics[] = {
	{"mnist", METRIC_L2},
	{"fashion-mnist", METRIC_L2},
	{"sift", METRIC_L2},
	{"gist", METRIC_L2},
	{"words", METRIC_COSINE},
	{"glove", METRIC_COSINE}
};

static void
decode_uint8(float *values, const void *raw, int count)
{
	const uint8_t *bytes = raw;

	for (int i = 0; i < count; i++)
		values[i] = bytes[i];
}

/* IEEE half precision, subnormals included. */
static void
decode_half(float *values, const void *raw, int count)
{
	const uint16_t *halves = raw;

	for (int i = 0; i < count; i++)
	{
		int			exponent = (halves[i] >> 10) & 31;
		int			fraction = halves[i] & 1023;
		float		value;

		if (exponent == 0)
			value = ldexpf(fraction, -24);
		else if (exponent < 31)
			value = ldexpf(fraction + 1024, exponent - 25);
		else
			value = fraction == 0 ? INFINITY : NAN;
		values[i] = (halves[i] & 0x8000) ? -value : value;
	}
}

static void
decode_float(float *values, const void *raw, int count)
{
	memcpy(values, raw, sizeof(float) * count);
}

const char *
metric_name(Metric metric)
{
	return metric_names[metric];
}

/* ---- files ---- */

static void
read_exactly(Source *source, void *target, size_t size)
{
	if (fread(target, 1, size, source->stream) != size)
		die("could not read %s: %s", source->path,
			ferror(source->stream) ? strerror(errno) : "it ends too early");
}

/* A stream of what "gzip -dc" makes of the file. */
static FILE *
open_gzip(const char *path, pid_t *child)
{
	int			ends[2];
	FILE	   *stream;

	if (pipe2(ends, O_CLOEXEC) != 0)
		die("could not create a pipe: %s", strerror(errno));
	*child = fork();
	if (*child < 0)
		die("could not fork: %s", strerror(errno));
	if (*child == 0)
	{
		if (dup2(ends[1], STDOUT_FILENO) >= 0)
			execlp("gzip", "gzip", "-dc", "--", path, (char *) NULL);
		perror("bench: could not run gzip");
		_exit(127);
	}
	close(ends[1]);
	stream = fdopen(ends[0], "rb");
	if (stream == NULL)
		die("could not read from gzip: %s", strerror(errno));
	return stream;
}

/*
 * Opens directory/name or directory/name.gz and reads its header.  Returns
 * false if there is neither.
 */
static bool
source_open(Source *source, const char *directory, const char *name)
{
	int32_t		header[2];

	memset(source, 0, sizeof(*source));
	source->path = format_string("%s/%s", directory, name);
	if (access(source->path, F_OK) == 0)
	{
		source->stream = fopen(source->path, "rb");
		if (source->stream == NULL)
			die("could not open %s: %s", source->path, strerror(errno));
	}
	else
	{
		free(source->path);
		source->path = format_string("%s/%s.gz", directory, name);
		if (access(source->path, F_OK) != 0)
		{
			free(source->path);
			return false;
		}
		source->stream = open_gzip(source->path, &source->gzip);
	}
	read_exactly(source, header, sizeof(header));
	source->count = header[0];
	source->dims = header[1];
	if (source->count <= 0 || source->dims <= 0)
		die("%s claims to hold %d vectors of %d dimensions", source->path,
			source->count, source->dims);
	return true;
}

/*
 * With read_all, make sure that gzip was content with the file; otherwise
 * it was cut off and its status tells nothing.
 */
static void
source_close(Source *source, bool read_all)
{
	int			status;

	/* gzip checks the file's checksum only when it reaches the end. */
	if (read_all && fgetc(source->stream) != EOF)
		die("%s is longer than its header says", source->path);
	fclose(source->stream);
	if (source->gzip != 0)
	{
		if (waitpid(source->gzip, &status, 0) != source->gzip)
			die("could not wait for gzip: %s", strerror(errno));
		if (read_all && status != 0)
			die("gzip could not unpack %s", source->path);
	}
	free(source->path);
}

/*
 * Reads the first *count (0: all) vectors of directory/stem.X, or as many as
 * there are, for whatever encoding X there is.  Sets *count and *dims, and *whole if the file holds
 * no more than that.
 */
static float *
read_vectors(const char *directory, const char *stem, int *count, int *dims,
			 bool *whole)
{
	const Encoding *encoding = NULL;
	Source		source;
	float	   *values;
	void	   *raw;

	for (size_t i = 0; i < lengthof(encodings) && encoding == NULL; i++)
	{
		char	   *name = format_string("%s.%s", stem, encodings[i].suffix);

		if (source_open(&source, directory, name))
			encoding = &encodings[i];
		free(name);
	}
	if (encoding == NULL)
		die("no %s.u8bin, %s.f16bin or %s.fbin (or these with .gz) in %s",
			stem, stem, stem, directory);
	if (*count == 0 || *count > source.count)
		*count = source.count;
	*dims = source.dims;
	*whole = *count == source.count;

	values = allocate((size_t) *count * *dims, sizeof(float));
	raw = allocate(*dims, encoding->size);
	for (int i = 0; i < *count; i++)
	{
		read_exactly(&source, raw, *dims * encoding->size);
		encoding->decode(values + (size_t) i * *dims, raw, *dims);
	}
	free(raw);
	source_close(&source, *whole);
	return values;
}

/* ---- distances ---- */

/*
 * Eight sums side by side: a compiler may not reorder additions of floating
 * point, so a single sum could not use vector instructions.
 */
#define LANES	8

double
dot_product(const float *a, const float *b, int dims)
{
	double		sums[LANES] = {0};
	double		total = 0;
	int			i;

	for (i = 0; i + LANES <= dims; i += LANES)
		for (int j = 0; j < LANES; j++)
			sums[j] += (double) a[i + j] * b[i + j];
	for (; i < dims; i++)
		total += (double) a[i] * b[i];
	for (int j = 0; j < LANES; j++)
		total += sums[j];
	return total;
}

static double
squared_l2(const float *a, const float *b, int dims)
{
	double		sums[LANES] = {0};
	double		total = 0;
	int			i;

	for (i = 0; i + LANES <= dims; i += LANES)
	{
		for (int j = 0; j < LANES; j++)
		{
			double		difference = (double) a[i + j] - b[i + j];

			sums[j] += difference * difference;
		}
	}
	for (; i < dims; i++)
	{
		double		difference = (double) a[i] - b[i];

		total += difference * difference;
	}
	for (int j = 0; j < LANES; j++)
		total += sums[j];
	return total;
}

/*
 * Ranks rows as the metric does; L2 is left squared.  A zero vector has no
 * cosine distance and comes last.
 */
static double
distance(const Dataset *data, int query, int row)
{
	const float *a = data->query + (size_t) query * data->dims;
	const float *b = data->base + (size_t) row * data->dims;
	double		norms;

	switch (data->metric)
	{
		case METRIC_L2:
			return squared_l2(a, b, data->dims);
		case METRIC_IP:
			return -dot_product(a, b, data->dims);
		case METRIC_COSINE:
			norms = data->query_norm[query] * data->base_norm[row];
			if (norms == 0)
				return INFINITY;
			return 1 - dot_product(a, b, data->dims) / norms;
	}
	die("unknown metric %d", data->metric);
}

static double *
compute_norms(const float *vectors, int count, int dims)
{
	double	   *norms = allocate(count, sizeof(double));

	for (int i = 0; i < count; i++)
	{
		const float *vector = vectors + (size_t) i * dims;

		norms[i] = sqrt(dot_product(vector, vector, dims));
	}
	return norms;
}

/* ---- true neighbours ---- */

/*
 * The k-th distances by comparing everything with everything.  Rows are the
 * outer loop: the queries stay in the cache and the base is read once.
 */
static void
compute_truth(Dataset *data)
{
	int			k = data->k;
	double	   *nearest = allocate((size_t) data->queries * k, sizeof(double));

	note("computing the true neighbours of %d queries in %d rows",
		 data->queries, data->rows);
	for (size_t i = 0; i < (size_t) data->queries * k; i++)
		nearest[i] = INFINITY;
	for (int row = 0; row < data->rows; row++)
	{
		for (int query = 0; query < data->queries; query++)
		{
			double	   *sorted = nearest + (size_t) query * k;
			double		d = distance(data, query, row);
			int			i;

			if (!(d < sorted[k - 1]))
				continue;
			for (i = k - 1; i > 0 && sorted[i - 1] > d; i--)
				sorted[i] = sorted[i - 1];
			sorted[i] = d;
		}
	}
	for (int query = 0; query < data->queries; query++)
		data->kth_distance[query] = nearest[(size_t) query * k + k - 1];
	free(nearest);
}

/*
 * Takes the k-th distances from the true neighbours that come with the data
 * set; all of the base must have been read.  Returns false if there are not
 * enough of them, or if they are for another metric, which shows in distances
 * that do not ascend.  (They need to ascend only as well as the single
 * precision they may have been computed with.)
 */
static bool
read_truth(Dataset *data, const char *directory)
{
	Source		source;
	int32_t    *rows;
	bool		usable;

	if (!source_open(&source, directory, "gt100.ibin"))
		return false;
	usable = source.count >= data->queries && source.dims >= data->k;
	rows = allocate(source.dims, sizeof(int32_t));
	for (int query = 0; usable && query < data->queries; query++)
	{
		double		last = -INFINITY;
		double		kth = -INFINITY;

		read_exactly(&source, rows, source.dims * sizeof(int32_t));
		for (int i = 0; usable && i < data->k; i++)
		{
			double		d;

			if (rows[i] < 0 || rows[i] >= data->rows)
				die("%s: query %d has neighbour %d, but there are %d rows",
					source.path, query, rows[i], data->rows);
			d = distance(data, query, rows[i]);
			usable = !(last - d > 1e-6 + 1e-3 * fabs(d));
			last = d;
			kth = Max(kth, d);
		}
		data->kth_distance[query] = kth;
	}
	free(rows);
	source_close(&source, false);
	return usable;
}

static Metric
find_metric(const char *name, const char *metric)
{
	if (strcmp(metric, "auto") == 0)
	{
		for (size_t i = 0; i < lengthof(known_metrics); i++)
			if (strncasecmp(name, known_metrics[i].prefix,
							strlen(known_metrics[i].prefix)) == 0)
				return known_metrics[i].metric;
		die("the metric of data set \"%s\" is not known: give --metric", name);
	}
	for (int i = 0; i < METRIC_COUNT; i++)
		if (strcmp(metric, metric_names[i]) == 0)
			return (Metric) i;
	die("--metric must be auto, l2, cosine or ip, not \"%s\"", metric);
}

/* The last part of a path, trailing slashes aside. */
static char *
last_part(const char *path)
{
	size_t		end = strlen(path);
	size_t		start;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/'; start--)
		;
	return format_string("%.*s", (int) (end - start), path + start);
}

void
dataset_load(Dataset *data, const char *directory, const char *metric,
			 int rows, int queries, int dims, int k)
{
	int			query_dims;
	bool		whole_base;
	bool		whole_query;

	memset(data, 0, sizeof(*data));
	data->name = last_part(directory);
	data->metric = find_metric(data->name, metric);
	data->rows = rows;
	data->queries = queries;
	data->k = k;
	data->base = read_vectors(directory, "base", &data->rows, &data->dims,
							  &whole_base);
	data->query = read_vectors(directory, "query", &data->queries,
							   &query_dims, &whole_query);
	if (query_dims != data->dims)
		die("%s: the base has %d dimensions, the queries have %d",
			directory, data->dims, query_dims);
	if (data->queries < queries)
		die("%s holds %d queries, %d are asked for", directory, data->queries,
			queries);
	if (data->rows < rows)
		enlarge(data, rows);
	if (data->rows < k)
		die("%d rows do not have %d nearest neighbours", data->rows, k);
	if (dims != 0 && dims != data->dims)
		reshape(data, dims);
	if (data->metric == METRIC_COSINE)
	{
		data->base_norm = compute_norms(data->base, data->rows, data->dims);
		data->query_norm = compute_norms(data->query, data->queries,
										 data->dims);
	}
	data->kth_distance = allocate(data->queries, sizeof(double));
	if (!whole_base || data->origin != NULL || !read_truth(data, directory))
		compute_truth(data);
}

double
dataset_recall(const Dataset *data, const int *ids)
{
	double		hits = 0;

	for (int query = 0; query < data->queries; query++)
	{
		const int  *found = ids + (size_t) query * data->k;

		for (int i = 0; i < data->k && found[i] != -1; i++)
		{
			if (found[i] < 0 || found[i] >= data->rows)
				die("query %d returned row %d, but there are %d rows",
					query, found[i], data->rows);
			for (int j = 0; j < i; j++)
				if (found[j] == found[i])
					die("query %d returned row %d twice", query, found[i]);
			if (distance(data, query, found[i]) <= data->kth_distance[query])
				hits++;
		}
	}
	return hits / ((double) data->queries * data->k);
}
