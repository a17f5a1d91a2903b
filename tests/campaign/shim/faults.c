/* Which calls fail: the k-th of one operation, once or from then on, as a program tells it while it runs. */
#include "shim.h"

#include <stdatomic.h>

enum how { /* in the order of their names in ../failing_calls.py */
    ONCE,      /* the k-th call fails */
    ALWAYS,    /* so does each one after it */
    SHORT,     /* the k-th does half of what was asked, and says so */
    SHORT_FULL /* and each one after it fails, as on a disk that is full by then */
};

static atomic_int armed_op = -1;
static atomic_int armed_error;
static atomic_int armed_how;
static atomic_long armed_call; /* the k of the k-th, from 1 */
static atomic_long seen;       /* calls of the operation since it was armed */
static atomic_long failed;     /* those of them that failed, or were cut short */
static atomic_long calls[OPS];

void shim_disarm(void)
{
    armed_op = -1;
}

void shim_arm(int op, long call, int error, int how)
{
    shim_disarm();
    armed_call = call;
    armed_error = error;
    armed_how = how;
    seen = failed = 0;
    armed_op = op;
}

/* How many calls of the operation there were since it was armed. */
long shim_count(void)
{
    return seen;
}

/* And how many of them failed. */
long shim_failed(void)
{
    return failed;
}

/* How many calls of an operation there were since the last time that this was asked. */
long shim_calls(int op)
{
    return atomic_exchange(&calls[op], 0);
}

static int fail(void)
{
    failed++;
    return armed_error;
}

int shim_fault(enum op op, const char *path, int fd, size_t bytes, ssize_t *shortened)
{
    (void)path, (void)fd;
    calls[op]++;
    if ((int)op != armed_op)
        return 0;
    long call = ++seen;
    if (call < armed_call)
        return 0;
    if (call > armed_call)
        return armed_how == ALWAYS || armed_how == SHORT_FULL ? fail() : 0;
    if (armed_how == ONCE || armed_how == ALWAYS)
        return fail();
    if (shortened != NULL && bytes > 1) {
        *shortened = (ssize_t)(bytes / 2);
        failed++;
    }
    return 0;
}
