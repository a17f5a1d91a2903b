/* The log of all that changed the disk, in the order in which it happened.
 *
 * An entry: kind, length of the first and of the second path (4 bytes each), 4 bytes of nothing; inode, number (an
 * offset, a length), bytes of data (8 each), all as this machine has them; then the paths and the data. The files are
 * known by their inodes; an inode that is created again is another file.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct head {
    uint32_t kind, path, other, nothing;
    uint64_t inode, number, data;
};

static atomic_int log_fd = -1;
static long left; /* entries until this process is killed; 0: it is not */
static pthread_mutex_t order = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

__attribute__((constructor)) static void start(void)
{
    shim_record(getenv("SHIM_LOG"));
}

void shim_record(const char *log)
{
    record_begin();
    int old = atomic_exchange(&log_fd, log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1);
    if (log && log_fd < 0)
        abort();
    if (old >= 0)
        close(old);
    record_end(0);
}

bool is_recorded(void)
{
    return atomic_load(&log_fd) >= 0;
}

void record_begin(void)
{
    pthread_mutex_lock(&order);
}

long record_end(long result)
{
    int kept = errno;
    pthread_mutex_unlock(&order);
    errno = kept;
    return result;
}

/* One write with O_APPEND, so that the entries of several processes do not mix. */
static void append(enum entry kind, ino_t inode, off_t number, const char *path, const char *other, const void *data,
                   size_t bytes)
{
    int kept = errno;
    struct head head = {kind, path ? strlen(path) : 0, other ? strlen(other) : 0, 0, inode, number, bytes};
    struct iovec parts[] = {
        {&head, sizeof head}, {(void *)path, head.path}, {(void *)other, head.other}, {(void *)data, bytes}};
    ssize_t whole = sizeof head + head.path + head.other + bytes;
    if (writev(log_fd, parts, 4) != whole)
        abort(); /* a log with a hole proves nothing */
    if (left > 0 && --left == 0)
        kill(getpid(), SIGKILL);
    errno = kept;
}

void shim_die(long entries)
{
    left = entries;
}

void shim_mark(const char *text)
{
    if (!is_recorded())
        return;
    record_begin();
    append(ENTRY_MARK, 0, 0, text, NULL, NULL, 0);
    record_end(0);
}

static ino_t inode_of(int fd)
{
    struct stat status;
    if (real_fstat(fd, &status) != 0)
        abort();
    return status.st_ino;
}

void record_write(int fd, off_t offset, const void *data, size_t bytes)
{
    if (is_recorded())
        append(ENTRY_WRITE, inode_of(fd), offset, NULL, NULL, data, bytes);
}

void record_copied(int fd, off_t offset, size_t bytes)
{
    if (!is_recorded())
        return;
    int kept = errno;
    void *data = malloc(bytes);
    int readable = open(shim_path(fd), O_RDONLY | O_CLOEXEC); /* the descriptor may be for writing alone */
    if (!data || pread(readable, data, bytes, offset) != (ssize_t)bytes)
        abort();
    close(readable);
    record_write(fd, offset, data, bytes);
    free(data);
    errno = kept;
}

void record_descriptor(enum entry kind, int fd, off_t number, const char *path)
{
    if (is_recorded())
        append(kind, inode_of(fd), number, path, NULL, NULL, 0);
}

void record_names(enum entry kind, const char *path, const char *other)
{
    if (!is_recorded())
        return;
    struct stat status = {0};
    int kept = errno;
    if (kind != ENTRY_UNLINK && kind != ENTRY_RMDIR)
        real_fstatat(AT_FDCWD, other ? other : path, &status, AT_SYMLINK_NOFOLLOW);
    errno = kept;
    append(kind, status.st_ino, 0, path, other, NULL, 0);
}
