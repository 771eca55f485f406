"""Sweeps a dump on Apache Spark, and writes the reports that one machine would write.

    spark-submit --py-files stream_prefix.py kubesweep_spark.py --kubesweep ./kubesweep s3a://bucket/logs -o report

The driver lists the dump through Hadoop's file systems (s3a, abfss, gs, hdfs, file), Spark reads the files in
balanced partitions, largest first, and every task pipes its files as a tar into `kubesweep scan - --partial`: nothing
is copied to disk. Spark runs again what fails. The driver collects the partials and runs `kubesweep merge`.

Needs Python 3.9 or later and Spark 3.4 or later (tested with 4.3) in its classic form, not Spark Connect. `kubesweep`
is the static binary for the processor of driver and executors; stream_prefix.py stands beside this file, or a directory
above it, or is named by --py-files.

docs/spark.md has the command lines for EMR, Databricks, Dataproc, Synapse and a standalone cluster, and the limits.

Exit status: that of `kubesweep merge`; 2 where nothing was written.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pyspark import SparkFiles
from pyspark.sql import SparkSession

HERE = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
for place in (HERE, HERE.parent):
    if (place / "stream_prefix.py").exists():
        sys.path.insert(0, str(place))
        break
from stream_prefix import (  # noqa: E402
    END,
    Member,
    Problem,
    Window,
    add_times,
    header,
    one_line,
    padding,
    stands_for,
    window,
)

# Bytes of files that one task reads, unless --task-bytes says otherwise.
TASK_BYTES = 1 << 30
# A file costs its task this much beside its bytes (Spark's own default).
OPEN_COST = 4 << 20
# The usual one looks for checksums beside every file, and fails where a name has a colon, as those of GCS have.
RAW_LOCAL = "org.apache.hadoop.fs.RawLocalFileSystem"


def sweep(command: list[str], files: Iterable[tuple[Member, bytes]]) -> tuple[list[str], bytes] | None:
    """Runs the program over a tar of some files; gives their names, and the partial. Nothing for no files."""
    names: list[str] = []
    with tempfile.TemporaryDirectory() as place, open(f"{place}/stderr", "w+b") as errors:
        child: subprocess.Popen[bytes] | None = None
        try:
            for member, content in files:
                child = child or start(command, f"{place}/partial", errors)
                names.append(member.name)
                if not put(child, header(member), content, padding(len(content))):
                    break
            if child is None:
                return None
            put(child, END)
        finally:
            status = None if child is None else finish(child)
        errors.seek(0)
        # Status 3 is damage in the dump: the partial is there, and the merge will say so.
        if status not in (0, 3):
            raise RuntimeError(f"kubesweep ended with {status}: {errors.read().decode('utf-8', 'replace').strip()}")
        return names, Path(place, "partial").read_bytes()


def start(command: list[str], partial: str, errors: Any) -> subprocess.Popen[bytes]:
    """Starts `scan -`."""
    arguments = [command[0], "scan", "-", "-q", "--partial", partial, *command[1:]]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=errors)


def put(child: subprocess.Popen[bytes], *pieces: bytes) -> bool:
    """Writes to a child; false where it ended, whose status then says why."""
    assert child.stdin is not None
    try:
        for piece in pieces:
            child.stdin.write(piece)
    except BrokenPipeError:
        return False
    return True


def finish(child: subprocess.Popen[bytes]) -> int:
    """Closes the tar, and waits."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    return child.wait()


class Task:
    """What an executor does with a partition: rows of path and content."""

    def __init__(self, root: str, binary: str, options: list[str], shipped: dict[str, str]) -> None:
        """Is told what the driver knows."""
        self.root, self.binary, self.options, self.shipped = root, binary, options, shipped

    def __call__(self, rows: Iterable[Any]) -> Iterator[tuple[list[str], bytes]]:
        """Gives the names that were read, and the partial."""
        binary = SparkFiles.get(self.binary)
        os.chmod(binary, 0o755)
        options = [
            SparkFiles.get(self.shipped[option]) if option in self.shipped else option for option in self.options
        ]
        files = (self.file(row) for row in rows)
        done = sweep([binary, *options], files)
        if done is not None:
            yield done

    def file(self, row: Any) -> tuple[Member, bytes]:
        """A row as a member."""
        return Member(relative(row.path, self.root), row.path, len(row.content)), bytes(row.content)


def relative(path: str, root: str) -> str:
    """The name of a file: what stands behind the root, or its last component where it is the root."""
    return path[len(root) :].lstrip("/") if path != root else path.rsplit("/", 1)[-1]


class Dump:
    """The files below a URL, through Hadoop's file systems."""

    def __init__(self, spark: SparkSession, url: str) -> None:
        """Connects."""
        context: Any = spark.sparkContext
        self.jvm: Any = context._jvm
        try:
            path = self.jvm.org.apache.hadoop.fs.Path(url)
            self.files: Any = path.getFileSystem(context._jsc.hadoopConfiguration())
            self.root: str = self.files.makeQualified(path).toString().rstrip("/")
            self.members = sorted(self.list(path))
        except Exception as error:  # whatever a JVM throws
            raise Problem(f"{url} cannot be listed: {java(error)}") from error
        if not self.members:
            raise Problem(f"{url} holds no files; check the bucket and the prefix")

    def list(self, path: Any) -> Iterator[Member]:
        """Every file, those whose names begin with _ or . too, which Spark would pass over."""
        found = self.files.listFiles(path, True)
        while found.hasNext():
            status = found.next()
            place = status.getPath().toString()
            kind = tarfile.SYMTYPE if status.isSymlink() else tarfile.REGTYPE
            yield Member(relative(place, self.root), place, status.getLen(), kind)

    def read(self, member: Member) -> tuple[Member, bytes]:
        """One file, by the driver."""
        if member.kind != tarfile.REGTYPE:
            return member, b""
        stream = self.files.open(self.jvm.org.apache.hadoop.fs.Path(member.path))
        try:
            content = bytes(self.jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        except Exception as error:  # whatever a JVM throws
            raise Problem(f"{member.path} cannot be read: {java(error)}") from error
        finally:
            stream.close()
        return Member(member.name, member.path, len(content)), content


def java(error: Exception) -> str:
    """The message of an exception of a JVM, without its trace."""
    thrown: Any = getattr(error, "java_exception", None)
    return one_line(error) if thrown is None else " ".join(str(thrown.toString()).split())


def is_passed_over(member: Member) -> bool:
    """Whether Spark would leave a file out: by its name, because it is empty, or because it is no regular file."""
    parts = member.name.split("/")
    is_named = any(part.startswith((".", "_")) or part.endswith("._COPYING_") for part in parts)
    return is_named or member.size == 0 or member.kind != tarfile.REGTYPE


def on_executors(spark: SparkSession, dump: Dump, members: list[Member], task: Task, task_bytes: int) -> list[bytes]:
    """Sweeps files on the executors, and sees that all were read."""
    if not members:
        return []
    settings = {
        # Spark sorts files by size, largest first, and fills partitions up to this.
        "spark.sql.files.maxPartitionBytes": task_bytes,
        "spark.sql.files.openCostInBytes": OPEN_COST,
        "spark.sql.sources.parallelPartitionDiscovery.threshold": 10_000,
        # A dump is no table: files that cannot be read are failures.
        "spark.sql.files.ignoreCorruptFiles": "false",
        "spark.sql.files.ignoreMissingFiles": "false",
    }
    for key, value in settings.items():
        spark.conf.set(key, str(value))
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    # Names are no patterns; without this `[` and `{` in them would be.
    paths = [member.path for member in members]
    frame = reader.option("__globPaths__", "false").load(paths).select("path", "content")
    done = frame.rdd.mapPartitions(task).collect()
    read = sorted(name for names, _ in done for name in names)
    expected = sorted(member.name for member in members)
    if read != expected:
        differs = next(iter(sorted(set(read) ^ set(expected))), "a file twice")
        raise Problem(f"{differs}: the dump changed while it was read, or Spark passed it over; run it again")
    return [partial for _, partial in done]


def run(typed: argparse.Namespace, kept: Window, spark: SparkSession) -> int:
    """Sweeps and merges; gives the exit status."""
    dump = Dump(spark, typed.url)
    members = [stands_for(member, kept) for member in dump.members]
    options, shipped = scan_options(typed, spark)
    spark.sparkContext.addFile(str(Path(typed.kubesweep).resolve()))
    for place in (HERE, HERE.parent):
        if (place / "stream_prefix.py").exists():
            spark.sparkContext.addPyFile(str(place / "stream_prefix.py"))
            break
    task = Task(dump.root, Path(typed.kubesweep).name, options, shipped)
    own = [member for member in members if is_passed_over(member)]
    others = [member for member in members if not is_passed_over(member)]
    try:
        partials = on_executors(spark, dump, others, task, typed.task_bytes)
    except Problem:
        raise
    except Exception as error:  # whatever Spark throws
        raise Problem(f"a task failed {spark.conf.get('spark.task.maxFailures', '4')} times: {java(error)}") from error
    mine = sweep([typed.kubesweep, *options], (dump.read(member) for member in own))
    return merge(typed, options, partials + ([mine[1]] if mine else []), spark)


def scan_options(typed: argparse.Namespace, spark: SparkSession) -> tuple[list[str], dict[str, str]]:
    """Options of scan and merge, and those of their values that are files, which executors find by their names."""
    options, shipped = [], {}
    for name in ("since", "until", "as_of", "lookback", "context", "tune"):
        if getattr(typed, name):
            options += [f"--{name.replace('_', '-')}", getattr(typed, name)]
    for rules in typed.rules or []:
        options += ["--rules", rules]
    options += [flag for flag in ("--no-runbook", "--no-prune") if getattr(typed, flag[2:].replace("-", "_"))]
    for path in [*(typed.rules or []), typed.tune]:
        if path and os.path.exists(path):
            spark.sparkContext.addFile(str(Path(path).resolve()))
            shipped[path] = Path(path).resolve().name
    return options, shipped


def merge(typed: argparse.Namespace, options: list[str], partials: list[bytes], spark: SparkSession) -> int:
    """Writes the partials, and merges them; a report for a URL is made here and copied there."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(typed.partials or f"{place}/partials")
        home.mkdir(parents=True, exist_ok=True)
        for number, partial in enumerate(partials):
            (home / f"{number:05}.partial").write_bytes(partial)
        is_remote = "://" in typed.out
        out = f"{place}/report" if is_remote else typed.out
        command = [typed.kubesweep, "merge", str(home), "-o", out]
        command += [option for option in options if option != "--no-prune"]
        for name in ("group_by", "fail_on"):
            if getattr(typed, name):
                command += [f"--{name.replace('_', '-')}", getattr(typed, name)]
        status = subprocess.run(command, check=False).returncode
        if is_remote and os.path.isdir(out):
            copy(spark, out, typed.out)
        return status


def copy(spark: SparkSession, directory: str, url: str) -> None:
    """Copies the files of a directory, overwriting none."""
    context: Any = spark.sparkContext
    path_of = context._jvm.org.apache.hadoop.fs.Path
    try:
        files = path_of(url).getFileSystem(context._jsc.hadoopConfiguration())
        for name in sorted(os.listdir(directory)):
            out = files.create(path_of(f"{url.rstrip('/')}/{name}"), False)
            with open(f"{directory}/{name}", "rb") as file:
                while piece := file.read(1 << 20):
                    out.write(bytearray(piece))
            out.close()
    except Exception as error:  # whatever a JVM throws
        raise Problem(f"{url} cannot be written: {java(error)}") from error


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    text, _, more = (__doc__ or "").partition("\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("kubesweep_spark.py", description=text, epilog=more, formatter_class=form)
    parser.add_argument("url", metavar="URL", help="prefix or directory: s3a://, abfss://, gs://, hdfs://, file://")
    parser.add_argument("--kubesweep", metavar="FILE", required=True, help="the binary, on the driver")
    parser.add_argument(
        "-o", "--out", metavar="DIR", default="kubesweep-report", help="report directory, on the driver or a URL"
    )
    parser.add_argument("--partials", metavar="DIR", help="keep the partials in this empty directory, for other merges")
    parser.add_argument(
        "--task-bytes", type=int, default=TASK_BYTES, metavar="N", help="bytes per task [default: 1 GiB]"
    )
    same = parser.add_argument_group("as for kubesweep scan and merge")
    same.add_argument("-r", "--rules", action="append", metavar="R", help="a file, or builtin:all; repeatable")
    same.add_argument("--tune", metavar="FILE", help="suppressions, severities, registries, thresholds")
    same.add_argument("--no-runbook", action="store_true", help="no runbook and no verdicts")
    same.add_argument("--group-by", metavar="F,F", help="keys of summary.csv")
    same.add_argument("--fail-on", metavar="S", help="exit with 1 if an alert has this severity or verdict")
    add_times(parser)
    return parser


def main() -> int:
    """Runs the command line; gives the exit status."""
    typed = arguments().parse_args()
    spark: SparkSession | None = None
    try:
        if not os.path.isfile(typed.kubesweep):
            raise Problem(f"--kubesweep {typed.kubesweep} is no file; give the path of the static binary")
        if not os.access(typed.kubesweep, os.X_OK):
            # --files leaves no such permission.
            os.chmod(typed.kubesweep, 0o755)
        if directory := next(filter(os.path.isdir, typed.rules or []), None):
            raise Problem(f"--rules {directory} is a directory, which Spark ships to no executor; name its files")
        if typed.partials and os.path.isdir(typed.partials) and os.listdir(typed.partials):
            raise Problem(f"--partials {typed.partials} is not empty; its partials would be merged too")
        kept = window(typed)
        typed.kubesweep = str(Path(typed.kubesweep).resolve())
        builder = SparkSession.builder.appName("kubesweep").config("spark.hadoop.fs.file.impl", RAW_LOCAL)
        spark = builder.getOrCreate()
        return run(typed, kept, spark)
    except (Problem, RuntimeError, OSError) as problem:
        print(f"error: {one_line(problem)}", file=sys.stderr)
        return 2
    finally:
        if spark is not None:
            spark.stop()


if __name__ == "__main__":
    sys.exit(main())
