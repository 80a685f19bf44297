/*-------------------------------------------------------------------------
 *
 * reshape.c
 *	  Data sets of other dimensions, or of more rows, made from those that
 *	  there are.
 *
 * To fewer dimensions, vectors are projected on as many random directions at
 * right angles to one another.  To more, their values are repeated from the
 * start until there are enough.  Exact copies of a value would leave nothing
 * new in the added dimensions, so all values are jittered: moved at random by
 * up to JITTER times the spread of the set's values, either way.
 *
 * To more rows, those that there are come again, moved further than that: so far
 * that a row's copies are not much nearer to it than its neighbours.
 *
 * Base and queries are changed alike, and the same in every run: the random
 * numbers are erand48()'s, whose formula POSIX gives, from a fixed seed.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define JITTER		0.1
#define ROW_JITTER	0.5

/* A normally distributed number, by Box and Muller's formula. */
static double
random_normal(unsigned short *state)
{
	double		radius = sqrt(-2 * log(1 - erand48(state)));

	return radius * cos(2 * M_PI * erand48(state));
}

/* count vectors of length 1 at right angles, by Gram and Schmidt's process. */
static float *
random_directions(int count, int dims, unsigned short *state)
{
	float	   *directions = allocate((size_t) count * dims, sizeof(float));

	for (int i = 0; i < count; i++)
	{
		float	   *direction = directions + (size_t) i * dims;
		double		length;

		for (int j = 0; j < dims; j++)
			direction[j] = random_normal(state);
		for (int other = 0; other < i; other++)
		{
			const float *earlier = directions + (size_t) other * dims;
			double		share = dot_product(direction, earlier, dims);

			for (int j = 0; j < dims; j++)
				direction[j] -= share * earlier[j];
		}
		length = sqrt(dot_product(direction, direction, dims));
		for (int j = 0; j < dims; j++)
			direction[j] /= length;
	}
	return directions;
}

/* Replaces *vectors by their projections on the directions. */
static void
project(float **vectors, int count, int old_dims, const float *directions,
		int dims)
{
	float	   *projected = allocate((size_t) count * dims, sizeof(float));

	for (int i = 0; i < count; i++)
		for (int j = 0; j < dims; j++)
			projected[(size_t) i * dims + j] =
				dot_product(*vectors + (size_t) i * old_dims,
							directions + (size_t) j * old_dims, old_dims);
	free(*vectors);
	*vectors = projected;
}

/* Replaces *vectors by repetitions, moved by up to jitter. */
static void
repeat(float **vectors, int count, int old_dims, int dims, double jitter,
	   unsigned short *state)
{
	float	   *repeated = allocate((size_t) count * dims, sizeof(float));

	for (int i = 0; i < count; i++)
		for (int j = 0; j < dims; j++)
			repeated[(size_t) i * dims + j] =
				(*vectors)[(size_t) i * old_dims + j % old_dims] +
				jitter * (2 * erand48(state) - 1);
	free(*vectors);
	*vectors = repeated;
}

/* The standard deviation of all values. */
static double
spread(const float *values, size_t count)
{
	double		sum = 0;
	double		squares = 0;

	for (size_t i = 0; i < count; i++)
	{
		sum += values[i];
		squares += (double) values[i] * values[i];
	}
	return sqrt(squares / count - (sum / count) * (sum / count));
}

void
reshape(Dataset *data, int dims)
{
	unsigned short state[3] = {1, 2, 3};
	int			old_dims = data->dims;

	if (dims < old_dims)
	{
		float	   *directions = random_directions(dims, old_dims, state);

		project(&data->base, data->rows, old_dims, directions, dims);
		project(&data->query, data->queries, old_dims, directions, dims);
		free(directions);
		data->origin = format_string("projected from %d", old_dims);
	}
	else
	{
		double		jitter = JITTER * spread(data->base,
											 (size_t) data->rows * old_dims);

		repeat(&data->base, data->rows, old_dims, dims, jitter, state);
		repeat(&data->query, data->queries, old_dims, dims, jitter, state);
		data->origin = format_string("repeated from %d with jitter",
									 old_dims);
	}
	data->name = format_string("%s-%d", data->name, dims);
	data->dims = dims;
}

void
enlarge(Dataset *data, int rows)
{
	unsigned short state[3] = {1, 2, 3};
	size_t		old = (size_t) data->rows * data->dims;
	size_t		new = (size_t) rows * data->dims;
	double		jitter = ROW_JITTER * spread(data->base, old);
	float	   *base = allocate(new, sizeof(float));

	memcpy(base, data->base, old * sizeof(float));
	for (size_t i = old; i < new; i++)
		base[i] = data->base[i % old] + jitter * (2 * erand48(state) - 1);
	free(data->base);
	data->base = base;
	data->origin = format_string("%d rows repeated with jitter", data->rows);
	data->rows = rows;
}
