//! What an attacker may write into a dump: entries that are not files, bombs, records made to break or to deceive.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use kubesweep::aggregate::Status;
use kubesweep::decode::Limits;
use kubesweep::discover::{Window, discover};
use kubesweep::rule::{Pack, Tuning, load};
use kubesweep::sweep::{Job, Observer, sweep as sweep_all};
use kubesweep::threads::in_threads;

use serde_json::{Value, json};

use crate::{gzip, hits, kubesweep, rows, scan};

fn event(id: &str) -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id, "stage": "ResponseComplete",
        "requestURI": "/apis/batch/v1/namespaces/n/cronjobs", "verb": "create", "user": {"username": "u"},
        "objectRef": {"resource": "cronjobs", "namespace": "n", "name": "x"}, "responseStatus": {"code": 201},
        "requestReceivedTimestamp": "2026-11-24T03:00:00Z",
    })
}

/// Audit ids of the hits.
fn ids(out: &Path) -> Vec<String> {
    hits(out).iter().map(|hit| hit["audit_id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Sweeps one file with these bytes.
fn sweep(bytes: &[u8], options: &[&str]) -> (tempfile::TempDir, std::path::PathBuf, i32) {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("dump"), bytes).unwrap();
    let (kept, out, run) = scan(&[here.path().join("dump")], options);
    (kept, out, run.exit)
}

#[test]
fn entries_of_any_kind_are_rows_and_end_nothing() {
    let here = tempfile::tempdir().unwrap();
    let dump = here.path().join("dump");
    fs::create_dir_all(dump.join("x.json.gz")).unwrap();
    fs::write(dump.join("x.json.gz/a.log"), event("a").to_string()).unwrap();
    fs::write(dump.join("empty.json.gz"), "").unwrap();
    fs::write(dump.join("lost.json.gz"), [0; 5000]).unwrap();
    fs::write(dump.join(std::ffi::OsStr::from_bytes(b"b\xff\x1b[2J.log")), event("b").to_string()).unwrap();
    std::os::unix::fs::symlink(".", dump.join("loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", dump.join("nowhere")).unwrap();
    assert!(Command::new("mkfifo").arg(dump.join("fifo")).status().unwrap().success());
    let (_kept, out, run) = scan(std::slice::from_ref(&dump), &[]);
    assert_eq!((run.exit, ids(&out)), (3, vec!["b".to_owned(), "a".to_owned()]));
    assert!(!run.stderr.chars().any(|c| c.is_control() && c != '\n'), "{:?}", run.stderr);
    let told: Vec<String> = rows(&out.join("inputs.csv"))
        .iter()
        .map(|row| format!("{} {} {}", row["path"], row["status"], row["error"]))
        .collect();
    assert_eq!(
        told,
        [
            "b\\xFF\u{1b}[2J.log ok ",
            "empty.json.gz skipped empty",
            "fifo skipped not a regular file",
            "loop skipped a symbolic link, not followed",
            "lost.json.gz failed bytes in front of any gzip member at byte 0",
            "nowhere skipped a symbolic link, not followed",
            "x.json.gz/a.log ok ",
        ]
    );
}

/// Changes files while they are swept: before they are opened, and while they are read.
struct Meddler<'d> {
    dump: &'d Path,
    grown: AtomicBool,
}

impl Observer for Meddler<'_> {
    fn opened(&self, name: &str) {
        if name == "gone.log" {
            fs::remove_file(self.dump.join(name)).unwrap();
        }
    }

    fn read(&self, _: u64) {
        if !self.grown.swap(true, Ordering::Relaxed) {
            let mut file = fs::OpenOptions::new().append(true).open(self.dump.join("grows.log")).unwrap();
            writeln!(file, "{}", event("later")).unwrap();
        }
    }

    fn closed(&self, _: u64, _: u64) {}
}

#[test]
fn files_may_vanish_grow_or_be_closed_to_us() {
    let here = tempfile::tempdir().unwrap();
    for name in ["gone.log", "grows.log", "other.log", "secret.log"] {
        fs::write(here.path().join(name), format!("{}\n", event(name))).unwrap();
    }
    fs::set_permissions(here.path().join("secret.log"), fs::Permissions::from_mode(0o000)).unwrap();
    let may_read = fs::File::open(here.path().join("secret.log")).is_ok();
    let pack = Pack::new(load(&["builtin:cronjob".to_owned()]).unwrap(), Tuning::default(), Vec::new());
    let limits = Limits { max_record: 1 << 20, max_bytes: None };
    let job = Job {
        pack,
        limits,
        window: Window::default(),
        validate: false,
        cluster: None,
        platform: None,
        stop: kubesweep::sweep::Stop::default(),
    };
    let found = discover(&[here.path().to_owned()], &[]).unwrap();
    let meddler = Meddler { dump: here.path(), grown: AtomicBool::new(false) };
    let tally = in_threads(Some(1), || sweep_all(&found, &job, &meddler)).unwrap();
    let mut told: Vec<_> = tally.inputs.iter().map(|input| (&*input.path, input.status, input.events)).collect();
    told.sort();
    let secret = if may_read { Status::Ok } else { Status::Failed };
    let expected = [
        ("gone.log", Status::Failed, 0),
        ("grows.log", Status::Ok, 2),
        ("other.log", Status::Ok, 1),
        ("secret.log", secret, u64::from(may_read)),
    ];
    assert_eq!(told, expected);
}

#[test]
fn ten_thousand_tiny_files() {
    let here = tempfile::tempdir().unwrap();
    for number in 0..10_000 {
        let folder = here.path().join(format!("{:02}", number / 100));
        fs::create_dir_all(&folder).unwrap();
        let text = if number % 1000 == 7 { event(&number.to_string()).to_string() } else { "{}".to_owned() };
        fs::write(folder.join(number.to_string()), text).unwrap();
    }
    let (_kept, out, run) = scan(&[here.path().to_owned()], &["--no-runbook"]);
    assert_eq!((run.exit, ids(&out).len(), rows(&out.join("inputs.csv")).len()), (0, 10, 10_000));
}

/// Scans one file with this much memory; returns exit status and rows.
fn in_memory(file: &Path, kilobytes: u32, options: &str) -> (i32, Vec<String>) {
    let here = tempfile::tempdir().unwrap();
    let script = format!("ulimit -v {kilobytes}; exec \"$0\" scan \"$1\" -j1 -q -o \"$2\" --no-runbook {options}");
    let out = here.path().join("out");
    let run =
        Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_kubesweep")]).arg(file).arg(&out).output().unwrap();
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    let rows = rows(&out.join("inputs.csv"));
    let told = rows.iter().map(|row| format!("{} {} {}", row["member"], row["status"], row["error"])).collect();
    (run.status.code().unwrap_or_else(|| panic!("{text}")), told)
}

#[test]
fn bombs_cost_no_memory_and_end_with_max_bytes() {
    let here = tempfile::tempdir().unwrap();
    let zeros = vec![0; 1 << 20];
    let members: Vec<u8> = std::iter::repeat_n(gzip(&zeros), 256).flatten().collect();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.as_mut_bytes()[..13].copy_from_slice(b"././@LongLink");
    header.set_size(200 << 20);
    header.set_cksum();
    let long_name = [gzip(header.as_bytes()), members[..members.len() / 256 * 200].to_vec()].concat();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bomb.log", zip::write::SimpleFileOptions::default()).unwrap();
    for _ in 0..256 {
        zip.write_all(&zeros).unwrap();
    }
    for (name, bytes, word) in [
        ("bomb.gz", members.clone(), "--max-bytes"),
        ("bomb.gz.gz", gzip(&members), "--max-bytes"),
        ("name.tar.gz", long_name, "which no name has"),
        ("bomb.zip", zip.finish().unwrap().into_inner(), "--max-bytes"),
    ] {
        fs::write(here.path().join(name), bytes).unwrap();
        // What it needs without a bomb, plus some tens of megabytes.
        let (exit, told) = in_memory(&here.path().join(name), 200_000, "--max-bytes 4MiB");
        assert!(
            exit == 3 && told.iter().any(|row| row.contains("partial") && row.contains(word)),
            "{name}: {exit} {told:?}"
        );
    }
    let sparse = here.path().join("sparse.log");
    fs::File::create(&sparse).unwrap().set_len(1 << 30).unwrap();
    let (exit, told) = in_memory(&sparse, 200_000, "--max-bytes 1MiB");
    assert!(exit == 3 && told[0].contains("more text than --max-bytes"), "{told:?}");
}

/// An Avro file with these blocks, each with its number of records.
fn avro(schema: &Value, codec: &str, blocks: &[(u64, &[u8])]) -> Vec<u8> {
    let long = |number: u64| {
        let (mut rest, mut bytes) = (number << 1, Vec::new());
        loop {
            let low = u8::try_from(rest & 0x7f).unwrap();
            rest >>= 7;
            if rest == 0 {
                bytes.push(low);
                return bytes;
            }
            bytes.push(low | 0x80);
        }
    };
    let text = |text: &[u8]| [&long(text.len() as u64), text].concat();
    let (schema, marker) = (schema.to_string(), [7; 16]);
    let entries = [("avro.schema", &*schema), ("avro.codec", codec)];
    let entries = entries.map(|(key, value)| [text(key.as_bytes()), text(value.as_bytes())].concat()).concat();
    let header = [&b"Obj\x01"[..], &long(2), &entries, &long(0), &marker].concat();
    let blocks = blocks.iter().map(|(records, block)| [&long(*records)[..], &text(block), &marker].concat());
    header.into_iter().chain(blocks.flatten()).collect()
}

/// A mebibyte of zeros in deflate, as a piece that may follow itself; and the end of such a stream.
fn deflated_zeros() -> (Vec<u8>, [u8; 2]) {
    let mut piece = Vec::with_capacity(1 << 16);
    let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
    deflate.compress_vec(&vec![0; 1 << 20], &mut piece, flate2::FlushCompress::Full).unwrap();
    (piece, [3, 0])
}

/// Other blocks of the file are read.
#[test]
fn a_block_of_avro_inflates_up_to_a_limit() {
    let schema = json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": "bytes"}]});
    let (zeros, end) = deflated_zeros();
    let bomb = [&zeros.repeat(256)[..], &end].concat();
    let mut sound = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    sound.write_all(&[2, b'x']).unwrap();
    let sound = sound.finish().unwrap();
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("bomb.avro");
    fs::write(&file, avro(&schema, "deflate", &[(1, &sound), (1, &bomb), (1, &sound)])).unwrap();
    let (exit, told) = in_memory(&file, 250_000, "");
    let expected = " partial avro: a block inflates to more than --max-record; raise it";
    assert!(exit == 3 && told[0].starts_with(expected), "{exit} {told:?}");
    let (_kept, out, _) = scan(&[file], &[]);
    assert_eq!(rows(&out.join("inputs.csv"))[0]["records"], "2");
}

/// The last bytes of the file say how many before them to read at once.
#[test]
fn a_footer_of_parquet_is_read_up_to_a_limit() {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("foot.parquet.gz");
    let end = [&(256_u32 << 20).to_le_bytes()[..], b"PAR1"].concat();
    fs::write(&file, [gzip(b"PAR1"), gzip(&vec![0; 1 << 20]).repeat(256), gzip(&end)].concat()).unwrap();
    let (exit, told) = in_memory(&file, 200_000, "");
    assert!(exit == 3 && told[0].contains("partial parquet: its end says"), "{exit} {told:?}");
}

/// A few bytes that would be more values than memory holds.
#[test]
fn avro_types_without_bytes_or_too_deep_are_refused() {
    let record = |name: &str, fields: &[(&str, Value)]| {
        let fields: Vec<_> = fields.iter().map(|(name, of)| json!({"name": name, "type": of})).collect();
        json!({"type": "record", "name": name, "fields": fields})
    };
    let mut doubled = record("R0", &[("a", json!("null")), ("b", json!("null"))]);
    for depth in 1..20 {
        doubled = record(&format!("R{depth}"), &[("a", doubled), ("b", json!(format!("R{}", depth - 1)))]);
    }
    let mut types = vec![record("D0", &[("a", json!("boolean"))])];
    types.extend((1..60).map(|depth| record(&format!("D{depth}"), &[("a", json!(format!("D{}", depth - 1)))])));
    let nothing = json!({"type": "array", "items": "null"});
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("a.avro");
    for (schema, records, block, word) in [
        (doubled, 1, &b""[..], "takes no bytes"),
        (record("R", &[("a", nothing)]), 1, &[0x80, 0x80, 0x80, 0x10, 0], "takes no bytes"),
        (record("R", &[]), 1 << 40, b"", "takes no bytes"),
        (json!({"type": "fixed", "name": "F", "size": 0}), 1 << 40, b"", "takes no bytes"),
        (json!(types), 1, &[118, 1], "deeper in each other"),
        (record("R", &[("a", json!(["null", "R"]))]), 1, &[2, 2, 2, 0], "inside itself"),
    ] {
        fs::write(&file, avro(&schema, "null", &[(records, block)])).unwrap();
        let (exit, told) = in_memory(&file, 200_000, "");
        assert!(exit == 3 && told[0].contains("partial") && told[0].contains(word), "{exit} {told:?}");
    }
}

/// A directory has room for 65,535 names of one member.
#[test]
fn a_zip_member_is_read_once_however_often_it_is_named() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("a.log", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(event("a").to_string().as_bytes()).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    let (rest, end) = bytes.split_at(bytes.len() - 22);
    let start = u32::from_le_bytes(end[16..20].try_into().unwrap()) as usize;
    let (members, directory) = rest.split_at(start);
    let mut end = end.to_vec();
    for count in [8, 10] {
        end[count] = 3;
    }
    end[12..16].copy_from_slice(&u32::try_from(3 * directory.len()).unwrap().to_le_bytes());
    let (_kept, out, exit) = sweep(&[members, &directory.repeat(3), &end].concat(), &[]);
    let told =
        rows(&out.join("inputs.csv")).iter().filter(|row| row["error"].contains("where another one does")).count();
    assert_eq!((exit, ids(&out), told), (3, vec!["a".to_owned()], 2));
}

#[test]
fn containers_nest_eight_deep() {
    for (depth, exit, found) in [(8, 0, 1), (9, 3, 0)] {
        let bytes = (0..depth).fold(event("a").to_string().into_bytes(), |bytes, _| gzip(&bytes));
        let (_kept, out, status) = sweep(&bytes, &[]);
        assert_eq!((status, ids(&out).len()), (exit, found), "{depth}");
    }
}

#[test]
fn members_are_written_nowhere_and_encrypted_ones_are_named() {
    let here = tempfile::tempdir().unwrap();
    let mut archive = Vec::new();
    for name in ["../../escaped.log", "/tmp/kubesweep-escaped.log"] {
        let text = event(name).to_string();
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(text.len() as u64);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(text.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.extend_from_slice(&[0; 1024]);
    fs::create_dir_all(here.path().join("a/b")).unwrap();
    fs::write(here.path().join("a/b/dump.tar"), archive).unwrap();
    let run = kubesweep(&here.path().join("a/b"), &["scan", "dump.tar", "-o", "out"]);
    assert_eq!((run.exit, ids(&here.path().join("a/b/out")).len()), (0, 2));
    assert!(!here.path().join("escaped.log").exists() && !Path::new("/tmp/kubesweep-escaped.log").exists());

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("open.log", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(event("open").to_string().as_bytes()).unwrap();
    zip.start_file("secret.log", zip::write::SimpleFileOptions::default()).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    // The flag that marks a member as encrypted, in its header and in the directory.
    for (magic, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let last = memchr::memmem::find_iter(&bytes, magic).last().unwrap();
        bytes[last + flags] |= 1;
    }
    let (_kept, out, exit) = sweep(&bytes, &[]);
    assert_eq!((exit, ids(&out)), (3, vec!["open".to_owned()]));
    let secret = rows(&out.join("inputs.csv")).into_iter().find(|row| row["member"] == "secret.log").unwrap();
    assert!(secret["status"] == "failed" && secret["error"].to_lowercase().contains("password"), "{secret:?}");
}

#[test]
fn no_body_hides_its_event() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let keys = (0..100_000).map(|key| format!("\"k{key}\":1")).collect::<Vec<_>>().join(",");
    let bodies = [
        deep,
        format!("{{\"spec\":{{{keys}}}}}"),
        format!("{{\"spec\":{{\"schedule\":{}}}}}", "9".repeat(5000)),
        format!("{{\"spec\":\"{}\"}}", "y".repeat(8 << 20)),
        "{\"spec\":NaN}".to_owned(),
        "{\"spec\":\"\\ud800\"}".to_owned(),
        "{\"spec\":1,\"spec\":{\"schedule\":\"* * * * *\"},\"Spec\":2}".to_owned(),
        "{\"metadata\":{\"annotations\":{\"x\":\"\\udc00\"}},\"spec\":{\"suspend\":true}}".to_owned(),
    ];
    for (number, body) in bodies.iter().enumerate() {
        let text = event("a").to_string();
        let text = format!("{},\"requestObject\":{body}}}\n{}\n", &text[..text.len() - 1], event("b"));
        let (_kept, out, exit) = sweep(text.as_bytes(), &[]);
        let mut found = ids(&out);
        found.sort();
        assert_eq!(found, ["a", "b"], "body {number}");
        assert!(exit == 0 || exit == 3, "body {number}");
        // A body that cannot become a value is named.
        let is_named = hits(&out).iter().any(|hit| hit["malformed_fields"] == json!(["requestObject"]));
        assert_eq!(is_named, [0, 2, 4, 5, 7].contains(&number), "body {number}");
    }
}

#[test]
fn the_last_of_two_keys_wins_and_what_is_no_text_is_named() {
    let text = event("a").to_string();
    let twice = text.replacen("\"verb\":\"create\"", "\"verb\":\"get\",\"Verb\":\"delete\",\"verb\":\"create\"", 1);
    let (_kept, out, _) = sweep(twice.as_bytes(), &[]);
    assert_eq!(hits(&out)[0]["verb"], "create");
    for (bad, escape) in [(b"\xff".as_slice(), false), (b"\\ud800", true)] {
        let at = text.find("\"u\"").unwrap() + 2;
        let bytes = [&text.as_bytes()[..at], bad, &text.as_bytes()[at..]].concat();
        let (_kept, out, _) = sweep(&bytes, &[]);
        let hit = &hits(&out)[0];
        assert_eq!(hit["username"], "u\u{fffd}", "{escape}");
        assert!(hit["malformed_fields"].to_string().contains("user"), "{escape}: {hit}");
    }
}

/// Text that formats, spreadsheets, terminals and people may take for something else.
const TRICKS: [&str; 15] = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{9b}31m\u{7f}\u{85}",
    "\u{202e}gpj.exe\u{200b}",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) ![x](http://evil.example/x) `code` | cell | <b>",
    "a: b\n- c # d\n---\n{{ x }}",
    "$(rm -rf /) `id` ; rm -rf ~ && 'quoted' \"too\"",
    "аdmin\u{feff}",
    "'x;y\\z",
];

#[test]
fn no_format_acts_on_what_a_log_says() {
    let here = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for (number, trick) in TRICKS.iter().enumerate() {
        let mut event = event(&format!("{number} {trick}"));
        for pointer in ["/user/username", "/objectRef/name", "/objectRef/namespace", "/requestURI"] {
            *event.pointer_mut(pointer).unwrap() = json!(trick);
        }
        event["userAgent"] = json!(trick);
        event["sourceIPs"] = json!([trick]);
        event["responseStatus"] = json!({"code": 201, "reason": trick, "message": trick});
        let container =
            json!({"name": trick, "image": trick, "command": [trick], "env": [{"name": trick, "value": trick}]});
        event["requestObject"] = json!({"kind": "CronJob", "metadata": {"name": trick, "labels": {trick.to_owned(): trick}},
            "spec": {"schedule": trick, "jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}}});
        text.extend([event.to_string(), "\n".to_owned()]);
    }
    fs::write(here.path().join("a.log"), text).unwrap();
    let out = here.path().join("out");
    let scan = kubesweep(here.path(), &["scan", "a.log", "-o", "out"]);
    assert_eq!(hits(&out).len(), TRICKS.len());
    let mut shown = vec![("summary", scan.stderr)];
    for arguments in [
        vec!["inspect", "a.log"],
        vec!["inspect", "a.log", "--format", "json"],
        vec!["runbook", "a.log"],
        vec!["runbook", "a.log", "--format", "json"],
        vec!["events", "a.log"],
        vec!["events", "a.log", "--format", "timesketch"],
        vec!["scan", "a.log", "-o", "-"],
        vec!["scan", "a.log", "-o", "-", "--format", "timesketch"],
    ] {
        let run = kubesweep(here.path(), &arguments);
        shown.push((arguments[0], run.stdout));
        shown.push((arguments[0], run.stderr));
    }
    for (what, text) in &shown {
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert!(control.is_none(), "{what} shows {control:?}");
    }
    for hit in hits(&out) {
        let id = hit["audit_id"].as_str().unwrap();
        let trick = TRICKS[id.split(' ').next().unwrap().parse::<usize>().unwrap()];
        assert_eq!((hit["username"].as_str(), hit["user_agent"].as_str()), (Some(trick), Some(trick)));
    }
    csv_is_text(&out);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!page.contains("<script>alert") && !page.contains("<img src=x"), "report.html holds markup of the log");
    let runbook = fs::read_to_string(out.join("runbook.md")).unwrap();
    for line in runbook.lines() {
        let outside = outside_code(line);
        assert!(!outside.contains("](javascript:") && !outside.contains("<img"), "runbook.md holds markup: {line}");
    }
}

/// A line of Markdown without its code spans (CommonMark 6.1): each ends with as many backticks as it begins with.
fn outside_code(line: &str) -> String {
    let (mut outside, mut rest) = (String::new(), line);
    while let Some(at) = rest.find('`') {
        outside += &rest[..at];
        let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let inside = &rest[at + ticks..];
        let ends = |at: &usize| {
            let run = inside[*at..].len() - inside[*at..].trim_start_matches('`').len();
            run == ticks && !inside[..*at].ends_with('`')
        };
        rest = inside.match_indices('`').map(|(at, _)| at).find(ends).map_or("", |end| &inside[end + ticks..]);
    }
    outside + rest
}

/// No cell begins a formula, and every cell can be turned back into what the log said.
fn csv_is_text(out: &Path) {
    for file in ["hits.csv", "alerts.csv", "summary.csv"] {
        for row in rows(&out.join(file)) {
            for (column, cell) in &row {
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{file} {column}: {cell:?}");
            }
        }
    }
    for (row, hit) in rows(&out.join("hits.csv")).iter().zip(hits(out)) {
        let plain = |cell: &str| cell.strip_prefix('\'').unwrap_or(cell).to_owned();
        assert_eq!(plain(&row["username"]), hit["username"].as_str().unwrap());
        let item = plain(&row["source_ips"]).replace("\\;", ";").replace("\\\\", "\\");
        assert_eq!(item, hit["source_ips"][0].as_str().unwrap());
    }
}

/// A field that keeps rules from deciding is named: by the hit or, without a hit, by the row.
#[test]
fn a_deciding_field_of_a_wrong_type_is_named() {
    for (pointer, field, wrong) in [
        ("/verb", "verb", json!(["create"])),
        ("/objectRef", "objectRef", json!(["cronjobs"])),
        ("/objectRef/resource", "objectRef.resource", json!({"a": "cronjobs"})),
        ("/stage", "stage", json!(7)),
        ("/user", "user", json!("u")),
        ("/user/username", "user.username", json!(["u"])),
        ("/responseStatus", "responseStatus", json!("201")),
        ("/responseStatus/code", "responseStatus.code", json!(true)),
    ] {
        let here = tempfile::tempdir().unwrap();
        let mut event = event("a");
        *event.pointer_mut(pointer).unwrap() = wrong;
        fs::write(here.path().join("dump.log"), format!("{event}\n")).unwrap();
        let (_kept, out, _) = scan(&[here.path().join("dump.log")], &[]);
        let is_named = hits(&out).iter().any(|hit| hit["malformed_fields"] == json!([field]));
        let row = &rows(&out.join("inputs.csv"))[0];
        let told = format!("record 1, byte 0: {field} has a wrong type");
        let is_told = row["status"] == "partial" && row["error"].starts_with(&told);
        assert!(is_named != is_told, "{field}: {row:?}");
    }
}
