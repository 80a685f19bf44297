/*-------------------------------------------------------------------------
 *
 * codes.c
 *	  Whether codes tell anything about the data of a build.
 *
 * Estimates take <P(q - m), x> from a table of bytes (src/README.md, "Rotation
 * and codes"), m being the root.  What bytes round off is in proportion to how
 * far the query is from the root, R; what an estimate is to tell is in
 * proportion to how far neighbours are from each other, |w|.  With D dimensions
 * the rounding amounts to about .011 R |w| / sqrt(D) of a squared distance, the
 * error of a code of two bits to .7 |w|^2 / sqrt(D).  So from R = 64 |w| on it
 * is the rounding that decides.
 *
 * That is so of clusters that are much farther apart than they are wide, and of
 * a great many vectors of one dimension.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include "miscadmin.h"

/*
 * Vectors that are asked how near their neighbours are, and those among which
 * these are looked for.  Of more rows the latter are not quite the nearest, as
 * those in a list are not.
 */
#define PROBES			32
#define SAMPLE			32768
#define NEIGHBOUR		8

/* Codes are left out if more than one vector in so many is so far off. */
#define FAR_OFF_RATIO	128.0f
#define FAR_OFF_SHARE	8

/* Squared distances of a probe's nearest, ascending. */
typedef struct Nearest
{
	int			n;
	float		distances[NEIGHBOUR];
} Nearest;

static void
nearest_add(Nearest *nearest, float distance)
{
	int			i;

	if (nearest->n < NEIGHBOUR)
		i = nearest->n++;
	else if (distance < nearest->distances[NEIGHBOUR - 1])
		i = NEIGHBOUR - 1;
	else
		return;
	for (; i > 0 && nearest->distances[i - 1] > distance; i--)
		nearest->distances[i] = nearest->distances[i - 1];
	nearest->distances[i] = distance;
}

bool
tg_build_codes_tell(TgBuild *build)
{
	int			inner_dims = build->info->geometry.inner_dims;
	uint32		n = build->all.n;
	uint32		nsample = Min(n, SAMPLE);
	int			nprobes = Min(n, PROBES);
	float	   *probes = tg_alloc(sizeof(float) * inner_dims *
								  Max((Size) nprobes, 1));
	float	   *root = palloc(sizeof(float) * inner_dims);
	float	   *inner = palloc(sizeof(float) * inner_dims);
	Nearest    *nearest = palloc0(sizeof(Nearest) * PROBES);
	int			far_off = 0;

	tg_build_sample_mean(build, root);
	for (int i = 0; i < nprobes; i++)
		tg_build_embed(build, (uint64) i * n / nprobes,
					   probes + (Size) i * inner_dims);
	for (uint32 i = 0; i < nsample; i++)
	{
		tg_build_embed(build, (uint64) i * n / nsample, inner);
		for (int p = 0; p < nprobes; p++)
		{
			float		distance = tg_kernels->l2sq(probes + (Size) p * inner_dims,
													inner, inner_dims);

			/* It may be the probe itself. */
			if (distance > 0.0f)
				nearest_add(&nearest[p], distance);
		}
		CHECK_FOR_INTERRUPTS();
	}
	for (int p = 0; p < nprobes; p++)
	{
		float		reach = tg_kernels->l2sq(probes + (Size) p * inner_dims,
											 root, inner_dims);

		if (nearest[p].n > 0 &&
			reach > FAR_OFF_RATIO * FAR_OFF_RATIO *
			nearest[p].distances[nearest[p].n - 1])
			far_off++;
	}
	pfree(probes);
	pfree(root);
	pfree(inner);
	pfree(nearest);
	return far_off * FAR_OFF_SHARE <= nprobes;
}
