/*-------------------------------------------------------------------------
 *
 * neighbours.c
 *	  Making neighbour lists: clustered, coded, ready to be stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

#include "graph/cluster.h"

void
tg_list_maker_init(TgListMaker *maker, const TgIndex *info)
{
	int			dims = info->geometry.inner_dims;

	maker->info = info;
	maker->residual = palloc(sizeof(float) * dims);
	maker->centre = palloc(sizeof(float) * dims);
	maker->clusters = palloc(sizeof(float) *
							 TG_CLUSTER_SCRATCH(info->meta.clusters, dims));
	maker->vectors = palloc(sizeof(float *) * info->layout.degree);
	maker->order = palloc(sizeof(uint16) * info->layout.degree);
	maker->coded.levels = palloc(dims);
}

/* Get ready to code neighbours of this vertex. */
static void
hold(TgListMaker *maker, const float *rotated)
{
	const TgIndex *info = maker->info;

	for (int i = 0; i < info->geometry.inner_dims; i++)
		maker->centre[i] = rotated[i] - info->root_rotated[i];
}

/* Code a neighbour of the vertex that is held. */
static const TgCoded *
code_held(TgListMaker *maker, const float *rotated,
		  const TgNeighbour *neighbour)
{
	const TgIndex *info = maker->info;
	int			dims = info->geometry.inner_dims;

	for (int i = 0; i < dims; i++)
		maker->residual[i] = neighbour->rotated[i] - rotated[i];
	maker->coded.id = neighbour->id;
	tg_encode(dims, info->layout.bits, maker->residual, maker->centre,
			  maker->coded.levels, &maker->coded.a, &maker->coded.f);
	return &maker->coded;
}

const TgCoded *
tg_code_neighbour(TgListMaker *maker, const float *rotated,
				  const TgNeighbour *neighbour)
{
	hold(maker, rotated);
	return code_held(maker, rotated, neighbour);
}

void
tg_make_list(TgListMaker *maker, void *slot, const float *rotated,
			 const TgNeighbour *neighbours, int n)
{
	const TgIndex *info = maker->info;
	TgSlotHeader *header = slot;

	Assert(header->degree == 0 && n <= info->layout.degree);

	for (int i = 0; i < n; i++)
		maker->vectors[i] = neighbours[i].rotated;
	header->nclusters = n == 0 ? 0 :
		tg_cluster(maker->vectors, n, info->geometry.inner_dims,
				   info->meta.clusters, maker->order, header->cluster_start,
				   maker->clusters);
	hold(maker, rotated);
	for (int i = 0; i < n; i++)
		tg_list_set(&info->layout, slot, i,
					code_held(maker, rotated, &neighbours[maker->order[i]]),
					false);
}
