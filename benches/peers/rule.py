"""The rule in Python, two processes: `rule.py prefiltered|plain DUMP` prints namespace, username and hits.

prefiltered: ISA-L, a search for the literal, orjson on what holds it. plain: gzip and json on every record.
"""

import gzip
import json
import sys
from collections import defaultdict
from multiprocessing import Pool
from pathlib import Path

LITERAL = b"cronjobs"
MESSAGE = b'"message":"'
VERBS = {"create", "update", "patch"}
SYSTEM_NAMESPACES = {"kube-system", "gke-system", "kube-node-lease", "kube-public"}
SYSTEM_PREFIXES = (
    ".iam.gserviceaccount.com",
    "system:serviceaccount:kube-system:",
    "eks:",
    "masterclient",
    "gke-",
    "azure-",
)


def is_system(user):
    return (
        user == "aksService"
        or user.startswith(SYSTEM_PREFIXES)
        or (user.startswith("system:") and "serviceaccount" not in user)
    )


def native(event):
    target = event.get("objectRef") or {}
    return (
        event.get("verb"),
        target.get("resource"),
        target.get("subresource"),
        target.get("namespace") or "",
        (event.get("user") or {}).get("username") or "",
        (event.get("responseStatus") or {}).get("code") or 0,
        event.get("auditID"),
    )


def gke(entry):
    payload = entry["protoPayload"]
    path = payload.get("resourceName", "").split("/")
    path += [""] * (7 - len(path))
    return (
        payload.get("methodName", "").rpartition(".")[2],
        path[4] or path[2],
        path[6],
        path[3] if path[2] == "namespaces" else "",
        (payload.get("authenticationInfo") or {}).get("principalEmail") or "",
        (payload.get("status") or {}).get("code") or 0,
        entry.get("insertId"),
    )


def hit(record):
    """What a hit is counted under, or None."""
    fields = gke(record) if "protoPayload" in record else native(record)
    verb, resource, subresource, namespace, user, code, identity = fields
    if verb not in VERBS or resource != "cronjobs" or subresource == "status":
        return None
    if code >= 400 or 1 <= code <= 16:
        return None
    if namespace in SYSTEM_NAMESPACES and is_system(user):
        return None
    return namespace, user, identity


def opened(record, loads):
    """The event inside a diagnostic record of AKS; any other record as it is."""
    if "properties" not in record:
        return record
    audit = record.get("category") in ("kube-audit", "kube-audit-admin")
    return loads(record["properties"]["log"]) if audit else {}


def candidates(data):
    """Records that hold the literal: lines, or messages where the file is one line of CloudWatch payloads."""
    firehose = data.startswith(b'{"messageType"')
    start_mark, end_mark = (MESSAGE, b'}"}') if firehose else (b"\n", b"\n")
    done = 0
    while (at := data.find(LITERAL, done)) >= 0:
        start = data.rfind(start_mark, done, at)
        start = start + len(start_mark) if start >= 0 else done
        end = data.find(end_mark, at)
        end = len(data) if end < 0 else end + firehose
        yield b'"' + data[start:end] + b'"' if firehose else data[start:end]
        done = end


def prefiltered(path):
    import orjson
    from isal import igzip

    found = set()
    for text in candidates(igzip.decompress(path.read_bytes())):
        if text[:1].isdigit():
            text = text[text.index(b" ") + 1 :]
        record = orjson.loads(text)
        record = orjson.loads(record) if isinstance(record, str) else opened(record, orjson.loads)
        found.add(hit(record))
    return found


def documents(line):
    """The documents of a line; payloads of a subscription follow each other with nothing between."""
    decoder, at = json.JSONDecoder(), line.find("{")
    while 0 <= at < len(line):
        try:
            document, at = decoder.raw_decode(line, at)
        except ValueError:  # a line of another log
            return
        yield document


def plain(path):
    found = set()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            for document in documents(line.rstrip("\n")):
                if document.get("messageType") == "DATA_MESSAGE":
                    found.update(hit(json.loads(event["message"])) for event in document["logEvents"])
                elif "messageType" not in document:
                    found.add(hit(opened(document, json.loads)))
    return found


def main():
    work = {"prefiltered": prefiltered, "plain": plain}[sys.argv[1]]
    paths = [path for path in Path(sys.argv[2]).rglob("*") if path.is_file()]
    paths.sort(key=lambda path: -path.stat().st_size)
    with Pool(2) as pool:
        found = set().union(*pool.imap_unordered(work, paths)) - {None}
    counts = defaultdict(int)
    for namespace, user, _ in found:
        counts[namespace, user] += 1
    for (namespace, user), hits in sorted(counts.items()):
        print(namespace, user, hits, sep="\t")


if __name__ == "__main__":
    main()
