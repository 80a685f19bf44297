/*-------------------------------------------------------------------------
 *
 * layout.h
 *	  The bytes of an index on disk: the only code that knows offsets.
 *
 * Every page begins with PostgreSQL's page header and ends with a
 * TgPageOpaque; what is between is the page's content.  pd_lower is past the
 * last slot ever used, so that WAL keeps the content and skips the rest.
 *
 *	block 0		metapage (TgMetaPage)
 *	the rest	stripes, each of stripe_pages consecutive blocks that hold
 *				stripe_slots slots; between them single pages of TG_PAGE_TIDS
 *
 * A slot's number is id = first block of its stripe * stripe_slots + place in
 * the stripe, so that an id leads to its bytes by arithmetic alone.  (Blocks
 * that do not begin a stripe leave their numbers unused; 32 bits reach at
 * least 2 TB.)  A slot is in two parts, each either several to a page or
 * several pages long:
 *
 *		list part			header, blocks of neighbours, [vector], rows (heap
 *							TIDs, and what the index keeps beside each); where
 *							it spans pages, rows follow the header, so that one
 *							WAL record covers both
 *		vector part			the vector, where that fits pages better
 *
 *	 one page, list parts of 128 dimensions (2 bits, degree 32):
 *
 *	+--------+--------------------------------------------------+--------+
 *	| header | slot 0                                           |        |
 *	|  24 B  | TgSlotHeader | block 0 .. | vector | heap TIDs    |        |
 *	|        +--------------------------------------------------+ opaque |
 *	|        | slot 1                                           |  8 B   |
 *	|        +--------------------------------------------------+        |
 *	|        | ...                                              |        |
 *	+--------+--------------------------------------------------+--------+
 *
 *	 one block of neighbours (with 0 bits: ids and stale alone):
 *
 *	+-------------------------------+-------+-------+---------+-------+
 *	| codes, bit plane by bit plane | a[32] | f[32] | ids[32] | stale |
 *	| 16 bytes per 4 dimensions     | float | float | uint32  | mask  |
 *	+-------------------------------+-------+-------+---------+-------+
 *
 * A part longer than a page is cut into pieces of TG_PAGE_CONTENT bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_LAYOUT_H
#define TOGG_LAYOUT_H

#include "postgres.h"

#include "access/transam.h"
#include "storage/bufpage.h"
#include "storage/itemptr.h"

#include "graph/search.h"
#include "tune/curve.h"
#include "type/type.h"

#define TG_METAPAGE_BLKNO	0
#define TG_MAGIC			0x7067676F	/* "oggp" */
#define TG_FORMAT_VERSION	1

/* Last thing on every page. */
typedef struct TgPageOpaque
{
	uint16		kind;			/* TgPageKind */
	uint16		piece;			/* which block of its stripe this is */
	uint16		unused;
	uint16		page_id;		/* TG_PAGE_ID: for pg_filedump and friends */
} TgPageOpaque;

#define TG_PAGE_ID			0xFF94

typedef enum TgPageKind
{
	TG_PAGE_META = 1,
	TG_PAGE_LIST = 2,			/* list parts */
	TG_PAGE_VECTOR = 3,			/* vector parts */
	TG_PAGE_TIDS = 4,			/* one TG_SLOT_TIDS slot of an unranked list */
	TG_PAGE_SKETCH = 5			/* what filter columns have: see sketch.h */
} TgPageKind;

#define TG_PAGE_CONTENT \
	(BLCKSZ - MAXALIGN(SizeOfPageHeaderData) - MAXALIGN(sizeof(TgPageOpaque)))

#define TgPageGetOpaque(page) \
	((TgPageOpaque *) PageGetSpecialPointer(page))

/* How an element of a stored vector is kept. */
typedef enum TgStorage
{
	TG_STORAGE_FLOAT = 1,		/* float32: exact */
	TG_STORAGE_HALF = 2			/* half precision, with a bound on its error */
} TgStorage;

/* Largest candidate pool of an insert: bounds what a metapage may ask for. */
#define TG_MAX_EF_CONSTRUCTION		10000

/* What the graph is, beside its lists: see src/README.md. */
typedef enum TgGraphKind
{
	TG_GRAPH_NSG = 0,			/* relaxed RNG rule, one navigating vertex */
	TG_GRAPH_NSSG = 1,			/* rule of 60 degrees */
	TG_GRAPH_HNSW = 2			/* relaxed RNG rule, layers */
} TgGraphKind;

/* Layers of an HNSW graph: of 1M vertices, 1 in 16^3 is on the uppermost. */
#define TG_MAX_LAYERS		4

/* What a slot holds. */
typedef enum TgSlotKind
{
	TG_SLOT_FREE = 0,
	TG_SLOT_VERTEX = 1,
	TG_SLOT_TIDS = 2			/* more rows of a vertex, or unranked ones */
} TgSlotKind;

/* ntids of a slot that VACUUM is about to unlink: looks full to all others. */
#define TG_TIDS_CLOSED			0xFFFF

/*
 * A row as a slot keeps it: its heap TID, then the values of the index's
 * further columns (src/am/columns.h), the same number of bytes in all rows of
 * an index.
 */
typedef struct TgRow
{
	ItemPointerData tid;
	char		values[FLEXIBLE_ARRAY_MEMBER];
} TgRow;

#define TG_MAX_ROW_SIZE			2048

/*
 * In the offset number of a heap TID: a scan found that no snapshot of the
 * primary will see the row.  Offset numbers leave the bit free.
 */
#define TG_TID_KILLED			0x8000

StaticAssertDecl(MaxOffsetNumber < TG_TID_KILLED,
				 "offset numbers must leave a bit of heap TIDs free");

#define TG_VERTEX_ROOT		0x01	/* where searches start; has no rows */
#define TG_VERTEX_DEAD		0x02	/* no rows left; still routes searches */

/*
 * Head of a slot's list part.
 *
 * A vertex whose rows are all gone is marked dead, with the newest transaction
 * ID of that moment in xid.  Who inserts has a transaction ID before it looks
 * for neighbours.  So once no transaction up to xid runs, nobody can be about
 * to link to the vertex, and VACUUM may unlink it and free the slot; the same
 * must be true again, of the moment it was freed, before it is reused.  Scans
 * may still hold the id then: they find a free slot, or a vertex that they
 * read as what it is now.
 *
 * A living vertex has the stamp of the moment it was written (0: by the build),
 * which tells VACUUM whether its inserter may still be linking it.
 */
typedef struct TgSlotHeader
{
	uint8		kind;			/* TgSlotKind */
	uint8		flags;
	uint16		degree;			/* neighbours in use */
	uint8		nclusters;		/* 0 or 1: the list is not divided */
	uint8		layer;			/* of a vertex; above 0 it has no rows */
	uint16		ntids;			/* rows in this slot */
	float		norm2;			/* squared norm of the stored vector */
	float		error;			/* bound on |stored - true vector|; of the root:
								 * see tg_linker_link_root() */
	TgVertexId	next;			/* slot with more rows, or invalid */
	union
	{
		TgVertexId	owner;		/* TG_SLOT_TIDS: whose rows these are */
		TgVertexId	below;		/* of an upper layer: the same, a layer down */
		float		split_at;	/* of layer 0, divided by a k-d split: where */
	};
	uint64		xid;			/* FullTransactionId, see above */
	TgDivision	division;
} TgSlotHeader;

/* The lists of rows that no distance can rank, heads in the metapage. */
typedef enum TgUnranked
{
	TG_UNRANKED_NAN = 0,		/* distance is NaN: sorts after all others */
	TG_UNRANKED_NULL = 1,		/* NULL vectors: sort last */
	TG_UNRANKED_KINDS = 2
} TgUnranked;

/* Slot numbers are below this: what is above has other meanings. */
#define TG_MAX_SLOT			((TgVertexId) 0xFFFFFF00)

/* Owner of the slots of an unranked list. */
#define TG_UNRANKED_OWNER(kind)		(TG_INVALID_VERTEX - 1 - (TgVertexId) (kind))

/*
 * The metapage.  Until the first vector tells the dimensions, dims is 0 and
 * only the unranked lists may have members.
 */
typedef struct TgMetaPage
{
	uint32		magic;
	uint32		version;
	uint32		dims;			/* of the column's vectors */
	uint16		metric;			/* TgMetric */
	uint16		storage;		/* TgStorage */
	uint16		degree;			/* neighbours of a vertex, at most */
	uint16		bits;			/* per dimension of a neighbour's code */
	uint16		clusters;		/* of a neighbour list */
	uint16		unused;
	uint32		ef_construction;
	float		sphere;			/* inner product: see type/metric.h */
	uint64		seed;			/* of the rotation */
	TgVertexId	root;

	/* First pages of the unranked lists, and of a list of free ones. */
	TgVertexId	unranked[TG_UNRANKED_KINDS];
	TgVertexId	unranked_free;

	uint16		graph;			/* TgGraphKind */
	uint16		guide;			/* TgGuide */
	float		kdtree_interval;
	TgVertexId	upper_roots[TG_MAX_LAYERS - 1]; /* HNSW: of layers 1 and up */

	/*
	 * What VACUUM could not finish is due once this stamp is past; 0: there is
	 * nothing.
	 */
	uint64		left;

	/* Clustering of lists that have changed: see src/worker/worker.h. */
	uint64		inserted;		/* vertices since the last run, about */
	uint64		clustered;		/* lists so far */
	int64		cluster_time;	/* TimestampTz of the last run's end; 0: never */
	int64		cluster_asked;	/* when a worker was last asked for */

	uint32		row_size;		/* bytes of a TgRow; 0: a heap TID alone */
	/* Calibration: see src/tune/calibrate.c. */
	TgCurve		curve;
	uint64		calibrated;		/* vertices there were */
	uint64		changed;		/* that came, died or had their lists
								 * clustered since, about */
	int64		calibrate_time; /* TimestampTz; 0: never */
	int32		calibrated_width;	/* the options in force then */
	int32		calibrated_growth;

	uint32		exact;			/* does its storage lose nothing, mostly? 1: yes */

	/* Sketches of filter columns: see sketch.h. */
	BlockNumber sketches;		/* first page; 0: there are none */
	uint32		sketch_pages;	/* of bytes, of each column */

	float		longest;		/* inner product; 0: by the sphere */
} TgMetaPage;

#define TgPageGetMeta(page)		((TgMetaPage *) PageGetContents(page))

/* One part of a slot: several to a page, or several pages long. */
typedef struct TgPart
{
	uint32		size;			/* bytes; 0 if there is no such part */
	uint16		per_page;		/* 0 if longer than a page */
	uint16		pages_each;		/* pages of one, if longer than a page */
	uint16		first_page;		/* of this kind of part in the stripe */
	uint16		npages;			/* of this kind of part in the stripe */
} TgPart;

/*
 * Where everything is, worked out from the metapage.
 */
typedef struct TgLayout
{
	TgPageKind	kind;			/* of the pages of list parts */
	int			dims;			/* of stored vectors */
	int			inner_dims;		/* of codes: see type/metric.h */
	int			degree;
	int			bits;			/* 0: no codes */
	TgGuide		guide;
	TgStorage	storage;
	TgBlockShape block;

	uint32		blocks_offset;	/* of the neighbours, in the list part */
	uint32		vector_size;	/* bytes of a stored vector */
	uint32		vector_offset;	/* in the list part, if it is there */
	bool		vector_inline;
	uint32		row_size;		/* bytes of a TgRow */
	uint32		tids_offset;	/* rows of a vertex, in the list part */
	int			vertex_tids;	/* room for so many */
	int			slot_tids;		/* room of a TG_SLOT_TIDS slot */

	TgPart		list;
	TgPart		vector;
	int			stripe_slots;
	int			stripe_pages;
} TgLayout;

/* A row and its next version, at least, fit beside the list. */
#define TG_MIN_VERTEX_TIDS	2

/* Work out the layout; all arguments are within their limits. */
extern void tg_layout_init(TgLayout *layout, const TgMetaPage *meta,
						   int inner_dims);

/*
 * Unranked lists must work before an index knows its dimensions: their slots
 * take a page each, whatever the layout of the vertices.
 */
extern void tg_layout_init_unranked(TgLayout *layout, uint32 row_size);

/* Bytes of a row in an index's slots. */
static inline uint32
tg_row_size(const TgMetaPage *meta)
{
	return meta->row_size > 0 ? meta->row_size : sizeof(ItemPointerData);
}

/* Index bytes that one vertex takes. */
extern double tg_layout_bytes_per_vertex(const TgLayout *layout);

/* Number, and place of the first, of the slots with their header on a page. */
extern int	tg_slots_on_piece(const TgLayout *layout, int piece, int *first);

/* Degree for the option m: 2m, in full blocks. */
extern int	tg_degree_for_m(int m);

/*
 * Where a slot's part begins: page of the stripe and offset within the page.
 */
static inline int
tg_part_page(const TgPart *part, int place)
{
	return part->first_page + (part->per_page > 0 ?
							   place / part->per_page :
							   place * part->pages_each);
}

static inline int
tg_part_offset(const TgPart *part, int place)
{
	return MAXALIGN(SizeOfPageHeaderData) +
		(part->per_page > 0 ? place % part->per_page * part->size : 0);
}

static inline BlockNumber
tg_id_stripe(const TgLayout *layout, TgVertexId id)
{
	return id / layout->stripe_slots;
}

static inline int
tg_id_place(const TgLayout *layout, TgVertexId id)
{
	return id % layout->stripe_slots;
}

static inline TgVertexId
tg_id_make(const TgLayout *layout, BlockNumber stripe, int place)
{
	return stripe * layout->stripe_slots + place;
}

#endif							/* TOGG_LAYOUT_H */
