/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Index options, settings, and what is chosen from them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "am/am.h"
#include "am/columns.h"

#include "access/reloptions.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "kernel/kernel.h"
#include "worker/worker.h"

int			tg_ef_search = TG_DEFAULT_EF_SEARCH;
double		tg_target_recall = 0;
int			tg_routing = TG_ROUTING_TWO_STAGE;
int			tg_stage1_width = TG_DEFAULT_STAGE1_WIDTH;

static char *simd_setting = NULL;
static relopt_kind option_kind;

static const struct config_enum_entry routing_values[] = {
	{"two_stage", TG_ROUTING_TWO_STAGE, false},
	{"guided", TG_ROUTING_GUIDED, false},
	{"greedy", TG_ROUTING_GREEDY, false},
	{NULL, 0, false}
};

static relopt_enum_elt_def graph_values[] = {
	{"nsg", TG_GRAPH_NSG},
	{"nssg", TG_GRAPH_NSSG},
	{"hnsw", TG_GRAPH_HNSW},
	{NULL, 0}
};

static relopt_enum_elt_def guide_values[] = {
	{"kmeans", TG_GUIDE_KMEANS},
	{"kdtree", TG_GUIDE_KDTREE},
	{"none", TG_GUIDE_NONE},
	{NULL, 0}
};

/* float32 storage is worth this much more room than lossy half floats. */
#define FLOAT_WORTH		1.3

static bool
check_simd(char **newval, void **extra, GucSource source)
{
	if (strcmp(*newval, "auto") == 0)
		return true;
	for (int i = 0; tg_kernels_all[i] != NULL; i++)
		if (strcmp(*newval, tg_kernels_all[i]->name) == 0)
		{
			if (tg_kernels_supported(tg_kernels_all[i]))
				return true;
			GUC_check_errdetail("This processor cannot run \"%s\".", *newval);
			return false;
		}
	GUC_check_errdetail("This build of togg has no kernels named \"%s\".",
						*newval);
	return false;
}

static void
assign_simd(const char *newval, void *extra)
{
	tg_kernels_select(newval);
}

void
tg_options_init(void)
{
	option_kind = add_reloption_kind();
	add_int_reloption(option_kind, "m",
					  "A vertex keeps up to 2m neighbours, rounded up to a multiple of 32",
					  TG_DEFAULT_M, TG_MIN_M, TG_MAX_M, AccessExclusiveLock);
	add_int_reloption(option_kind, "ef_construction",
					  "Size of the candidate pool when neighbours are chosen",
					  TG_DEFAULT_EF_CONSTRUCTION, TG_MIN_EF_CONSTRUCTION,
					  TG_MAX_EF_CONSTRUCTION, AccessExclusiveLock);
	add_enum_reloption(option_kind, "graph",
					   "Base graph", graph_values, TG_GRAPH_NSG,
					   "Valid values are \"nsg\", \"nssg\", and \"hnsw\".",
					   AccessExclusiveLock);
	add_enum_reloption(option_kind, "guide",
					   "How neighbour lists are divided for guided search",
					   guide_values, TG_GUIDE_KMEANS,
					   "Valid values are \"kmeans\", \"kdtree\", and \"none\".",
					   AccessExclusiveLock);
	add_int_reloption(option_kind, "clusters",
					  "Clusters that a neighbour list is divided into, with guide = kmeans",
					  TG_DEFAULT_CLUSTERS, 1, TG_MAX_CLUSTERS,
					  AccessExclusiveLock);
	add_real_reloption(option_kind, "kdtree_interval",
					   "A vertex's neighbours within 1/kdtree_interval of a dimension's range "
					   "are common to both of its sides, with guide = kdtree",
					   TG_DEFAULT_KDTREE_INTERVAL, 1.0, 1e9,
					   AccessExclusiveLock);
	add_int_reloption(option_kind, "bits",
					  "Bits per dimension of a neighbour's code (0: no codes, -1: by dimensions)",
					  TG_BITS_AUTO, TG_BITS_AUTO, TG_MAX_BITS,
					  AccessExclusiveLock);
	add_int_reloption(option_kind, "dimensions",
					  "Dimensions of the column's vectors (0: those of the first row)",
					  0, 0, TG_MAX_DIMS, AccessExclusiveLock);
	add_int_reloption(option_kind, "ef_search",
					  "Size of the candidate pool of a search (0: by target_recall or togg.ef_search)",
					  0, 0, TG_MAX_EF_SEARCH, ShareUpdateExclusiveLock);
	add_real_reloption(option_kind, "target_recall",
					   "Share of the nearest rows that a search is to find (0: togg.target_recall)",
					   0.0, 0.0, TG_MAX_RECALL, ShareUpdateExclusiveLock);

	add_int_reloption(option_kind, "stage1_width",
					  "Candidates that the guided first stage expands (0: all of the pool, -1: togg.stage1_width)",
					  -1, -1, TG_MAX_EF_SEARCH, ShareUpdateExclusiveLock);
	add_int_reloption(option_kind, "pool_growth",
					  "How many times as large as ef_search the pool becomes where much is about as near",
					  TG_POOL_GROWTH, 1, TG_MAX_POOL_GROWTH,
					  ShareUpdateExclusiveLock);
	add_int_reloption(option_kind, "include_size",
					  "Bytes that a row keeps of INCLUDE columns whose types have no fixed length",
					  TG_DEFAULT_INCLUDE_SIZE, 0, TG_MAX_ROW_SIZE,
					  AccessExclusiveLock);

	DefineCustomIntVariable("togg.ef_search",
							"Size of the candidate pool of a search.",
							"A larger pool gives better recall and takes longer. "
							"It holds up to four times as many that are about as near, "
							"and grows by itself when more rows are read than it holds.",
							&tg_ef_search,
							TG_DEFAULT_EF_SEARCH, 1, TG_MAX_EF_SEARCH,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("togg.target_recall",
							 "Share of the nearest rows that a search is to find.",
							 "The pool is as large as the index has learnt that it must be; "
							 "0 stands for as large as togg.ef_search.",
							 &tg_target_recall,
							 0.0, 0.0, TG_MAX_RECALL,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("togg.routing",
							 "How searches route through the graph.",
							 "two_stage: guided far from the query, greedy near it; "
							 "guided: the first stage alone; greedy: the second alone.",
							 &tg_routing,
							 TG_ROUTING_TWO_STAGE, routing_values,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("togg.stage1_width",
							"Candidates that the guided first stage expands.",
							"Two-stage routing goes over to its second stage when as many of the "
							"best candidates are expanded; 0 stands for all of the pool.",
							&tg_stage1_width,
							TG_DEFAULT_STAGE1_WIDTH, 0, TG_MAX_EF_SEARCH,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("togg.clustering_workers",
							 "Lets inserts start background workers that cluster neighbour lists.",
							 "At most one for each index, when so many rows were inserted that it pays.",
							 &tg_clustering_workers,
							 true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("togg.simd",
							   "Instruction set of the distance kernels.",
							   "auto, or one of avx512, avx2, neon, scalar. "
							   "Meant for tests.",
							   &simd_setting,
							   "auto",
							   PGC_SUSET, 0,
							   check_simd, assign_simd, NULL);
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("togg");
#endif
}

bytea *
tg_amoptions(Datum reloptions, bool validate)
{
	static const relopt_parse_elt tab[] = {
		{"m", RELOPT_TYPE_INT, offsetof(TgOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT, offsetof(TgOptions, ef_construction)},
		{"graph", RELOPT_TYPE_ENUM, offsetof(TgOptions, graph)},
		{"guide", RELOPT_TYPE_ENUM, offsetof(TgOptions, guide)},
		{"clusters", RELOPT_TYPE_INT, offsetof(TgOptions, clusters)},
		{"kdtree_interval", RELOPT_TYPE_REAL, offsetof(TgOptions, kdtree_interval)},
		{"bits", RELOPT_TYPE_INT, offsetof(TgOptions, bits)},
		{"dimensions", RELOPT_TYPE_INT, offsetof(TgOptions, dimensions)},
		{"ef_search", RELOPT_TYPE_INT, offsetof(TgOptions, ef_search)},
		{"target_recall", RELOPT_TYPE_REAL, offsetof(TgOptions, target_recall)},
		{"stage1_width", RELOPT_TYPE_INT, offsetof(TgOptions, stage1_width)},
		{"pool_growth", RELOPT_TYPE_INT, offsetof(TgOptions, pool_growth)},
		{"include_size", RELOPT_TYPE_INT, offsetof(TgOptions, include_size)},
	};

	return (bytea *) build_reloptions(reloptions, validate, option_kind,
									  sizeof(TgOptions), tab, lengthof(tab));
}

TgOptions
tg_options_get(Relation index)
{
	TgOptions	options = {0};

	if (index->rd_options)
		return *(TgOptions *) index->rd_options;
	options.m = TG_DEFAULT_M;
	options.ef_construction = TG_DEFAULT_EF_CONSTRUCTION;
	options.graph = TG_GRAPH_NSG;
	options.guide = TG_GUIDE_KMEANS;
	options.clusters = TG_DEFAULT_CLUSTERS;
	options.kdtree_interval = TG_DEFAULT_KDTREE_INTERVAL;
	options.bits = TG_BITS_AUTO;
	options.stage1_width = -1;
	options.pool_growth = TG_POOL_GROWTH;
	options.include_size = TG_DEFAULT_INCLUDE_SIZE;
	return options;
}

const TgOpclass *
tg_opclass_get(Relation index)
{
	FmgrInfo   *support = index_getprocinfo(index, 1, 1);

	return (const TgOpclass *)
		DatumGetPointer(FunctionCall1(support, PointerGetDatum(NULL)));
}

TgMetaPage
tg_meta_initial(Relation index)
{
	TgOptions	options = tg_options_get(index);
	TgMetaPage	meta = {0};
	TgColumns	columns;

	tg_columns_init(&columns, index);
	meta.magic = TG_MAGIC;
	meta.version = TG_FORMAT_VERSION;
	meta.metric = tg_opclass_get(index)->metric;
	meta.degree = tg_degree_for_m(options.m);
	meta.graph = options.graph;
	meta.guide = options.guide;
	meta.clusters = options.clusters;
	meta.kdtree_interval = options.kdtree_interval;
	meta.ef_construction = options.ef_construction;
	meta.seed = 1;
	meta.root = TG_INVALID_VERTEX;
	for (int i = 0; i < TG_MAX_LAYERS - 1; i++)
		meta.upper_roots[i] = TG_INVALID_VERTEX;
	meta.unranked_free = TG_INVALID_VERTEX;
	for (int i = 0; i < TG_UNRANKED_KINDS; i++)
		meta.unranked[i] = TG_INVALID_VERTEX;
	if (columns.n > 1)
		meta.row_size = columns.row_size;
	return meta;
}

void
tg_meta_set_dims(TgMetaPage *meta, const TgOptions *options, int dims,
				 bool half_exact, bool half_in_range)
{
	int			inner_dims = tg_inner_dims(meta->metric, dims);
	TgLayout	as_half;
	TgLayout	as_float;

	meta->dims = dims;
	meta->bits = options->bits != TG_BITS_AUTO ? options->bits :
		dims <= TG_TWO_BIT_DIMS ? 2 : 1;

	/*
	 * Half floats that lose nothing are best.  Where they would lose digits,
	 * float32 saves the executor from computing distances again, if there is
	 * room for it on the page anyway or it costs little more.
	 */
	meta->storage = TG_STORAGE_FLOAT;
	tg_layout_init(&as_float, meta, inner_dims);
	meta->storage = TG_STORAGE_HALF;
	tg_layout_init(&as_half, meta, inner_dims);
	if (!half_in_range ||
		(!half_exact && tg_layout_bytes_per_vertex(&as_float) <=
		 FLOAT_WORTH * tg_layout_bytes_per_vertex(&as_half)))
		meta->storage = TG_STORAGE_FLOAT;
	meta->exact = half_exact || meta->storage == TG_STORAGE_FLOAT;
}

void
tg_check_dims(Relation index, int expected, int dims)
{
	if (dims != expected)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", expected, dims),
				 errdetail("Index \"%s\" is on vectors of %d dimensions.",
						   RelationGetRelationName(index), expected),
				 errhint("All vectors of an indexed column, and queries on it, must have the same number of dimensions.")));
}
