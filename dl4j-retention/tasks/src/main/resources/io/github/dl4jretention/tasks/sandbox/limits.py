# Without namespaces: a process group of its own, limits, an empty environment and an empty folder; root becomes nobody. Arguments:
# folder, seconds, memory, files, processes. The program comes on standard input.
import os
import resource
import signal
import sys

folder = sys.argv[1]
seconds, memory, files, processes = map(int, sys.argv[2:])
os.setsid()
# Ends the program if the JVM was killed and can't do so; it outlives exec.
signal.alarm(seconds + 4)
program = sys.stdin.buffer.read()
if os.geteuid() == 0:
    nobody = 65534
    os.chown(folder, nobody, nobody)
    os.setgroups([])
    os.setgid(nobody)
    os.setuid(nobody)
os.chdir(folder)
with open("program.py", "wb") as file:
    file.write(program)
for name, limit in (
    # More than the JVM waits: it looks for a program's children before it ends the program.
    ("CPU", seconds + 2),
    ("FSIZE", files),
    ("CORE", 0),
    ("NOFILE", 64),
    ("NPROC", processes),
    ("AS", memory),
):
    try:
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (limit, limit))
    except (AttributeError, ValueError, OSError) as e:
        print(name, "is not limited:", e, file=sys.stderr)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
environment = {"HOME": folder, "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
os.execve(sys.executable, [sys.executable, "-I", "program.py"], environment)
