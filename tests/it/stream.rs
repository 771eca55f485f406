//! Standard input: one stream, or a tar whose members are read as a walk would read the original files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{dumps, gzip, kubesweep, reports, root, rows};

/// Files below a directory, by their path relative to it.
fn files(directory: &Path) -> Vec<String> {
    fn visit(root: &Path, directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    visit(directory, directory, &mut found);
    found.sort();
    found
}

/// A tar of these files, in this order.
fn tar(directory: &Path, names: &[String]) -> Vec<u8> {
    let mut list = tempfile::NamedTempFile::new().unwrap();
    writeln!(list, "{}", names.join("\n")).unwrap();
    let output = Command::new("tar").arg("-C").arg(directory).args(["-cf", "-", "-T"]).arg(list.path()).output();
    output.unwrap().stdout
}

/// Files, the last names first.
fn backwards(directory: &Path) -> Vec<u8> {
    let names: Vec<String> = files(directory).into_iter().rev().map(|name| format!("./{name}")).collect();
    tar(directory, &names)
}

fn piped(here: &Path, input: &[u8], arguments: &[&str]) -> crate::Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubesweep"));
    let pipes = command.args(arguments).current_dir(here).env_remove("RUST_BACKTRACE");
    let pipes = pipes.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A run that ends early does not read to the end.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    crate::Run {
        exit: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn assert_walked(dump: &Path, input: &[u8], options: &[&str]) {
    let here = tempfile::tempdir().unwrap();
    let arguments = |path, out| [&["scan", path, "-o", out, "-q"], options].concat();
    let walk = kubesweep(here.path(), &arguments(dump.to_str().unwrap(), "walk"));
    let stream = piped(here.path(), input, &arguments("-", "stream"));
    assert_eq!((stream.exit, stream.stderr), (walk.exit, walk.stderr));
    let [walk, stream] = ["walk", "stream"].map(|out| reports(&here.path().join(out)));
    assert!(walk.len() > 8 && walk.keys().eq(stream.keys()));
    for (name, content) in &walk {
        assert!(*content == stream[name], "{name} differs");
    }
}

/// The inputs of all cases as one dump, without the expected files: a walk recognises a report directory, a stream does
/// not.
fn cases() -> tempfile::TempDir {
    let here = tempfile::tempdir().unwrap();
    let cases = root().join("fixtures/cases");
    for name in files(&cases).iter().filter(|name| !name.contains("/expected/")) {
        let copy = here.path().join(name);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(cases.join(name), copy).unwrap();
    }
    here
}

#[test]
fn a_tar_of_the_dumps_is_a_walk() {
    assert_walked(&dumps(), &backwards(&dumps()), &[]);
}

#[test]
fn a_tar_of_all_cases_is_a_walk() {
    // Damaged gzip, nested archives, unsupported formats.
    let cases = cases();
    assert_walked(cases.path(), &backwards(cases.path()), &["--rules", "builtin:all", "--max-bytes", "20KiB"]);
}

#[test]
fn archives_in_a_tar_name_their_members_apart() {
    let here = tempfile::tempdir().unwrap();
    let log = fs::read(root().join("fixtures/cases/format-v1alpha1/input/audit.log")).unwrap();
    for name in ["a.tar", "b.tar"] {
        let mut tar = tar::Builder::new(fs::File::create(here.path().join(name)).unwrap());
        let mut header = tar::Header::new_ustar();
        header.set_size(log.len() as u64);
        tar.append_data(&mut header, "in/i.log", &log[..]).unwrap();
    }
    assert_walked(here.path(), &backwards(here.path()), &[]);
}

#[test]
fn members_outside_the_window_are_not_read() {
    let window = ["--since", "2026-11-23", "--until", "2026-11-24", "--lookback", "1d", "--context", "1d"];
    let input = backwards(&dumps());
    assert_walked(&dumps(), &input, &window);
    assert_walked(&dumps(), &input, &[&window[..], &["--no-prune"]].concat());
    let here = tempfile::tempdir().unwrap();
    piped(here.path(), &input, &[&["scan", "-", "-q"], &window[..]].concat());
    let inputs = rows(&here.path().join("kubesweep-report/inputs.csv"));
    assert!(inputs.iter().filter(|row| row["error"].contains("its path dates it")).count() > 10);
}

#[test]
fn links_are_rows() {
    let here = tempfile::tempdir().unwrap();
    fs::create_dir(here.path().join("dump")).unwrap();
    fs::write(here.path().join("dump/a.log"), "{}\n").unwrap();
    std::os::unix::fs::symlink("a.log", here.path().join("dump/b.log")).unwrap();
    let input = backwards(&here.path().join("dump"));
    assert_walked(&here.path().join("dump"), &input, &[]);
    fs::hard_link(here.path().join("dump/a.log"), here.path().join("dump/c.log")).unwrap();
    let names = ["a.log", "c.log", "a.log"].map(str::to_owned);
    let run = piped(here.path(), &tar(&here.path().join("dump"), &names), &["scan", "-", "-q", "-o", "out"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    let inputs = rows(&here.path().join("out/inputs.csv"));
    let told: Vec<_> = inputs.iter().map(|row| (&*row["path"], &*row["status"], &*row["error"])).collect();
    let skipped = "a hard link; its bytes stand under another name";
    assert_eq!(told[0], ("a.log", "ok", ""));
    assert_eq!(told[1], ("a.log#2", "skipped", skipped));
    assert_eq!(told[2], ("c.log", "skipped", skipped));
}

/// The path of a member shows the origin of its events just as the path of a file does.
#[test]
fn members_of_a_tar_file_keep_their_origin() {
    let here = tempfile::tempdir().unwrap();
    let (of_s3, file) = (dumps().join("s3"), here.path().join("s3.tar"));
    fs::write(&file, tar(&of_s3, &files(&of_s3))).unwrap();
    let origins = |path: PathBuf| {
        let (_kept, out, _) = crate::scan(&[path], &[]);
        let origin = |hit: serde_json::Value| ["audit_id", "account", "region"].map(|key| hit[key].to_string());
        let mut origins: Vec<_> = crate::hits(&out).into_iter().map(origin).collect();
        origins.sort();
        origins
    };
    let of_walk = origins(of_s3);
    assert!(of_walk.iter().any(|[_, account, _]| account == "\"111122223333\""));
    assert_eq!(origins(file), of_walk);
}

#[test]
fn a_compressed_tar_is_a_tar() {
    let input = backwards(&dumps());
    let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let packed = child.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    assert_walked(&dumps(), &packed, &[]);
}

#[test]
fn a_stream_that_ends_early_names_what_is_missing() {
    let here = tempfile::tempdir().unwrap();
    let files = files(&dumps().join("self-managed"));
    let input = tar(&dumps().join("self-managed"), &files);
    let whole = piped(here.path(), &input, &["scan", "-", "-q", "-o", "whole"]);
    assert_eq!(whole.exit, 0, "{}", whole.stderr);
    let size = fs::metadata(dumps().join("self-managed").join(&files[0])).unwrap().len();
    let cut = usize::try_from(size / 2).unwrap() + 512;
    let run = piped(here.path(), &input[..cut], &["scan", "-", "-q", "-o", "cut"]);
    assert_eq!(run.exit, 3, "{}", run.stderr);
    let inputs = rows(&here.path().join("cut/inputs.csv"));
    let member = inputs.iter().find(|row| row["path"] == files[0]).unwrap();
    assert_eq!(member["status"], "partial", "{inputs:?}");
    assert_eq!(member["sha256"], "");
    assert!(member["events"] != "0", "what came before is read");
    let stream = inputs.iter().find(|row| row["path"] == "'-").unwrap();
    assert_eq!((&*stream["container"], &*stream["status"]), ("tar", "partial"), "{stream:?}");
    // The cut is between two members.
    let cut = 512 + usize::try_from(size.next_multiple_of(512)).unwrap();
    let run = piped(here.path(), &input[..cut], &["scan", "-", "-q", "-o", "between"]);
    assert_eq!(run.exit, 3, "{}", run.stderr);
    let inputs = rows(&here.path().join("between/inputs.csv"));
    let told: Vec<_> = inputs.iter().map(|row| (&*row["path"], &*row["status"])).collect();
    assert_eq!(told, [("'-", "partial"), (&*files[0], "ok")]);
}

#[test]
fn entries_of_a_stream_are_those_of_a_walk() {
    let here = tempfile::tempdir().unwrap();
    let cases = cases();
    for dump in [dumps(), cases.path().to_owned()] {
        let input = backwards(&dump);
        for options in
            [&["--sort", "source"][..], &["--sort", "time"], &["--user", "eve", "--raw"], &["--verb", "create"]]
        {
            let walk = kubesweep(here.path(), &[&["events", dump.to_str().unwrap()], options].concat());
            let stream = piped(here.path(), &input, &[&["events", "-"], options].concat());
            assert!(walk.stdout == stream.stdout, "{options:?}");
            assert_eq!(walk.stderr, stream.stderr);
            assert_eq!(walk.exit, stream.exit);
            assert!(walk.stdout.lines().count() > 100 || options.contains(&"--user"), "{options:?}");
        }
    }
}

#[test]
fn names_of_a_stream_stand_apart_from_other_paths() {
    let here = tempfile::tempdir().unwrap();
    let dump = dumps().join("gcs");
    let arguments = ["scan", "-", dump.to_str().unwrap(), "-q", "-o", "out"];
    assert_eq!(piped(here.path(), &backwards(&dump), &arguments).exit, 0);
    let inputs = rows(&here.path().join("out/inputs.csv"));
    let [streamed, walked] = ["'-/", "gcs/"].map(|label| {
        let names = inputs.iter().filter_map(|row| row["path"].strip_prefix(label));
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    assert!(streamed.len() > 3 && streamed == walked && streamed.len() + walked.len() == inputs.len());
}

#[test]
fn a_case_knows_members_by_their_names() {
    let here = tempfile::tempdir().unwrap();
    let input = backwards(&dumps());
    let options = ["-q", "--force", "-o", "case", "--case", "case.db"];
    let run = |input: &[u8]| piped(here.path(), input, &[&["scan", "-"], &options[..]].concat());
    let half = tar(&dumps(), &files(&dumps())[..100]);
    assert_eq!(run(&half).exit, 0);
    // What the second stream repeats replaces what the first one had.
    assert_eq!(run(&input).exit, 0);
    kubesweep(here.path(), &["scan", dumps().to_str().unwrap(), "-q", "-o", "walk", "--case", "walk.db"]);
    for report in ["hits.jsonl", "alerts.csv", "activity.csv", "coverage.csv", "runbook.json"] {
        let read = |out: &str| fs::read_to_string(here.path().join(out).join(report)).unwrap();
        assert!(read("case") == read("walk"), "{report}");
    }
}

#[test]
fn partials_of_streams_merge() {
    let here = tempfile::tempdir().unwrap();
    let all = files(&dumps());
    for (name, part) in [("one", &all[..60]), ("two", &all[60..])] {
        let run = piped(here.path(), &tar(&dumps(), part), &["scan", "-", "-q", "--partial", name]);
        assert_eq!(run.exit, 0, "{}", run.stderr);
    }
    let run = kubesweep(here.path(), &["merge", "one", "two", "-q", "-o", "merged"]);
    assert_eq!(run.exit, 0, "{}", run.stderr);
    kubesweep(here.path(), &["scan", dumps().to_str().unwrap(), "-q", "-o", "walk"]);
    assert_eq!(reports(&here.path().join("merged")), reports(&here.path().join("walk")));
    let again = tar(&dumps(), &all[59..61]);
    piped(here.path(), &again, &["scan", "-", "-q", "--partial", "again"]);
    let refused = kubesweep(here.path(), &["merge", "one", "two", "again", "-o", "refused"]);
    assert_eq!(refused.exit, 2);
    let named = format!("error: partial again: holds {}, and so does one; name one of them\n", all[59]);
    assert_eq!(refused.stderr, named);
}

/// As many shares as there may be: some have no file.
#[test]
fn shares_without_members_merge() {
    let here = tempfile::tempdir().unwrap();
    let dump = dumps();
    let all = tar(&dump, &files(&dump));
    let (none, packed) = (vec![0; 10_240], gzip(&vec![0; 10_240]));
    for (number, stream) in [&none[..], &all, b"", &packed, &none].into_iter().enumerate() {
        let run = piped(here.path(), stream, &["scan", "-", "-q", "--partial", &number.to_string()]);
        assert_eq!((run.exit, run.stderr.as_str()), (0, ""), "{number}");
    }
    let run = kubesweep(here.path(), &["merge", "0", "1", "2", "3", "4", "-q", "-o", "merged"]);
    assert_eq!((run.exit, run.stderr.as_str()), (0, ""));
    piped(here.path(), &all, &["scan", "-", "-q", "-o", "one"]);
    assert_eq!(reports(&here.path().join("merged")), reports(&here.path().join("one")));
    for (number, name) in ["x", "y"].into_iter().enumerate() {
        let text = format!("{{\"number\":{number}}}\n");
        piped(here.path(), text.as_bytes(), &["scan", "-", "-q", "--partial", name]);
    }
    let refused = kubesweep(here.path(), &["merge", "x", "y", "-o", "refused"]);
    let sentence = "partial y: holds -, and so does x; give every machine a tar of other files";
    assert!(refused.exit == 2 && refused.stderr.contains(sentence), "{}", refused.stderr);
}

#[test]
fn a_second_pass_over_a_stream_is_refused() {
    let here = tempfile::tempdir().unwrap();
    for arguments in [&["scan", "-", "--deep", "-o", "out"][..], &["runbook", "-", "--deep"]] {
        let run = piped(here.path(), b"", arguments);
        assert_eq!(run.exit, 2);
        assert!(run.stderr.starts_with("error: --deep reads everything twice"), "{}", run.stderr);
    }
}
