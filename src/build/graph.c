/*-------------------------------------------------------------------------
 *
 * graph.c
 *	  The second step of a build: inner vectors, and the graph on them.
 *
 * The graph is made on rotated inner vectors, whose distances are those of the
 * vectors themselves, and on coarse copies of them (src/graph/construct.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include <math.h>

#include "common/hashfn.h"
#include "miscadmin.h"

#include "graph/cluster.h"
#include "graph/order.h"

/* Vertices that a member prepares at a time. */
#define PREPARE_BATCH	256

/*
 * Vertices looked at to see where the middle of the data is, and how far from
 * it a vector may be to count for the mean: so many times the median.
 */
#define MIDDLE_SAMPLE	512
#define FAR_OFF			16.0f

bool
tg_build_rises(const TgIndex *info, uint32 vertex, int layer)
{
	return tg_highest_layer(info, murmurhash32(vertex)) >= layer;
}

/*
 * The arrays of a layer, one behind the other; those of layer 0 have no use
 * for numbers of vertices, which are their own, but for inner vectors.
 */
static Size
map_layer(TgBuild *build, const TgIndex *info, int number, uint32 n,
		  char *memory, TgLayer *layer)
{
	int			inner_dims = info->geometry.inner_dims;
	int			degree = info->layout.degree;
	char	   *bytes = memory;
	TgLayer		unused;

	if (layer == NULL)
		layer = &unused;
	layer->rotated = (float *) bytes;
	bytes += MAXALIGN(sizeof(float) * inner_dims * (Size) n);
	if (number == 0 && info->layout.guide == TG_GUIDE_KDTREE)
	{
		if (build)
			build->inner = (float *) bytes;
		bytes += MAXALIGN(sizeof(float) * inner_dims * (Size) n);
	}
	layer->graph = tg_constructed_at(bytes, degree, (int) n);
	bytes += MAXALIGN(tg_constructed_size(degree, (int) n));
	layer->order = (uint32 *) bytes;
	bytes += sizeof(uint32) * (Size) n;
	layer->ids = (TgVertexId *) bytes;
	bytes += sizeof(TgVertexId) * (Size) n;
	layer->vertices = NULL;
	layer->below = NULL;
	if (number > 0)
	{
		layer->vertices = (uint32 *) bytes;
		bytes += sizeof(uint32) * (Size) n;
		layer->below = (uint32 *) bytes;
		bytes += sizeof(uint32) * (Size) n;
	}
	layer->coarse = NULL;
	if (inner_dims >= TG_COARSE_LEAST_DIMS)
	{
		/* At the start of a cache line, wherever the memory begins. */
		layer->coarse = (int8 *) TYPEALIGN(TG_BYTES_ALIGN, bytes);
		bytes += tg_coarse_stride(inner_dims) * n + TG_BYTES_ALIGN;
	}
	return bytes - memory;
}

Size
tg_layer_size(const TgIndex *info, int number, uint32 n)
{
	return map_layer(NULL, info, number, n, NULL, NULL);
}

void
tg_layer_map(TgBuild *build, int number)
{
	const TgSharedLayer *shared = &build->shared->layers[number];
	TgLayer    *layer = &build->layers[number];

	layer->n = shared->n;
	layer->first_slot = shared->first_slot;
	(void) map_layer(build, build->info, number, shared->n,
					 tg_piece_address(build, &shared->piece), layer);
}

void
tg_build_embed(const TgBuild *build, uint32 row, float *inner)
{
	const TgGeometry *geometry = &build->info->geometry;
	const float *vector = tg_row(&build->all, row);

	if (geometry->metric == TG_METRIC_COSINE)
		tg_embed_query(geometry, vector, inner);
	else
		tg_embed(geometry, vector,
				 tg_kernels->dot(vector, vector, geometry->dims), inner);
}

static float
median(float *values, int n)
{
	qsort(values, n, sizeof(float), tg_compare_floats);
	return values[n / 2];
}

/*
 * Add an inner vector to a sum, and to the count behind it, unless it is far
 * off; and the mean of what was added.
 */
static void
add_to_sum(const float *inner, const float *middle, float far_off,
		   int inner_dims, double *sum)
{
	if (!(tg_kernels->l2sq(inner, middle, inner_dims) <= far_off))
		return;
	for (int j = 0; j < inner_dims; j++)
		sum[j] += inner[j];
	sum[inner_dims] += 1.0;
}

static void
mean_of_sum(const double *sum, int inner_dims, float *mean)
{
	for (int j = 0; j < inner_dims; j++)
		mean[j] = (float) (sum[j] / Max(sum[inner_dims], 1.0));
}

/* Coarse copies of a layer's vertices, if there are any. */
static bool
coarse_of(const TgBuild *build, const TgLayer *layer, TgCoarse *coarse)
{
	tg_coarse_init(coarse, build->info->geometry.inner_dims,
				   build->shared->coarse_step, build->middle_rotated,
				   layer->coarse);
	return layer->coarse && coarse->step > 0.0f;
}

/*
 * The step of coarse copies, from the inner vectors of a sample that are not
 * far off the middle.
 */
static float
choose_coarse_step(TgBuild *build, const float *sample, int nsample)
{
	const TgIndex *info = build->info;
	int			inner_dims = info->geometry.inner_dims;
	float	   *rotated = tg_alloc(sizeof(float) * inner_dims *
								   Max((Size) nsample, 1));
	int			n = 0;
	float		step;

	for (int i = 0; i < nsample; i++)
	{
		const float *inner = sample + (Size) i * inner_dims;
		float	   *to = rotated + (Size) n * inner_dims;

		if (tg_kernels->l2sq(inner, build->middle, inner_dims) >
			build->shared->far_off)
			continue;
		tg_rotate(&info->rotation, inner, to);
		for (int j = 0; j < inner_dims; j++)
			to[j] -= build->middle_rotated[j];
		n++;
	}
	step = tg_coarse_step(rotated, n, inner_dims);
	pfree(rotated);
	return step;
}

/*
 * Inner vectors of a sample of all rows; *n receives how many.  To be freed.
 */
static float *
take_sample(const TgBuild *build, int *n)
{
	int			inner_dims = build->info->geometry.inner_dims;
	float	   *sample;

	*n = Min(build->all.n, MIDDLE_SAMPLE);
	sample = tg_alloc(sizeof(float) * inner_dims * Max((Size) *n, 1));
	for (int i = 0; i < *n; i++)
		tg_build_embed(build, (uint64) i * build->all.n / *n,
					   sample + (Size) i * inner_dims);
	return sample;
}

/*
 * Where the middle of the data is, by the medians of a sample.  Returns the
 * squared distance from it beyond which a vector is far off.
 *
 * Codes are relative to the mean, and lose in precision what it is away from
 * the data: one vector at 1e30 must not carry it off.
 */
static float
find_middle(const float *sample, int nsample, int inner_dims, float *middle)
{
	float	   *values = palloc(sizeof(float) * Max(nsample, 1));
	float		near = 0.0f;

	for (int j = 0; j < inner_dims; j++)
	{
		for (int i = 0; i < nsample; i++)
			values[i] = sample[(Size) i * inner_dims + j];
		middle[j] = nsample > 0 ? median(values, nsample) : 0.0f;
	}
	for (int i = 0; i < nsample; i++)
		values[i] = tg_kernels->l2sq(sample + (Size) i * inner_dims, middle,
									 inner_dims);
	if (nsample > 0)
		near = median(values, nsample);
	pfree(values);
	return near > 0.0f ? near * FAR_OFF * FAR_OFF : INFINITY;
}

void
tg_build_sample_mean(const TgBuild *build, float *mean)
{
	int			inner_dims = build->info->geometry.inner_dims;
	int			nsample;
	float	   *sample = take_sample(build, &nsample);
	double	   *sum = palloc0(sizeof(double) * (inner_dims + 1));
	float		far_off = find_middle(sample, nsample, inner_dims, mean);

	for (int i = 0; i < nsample; i++)
		add_to_sum(sample + (Size) i * inner_dims, mean, far_off, inner_dims,
				   sum);
	mean_of_sum(sum, inner_dims, mean);
	pfree(sum);
	pfree(sample);
}

/*
 * The middle of the data, and the step of coarse copies.
 */
static void
survey(TgBuild *build)
{
	int			nsample;
	float	   *sample = take_sample(build, &nsample);

	build->shared->far_off = find_middle(sample, nsample,
										 build->info->geometry.inner_dims,
										 build->middle);
	tg_rotate(&build->info->rotation, build->middle, build->middle_rotated);
	build->shared->coarse_step = choose_coarse_step(build, sample, nsample);
	pfree(sample);
}

/*
 * Inner vectors of all vertices, rotated, their coarse copies, and the sum of
 * them that are this member's share and not far off.
 */
static void
prepare_vectors(TgBuild *build)
{
	const TgIndex *info = build->info;
	int			inner_dims = info->geometry.inner_dims;
	uint32		n = build->shared->n;
	double	   *sum = build->sums + (Size) build->member * (inner_dims + 1);
	float	   *inner = palloc(sizeof(float) * inner_dims);
	TgCoarse	coarse;
	bool		has_coarse = coarse_of(build, &build->layers[0], &coarse);
	uint64		first;

	memset(sum, 0, sizeof(double) * (inner_dims + 1));
	while ((first = tg_build_next(build, PREPARE_BATCH, n)) < n)
	{
		uint32		end = Min(first + PREPARE_BATCH, n);

		for (uint32 i = first; i < end; i++)
		{
			float	   *rotated;

			tg_build_embed(build, build->rows[i], inner);
			add_to_sum(inner, build->middle, build->shared->far_off, inner_dims,
					   sum);
			if (build->inner)
				memcpy(build->inner + (Size) i * inner_dims, inner,
					   sizeof(float) * inner_dims);
			rotated = build->layers[0].rotated + (Size) i * inner_dims;
			tg_rotate(&info->rotation, inner, rotated);
			if (has_coarse)
				tg_coarse_put(&coarse, i, rotated);
		}
		CHECK_FOR_INTERRUPTS();
		tg_build_progress(build, end);
	}
	pfree(inner);
}

/*
 * Choose the root, which is the centre that codes refer to: the mean of the
 * inner vectors that are not far off.
 */
static void
choose_root(TgBuild *build)
{
	TgBuildShared *shared = build->shared;
	const TgIndex *info = build->info;
	int			inner_dims = info->geometry.inner_dims;
	int			members = shared->apart ? 1 : shared->members;
	double	   *sum = palloc0(sizeof(double) * (inner_dims + 1));
	float	   *inner = palloc(sizeof(float) * inner_dims);

	for (int i = 0; i < members; i++)
		for (int j = 0; j <= inner_dims; j++)
			sum[j] += build->sums[(Size) i * (inner_dims + 1) + j];
	mean_of_sum(sum, inner_dims, inner);
	shared->root = tg_store_inner(&info->geometry, info->layout.storage, inner,
								  build->root_bytes);
	pfree(sum);
	pfree(inner);
}

/*
 * How far the data reach in each dimension, for k-d splits.
 */
static void
measure_ranges(TgBuild *build)
{
	int			inner_dims = build->info->geometry.inner_dims;
	uint32		n = build->shared->n;
	const float **vectors = tg_alloc(sizeof(float *) * Max((Size) n, 1));

	for (uint32 i = 0; i < n; i++)
		vectors[i] = build->inner + (Size) i * inner_dims;
	tg_ranges(vectors, n, inner_dims, build->ranges);
	pfree(vectors);
}

/*
 * Choose the vertices of a layer: of the one below, those that rise.
 */
static void
choose_vertices(TgBuild *build, int number)
{
	TgLayer    *layer = &build->layers[number];
	const TgLayer *below = &build->layers[number - 1];
	int			inner_dims = build->info->geometry.inner_dims;
	Size		stride = tg_coarse_stride(inner_dims);
	uint32		n = 0;

	for (uint32 i = 0; i < below->n; i++)
	{
		uint32		vertex = number == 1 ? i : below->vertices[i];

		if (!tg_build_rises(build->info, vertex, number))
			continue;
		layer->vertices[n] = vertex;
		layer->below[n] = i;
		memcpy(layer->rotated + (Size) n * inner_dims,
			   below->rotated + (Size) i * inner_dims,
			   sizeof(float) * inner_dims);
		if (layer->coarse)
			memcpy(layer->coarse + n * stride, below->coarse + i * stride,
				   stride);
		n++;
	}
	Assert(n == layer->n);
}

static void
meet_team(void *arg)
{
	tg_build_meet(arg);
}

static void
report_graph(void *arg, TgConstructStage stage, int64 done)
{
	TgBuild    *build = arg;
	int64		phase = stage == TG_CONSTRUCT_INSERT ?
		TG_PHASE_GRAPH : TG_PHASE_FINISH;

	if (build->phase != phase)
		tg_build_phase(build, phase, build->shared->n);
	if (stage == TG_CONSTRUCT_FINISH || (done & 0xFF) == 0)
		tg_build_progress(build, done);
}

/*
 * In which order a layer's vertices are written, and which ids they get.
 */
static void
order_layer(TgBuild *build, TgLayer *layer)
{
	tg_graph_order(&layer->graph, layer->order);
	for (uint32 i = 0; i < layer->n; i++)
		layer->ids[layer->order[i]] =
			tg_bulk_id(&build->info->layout, layer->first_slot + 1 + i);
}

static void
construct_layer(TgBuild *build, int number)
{
	TgLayer    *layer = &build->layers[number];
	const TgIndex *info = build->info;
	TgConstructParams params = {0};
	TgCoarse	coarse;
	TgTeam		team = {0};

	params.dims = info->geometry.inner_dims;
	params.ef = build->options.ef_construction;
	params.rule = tg_index_prune_rule(info);
	params.root = info->root_rotated;
	params.coarse = coarse_of(build, layer, &coarse) ? &coarse : NULL;
	params.progress = number == 0 ? report_graph : NULL;
	params.progress_arg = build;
	team.leader = tg_build_leader(build);
	if (build->together)
	{
		team.meet = meet_team;
		team.arg = build;
		team.locks = build->shared->locks;
	}

	if (number > 0 && team.leader)
		choose_vertices(build, number);
	tg_build_meet(build);
	tg_construct(&params, &team, layer->rotated, &layer->graph);
	if (team.leader)
		order_layer(build, layer);
}

void
tg_build_graph(TgBuild *build)
{
	bool		leader = tg_build_leader(build);

	if (leader)
	{
		tg_build_phase(build, TG_PHASE_PREPARE, build->shared->n);
		survey(build);
		tg_build_deal(build);
	}
	tg_build_meet(build);
	prepare_vectors(build);
	tg_build_meet(build);
	if (leader)
	{
		choose_root(build);
		if (build->inner)
			measure_ranges(build);
	}
	tg_build_meet(build);
	tg_index_set_root(build->info, build->root_bytes,
					  build->shared->root.norm2);
	for (int i = 0; i < build->nlayers; i++)
		construct_layer(build, i);
	tg_build_meet(build);
}
