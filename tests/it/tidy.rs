//! The house rules that no lint knows: which module may see which, and which crate lives where.

use std::fs;
use std::path::Path;

use crate::root;

/// Modules in the order data flows; a module may name those before it, and these from anywhere.
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

/// Crates that live in one file or folder, or in some.
const HOMES: [(&str, &str); 22] = [
    ("aho_corasick", "rule/literals"),
    ("rusqlite", "case"),
    ("minijinja", "report/html"),
    ("json_patch", "runbook/patch"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli/manual"),
    ("bzip2", "decode"),
    ("liblzma", "decode"),
    ("sha2", "decode"),
    ("saphyr", "rule/yaml"),
    ("rayon", "sweep"),
    ("indicatif", "progress"),
    ("flate2", "decode"),
    ("zstd", "decode spill"),
    ("tar", "decode"),
    ("zip", "decode"),
    ("walkdir", "discover"),
    ("apache_avro", "frame/avro"),
    ("encoding_rs", "decode"),
    ("tempfile", "spill partial"),
    ("signal_hook", "cli/interrupt"),
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

fn each_source(check: &mut dyn FnMut(&str, &str)) {
    fn visit(directory: &Path, check: &mut dyn FnMut(&str, &str)) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, check);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                // Unit tests may use what they like.
                check(&name, text.split("#[cfg(test)]").next().unwrap());
            }
        }
    }
    visit(&root().join("src"), check);
}
