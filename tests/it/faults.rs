//! The law of damage: whatever is done to the bytes of a dump, in every form of dump, all records outside the affected
//! bytes are evaluated, losses are reported with their place, and no other file is affected.
//!
//! The faults are the same every time: their places come from a generator with a fixed seed. `SEED=7 cargo test faults`
//! tests others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::ops::Range;

use serde_json::json;

use crate::{gzip, hits, rows, scan};

/// Bytes that can be read without their surroundings, and the ids of the records in them.
struct Unit {
    bytes: Vec<u8>,
    ids: Vec<String>,
}

/// Groups of records, as (id, event).
type Groups<'g> = &'g [Vec<(String, String)>];

/// A form of dump.
struct Carrier {
    name: &'static str,
    /// Makes the units of a file from groups of records.
    build: fn(Groups<'_>) -> Vec<Unit>,
    /// Whether a checksum covers the text, so that every change is noticed.
    checked: bool,
    /// What a unit depends on besides its own bytes. If a record is then not found, that must be reported.
    depends: Depends,
}

#[derive(PartialEq)]
enum Depends {
    Nothing,
    TheOneBefore,
    ItsOffset,
    ItsHeader,
    Others,
}

const CARRIERS: [Carrier; 18] = [
    Carrier {
        name: "lines.log",
        build: |groups| plain(groups, str::to_owned),
        checked: false,
        depends: Depends::TheOneBefore,
    },
    Carrier {
        name: "gcs.json",
        build: |groups| plain(groups, log_entry),
        checked: false,
        depends: Depends::TheOneBefore,
    },
    Carrier { name: "one.log.gz", build: |groups| one(groups, gzip), checked: true, depends: Depends::Nothing },
    Carrier {
        name: "members.log.gz",
        build: |groups| each(groups, &lines, gzip),
        checked: true,
        depends: Depends::Nothing,
    },
    Carrier {
        name: "firehose-1-2026-11-24",
        build: |groups| each(groups, &payload, gzip),
        checked: true,
        depends: Depends::Nothing,
    },
    Carrier {
        name: "PT1H.json.gz",
        build: |groups| each(groups, &azure, gzip),
        checked: true,
        depends: Depends::Nothing,
    },
    Carrier { name: "array.json", build: |groups| array(groups, "["), checked: false, depends: Depends::Others },
    Carrier { name: "list.json", build: |groups| array(groups, LIST), checked: false, depends: Depends::Others },
    Carrier { name: "insights.csv", build: csv, checked: false, depends: Depends::Others },
    Carrier { name: "lines.zst", build: |groups| each(groups, &lines, zstd), checked: true, depends: Depends::Nothing },
    Carrier { name: "lines.xz", build: |groups| each(groups, &lines, xz), checked: true, depends: Depends::Nothing },
    Carrier {
        name: "lines.bz2",
        build: |groups| each(groups, &lines, bzip2),
        checked: true,
        depends: Depends::Nothing,
    },
    Carrier { name: "one.bz2", build: |groups| one(groups, bzip2), checked: true, depends: Depends::Nothing },
    Carrier { name: "logs.zip", build: zip, checked: true, depends: Depends::Others },
    Carrier {
        name: "logs.tar",
        build: |groups| tar(groups, |entry| entry),
        checked: false,
        depends: Depends::ItsOffset,
    },
    Carrier {
        name: "logs.tar.gz",
        build: |groups| tar(groups, |entry| gzip(&entry)),
        checked: true,
        depends: Depends::Nothing,
    },
    Carrier {
        name: "logs.tgz",
        build: |groups| whole(&tar(groups, |entry| entry), gzip),
        checked: true,
        depends: Depends::Nothing,
    },
    Carrier { name: "capture.avro", build: avro, checked: false, depends: Depends::ItsHeader },
];

const LIST: &str = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;

/// A change to the bytes of a file.
struct Fault {
    name: String,
    bytes: Vec<u8>,
    /// The bytes of the sound file that are missing or changed; an empty range is a place where others were inserted.
    touched: Range<usize>,
    /// Whether the bytes after them have moved.
    shifts: bool,
}

#[test]
fn what_damage_leaves_is_found_and_what_it_takes_is_told() {
    let here = tempfile::tempdir().unwrap();
    let seed: u64 = std::env::var("SEED").map_or(0, |seed| seed.parse().unwrap());
    let mut files = BTreeMap::new();
    for (turn, carrier) in CARRIERS.iter().enumerate() {
        let number = faults(&bytes(&units(carrier, 0)), &units(carrier, 0), seed * 100 + turn as u64).len();
        for case in 0..number {
            // Each case has ids of its own, because copies of a request are one hit.
            let units = units(carrier, turn * 1000 + case);
            let fault = faults(&bytes(&units), &units, seed * 100 + turn as u64).swap_remove(case);
            let name = format!("{turn:02}-{case:03}/{}", carrier.name);
            fs::create_dir_all(here.path().join(&name[..6])).unwrap();
            fs::write(here.path().join(&name), &fault.bytes).unwrap();
            files.insert(name, (carrier, units, fault));
        }
    }
    assert!(files.len() > 700, "{} files", files.len());
    let (_kept, out, run) = scan(&[here.path().to_owned()], &["--no-runbook", "-j2"]);
    assert_eq!(run.exit, 3, "{}", run.stderr);
    let (found, told) = (found(&out), told(&out));
    let problems: Vec<String> = files
        .iter()
        .flat_map(|(name, (carrier, units, fault))| {
            let nothing = BTreeMap::new();
            let problems = check(carrier, units, fault, found.get(name).unwrap_or(&nothing), &told[name]);
            problems.into_iter().map(move |problem| format!("{name} {}: {problem}", fault.name))
        })
        .collect();
    assert!(problems.is_empty(), "{} of {}\n{}", problems.len(), files.len(), problems.join("\n"));
}

#[test]
fn hits_from_bytes_with_a_wrong_checksum_are_damaged() {
    let carrier = |name: &str| CARRIERS.iter().find(|carrier| carrier.name == name).unwrap();
    let content = |name, case| bytes(&units(carrier(name), case));
    let here = tempfile::tempdir().unwrap();
    let mut files = 0;
    for (number, (name, mut bytes, from_end)) in [
        ("a.log.gz", gzip(&content("lines.log", 1)), 8),
        ("length.log.gz", gzip(&content("lines.log", 2)), 1),
        ("a.tgz", gzip(&content("logs.tar", 3)), 8),
        ("a.tar.bz2", bzip2(&content("logs.tar", 4)), 2),
        ("a.avro.gz", gzip(&content("capture.avro", 5)), 8),
        ("a.log.bz2", bzip2(&content("lines.log", 7)), 2),
        ("a.zip.gz", gzip(&content("logs.zip", 8)), 8),
    ]
    .into_iter()
    .enumerate()
    {
        let at = bytes.len() - from_end;
        bytes[at] ^= 0x10;
        fs::write(here.path().join(format!("{number}-{name}")), bytes).unwrap();
        files += 1;
    }
    let (_kept, out, _) = scan(&[here.path().to_owned()], &["--no-runbook"]);
    let (found, told) = (found(&out), told(&out));
    for (name, errors) in &told {
        let hits = found.get(name).cloned().unwrap_or_default();
        assert!(errors.iter().any(|error| error.starts_with("partial")), "{name}: {errors:?}");
        // Members of a zip have checksums of their own.
        let damaged = !name.contains(".zip");
        assert!(hits.len() == 10 && hits.values().all(|is| *is == damaged), "{name}: {hits:?} {errors:?}");
    }
    assert_eq!(told.len(), files);
}

/// Ids of hits by file, and whether they are marked as damaged.
fn found(out: &std::path::Path) -> BTreeMap<String, BTreeMap<String, bool>> {
    let mut found: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for hit in hits(out) {
        let path = hit["evidence"]["path"].as_str().unwrap().to_owned();
        let id = hit["audit_id"].as_str().unwrap_or_default().to_owned();
        *found.entry(path).or_default().entry(id).or_insert(true) &= hit["damaged"] == true;
    }
    found
}

/// The errors reported for each file: those of its partial and failed rows.
fn told(out: &std::path::Path) -> BTreeMap<String, Vec<String>> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows(&out.join("inputs.csv")) {
        assert!(!row["error"].contains("report it as a bug"), "{row:?}");
        let errors = told.entry(row["path"].clone()).or_default();
        if row["status"] != "ok" {
            errors.push(format!("{} {}", row["status"], row["error"]));
        }
    }
    told
}

fn check(
    carrier: &Carrier,
    units: &[Unit],
    fault: &Fault,
    found: &BTreeMap<String, bool>,
    told: &[String],
) -> Vec<String> {
    let mut problems = Vec::new();
    let is_told = told.iter().any(|error| !error.starts_with("skipped"));
    let ids: BTreeSet<&String> = units.iter().flat_map(|unit| &unit.ids).collect();
    let header = units.first().filter(|unit| unit.ids.is_empty()).map_or(0, |unit| unit.bytes.len());
    let independent = match carrier.depends {
        Depends::Nothing | Depends::TheOneBefore => true,
        Depends::ItsHeader => fault.touched.start >= header,
        Depends::ItsOffset => !fault.shifts,
        Depends::Others => false,
    };
    let (mut start, mut touched_before) = (0, false);
    for unit in units {
        let place = start..start + unit.bytes.len();
        start = place.end;
        let Range { start: from, end: to } = fault.touched;
        let is_touched = from < place.end && to > place.start || from == to && place.start < from && from < place.end;
        let follows = std::mem::replace(&mut touched_before, is_touched);
        let alone = independent && !(follows && carrier.depends == Depends::TheOneBefore);
        for id in &unit.ids {
            match found.get(id) {
                None if !is_touched && (alone || !is_told) => problems.push(format!("{id} is lost")),
                None if carrier.checked && !is_told && fault.name != "cut between" => {
                    problems.push(format!("{id} is lost and not told"));
                }
                Some(true) if !is_touched && independent => problems.push(format!("{id} is called damaged")),
                _ => {}
            }
        }
    }
    for (id, damaged) in found {
        if carrier.checked && !damaged && !ids.contains(id) {
            problems.push(format!("{id} is taken for sound"));
        }
    }
    if fault.name == "nothing" && (!told.is_empty() || found.len() != ids.len()) {
        problems.push(format!("not sound: {told:?}, {} of {}", found.len(), ids.len()));
    }
    if let Some(vague) = told
        .iter()
        .find(|error| error.starts_with("partial") && ![" byte ", " record "].iter().any(|place| error.contains(place)))
    {
        problems.push(format!("no place is told: {vague}"));
    }
    if !problems.is_empty() {
        problems.push(format!("told {told:?}"));
    }
    problems
}

/// All faults of a file.
fn faults(sound: &[u8], units: &[Unit], seed: u64) -> Vec<Fault> {
    let mut noise = Noise(seed);
    let mut faults = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>, touched: Range<usize>| {
        let shifts = bytes.len() != sound.len();
        faults.push(Fault { name, bytes, touched, shifts });
    };
    add("nothing".to_owned(), sound.to_vec(), sound.len()..sound.len());
    let bounds: Vec<usize> =
        units.iter().scan(0, |at, unit| Some(std::mem::replace(at, *at + unit.bytes.len()))).collect();
    let second = bounds[1]..bounds.get(2).copied().unwrap_or(sound.len());
    // Inside the magic, the header, the first block, a text, a character, the trailer; and between units.
    let inside = [1, 2, 3, 5, 11, 18, 40, second.len() / 3, second.len() / 2, second.len() - 9, second.len() - 3];
    let character = sound.windows(2).position(|pair| pair == "é".as_bytes()).map(|at| at + 1);
    for cut in inside.map(|at| second.start + at).into_iter().chain([second.end, 1, 7]).chain(character) {
        let cut = cut.min(sound.len() - 1);
        // A file that ends where a unit ends shows no damage.
        let name = if cut == second.end { "cut between".to_owned() } else { format!("cut at {cut}") };
        add(name, sound[..cut].to_vec(), cut..sound.len());
    }
    for cut in inside {
        let lost = second.start + cut.min(second.len() - 1)..second.end;
        let bytes = [&sound[..lost.start], &sound[lost.end..]].concat();
        add(format!("unit cut at {cut}"), bytes, lost);
    }
    for _ in 0..12 {
        let (at, bit) = (noise.below(sound.len()), noise.below(8));
        let mut bytes = sound.to_vec();
        bytes[at] ^= 1 << bit;
        add(format!("bit {bit} of {at}"), bytes, at..at + 1);
    }
    // At gzip's checksum and length, and at the magic of a header.
    for at in [second.start, second.start + 1, second.start + 3, second.end - 8, second.end - 1] {
        let mut bytes = sound.to_vec();
        bytes[at] ^= 0x81;
        add(format!("changed at {at}"), bytes, at..at + 1);
    }
    for size in [16, 100, 512, 700] {
        let at = noise.below(sound.len());
        let lost = at..(at + size).min(sound.len());
        let mut bytes = sound.to_vec();
        bytes[lost.clone()].fill(0);
        add(format!("zeros at {lost:?}"), bytes, lost.clone());
        let bytes = [&sound[..lost.end], &sound[lost.start..]].concat();
        add(format!("twice {lost:?}"), bytes, lost.end..lost.end);
    }
    for garbage in [b"garbage\n".as_slice(), b"\0\0\0\0\0\0\0\0garbage", &[0xff; 700]] {
        let bytes = [sound, garbage].concat();
        add(format!("{} bytes behind", garbage.len()), bytes, sound.len()..sound.len());
    }
    faults
}

/// Pseudo-random numbers.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next()).unwrap() % most
    }
}

/// Five units of two records each, plus the units without records that the form requires.
fn units(carrier: &Carrier, case: usize) -> Vec<Unit> {
    let mut noise = Noise(case as u64);
    let groups: Vec<Vec<(String, String)>> = (0..5)
        .map(|group| (0..2).map(|number| record(&format!("{case:05}-{group}{number}"), &mut noise)).collect())
        .collect();
    (carrier.build)(&groups)
}

fn bytes(units: &[Unit]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.bytes.clone()).collect()
}

/// A request on a CronJob, as (id, event). Its text hardly compresses and contains multi-byte characters.
fn record(id: &str, noise: &mut Noise) -> (String, String) {
    let agent: String = (0..20).map(|_| format!("{:012x}", noise.next())).collect::<Vec<_>>().concat();
    let event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": id,
        "stage": "ResponseComplete", "requestURI": "/apis/batch/v1/namespaces/n/cronjobs", "verb": "create",
        "user": {"username": "é😀@corp.example"}, "userAgent": agent,
        "objectRef": {"resource": "cronjobs", "namespace": "n", "name": "x", "apiGroup": "batch"},
        "responseStatus": {"code": 201}, "requestReceivedTimestamp": "2026-11-24T03:00:00.000000Z",
    });
    (id.to_owned(), event.to_string())
}

/// One unit per record, each on its own line.
fn plain(groups: Groups<'_>, line: impl Fn(&str) -> String) -> Vec<Unit> {
    let unit =
        |(id, event): &(String, String)| Unit { bytes: (line(event) + "\n").into_bytes(), ids: vec![id.clone()] };
    groups.iter().flatten().map(unit).collect()
}

/// One unit per group.
fn each(groups: Groups<'_>, text: &dyn Fn(&[String]) -> String, pack: fn(&[u8]) -> Vec<u8>) -> Vec<Unit> {
    let unit = |group: &Vec<(String, String)>| {
        let (ids, events): (Vec<String>, Vec<String>) = group.iter().cloned().unzip();
        Unit { bytes: pack(text(&events).as_bytes()), ids }
    };
    groups.iter().map(unit).collect()
}

/// Everything in one unit after an empty one, so that there is a second unit.
fn one(groups: Groups<'_>, pack: fn(&[u8]) -> Vec<u8>) -> Vec<Unit> {
    whole(&plain(groups, str::to_owned), pack)
}

fn whole(units: &[Unit], pack: fn(&[u8]) -> Vec<u8>) -> Vec<Unit> {
    let ids = units.iter().flat_map(|unit| unit.ids.clone()).collect();
    vec![Unit { bytes: pack(b""), ids: Vec::new() }, Unit { bytes: pack(&bytes(units)), ids }]
}

fn lines(events: &[String]) -> String {
    events.join("\n") + "\n"
}

/// As a CloudWatch Logs subscription delivers it.
fn payload(events: &[String]) -> String {
    let events: Vec<_> = events.iter().map(|event| json!({"id": "1", "timestamp": 1, "message": event})).collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "/aws/eks/c/cluster", "logEvents": events})
        .to_string()
}

/// As Azure Storage keeps it.
fn azure(events: &[String]) -> String {
    let line = |event| json!({"category": "kube-audit", "properties": {"log": event, "pod": "p"}}).to_string();
    events.iter().map(|event| line(event) + "\n").collect()
}

/// As GKE logs it.
fn log_entry(event: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    json!({
        "insertId": event["auditID"], "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io", "status": {},
            "authenticationInfo": {"principalEmail": event["user"]["username"]},
            "requestMetadata": {"callerSuppliedUserAgent": event["userAgent"]},
            "methodName": "io.k8s.batch.v1.cronjobs.create", "resourceName": "batch/v1/namespaces/n/cronjobs/x",
        },
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "c"}}, "timestamp": "2026-11-24T03:00:00Z",
    })
    .to_string()
}

/// The elements of an array, with the text that opens and closes it.
fn array(groups: Groups<'_>, opens: &str) -> Vec<Unit> {
    let mut units = plain(groups, |event| format!("{event},"));
    units.insert(0, Unit { bytes: opens.into(), ids: Vec::new() });
    let last = units.last_mut().unwrap();
    last.bytes.truncate(last.bytes.len() - 2);
    let closes = if opens.starts_with('{') { "]}\n" } else { "]\n" };
    units.push(Unit { bytes: closes.into(), ids: Vec::new() });
    units
}

/// As CloudWatch Logs Insights exports it.
fn csv(groups: Groups<'_>) -> Vec<Unit> {
    let mut units = plain(groups, |event| format!("stream,2026-11-24,\"{}\"", event.replace('"', "\"\"")));
    units.insert(0, Unit { bytes: b"@logStream,@timestamp,@message\n".to_vec(), ids: Vec::new() });
    units
}

/// One member per group; each has its own checksum, and the directory at the end says where they are.
fn zip(groups: Groups<'_>) -> Vec<Unit> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (number, group) in groups.iter().enumerate() {
        writer.start_file(format!("{number}.log"), zip::write::SimpleFileOptions::default()).unwrap();
        let events: Vec<String> = group.iter().map(|(_, event)| event.clone()).collect();
        writer.write_all(lines(&events).as_bytes()).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let bounds: Vec<usize> = memchr::memmem::find_iter(&bytes, b"PK\x03\x04")
        .chain(memchr::memmem::find(&bytes, b"PK\x01\x02"))
        .chain([bytes.len()])
        .collect();
    assert_eq!(bounds.len(), groups.len() + 2);
    let ids = groups.iter().map(|group| group.iter().map(|(id, _)| id.clone()).collect()).chain([Vec::new()]);
    bounds.windows(2).zip(ids).map(|(bound, ids)| Unit { bytes: bytes[bound[0]..bound[1]].to_vec(), ids }).collect()
}

/// One member per group, and the end of the archive.
fn tar(groups: Groups<'_>, pack: fn(Vec<u8>) -> Vec<u8>) -> Vec<Unit> {
    let mut units: Vec<Unit> = each(groups, &lines, <[u8]>::to_vec);
    for (number, unit) in units.iter_mut().enumerate() {
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("logs/{number}.log")).unwrap();
        header.set_size(unit.bytes.len() as u64);
        header.set_cksum();
        let padding = unit.bytes.len().next_multiple_of(512) - unit.bytes.len();
        unit.bytes = pack([header.as_bytes(), unit.bytes.as_slice(), &vec![0; padding]].concat());
    }
    units.push(Unit { bytes: pack(vec![0; 1024]), ids: Vec::new() });
    units
}

/// As Event Hubs Capture writes it: a header, and a block per group.
fn avro(groups: Groups<'_>) -> Vec<Unit> {
    fn long(number: usize) -> Vec<u8> {
        let groups = (0..).map_while(|group| Some(number << 1 >> (group * 7)).filter(|rest| group == 0 || *rest > 0));
        let mut bytes: Vec<u8> = groups.map(|rest| u8::try_from(rest & 0x7f).unwrap() | 0x80).collect();
        *bytes.last_mut().unwrap() &= 0x7f;
        bytes
    }
    fn text(text: &[u8]) -> Vec<u8> {
        [&long(text.len()), text].concat()
    }
    let marker = b"\x93\x02sync\xfemarker\xff\x01\x80";
    let schema = json!({"type": "record", "name": "EventData", "fields": [
        {"name": "EnqueuedTimeUtc", "type": "string"}, {"name": "Body", "type": "bytes"},
    ]})
    .to_string();
    let header =
        [&b"Obj\x01"[..], &long(1), &text(b"avro.schema"), &text(schema.as_bytes()), &long(0), marker].concat();
    let mut units = vec![Unit { bytes: header, ids: Vec::new() }];
    units.extend(each(groups, &lines, <[u8]>::to_vec).into_iter().zip(groups).map(|(unit, group)| {
        let records: Vec<u8> = group
            .iter()
            .flat_map(|(_, event)| [text(b"11/24/2026"), text(azure(std::slice::from_ref(event)).as_bytes())].concat())
            .collect();
        Unit { bytes: [long(group.len()), long(records.len()), records, marker.to_vec()].concat(), ids: unit.ids }
    }));
    units
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
