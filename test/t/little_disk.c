/*-------------------------------------------------------------------------
 *
 * little_disk.c
 *	  A file system with as many blocks of BLCKSZ available as the setting
 *	  disk.available says, for 030_disk.pl; one that does not tell, if that is
 *	  not set.
 *
 * Linked into a togg.so of its own, with --wrap for statvfs().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "utils/guc.h"

extern int	__real_statvfs(const char *path, struct statvfs *system);
extern int	__wrap_statvfs(const char *path, struct statvfs *system);

int
__wrap_statvfs(const char *path, struct statvfs *system)
{
	const char *available = GetConfigOption("disk.available", true, false);

	if (available == NULL || __real_statvfs(path, system) != 0)
		return -1;
	system->f_bavail = atoll(available);
	system->f_frsize = BLCKSZ;

	/* What is for root, and what is not the unit. */
	system->f_bfree = system->f_bavail + 1000000;
	system->f_bsize = 16 * BLCKSZ;
	return 0;
}
