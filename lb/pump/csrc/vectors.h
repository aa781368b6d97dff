/* Which vectors this CPU has at full speed. */
#ifndef VECTORS_H
#define VECTORS_H

#if defined(__x86_64__)
#define VECTORS_X86 1

static inline int vectors_have_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

/* Only on CPUs that run them at full speed: those that have AVX-512 VBMI2 (Ice Lake, Zen 4 and later); before those,
 * wide vectors lowered the clock. */
static inline int vectors_have_avx512(void)
{
    return vectors_have_avx2() && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2");
}

#else
#define VECTORS_X86 0

static inline int vectors_have_avx2(void)
{
    return 0;
}

static inline int vectors_have_avx512(void)
{
    return 0;
}

#endif

#endif
