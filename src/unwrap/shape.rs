//! What a record is by its own shape, as opposed to the envelopes around it.

use super::{Envelope, Fields, Leaf, Platform, aws, azure, gcp};
use crate::event::STAGES;
use crate::names;

/// The shapes of records that are objects.
pub(super) enum Shape<'a> {
    Event,
    /// A LogEntry, with the audit log in it.
    LogEntry(Fields<'a>),
    Row,
    Ocsf,
}

impl Shape<'_> {
    /// The leaf of this shape; `fields` must be those it was recognised by.
    pub(super) fn leaf<'f>(&'f self, fields: &'f Fields<'f>) -> Leaf<'f> {
        match self {
            Shape::Event => Leaf::Event(fields),
            Shape::LogEntry(payload) => Leaf::LogEntry(fields, payload),
            Shape::Row => Leaf::Row(fields),
            Shape::Ocsf => Leaf::Ocsf(fields),
        }
    }
}

/// The record that an object itself is; `None` if it may be an envelope.
pub(super) fn native<'a>(fields: &Fields<'a>) -> Option<Shape<'a>> {
    let is_text = |key: &str| fields.get(key).is_some_and(|raw| raw.first() == Some(&b'"'));
    let any = |keys: &[&str]| keys.iter().any(|key| fields.get(key).is_some());
    let audit_api = || fields.text("apiVersion").is_some_and(|version| version.starts_with("audit.k8s.io/"));
    let event_kind = fields.get("kind") == Some(b"\"Event\"");
    if event_kind && audit_api() || is_text("verb") && any(&["auditID", "stage", "objectRef", "requestURI"]) {
        return Some(Shape::Event);
    }
    if any(&["auditID"]) && any(&["objectRef", "requestURI", "responseStatus", "requestReceivedTimestamp"]) {
        return Some(Shape::Event);
    }
    if let Some(payload) = gcp::audit_log(fields) {
        return Some(Shape::LogEntry(payload));
    }
    if azure::is_row(fields) {
        return Some(Shape::Row);
    }
    aws::is_ocsf(fields).then_some(Shape::Ocsf)
}

/// The origin that a record states itself, for records that are their own envelope; `None` for others.
pub(super) fn leaf_tells<'a>(leaf: &Leaf<'a>, envelope: &Envelope<'a>) -> Option<Envelope<'a>> {
    match leaf {
        Leaf::LogEntry(fields, _) => Some(gcp::told(fields, envelope)),
        Leaf::Row(fields) => Some(azure::told_by_row(fields, envelope)),
        Leaf::Ocsf(fields) => Some(aws::told_by_ocsf(fields, envelope)),
        _ => None,
    }
}

/// What Panther's row columns say besides the event; `None` if there are none.
pub(super) fn panther<'a>(fields: &Fields<'a>, envelope: &Envelope<'a>) -> Option<Envelope<'a>> {
    let log_type = fields.text("p_log_type")?;
    let platform = match log_type.as_ref() {
        "Amazon.EKS.Audit" => Some(Platform::Eks),
        "Azure.MonitorActivity" => Some(Platform::Aks),
        "GCP.AuditLog" => Some(Platform::Gke),
        _ => None,
    };
    let mut told = envelope.named("panther", platform);
    told.time = told.time.or_else(|| fields.get("p_event_time"));
    told.source_label = fields.text("p_source_label").filter(|label| !label.is_empty());
    Some(told)
}

/// What a line of `--audit-log-format=legacy` has after its time.
pub(super) const LEGACY: &str = " AUDIT: id=\"";

/// Whether this is `AUDIT: id="…"` after a time, as `--audit-log-format=legacy` writes.
pub(super) fn is_legacy(text: &str) -> bool {
    text.split_once(LEGACY).is_some_and(|(time, _)| crate::time::parse(time).is_some())
}

/// Where lines of that format begin in text that begins with one: at the time before each, outside of what is quoted.
pub(super) fn legacy_starts(text: &str) -> impl Iterator<Item = usize> {
    let (mut seen, mut quoted, mut escaped) = (0, false, false);
    let later = text.match_indices(LEGACY).skip(1).filter_map(move |(end, _)| {
        for byte in &text.as_bytes()[seen..end] {
            quoted ^= *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
        }
        seen = end;
        let mut starts = (end.saturating_sub(TIME)..end).filter(|start| text.as_bytes().get(start + 4) == Some(&b'-'));
        let is_time = |start: &usize| text.get(*start..end).is_some_and(|time| crate::time::parse(time).is_some());
        starts.find(is_time).filter(|_| !quoted)
    });
    std::iter::once(0).chain(later)
}

/// Longer than any time with its zone.
const TIME: usize = 40;

/// Whether text holds the head of such a line, whose time is damaged.
pub(super) fn is_legacy_without_time(text: &str) -> bool {
    text.find(LEGACY.trim_start()).is_some_and(|at| at < TIME)
}

/// Whether text is the row of a table of events whose header is lost, or a header in the midst of something else: its
/// cells are those of an event or name its fields, or are those of an entry of GKE.
pub(super) fn is_row(text: &str) -> bool {
    // Tools that print a table for people separate its columns by blanks.
    let any = |is_it: &dyn Fn(&str) -> bool| {
        let is_cell = |cell: &str| is_it(cell.trim_matches(['"', ' ']));
        text.split([',', ';', '\t', '|', '\u{1}']).any(is_cell) || text.split("  ").any(is_cell)
    };
    let is_id = |cell: &str| {
        let parts = cell.split('-').map(str::len);
        parts.eq([8, 4, 4, 4, 12]) && cell.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    let is_event =
        |cell: &str| STAGES.contains(&cell) || cell.starts_with("/apis/batch/") && cell.contains("/cronjobs");
    let of_gke = |cell: &str| cell.starts_with("projects/") && cell.contains("cloudaudit.googleapis.com");
    // Text with blanks is no header, and is most of what is looked at here; nearly all of it holds neither of the others.
    let is_header = !text.contains(' ') && names::prefix(&text.split([',', ';', '\t', '|'])).is_some();
    let holds = |what: &str| memchr::memmem::find(text.as_bytes(), what.as_bytes()).is_some();
    is_header
        || holds("/api") && any(&is_id) && any(&is_event) && any(&|cell| cell.starts_with("/api"))
        || holds("io.k8s.") && any(&of_gke) && any(&|cell| cell.starts_with("io.k8s."))
}

/// Whether text that starts neither as JSON nor as a log line is the end of a record whose beginning is elsewhere.
pub(super) fn is_tail(text: &str) -> bool {
    let bytes = text.as_bytes();
    let klog = matches!(bytes, [b'I' | b'W' | b'E' | b'F', digit, ..] if digit.is_ascii_digit());
    // The time that begins a line of a log holds no quote.
    let first_word = text.split_ascii_whitespace().next().unwrap_or_default();
    let timed = bytes.first().is_some_and(u8::is_ascii_digit) && !first_word.contains('"');
    let log_line = klog || timed || text.starts_with("time=");
    let ends = text.trim_end_matches([',', ' ']).ends_with(['}', ']']);
    // The end of a string and of what surrounds it, without white space: nothing that a person would write.
    let ends_string = text.trim_end_matches([',', '}', ']']).ends_with('"') && text.ends_with(['}', ',']);
    let is_solid = ends && ends_string && !text.contains(char::is_whitespace);
    let of_event = [
        "auditID",
        "objectRef",
        "requestReceivedTimestamp",
        "stageTimestamp",
        "insertId",
        "protoPayload",
        "properties",
    ];
    let is_named = |key: &&&str| {
        let is_quoted = |at: usize| {
            let behind = &text[at + key.len()..];
            text[..at].ends_with('"') && (behind.starts_with('"') || behind.starts_with("\\\""))
        };
        text.match_indices(**key).any(|(at, _)| is_quoted(at))
    };
    let named = of_event.iter().filter(is_named).count();
    named > 1 || ends && (named > 0 || !log_line && text.contains("\":")) || is_solid
}
