/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  Random vectors, the same in every run, and plain references to compare
 *	  with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_SAMPLE_H
#define TOGG_SAMPLE_H

#include "shim.h"

static uint64 sample_state = 88172645463325252ULL;

static inline uint32
sample_bits(void)
{
	sample_state ^= sample_state << 13;
	sample_state ^= sample_state >> 7;
	sample_state ^= sample_state << 17;
	return (uint32) (sample_state >> 16);
}

/* Below n. */
static inline int
sample_below(int n)
{
	return (int) ((uint64) sample_bits() * n >> 32);
}

/* Near enough to a normal deviate: twelve uniform ones. */
static inline float
sample_gauss(void)
{
	float		sum = -6.0f;

	for (int i = 0; i < 12; i++)
		sum += (float) sample_bits() * 0x1p-32f;
	return sum;
}

static inline void
sample_vector(float *vector, int dims, float deviation)
{
	for (int i = 0; i < dims; i++)
		vector[i] = sample_gauss() * deviation;
}

/* vectors[n][dims], to be freed. */
static inline float *
sample_vectors(int n, int dims)
{
	float	   *vectors = malloc(sizeof(float) * n * dims + 1);

	sample_vector(vectors, n * dims, 1.0f);
	return vectors;
}

/* The same, around so many centres that are apart times farther off. */
static inline float *
sample_clusters(int n, int dims, int nclusters, float apart)
{
	float	   *centres = sample_vectors(nclusters, dims);
	float	   *vectors = sample_vectors(n, dims);

	for (int i = 0; i < n; i++)
		for (int j = 0; j < dims; j++)
			vectors[i * dims + j] += apart * centres[i % nclusters * dims + j];
	free(centres);
	return vectors;
}

static inline double
reference_dot(const float *a, const float *b, int dims)
{
	double		sum = 0.0;

	for (int i = 0; i < dims; i++)
		sum += (double) a[i] * b[i];
	return sum;
}

static inline double
reference_l2sq(const float *a, const float *b, int dims)
{
	double		sum = 0.0;

	for (int i = 0; i < dims; i++)
		sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
	return sum;
}

#endif							/* TOGG_SAMPLE_H */
