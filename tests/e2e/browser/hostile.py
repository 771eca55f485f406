#!/usr/bin/env python3
"""Write an AKS export whose author tried everything against the reader of the report. Usage: hostile.py FILE"""
import json
import sys

SCRIPT = "<script>window.__pwned=1;alert(1)</script>"
WHO = [
    (SCRIPT, '"><img src=x onerror=alert(1)>', "x", "javascript:alert(1)"),
    ("ali\u202ece", "a\u200bb\x1b[31m\u009b\ufeff", "java\u2066script:alert(1)", "' onmouseover='window.__pwned=1"),
    ("</title><svg onload=window.__pwned=1>", "javascript:alert(1)", "{{ 7*7 }} {% raw %} </script></style><!--", "C"),
    ("B" * 3000, "C" * 300, "long " + "A" * 5000, "C"),
] + [(f"carol{i}@corp.example", f"team-{i}", f"nightly-{i}", "C") for i in range(15)]


def line(at, user, namespace, name, cluster):
    time = f"2026-11-{10 + at % 14:02d}T03:10:00.000000Z"
    container = {"name": name, "image": SCRIPT, "args": [SCRIPT, "javascript:alert(1)", "\u202e{{ 7*7 }}"],
                 "env": [{"name": SCRIPT, "value": SCRIPT}]}
    pod = {"containers": [container], "serviceAccountName": SCRIPT, "volumes": [{"name": SCRIPT, "hostPath": {"path": "/" + SCRIPT}}]}
    body = {"kind": "CronJob", "metadata": {"name": name, "namespace": namespace, "labels": {SCRIPT: SCRIPT}},
            "spec": {"schedule": SCRIPT, "jobTemplate": {"spec": {"template": {"spec": pod}}}}}
    event = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": f"{SCRIPT}{at}",
             "stage": "ResponseComplete", "requestURI": "/apis/batch/v1", "verb": "create",
             "user": {"username": user, "groups": [SCRIPT]}, "sourceIPs": [SCRIPT, "198.51.100.9"], "userAgent": SCRIPT,
             "objectRef": {"resource": "cronjobs", "namespace": namespace, "name": name, "apiGroup": "batch", "apiVersion": "v1"},
             "responseStatus": {"code": 201, "message": SCRIPT}, "responseObject": body,
             "requestReceivedTimestamp": time, "stageTimestamp": time}
    identity = f"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/{cluster}"
    return json.dumps({"category": "kube-audit", "resourceId": identity, "time": time,
                       "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
                       "properties": {"log": json.dumps(event), "stream": "stdout", "pod": "p"}})


with open(sys.argv[1], "w", encoding="utf-8") as out:
    for at, who in enumerate(WHO):
        out.write(line(at, *who) + "\n")
