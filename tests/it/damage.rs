//! Damaged dumps: what can be read is read, what cannot is named, and nothing else is touched.

use std::fs;
use std::io::Write;

use crate::{hits, rows, scan};

fn event(number: usize) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"id-{number}","stage":"ResponseComplete","requestURI":"/apis/batch/v1/namespaces/n/cronjobs","verb":"create","user":{{"username":"u"}},"objectRef":{{"resource":"cronjobs","namespace":"n","name":"x"}},"responseStatus":{{"code":201}},"requestObject":{{"spec":"{}"}},"requestReceivedTimestamp":"2026-11-24T03:00:00Z"}}"#,
        "y".repeat(number * 37 % 500)
    )
}

fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// Sweeps one file; gives the ids of the hits, those of damaged ones, the exit status and the first error.
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
        let members: Vec<Vec<u8>> = (0..4).map(|number| gzip(&(event(number) + newline))).collect();
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

/// Behind damage a text begins, and with it a line.
#[test]
fn damage_ends_the_line() {
    let long = format!(r#"{{"kind":"Event","x":"{}"}}"#, "y".repeat(1 << 20));
    for first in [event(0), "x".repeat(2 << 20), format!("2026-11-24T03:16:43Z stdout F {long}"), long] {
        let mut first = gzip(&first);
        let crc = first.len() - 8;
        first[crc] ^= 1;
        let second = gzip(format!("2026-11-24T03:16:43.101Z {}", event(1)));
        let (found, ..) = sweep(&[first, second].concat(), &["--max-record", "1MiB"]);
        assert_eq!(found.last().map(String::as_str), Some("id-1"));
    }
}

#[test]
fn more_text_than_max_bytes_is_told() {
    let dump: String = (0..50).map(|number| event(number) + "\n").collect();
    let (found, _, exit, error) = sweep(&gzip(&dump), &["--max-bytes", "2KiB"]);
    assert!(!found.is_empty() && found.len() < 50);
    assert_eq!(exit, 3);
    assert!(error.contains("--max-bytes"), "{error}");
}

/// Members that are no text cost time too: they count, and those behind them are not read.
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

/// A cut array says so, also where its last element is decided from what is left of it.
#[test]
fn a_cut_array_is_not_closed() {
    for left in 1..event(2).len() {
        let array = format!("[{},{},{}", event(0), event(1), &event(2)[..left]);
        let (found, _, exit, error) = sweep(array.as_bytes(), &[]);
        assert!(found.len() >= 2 && exit == 3 && !error.is_empty(), "{left}: {found:?} {exit} {error}");
    }
}

/// A header with one flipped bit loses the name of its member, and no record.
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

/// Members and events of an archive as they are told, and the exit status.
fn members(bytes: &[u8]) -> (Vec<String>, i32) {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("dump");
    fs::write(&file, bytes).unwrap();
    let (_kept, out, run) = scan(&[file], &[]);
    let told = rows(&out.join("inputs.csv")).into_iter().skip(1);
    (told.map(|row| format!("{} {} {}", row["member"], row["status"], row["events"])).collect(), run.exit)
}

/// A tar whose members hold one event each.
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

/// The name of a member in the directory of a zip.
fn rename(zip: &mut [u8], from: &[u8], to: &[u8]) {
    let at = memchr::memmem::rfind(zip, from).unwrap();
    zip[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn members_of_one_name_are_told_apart() {
    assert_eq!(members(&tar_of(&["a.log", "a.log"])), (vec!["a.log ok 1".into(), "a.log#2 ok 1".into()], 0));
    // A flipped bit makes names equal, or that of a directory.
    for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
        for (other, told) in [(b"a.log", ["a.log ok 1", "a.log#2 ok 1"]), (b"blog/", ["a.log ok 1", "blog/ ok 1"])] {
            let mut zip = zip_of(&["a.log", "c.log"], method);
            rename(&mut zip, b"c.log", other);
            assert_eq!(members(&zip).0, told, "{method}");
        }
    }
}

/// The directory of the last of two archives, or one that has lost an entry, accounts for the bytes of some members only.
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

/// Damage makes bytes of a log that are no text; what a container says of them tells the two apart.
#[test]
fn what_damage_makes_of_a_text_is_not_skipped() {
    let packed = gzip(tar_of(&["a.log", "b.log"]));
    let (_, _, exit, error) = sweep(&packed[..90], &[]);
    assert!(exit == 3 && error.contains("gzip stream ends early"), "{exit} {error}");
    let method = zip::CompressionMethod::Deflated;
    let mut zip = zip_of(&["a.log", "b.log"], method);
    let entry = memchr::memmem::find(&zip, b"PK\x01\x02").unwrap();
    zip[entry + 10] = 0;
    assert_eq!(members(&zip), (vec!["a.log failed 0".into(), "b.log ok 1".into()], 3));
    // What no damage explains is no log.
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

/// What `cat` makes of a log and its compressed rotation.
#[test]
fn a_compressed_stream_inside_a_text_is_told() {
    for end in ["\n", ""] {
        let text = event(0) + "\n" + &event(1) + end;
        let dump = [text.as_bytes(), &gzip(event(2) + "\n")].concat();
        for (bytes, kind) in [(dump.clone(), "plain"), (gzip(&dump), "packed")] {
            let (found, _, exit, error) = sweep(&bytes, &[]);
            assert_eq!((found, exit), (vec!["id-0".to_owned(), "id-1".to_owned()], 3), "{kind} {end:?}");
            assert!(error.contains(&format!("gzip begins inside the text, at byte {}", text.len())), "{kind}: {error}");
        }
    }
}

/// Behind a cut between two members nothing stands that could be damaged.
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

/// A member of a zip that has another length than it declares, and the checksum that it should have, is read to its end.
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
