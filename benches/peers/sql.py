"""Runs the rule as SQL: `sql.py chdb|duckdb FILE.sql prefiltered|full DUMP` prints namespace, username and hits."""

import gzip
import sys
from pathlib import Path

# In place of a filter: every record is parsed.
FILTERS = {"prefiltered": "LIKE '%cronjobs%'", "full": "IS NOT NULL"}


def chdb(query):
    from chdb import query as run

    print(run(query, "TSV"), end="")


def duckdb(query):
    import duckdb as db

    db.execute("SET threads = 2; SET memory_limit = '4GB'")
    for row in db.execute(query).fetchall():
        print(*row, sep="\t")


def json_files(dump):
    paths = [path for path in Path(dump).rglob("*") if path.is_file()]
    return [str(path) for path in paths if gzip.open(path).read(1) == b"{"]


def main():
    engine, file, how, dump = sys.argv[1:]
    query = Path(file).read_text().replace("@FILTER", FILTERS[how]).replace("@DUMP", dump)
    if "@JSON_FILES" in query:
        query = query.replace("@JSON_FILES", str(json_files(dump)))
    {"chdb": chdb, "duckdb": duckdb}[engine](query)


if __name__ == "__main__":
    main()
