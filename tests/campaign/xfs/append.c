/* append FILE COUNTER: adds frames to a file, each synced before it is counted; ends at the first call that fails.
 *
 * What it counted is what fdatasync() said is on the disk, with no database in between.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FRAME = 4120 };

int main(int argc, char **argv)
{
    if (argc != 3)
        return 1;
    int file = open(argv[1], O_RDWR | O_CREAT, 0600), counter = open(argv[2], O_RDWR);
    volatile long *acknowledged = mmap(NULL, sizeof *acknowledged, PROT_READ | PROT_WRITE, MAP_SHARED, counter, 0);
    if (file < 0 || acknowledged == MAP_FAILED)
        return 1;
    char frame[FRAME] = {0};
    for (long i = 1;; i++) {
        memcpy(frame, &i, sizeof i);
        if (pwrite(file, frame, FRAME, (i - 1) * FRAME) != FRAME || fdatasync(file) != 0)
            return 0;
        *acknowledged = i;
    }
}
