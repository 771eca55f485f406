"""Puts the files of a directory below a prefix of an object store: stream_seed.py DIRECTORY URL."""

import os
import sys

import fsspec

directory, url = sys.argv[1:]
store, root = fsspec.core.url_to_fs(url)
bucket = root.split("/", 1)[0]
if not store.exists(bucket):
    store.mkdir(bucket)
for place, _, files in os.walk(directory):
    for name in files:
        path = os.path.join(place, name)
        with open(path, "rb") as file:
            store.pipe_file(f"{root}/{os.path.relpath(path, directory)}", file.read())
