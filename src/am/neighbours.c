/*-------------------------------------------------------------------------
 *
 * neighbours.c
 *	  Making neighbour lists: divided, coded, ready to be stored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"

#include "graph/cluster.h"

TgPruneRule
tg_index_prune_rule(const TgIndex *info)
{
	return info->meta.graph == TG_GRAPH_NSSG ? TG_PRUNE_ANGLE : TG_PRUNE_RNG;
}

void
tg_list_maker_init(TgListMaker *maker, const TgIndex *info)
{
	int			dims = info->geometry.inner_dims;

	maker->info = info;
	maker->residual = palloc(sizeof(float) * dims);
	maker->centre = palloc(sizeof(float) * dims);
	maker->clusters = palloc(sizeof(float) *
							 TG_CLUSTER_SCRATCH(info->meta.clusters, dims));
	maker->list_ranges = palloc(sizeof(float) * dims);
	maker->ranges = NULL;
	maker->vectors = palloc(sizeof(float *) * info->layout.degree);
	maker->order = palloc(sizeof(uint16) * info->layout.degree);
	maker->coded.levels = palloc(dims);
}

/*
 * Difference of two vectors.  A function of its own, as in a loop over fields
 * of a struct the compiler has to reckon with each being written to.
 */
static void
subtract(const float *a, const float *b, int dims, float *difference)
{
	for (int i = 0; i < dims; i++)
		difference[i] = a[i] - b[i];
}

/* Get ready to code neighbours of this vertex. */
static void
hold(TgListMaker *maker, const float *rotated)
{
	const TgIndex *info = maker->info;

	subtract(rotated, info->root_rotated, info->geometry.inner_dims,
			 maker->centre);
}

/* Code a neighbour of the vertex that is held. */
static const TgCoded *
code_held(TgListMaker *maker, const float *rotated,
		  const TgNeighbour *neighbour)
{
	const TgIndex *info = maker->info;
	int			dims = info->geometry.inner_dims;

	maker->coded.id = neighbour->id;
	if (info->layout.bits == 0)
		return &maker->coded;
	subtract(neighbour->rotated, rotated, dims, maker->residual);
	tg_encode(dims, info->layout.bits, maker->residual, maker->centre,
			  maker->coded.levels, &maker->coded.a, &maker->coded.f);
	maker->coded.a += tg_excess(&info->geometry, rotated) -
		tg_excess(&info->geometry, neighbour->rotated);
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
tg_divide_list(TgListMaker *maker, TgSlotHeader *header,
			   const TgNeighbour *self, const TgNeighbour *neighbours, int n)
{
	const TgIndex *info = maker->info;
	int			dims = info->geometry.inner_dims;
	TgGuide		guide = header->layer == 0 ? info->layout.guide : TG_GUIDE_NONE;

	header->nclusters = 0;
	switch (guide)
	{
		case TG_GUIDE_KMEANS:
			for (int i = 0; i < n; i++)
				maker->vectors[i] = neighbours[i].rotated;
			if (n > 0)
				header->nclusters = tg_cluster(maker->vectors, n, dims,
											   info->meta.clusters,
											   maker->order,
											   &header->division,
											   maker->clusters);
			break;
		case TG_GUIDE_KDTREE:
			for (int i = 0; i < n; i++)
				maker->vectors[i] = neighbours[i].inner;
			if (maker->ranges == NULL)
				tg_ranges(maker->vectors, n, dims, maker->list_ranges);
			header->nclusters = tg_split(self->inner, maker->vectors, n, dims,
										 maker->ranges ? maker->ranges :
										 maker->list_ranges,
										 info->meta.kdtree_interval,
										 maker->order, &header->division);
			if (header->nclusters > 0)
				header->split_at =
					self->inner[header->division.split.dim];
			break;
		case TG_GUIDE_NONE:
			for (int i = 0; i < n; i++)
				maker->order[i] = (uint16) i;
			break;
	}
}

void
tg_make_list(TgListMaker *maker, void *slot, const TgNeighbour *self,
			 const TgNeighbour *neighbours, int n)
{
	const TgIndex *info = maker->info;
	TgSlotHeader *header = slot;

	Assert(header->degree == 0 && n <= info->layout.degree);

	tg_divide_list(maker, header, self, neighbours, n);
	hold(maker, self->rotated);
	for (int i = 0; i < n; i++)
		tg_list_set(&info->layout, slot, i,
					code_held(maker, self->rotated,
							  &neighbours[maker->order[i]]),
					false);
}
