/* What stands between a program and the file system: a library for LD_PRELOAD, on 64-bit Linux with glibc.
 *
 *   status.c  takes those that only look, and make threads
 *   wrap.c    takes the calls, and for each that concerns a watched path asks shim_fault, makes the call, records it
 *   paths.c   which paths and descriptors are watched
 *   faults.c  which calls fail
 *   record.c  the log of all that changed the disk
 *
 * All shim_* functions are exported: a program that runs with the library finds them by ctypes.CDLL(None).
 */
#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum op { /* in the order of their names in __init__.py */
    OP_OPEN,     /* open openat creat, files and folders */
    OP_CLOSE,    /* the descriptor is closed whatever shim_fault says, as Linux does it */
    OP_READ,     /* read readv pread preadv */
    OP_WRITE,    /* write writev pwrite pwritev */
    OP_SYNC,     /* fsync fdatasync sync_file_range, of files and folders */
    OP_TRUNCATE, /* truncate ftruncate */
    OP_RENAME,   /* rename renameat renameat2 */
    OP_UNLINK,   /* unlink unlinkat */
    OP_LINK,     /* link linkat */
    OP_MKDIR,    /* mkdir mkdirat */
    OP_RMDIR,    /* rmdir, unlinkat with AT_REMOVEDIR */
    OP_MMAP,     /* mmap of a descriptor */
    OP_FLOCK,    /* flock; unlocking too */
    OP_ALLOCATE, /* fallocate posix_fallocate */
    OP_COPY,     /* sendfile copy_file_range, into a watched file */
    OP_STAT,     /* stat lstat fstatat */
    OP_FSTAT,    /* fstat */
    OP_LIST,     /* opendir fdopendir readdir */
    OP_THREAD,   /* pthread_create, of whatever: it concerns no path */
    OPS
};

/* -- paths.c */

/* Watch what lies in a folder, given by its absolute path without links, and the folder itself; NULL: nothing.
 * At the start it is the folder that SHIM_FOLDER names, if any. Descriptors that are open already are not watched. */
void shim_watch(const char *folder);

/* The path by which a descriptor was opened; NULL: it is not watched. */
const char *shim_path(int fd);

/* The absolute path in `buffer` (PATH_MAX bytes) of what a call names; NULL: it is not watched. */
const char *watched_path(int folder, const char *path, char *buffer);

void watch_descriptor(int fd, const char *path); /* NULL: it is closed */

/* -- status.c: what the others look by, which is never to fail */

struct stat;
int real_fstatat(int folder, const char *path, struct stat *status, int flags);
int real_fstat(int fd, struct stat *status);

/* -- faults.c */

/* Asked before each call that concerns a watched path, on the thread that makes it, with no lock held.
 *
 *   path       absolute; the old one of a rename or link, unless only the new one is watched. Never NULL;
 *              empty for OP_THREAD.
 *   fd         of a call on a descriptor, else -1
 *   bytes      of a read, write, mapping, allocation or copy; the new length of a truncate; the flags of an open; else 0
 *   shortened  of a read, write or copy: holds `bytes`; what is put there is asked of the kernel instead.
 *              NULL for other calls.
 *
 * 0: make the call. Else it is not made, and fails with this errno (of OP_CLOSE: it is made, and fails).
 */
int shim_fault(enum op op, const char *path, int fd, size_t bytes, ssize_t *shortened);

/* -- record.c */

/* Append to a log from now on, which must lie outside the watched folder; NULL: stop. At the start: SHIM_LOG. */
void shim_record(const char *log);

/* Put a text into the log: what the program has been told, or tells, at this moment. */
void shim_mark(const char *text);

/* Be killed once so many more entries of this process are in the log. */
void shim_die(long entries);

enum entry { ENTRY_MARK, ENTRY_WRITE, ENTRY_TRUNCATE, ENTRY_SYNC, ENTRY_CREATE, ENTRY_MKDIR, ENTRY_RENAME,
             ENTRY_LINK, ENTRY_UNLINK, ENTRY_RMDIR };

/* A call and its entry go between the two, so that the log has the order in which things happened.
 * record_end gives `result` back, and keeps errno. */
void record_begin(void);
long record_end(long result);

bool is_recorded(void);
void record_write(int fd, off_t offset, const void *data, size_t bytes);
void record_copied(int fd, off_t offset, size_t bytes); /* the same, of what the kernel wrote */
void record_descriptor(enum entry kind, int fd, off_t number, const char *path);
void record_names(enum entry kind, const char *path, const char *other);

#endif
