/*-------------------------------------------------------------------------
 *
 * util.c
 *	  Errors, memory, order and the clock of the benchmark program.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

void
die(const char *format,...)
{
	va_list		args;

	fflush(stdout);
	fputs("bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void
note(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void *
allocate(size_t count, size_t size)
{
	void	   *memory = calloc(Max(count, 1), size);

	if (memory == NULL)
		die("out of memory: %zu items of %zu bytes", count, size);
	return memory;
}

char *
format_string(const char *format,...)
{
	va_list		args;
	char	   *string;

	va_start(args, format);
	if (vasprintf(&string, format, args) < 0)
		die("out of memory");
	va_end(args);
	return string;
}

double
now_seconds(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		die("could not read the clock");
	return now.tv_sec + now.tv_nsec * 1e-9;
}

int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}
