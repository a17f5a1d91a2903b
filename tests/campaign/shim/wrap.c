/* The calls of the C library that change, sync, read or lock files, taken over by LD_PRELOAD.
 *
 * Each of them: not watched, it is made as it is. Else shim_fault is asked, the call made, and what it changed recorded.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name)                        \
    static __typeof__(&name) real = NULL; \
    if (real == NULL)                     \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* off_t has 64 bits on the machines that this is for, so that both names are one function. */
#define SAME(other, name) __typeof__(name) other __attribute__((alias(#name)))

static bool fails(enum op op, const char *path, int fd, size_t bytes, ssize_t *shortened)
{
    int error = shim_fault(op, path, fd, bytes, shortened);
    if (error != 0)
        errno = error;
    return error != 0;
}

/* The same for a call on a descriptor: one that is not watched never fails. */
static bool fails_on(enum op op, int fd, size_t bytes, ssize_t *shortened)
{
    return shim_path(fd) != NULL && fails(op, shim_path(fd), fd, bytes, shortened);
}

/* -- open, close */

static int open_at(int folder, const char *path, int flags, mode_t mode)
{
    REAL(openat);
    char buffer[PATH_MAX * 2];
    const char *name = watched_path(folder, path, buffer);
    struct stat status;
    if (name == NULL)
        return real(folder, path, flags, mode);
    if (fails(OP_OPEN, name, -1, (size_t)flags, NULL))
        return -1;
    record_begin();
    bool is_new = (flags & O_CREAT) && real_fstatat(folder, path, &status, 0) != 0;
    int fd = real(folder, path, flags, mode);
    if (fd >= 0) {
        watch_descriptor(fd, name);
        if (is_new)
            record_descriptor(ENTRY_CREATE, fd, 0, name);
        else if (flags & O_TRUNC)
            record_descriptor(ENTRY_TRUNCATE, fd, 0, NULL);
    }
    return record_end(fd);
}

static bool has_mode(int flags)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = has_mode(flags) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_at(AT_FDCWD, path, flags, mode);
}
SAME(open64, open);

int openat(int folder, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = has_mode(flags) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_at(folder, path, flags, mode);
}
SAME(openat64, openat);

int creat(const char *path, mode_t mode)
{
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
SAME(creat64, creat);

/* What programs that were compiled with _FORTIFY_SOURCE call. */
int __open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}
SAME(__open64_2, __open_2);

int __openat_2(int folder, const char *path, int flags)
{
    return open_at(folder, path, flags, 0);
}
SAME(__openat64_2, __openat_2);

int close(int fd)
{
    REAL(close);
    if (shim_path(fd) == NULL)
        return real(fd);
    int error = shim_fault(OP_CLOSE, shim_path(fd), fd, 0, NULL);
    watch_descriptor(fd, NULL);
    int result = real(fd);
    if (error == 0)
        return result;
    errno = error;
    return -1;
}

/* -- read */

ssize_t read(int fd, void *data, size_t bytes)
{
    REAL(read);
    ssize_t allowed = (ssize_t)bytes;
    return fails_on(OP_READ, fd, bytes, &allowed) ? -1 : real(fd, data, (size_t)allowed);
}

ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
    REAL(pread);
    ssize_t allowed = (ssize_t)bytes;
    return fails_on(OP_READ, fd, bytes, &allowed) ? -1 : real(fd, data, (size_t)allowed, offset);
}
SAME(pread64, pread);

ssize_t __read_chk(int fd, void *data, size_t bytes, size_t room)
{
    if (bytes > room)
        abort();
    return read(fd, data, bytes);
}

ssize_t __pread_chk(int fd, void *data, size_t bytes, off_t offset, size_t room)
{
    if (bytes > room)
        abort();
    return pread(fd, data, bytes, offset);
}
SAME(__pread64_chk, __pread_chk);

static size_t size_of(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

/* Several parts at once are made one after the other: a short one ends it, as it may. */
ssize_t preadv(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(preadv);
    if (shim_path(fd) == NULL)
        return real(fd, parts, count, offset);
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t part = pread(fd, parts[i].iov_base, parts[i].iov_len, offset + done);
        if (part < 0)
            return done ? done : -1;
        done += part;
        if ((size_t)part < parts[i].iov_len)
            break;
    }
    return done;
}
SAME(preadv64, preadv);

ssize_t readv(int fd, const struct iovec *parts, int count)
{
    REAL(readv);
    if (shim_path(fd) == NULL)
        return real(fd, parts, count);
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t part = read(fd, parts[i].iov_base, parts[i].iov_len);
        if (part < 0)
            return done ? done : -1;
        done += part;
        if ((size_t)part < parts[i].iov_len)
            break;
    }
    return done;
}

/* -- write */

ssize_t write(int fd, const void *data, size_t bytes)
{
    REAL(write);
    ssize_t allowed = (ssize_t)bytes;
    if (shim_path(fd) == NULL)
        return real(fd, data, bytes);
    if (fails_on(OP_WRITE, fd, bytes, &allowed))
        return -1;
    record_begin();
    ssize_t done = real(fd, data, (size_t)allowed);
    if (done > 0)
        record_write(fd, lseek(fd, 0, SEEK_CUR) - done, data, (size_t)done);
    return record_end(done);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    REAL(pwrite);
    ssize_t allowed = (ssize_t)bytes;
    if (shim_path(fd) == NULL)
        return real(fd, data, bytes, offset);
    if (fails_on(OP_WRITE, fd, bytes, &allowed))
        return -1;
    record_begin();
    ssize_t done = real(fd, data, (size_t)allowed, offset);
    if (done > 0)
        record_write(fd, offset, data, (size_t)done);
    return record_end(done);
}
SAME(pwrite64, pwrite);

/* As one buffer, so that one call is one write of the log. */
static char *joined(const struct iovec *parts, int count)
{
    char *whole = malloc(size_of(parts, count) + 1), *end = whole;
    if (whole == NULL)
        abort();
    for (int i = 0; i < count; i++)
        for (size_t j = 0; j < parts[i].iov_len; j++)
            *end++ = ((const char *)parts[i].iov_base)[j];
    return whole;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    if (shim_path(fd) == NULL)
        return real(fd, parts, count);
    char *whole = joined(parts, count);
    ssize_t done = write(fd, whole, size_of(parts, count));
    int kept = errno;
    free(whole);
    errno = kept;
    return done;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(pwritev);
    if (shim_path(fd) == NULL)
        return real(fd, parts, count, offset);
    char *whole = joined(parts, count);
    ssize_t done = pwrite(fd, whole, size_of(parts, count), offset);
    int kept = errno;
    free(whole);
    errno = kept;
    return done;
}
SAME(pwritev64, pwritev);

/* -- sync */

static int sync_with(int (*real)(int), int fd)
{
    if (shim_path(fd) == NULL)
        return real(fd);
    if (fails_on(OP_SYNC, fd, 0, NULL))
        return -1;
    record_begin();
    int result = real(fd);
    if (result == 0)
        record_descriptor(ENTRY_SYNC, fd, 0, NULL);
    return record_end(result);
}

int fsync(int fd)
{
    REAL(fsync);
    return sync_with(real, fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return sync_with(real, fd);
}

/* Not recorded: it promises nothing about a power cut (sync_file_range(2), "Warning"). */
int sync_file_range(int fd, off_t offset, off_t bytes, unsigned int flags)
{
    REAL(sync_file_range);
    return fails_on(OP_SYNC, fd, (size_t)bytes, NULL) ? -1 : real(fd, offset, bytes, flags);
}

/* -- sizes */

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    if (shim_path(fd) == NULL)
        return real(fd, size);
    if (fails_on(OP_TRUNCATE, fd, (size_t)size, NULL))
        return -1;
    record_begin();
    int result = real(fd, size);
    if (result == 0)
        record_descriptor(ENTRY_TRUNCATE, fd, size, NULL);
    return record_end(result);
}
SAME(ftruncate64, ftruncate);

int truncate(const char *path, off_t size)
{
    REAL(truncate);
    char buffer[PATH_MAX * 2];
    if (watched_path(AT_FDCWD, path, buffer) == NULL)
        return real(path, size);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = ftruncate(fd, size), kept = errno;
    close(fd);
    errno = kept;
    return result;
}
SAME(truncate64, truncate);

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    REAL(fallocate);
    struct stat status;
    if (shim_path(fd) == NULL)
        return real(fd, mode, offset, bytes);
    if (fails_on(OP_ALLOCATE, fd, (size_t)bytes, NULL))
        return -1;
    record_begin();
    int result = real(fd, mode, offset, bytes);
    if (result == 0 && real_fstat(fd, &status) == 0)
        record_descriptor(ENTRY_TRUNCATE, fd, status.st_size, NULL);
    return record_end(result);
}
SAME(fallocate64, fallocate);

int posix_fallocate(int fd, off_t offset, off_t bytes)
{
    REAL(posix_fallocate);
    if (shim_path(fd) == NULL)
        return real(fd, offset, bytes);
    return fallocate(fd, 0, offset, bytes) == 0 ? 0 : errno;
}
SAME(posix_fallocate64, posix_fallocate);

/* -- names */

int renameat2(int from, const char *path, int to, const char *other, unsigned int flags)
{
    REAL(renameat2);
    char buffer[PATH_MAX * 2], second[PATH_MAX * 2];
    const char *old = watched_path(from, path, buffer), *new = watched_path(to, other, second);
    if (old == NULL && new == NULL)
        return real(from, path, to, other, flags);
    if (fails(OP_RENAME, old ? old : new, -1, 0, NULL))
        return -1;
    record_begin();
    int result = real(from, path, to, other, flags);
    if (result == 0)
        record_names(ENTRY_RENAME, old, new);
    return record_end(result);
}

int renameat(int from, const char *path, int to, const char *other)
{
    return renameat2(from, path, to, other, 0);
}

int rename(const char *path, const char *other)
{
    return renameat2(AT_FDCWD, path, AT_FDCWD, other, 0);
}

int linkat(int from, const char *path, int to, const char *other, int flags)
{
    REAL(linkat);
    char buffer[PATH_MAX * 2], second[PATH_MAX * 2];
    const char *old = watched_path(from, path, buffer), *new = watched_path(to, other, second);
    if (old == NULL && new == NULL)
        return real(from, path, to, other, flags);
    if (fails(OP_LINK, old ? old : new, -1, 0, NULL))
        return -1;
    record_begin();
    int result = real(from, path, to, other, flags);
    if (result == 0)
        record_names(ENTRY_LINK, old, new);
    return record_end(result);
}

int link(const char *path, const char *other)
{
    return linkat(AT_FDCWD, path, AT_FDCWD, other, 0);
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    char buffer[PATH_MAX * 2];
    const char *name = watched_path(folder, path, buffer);
    if (name == NULL)
        return real(folder, path, flags);
    if (fails(flags & AT_REMOVEDIR ? OP_RMDIR : OP_UNLINK, name, -1, 0, NULL))
        return -1;
    record_begin();
    int result = real(folder, path, flags);
    if (result == 0)
        record_names(flags & AT_REMOVEDIR ? ENTRY_RMDIR : ENTRY_UNLINK, name, NULL);
    return record_end(result);
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(mkdirat);
    char buffer[PATH_MAX * 2];
    const char *name = watched_path(folder, path, buffer);
    if (name == NULL)
        return real(folder, path, mode);
    if (fails(OP_MKDIR, name, -1, 0, NULL))
        return -1;
    record_begin();
    int result = real(folder, path, mode);
    if (result == 0)
        record_names(ENTRY_MKDIR, name, NULL);
    return record_end(result);
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* -- maps, locks, copies */

/* What is written through a map is not recorded: SQLite's -shm alone is, which it makes anew after a power cut. */
void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    REAL(mmap);
    if (!(flags & MAP_ANONYMOUS) && fails_on(OP_MMAP, fd, bytes, NULL))
        return MAP_FAILED;
    return real(at, bytes, protection, flags, fd, offset);
}
SAME(mmap64, mmap);

int flock(int fd, int how)
{
    REAL(flock);
    return fails_on(OP_FLOCK, fd, 0, NULL) ? -1 : real(fd, how);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t bytes)
{
    REAL(sendfile);
    ssize_t allowed = (ssize_t)bytes;
    if (shim_path(to) == NULL)
        return real(to, from, offset, bytes);
    if (fails_on(OP_COPY, to, bytes, &allowed))
        return -1;
    record_begin();
    ssize_t done = real(to, from, offset, (size_t)allowed);
    if (done > 0)
        record_copied(to, lseek(to, 0, SEEK_CUR) - done, (size_t)done);
    return record_end(done);
}
SAME(sendfile64, sendfile);

ssize_t copy_file_range(int from, off64_t *source, int to, off64_t *target, size_t bytes, unsigned int flags)
{
    REAL(copy_file_range);
    ssize_t allowed = (ssize_t)bytes;
    if (shim_path(to) == NULL)
        return real(from, source, to, target, bytes, flags);
    if (fails_on(OP_COPY, to, bytes, &allowed))
        return -1;
    record_begin();
    ssize_t done = real(from, source, to, target, (size_t)allowed, flags);
    if (done > 0)
        record_copied(to, (target ? *target : lseek(to, 0, SEEK_CUR)) - done, (size_t)done);
    return record_end(done);
}
