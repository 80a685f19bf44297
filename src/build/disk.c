/*-------------------------------------------------------------------------
 *
 * disk.c
 *	  Whether there is room on disk for the index, before it is built.
 *
 * What a file system says is free is not what can be written: quotas and thin
 * volumes allow less, one that compresses more, and others write meanwhile.  So
 * this warns and lets the build go on; if there is no room indeed, it ends with
 * the error of whoever extends a file, and leaves nothing behind.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "build/build.h"

#include <sys/statvfs.h>

#include "common/relpath.h"
#include "miscadmin.h"

#define MEGABYTE	((uint64) 1024 * 1024)

/*
 * Bytes of the index's pages.  Rows that do not fit in memory, and are inserted
 * later, are not among them, nor are sketches.
 */
static uint64
least_size(const TgBuild *build)
{
	const TgLayout *layout = &build->info->layout;
	uint64		stripes = (build->shared->nslots + layout->stripe_slots - 1) /
		layout->stripe_slots;

	return (1 + stripes * layout->stripe_pages) * BLCKSZ;
}

void
tg_build_check_disk(const TgBuild *build)
{
	Oid			tablespace = build->index->rd_rel->reltablespace;
	uint64		needed = least_size(build);
	uint64		available;
	char	   *directory;
	struct statvfs system;

	directory = GetDatabasePath(MyDatabaseId,
								OidIsValid(tablespace) ? tablespace :
								MyDatabaseTableSpace);

	/* A system that does not tell gives no reason to warn. */
	available = statvfs(directory, &system) == 0 ?
		(uint64) system.f_bavail * system.f_frsize : PG_UINT64_MAX;
	if (available < needed)
		ereport(WARNING,
				(errmsg("there may be no room on disk for index \"%s\"",
						RelationGetRelationName(build->index)),
				 errdetail("It will take at least %llu MB; the file system of \"%s\" has %llu MB available.",
						   (unsigned long long) ((needed + MEGABYTE - 1) / MEGABYTE),
						   directory,
						   (unsigned long long) (available / MEGABYTE)),
				 errhint("Make room, or cancel and use another tablespace.")));
	pfree(directory);
}
