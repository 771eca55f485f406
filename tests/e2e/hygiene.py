"""Reads a trace of strace: fails on any network call, and on a change outside of some places."""

import re
import sys

trace, *places = sys.argv[1:]
NETWORK = {"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg", "recvfrom",
           "recvmsg", "recvmmsg", "getsockopt", "setsockopt", "getsockname", "getpeername", "shutdown"}
WRITES = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)")
OPENS = {"open", "openat", "openat2"}
# What programs write to without leaving anything.
DEVICES = {"/dev/null", "/dev/tty"}

breaches = []
for line in open(trace, encoding="utf-8", errors="replace"):
    call = re.match(r"(?:\d+\s+)?(\w+)\((.*)", line)
    if not call:
        continue
    name, rest = call.groups()
    if name in NETWORK:
        breaches.append(line)
        continue
    if name in OPENS and not WRITES.search(rest):
        continue
    paths = re.findall(r'"((?:[^"\\]|\\.)*)"', rest)
    inside = lambda path: path in DEVICES or any(
        path == place or path.startswith(place + "/") or path.startswith(place + "-") for place in places)
    if not paths or not all(inside(path) for path in paths):
        breaches.append(line)

sys.stdout.writelines(breaches)
sys.exit(1 if breaches else 0)
