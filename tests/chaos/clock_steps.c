/* The wall clock of a process steps while it runs.
 *
 * Preloaded (LD_PRELOAD). About every CLOCK_STEPS_EVERY readings of the wall clock (default 16) it is put somewhere else,
 * up to six hours before or after the true time, drawn from CLOCK_STEPS_SEED. The monotonic clock is left alone.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define RANGE 43200 /* s */

static __thread uint64_t state;
static int64_t offset; /* s */
static uint64_t every;

static uint64_t draw(void) {
    if (!state) {
        const char *seed = getenv("CLOCK_STEPS_SEED"), *steps = getenv("CLOCK_STEPS_EVERY");
        state = (seed ? strtoull(seed, 0, 10) : 1) * 2654435761u + 88172645463325252u;
        every = steps ? strtoull(steps, 0, 10) : 16;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int64_t step(void) {
    if (draw() % every == 0)
        __atomic_store_n(&offset, (int64_t)(draw() % RANGE) - RANGE / 2, __ATOMIC_RELAXED);
    return __atomic_load_n(&offset, __ATOMIC_RELAXED);
}

int clock_gettime(clockid_t id, struct timespec *to) {
    int result = (int)syscall(SYS_clock_gettime, id, to);
    if (!result && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) to->tv_sec += step();
    return result;
}

int gettimeofday(struct timeval *to, void *zone) {
    int result = (int)syscall(SYS_gettimeofday, to, zone);
    if (!result) to->tv_sec += step();
    return result;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
