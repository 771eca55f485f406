//! What shows that a record of unknown form holds an audit event: bytes around the event were damaged, or its envelope or
//! the spelling of its keys is unknown. Such a record is told, never passed over.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// What must add up to a record. No single name does: access logs have `request_uri`, logs of the API server `audit-ID`.
const ENOUGH: u32 = 4;

/// Names and values, in any case; what each counts as part of an event, and of an entry of GKE. `TEXT…` is the name of a
/// text, `KEY…` of anything, with what may surround a name: quotes in any escaping, separators of columns and words. A
/// schema has objects in place of texts.
const SIGNS: [(&str, u32, u32); 14] = [
    ("TEXTaudit_?id", 2, 0),
    ("KEYobject_?ref", 3, 0),
    ("TEXTrequest_?uri", 2, 0),
    ("TEXT(?:request_?received|stage|stage_?received)_?time(?:stamp)?", 2, 0),
    (r"audit\.k8s\.io(?:/|\\/|%2F|&#x?2F;|&#47;)v1", 2, 0),
    ("TEXTverb", 1, 0),
    (r"\b(?:Response(?:Complete|Started)|RequestReceived)\b", 1, 0),
    // `{"kind":"Event","apiVersion":"audit.k8s.io` in base64.
    ("eyJraW5kIjoiRXZlbnQiLCJhcGlWZXJzaW9uIjoiYXVkaXQuazhzLmlv", ENOUGH, 0),
    // `{"messageType":"DATA_MESSAGE"`, as CloudWatch Logs sends it, and gzip alone on its line or in its column, in base64 too.
    ("eyJtZXNzYWdlVHlwZSI6IkRBVEFfTUVTU0FHRSIs", ENOUGH, 0),
    (r"(?:^|\t)(?-i:H4sI)[0-9a-z+/]{40,}={0,2}(?:\t|\s*$)", ENOUGH, 0),
    (r"\bio\.k8s\.[a-z0-9.-]+\.(?:create|update|patch|delete|deletecollection|get|list|watch)\b", 0, 3),
    ("KEY(?:proto_?payload[a-z0-9_]*|method_?name)", 0, 2),
    (r#"(?:["']|%22|&quot;|&#34;)k8s\.io\\*(?:["']|%22|&quot;|&#34;)"#, 0, 2),
    (r"[a-z0-9]/v[0-9][a-z0-9]*/[a-z]+/", 0, 1),
];
const BEFORE: &str = "(?:^|[^0-9a-z]|%22|u0022|&#34;)";
const BEHIND: &str = r#"(?:[_.][a-z]+)?(?:["'\\&%:|\t\x01]|  |$)"#;
const BEHIND_TEXT: &str =
    r#"(?:[_.][a-z]+)?(?:\\*["']\s*(?::\s*\\*["'\[]|,)|\\*(?:u0022|&quot;|&#34;|%22)\s*(?::|%3A)|[|\t\x01]|  )"#;

static NAMES: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    let named = |sign: &str, kind, behind| Some(format!("{BEFORE}{}{behind}", sign.strip_prefix(kind)?));
    let pattern = |(sign, ..): &(&str, u32, u32)| {
        named(sign, "TEXT", BEHIND_TEXT).or_else(|| named(sign, "KEY", BEHIND)).unwrap_or_else(|| (*sign).to_owned())
    };
    RegexSetBuilder::new(SIGNS.iter().map(pattern)).case_insensitive(true).unicode(false).build().ok()
});

/// The signs of which one must be present, because the others do not add up to a record. Most text has none, and is
/// searched for these in half the time.
static NEEDED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = |sign: &'static str| sign.strip_prefix("TEXT").or_else(|| sign.strip_prefix("KEY")).unwrap_or(sign);
    let needed = SIGNS.iter().filter(|(_, event, entry)| event.max(entry) > &1).map(|(sign, ..)| name(sign));
    let pattern = needed.collect::<Vec<_>>().join("|");
    RegexBuilder::new(&pattern).case_insensitive(true).unicode(false).build().ok()
});

/// Whether text that is not a record of a known form holds an audit event, or an entry of GKE.
pub(super) fn holds_event(text: &[u8]) -> bool {
    if !NEEDED.as_ref().is_some_and(|needed| needed.is_match(text)) {
        return false;
    }
    let found = NAMES.as_ref().map(|names| names.matches(text));
    let found = || found.iter().flatten().filter_map(|sign| SIGNS.get(sign));
    found().map(|(_, event, _)| event).sum::<u32>() >= ENOUGH || found().map(|(.., entry)| entry).sum::<u32>() >= ENOUGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_known_in_any_spelling() {
        assert!(NAMES.is_some() && NEEDED.is_some());
        for text in [
            r#"{"AUDITID":"a","OBJECTREF":{}}"#,
            r#"{"x.audit_id":"a","x.request_uri":"/"}"#,
            r#"{"key":"auditID","value":{"stringValue":"a"}},{"key":"objectRef","value":{}}"#,
            r#"{"audit":{"verb":"create","objectRef":{"resource":"cronjobs"}}}"#,
            "{&quot;apiVersion&quot;:&quot;audit.k8s.io/v1&quot;,&quot;auditID&quot;:&quot;",
            "payload=%7B%22apiVersion%22%3A%22audit.k8s.io%2Fv1%22%2C%22auditID%22%3A",
            r#"{"requestreceivedtimestamp":"t","verb":"create","resource":"cronjobs","auditid":"a"}"#,
            "AuditId               Level                 RequestUri  Verb",
            "eyJraW5kIjoiRXZlbnQiLCJhcGlWZXJzaW9uIjoiYXVkaXQuazhzLmlvL3YxIiwi",
            "eyJtZXNzYWdlVHlwZSI6IkRBVEFfTUVTU0FHRSIsIm93bmVyIjoiMTExMTIyMjIzMzMzIiwi",
            "H4sIAAAAAAAAA6tWys5MUbJSUHItS80rUdJRUEosyAzLTM1PyQcA9x0Q4B4AAAA=",
            "2026-11-24T03:00:00Z\talice\tio.k8s.batch.v1.cronjobs.create\tbatch/v1/namespaces/prod/cronjobs/a",
            r#"{"gcp":{"audit":{"method_name":"io.k8s.core.v1.nodes.get","service_name":"k8s.io"}}}"#,
            r#"{"protoPayload_v1_auditlog":{"methodName":"io.k8s.core.v1.nodes.get"}}"#,
        ] {
            assert!(holds_event(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn logs_of_other_programs_are_none() {
        for text in [
            r#"I1124 03:00:00.1 1 httplog.go:132] "HTTP" verb="POST" URI="/apis/audit.k8s.io/v1" audit-ID="c9f8" srcIP="1.2.3.4:5" resp=201"#,
            r#"{"caller":"httplog/httplog.go:132","msg":"HTTP","verb":"POST","URI":"/apis/batch/v1/namespaces/n/cronjobs","audit-ID":"c9f8"}"#,
            r#"{"request_uri":"/apis/batch/v1/namespaces/n/cronjobs","request_time":0.1,"response_status":200,"verb":"POST"}"#,
            r#"{"event_type":"violation_audited","audit_id":"2026-11-24T03:00:00Z","resource_name":"x"}"#,
            r#"E1124 1 x.go:1] unknown field "x" in io.k8s.api.apps.v1.DeploymentSpec: POST /apis/apps/v1/namespaces/n/deployments"#,
            r#"{"mappings":{"properties":{"auditID":{"type":"keyword"},"verb":{"type":"keyword"},"objectRef":{}}}}"#,
            "sha512 H4sIAAAAAAAAA6tWys5MUbJSUHItS80rUdJRUEosyAzLTM1PyQcA9x0Q4B4AAAA= ok",
            r#"{"queryString":"fields auditID, requestURI, objectRef.resource"}"#,
            r#"{"path":"/?auditID=1&objectRef=2&verb=3"}"#,
            r#"{"msg":"failed","objectRef":{"name":"x"},"requestID":"1"}"#,
        ] {
            assert!(!holds_event(text.as_bytes()), "{text}");
        }
    }
}
