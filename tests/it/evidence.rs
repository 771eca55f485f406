//! Evidence pointers, followed by code independent of the code that wrote them: every hit of every case leads to the
//! bytes of its request.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::{hits, root, scan};

#[test]
fn evidence_leads_to_the_bytes() {
    let mut followed = 0;
    for entry in fs::read_dir(root().join("fixtures/cases")).unwrap() {
        let case = entry.unwrap().path();
        let cmd = fs::read_to_string(case.join("cmd")).unwrap_or_default();
        if !cmd.starts_with("scan input ") {
            continue;
        }
        let (_kept, out, _) = scan(&[case.join("input")], &[]);
        for hit in hits(&out) {
            followed += u64::from(follow(&case.join("input"), &hit));
        }
    }
    assert!(followed > 200, "only {followed} hits were followed");
}

/// Follows the evidence of a hit; false where that needs an archive, a table or a joined line.
fn follow(input: &Path, hit: &Value) -> bool {
    let evidence = &hit["evidence"];
    let Some(offset) = evidence["offset"].as_u64().filter(|_| evidence["member"].is_null()) else { return false };
    let Some(text) = text(&fs::read(input.join(evidence["path"].as_str().unwrap())).unwrap()) else { return false };
    let rest = &text[usize::try_from(offset).unwrap()..];
    let Some(brace) = rest.find(['{', '[']) else { return false };
    let Some(Ok(document)) = serde_json::Deserializer::from_str(&rest[brace..]).into_iter::<Value>().next() else {
        return false;
    };
    let event = match walk(document, evidence["pointer"].as_str().unwrap_or_default()) {
        Step::Event(event) => event,
        Step::Encoded => return false,
        Step::Nowhere => panic!("{}: {evidence} leads nowhere", input.display()),
    };
    let ids = ["/auditID", "/AuditId", "/operation/id", "/insertId", "/api/request/uid"];
    let id = ids.iter().find_map(|id| event.pointer(id).and_then(Value::as_str));
    // Rows whose columns are paths contain no object; the id is in one of their cells.
    let is_row = id.is_none() && hit["audit_id"].as_str().is_some_and(|id| event.to_string().contains(id));
    assert!(is_row || id == hit["audit_id"].as_str(), "{}: {evidence} leads to {event}", input.display());
    true
}

/// The text of a file that is plain, or compressed with gzip any number of times.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"\x1f\x8b") {
        let mut inner = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut inner).ok()?;
        return text(&inner);
    }
    String::from_utf8(bytes.to_vec()).ok()
}

/// Where a pointer leads.
enum Step {
    Event(Value),
    /// Into base64, or into a line joined from several.
    Encoded,
    Nowhere,
}

/// Follows a pointer, stepping into strings that hold JSON.
fn walk(mut value: Value, pointer: &str) -> Step {
    for step in pointer.split('/').skip(1) {
        if let Value::String(inner) = &value {
            let Ok(inner) = serde_json::from_str(inner) else { return Step::Encoded };
            value = inner;
        }
        let next = match &value {
            Value::Object(members) => members.get(step),
            Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        match next {
            Some(next) => value = next.clone(),
            None => return Step::Nowhere,
        }
    }
    match value {
        Value::String(text) if !text.trim_start().starts_with(['{', '[']) => Step::Encoded,
        event => Step::Event(event),
    }
}
