/*-------------------------------------------------------------------------
 *
 * kernel.c
 *	  Which bodies of the kernels exist, which this processor can run, and
 *	  which is in use.
 *
 *-------------------------------------------------------------------------
 */
#include "shim.h"

#include "kernel/bodies.h"

#ifdef TG_KERNEL_X86
#include <cpuid.h>
#endif

const TgKernels *const tg_kernels_all[] = {
#ifdef TG_KERNEL_X86
	&tg_kernels_avx512vnni,
	&tg_kernels_avx512,
	&tg_kernels_avx2,
#endif
#ifdef TG_KERNEL_NEON
	&tg_kernels_neon,
#endif
	&tg_kernels_scalar,
	NULL
};

const TgKernels *tg_kernels = &tg_kernels_scalar;

#ifdef TG_KERNEL_X86

/*
 * __builtin_cpu_supports() says yes only where the operating system saves the
 * registers too.  Not every compiler lets it ask for half-precision
 * conversions, which use the same registers as AVX: for those the
 * processor's own word is enough.
 */
static bool
have_avx2(void)
{
	unsigned int eax;
	unsigned int ebx;
	unsigned int ecx;
	unsigned int edx;

	return __builtin_cpu_supports("avx2") &&
		__builtin_cpu_supports("fma") &&
		__get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C) != 0;
}

static bool
have_avx512(void)
{
	return have_avx2() &&
		__builtin_cpu_supports("avx512f") &&
		__builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512dq");
}

static bool
have_avx512vnni(void)
{
	return have_avx512() &&
		__builtin_cpu_supports("avx512vbmi") &&
		__builtin_cpu_supports("avx512vnni");
}

#endif							/* TG_KERNEL_X86 */

bool
tg_kernels_supported(const TgKernels *kernels)
{
#ifdef TG_KERNEL_X86
	if (kernels == &tg_kernels_avx512vnni)
		return have_avx512vnni();
	if (kernels == &tg_kernels_avx512)
		return have_avx512();
	if (kernels == &tg_kernels_avx2)
		return have_avx2();
#endif
	/* NEON belongs to every 64-bit ARM processor. */
	return kernels != NULL;
}

bool
tg_kernels_select(const char *name)
{
	bool		best = strcmp(name, "auto") == 0;

	for (int i = 0; tg_kernels_all[i] != NULL; i++)
	{
		const TgKernels *kernels = tg_kernels_all[i];

		if ((best || strcmp(name, kernels->name) == 0) &&
			tg_kernels_supported(kernels))
		{
			tg_kernels = kernels;
			return true;
		}
	}
	return false;
}
