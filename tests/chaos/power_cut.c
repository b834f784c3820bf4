/* Writes down, in order, everything that a process does to the files of one folder.
 *
 * Preloaded (LD_PRELOAD) below SQLite. POWER_CUT_FOLDER names the folder, POWER_CUT_TRACE the file that the record goes
 * to (it must lie elsewhere). A record is: char op; uint32 length of the name; int64 offset or size; uint32 length of the
 * data; the name; the data. Little-endian, packed.
 *
 *   C name           a file was made            W name offset data   bytes were written
 *   T name size      it was cut or grown        S name               it was synced
 *   R name data      it was renamed to data     U name               it was removed
 *   D                the folder was synced
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 1024
static char folder[1024];
static int trace = -1;
static char names[FDS][256]; /* by descriptor; "" is not ours, "/" is the folder */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void record(char op, const char *name, int64_t number, const void *data, uint32_t size) {
    char head[17];
    uint32_t length = (uint32_t)strlen(name);
    head[0] = op;
    memcpy(head + 1, &length, 4);
    memcpy(head + 5, &number, 8);
    memcpy(head + 13, &size, 4);
    struct iovec parts[3] = {{head, 17}, {(void *)name, length}, {(void *)data, size}};
    if (syscall(SYS_writev, trace, parts, 3) != (long)(17 + length + size)) _exit(99);
}

__attribute__((constructor)) static void begin(void) {
    const char *where = getenv("POWER_CUT_FOLDER"), *to = getenv("POWER_CUT_TRACE");
    if (!where || !to || strlen(where) >= sizeof folder) return;
    strcpy(folder, where);
    trace = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The name inside the folder, "/" for the folder itself, NULL for anything else. */
static const char *inside(const char *path) {
    size_t length = strlen(folder);
    if (trace < 0 || !path || strncmp(path, folder, length)) return NULL;
    if (!path[length]) return "/";
    return path[length] == '/' && path[length + 1] ? path + length + 1 : NULL;
}

static const char *name_of(int fd) {
    return trace >= 0 && fd >= 0 && fd < FDS && names[fd][0] ? names[fd] : NULL;
}

static int is_file(int fd) { const char *name = name_of(fd); return name && name[0] != '/'; }

static int opened(int at, const char *path, int flags, mode_t mode) {
    const char *name = inside(path);
    if (!name) return (int)syscall(SYS_openat, at, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat before;
    int absent = (flags & O_CREAT) && stat(path, &before) != 0;
    int fd = (int)syscall(SYS_openat, at, path, flags, mode), failure = errno;
    if (fd >= 0 && fd < FDS) {
        snprintf(names[fd], sizeof names[fd], "%s", name);
        if (absent) record('C', name, 0, "", 0);
        else if (flags & O_TRUNC) record('T', name, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = failure;
    return fd;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(rest, int) : 0;
}

#define OPEN(NAME, EXTRA)                                               \
    int NAME(const char *path, int flags, ...) {                        \
        va_list rest; va_start(rest, flags);                            \
        mode_t mode = mode_of(flags, rest); va_end(rest);               \
        return opened(AT_FDCWD, path, (flags) | EXTRA, mode);           \
    }
#define OPENAT(NAME)                                                    \
    int NAME(int at, const char *path, int flags, ...) {                \
        va_list rest; va_start(rest, flags);                            \
        mode_t mode = mode_of(flags, rest); va_end(rest);               \
        return opened(at, path, flags, mode);                           \
    }
OPEN(open, 0)
OPEN(open64, O_LARGEFILE)
OPENAT(openat)
OPENAT(openat64)
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    if (fd >= 0 && fd < FDS) {
        pthread_mutex_lock(&lock);
        names[fd][0] = 0;
        pthread_mutex_unlock(&lock);
    }
    return (int)syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    if (!is_file(fd)) return syscall(SYS_pwrite64, fd, data, size, offset);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, fd, data, size, offset);
    int failure = errno;
    if (done > 0) record('W', names[fd], offset, data, (uint32_t)done);
    pthread_mutex_unlock(&lock);
    errno = failure;
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    if (!is_file(fd)) return syscall(SYS_write, fd, data, size);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_write, fd, data, size);
    int failure = errno;
    if (done > 0) record('W', names[fd], syscall(SYS_lseek, fd, 0, SEEK_CUR) - done, data, (uint32_t)done);
    pthread_mutex_unlock(&lock);
    errno = failure;
    return done;
}

int ftruncate64(int fd, off64_t size) {
    if (!is_file(fd)) return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_ftruncate, fd, size), failure = errno;
    if (!done) record('T', names[fd], size, "", 0);
    pthread_mutex_unlock(&lock);
    errno = failure;
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

/* Pretended: what matters is when it was asked for, and the real thing would only take time. */
static int synced(int fd, long number) {
    const char *name = name_of(fd);
    if (!name) return (int)syscall(number, fd);
    pthread_mutex_lock(&lock);
    record(name[0] == '/' ? 'D' : 'S', name, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int renamed(int from_at, const char *from, int to_at, const char *to) {
    const char *old = inside(from), *new = inside(to);
    if (!old || !new) return (int)syscall(SYS_renameat, from_at, from, to_at, to);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_renameat, from_at, from, to_at, to), failure = errno;
    if (!done) record('R', old, 0, new, (uint32_t)strlen(new));
    for (int fd = 0; !done && fd < FDS; fd++)
        if (!strcmp(names[fd], old)) strcpy(names[fd], new);
    pthread_mutex_unlock(&lock);
    errno = failure;
    return done;
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int a, const char *from, int b, const char *to) { return renamed(a, from, b, to); }

static int removed(int at, const char *path, int flags) {
    const char *name = inside(path);
    if (!name || name[0] == '/') return (int)syscall(SYS_unlinkat, at, path, flags);
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_unlinkat, at, path, flags), failure = errno;
    if (!done) record('U', name, 0, "", 0);
    pthread_mutex_unlock(&lock);
    errno = failure;
    return done;
}
int unlink(const char *path) { return removed(AT_FDCWD, path, 0); }
int unlinkat(int at, const char *path, int flags) { return removed(at, path, flags); }
