"""The rule in Polars, streaming: `polars_rule.py prefiltered|full DUMP` prints namespace, username and hits."""

import os
import sys

os.environ.setdefault("POLARS_MAX_THREADS", "2")

import polars as pl
from polars import Int64, String, Struct, col, when

from rule import SYSTEM_NAMESPACES, SYSTEM_PREFIXES, VERBS

# Both forms at once; what is not in a record is null.
RECORD = Struct({
    "verb": String,
    "auditID": String,
    "insertId": String,
    "user": Struct({"username": String}),
    "objectRef": Struct({"resource": String, "subresource": String, "namespace": String}),
    "responseStatus": Struct({"code": Int64}),
    "protoPayload": Struct({
        "methodName": String,
        "resourceName": String,
        "authenticationInfo": Struct({"principalEmail": String}),
        "status": Struct({"code": Int64}),
    }),
})
AZURE = Struct({"category": String, "properties": Struct({"log": String})})


def decoded(text, schema):
    return text.str.json_decode(schema)


def at(record, *path):
    for key in path:
        record = record.struct.field(key)
    return record


def texts(lines, wanted):
    """Texts of events: lines without their time, logs of AKS, messages of CloudWatch payloads."""
    line, message = col("line"), col("message")
    is_firehose = line.str.starts_with('{"messageType"')
    is_azure = line.str.contains(r'^\{\s*"(category|time|operationName|resourceId|serviceBuild|properties)"')
    azure = decoded(line, AZURE).alias("azure")
    is_audit = at(col("azure"), "category").is_in(["kube-audit", "kube-audit-admin"])
    messages = line.str.split('"message":"').list.slice(1).alias("message")
    # Quotes inside a message are escaped, so that this is the end of the event and of its string.
    string = pl.concat_str(pl.lit('{"m":"'), message.str.extract(r'^((?s:.*?)\})"\}', 1), pl.lit('"}'))
    return pl.concat([
        lines.filter(~is_firehose & ~is_azure).select(text=line.str.replace(r"^\d\S+ ", "")),
        lines.filter(is_azure).select(azure).filter(is_audit).select(text=at(col("azure"), "properties", "log")),
        lines.filter(is_firehose).select(messages).explode("message").filter(wanted(message))
        .select(text=at(decoded(string, Struct({"m": String})), "m")),
    ])


def fields(records):
    record = col("record")
    payload = at(record, "protoPayload")
    method = at(payload, "methodName")
    path = at(payload, "resourceName").str.split("/")
    part = lambda index: path.list.get(index, null_on_oob=True)
    either = lambda gke, native: when(method.is_not_null()).then(gke).otherwise(native)
    return records.select(
        verb=either(method.str.extract(r"([^.]*)$", 1), at(record, "verb")),
        resource=either(part(4).fill_null(part(2)), at(record, "objectRef", "resource")),
        subresource=either(part(6), at(record, "objectRef", "subresource")).fill_null(""),
        namespace=either(when(part(2) == "namespaces").then(part(3)), at(record, "objectRef", "namespace")).fill_null(""),
        username=either(at(payload, "authenticationInfo", "principalEmail"), at(record, "user", "username")).fill_null(""),
        code=either(at(payload, "status", "code"), at(record, "responseStatus", "code")).fill_null(0),
        id=either(at(record, "insertId"), at(record, "auditID")),
    )


def is_hit():
    user = col("username")
    prefixed = pl.any_horizontal(user.str.starts_with(prefix) for prefix in SYSTEM_PREFIXES)
    is_system = (user == "aksService") | prefixed | (user.str.starts_with("system:") & ~user.str.contains("serviceaccount", literal=True))
    return (
        col("verb").is_in(list(VERBS))
        & (col("resource") == "cronjobs")
        & (col("subresource") != "status")
        & (col("code") < 400)
        & ~col("code").is_between(1, 16)
        & ~(col("namespace").is_in(list(SYSTEM_NAMESPACES)) & is_system)
    )


def main():
    how, dump = sys.argv[1:]
    filters = {
        "prefiltered": lambda text: text.str.contains("cronjobs", literal=True),
        "full": lambda text: text.is_not_null(),
    }
    wanted = filters[how]
    lines = pl.scan_lines(f"{dump}/**/*", name="line").filter(wanted(col("line")))
    records = texts(lines, wanted).select(record=decoded(col("text"), RECORD))
    groups = fields(records).filter(is_hit()).group_by("namespace", "username").agg(hits=col("id").n_unique())
    for row in groups.collect(engine="streaming").sort("namespace", "username").rows():
        print(*row, sep="\t")


if __name__ == "__main__":
    main()
