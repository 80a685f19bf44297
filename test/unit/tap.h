/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  What a unit test needs to speak TAP, the protocol of prove.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TOGG_TAP_H
#define TOGG_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int	tap_tests = 0;
static int	tap_failures = 0;

/* Report one test, named by a printf format; returns whether it passed. */
static inline bool __attribute__((format(printf, 2, 3)))
ok(bool passed, const char *format,...)
{
	va_list		args;

	tap_tests++;
	if (!passed)
		tap_failures++;
	printf("%sok %d - ", passed ? "" : "not ", tap_tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return passed;
}

/* A remark for whoever reads the output of a failure. */
static inline void __attribute__((format(printf, 1, 2)))
diag(const char *format,...)
{
	va_list		args;

	fflush(stdout);
	fprintf(stderr, "# ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
}

/* The plan, printed after the tests; returns the exit status of main(). */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_tests);
	return tap_failures > 0 ? 1 : 0;
}

#endif							/* TOGG_TAP_H */
