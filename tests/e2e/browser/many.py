#!/usr/bin/env python3
"""Write an audit log of many alerts: one CronJob each by 400 users. Usage: many.py FILE COUNT"""
import json
import sys

with open(sys.argv[1], "w", encoding="utf-8") as out:
    for at in range(int(sys.argv[2])):
        time = f"2026-11-{1 + at % 24:02d}T{at // 24 % 24:02d}:{at // 576 % 60:02d}:00.000000Z"
        ref = {"resource": "cronjobs", "namespace": f"team-{at}", "name": f"job-{at}", "apiGroup": "batch", "apiVersion": "v1"}
        container = {"name": "c", "image": f"registry.corp.example/job:{at}"}
        spec = {"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}}
        event = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": f"a{at}",
                 "stage": "ResponseComplete", "requestURI": "/apis/batch/v1", "verb": "create",
                 "user": {"username": f"user-{at % 400}@corp.example"}, "sourceIPs": ["10.0.0.1"], "userAgent": "kubectl/v1",
                 "objectRef": ref, "responseStatus": {"code": 201}, "responseObject": {"kind": "CronJob", "spec": spec},
                 "requestReceivedTimestamp": time, "stageTimestamp": time}
        out.write(json.dumps(event) + "\n")
