//! /proc, /sys and /dev by every way that leads there.

use super::{Bench, kiln, prints};

/// Prints the number of each check that fails.
fn failed(lines: &str) -> String {
    let check = |(number, line): (usize, &str)| format!("({}) || echo line {number}", line.trim());
    prints(&lines.lines().enumerate().map(check).collect::<Vec<_>>().join("\n"))
}

#[test]
fn paths_lead_there_however_they_are_written() {
    let said = failed(
        "cd /proc && grep -q . cpuinfo && cd self && grep -q Name status
         cd /etc && grep -q . ../proc/uptime
         grep -q Name /../proc/self/status
         grep -q Name //proc/./self/status
         grep -q Name /proc/self/cwd/proc/self/status
         grep -q Name /proc/self/root/proc/self/status
         ln -s ../proc/self/mounts /etc/mtab && grep -q ' / ' /etc/mtab
         mkdir -p /var/log && ln -s /dev/stdout /var/log/x && [ \"$(echo a > /var/log/x)\" = a ]
         ln -s /proc/self/status /s && grep -q Name /s
         cd /dev && echo x > null && [ -c zero ]
         cd /sys/class && ls net | grep -q lo
         readlink /proc/self/exe | grep -q '^/bin/\\(busybox\\|sh\\)$'
         [ \"$(readlink /proc/self/root)\" = / ] && [ \"$(cd /tmp && readlink /proc/self/cwd)\" = /tmp ]
         [ \"$(readlink /proc/self)\" -gt 1 ]
         cat /proc/self/mountinfo /proc/self/cgroup /proc/mounts > /dev/null",
    );
    assert_eq!(said, "");
}

#[test]
fn listings_are_whole() {
    let said = failed(
        "ls -l /proc/self/fd | grep -q ' 1 -> '
         ls -l /dev | grep -q '^crw-rw-rw-.* 1, *3 .* null$'
         ls -l /dev/null | grep -q '^crw-rw-rw-'
         ls -l /proc | grep -q cpuinfo
         ls -l /sys/class | grep -q net
         find /proc -maxdepth 2 > /found && grep -q '^/proc/self/\\|^/proc/[0-9]*/status' /found
         [ $(wc -l < /found) -gt 100 ]
         ps | grep -q 'ps'
         df > /dev/null && df / | grep -q ' /$'",
    );
    assert_eq!(said, "");
}

#[test]
fn pipes_and_streams_are_opened_by_name() {
    let said = failed(
        "[ \"$(echo in | cat /dev/stdin)\" = in ]
         [ \"$(echo in | cat /proc/self/fd/0)\" = in ]
         [ \"$(echo out > /dev/stdout)\" = out ]
         [ \"$( (echo out > /dev/stderr) 2>&1)\" = out ]
         chmod 666 /dev/stdout && chown nobody /dev/stderr
         mkfifo /p && exec 4<>/p && { (sleep 0.2; echo late > /dev/fd/4) & head -n 1 /proc/self/fd/4 | grep -q late; }
         mkfifo /q && { (sleep 0.3; echo late > /proc/self/cwd/q) & cat /proc/self/cwd/q | grep -q late; }
         exec 3<>/dev/ptmx && [ -c /dev/pts/0 ]
         echo a > /dev/shm/a && grep -q a /dev/shm/a
         ! echo x 2> /dev/null > /dev/full
         [ $(head -c 4 /dev/urandom | wc -c) = 4 ]",
    );
    assert_eq!(said, "");
}

#[test]
fn other_users_have_them_too() {
    let bench = Bench::new();
    let dockerfile = "FROM BASE/busybox\n\
         RUN mkdir -m 777 /open\n\
         USER nobody\n\
         RUN (echo a > /dev/stderr) 2> /open/a && echo b > /dev/stdout && \
             echo c | tee /proc/self/fd/2 2> /open/c > /dev/null && \
             id -un > /open/id && grep -c root /etc/passwd > /open/count && \
             grep Uid /proc/self/status > /open/uid && ls -l /proc/self/fd > /dev/null && \
             ! cat /proc/1/environ 2> /dev/null && ! echo x 2> /dev/null > /proc/self/oom_adjx\n";
    kiln(&bench, dockerfile).run().ok();
    let image = bench.image();
    let text = |name: &str| image.text(&format!("open/{name}")).unwrap();
    assert_eq!((text("a"), text("c"), text("id")), ("a\n".into(), "c\n".into(), "nobody\n".into()));
    assert_eq!(text("uid"), "Uid:\t65534\t65534\t65534\t65534\n");
}
