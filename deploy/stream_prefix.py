#!/usr/bin/env python3
"""Writes a tar of an object-store prefix to standard output, for `kubesweep scan -`: no copy on disk.

    stream_prefix.py s3://bucket/logs | kubesweep scan - -o report
    stream_prefix.py abfs://insights-logs-kube-audit@account.dfs.core.windows.net | kubesweep scan - --partial 0.partial
    stream_prefix.py gs://bucket --since 2026-11-01 | kubesweep scan - --since 2026-11-01 -o report

It takes any URL that fsspec knows: s3:// needs the package s3fs, abfs:// adlfs, gs:// gcsfs; file:// nothing more. They
find credentials as the tools of their clouds do; their settings come from the environment too
(FSSPEC_S3='{"requester_pays": true}', see fsspec's "Configuration").

Members are named by what stands behind the prefix, and are in the order of their names. Options on time are those of
`kubesweep scan`: give both the same ones. A file whose path proves it outside the window is not fetched; a member
without content, not a regular file, stands for it, so that reports name it, with 0 bytes. Ranges are read ahead by
`--parallel` threads; at most two ranges of 8 MiB for each are held in memory, and one more.

Exit status: 0 all written; 1 writing stopped, and the tar ends inside a member, which kubesweep reports as damage;
2 nothing written: arguments, a prefix that cannot be listed or is empty. Let the shell see it: `set -o pipefail`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import stat
import sys
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, BinaryIO

# Bytes that one request fetches.
RANGE = 8 << 20
# How far outside the window a path must date its file: PRUNE_MARGIN of src/discover.rs, whose rules these are.
MARGIN = timedelta(hours=24)
EPOCH = datetime(1, 1, 1, tzinfo=timezone.utc)


class Problem(Exception):
    """One sentence that a person can act on."""


@dataclass(frozen=True)
class Window:
    """A span of event times, either end open."""

    start: datetime | None = None
    end: datetime | None = None

    def excludes(self, name: str) -> bool:
        """Whether the path of a file proves that it lies outside."""
        span = dates(name)
        if span is None:
            return False
        before = self.start is not None and span[1] + MARGIN <= self.start
        return before or (self.end is not None and span[0] - MARGIN >= self.end)


@dataclass(frozen=True, order=True)
class Member:
    """A file of the tar."""

    name: str
    # Where it is read from.
    path: str
    size: int
    kind: bytes = tarfile.REGTYPE


def dates(name: str) -> tuple[datetime, datetime] | None:
    """The hour or day that a path proves for its file; None where it proves none."""
    parts = name.split("/")
    found = [dated for at in range(len(parts)) if (dated := date_at(parts[at : at + 4])) is not None]
    if not found or any(day != found[0][0] for day, _, _ in found[1:]):
        return None
    day, hour, keyed = found[0]
    if not keyed and hour is None and not any("audit.googleapis.com" in part for part in parts):
        return None
    start = datetime(day.year, day.month, day.day, hour or 0, tzinfo=timezone.utc)
    return start, start + (timedelta(days=1) if hour is None else timedelta(hours=1))


def date_at(parts: list[str]) -> tuple[date, int | None, bool] | None:
    """The date at the start of some path segments, its hour, and whether keys name them."""
    for key in ("dt=", "date=", "eventDay="):
        if parts[0].startswith(key):
            match = re.fullmatch(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})", parts[0][len(key) :])
            day = match and civil(match[1], match[3], match[4])
            return (day, None, True) if day else None
    for keys in (("y=", "m=", "d=", "h="), ("year=", "month=", "day=", "hour="), ("", "", "", "")):
        texts = [part[len(key) :] if part.startswith(key) else "" for part, key in zip(parts, keys)]
        fits = [re.fullmatch(r"[0-9]{4}" if at == 0 else r"[0-9]{2}", text) for at, text in enumerate(texts)]
        day = civil(*texts[:3]) if len(texts) >= 3 and all(fits[:3]) else None
        if day:
            hour = int(texts[3]) if len(texts) > 3 and fits[3] and int(texts[3]) < 24 else None
            return day, hour, bool(keys[0])
    return None


def civil(year: str, month: str, day: str) -> date | None:
    """A date, if there is such a day."""
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def span(text: str, option: str) -> timedelta:
    """A span of days and smaller units."""
    match = re.fullmatch(r"(?:(\d+)d)? ?(?:(\d+)h)? ?(?:(\d+)m)? ?(?:(\d+)s)?", text.strip())
    if not match or not any(match.groups()):
        raise Problem(f"{option} {text}: write a span such as 30d or 24h")
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def moment(text: str, option: str, now: datetime | None) -> datetime:
    """A time, a date (its midnight, UTC), or a span back from `now`."""
    try:
        time = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
        return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    except ValueError:
        if now is None:
            raise Problem(f"{option} {text}: write a time (2026-11-24T03:00:00Z) or a date (2026-11-24)") from None
    try:
        return now - span(text, option)
    except Problem:
        forms = "a time (2026-11-24T03:00:00Z), a date (2026-11-24) or a span (30d, 24h)"
        raise Problem(f"{option} {text}: write {forms}") from None


def add_times(parser: argparse.ArgumentParser) -> None:
    """The options on time of `kubesweep scan`."""
    times = parser.add_argument_group("time, as for kubesweep scan")
    times.add_argument("--since", metavar="T", help="first moment: a time, a date, or a span back from --as-of")
    times.add_argument("--until", metavar="T", help="first moment behind")
    times.add_argument("--as-of", metavar="T", help='the "now" of spans [default: the clock]')
    times.add_argument("--lookback", metavar="SPAN", default="30d", help="history before --since [default: 30d]")
    times.add_argument("--context", metavar="SPAN", default="24h", help="context before --since [default: 24h]")
    times.add_argument("--no-prune", action="store_true", help="read files too whose path proves them outside")


def window(typed: argparse.Namespace) -> Window:
    """What is read for the options on time: their window, and the history before it."""
    now = moment(typed.as_of, "--as-of", None) if typed.as_of else datetime.now(timezone.utc)
    history = max(span(typed.lookback, "--lookback"), span(typed.context, "--context"))
    start = moment(typed.since, "--since", now) if typed.since else None
    end = moment(typed.until, "--until", now) if typed.until else None
    if start and end and start >= end:
        raise Problem(f"--since {typed.since} is not before --until {typed.until}")
    if typed.no_prune:
        return Window()
    return Window(start and (start - history if start - EPOCH > history else EPOCH), end)


def in_shard(name: str, index: int, count: int) -> bool:
    """Whether a file is in a share, by the hash of `kubesweep scan --shard`."""
    printed = re.sub("[\udc80-\udcff]", lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02X}", name)
    return int.from_bytes(hashlib.sha256(printed.encode("utf-8", "replace")).digest()[:8], "big") % count == index


def shard(text: str) -> tuple[int, int]:
    """Reads I/N."""
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise Problem(f"--shard {text}: write its number, from 0, and how many there are, for instance 0/16")
    return int(match[1]), int(match[2])


def header(member: Member) -> bytes:
    """What stands before a member's bytes, equal on every machine."""
    info = tarfile.TarInfo(member.name)
    info.type = member.kind
    info.size = member.size if member.kind == tarfile.REGTYPE else 0
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """What stands behind so many bytes."""
    return bytes(-size % tarfile.BLOCKSIZE)


# Two zero blocks end a tar.
END = bytes(2 * tarfile.BLOCKSIZE)


def stands_for(member: Member, kept: Window) -> Member:
    """The member, or what stands for one that is not fetched."""
    is_pruned = member.kind == tarfile.REGTYPE and kept.excludes(member.name)
    return Member(member.name, member.path, 0, tarfile.FIFOTYPE) if is_pruned else member


def local(root: str) -> Iterator[Member]:
    """Files below a directory, as kubesweep walks it: links are told, not followed."""
    for directory, directories, files in os.walk(root, onerror=refuse):
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        for name in files + links:
            path = os.path.join(directory, name)
            meta = os.lstat(path)
            link = tarfile.SYMTYPE if stat.S_ISLNK(meta.st_mode) else tarfile.FIFOTYPE
            kind = tarfile.REGTYPE if stat.S_ISREG(meta.st_mode) else link
            yield Member(os.path.relpath(path, root), path, meta.st_size, kind)


def refuse(error: OSError) -> None:
    """A directory that cannot be listed is no empty one."""
    raise error


def remote(store: Any, root: str) -> Iterator[Member]:
    """Objects below a prefix; markers of folders are none."""
    for path, info in store.find(root, detail=True).items():
        name = path[len(root.rstrip("/")) :].lstrip("/") or path.rsplit("/", 1)[-1]
        if info.get("type") != "directory" and not path.endswith("/"):
            yield Member(name, path, int(info["size"] or 0))


def listing(url: str) -> tuple[Any, list[Member]]:
    """The file system of a URL, and what lies below it, by name."""
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError:
        raise Problem("fsspec is not installed; pip install fsspec, and s3fs, adlfs or gcsfs for your cloud") from None
    try:
        store, root = fsspec.core.url_to_fs(url)
        is_local = "file" in (store.protocol if isinstance(store.protocol, tuple) else (store.protocol,))
        members = sorted(local(root) if is_local and os.path.isdir(root) else remote(store, root))
    except Exception as error:  # whatever the package of a cloud throws
        raise Problem(f"{url} cannot be listed: {one_line(error)}") from error
    if not members:
        raise Problem(f"{url} holds no files; check the bucket and the prefix")
    return store, members


def one_line(error: BaseException) -> str:
    """A message of somebody else's, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def fetch(store: Any, member: Member, start: int) -> bytes:
    """One range of a file."""
    end = min(start + RANGE, member.size)
    try:
        data: bytes = store.cat_file(member.path, start=start, end=end)
    except Exception as error:  # whatever the package of a cloud throws
        raise Problem(f"{member.path}: bytes {start} to {end} cannot be read: {one_line(error)}") from error
    if len(data) != end - start:
        raise Problem(f"{member.path}: {len(data)} bytes came for {start} to {end}; it changed since it was listed")
    return data


def write(store: Any, members: Iterable[Member], parallel: int, out: BinaryIO) -> None:
    """Writes the tar, fetching ahead of what is written."""
    ahead: deque[tuple[Member, Future[bytes] | None, bool]] = deque()

    def put() -> None:
        member, data, is_first = ahead.popleft()
        # Before the bytes: what cannot be read is then a member that is cut, not one that is missing.
        if is_first:
            out.write(header(member))
            out.flush()
        if data is not None:
            out.write(data.result())

    with ThreadPoolExecutor(parallel) as pool:
        try:
            for member in members:
                size = member.size if member.kind == tarfile.REGTYPE else 0
                for start in range(0, max(size, 1), RANGE):
                    job = pool.submit(fetch, store, member, start) if size else None
                    ahead.append((member, job, start == 0))
                    if len(ahead) > 2 * parallel:
                        put()
                ahead.append((member, done(padding(size)), False))
            while ahead:
                put()
        finally:
            for _, job, _ in ahead:
                if job is not None:
                    job.cancel()
    out.write(END)
    out.flush()


def done(data: bytes) -> Future[bytes]:
    """Bytes that need no fetching."""
    future: Future[bytes] = Future()
    future.set_result(data)
    return future


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    text, _, more = (__doc__ or "").partition("\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("stream_prefix.py", description=text, epilog=more, formatter_class=form)
    parser.add_argument("url", metavar="URL", help="prefix or directory: s3://, abfs://, gs://, file:// or a path")
    parser.add_argument("--parallel", type=int, default=8, metavar="N", help="ranges fetched at once [default: 8]")
    parser.add_argument("--shard", metavar="I/N", help="only this share, by the hash of kubesweep scan --shard")
    add_times(parser)
    return parser


def main() -> int:
    """Runs the command line; gives the exit status."""
    typed = arguments().parse_args()
    try:
        kept = window(typed)
        share = shard(typed.shard) if typed.shard else (0, 1)
        if typed.parallel < 1:
            raise Problem("--parallel must be at least 1")
        if sys.stdout.isatty():
            raise Problem("a tar goes to standard output; pipe it into kubesweep scan -")
        store, members = listing(typed.url)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    try:
        chosen = (stands_for(member, kept) for member in members if in_shard(member.name, *share))
        write(store, chosen, typed.parallel, sys.stdout.buffer)
    except BrokenPipeError:
        # Nothing can be flushed any more, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("error: the program that reads the tar ended before it did", file=sys.stderr)
        return 1
    except (Problem, OSError) as problem:
        print(f"error: {one_line(problem)}; the tar is cut there", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
