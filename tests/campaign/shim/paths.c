/* Which paths and descriptors are watched. */
#define _GNU_SOURCE
#include "shim.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DESCRIPTORS 65536

/* Paths are never freed: another thread may be about to read one. */
static _Atomic(const char *) opened[DESCRIPTORS];
static _Atomic(const char *) watched;

__attribute__((constructor)) static void start(void)
{
    shim_watch(getenv("SHIM_FOLDER"));
}

void shim_watch(const char *folder)
{
    atomic_store(&watched, folder ? strdup(folder) : NULL);
}

const char *shim_path(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS ? atomic_load(&opened[fd]) : NULL;
}

void watch_descriptor(int fd, const char *path)
{
    if (fd >= 0 && fd < DESCRIPTORS)
        atomic_store(&opened[fd], path ? strdup(path) : NULL);
}

/* Without "//" and "/./", and no "/" at the end. */
static void tidy(char *path)
{
    char *to = path;
    for (const char *from = path; *from;) {
        if (from[0] == '/' && (from[1] == '/' || from[1] == 0))
            from++;
        else if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || from[2] == 0))
            from += 2;
        else
            *to++ = *from++;
    }
    *to = 0;
}

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

const char *watched_path(int folder, const char *path, char *buffer)
{
    const char *root = atomic_load(&watched);
    size_t start = 0;
    if (root == NULL || path == NULL)
        return NULL;
    if (path[0] != '/') {
        if (folder == AT_FDCWD) {
            if (getcwd(buffer, PATH_MAX) == NULL)
                return NULL;
        } else if (shim_path(folder) != NULL)
            strcpy(buffer, shim_path(folder));
        else
            return NULL;
        start = strlen(buffer);
        buffer[start++] = '/';
    }
    if (start + strlen(path) >= PATH_MAX)
        return NULL;
    strcpy(buffer + start, path);
    tidy(buffer);
    return is_below(buffer, root) ? buffer : NULL;
}
