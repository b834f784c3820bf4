/* Makes the disk fail for the files of one folder, on command.
 *
 * Preloaded (LD_PRELOAD) below SQLite. DISK_FAULT_FOLDER names the folder, DISK_FAULT_ORDER a file that lies elsewhere:
 * while it holds a number, writes, cuts, syncs and new files of the folder fail with that errno.
 * A full disk (ENOSPC) still syncs, and still overwrites what it has room for; here a write fails all the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static const char *folder, *order;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("DISK_FAULT_FOLDER");
    order = getenv("DISK_FAULT_ORDER");
}

static int ordered(void) {
    char text[16] = {0};
    int before = errno, fd = order ? (int)syscall(SYS_openat, AT_FDCWD, order, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        if (syscall(SYS_read, fd, text, sizeof text - 1) < 0) text[0] = 0;
        syscall(SYS_close, fd);
    }
    errno = before;
    return atoi(text);
}

static int inside(const char *path) { return folder && path && !strncmp(path, folder, strlen(folder)); }

static int ours(int fd) {
    char link[64], path[1024];
    if (!folder) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return inside(path);
}

/* The errno to fail with; 0 where the disk works. */
static int failing(int fd) {
    int failure = folder ? ordered() : 0;
    return failure && ours(fd) ? failure : 0;
}

#define FAIL(fd) do { int failure = failing(fd); if (failure) { errno = failure; return -1; } } while (0)

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    FAIL(fd);
    return syscall(SYS_pwrite64, fd, data, size, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
    FAIL(fd);
    return syscall(SYS_write, fd, data, size);
}

int ftruncate64(int fd, off64_t size) {
    FAIL(fd);
    return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, long number) {
    int failure = failing(fd);
    if (failure && failure != ENOSPC) {
        errno = failure;
        return -1;
    }
    return (int)syscall(number, fd);
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int opened(const char *path, int flags, mode_t mode) {
    int failure = (flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) && inside(path) ? ordered() : 0;
    if (failure == EROFS || (failure && (flags & O_CREAT) && access(path, F_OK))) {
        errno = failure;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN(NAME)                                              \
    int NAME(const char *path, int flags, ...) {                \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode_t mode = flags & O_CREAT ? (mode_t)va_arg(rest, int) : 0; \
        va_end(rest);                                           \
        return opened(path, flags, mode);                       \
    }
OPEN(open)
OPEN(open64)
