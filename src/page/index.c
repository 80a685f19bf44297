/*-------------------------------------------------------------------------
 *
 * index.c
 *	  The metapage, what follows from it, and what every page has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "page/page.h"

#include "utils/memutils.h"

void
tg_report_corruption(Relation index, BlockNumber block, const char *detail,...)
{
	char		text[256];
	va_list		args;

	va_start(args, detail);
	vsnprintf(text, sizeof(text), detail, args);
	va_end(args);
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("index \"%s\" contains corrupted data at block %u",
					RelationGetRelationName(index), block),
			 errdetail_internal("%s", text),
			 errhint("Please REINDEX it.")));
}

void
tg_page_init(Page page, TgPageKind kind, int piece)
{
	TgPageOpaque *opaque;

	PageInit(page, BLCKSZ, sizeof(TgPageOpaque));
	opaque = TgPageGetOpaque(page);
	opaque->kind = kind;
	opaque->piece = piece;
	opaque->page_id = TG_PAGE_ID;
}

bool
tg_page_is(Page page, TgPageKind kind)
{
	const PageHeaderData *header = (PageHeader) page;
	const TgPageOpaque *opaque;

	if (header->pd_special != BLCKSZ - MAXALIGN(sizeof(TgPageOpaque)))
		return false;
	opaque = (const TgPageOpaque *) ((char *) page + header->pd_special);
	return opaque->page_id == TG_PAGE_ID && opaque->kind == kind;
}

void
tg_page_check(Relation index, Buffer buffer, TgPageKind kind)
{
	Page		page = BufferGetPage(buffer);

	if (likely(tg_page_is(page, kind)))
		return;
	tg_report_corruption(index, BufferGetBlockNumber(buffer),
						 PageIsNew(page) ?
						 "The page is all zeros where one of kind %d is expected." :
						 "The page is not one of kind %d.", kind);
}

BlockNumber
tg_slot_stripe(Relation index, const TgLayout *layout, TgVertexId id,
			   BlockNumber *nblocks)
{
	BlockNumber stripe = tg_id_stripe(layout, id);

	/* An id read from a damaged page may be anything. */
	if (unlikely((uint64) stripe + layout->stripe_pages > *nblocks))
	{
		/* An index does not shrink: what it was once known to be spares asking. */
		*nblocks = RelationGetSmgr(index)->smgr_cached_nblocks[MAIN_FORKNUM];
		if (*nblocks == InvalidBlockNumber ||
			(uint64) stripe + layout->stripe_pages > *nblocks)
			*nblocks = RelationGetNumberOfBlocks(index);
		if ((uint64) stripe + layout->stripe_pages > *nblocks)
			tg_report_corruption(index, stripe,
								 "There is a link to slot %u, but the index ends at block %u.",
								 id, *nblocks);
	}
	if (unlikely(stripe == TG_METAPAGE_BLKNO))
		tg_report_corruption(index, stripe, "There is a link to slot %u.", id);
	return stripe;
}

void
tg_meta_check(Relation index, const TgMetaPage *meta)
{
	if (meta->magic != TG_MAGIC)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" is not a togg index",
						RelationGetRelationName(index)),
				 errdetail("The metapage begins with %08X instead of %08X.",
						   meta->magic, TG_MAGIC),
				 errhint("Please REINDEX it.")));
	if (meta->version != TG_FORMAT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("index \"%s\" has a format this version of togg does not know",
						RelationGetRelationName(index)),
				 errdetail("The index has format version %u, this is version %d.",
						   meta->version, TG_FORMAT_VERSION),
				 errhint("Please REINDEX it.")));
	if (meta->degree == 0 || meta->degree > TG_MAX_DEGREE ||
		meta->degree % TG_BLOCK_LANES != 0 ||
		meta->clusters < 1 || meta->clusters > TG_MAX_CLUSTERS ||
		meta->ef_construction < 1 ||
		meta->ef_construction > TG_MAX_EF_CONSTRUCTION ||
		meta->metric < TG_METRIC_L2 || meta->metric > TG_METRIC_L1 ||
		meta->graph > TG_GRAPH_HNSW || meta->guide > TG_GUIDE_NONE ||
		!(meta->kdtree_interval > 0) ||
		tg_row_size(meta) < sizeof(ItemPointerData) ||
		tg_row_size(meta) > TG_MAX_ROW_SIZE || meta->row_size % 2 != 0 ||
		meta->dims > TG_MAX_DIMS ||
		(meta->dims > 0 &&
		 (meta->bits > TG_MAX_BITS ||
		  meta->storage < TG_STORAGE_FLOAT ||
		  meta->storage > TG_STORAGE_HALF ||
		  !(meta->sphere >= 0))))
		tg_report_corruption(index, TG_METAPAGE_BLKNO,
							 "The metapage says: metric %u, %u dimensions, storage %u, %u bits, degree %u, graph %u, guide %u, %u clusters, ef_construction %u.",
							 meta->metric, meta->dims, meta->storage,
							 meta->bits, meta->degree, meta->graph,
							 meta->guide, meta->clusters,
							 meta->ef_construction);

	/* To read block P_NEW would make the index longer. */
	if (meta->sketches + INDEX_MAX_KEYS * ((uint64) meta->sketch_pages + 1) >
		MaxBlockNumber)
		tg_report_corruption(index, TG_METAPAGE_BLKNO,
							 "The metapage says that sketches begin at block %u and take %u pages for each column.",
							 meta->sketches, meta->sketch_pages);
}

TgMetaPage
tg_meta_read(Relation index)
{
	Buffer		buffer = ReadBuffer(index, TG_METAPAGE_BLKNO);
	TgMetaPage	meta;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	tg_page_check(index, buffer, TG_PAGE_META);
	meta = *TgPageGetMeta(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	tg_meta_check(index, &meta);
	return meta;
}

/*
 * The parts of a TgIndex that have no fixed size follow it in one chunk, as
 * rd_amcache wants.
 */
static Size
index_size(int inner_dims)
{
	return MAXALIGN(sizeof(TgIndex)) + tg_rotation_signs_size(inner_dims) +
		2 * sizeof(float) * inner_dims;
}

static void
index_set_pointers(TgIndex *info, int inner_dims)
{
	char	   *rest = (char *) info + MAXALIGN(sizeof(TgIndex));

	info->rotation.signs = (uint32 *) rest;
	info->root_inner = (float *) (rest + tg_rotation_signs_size(inner_dims));
	info->root_rotated = info->root_inner + inner_dims;
}

TgIndex *
tg_index_create(const TgMetaPage *meta)
{
	int			inner_dims = tg_inner_dims(meta->metric, meta->dims);
	TgIndex    *info = palloc0(index_size(inner_dims));

	info->meta = *meta;
	index_set_pointers(info, inner_dims);
	tg_geometry_init(&info->geometry, meta->metric, meta->dims,
					 meta->sphere, meta->longest);
	tg_layout_init(&info->layout, meta, inner_dims);
	tg_rotation_init(&info->rotation, inner_dims, meta->seed,
					 info->rotation.signs);
	return info;
}

static TgIndex *
index_copy(const TgIndex *source, MemoryContext context)
{
	Size		size = index_size(source->geometry.inner_dims);
	TgIndex    *copy = MemoryContextAlloc(context, size);

	memcpy(copy, source, size);
	index_set_pointers(copy, source->geometry.inner_dims);
	return copy;
}

TgIndex *
tg_index_copy(const TgIndex *source)
{
	return index_copy(source, CurrentMemoryContext);
}

void
tg_index_set_root(TgIndex *info, const void *bytes, float norm2)
{
	float	   *values = palloc(sizeof(float) * info->geometry.dims);

	tg_unstore(&info->geometry, info->layout.storage, bytes, values);
	tg_embed(&info->geometry, values, norm2, info->root_inner);
	tg_rotate(&info->rotation, info->root_inner, info->root_rotated);
	pfree(values);
}

TgVertexId
tg_index_root(const TgIndex *info, int layer)
{
	return layer == 0 ? info->meta.root : info->meta.upper_roots[layer - 1];
}

int
tg_index_layers(const TgIndex *info)
{
	return info->meta.graph == TG_GRAPH_HNSW ? TG_MAX_LAYERS : 1;
}

/*
 * Set the root's vectors from its slot, and see that each layer has its root.
 */
static void
index_load_root(TgIndex *info, Relation index)
{
	TgReader	reader;

	tg_reader_init(&reader, index, &info->layout);
	for (int layer = 0; layer < tg_index_layers(info); layer++)
	{
		TgVertexId	root = tg_index_root(info, layer);
		const TgSlotHeader *header = tg_reader_open_slot(&reader, root);

		if (header->kind != TG_SLOT_VERTEX || header->layer != layer ||
			!(header->flags & TG_VERTEX_ROOT))
			tg_report_corruption(index, tg_id_stripe(&info->layout, root),
								 "Slot %u is not the root of layer %d.",
								 root, layer);
		if (layer == 0)
			tg_index_set_root(info, tg_reader_vector(&reader, root),
							  header->norm2);
		reader.graph.close(&reader.graph);
	}
	tg_reader_free(&reader);
}

void
tg_index_forget(Relation index)
{
	if (index->rd_amcache)
		pfree(index->rd_amcache);
	index->rd_amcache = NULL;
}

const TgIndex *
tg_index_get(Relation index)
{
	TgMetaPage	meta;
	TgIndex    *info;

	if (index->rd_amcache)
		return index->rd_amcache;

	meta = tg_meta_read(index);
	if (meta.dims == 0 || meta.root == TG_INVALID_VERTEX)
	{
		info = palloc0(index_size(0));
		info->meta = meta;
		info->meta.dims = 0;
		return info;
	}

	/* Loaded apart first: an error must not leave half of it in the cache. */
	info = tg_index_create(&meta);
	index_load_root(info, index);
	index->rd_amcache = index_copy(info, index->rd_indexcxt);
	pfree(info);
	return index->rd_amcache;
}
