//! Threads, forks and signals.

use super::{Bench, kiln, prints, program_prints};
use crate::common::processes;

#[test]
fn a_fast_timer_interrupts_no_open() {
    let source = r#"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
static volatile int ticks;
static void tick(int signal) { ticks++; }
int main(void) {
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &every, NULL);
    int failed = 0;
    struct stat known;
    for (int i = 0; i < 5000; i++) {
        const char *path = i % 2 ? "/proc/self/status" : "/bin/busybox";
        int fd = open(path, O_RDONLY);
        if (fd < 0) { failed++; perror(path); } else close(fd);
        if (stat(path, &known)) { failed++; perror(path); }
    }
    printf("%d failed, %s\n", failed, ticks > 20 ? "many ticks" : "few ticks");
}
"#;
    assert_eq!(program_prints(source, &[], "/program"), "0 failed, many ticks\n");
}

#[test]
fn threads_see_themselves() {
    let source = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
static int good;
static void *work(void *nothing) {
    for (int i = 0; i < 50; i++) {
        char link[64], expected[64], path[64];
        ssize_t length = readlink("/proc/thread-self", link, 63);
        if (length < 0) { perror("readlink"); return NULL; }
        link[length] = 0;
        long thread = syscall(SYS_gettid);
        sprintf(expected, "%d/task/%ld", getpid(), thread);
        sprintf(path, "/proc/self/task/%ld/comm", thread);
        if (strcmp(link, expected) || access(path, R_OK)) { puts(link); return NULL; }
    }
    __sync_fetch_and_add(&good, 1);
    return NULL;
}
int main(void) {
    pthread_t threads[40];
    for (int i = 0; i < 40; i++) pthread_create(threads + i, NULL, work, NULL);
    for (int i = 0; i < 40; i++) pthread_join(threads[i], NULL);
    printf("%d\n", good);
    raise(0);
    return 0;
}
"#;
    assert_eq!(program_prints(source, &["-pthread"], "/program"), "40\n");
}

#[test]
fn two_hundred_processes_at_once() {
    let said = prints(
        "for i in $(seq 200); do (read -r name value < /proc/self/status && echo $name >> /names) & done
         wait
         sort /names | uniq -c | tr -d ' '",
    );
    assert_eq!(said, "200Name:\n");
}

#[test]
fn what_outlives_the_command_ends_with_the_run() {
    let bench = Bench::new();
    let mark = format!("{}", fastrand::u32(500_000_000..));
    let dockerfile = format!(
        "FROM BASE/busybox\n\
         RUN sleep {mark} & (setsid sh -c 'setsid sleep {mark} & exit' &); sleep 0.2; \
             ps | grep -v grep | grep -c 'sleep {mark}' > /seen\n\
         RUN ps | grep -v grep | grep -c 'sleep {mark}' > /left; true\n"
    );
    kiln(&bench, &dockerfile).run().ok();
    let image = bench.image();
    let seen: u32 = image.text("seen").unwrap().trim().parse().unwrap();
    // The shell of the RUN has the text in its command line too.
    assert!(seen >= 2, "{seen}");
    assert_eq!(image.text("left").unwrap(), "0\n");
    assert_eq!(processes::that_run(&format!("sleep {mark}")), Vec::<String>::new());
}

#[test]
fn everybody_can_be_killed_without_hurting_kiln() {
    let bench = Bench::new();
    // A shell that is killed fails its RUN; kiln itself says so and goes on living.
    for command in ["kill -9 0", "kill -9 -$$", "sleep 1000 & (kill -9 -1); wait"] {
        let outcome = kiln(&bench, &format!("FROM BASE/busybox\nRUN {command}\n")).run();
        outcome.fails(137, "killed by signal 9");
    }
}
