#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    double start = now();
    long count = atol(argv[2]);
    int bytes = atoi(argv[3]);
    char path[4096], text[32];
    mkdir(argv[1], 0755);
    for (long i = 0; i < count; i++) {
        if (i % 1000 == 0) {
            snprintf(path, sizeof path, "%s/%05ld", argv[1], i / 1000);
            if (mkdir(path, 0755)) return 3;
        }
        snprintf(path, sizeof path, "%s/%05ld/%03ld.dat", argv[1], i / 1000, i % 1000);
        int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
        if (file < 0) return 4;
        int length = snprintf(text, sizeof text, "%ld\n", i);
        if (bytes && write(file, text, length) != length) return 5;
        if (close(file)) return 6;
    }
    printf("writer took %.6f\n", now() - start);
    return 0;
}
