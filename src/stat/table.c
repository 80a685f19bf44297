/*-------------------------------------------------------------------------
 *
 * table.c
 *	  Counts of all indexes of the cluster, in shared memory.
 *
 *	+-----------+------+-------------------+-----------------------------+
 *	| partition | lock | keys[128]         | entries[128]                |
 *	+-----------+------+-------------------+-----------------------------+
 *	| 15 more                                                            |
 *	+--------------------------------------------------------------------+
 *
 * An index is in the partition that its key hashes to, at any place: keys are
 * 8 bytes, and are looked through one after the other.  Where a partition is
 * full, what was unused for longest makes room.  So the table has one size, and
 * nobody has to be told that an index or a database was dropped: views do not
 * look for it, and its entry is the first to go.
 *
 * PostgreSQL 17 and later make this memory when it is asked for.  Before, it can
 * only be had by a library in shared_preload_libraries.  A restart begins anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "stat/stat.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 170000
#include "storage/dsm_registry.h"
#endif

#define TABLE_NAME		"togg_stat"

#define PARTITIONS		16
#define PARTITION_SIZE	128

typedef struct Entry
{
	TgStat		stat;
	TimestampTz used;			/* when something was added last */
} Entry;

typedef struct Partition
{
	LWLock		lock;			/* of all that follows */
	TimestampTz since;			/* who is not here has counts of 0 since then */
	int			n;
	uint64		keys[PARTITION_SIZE];
	Entry		entries[PARTITION_SIZE];
} Partition;

typedef struct Table
{
	int			tranche;
	Partition	partitions[PARTITIONS];
} Table;

static Table *table = NULL;

/* ---------- getting the memory ---------- */

static void
init_table(void *memory)
{
	Table	   *made = memory;

	memset(made, 0, sizeof(Table));
	made->tranche = LWLockNewTrancheId();
	for (int i = 0; i < PARTITIONS; i++)
	{
		LWLockInitialize(&made->partitions[i].lock, made->tranche);
		made->partitions[i].since = GetCurrentTimestamp();
	}
}

#if PG_VERSION_NUM >= 170000

void
tg_stat_table_init(void)
{
}

bool
tg_stat_table_attach(void)
{
	bool		found;

	if (likely(table != NULL))
		return true;
	if (!IsUnderPostmaster)
		return false;
	table = GetNamedDSMSegment(TABLE_NAME, sizeof(Table), init_table, &found);
	LWLockRegisterTranche(table->tranche, TABLE_NAME);
	return true;
}

#else							/* PG_VERSION_NUM < 170000 */

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Table)));
}

static void
find_memory(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	table = ShmemInitStruct(TABLE_NAME, sizeof(Table), &found);
	if (!found)
		init_table(table);
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(table->tranche, TABLE_NAME);
}

void
tg_stat_table_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = find_memory;
}

bool
tg_stat_table_attach(void)
{
	return table != NULL;
}

#endif							/* PG_VERSION_NUM */

/* ---------- entries ---------- */

static uint64
key_of(Oid index)
{
	return (uint64) MyDatabaseId << 32 | index;
}

static Partition *
partition_of(uint64 key)
{
	return &table->partitions[hash_bytes((unsigned char *) &key,
										sizeof(key)) % PARTITIONS];
}

/*
 * The entry of a key; NULL if there is none.
 */
static Entry *
find(Partition *partition, uint64 key)
{
	for (int i = 0; i < partition->n; i++)
		if (partition->keys[i] == key)
			return &partition->entries[i];
	return NULL;
}

/*
 * A place for a new entry: a free one, or that of the entry longest unused.
 */
static int
make_room(Partition *partition, TimestampTz now)
{
	int			oldest = 0;

	if (partition->n < PARTITION_SIZE)
		return partition->n++;
	for (int i = 1; i < PARTITION_SIZE; i++)
		if (partition->entries[i].used < partition->entries[oldest].used)
			oldest = i;
	partition->since = now;
	return oldest;
}

static Entry *
find_or_make(Partition *partition, uint64 key, TimestampTz now)
{
	Entry	   *entry = find(partition, key);
	int			place;

	if (entry)
		return entry;
	place = make_room(partition, now);
	partition->keys[place] = key;
	entry = &partition->entries[place];
	memset(entry, 0, sizeof(Entry));
	entry->stat.since = partition->since;
	return entry;
}

static void
add_counts(TgStatCounts *to, const TgStatCounts *counts)
{
	to->scans += counts->scans;
	to->rows += counts->rows;
	to->hops += counts->hops;
	to->pages += counts->pages;
	to->distances += counts->distances;
	to->widenings += counts->widenings;
	to->sweeps += counts->sweeps;
	to->worker_runs += counts->worker_runs;
}

bool
tg_stat_table_add(Oid index, const TgStatCounts *counts,
				  const TgStatSample *sample, bool wait)
{
	uint64		key = key_of(index);
	Partition  *partition = partition_of(key);
	TimestampTz now = GetCurrentTimestamp();
	Entry	   *entry;

	if (wait)
		LWLockAcquire(&partition->lock, LW_EXCLUSIVE);
	else if (!LWLockConditionalAcquire(&partition->lock, LW_EXCLUSIVE))
		return false;
	entry = find_or_make(partition, key, now);
	add_counts(&entry->stat.counts, counts);
	if (sample->taken != 0)
		entry->stat.sample = *sample;
	entry->used = now;
	LWLockRelease(&partition->lock);
	return true;
}

TgStat
tg_stat_table_get(Oid index)
{
	uint64		key = key_of(index);
	Partition  *partition = partition_of(key);
	const Entry *entry;
	TgStat		stat = {0};

	LWLockAcquire(&partition->lock, LW_SHARED);
	entry = find(partition, key);
	if (entry)
		stat = entry->stat;
	else
		stat.since = partition->since;
	LWLockRelease(&partition->lock);
	return stat;
}

static void
reset_partition(Partition *partition, Oid index)
{
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(&partition->lock, LW_EXCLUSIVE);
	for (int i = 0; i < partition->n; i++)
	{
		bool		is_meant = OidIsValid(index) ?
			partition->keys[i] == key_of(index) :
			partition->keys[i] >> 32 == MyDatabaseId;

		if (is_meant)
		{
			memset(&partition->entries[i].stat, 0, sizeof(TgStat));
			partition->entries[i].stat.since = now;
		}
	}
	LWLockRelease(&partition->lock);
}

void
tg_stat_table_reset(Oid index)
{
	if (OidIsValid(index))
		reset_partition(partition_of(key_of(index)), index);
	else
		for (int i = 0; i < PARTITIONS; i++)
			reset_partition(&table->partitions[i], index);
}
