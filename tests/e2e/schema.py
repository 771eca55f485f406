"""Every report of every case and of the dumps against docs/schema. A member that the schema lacks is an error."""

import json
import pathlib
import subprocess
import sys
import tempfile

from jsonschema import Draft202012Validator

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBESWEEP = pathlib.Path(sys.argv[1]).resolve()
SCHEMAS = {}
for file in sorted((ROOT / "docs/schema").glob("*.schema.json")):
    schema = json.loads(file.read_text())
    Draft202012Validator.check_schema(schema)
    SCHEMAS[file.name.removesuffix(".schema.json")] = Draft202012Validator(
        schema, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def closed(schema):
    """Whether every object of a schema refuses what it does not name."""
    if isinstance(schema, list):
        return all(map(closed, schema))
    if not isinstance(schema, dict):
        return True
    open_object = schema.get("type") == "object" and schema.get("additionalProperties") is not False
    return not open_object and all(map(closed, schema.values()))


def problems(out):
    """What is wrong with the reports in a directory, and how many documents were looked at."""
    found, count = [], 0
    for name, validator in SCHEMAS.items():
        file = out / name
        if not file.exists():
            continue
        text = file.read_text()
        documents = text.splitlines() if name.endswith(".jsonl") else [text]
        for document in documents:
            count += 1
            for error in validator.iter_errors(json.loads(document)):
                found.append(f"{name} {error.json_path}: {error.message[:300]}")
    return found, count


def scan(arguments, directory, out):
    run = subprocess.run([KUBESWEEP, *arguments, "-q"], cwd=directory, capture_output=True, text=True)
    assert run.returncode in (0, 1, 3), f"{arguments}: {run.stderr}"
    return problems(out)


total, wrong = 0, []
assert len(SCHEMAS) == 3 and all(closed(validator.schema) for validator in SCHEMAS.values())
with tempfile.TemporaryDirectory() as temporary:
    runs = []
    for case in sorted((ROOT / "fixtures/cases").iterdir()):
        if (case / "cmd").exists():
            runs.append((case, (case / "cmd").read_text().split()))
    everything = ["scan", "fixtures/dumps", "fixtures/oracle", "fixtures/cases", "-r", "builtin:all", "--deep", "-o", "out"]
    runs.append((ROOT, [*everything, "--group-by", "cluster,platform,account,region,name,verb"]))
    runs.append((ROOT, [*everything, "--group-by", "rule_id,severity,trusted_ip,user_agent,namespace"]))
    runs.append((ROOT, ["scan", "fixtures/dumps", "--no-runbook", "-o", "out"]))
    for number, (directory, words) in enumerate(runs):
        out = pathlib.Path(temporary) / str(number)
        found, count = scan([str(out) if word == "out" else word for word in words], directory, out)
        total += count
        wrong += [f"{directory.name}: {problem}" for problem in found]
    # Reports that say that they are incomplete.
    part, out = pathlib.Path(temporary) / "part", pathlib.Path(temporary) / "merged"
    scan(["scan", "fixtures/dumps", "--shard", "0/2", "--partial", str(part)], ROOT, out)
    found, count = scan(["merge", str(part), "--allow-missing", "-o", str(out)], ROOT, out)
    assert json.loads((out / "report.json").read_text())["complete"] is False
    total += count
    wrong += [f"merge: {problem}" for problem in found]
for problem in wrong[:40]:
    print(problem)
assert total > 1000, f"only {total} documents"
print(f"{total} documents, {len(wrong)} problems")
sys.exit(bool(wrong))
