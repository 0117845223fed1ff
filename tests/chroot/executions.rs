//! Programs that execute themselves or what they have open, and 32-bit ones.

use super::{Bench, compiled, kiln, program_prints};

/// Executes itself as often as its argument says, and says so when it has become another program.
const AGAIN: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (strcmp(argv[1], NAME)) { printf("%s has become %s\n", argv[1], NAME); return 1; }
    int left = atoi(argv[2]);
    if (left == 0) { printf("%s\n", NAME); return 0; }
    char next[16];
    sprintf(next, "%d", left - 1);
    execl("/proc/self/exe", argv[0], argv[1], next, NULL);
    perror("execl");
    return 1;
}
"#;

#[test]
fn programs_that_execute_themselves_at_the_same_time_stay_what_they_are() {
    let bench = Bench::new();
    let dockerfile = "FROM BASE/busybox\n\
         COPY --chmod=755 a b /\n\
         RUN for i in 1 2 3 4; do /a a 300 >> /out 2>&1 & /b b 300 >> /out 2>&1 & \
             done; \
             for i in $(seq 100); do ls /proc /proc/self > /dev/null; done; wait\n";
    let kiln = kiln(&bench, dockerfile);
    let kiln = kiln.file("a", compiled(AGAIN, &["-DNAME=\"a\""]));
    kiln.file("b", compiled(AGAIN, &["-DNAME=\"b\""])).run().ok();
    let mut lines: Vec<_> = bench.image().text("out").unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["a", "a", "a", "a", "b", "b", "b", "b"]);
}

#[test]
fn what_is_open_can_be_executed() {
    let source = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(void) {
    int fd = open("/bin/busybox", O_RDONLY);
    char path[2][64];
    sprintf(path[0], "/proc/self/fd/%d", fd);
    sprintf(path[1], "/dev/fd/%d", fd);
    for (int i = 0; i < 3; i++) {
        fflush(stdout);
        if (fork() == 0) {
            char *args[] = {"echo", "executed", NULL};
            if (i < 2) execve(path[i], args, environ); else fexecve(fd, args, environ);
            perror("exec");
            _exit(1);
        }
        wait(NULL);
    }
    int memory = memfd_create("x", 0);
    sprintf(path[0], "/proc/self/fd/%d", memory);
    char *args[] = {"x", NULL};
    execve(path[0], args, environ);
    perror("a file in memory");
}
"#;
    let said = program_prints(source, &[], "/program");
    assert_eq!(said, "executed\nexecuted\nexecuted\na file in memory: Permission denied\n");
}

/// Without a C library: there is none for 32 bits on most machines.
const NARROW: &str = r#"
static int call(int number, int a, int b, int c, int d, int e) {
    int result;
    asm volatile("int $0x80" : "=a"(result)
        : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
    return result;
}
static void number(unsigned value) {
    char text[12];
    int at = 11;
    text[at] = '\n';
    do { text[--at] = '0' + value % 10; value /= 10; } while (value);
    call(4, 1, (int)(text + at), 12 - at, 0, 0);
}
void _start(void) {
    static char buffer[4096];
    static unsigned file[64], extended[64];
    const char *status = "/proc/self/status";
    int fd = call(295, -100, (int)status, 0, 0, 0); /* openat */
    if (fd < 0) { number(-fd); call(1, 1, 0, 0, 0, 0); }
    int length = call(3, fd, (int)buffer, sizeof buffer, 0, 0);
    int line = 0;
    while (buffer[line] != '\n') line++;
    call(4, 1, (int)buffer, line + 1, 0, 0);
    number(call(195, (int)"/dev/null", (int)file, 0, 0, 0));  /* stat64 */
    number(file[4]);   /* st_mode */
    number(file[8]);   /* st_rdev */
    number(call(383, -100, (int)status, 0, 0x7ff, (int)extended)); /* statx */
    number(((unsigned short *)extended)[14]); /* stx_mode */
    number(call(5, (int)"/proc/1/environ", 0, 0, 0, 0) == -2); /* open */
    number(call(33, (int)"/proc/self/exe", 4, 0, 0, 0)); /* access */
    call(1, 0, 0, 0, 0, 0);
}
"#;

#[cfg(target_arch = "x86_64")]
#[test]
fn programs_of_32_bits_are_served_too() {
    let flags =
        ["-m32", "-nostdlib", "-ffreestanding", "-fno-pic", "-no-pie", "-fno-stack-protector"];
    let said = program_prints(NARROW, &flags, "/program");
    // S_IFCHR | 0666, device 1:3, S_IFREG | 0444
    let expected = ["Name:\tprogram", "0", "8630", "259", "0", "33060", "1", "0"];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
