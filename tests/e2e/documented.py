"""Takes the shell commands out of Markdown: documented.py DIRECTORY PAGE...

DIRECTORY gets a file per command, by number, as the page has it, and `index`: number, page, number of the block, and
the command in one line, separated by tabs. Commands are those of `sh` blocks and of the examples that `--help` prints.
"""

import pathlib
import re
import subprocess
import sys


def is_whole(text: str) -> bool:
    """Whether a shell would run this and not wait for more."""
    if text.endswith("\\\n"):
        return False
    run = subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False)
    return run.returncode == 0 and b"here-document" not in run.stderr


def commands(block: str) -> list[str]:
    """The commands of a block, each with all of its lines."""
    found, text = [], ""
    for line in block.splitlines(keepends=True):
        if not text and (not line.strip() or line.lstrip().startswith("#")):
            continue
        text += line
        if is_whole(text):
            found.append(text)
            text = ""
    assert not text, f"a command without an end: {text}"
    return found


def blocks(page: pathlib.Path) -> list[str]:
    """The blocks of a page that hold commands."""
    text = page.read_text()
    found = [body for _, body in re.findall(r"^```(sh|bash|shell)\n(.*?)^```$", text, re.M | re.S)]
    return found + re.findall(r"^Examples:\n((?:  .*\n)+)", text, re.M)


directory = pathlib.Path(sys.argv[1])
index: list[str] = []
for page in sys.argv[2:]:
    for number, block in enumerate(blocks(pathlib.Path(page))):
        for command in commands(block):
            (directory / str(len(index))).write_text(command)
            line = " ".join(command.replace("\\\n", " ").split())
            index.append(f"{len(index)}\t{page}\t{number}\t{line}\n")
(directory / "index").write_text("".join(index))
