/*-------------------------------------------------------------------------
 *
 * rotate.c
 *	  The random rotation that precedes coding; see rotate.h.
 *
 *-------------------------------------------------------------------------
 */
#include "code/rotate.h"

#include <math.h>

#include "kernel/kernel.h"

/*
 * splitmix64 (Steele, Lea, Flood 2014): a fixed generator, because the signs
 * it draws are part of the on-disk format.
 */
static uint64
next_random(uint64 *state)
{
	uint64		z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

Size
tg_rotation_signs_size(int dims)
{
	return sizeof(uint32) * TG_ROTATION_ROUNDS * dims;
}

void
tg_rotation_init(TgRotation *rotation, int dims, uint64 seed, uint32 *signs)
{
	Assert(dims > 0);

	rotation->dims = dims;
	rotation->window = 1;
	while (rotation->window * 2 <= dims)
		rotation->window *= 2;

	rotation->scale = 1.0f / sqrtf((float) rotation->window);
	rotation->signs = signs;
	for (int i = 0; i < TG_ROTATION_ROUNDS * dims; i++)
		signs[i] = (uint32) (next_random(&seed) >> 63) << 31;
}

/*
 * Rotate each pair of coordinates that are half the dimensions apart by 45
 * degrees.  Of an odd number, the one in the middle stays.
 */
static void
mix_halves(float *x, int dims)
{
	const float scale = 0.70710678f;
	int			half = dims / 2;
	float	   *y = x + dims - half;

	for (int i = 0; i < half; i++)
	{
		float		a = x[i];
		float		b = y[i];

		x[i] = (a + b) * scale;
		y[i] = (a - b) * scale;
	}
}

void
tg_rotate(const TgRotation *rotation, const float *in, float *out)
{
	int			dims = rotation->dims;
	int			window = rotation->window;
	float		scale = rotation->scale;

	memcpy(out, in, sizeof(float) * dims);
	for (int round = 0; round < TG_ROTATION_ROUNDS; round++)
	{
		const uint32 *signs = rotation->signs + (Size) round * dims;
		float	   *start = (round & 1) ? out + dims - window : out;

		for (int i = 0; i < dims; i++)
		{
			uint32		bits;

			memcpy(&bits, &out[i], sizeof(bits));
			bits ^= signs[i];
			memcpy(&out[i], &bits, sizeof(bits));
		}
		tg_kernels->hadamard(start, window);
		for (int i = 0; i < window; i++)
			start[i] *= scale;
		if (round == TG_ROTATION_ROUNDS / 2 - 1 && window < dims)
			mix_halves(out, dims);
	}
}
