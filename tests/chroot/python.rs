//! What an image with Debian and Python does: GNU tools, bash, the C library's ways of using /dev.

use testkit::base;

use super::{Bench, kiln};

const CHECKS: &str = r##"
import ctypes, mmap, multiprocessing, os, pty, subprocess, sys, tempfile, threading

def shell(command):
    subprocess.run(["bash", "-ec", command], check=True, stdout=subprocess.DEVNULL)

def add(args):
    lock, counter = args
    for _ in range(100):
        with lock:
            counter.value += 1

def processes_share_a_lock():
    manager = multiprocessing.Manager()
    counter = manager.Value("i", 0)
    lock = manager.Lock()
    with multiprocessing.Pool(4) as pool:
        pool.map(add, [(lock, counter)] * 4)
    assert counter.value == 400, counter.value

def semaphores_have_names():
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sem_open.restype = ctypes.c_void_p
    libc.sem_wait.argtypes = [ctypes.c_void_p]
    made = libc.sem_open(b"/kiln-test", os.O_CREAT, 0o600, 1)
    assert made, os.strerror(ctypes.get_errno())
    assert libc.sem_wait(made) == 0
    assert os.path.exists("/dev/shm/sem.kiln-test")
    multiprocessing.Semaphore(2).acquire()

def terminals_can_be_made():
    master, slave = os.openpty()
    assert os.ttyname(slave).startswith("/dev/pts/")
    os.close(master), os.close(slave)
    shown = []
    def read(fd):
        data = os.read(fd, 1024)
        shown.append(data)
        return data
    status = pty.spawn(["sh", "-c", "tty; test -t 0 && echo at-a-terminal"], read)
    assert status == 0 and b"at-a-terminal" in b"".join(shown), shown

def files_in_memory_are_executed_by_descriptor_alone():
    memory = os.memfd_create("x", 0)
    with open("/bin/true", "rb") as program:
        os.write(memory, program.read())
    child = os.fork()
    if child == 0:
        try:
            os.execve(memory, ["true"], {})
        finally:
            os._exit(9)
    assert os.waitpid(child, 0)[1] == 0
    try:
        os.execve(f"/proc/self/fd/{memory}", ["true"], {})
    except PermissionError:
        pass

def the_working_directory_may_be_in_proc():
    os.chdir("/proc/self")
    assert open("status").read().startswith("Name:")
    assert open("../cpuinfo").read()
    os.chdir("/")

def threads_run_programs():
    wrong = []
    def work():
        for _ in range(5):
            if subprocess.check_output(["readlink", "/proc/self/exe"]).strip() != b"/usr/bin/readlink":
                wrong.append(1)
    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert not wrong

def commands_work():
    for command in [
        "ls -l /dev/null | grep -q ^crw-rw-rw-",
        "ls -l /proc/self/fd /dev /sys/class && ls -l /proc",
        "diff <(echo a) <(echo a) && cat <(echo b) | grep -q b",
        "df && df -h / && mountpoint /proc && ! mountpoint /tmp",
        "find /proc -maxdepth 2 2>&1 | grep -v 'No such file' | wc -l",
        "cat /proc/self/{mounts,mountinfo,status,cgroup,limits,maps} > /dev/null",
        "ln -sf ../proc/self/mounts /etc/mtab && grep -q ' / ' /etc/mtab && readlink -f /etc/mtab | grep -q proc",
        "stat -f /proc && stat -L /dev/stdout && test -w /dev/null && test ! -w /proc/cpuinfo",
        "chmod 666 /dev/stdout; chown root /dev/stderr; touch /dev/null",
        "exec 3<>/dev/null; echo x >&3; echo y > /dev/fd/3",
        "cd /proc; cat cpuinfo uptime self/status; cd self; cat status cmdline; cd task; ls",
        "cd /etc; cat ../proc/uptime /../proc/self/status",
        "tar cf - /etc/passwd | tar tf - && cp /dev/null /empty && dd if=/dev/zero of=/dev/null count=1",
        "tee /proc/self/fd/1 < /etc/passwd | wc -l",
        "su nobody -s /bin/sh -c 'id -u > /dev/stderr; readlink /proc/self/exe; cat /proc/self/status'",
    ]:
        try:
            shell(command)
        except subprocess.CalledProcessError:
            print("failed:", command)

for name, check in list(globals().items()):
    if callable(check) and getattr(check, "__module__", "") == "__main__" and not check.__code__.co_argcount:
        try:
            check()
        except Exception as error:
            print("failed:", name, repr(error))
print("end")
"##;

#[test]
fn programs_of_debian_and_python_notice_nothing() {
    let bench = Bench::new();
    let python = base::python(&base::cache_dir()).expect("a base image");
    python.add_to(&bench.registry, "python", "latest").unwrap();
    let dockerfile = "FROM BASE/python\nCOPY checks.py /\nRUN python3 /checks.py > /out\n";
    kiln(&bench, dockerfile).file("checks.py", CHECKS).run().ok();
    let out = bench.image().text("out").unwrap();
    assert!(out.ends_with("end\n") && !out.contains("failed:"), "{out}");
}
