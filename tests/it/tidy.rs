//! Rules of this project that no lint checks: which module may use which, and where each crate may be used.

use std::fs;
use std::path::Path;

use crate::root;

/// Modules in the order data flows. A module may name only those before it, and any module not listed here.
const FLOW: [&str; 19] = [
    "discover",
    "decode",
    "frame",
    "unwrap",
    "normalize",
    "rule",
    "evaluate",
    "testing",
    "aggregate",
    "case",
    "partial",
    "sweep",
    "runbook",
    "redact",
    "report",
    "events",
    "verify",
    "progress",
    "cli",
];

/// Crates that may be used only in some files or folders.
const HOMES: [(&str, &str); 25] = [
    ("aho_corasick", "rule/literals"),
    ("rusqlite", "case"),
    ("minijinja", "report/html"),
    ("json_patch", "runbook/patch"),
    ("anstream", "cli/color"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli/manual"),
    ("bzip2", "decode"),
    ("liblzma", "decode"),
    ("sha2", "decode"),
    ("saphyr", "rule/yaml"),
    ("rayon", "threads"),
    ("indicatif", "progress"),
    ("flate2", "decode"),
    ("zstd", "decode spill"),
    ("tar", "decode"),
    ("zip", "decode"),
    ("walkdir", "discover"),
    ("apache_avro", "frame/avro"),
    ("parquet", "frame/columnar"),
    ("encoding_rs", "decode"),
    ("tempfile", "spill partial frame/columnar"),
    ("signal_hook", "cli/interrupt"),
    ("wide", "json/block"),
];

#[test]
fn dependencies_point_one_way() {
    each_source(&mut |file, text| {
        let module = file.split(['/', '.']).next().unwrap();
        let Some(own) = FLOW.iter().position(|name| *name == module) else { return };
        for later in &FLOW[own + 1..] {
            assert!(
                !text.contains(&format!("crate::{later}")),
                "src/{file} names crate::{later}, which comes after it"
            );
        }
    });
}

#[test]
fn each_crate_has_one_home() {
    each_source(&mut |file, text| {
        for (name, home) in HOMES {
            let used = text.contains(&format!("{name}::")) && !text.contains(&format!("self::{name}"));
            let at_home = home.split(' ').any(|home| file.starts_with(home));
            assert!(!used || at_home, "src/{file} names {name}, which lives in src/{home}");
        }
    });
}

#[test]
fn every_file_says_what_it_is() {
    each_source(&mut |file, text| assert!(text.starts_with("//!"), "src/{file} does not begin with //!"));
}

/// Each row of the threat model names a test that exists, and a file that does.
#[test]
fn the_threat_model_names_tests_and_files() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let mut tests = String::new();
    for entry in fs::read_dir(root().join("tests/it")).unwrap() {
        tests += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    let rows: Vec<Vec<&str>> = text.lines().filter(|line| line.starts_with("| ")).skip(2).map(cells).collect();
    assert!(rows.len() > 10, "the table is missing");
    for row in &rows {
        let &[what, guard, tested] = row.as_slice() else { panic!("a row of three cells: {row:?}") };
        let named: Vec<&str> = quoted(tested).collect();
        assert!(!named.is_empty(), "{what}: no test");
        for name in named {
            assert!(
                tests.contains(&format!("fn {name}(")) || name.contains('/') && root().join(name).is_file(),
                "{what}: there is no test {name}"
            );
        }
        for name in quoted(guard).filter(|name| name.contains('/') || name.contains(".toml")) {
            assert!(root().join(name).exists(), "{what}: there is no {name}");
        }
    }
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches(['|', ' ']).split(" | ").collect()
}

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The compiler forbids it in the library and in every other target of the package.
#[test]
fn no_unsafe_code() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("\n[lints.rust]\nunsafe_code = \"forbid\"\n"), "Cargo.toml forbids no unsafe code");
    each_source(&mut |file, text| assert!(!text.contains("unsafe {"), "src/{file} holds unsafe code"));
}

fn each_source(check: &mut dyn FnMut(&str, &str)) {
    fn visit(directory: &Path, check: &mut dyn FnMut(&str, &str)) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, check);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                // Unit tests may use anything.
                check(&name, text.split("#[cfg(test)]").next().unwrap());
            }
        }
    }
    visit(&root().join("src"), check);
}
