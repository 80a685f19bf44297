/*-------------------------------------------------------------------------
 *
 * patch.c
 *	  Replacing bytes of pages, WAL-logged.
 *
 * A record of ours is one of generic WAL: redo is the server's.  But generic
 * WAL's own way to make one copies each page and then compares all of it, byte
 * by byte, to find what has changed; an insert changes seventeen pages, and
 * spent a third of its time there.  Here the caller says where a page may have
 * changed, and nothing else is looked at.
 *
 * What a record says of a page is a row of fragments, each of an offset, a
 * length, and so many bytes: see generic_redo() in access/transam/generic_xlog.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "page/page.h"

#include "access/xloginsert.h"
#include "miscadmin.h"

/* Head of a fragment. */
typedef struct Fragment
{
	OffsetNumber offset;		/* in the page */
	OffsetNumber length;
} Fragment;

/*
 * The most that a patch of so many bytes takes: fragments are apart by more
 * than the size of a head.  One more is for pd_lower.
 */
#define DELTA_SIZE(size)	((size) + 2 * sizeof(Fragment) + sizeof(LocationIndex))

/*
 * The index whose changes are not logged one by one, because the build that is
 * under way logs all of its pages at the end.
 */
static Oid	unlogged = InvalidOid;

void
tg_log_suspend(Relation index)
{
	unlogged = RelationGetRelid(index);
}

void
tg_log_resume(void)
{
	unlogged = InvalidOid;
}

bool
tg_is_logged(Relation index)
{
	return RelationNeedsWAL(index) && RelationGetRelid(index) != unlogged;
}

/*
 * GenericXLogStart(), or the same without a record.  All that it wants to know
 * of a relation is whether it is logged.
 */
GenericXLogState *
tg_generic_start(Relation index)
{
	RelationData mute;
	FormData_pg_class form;

	if (likely(RelationGetRelid(index) != unlogged))
		return GenericXLogStart(index);
	mute = *index;
	form = *index->rd_rel;
	form.relpersistence = RELPERSISTENCE_UNLOGGED;
	mute.rd_rel = &form;
	return GenericXLogStart(&mute);
}

void
tg_put_bytes(Page page, int offset, const char *bytes, int size)
{
	PageHeader	header = (PageHeader) page;

	memcpy((char *) page + offset, bytes, size);
	if (header->pd_lower < offset + size)
		header->pd_lower = offset + size;
}

static char *
put_fragment(char *delta, int offset, const char *bytes, int length)
{
	Fragment	head = {offset, length};

	memcpy(delta, &head, sizeof(head));
	memcpy(delta + sizeof(head), bytes, length);
	return delta + sizeof(head) + length;
}

/*
 * Where two strings differ for the first time, from a place on.
 */
static inline int
next_difference(const char *a, const char *b, int at, int size)
{
	for (; at + (int) sizeof(uint64) <= size; at += sizeof(uint64))
	{
		uint64		x;
		uint64		y;

		memcpy(&x, a + at, sizeof(x));
		memcpy(&y, b + at, sizeof(y));
		if (x != y)
			break;
	}
	while (at < size && a[at] == b[at])
		at++;
	return at;
}

/*
 * What a patch changes in its page, as fragments; returns their end.
 */
static char *
put_delta(char *delta, const TgPatch *patch)
{
	const char *page = (const char *) BufferGetPage(patch->buffer);
	const char *old = page + patch->offset;
	const char *new = patch->bytes;
	LocationIndex end = patch->offset + patch->size;
	int			start = next_difference(old, new, 0, patch->size);

	if (((const PageHeaderData *) page)->pd_lower < end)
		delta = put_fragment(delta, offsetof(PageHeaderData, pd_lower),
							 (const char *) &end, sizeof(end));
	while (start < patch->size)
	{
		int			past = start + 1;
		int			next;

		/* What is the same goes along where a new head would be no shorter. */
		while ((next = next_difference(old, new, past, patch->size)) <
			   patch->size && next - past <= (int) sizeof(Fragment))
			past = next + 1;
		delta = put_fragment(delta, patch->offset + start, new + start,
							 past - start);
		start = next;
	}
	return delta;
}

void
tg_patch_pages(Relation index, const TgPatch *patches, int n)
{
	bool		logged = tg_is_logged(index);
	char	   *deltas[TG_MAX_PATCHES + 1] = {NULL};

	Assert(n > 0 && n <= TG_MAX_PATCHES);

	if (logged)
	{
		Size		size = 0;

		for (int i = 0; i < n; i++)
			size += DELTA_SIZE(patches[i].size);
		deltas[0] = palloc(size);
		for (int i = 0; i < n; i++)
			deltas[i + 1] = put_delta(deltas[i], &patches[i]);
	}

	START_CRIT_SECTION();
	for (int i = 0; i < n; i++)
	{
		tg_put_bytes(BufferGetPage(patches[i].buffer), patches[i].offset,
					 patches[i].bytes, patches[i].size);
		MarkBufferDirty(patches[i].buffer);
	}
	if (logged)
	{
		XLogRecPtr	end;

		XLogBeginInsert();
		for (int i = 0; i < n; i++)
		{
			XLogRegisterBuffer(i, patches[i].buffer, REGBUF_STANDARD);
			XLogRegisterBufData(i, deltas[i], deltas[i + 1] - deltas[i]);
		}
		end = XLogInsert(RM_GENERIC_ID, 0);
		for (int i = 0; i < n; i++)
			PageSetLSN(BufferGetPage(patches[i].buffer), end);
	}
	END_CRIT_SECTION();
	if (logged)
		pfree(deltas[0]);
}
