//! A source read ahead by separate threads gives the same reports as one that is not, sound or damaged; and `--stats`
//! names the stages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::{gzip, kubesweep, reports, scan};

/// Events that hardly compress, every seventh on a CronJob; large enough to be read ahead.
fn text() -> String {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    let event = |number: usize| {
        let resource = if number.is_multiple_of(7) { "cronjobs" } else { "leases" };
        let agent = (0..16).map(|_| noise()).collect::<String>();
        format!(
            r#"2026-11-24T03:16:43.101Z {{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"id-{number}","stage":"ResponseComplete","requestURI":"/apis/batch/v1/namespaces/n/{resource}","verb":"create","user":{{"username":"u"}},"userAgent":"{agent}","objectRef":{{"resource":"{resource}","namespace":"n","name":"x{number}"}},"responseStatus":{{"code":201}},"requestReceivedTimestamp":"2026-11-24T03:{:02}:00.000000Z"}}"#,
            number % 60
        ) + "\n"
    };
    (0..4000).map(event).collect()
}

fn tar(bytes: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    archive.append_data(&mut header, "inside.log", bytes).unwrap();
    archive.into_inner().unwrap()
}

/// Dumps by name: sound ones in every container, and damaged ones.
fn dumps() -> Vec<(String, Vec<u8>)> {
    let text = text().into_bytes();
    let whole = gzip(&text);
    let members: Vec<Vec<u8>> = text.chunks(text.len() / 3 + 1).map(gzip).collect();
    let mut wrong_sum = members.concat();
    let second_sum = members[0].len() + members[1].len() - 8;
    wrong_sum[second_sum] ^= 1;
    let garbage = [&members[0][..], b"no member", &members[1], &[0; 512], &members[2]].concat();
    let mut dumps = vec![
        ("whole".to_owned(), whole.clone()),
        ("text".to_owned(), text.clone()),
        ("members".to_owned(), members.concat()),
        ("wrong-sum".to_owned(), wrong_sum),
        ("garbage-between".to_owned(), garbage),
        ("cut".to_owned(), whole[..whole.len() * 2 / 3].to_vec()),
        ("member-cut".to_owned(), [&members[0][..members[0].len() / 2], &members[1]].concat()),
        ("twice".to_owned(), gzip(&gzip(&text))),
        ("tar".to_owned(), gzip(&tar(&text))),
        ("zstd".to_owned(), zstd::encode_all(&text[..], 1).unwrap()),
        ("zstd-cut".to_owned(), zstd::encode_all(&text[..], 1).unwrap()[..400_000].to_vec()),
    ];
    for at in (1000..whole.len()).step_by(whole.len() / 9) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        dumps.push((format!("flipped-{at}"), flipped));
    }
    dumps
}

/// The reports of a scan, except the one that describes the run.
fn swept(dump: &Path, options: &[&str]) -> (i32, BTreeMap<String, Vec<u8>>) {
    let (_kept, out, run) = scan(&[dump.to_owned()], options);
    (run.exit, reports(&out))
}

#[test]
fn reading_ahead_changes_no_byte_of_a_report() {
    for (name, bytes) in dumps() {
        assert!(bytes.len() > 300_000, "{name} is not read ahead");
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("giant"), &bytes).unwrap();
        fs::write(here.path().join("small"), &text()[..10_000]).unwrap();
        let options = [&[][..], &["--max-bytes", "1000000"], &["--validate"]];
        for options in &options[..if name.starts_with("flipped") { 1 } else { 3 }] {
            let alone = swept(here.path(), &[*options, &["-j1"]].concat());
            assert!(!alone.1["hits.jsonl"].is_empty(), "{name} {options:?}");
            let ahead = swept(here.path(), &[*options, &["-j2"]].concat());
            assert_eq!(alone.0, ahead.0, "{name} {options:?}");
            for (file, content) in &alone.1 {
                assert!(ahead.1.get(file) == Some(content), "{name} {options:?}: {file} differs");
            }
        }
    }
}

#[test]
fn events_come_out_the_same_and_end_where_nobody_listens() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("giant"), gzip(text().as_bytes())).unwrap();
    let print = |threads| kubesweep(here.path(), &["events", "giant", "--resource", "cronjobs", threads]).stdout;
    assert_eq!(print("-j1").lines().count(), 572);
    assert_eq!(print("-j1"), print("-j2"));
}

#[test]
fn stats_name_the_stages_and_what_was_read() {
    let here = tempfile::tempdir().unwrap();
    let (text, giant) = (text(), gzip(text().as_bytes()));
    fs::write(here.path().join("giant"), &giant).unwrap();
    for threads in ["-j1", "-j2"] {
        for command in ["scan", "runbook", "inspect", "events"] {
            let run = kubesweep(here.path(), &[command, "giant", "--stats", "-q", threads]);
            let counts = format!("stats: {} bytes read, {} bytes of text, 4000 records, ", giant.len(), text.len());
            assert!(run.stderr.contains(&counts), "{command} {threads}: {}", run.stderr);
            for stage in ["read and hash", "decompress", "frame and prefilter", "parse and evaluate", "reports"] {
                assert!(run.stderr.contains(&format!(" s {stage}\n")), "{command} {threads}: {}", run.stderr);
            }
            fs::remove_dir_all(here.path().join("kubesweep-report")).ok();
        }
    }
}
