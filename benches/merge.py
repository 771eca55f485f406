"""What a merge costs: partials of small generated files, merged once; prints one line.

    python3 benches/merge.py KUBESWEEP PARTIALS HITS DIR

Every partial holds one file of its own with HITS CronJobs, created by one of 500 users in one of 2,000 namespaces.
"""

import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

binary, count, hits, home = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.makedirs(f"{home}/partials", exist_ok=True)


def event(number):
    """A CronJob that was created, as the API server logs it."""
    name, namespace, user = f"job-{number}", f"team-{number % 2000}", f"user-{number % 500}@example.com"
    second = number % 86400
    at = f"2026-11-{1 + number // 86400 % 28:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000000Z"
    container = {"name": "c", "image": "registry.example.com/c:1"}
    pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": pod}}}
    meta = {"name": name, "namespace": namespace}
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": f"{number:032x}",
        "stage": "ResponseComplete", "requestURI": f"/apis/batch/v1/namespaces/{namespace}/cronjobs", "verb": "create",
        "user": {"username": user, "groups": ["system:authenticated"]}, "sourceIPs": ["203.0.113.7"],
        "objectRef": {"resource": "cronjobs", "namespace": namespace, "name": name, "apiGroup": "batch", "apiVersion": "v1"},
        "responseStatus": {"code": 201},
        "requestObject": {"kind": "CronJob", "apiVersion": "batch/v1", "metadata": meta, "spec": spec},
        "requestReceivedTimestamp": at, "stageTimestamp": at,
    }


def partial(number):
    """Makes one partial."""
    path = f"{home}/{number}.log"
    with open(path, "w") as file:
        file.writelines(json.dumps(event(number * hits + at)) + "\n" for at in range(hits))
    subprocess.run([binary, "scan", path, "-q", "-j", "1", "--partial", f"{home}/partials/{number:05}"], check=True)
    os.remove(path)


with ThreadPoolExecutor(2) as pool:
    list(pool.map(partial, range(count)))
size = sum(entry.stat().st_size for entry in os.scandir(f"{home}/partials"))
before = resource.getrusage(resource.RUSAGE_CHILDREN)
began = time.monotonic()
subprocess.run([binary, "merge", f"{home}/partials", "-q", "-o", f"{home}/report"], check=True)
wall = time.monotonic() - began
after = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
# The peak is that of the largest child, and the merge is larger than any scan.
print(f"{count} partials, {count * hits} hits, {size / 1e6:.1f} MB: {wall:.1f} s, {cpu:.1f} s of CPU, peak {after.ru_maxrss / 1024:.0f} MiB")
