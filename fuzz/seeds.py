#!/usr/bin/env python3
"""Writes seeds for the fuzz targets, made of the fixtures and the built-in rules: seeds.py DIRECTORY."""
import json
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
out = pathlib.Path(sys.argv[1])


def seed(target, number, content):
    directory = out / target
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"seed-{number:03}").write_bytes(content)


inputs = sorted(path for path in (root / "fixtures/cases").glob("*/input/**/*") if path.is_file())
small = [path for path in inputs if path.stat().st_size < 6000]
for number, path in enumerate(small):
    content = path.read_bytes()
    seed("bytes", number, b"\x07" + content)
    seed("sweep", number, content)

# Records, as events and in the forms that are told apart by their members.
records = []
for path in small:
    for line in path.read_bytes().splitlines():
        if line.startswith(b"{") and line not in records:
            records.append(line)
for number, record in enumerate(records[:400]):
    seed("normalize", number, record)
    seed("prefilter", number, bytes([1, number % 256, number % 8, 128 + number % 128, 3, 9]) + b"\n" + record)
    seed("prefilter", 500 + number, bytes([0, 2, number % 16, 0, number % 12]) + b"\n" + record)

for number, path in enumerate(sorted((root / "src/rules").glob("*.yml"))):
    seed("rule", number, path.read_bytes())
for number, path in enumerate(sorted((root / "fixtures/sigma").rglob("*.yml"))):
    text = path.read_text()
    seed("rule", 500 + number, text.encode())
    seed("sigma", number, text[text.find("detection:"):].encode())

bodies = []
for record in records:
    try:
        body = json.loads(record).get("requestObject")
    except ValueError:
        continue
    if body and body not in bodies:
        bodies.append(body)
catalogue = (root / "src/indicators.yml").read_text()
entries = re.split(r"\n(?=\s*- id:)", catalogue)
for number, body in enumerate(bodies[:100]):
    text = json.dumps(body).encode()
    seed("indicators", number, text)
    seed("redact", number, text)
for number, entry in enumerate(entries[1:]):
    seed("indicators", 500 + number, b"{}\x00" + (entries[0] + "\n" + entry).encode())
for number, text in enumerate([
    "=1+1|+x|-y|@z|\t", "\x1b[31m|\x1b]8;;x|\x9b|\u202e|\u200b", "<script>|&lt;|\"'|]]>|</script>",
    "[a](b)|`x`|# h|\\|\n- y", "'|';|\\;|,|\r\n", "a|b|c|d|e", "*/5 * * * *|x|kube-system|kubectl/v1|curl x | sh",
]):
    seed("escaping", number, text.encode())
for number, text in enumerate([
    "curl -H 'Authorization: Bearer abc.def'", "mysql --password x -h y", "https://a:b@c/d", "-----BEGIN PRIVATE KEY-----",
    "eyJhbGciOiJI.eyJzdWIi.sig", "token=abc&x=y", '{"env":[{"name":"a","value":"b"}]}', "last-applied-configuration: {}",
]):
    seed("redact", 500 + number, text.encode())
