//! Many machines: shares and streams, merged, equal one run; whatever does not belong to it is refused by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{kubesweep, reports, root};

#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (reports(one), reports(other));
    assert!(one.len() > 8);
    assert!(one.keys().eq(other.keys()), "{:?} {:?}", one.keys(), other.keys());
    for (name, content) in &one {
        assert!(*content == other[name], "{name} differs");
    }
}

/// A place for partials and reports of one dump.
struct Fleet {
    here: tempfile::TempDir,
    dump: PathBuf,
    options: Vec<&'static str>,
}

impl Fleet {
    fn new(dump: &str, options: &[&'static str]) -> Self {
        Fleet { here: tempfile::tempdir().unwrap(), dump: root().join(dump), options: options.to_vec() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.here.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> crate::Run {
        kubesweep(self.here.path(), &[arguments, &self.options].concat())
    }

    fn scan(&self, arguments: &[&str]) -> crate::Run {
        self.run(&[&["scan", self.dump.to_str().unwrap(), "-q"], arguments].concat())
    }

    fn shard(&self, index: usize, count: usize) -> String {
        let file = format!("{index}-of-{count}");
        let run = self.scan(&["--shard", &format!("{index}/{count}"), "--partial", &file]);
        assert!(run.exit == 0 || run.exit == 3, "{}", run.stderr);
        file
    }

    fn merge(&self, partials: &[String], out: &str) -> crate::Run {
        let partials: Vec<&str> = partials.iter().map(String::as_str).collect();
        self.run(&[&["merge", "-q", "-o", out, "--force"], &partials[..]].concat())
    }

    fn refuse(&self, partials: &[String]) -> String {
        let run = self.merge(partials, "refused");
        assert_eq!(run.exit, 2, "{}", run.stderr);
        assert!(!self.path("refused/run.json").exists());
        run.stderr
    }
}

fn merged_shares_are_one_run(dump: &str, options: &[&'static str], counts: &[usize]) {
    let fleet = Fleet::new(dump, options);
    let once = fleet.scan(&["-o", "once"]);
    for &count in counts {
        let mut partials: Vec<String> = (0..count).map(|index| fleet.shard(index, count)).collect();
        partials.reverse();
        let merged = fleet.merge(&partials, "merged");
        assert_eq!(merged.exit, once.exit, "{}", merged.stderr);
        assert_same(&fleet.path("once"), &fleet.path("merged"));
    }
}

#[test]
fn shares_of_the_dumps_are_one_run() {
    merged_shares_are_one_run("fixtures/dumps", &[], &[1, 2, 5, 16]);
}

#[test]
fn shares_of_all_cases_are_one_run() {
    // With thresholds, copies across files, damage, and rules of every kind.
    merged_shares_are_one_run("fixtures/cases", &["--rules", "builtin:all"], &[2, 5]);
}

#[test]
fn shares_of_a_window_are_one_run() {
    let window = ["--since", "2d", "--until", "2026-11-24T04:00:00Z", "--as-of", "2026-11-24T05:00:00Z"];
    let lookback = [&window[..], &["--lookback", "20d", "--context", "12h"]].concat();
    merged_shares_are_one_run("fixtures/dumps", &lookback, &[3]);
    merged_shares_are_one_run("fixtures/dumps", &["--no-runbook"], &[3]);
}

#[test]
fn a_partial_is_the_same_whatever_the_threads() {
    let fleet = Fleet::new("fixtures/dumps", &[]);
    for threads in ["-j1", "-j8"] {
        fleet.scan(&["--shard", "1/3", "--partial", threads.trim_start_matches('-'), threads]);
    }
    assert!(fs::read(fleet.path("j1")).unwrap() == fs::read(fleet.path("j8")).unwrap());
}

#[test]
fn missing_and_doubled_partials_are_named() {
    let fleet = Fleet::new("fixtures/dumps", &[]);
    let mut partials: Vec<String> = (0..5).map(|index| fleet.shard(index, 5)).collect();
    fs::copy(fleet.path(&partials[1]), fleet.path("again")).unwrap();
    let doubled = fleet.refuse(&[&partials[..], &["again".to_owned()]].concat());
    assert_eq!(doubled, "error: partial again: is share 1/5, and so is 1-of-5; name one of them\n");
    partials.remove(3);
    partials.remove(1);
    let missing = fleet.refuse(&partials);
    let told = "2 of 5 partials missing: 1/5, 3/5";
    assert!(missing.starts_with(&format!("error: {told}; name them too, or --allow-missing")), "{missing}");
    let names: Vec<&str> = partials.iter().map(String::as_str).collect();
    let allowed = fleet.run(&[&["merge", "--allow-missing", "-o", "allowed"], &names[..]].concat());
    assert_eq!(allowed.exit, 3, "{}", allowed.stderr);
    assert!(allowed.stderr.contains(&format!("warning: {told}; the reports are incomplete")), "{}", allowed.stderr);
    assert!(fleet.path("allowed/run.json").exists());
}

#[test]
fn a_directory_stands_for_its_partials() {
    let fleet = Fleet::new("fixtures/dumps/self-managed", &[]);
    fs::create_dir(fleet.path("parts")).unwrap();
    assert!(fleet.refuse(&["parts".to_owned()]).contains("parts holds no partials"));
    for index in 0..3 {
        fs::rename(fleet.path(&fleet.shard(index, 3)), fleet.path("parts").join(index.to_string())).unwrap();
    }
    // Left by a machine that was killed.
    fs::write(fleet.path("parts/.kubesweep-partial-x"), "half").unwrap();
    assert_eq!(fleet.merge(&["parts".to_owned()], "merged").exit, 0);
    fleet.scan(&["-o", "once"]);
    assert_same(&fleet.path("once"), &fleet.path("merged"));
    // Other files next to them are skipped, unless they are named.
    fs::create_dir(fleet.path("parts/lost+found")).unwrap();
    fs::write(fleet.path("parts/README"), "mine").unwrap();
    fs::write(fleet.path("parts/notes"), "mine".repeat(100)).unwrap();
    assert_eq!(fleet.merge(&["parts".to_owned()], "beside").exit, 0);
    assert_same(&fleet.path("once"), &fleet.path("beside"));
    for name in ["README", "notes"] {
        assert!(fleet.refuse(&[format!("parts/{name}")]).contains(&format!("partial parts/{name}: is not a partial")));
    }
}

/// Partials of streams have no shares that could be missing.
#[test]
fn a_damaged_partial_in_a_directory_is_refused() {
    let fleet = Fleet::new("fixtures/dumps/self-managed", &[]);
    fs::create_dir(fleet.path("parts")).unwrap();
    let whole = fs::read(fleet.path(&fleet.shard(0, 1))).unwrap();
    let flipped = |at: usize| [&whole[..at], &[whole[at] ^ 1], &whole[at + 1..]].concat();
    for damaged in [vec![], whole[..5].to_vec(), whole[..100].to_vec(), flipped(0), flipped(10), flipped(100)] {
        fs::write(fleet.path("parts/damaged"), damaged).unwrap();
        let told = fleet.refuse(&["parts".to_owned()]);
        assert!(told.starts_with("error: partial parts/damaged: "), "{told}");
    }
}

#[test]
fn foreign_partials_are_refused_by_name() {
    let fleet = Fleet::new("fixtures/dumps/self-managed", &[]);
    let own = fleet.shard(0, 2);
    let foreign = |name: &str, arguments: &[&str], sentence: &str| {
        let run = fleet.scan(&[&["--partial", name], arguments].concat());
        assert_eq!(run.exit, 0, "{}", run.stderr);
        let refused = fleet.refuse(&[own.clone(), name.to_owned()]);
        assert!(refused.starts_with(&format!("error: partial {name}: ")), "{refused}");
        assert!(refused.contains(sentence), "{refused}");
    };
    foreign("count", &["--shard", "1/3"], "as 0-of-2: it is share 1/3, and that one is 0/2");
    foreign("whole", &[], "one was made with --shard, the other without");
    foreign("rules", &["--shard", "1/2", "--rules", "builtin:all"], "was made with other rules");
    foreign("scope", &["--shard", "1/2", "--no-runbook"], "--no-runbook that it was made with");
    foreign("limits", &["--shard", "1/2", "--max-record", "1MiB"], "read with other options");
    foreign("cluster", &["--shard", "1/2", "--cluster", "prod"], "read with other options");
    let window = ["--shard", "1/2", "--since", "2026-11-20"];
    foreign("window", &window, "holds events from 2026-10-21T00:00:00Z, and merge is asked for those of any time");
    let other = Fleet::new("fixtures/dumps/gcs", &[]);
    fs::copy(other.path(&other.shard(1, 2)), fleet.path("listing")).unwrap();
    let listing = fleet.refuse(&[own.clone(), "listing".to_owned()]);
    assert!(listing.contains("partial listing: is not a part of the same run as 0-of-2"), "{listing}");
    assert!(listing.contains("their machines saw other files"), "{listing}");
    fs::write(fleet.path("text"), "a".repeat(100)).unwrap();
    let text = fleet.refuse(&["text".to_owned()]);
    assert_eq!(text, "error: partial text: is not a partial; name files that scan --partial wrote\n");
    let gone = fleet.refuse(&["gone".to_owned()]);
    assert!(gone.starts_with("error: partial gone: cannot be read: "), "{gone}");
}

#[test]
fn damaged_partials_are_refused_wherever_they_are() {
    let fleet = Fleet::new("fixtures/dumps/self-managed", &[]);
    let file = fleet.shard(0, 1);
    let whole = fs::read(fleet.path(&file)).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(fleet.path("broken"), bytes).unwrap();
        let sentence = fleet.refuse(&["broken".to_owned()]);
        assert!(sentence.starts_with("error: partial broken: "), "{what}: {sentence}");
        assert!(
            sentence.contains("is damaged") || sentence.contains("is not a partial") || sentence.contains("version")
        );
    };
    for step in 0..25 {
        let at = step * (whole.len() - 1) / 24;
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        refused(&flipped, &format!("byte {at} of {}", whole.len()));
        refused(&whole[..at], &format!("cut at byte {at} of {}", whole.len()));
    }
    refused(&[&whole[..], b"x"].concat(), "a byte behind");
    let mut later = whole;
    later["kubesweep partial ".len()] = b'9';
    fs::write(fleet.path("later"), later).unwrap();
    assert!(fleet.refuse(&["later".to_owned()]).contains("later: was written by another version of kubesweep"));
}

/// The share that `auto` finds, or the message if there is none.
fn auto(variables: &[(&str, &str)]) -> String {
    let here = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kubesweep"))
        .args(["scan", "--shard", "auto", "--partial", "out", "--no-progress"])
        .arg(root().join("fixtures/dumps/self-managed"))
        .current_dir(here.path())
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(if here.path().join("out").exists() { 0 } else { 2 }), "{text}");
    text.lines().next().unwrap().to_owned()
}

#[test]
fn auto_reads_the_environment_of_array_jobs() {
    for [index, count] in [
        ["AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"],
        ["CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"],
        ["BATCH_TASK_INDEX", "BATCH_TASK_COUNT"],
        ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"],
        ["JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"],
    ] {
        assert_eq!(auto(&[(index, "2"), (count, "4")]), "share      2/4 of the dump");
        let unknown = auto(&[(index, "2")]);
        assert!(
            unknown.contains(&format!("--shard auto knows {index}=2, but not of how many: set {count}")),
            "{unknown}"
        );
        let beyond = auto(&[(index, "4"), (count, "4")]);
        assert!(beyond.contains(&format!("from {index} and {count}: 4/4 is not a share")), "{beyond}");
    }
    assert!(auto(&[]).contains("--shard auto finds no array job"));
}

#[test]
fn what_makes_no_sense_for_a_share_is_refused() {
    let fleet = Fleet::new("fixtures/dumps/self-managed", &[]);
    assert!(Command::new("mkfifo").arg(fleet.path("pipe")).status().unwrap().success());
    for (arguments, sentence) in [
        (&["--shard", "0/2"][..], "--shard needs --partial FILE"),
        (&["--shard", "0/2", "-o", "out"], "--shard needs --partial FILE"),
        (&["--partial", "p", "--redact"], "cannot be used with"),
        (&["--shard", "2/2", "--partial", "p"], "counted from 0, so that the last of 16 is 15/16"),
        (&["--partial", "p", "-o", "out"], "cannot be used with"),
        (&["--partial", "p", "--deep"], "cannot be used with"),
        (&["--partial", "p", "--case", "c"], "cannot be used with"),
        (&["--partial", "p", "--fail-on", "high"], "cannot be used with"),
        (&["--partial", "p", "--since", "24h"], "give all of them and merge the same --as-of"),
        (&["--partial", "missing/p"], "cannot write missing/p"),
        (&["--partial", "notes"], "partial notes: is there and is not a partial; name another file"),
        #[cfg(unix)]
        (&["--partial", "pipe"], "partial pipe: is there and is not a partial; name another file"),
    ] {
        fs::write(fleet.path("notes"), "evidence").unwrap();
        let run = fleet.scan(arguments);
        assert_eq!(run.exit, 2, "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains(sentence), "{arguments:?}: {}", run.stderr);
        assert!(!fleet.path("p").exists());
    }
    assert_eq!(fs::read_to_string(fleet.path("notes")).unwrap(), "evidence");
    fs::create_dir(fleet.path("dump")).unwrap();
    let inside = kubesweep(fleet.here.path(), &["scan", "dump", "--partial", "dump/p"]);
    assert!(inside.exit == 2 && inside.stderr.contains("partial dump/p: lies inside the dump"), "{}", inside.stderr);
    let stream = kubesweep(fleet.here.path(), &["scan", "-", "--shard", "0/2", "--partial", "p"]);
    assert!(stream.exit == 2 && stream.stderr.contains("standard input has none"), "{}", stream.stderr);
}

#[test]
fn partials_of_given_inputs_merge_where_none_is_in_two() {
    let fleet = Fleet::new("fixtures/dumps", &[]);
    let directories = ["azure", "gcs", "s3", "self-managed"];
    let part = |paths: &[&str], name: &str| {
        let paths: Vec<String> = paths.iter().map(|path| fleet.dump.join(path).display().to_string()).collect();
        let arguments = paths.iter().map(String::as_str).chain(["-q", "--partial", name]);
        let run = kubesweep(fleet.here.path(), &[&["scan"], &arguments.collect::<Vec<_>>()[..]].concat());
        assert_eq!(run.exit, 0, "{}", run.stderr);
        name.to_owned()
    };
    let partials = [part(&directories[..2], "one"), part(&directories[2..], "two")];
    let merged = fleet.merge(&partials, "merged");
    assert_eq!(merged.exit, 0, "{}", merged.stderr);
    fleet.scan(&["-o", "once"]);
    assert_same(&fleet.path("once"), &fleet.path("merged"));
    let refused = fleet.refuse(&[part(&directories[1..3], "again"), partials[0].clone()]);
    assert!(refused.starts_with("error: partial one: holds gcs/"), "{refused}");
    assert!(refused.ends_with(", and so does again; name one of them\n"), "{refused}");
}
