//! Damaged dumps: what can be read is read, what cannot is named, and nothing else is touched.

use std::fs;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::{gzip, hits, rows, scan};

fn event(number: usize) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"id-{number}","stage":"ResponseComplete","requestURI":"/apis/batch/v1/namespaces/n/cronjobs","verb":"create","user":{{"username":"u"}},"objectRef":{{"resource":"cronjobs","namespace":"n","name":"x"}},"responseStatus":{{"code":201}},"requestObject":{{"spec":"{}"}},"requestReceivedTimestamp":"2026-11-24T03:00:00Z"}}"#,
        "y".repeat(number * 37 % 500)
    )
}

/// Sweeps one file; returns the ids of the hits, those of damaged ones, the exit status and the first error.
fn sweep(bytes: &[u8], options: &[&str]) -> (Vec<String>, Vec<String>, i32, String) {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("dump");
    fs::write(&file, bytes).unwrap();
    let (_kept, out, run) = scan(&[file], options);
    let all = hits(&out);
    let id = |hit: &serde_json::Value| hit["audit_id"].as_str().unwrap_or_default().to_owned();
    let damaged = all.iter().filter(|hit| hit["damaged"] == true).map(id).collect();
    let error = rows(&out.join("inputs.csv"))[0]["error"].clone();
    (all.iter().map(id).collect(), damaged, run.exit, error)
}

#[test]
fn a_wrong_checksum_marks_its_member_and_no_other() {
    for newline in ["\n", ""] {
        let members: Vec<Vec<u8>> = (0..4).map(|number| gzip((event(number) + newline).as_bytes())).collect();
        let mut bytes = members.concat();
        let crc = members[0].len() + members[1].len() - 8;
        bytes[crc] ^= 1;
        let (found, damaged, exit, error) = sweep(&bytes, &[]);
        assert_eq!(found, ["id-0", "id-1", "id-2", "id-3"]);
        assert_eq!(damaged, ["id-1"], "separated by {newline:?}");
        assert_eq!(exit, 3);
        assert!(error.contains("checksum") && error.contains("gzip member 2"), "{error}");
    }
}

/// Zero bytes in front are of a log that was truncated while its writer went on; a few may separate records.
#[test]
fn zero_bytes_at_the_end_are_what_was_not_written() {
    let zeros = |count| "\0".repeat(count);
    for (text, found, told) in [
        (zeros(5000), 0, "the text ends with 5000 zero bytes: what belongs there was not written at byte 0"),
        (event(0) + "\n" + &zeros(1 << 20), 1, "the text ends with 1048576 zero bytes"),
        (event(0) + "\0" + &event(1) + &zeros(512), 2, "the text ends with 512 zero bytes"),
        (zeros(4096), 0, "the text ends with 4096 zero bytes"),
        (zeros(10_240), 0, ""),
        (zeros(5000) + &event(0) + "\n", 1, ""),
        (event(0) + "\n" + &zeros(8), 1, ""),
    ] {
        for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
            let (hits, damaged, exit, error) = sweep(&bytes, &[]);
            assert_eq!((hits.len(), damaged.len()), (found, 0), "{error}");
            assert!(error.contains(told) && error.is_empty() == told.is_empty(), "{error}");
            assert_eq!(exit, if told.is_empty() { 0 } else { 3 }, "{error}");
        }
    }
}

/// After damage a new text begins, and with it a new line.
#[test]
fn damage_ends_the_line() {
    let long = format!(r#"{{"kind":"Event","x":"{}"}}"#, "y".repeat(1 << 20));
    for first in [event(0), "x".repeat(2 << 20), format!("2026-11-24T03:16:43Z stdout F {long}"), long] {
        let mut first = gzip(first.as_bytes());
        let crc = first.len() - 8;
        first[crc] ^= 1;
        let second = gzip(format!("2026-11-24T03:16:43.101Z {}", event(1)).as_bytes());
        let (found, ..) = sweep(&[first, second].concat(), &["--max-record", "1MiB"]);
        assert_eq!(found.last().map(String::as_str), Some("id-1"));
    }
}

#[test]
fn more_text_than_max_bytes_is_told() {
    let dump: String = (0..50).map(|number| event(number) + "\n").collect();
    let (found, _, exit, error) = sweep(&gzip(dump.as_bytes()), &["--max-bytes", "2KiB"]);
    assert!(!found.is_empty() && found.len() < 50);
    assert_eq!(exit, 3);
    assert!(error.contains("--max-bytes"), "{error}");
}

/// Members that are not text cost time too: they count, and those after them are not read.
#[test]
fn what_archives_hold_counts_for_max_bytes() {
    let mut tar = tar::Builder::new(Vec::new());
    let log = event(0) + "\n";
    let noise: Vec<u8> = (0..262_144_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for (name, bytes) in [("a.bin", &noise[..]), ("b.log", log.as_bytes())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let (found, _, exit, _) = sweep(&tar, &["--max-bytes", "4MiB"]);
    assert_eq!((found.len(), exit), (1, 0));
    let (found, _, exit, error) = sweep(&tar, &["--max-bytes", "256KiB"]);
    assert_eq!((found.len(), exit), (0, 3));
    assert!(error.contains("further members were not read"), "{error}");
}

/// A payload inside a record is text too; all of them count, in whatever member of an archive.
#[test]
fn what_payloads_hold_counts_for_max_bytes() {
    let padded = |number| event(number).replacen('{', &format!("{{{}", " ".repeat(100 << 10)), 1) + "\n";
    let record = |number| json!({"awslogs": {"data": STANDARD.encode(gzip(padded(number).as_bytes()))}}).to_string();
    let text = [record(0), record(1)].join("\n");
    let mut tar = tar::Builder::new(Vec::new());
    for number in 0..2 {
        let mut header = tar::Header::new_ustar();
        header.set_size(record(number).len() as u64);
        tar.append_data(&mut header, format!("{number}.log"), record(number).as_bytes()).unwrap();
    }
    for dump in [text.into_bytes(), tar.into_inner().unwrap()] {
        let (found, _, exit, _) = sweep(&dump, &["--max-bytes", "220KiB"]);
        assert_eq!((found, exit), (vec!["id-0".to_owned(), "id-1".to_owned()], 0));
        let (found, _, exit, _) = sweep(&dump, &["--max-bytes", "150KiB"]);
        assert_eq!((found, exit), (vec!["id-0".to_owned()], 3));
    }
}

#[test]
fn an_event_in_garbage_is_told() {
    let spaced = event(1).replace("\":", "\": ");
    for (line, damaged) in [(event(1), false), (spaced.clone(), true), (format!("xx{spaced}yy"), true)] {
        let dump = [event(0), line.clone(), event(2)].join("\n");
        let garbage = [event(0).as_bytes(), b"\n\xff\0", line.as_bytes(), b"\xff\0\n", event(2).as_bytes()].concat();
        assert!(sweep(&garbage, &[]).2 == 3 || !damaged, "{line}");
        assert_eq!(sweep(dump.as_bytes(), &[]).2, if line.starts_with("xx") { 3 } else { 0 }, "{line}");
    }
}

/// A cut array is reported, even if its last element can be decided from what is left of it.
#[test]
fn a_cut_array_is_not_closed() {
    for left in 1..event(2).len() {
        let array = format!("[{},{},{}", event(0), event(1), &event(2)[..left]);
        let (found, _, exit, error) = sweep(array.as_bytes(), &[]);
        assert!(found.len() >= 2 && exit == 3 && !error.is_empty(), "{left}: {found:?} {exit} {error}");
    }
}

/// A header with one flipped bit loses the name of its member, but no record.
#[test]
fn a_flipped_bit_in_a_tar_header_loses_a_name() {
    let mut tar = tar::Builder::new(Vec::new());
    for number in 0..3 {
        let log = event(number) + "\n";
        let mut header = tar::Header::new_ustar();
        header.set_size(log.len() as u64);
        tar.append_data(&mut header, format!("{number}.log"), log.as_bytes()).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    for at in [1024_usize, 1024 + 100, 1024 + 150, 1024 + 300] {
        let mut bytes = tar.clone();
        bytes[at] ^= 1;
        let (found, _, exit, _) = sweep(&bytes, &[]);
        assert_eq!((found.len(), exit), (3, 3), "{at}");
    }
}

#[test]
fn hostile_shapes_are_records_like_others() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let good = event(0);
    for hostile in [
        r#"{"objectRef":"x","objectRef.resource":"cronjobs"}"#.to_owned(),
        format!(r#"{{"objectRef.resource":"cronjobs","{}":"x"}}"#, "a.".repeat(100_000)),
        format!(r#"{{"message":{deep}}}"#),
        r#"{"log":"#.repeat(200) + "1" + &"}".repeat(200),
        format!(r#"{{"verb":"create","auditID":"x","objectRef":{{"resource":"cronjobs"}},"requestObject":{deep}}}"#),
        "[\n".repeat(200_000),
        "{\"a\":\n".repeat(200_000),
    ] {
        let (found, _, exit, error) = sweep(format!("{hostile}\n{good}\n").as_bytes(), &[]);
        assert!(found.contains(&"id-0".to_owned()), "{}", &hostile[..16]);
        assert!(exit == 0 || exit == 3, "{error}");
    }
}

/// Members of an archive with their events as reported, and the exit status.
fn members(bytes: &[u8]) -> (Vec<String>, i32) {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("dump");
    fs::write(&file, bytes).unwrap();
    let (_kept, out, run) = scan(&[file], &[]);
    let told = rows(&out.join("inputs.csv")).into_iter().skip(1);
    (told.map(|row| format!("{} {} {}", row["member"], row["status"], row["events"])).collect(), run.exit)
}

/// A tar whose members contain one event each.
fn tar_of(names: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (number, name) in names.iter().enumerate() {
        let text = event(number) + "\n";
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_cksum();
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip_of(names: &[&str], method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (number, name) in names.iter().enumerate() {
        zip.start_file(*name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all((event(number) + "\n").as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Renames a member in the directory of a zip.
fn rename(zip: &mut [u8], from: &[u8], to: &[u8]) {
    let at = memchr::memmem::rfind(zip, from).unwrap();
    zip[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn members_of_one_name_are_told_apart() {
    assert_eq!(members(&tar_of(&["a.log", "a.log"])), (vec!["a.log ok 1".into(), "a.log#2 ok 1".into()], 0));
    // Also if a member has the name that another one would get.
    let three = (vec!["a.log ok 1".into(), "a.log#2 ok 1".into(), "a.log#2#2 ok 1".into()], 0);
    assert_eq!(members(&tar_of(&["a.log", "a.log", "a.log#2"])), three);
    let three = (vec!["a.log ok 1".into(), "a.log#2 ok 1".into(), "a.log#3 ok 1".into()], 0);
    assert_eq!(members(&tar_of(&["a.log#2", "a.log", "a.log"])), three);
    // A flipped bit makes names equal, or makes one that of a directory.
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        for (other, told) in [(b"a.log", ["a.log ok 1", "a.log#2 ok 1"]), (b"blog/", ["a.log ok 1", "blog/ ok 1"])] {
            let mut zip = zip_of(&["a.log", "c.log"], method);
            rename(&mut zip, b"c.log", other);
            assert_eq!(members(&zip).0, told, "{method}");
        }
    }
}

/// The directory of the last of two archives, or one that has lost an entry, accounts only for the bytes of some
/// members.
#[test]
fn zip_members_that_the_directory_does_not_name_are_read() {
    let method = zip::CompressionMethod::Deflated;
    let two = [zip_of(&["a.log", "b.log"], method), zip_of(&["c.log"], method)].concat();
    let told = ["a.log ok 1", "b.log ok 1", "c.log ok 1"].map(str::to_owned).to_vec();
    assert_eq!(members(&two), (told.clone(), 3));
    assert!(sweep(&two, &[]).3.contains("does not name all members; those from byte 0 on"));
    // The second one lost its directory.
    let behind = zip_of(&["b.log", "c.log"], method);
    let cut = memchr::memmem::find(&behind, b"PK\x01\x02").unwrap();
    assert_eq!(members(&[&zip_of(&["a.log"], method), &behind[..cut]].concat()), (told.clone(), 3));
    let mut counted = zip_of(&["a.log", "b.log", "c.log"], method);
    let end = memchr::memmem::rfind(&counted, b"PK\x05\x06").unwrap();
    counted[end + 8..end + 12].copy_from_slice(&[1, 0, 1, 0]);
    assert_eq!(members(&counted), (told, 3));
}

/// Damage turns a log into bytes that are not text; damage of the container distinguishes them from other binary files.
#[test]
fn what_damage_makes_of_a_text_is_not_skipped() {
    let packed = gzip(&tar_of(&["a.log", "b.log"]));
    let (_, _, exit, error) = sweep(&packed[..90], &[]);
    assert!(exit == 3 && error.contains("gzip stream ends early"), "{exit} {error}");
    let method = zip::CompressionMethod::Deflated;
    let mut zip = zip_of(&["a.log", "b.log"], method);
    let entry = memchr::memmem::find(&zip, b"PK\x01\x02").unwrap();
    zip[entry + 10] = 0;
    assert_eq!(members(&zip), (vec!["a.log failed 0".into(), "b.log ok 1".into()], 3));
    // Bytes that no damage explains are not a log.
    let noise: Vec<u8> = (0..65_536_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let (_, _, exit, error) = sweep(&gzip(&noise), &[]);
    assert_eq!((exit, error.as_str()), (0, "not text"));
}

#[test]
fn a_lost_byte_of_utf16_loses_no_record_behind_it() {
    let text: String = (0..4).map(|number| event(number) + "\r\n").collect();
    let whole: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let second = 2 * text.find("id-1").unwrap();
    for at in [second, second + 1, second + 200] {
        let (found, _, exit, error) = sweep(&[&whole[..at], &whole[at + 1..]].concat(), &[]);
        assert!(found.first().is_some_and(|id| id == "id-0") && found.ends_with(&["id-2".into(), "id-3".into()]));
        assert!(exit == 3 && !error.is_empty(), "{at}: {exit} {error}");
    }
}

/// The result of `cat` on a log and its compressed rotation.
#[test]
fn a_compressed_stream_inside_a_text_is_told() {
    for end in ["\n", ""] {
        let text = event(0) + "\n" + &event(1) + end;
        let dump = [text.as_bytes(), &gzip((event(2) + "\n").as_bytes())].concat();
        for (bytes, kind) in [(dump.clone(), "plain"), (gzip(&dump), "packed")] {
            let (found, _, exit, error) = sweep(&bytes, &[]);
            assert_eq!((found, exit), (vec!["id-0".to_owned(), "id-1".to_owned()], 3), "{kind} {end:?}");
            assert!(error.contains(&format!("gzip begins inside the text, at byte {}", text.len())), "{kind}: {error}");
        }
    }
}

/// After a cut between two members, nothing is left that could be damaged.
#[test]
fn a_tar_without_its_end_is_told() {
    let tar = tar_of(&["a.log", "b.log"]);
    let end = tar.len() - 1024;
    let second = (1024..end).step_by(512).rfind(|&at| tar[at..].starts_with(b"b.log")).unwrap();
    let all = ["a.log ok 1", "b.log ok 1"];
    for (length, told, exit) in
        [(second, &all[..1], 3), (second - 7, &all[..1], 3), (end, &all, 3), (end + 512, &all, 0), (tar.len(), &all, 0)]
    {
        let cut = &tar[..length];
        let (members, status) = members(cut);
        assert_eq!((members, status), (told.iter().map(|&told| told.to_owned()).collect(), exit), "cut at {length}");
        let (.., gzip, error) = sweep(&gzip(cut), &[]);
        assert!(gzip == exit && (exit == 0 || error.contains(&format!("byte {length} of its text"))), "{error}");
    }
}

/// A zip member with the right checksum, but another length than it declares, is read to its end.
#[test]
fn a_zip_member_of_another_length_is_read_and_marked() {
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        for wrong in [-600_i64, -1, 1, 1 << 20] {
            let text: String = (0..3).map(|number| event(number) + "\n").collect();
            let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            for (name, text) in [("a.log", &text), ("b.log", &(event(9) + "\n"))] {
                zip.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
                zip.write_all(text.as_bytes()).unwrap();
            }
            let mut bytes = zip.finish().unwrap().into_inner();
            let entry = memchr::memmem::find(&bytes, b"PK\x01\x02").unwrap();
            let declared = u32::try_from(i64::try_from(text.len()).unwrap() + wrong).unwrap();
            bytes[entry + 24..entry + 28].copy_from_slice(&declared.to_le_bytes());
            let here = tempfile::tempdir().unwrap();
            fs::write(here.path().join("dump.zip"), bytes).unwrap();
            let (_kept, out, run) = scan(&[here.path().join("dump.zip")], &[]);
            let found: Vec<_> =
                hits(&out).iter().map(|hit| (hit["audit_id"].clone(), hit["damaged"] == true)).collect();
            let expected = [("id-0", true), ("id-1", true), ("id-2", true), ("id-9", false)];
            assert_eq!(found, expected.map(|(id, damaged)| (id.into(), damaged)), "{method} {wrong}");
            let row = rows(&out.join("inputs.csv")).into_iter().find(|row| row["member"] == "a.log").unwrap();
            assert!(row["error"].contains("wrong length") && row["status"] == "partial", "{row:?}");
            assert_eq!(run.exit, 3);
        }
    }
}

/// An event in each form in which a record is one line.
fn lines_of(event: &str) -> Vec<String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let entry = |number: &str| {
        format!(
            r#"{{"insertId":"{number}","protoPayload":{{"methodName":"io.k8s.batch.v1.cronjobs.create","resourceName":"batch/v1/namespaces/n/cronjobs/x","request":{{"spec":"{}"}},"serviceName":"k8s.io","status":{{}}}},"resource":{{"labels":{{"cluster_name":"c","project_id":"p"}},"type":"k8s_cluster"}},"timestamp":"2026-11-24T03:00:00Z"}}"#,
            "y".repeat(300)
        )
    };
    let id = event.split("\"auditID\":\"").nth(1).unwrap().split('"').next().unwrap();
    let line = quoted(&format!("{event}\n"));
    vec![
        event.to_owned(),
        format!("2026-11-24T03:16:43.101Z {event}"),
        format!("2026-11-24T03:16:43.101010101Z stdout F {event}"),
        format!(r#"{{"log":{line},"stream":"stdout","time":"2026-11-24T03:16:43Z"}}"#),
        format!(
            r#"{{ "category": "kube-audit", "properties": {{"log":{line},"stream":"stdout"}}, "resourceId": "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/A"}}"#
        ),
        format!(r#"{{"preview":false,"result":{{"_raw":{}}}}}"#, quoted(event)),
        entry(id),
    ]
}

/// A lost disk block reads as zero bytes: what is on its two sides is not one record, whatever was in it.
#[test]
fn zero_bytes_join_no_records() {
    // A long body, so that both ends of a block may be inside strings.
    let padded: Vec<String> =
        (1..9).map(|number| event(number).replace("\"spec\":\"", "\"spec\":\"yyyyyyyyyyyyyyyy")).collect();
    for form in 0..lines_of(&event(0)).len() {
        let dump: Vec<u8> = padded.iter().map(|event| lines_of(event)[form].clone() + "\n").collect::<String>().into();
        let starts: Vec<usize> = std::iter::once(0)
            .chain(dump.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1))
            .collect();
        let bodies: Vec<usize> = memchr::memmem::find_iter(&dump, "yyyyyyyyyyyyyyyy").collect();
        let body = |record: usize| *bodies.iter().find(|at| **at > starts[record]).unwrap();
        for (from, to) in [(body(1) + 4, body(4) + 8), (body(1) + 4, starts[2] + 30), (body(2) - 40, body(3) + 8)] {
            let mut damaged = dump.clone();
            damaged[from..to].fill(0);
            let (found, _, exit, error) = sweep(&damaged, &[]);
            let whole = |record: &usize| starts[record + 1] <= from || starts[*record] >= to;
            for record in (0..8).filter(whole) {
                let id = format!("id-{}", record + 1);
                assert!(found.contains(&id), "{form}: {id} is not among {found:?}");
            }
            assert_eq!(exit, 3, "{form}, {from}..{to}: {error}");
            assert_eq!(sweep(&damaged, &["--validate"]).0, found, "{form}");
        }
    }
}

/// Counters of one file, without and with `--validate`, which must agree: records, events, not audit, malformed.
fn counters(bytes: &[u8]) -> [String; 4] {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("dump");
    fs::write(&file, bytes).unwrap();
    let [fast, slow] = [&[][..], &["--validate"]].map(|options| {
        let (_kept, out, _) = scan(std::slice::from_ref(&file), options);
        let row = rows(&out.join("inputs.csv")).remove(0);
        ["records", "events", "not_audit", "malformed"].map(|column| row[column].clone())
    });
    assert_eq!(fast, slow);
    fast
}

/// A record split into parts waits for its last one; a record that comes instead is separate.
#[test]
fn a_lost_part_takes_no_record_with_it() {
    let long = event(1).replace("\"spec\":\"", &format!("\"spec\":\"{}", "y".repeat(20_000)));
    let docker = |log: &str| {
        format!("{}\n", serde_json::json!({"log": log, "stream": "stdout", "time": "2026-11-24T03:16:43Z"}))
    };
    let cri = |tag: &str, content: &str| format!("2026-11-24T03:16:43.101010101Z stdout {tag} {content}\n");
    let line = cri("F", &event(1));
    let cut = &line[..line.find("\"requestObject\"").unwrap()];
    let also_long = long.replace("id-1", "id-2");
    for (dump, expected) in [
        (docker(&long[..16384]) + &docker(&(event(2) + "\n")) + &docker(&(event(3) + "\n")), 3),
        (cri("P", &long[..16384]) + &cri("F", &event(2)) + &cri("F", &event(3)), 3),
        (cri("P", &long[..16384]) + &cri("P", &also_long[..16384]) + &cri("F", &also_long[16384..]), 2),
        (docker(&long[..16384]) + &docker(&also_long[..16384]) + &docker(&(also_long[16384..].to_owned() + "\n")), 2),
        (cut.to_owned() + &cri("F", &event(2)) + &cri("F", &event(3)), 3),
        (cut.replace(" F ", " P ") + &cri("F", &event(2)) + &cri("F", &event(3)), 3),
        (cri("P", &long[..16384]) + &cri("P", &also_long[..16384]), 2),
        (docker(&long[..16384]) + &docker(&also_long[..16384]), 2),
    ] {
        let (mut found, ..) = sweep(dump.as_bytes(), &[]);
        found.sort();
        let ids: Vec<_> = (1..=expected).map(|number| format!("id-{number}")).collect();
        assert_eq!(found, ids, "{}", &dump[..200]);
    }
}

/// A part inside a whole record that looks like an event is not one.
#[test]
fn a_part_that_begins_as_an_event_is_no_record() {
    let forged = event(7);
    let whole = event(1).replace("\"requestObject\":{", &format!("\"requestObject\":{{\"a\":{forged},"));
    let at = whole.find(&forged).unwrap();
    let (head, tail) = whole.split_at(at);
    let docker = |log: &str| {
        format!("{}\n", serde_json::json!({"log": log, "stream": "stdout", "time": "2026-11-24T03:16:43Z"}))
    };
    let time = "2026-11-24T03:16:43.101010101Z";
    for dump in [
        docker(head) + &docker(&format!("{tail}\n")),
        format!("{time} stdout P {head}\n{time} stdout F {tail}\n"),
        format!("{time} stdout F listen to: {time} stdout F {forged}\n{time} stdout F {whole}\n"),
    ] {
        assert_eq!(sweep(dump.as_bytes(), &[]).0, ["id-1"]);
    }
}

/// Responses that hold records in an array, as their tools write them.
fn answers(events: &[String]) -> Vec<String> {
    let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    let each = |form: &dyn Fn(&String) -> String| events.iter().map(form).collect::<Vec<_>>().join(",");
    let records = each(&|event| {
        format!(r#"{{"category":"kube-audit","properties":{{"log":{}}},"time":"2026-11-24T03:16:43Z"}}"#, quoted(event))
    });
    let hits = each(&|event| format!(r#"{{"_source":{{"kubernetes":{{"audit":{event}}}}}}}"#));
    let values = each(&|event| format!(r#"["1795490175101",{}]"#, quoted(event)));
    let rows = each(&|event| format!(r#"["kube-audit",{}]"#, quoted(event)));
    let items = each(&|event| event.replacen(r#""kind":"Event","apiVersion":"audit.k8s.io/v1","#, "", 1));
    vec![
        format!(r#"{{"records":[{records}]}}"#),
        format!(r#"{{"hits":{{"hits":[{hits}]}}}}"#),
        format!(
            r#"{{"status":"success","data":{{"resultType":"streams","result":[{{"stream":{{}},"values":[{values}]}}]}}}}"#
        ),
        format!(
            r#"{{"tables":[{{"name":"P","columns":[{{"name":"Category"}},{{"name":"log_s"}}],"rows":[{rows}]}}]}}"#
        ),
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{items}]}}"#),
    ]
}

/// A bracket, quote or key lost in one record loses no other record, and is reported.
#[test]
fn damage_in_one_element_loses_no_other() {
    let events: Vec<String> = (1..6).map(event).collect();
    for answer in answers(&events) {
        let at = answer.find("id-2").unwrap();
        let start = answer[..at].rfind("auditID").unwrap() - 40;
        let end = answer[at..].find("id-3").unwrap() + at - 120;
        let structural = (start..end).filter(|at| b"{}[]\",:".contains(&answer.as_bytes()[*at]));
        for at in structural.step_by(17) {
            for change in [0, b'#', b']'] {
                let mut damaged = answer.clone().into_bytes();
                damaged[at] = change;
                let (found, _, exit, error) = sweep(&damaged, &[]);
                let others = ["id-1", "id-3", "id-4", "id-5"].iter().filter(|id| found.iter().any(|one| one == *id));
                let around = &answer[at - 20..at + 20];
                assert!(others.count() == 4 || exit == 3, "{change}, {around}: {found:?} {error}");
            }
        }
        let structural = answer.find("id-2").unwrap() - 100;
        let brace = structural + answer[structural..].find(['{', '[']).unwrap();
        let lost = [&answer[..brace], &answer[brace + 1..]].concat();
        let (found, _, exit, error) = sweep(lost.as_bytes(), &[]);
        assert!(["id-1", "id-4", "id-5"].iter().all(|id| found.iter().any(|one| one == id)), "{lost}: {found:?}");
        assert_eq!(exit, 3, "{error}");
    }
}

/// A response read as a whole is reported as not closed, even if nothing is left of the record that was cut.
#[test]
fn a_cut_answer_is_not_closed() {
    let events: Vec<String> = (1..4).map(event).collect();
    for answer in answers(&events) {
        let third = answer.rfind("id-3").unwrap();
        let between = answer[..third].rfind(",{\"").max(answer[..third].rfind(",[\"")).unwrap();
        for end in [between, between + 1, third, answer.len() - 1] {
            let (found, _, exit, error) = sweep(&answer.as_bytes()[..end], &[]);
            assert!(found.starts_with(&["id-1".to_owned(), "id-2".to_owned()]), "{end}: {found:?}");
            assert!(exit == 3 && !error.is_empty(), "{end} of {answer}");
        }
    }
}

#[test]
fn a_cut_code_is_no_code() {
    let event = event(1);
    let at = event.find("\"code\":").unwrap() + 8;
    for cut in [
        format!("{}[Truncated...]\n", &event[..at]),
        format!("2026-11-24T03:16:43.101Z {}[Truncated...]\n", &event[..at]),
    ] {
        let here = tempfile::tempdir().unwrap();
        fs::write(here.path().join("dump"), cut).unwrap();
        let (_kept, out, _) = scan(&[here.path().join("dump")], &[]);
        let hits = hits(&out);
        assert_eq!(
            (hits[0]["outcome"].as_str(), hits[0].get("code").and_then(serde_json::Value::as_i64)),
            (Some("unknown"), None)
        );
    }
}

#[test]
fn entries_on_one_line_are_counted_each() {
    let entries: String = (0..50)
        .map(|number| lines_of(&event(number)).pop().unwrap().replace("cronjobs", "pods").replace("create", "get"))
        .collect();
    assert_eq!(counters((entries + "\n").as_bytes()), ["50", "50", "0", "0"]);
}

/// The end of an audit record is reported, however it is wrapped; what people and programs write is not.
#[test]
fn records_without_their_beginning_are_told() {
    let all: Vec<String> = lines_of(&event(1));
    for line in [&all[0], &all[3], &all[4], &all[5]] {
        for start in [60, 61, 130, 200, line.len() - 120] {
            assert_eq!(
                counters(format!("{}\n{}\n", &line[start..], event(2)).as_bytes())[2..],
                ["0", "1"],
                "{}",
                &line[start..]
            );
        }
    }
    let pretty = format!("{},\n  \"x\"\n", &all[3][100..all[3].len() - 40]);
    assert_eq!(counters(pretty.as_bytes())[3], "1");
    assert_eq!(counters(b"pFAY2Bz7FtwmdvAjS5R/59oNhQ0hkDpZvufl6zORgzaK1ORuBBPIiohBP4Pz2hociqh0KA==\"}}\n")[3], "1");
    let text = "I0710 20:27:25.673734 1 httplog.go:132] \"HTTP\" verb=\"GET\" URI=\"/healthz\" audit-ID=\"1\"\n\
                time=\"2026-11-24T03:16:43Z\" level=info msg=\"got {a}\"\nRunning on machine: a\nthe \"auditID\" is wrong\n";
    assert_eq!(counters(text.as_bytes()), ["4", "0", "4", "0"]);
}

/// Columns as Kibana exports them, and cells of JSON where other exports have objects.
#[test]
fn tables_hold_events_in_other_columns() {
    let kibana = "@timestamp,kubernetes.audit.auditID,kubernetes.audit.verb,kubernetes.audit.stage,kubernetes.audit.user.username,kubernetes.audit.objectRef.resource,kubernetes.audit.objectRef.namespace\n\
                  x,id-1,create,ResponseComplete,eve,cronjobs,prod\n";
    let payload = r#"{"serviceName":"k8s.io","methodName":"io.k8s.batch.v1.cronjobs.create","resourceName":"batch/v1/namespaces/prod/cronjobs/n","status":null}"#;
    let cell = payload.replace('"', "\"\"");
    let csv = |column: &str| format!("timestamp,insertId,{column}\n2026-11-24 03:16:43.101 UTC,id-1,\"{cell}\"\n");
    let line = serde_json::json!({"insertId": "id-1", "timestamp": "2026-11-24T03:16:43Z", "protoPayload": payload});
    for dump in [kibana.to_owned(), csv("protopayload_auditlog"), csv("protoPayload"), format!("{line}\n")] {
        assert_eq!(sweep(dump.as_bytes(), &[]).0, ["id-1"], "{dump}");
    }
    let cut = csv("protoPayload").replace(",\"\"status\"\":null}", "").replace("methodName", "m");
    assert_eq!(counters(cut.as_bytes()), ["1", "0", "0", "1"]);
}

/// BigQuery writes labels as lists of key and value.
#[test]
fn labels_may_be_pairs() {
    let entry = r#"{"insertId":"id-1","timestamp":"2026-11-24 03:16:43.101 UTC","protopayload_auditlog":{"serviceName":"k8s.io","methodName":"io.k8s.batch.v1.cronjobs.create","resourceName":"batch/v1/namespaces/prod/cronjobs/n"},"labels":[{"key":"command.gke.io/dryRun","value":"All"}],"resource":{"type":"k8s_cluster","labels":[{"key":"cluster_name","value":"c1"},{"key":"project_id","value":"p1"}]}}"#;
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("dump"), entry).unwrap();
    let (_kept, out, _) = scan(&[here.path().join("dump")], &[]);
    let hit = hits(&out).remove(0);
    assert_eq!([&hit["cluster"], &hit["account"], &hit["outcome"]], ["c1", "p1", "dry_run"]);
}

/// A table without a column for the resource cannot show that nothing happened.
#[test]
fn rows_without_a_resource_are_not_decided() {
    let row = |uri: &str| {
        format!(
            "@timestamp,verb,requestURI,user.username,responseStatus.code\n2026-11-24 03:16:43.101,create,{uri},eve,201\n"
        )
    };
    assert_eq!(counters(row("/apis/batch/v1/namespaces/prod/cronjobs").as_bytes()), ["1", "0", "0", "1"]);
    assert_eq!(counters(row("/healthz").as_bytes()), ["1", "1", "0", "0"]);
}

/// An event in an unknown envelope is not read as an event, but is reported.
#[test]
fn events_in_unknown_envelopes_are_told() {
    let text = serde_json::Value::from(event(0)).to_string();
    let entry = r#"{"insertId":"a","protoPayload":{"serviceName":"k8s.io","methodName":"io.k8s.get"}}"#;
    let unknown = [
        format!(r#"{{"tenant":"x","wrapped":{{"inner":{}}}}}"#, event(0)),
        format!(r#"{{"tenant":"x","wrapped":{text}}}"#),
        format!(r#"{{"tenant":"x","wrapped":{entry}}}"#),
    ];
    for record in &unknown {
        let dump = format!("{}\n{record}\n", event(1));
        let [records, events, not_audit, malformed] = counters(dump.as_bytes());
        assert_eq!([&*records, &*events, &*not_audit, &*malformed], ["2", "1", "0", "1"], "{record}");
        let (found, _, exit, error) = sweep(dump.as_bytes(), &[]);
        assert_eq!((found.len(), exit), (1, 3), "{record}");
        assert!(error.ends_with("it holds an audit event in an envelope that is not known"), "{error}");
    }
    // A Kubernetes object may quote an event.
    let quoted = format!(r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"x"}},"data":{{"x":{text}}}}}"#);
    assert_eq!(counters(quoted.as_bytes())[2..], ["1", "0"]);
}

/// The record in which a cut stream ends is cut too; the missing rest is the graver problem, so it is named first.
#[test]
fn a_cut_stream_is_named_before_the_record_it_cuts() {
    let whole = gzip((0..200).map(|number| event(number) + "\n").collect::<String>().as_bytes());
    for left in [whole.len() / 3, whole.len() / 2, whole.len() - 9] {
        let (_, _, exit, error) = sweep(&whole[..left], &[]);
        assert!(exit == 3 && error.contains("gzip"), "{left}: {error}");
    }
}

/// What only mentions events, or is known to be something else, is not an event.
#[test]
fn what_names_events_is_not_told() {
    let entry = r#"{"insertId":"a","logName":"x","protoPayload":{"serviceName":"container.googleapis.com","request":{"zone":"topology.k8s.io/zone"}}}"#;
    let quoted = serde_json::Value::from(event(0)).to_string();
    let object =
        format!(r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"x"}},"data":{{"x":{quoted}}}}}"#);
    let in_string = |text: &str| serde_json::Value::from(text).to_string();
    for text in [
        r#"{"eventName":"StartQuery","requestParameters":{"queryString":"fields auditID, objectRef.resource"}}"#
            .to_owned(),
        r#"{"mappings":{"properties":{"auditID":{"type":"keyword"},"objectRef":{"properties":{}}}}}"#.to_owned(),
        r#"{"path":"/?auditID=1&objectRef=2"}"#.to_owned(),
        r#"{"level":"info","data":"eyJhbGciOiJub25lIn0.eyJhIjoxfQ.sig"}"#.to_owned(),
        format!(r#"{{"entries":[{entry}]}}"#),
        format!(r#"{{"message":{}}}"#, in_string(entry)),
        format!(r#"{{"log":{},"stream":"stdout","time":"2026-11-24T03:00:00Z"}}"#, in_string(&format!("{object}\n"))),
        format!(r#"{{"type":"ADDED","object":{object}}}"#),
    ] {
        assert_eq!(counters(text.as_bytes())[1..], ["0", "1", "0"], "{text}");
    }
    // A log whose first line is not YAML is not YAML, whatever follows.
    let log = format!("E1124 03:16:43 x.go:1] err=<\n\tobjectRef: x\n >\n{}\n", event(1));
    assert_eq!(sweep(log.as_bytes(), &[]).0, ["id-1"]);
}

/// The control plane's own log group contains nothing that wraps events, even if it is itself inside another envelope.
#[test]
fn nothing_is_forged_in_the_control_plane() {
    let forged =
        serde_json::json!({"msg": "x", "event": serde_json::from_str::<serde_json::Value>(&event(0)).unwrap()});
    let payload = serde_json::json!({"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/aws/eks/p/cluster",
        "logEvents": [{"id": "1", "timestamp": 1, "message": forged.to_string()}]});
    let queued = serde_json::json!({"Messages": [{"MessageId": "m", "Body": payload.to_string()}]});
    for text in [payload.to_string(), queued.to_string()] {
        assert_eq!(counters(text.as_bytes())[1..], ["0", "1", "0"], "{text}");
    }
}

/// The part before the bodies refutes a record only if it is whole: with a lost bracket or quote, the objectRef may be
/// in what seems to be a string.
#[test]
fn a_damaged_head_refutes_nothing() {
    let whole = event(0).replace(r#""user":"#, r#""sourceIPs":["10.0.0.1"],"user":"#).replace(":00Z", ":00.000000Z");
    let head = whole.find(r#","requestObject""#).unwrap();
    let structural = (1..head).filter(|&at| matches!(whole.as_bytes()[at], b'{' | b'}' | b'[' | b']' | b'"'));
    for is_lost in [true, false] {
        let damaged = structural.clone().map(|at| {
            let rest = if is_lost { &whole[at + 1..] } else { &whole[at..] };
            [&whole[..at], rest].concat().replace("id-0", &format!("id-{at}")) + "\n"
        });
        let dump = [whole.clone() + "\n", damaged.collect()].concat();
        counters(dump.as_bytes());
    }
}

#[test]
fn rows_that_lost_their_newline_are_rows() {
    let row = |number: usize| format!("s,2026-11-24 03:16:43.101,\"{}\"", event(number).replace('"', "\"\""));
    for (end, last) in [("\r", "\r"), ("\r\n", ""), ("\n", "\r")] {
        let rows: Vec<String> = (0..4).map(row).collect();
        let dump = format!("@logStream,@timestamp,@message{end}{}\r{}{last}", rows[..2].join(end), rows[2..].join(end));
        let (found, _, exit, error) = sweep(dump.as_bytes(), &[]);
        assert_eq!(found, ["id-0", "id-1", "id-2", "id-3"], "{end:?} {error}");
        assert_eq!(exit, 0);
    }
}

/// Firehose adds no extension, and a disk loses the first sector.
#[test]
fn gzip_without_its_beginning_is_told() {
    let text = |number: usize| event(number).into_bytes();
    let dump: Vec<u8> = (0..6).flat_map(|number| gzip(&text(number))).collect();
    let first = gzip(&text(0)).len();
    let zeros = |count: usize| [vec![0; count], dump[first - 40..].to_vec()].concat();
    for bytes in [zeros(first - 40), zeros(8192), dump[20..].to_vec(), [&[0xFE; 40], &dump[..]].concat()] {
        let (found, _, exit, error) = sweep(&bytes, &[]);
        assert_eq!((found.ends_with(&["id-5".to_owned()]), exit), (true, 3), "{error}");
    }
    let garbage: Vec<u8> = (0..40_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let (found, _, exit, error) = sweep(&[&garbage, &dump[..]].concat(), &[]);
    assert_eq!((found.len(), exit), (0, 3));
    assert!(error.contains("gzip begins at byte 40000"), "{error}");
    assert_eq!(sweep(&garbage, &[]).2, 0);
}

/// A byte that is lost anywhere, so that a line is no JSON any more: what it held is found and marked, or told.
#[test]
fn a_lost_byte_hides_no_request() {
    // API servers write quotes into nearly every record, which give those that are lost their counterparts.
    let reason =
        r#""annotations":{"authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"a\" of \"b\""},"#;
    let one = event(1).replace("\"requestObject\"", &format!("{reason}\"requestObject\""));
    let sound = event(2);
    let is_json = |line: &str| serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
    for form in 0..lines_of(&one).len() {
        let line = lines_of(&one)[form].clone();
        let begin = line.find('{').unwrap();
        let (mut dump, mut damaged) = (String::new(), 0_u64);
        for at in begin.max(1)..line.len() {
            let mut text = line.clone();
            text.remove(at);
            let json = &text[begin.min(text.len())..];
            // Neither an escape that is none, in a text that nobody asks for, nor a word other than `false` is looked at.
            let word = line.find(":false").map_or(0..0, |at| at + 1..at + 6);
            if line[at - 1..=at].contains('\\') || word.contains(&at) {
                continue;
            }
            // Inside of a string that holds an event the loss shows only once that is read.
            let inner = serde_json::from_str::<serde_json::Value>(json).ok();
            let holds = |value: &serde_json::Value| {
                let texts = ["/log", "/properties/log", "/result/_raw"]
                    .iter()
                    .filter_map(|place| value.pointer(place)?.as_str());
                texts.into_iter().all(is_json)
            };
            if inner.as_ref().is_some_and(holds) {
                continue;
            }
            damaged += 1;
            dump.extend([&text, "\n", &lines_of(&sound)[form], "\n"]);
        }
        let here = tempfile::tempdir().unwrap();
        let file = here.path().join("dump");
        fs::write(&file, &dump).unwrap();
        let (_kept, out, run) = scan(&[file], &["--no-runbook"]);
        let all = hits(&out);
        // They are copies of two requests, one with every other.
        let copies = |hit: &serde_json::Value| hit["copies"].as_u64().unwrap_or(1);
        let of = |id: &str| all.iter().filter(|hit| hit["audit_id"] == id).map(copies).sum::<u64>();
        assert_eq!(of("id-2"), damaged, "{form}: a sound record is lost");
        let row = rows(&out.join("inputs.csv")).remove(0);
        let named = all.iter().filter(|hit| hit["malformed_fields"].is_array()).count() as u64;
        let told: u64 = ["malformed", "truncated"].map(|column| row[column].parse::<u64>().unwrap()).iter().sum();
        let told = told + named;
        assert!(told >= damaged && run.exit == 3, "{form}: {damaged} lines are damaged; {row:?}");
    }
}

/// Damage to what is written around records: headers, prefixes, newlines, byte order marks. Whole records are found.
#[test]
fn whole_records_are_found_whatever_is_lost_around_them() {
    let header = "node,auditID,stage,verb,user.username,objectRef.resource,objectRef.namespace,objectRef.name,responseStatus.code,requestURI";
    let row = |number: usize| {
        format!(
            "871386fe-76cf-525e-ba81-c1d7352111b7,id-{number},ResponseComplete,create,u,cronjobs,n,x,201,/apis/batch/v1/namespaces/n/cronjobs"
        )
    };
    let rows = format!("{}\n{}\n", row(1), row(2));
    let legacy = |number: usize| {
        format!(
            r#"2026-11-24T03:16:4{number}.000000000Z AUDIT: id="id-{number}" stage="ResponseComplete" ip="10.0.0.1" method="create" user="u" groups="g" as="<self>" asgroups="<lookup>" user-agent="kubectl" namespace="n" uri="/apis/batch/v1/namespaces/n/cronjobs" response="201""#
        )
    };
    let export = |number: usize| format!("2026-11-24T03:16:43.101Z {}", event(number));
    let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("{}\n{}\n", event(1), event(2)).encode_utf16().flat_map(order).collect()
    };
    let list = |version: &str| {
        let items = [event(1), event(2)].join(",");
        format!(r#"{{"kind":"EventList","apiVersion":"{version}","metadata":{{}},"items":[{items}]}}"#)
    };
    let both = ["id-1", "id-2"];
    for (dump, expected, exit) in [
        (format!("# exported by hand\n\n{header}\n{rows}").into_bytes(), &both[..], 0),
        (format!("a,b\n1,2\n{header}\n{rows}").into_bytes(), &both, 0),
        ([b"\xbb\xbf", format!("{header}\n{rows}").as_bytes()].concat(), &both, 0),
        (rows.clone().into_bytes(), &[], 3),
        (format!("{header}{rows}").into_bytes(), &[], 3),
        (format!("{}{}\n", legacy(1), legacy(2)).into_bytes(), &both, 0),
        (format!("{}\n{}\n", legacy(1), &legacy(2)[1..]).into_bytes(), &["id-1"], 3),
        (format!("{}\n{}\n", legacy(1), legacy(2).replace("uri=\"", "uri=")).into_bytes(), &["id-1"], 3),
        (format!("{}{}\n", export(1), export(2)).into_bytes(), &both, 0),
        (format!("a/audit.log:{}\na/audit.log:{}\n", event(1), event(2)).into_bytes(), &both, 0),
        (format!("00-1\"{}\n{}\n", &event(1)[80..], event(2)).into_bytes(), &["id-2"], 3),
        (utf16(u16::to_le_bytes), &both, 0),
        (utf16(u16::to_be_bytes), &both, 0),
        (utf16(u16::to_le_bytes).split_off(1), &["id-2"], 3),
        (list("audit.8s.io/v1").into_bytes(), &both, 0),
        (format!("{0}{1}\n", event(1), event(2)).into_bytes(), &both, 0),
        (format!("2026-11-24T03:16:43.101010101Z stdout F {}{}\n", event(1), event(2)).into_bytes(), &both, 0),
    ] {
        let (mut found, _, ended, error) = sweep(&dump, &["--no-runbook"]);
        found.sort();
        assert_eq!(
            (found, ended),
            (expected.iter().map(ToString::to_string).collect(), exit),
            "{error}: {}",
            dump[..90].escape_ascii()
        );
    }
}

/// A request on CronJobs whose column of the object lost its name is not decided.
#[test]
fn a_row_without_its_object_is_told() {
    let row = r#"{"Category":"kube-audit","AuditId":"id-1","Stage":"ResponseComplete","Verb":"create","RequestUri":"/apis/batch/v1/namespaces/n/cronjobs","User":"{\"username\":\"u\"}","ObjectRef":"{\"resource\":\"cronjobs\",\"namespace\":\"n\",\"name\":\"x\"}","ResponseStatus":"{\"code\":201}"}"#;
    assert_eq!(sweep(row.as_bytes(), &[]).0, ["id-1"]);
    let (found, _, exit, _) = sweep(row.replace("\"ObjectRef\"", "\"Objectef\"").as_bytes(), &[]);
    assert_eq!((found.len(), exit), (0, 3));
}

/// What users write where nobody expects it, to make text of a log an event, or to hide one: none of it does.
#[test]
fn tolerance_is_no_way_to_forge() {
    let forged = event(7);
    let cell = forged.replace('"', "\"\"");
    let agent = |agent: &str| {
        format!(
            r#"2026-11-24T03:16:41.000000000Z AUDIT: id="id-1" stage="ResponseComplete" ip="10.0.0.1" method="create" user="u" groups="g" as="<self>" asgroups="<lookup>" user-agent="{agent}" namespace="n" uri="/apis/batch/v1/namespaces/n/cronjobs" response="201""#
        )
    };
    let raw_events = format!(
        r#"{{"kind":"EventList","apiVersion":"v1","items":[{{"metadata":{{"name":"x"}},"involvedObject":{{"kind":"Pod"}},"message":{}}}]}}"#,
        serde_json::Value::from(forged.as_str())
    );
    for (dump, expected) in [
        (format!("{}\n{}\n", agent("a,message,log,b"), agent("c,message,log,d")), &["id-1"][..]),
        (format!("{}\n", agent("x AUDIT: id=")), &["id-1"]),
        (
            format!(
                "I1124 1 trace.go:1] GET (agent a,message,log,b)\nI1124 1 trace.go:1] GET (agent \"{cell}\",x,y,z)\n"
            ),
            &[],
        ),
        (raw_events, &[]),
        (format!("user-agent:{forged}\n"), &[]),
        (format!("{{\"a\":1}} EVENTS x {forged}\n"), &[]),
        (format!("{}\n", serde_json::json!({"log": format!("{{'ua': '{forged}'}}\n"), "stream": "stdout"})), &[]),
        (format!("2026-11-24T03:16:43.1Z stdout F {{\"level\":\"info\"}} {forged}\n"), &[]),
    ] {
        let (found, ..) = sweep(dump.as_bytes(), &["--no-runbook"]);
        assert_eq!(
            found.iter().collect::<std::collections::BTreeSet<_>>(),
            expected.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>().iter().collect(),
            "{dump}"
        );
    }
}
