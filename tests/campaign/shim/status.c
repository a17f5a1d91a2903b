/* The calls that only look: the status of a path or a descriptor, and what a folder holds; and those that make threads.
 *
 * None of them changes anything, so nothing is recorded. SQLite and Python call them by one of these names.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name)                        \
    static __typeof__(&name) real = NULL; \
    if (real == NULL)                     \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static bool fails(enum op op, const char *path, int fd)
{
    int error = path ? shim_fault(op, path, fd, 0, NULL) : 0;
    if (error != 0)
        errno = error;
    return error != 0;
}

int real_fstatat(int folder, const char *path, struct stat *status, int flags)
{
    REAL(fstatat);
    return real(folder, path, status, flags);
}

int real_fstat(int fd, struct stat *status)
{
    REAL(fstat);
    return real(fd, status);
}

int fstatat(int folder, const char *path, struct stat *status, int flags)
{
    char buffer[PATH_MAX * 2];
    if (path != NULL && path[0] == 0 && (flags & AT_EMPTY_PATH))
        return fstat(folder, status);
    if (fails(OP_STAT, watched_path(folder, path, buffer), -1))
        return -1;
    return real_fstatat(folder, path, status, flags);
}
int fstatat64(int folder, const char *path, struct stat64 *status, int flags)
{
    return fstatat(folder, path, (struct stat *)status, flags); /* the same on machines of 64 bits */
}

int stat(const char *path, struct stat *status)
{
    return fstatat(AT_FDCWD, path, status, 0);
}
int stat64(const char *path, struct stat64 *status)
{
    return stat(path, (struct stat *)status);
}

int lstat(const char *path, struct stat *status)
{
    return fstatat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}
int lstat64(const char *path, struct stat64 *status)
{
    return lstat(path, (struct stat *)status);
}

int fstat(int fd, struct stat *status)
{
    return fails(OP_FSTAT, shim_path(fd), fd) ? -1 : real_fstat(fd, status);
}
int fstat64(int fd, struct stat64 *status)
{
    return fstat(fd, (struct stat *)status);
}

/* By what the system says of it: a copy of a descriptor has no path here. */
static const char *path_of(int fd, char *buffer)
{
    char link[64], target[PATH_MAX];
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    errno = kept;
    if (length < 0)
        return NULL;
    target[length] = 0;
    return watched_path(AT_FDCWD, target, buffer);
}

DIR *opendir(const char *path)
{
    REAL(opendir);
    char buffer[PATH_MAX * 2];
    return fails(OP_LIST, watched_path(AT_FDCWD, path, buffer), -1) ? NULL : real(path);
}

DIR *fdopendir(int fd)
{
    REAL(fdopendir);
    char buffer[PATH_MAX * 2];
    return fails(OP_LIST, path_of(fd, buffer), fd) ? NULL : real(fd);
}

struct dirent *readdir(DIR *folder)
{
    REAL(readdir);
    char buffer[PATH_MAX * 2];
    return fails(OP_LIST, path_of(dirfd(folder), buffer), -1) ? NULL : real(folder);
}

struct dirent64 *readdir64(DIR *folder)
{
    REAL(readdir64);
    char buffer[PATH_MAX * 2];
    return fails(OP_LIST, path_of(dirfd(folder), buffer), -1) ? NULL : real(folder);
}

/* The error is what it returns. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    REAL(pthread_create);
    int error = shim_fault(OP_THREAD, "", -1, 0, NULL);
    return error ? error : real(thread, attributes, start, argument);
}
