/*-------------------------------------------------------------------------
 *
 * shim.h
 *	  The few things that src/graph, src/code and src/kernel need from
 *	  their surroundings.
 *
 * Inside the server these are PostgreSQL's own types and memory contexts.
 * With TOGG_STANDALONE defined the same sources compile without a server,
 * which is how test/unit links them (under ASan, UBSan and TSan).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_SHIM_H
#define TOGG_SHIM_H

#ifndef TOGG_STANDALONE

#include "postgres.h"

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"

/* Zeroed memory of any size, from the current memory context. */
#define tg_alloc(size) \
	MemoryContextAllocExtended(CurrentMemoryContext, (size), \
							   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO)
/* The same, in the memory context that holds ptr. */
#define tg_alloc_beside(ptr, size) \
	MemoryContextAllocExtended(GetMemoryChunkContext(ptr), (size), \
							   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO)
/* Grow a tg_alloc'd area; the new part is not zeroed. */
#define tg_realloc(ptr, size)	repalloc_huge((ptr), (size))
#define tg_free(ptr)			pfree(ptr)
#define tg_check_interrupts()	CHECK_FOR_INTERRUPTS()

/* A lock among the processes of a build; initialized by who makes it. */
typedef LWLock TgLock;

#define tg_lock(lock)			((void) LWLockAcquire((lock), LW_EXCLUSIVE))
#define tg_unlock(lock)			LWLockRelease(lock)

#else							/* TOGG_STANDALONE */

#include <assert.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t uint8;
typedef uint16_t uint16;
typedef uint32_t uint32;
typedef uint64_t uint64;
typedef int8_t int8;
typedef int16_t int16;
typedef int32_t int32;
typedef int64_t int64;
typedef size_t Size;

#define Assert(condition)		assert(condition)
#define Min(x, y)				((x) < (y) ? (x) : (y))
#define Max(x, y)				((x) > (y) ? (x) : (y))
#define lengthof(array)			(sizeof(array) / sizeof((array)[0]))
#define pg_attribute_unused()	__attribute__((unused))
#define likely(x)				__builtin_expect((x) != 0, 1)
#define unlikely(x)				__builtin_expect((x) != 0, 0)
#define FLEXIBLE_ARRAY_MEMBER

static inline void *
tg_alloc(Size size)
{
	void	   *ptr = calloc(1, size > 0 ? size : 1);

	if (ptr == NULL)
		abort();
	return ptr;
}

static inline void *
tg_realloc(void *ptr, Size size)
{
	ptr = realloc(ptr, size);
	if (ptr == NULL)
		abort();
	return ptr;
}

#define tg_alloc_beside(ptr, size)	tg_alloc(size)
#define tg_free(ptr)			free(ptr)
#define tg_check_interrupts()	((void) 0)

/* The same among threads. */
typedef pthread_mutex_t TgLock;

#define tg_lock(lock)			((void) pthread_mutex_lock(lock))
#define tg_unlock(lock)			((void) pthread_mutex_unlock(lock))

#endif							/* TOGG_STANDALONE */

/*
 * Numbers that several processes read and write.  On most processors a load or
 * store of these is one like any other.
 */
static inline uint32
tg_fetch_add_u32(uint32 *number, uint32 add)
{
	return __atomic_fetch_add(number, add, __ATOMIC_RELAXED);
}

static inline uint32
tg_load_u32(const uint32 *number)
{
	return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static inline void
tg_store_u32(uint32 *number, uint32 value)
{
	__atomic_store_n(number, value, __ATOMIC_RELAXED);
}

/* Who reads what was stored here sees all that was written before. */
static inline uint16
tg_load_acquire_u16(const uint16 *number)
{
	return __atomic_load_n(number, __ATOMIC_ACQUIRE);
}

static inline void
tg_store_release_u16(uint16 *number, uint16 value)
{
	__atomic_store_n(number, value, __ATOMIC_RELEASE);
}

#endif							/* TOGG_SHIM_H */
