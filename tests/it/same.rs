//! The same input gives the same bytes, whatever the threads, locale, time zone, umask, directory, and the order in
//! which the files were created; hash seeds differ with every run.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root;

/// Members of run.json that describe the run, not the dump.
const OF_THE_RUN: [&str; 6] = ["arguments", "start", "end", "seconds", "bytes_per_second", "records_per_second"];

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The fixtures, copied in one order or the other, and their reports.
fn swept(backwards: bool, words: &str, options: &str) -> (tempfile::TempDir, PathBuf) {
    let here = tempfile::tempdir().unwrap();
    let dumps = root().join("fixtures/dumps");
    let mut sources = files(&dumps);
    if backwards {
        sources.reverse();
    }
    for source in sources {
        let copy = here.path().join("dump").join(source.strip_prefix(&dumps).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(source, copy).unwrap();
    }
    let (binary, place) = (env!("CARGO_BIN_EXE_kubesweep"), here.path().display());
    let line = format!("{words} exec '{binary}' scan '{place}/dump' -o '{place}/out' -q -r builtin:all {options}");
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    let out = here.path().join("out");
    (here, out)
}

#[test]
fn same_input_same_bytes() {
    let (_kept, one) = swept(false, "cd /; umask 077; export LC_ALL=C TZ=UTC;", "-j1");
    let there = "cd /tmp; umask 000; export LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8 TZ=Asia/Kathmandu COLUMNS=20;";
    let (_kept_too, other) = swept(true, there, "-j7");
    let names: Vec<PathBuf> = files(&one).into_iter().map(|file| file.file_name().unwrap().into()).collect();
    assert!(names.len() == 13 && files(&other).len() == 13);
    for name in names.iter().filter(|name| *name != Path::new("run.json")) {
        assert!(fs::read(one.join(name)).unwrap() == fs::read(other.join(name)).unwrap(), "{}", name.display());
    }
    let run = |out: &Path| {
        let mut run: serde_json::Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
        let members = run.as_object_mut().unwrap();
        assert!(OF_THE_RUN.iter().all(|member| members.remove(*member).is_some()));
        run
    };
    assert_eq!(run(&one), run(&other));
}
