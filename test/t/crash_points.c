/*-------------------------------------------------------------------------
 *
 * crash_points.c
 *	  Crashes at chosen points, for 011_crash_points.pl.
 *
 * Linked into a togg.so of its own, with --wrap for the functions below.  Each
 * WAL record of the index that a session writes, each vertex that a build writes,
 * and both ends of logging it, are points.  After the one whose number is in the
 * setting crash.after (counted from when it is first set), everything logged so
 * far is flushed, so that recovery gets to see just that, crash.wait milliseconds
 * are let pass, and the backend is killed; and the postmaster before it, if
 * crash.server is on.  Instead, the file named by crash.count may be told the
 * number of points passed so far.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "access/generic_xlog.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "page/page.h"

extern XLogRecPtr __real_GenericXLogFinish(GenericXLogState *state);
extern XLogRecPtr __wrap_GenericXLogFinish(GenericXLogState *state);
extern XLogRecPtr __real_XLogInsert(RmgrId rmid, uint8 info);
extern XLogRecPtr __wrap_XLogInsert(RmgrId rmid, uint8 info);
extern void __real_log_newpage_range(Relation rel, ForkNumber fork,
									 BlockNumber start, BlockNumber end,
									 bool page_std);
extern void __wrap_log_newpage_range(Relation rel, ForkNumber fork,
									 BlockNumber start, BlockNumber end,
									 bool page_std);
extern void __real_tg_bulk_put(TgBulk *bulk, uint64 slot, const char *list,
							   const char *vector);
extern void __wrap_tg_bulk_put(TgBulk *bulk, uint64 slot, const char *list,
							   const char *vector);

static void
count_point(const char *path, int passed)
{
	FILE	   *file = fopen(path, "w");

	if (file == NULL || fprintf(file, "%d\n", passed) < 0 || fclose(file) != 0)
		elog(PANIC, "could not write to \"%s\": %m", path);
}

static void
pass_point(void)
{
	static int	passed = 0;
	const char *count = GetConfigOption("crash.count", true, false);
	const char *after = GetConfigOption("crash.after", true, false);
	const char *wait = GetConfigOption("crash.wait", true, false);
	const char *server = GetConfigOption("crash.server", true, false);

	if (count == NULL && after == NULL)
		return;
	passed++;
	if (count)
		count_point(count, passed);
	if (after == NULL || passed < atoi(after))
		return;
	if (!XLogRecPtrIsInvalid(XactLastRecEnd))
		XLogFlush(XactLastRecEnd);
	if (wait)
		pg_usleep(atoi(wait) * 1000L);
	if (server && strcmp(server, "on") == 0)
		kill(PostmasterPid, SIGKILL);
	kill(MyProcPid, SIGKILL);
}

XLogRecPtr
__wrap_GenericXLogFinish(GenericXLogState *state)
{
	XLogRecPtr	end = __real_GenericXLogFinish(state);

	pass_point();
	return end;
}

XLogRecPtr
__wrap_XLogInsert(RmgrId rmid, uint8 info)
{
	XLogRecPtr	end = __real_XLogInsert(rmid, info);

	pass_point();
	return end;
}

void
__wrap_log_newpage_range(Relation rel, ForkNumber fork, BlockNumber start,
						 BlockNumber end, bool page_std)
{
	pass_point();
	__real_log_newpage_range(rel, fork, start, end, page_std);
	pass_point();
}

void
__wrap_tg_bulk_put(TgBulk *bulk, uint64 slot, const char *list,
				   const char *vector)
{
	__real_tg_bulk_put(bulk, slot, list, vector);
	pass_point();
}
