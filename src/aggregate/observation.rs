//! One request that a report may need, with what rules and runbook need of it, until `finish` decides.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::body::{self, Body, Interner};
use super::cronjob;
use super::record::{Evidence, Record, outline, own, record};
use crate::decode;
use crate::event::{AuditEvent, Origin};
use crate::normalize::TimeSource;
use crate::rule::{Interest, Keeps, RuleMatch, Suppression, Tuned};
use crate::spill::{self, Packed, SECTIONS, Shared};

/// Approximate bytes of the short texts of a record.
pub(super) const SHORT_TEXTS: usize = 1024;
/// The same for an outline.
const OUTLINE_TEXTS: usize = 384;

/// What all copies of one request share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub(super) struct CopyKey {
    /// SHA-256 of audit id, action and target; without an audit id, of the digest of the record.
    #[serde(with = "in_base64")]
    pub request: [u8; 32],
    /// `requestReceivedTimestamp`.
    #[borsh(serialize_with = "spill::time::write", deserialize_with = "spill::time::read")]
    pub received: Option<Timestamp>,
    /// Digest of the record's members; empty if the two fields above identify copies.
    pub digest: String,
}

/// A record that a sweep keeps; it becomes a hit, a suppressed hit or activity only in `finish`.
#[derive(Debug, Clone, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else of a record")]
pub struct Observation {
    pub(super) key: CopyKey,
    /// Whether the envelope or the options name the platform.
    pub(super) platform_known: bool,
    pub(super) has_bodies: bool,
    /// Number of the part, of a split GKE entry.
    pub(super) part: u64,
    /// The Azure log category, if it is not one of audit records.
    pub(super) leaked_category: Option<String>,
    /// The rules that match it.
    pub(super) matches: Vec<RuleMatch>,
    /// Whether one of them made it a hit; set by `finish`.
    #[serde(default)]
    pub is_hit: bool,
    /// Whether only an outline is kept: what the request shows of an object, but not who made it and how.
    #[serde(default)]
    pub(super) is_outline: bool,
    /// The interests that it meets, joined by commas.
    #[borsh(skip)]
    pub(super) interests: Arc<str>,
    /// What its bodies say.
    pub body: Option<Box<Body>>,
    /// What reports print.
    pub record: Arc<Record>,
}

/// A record with its context, for [`Observation::new`].
#[derive(Debug)]
pub struct Seen<'a> {
    /// Its time.
    pub time: Option<(Timestamp, TimeSource)>,
    /// Where it comes from.
    pub origin: Origin<'a>,
    /// Azure's log category.
    pub category: Option<&'a str>,
    /// Where its bytes are.
    pub evidence: Evidence,
    /// Digest of its members; empty if [`AuditEvent::is_identified`].
    pub digest: String,
    /// The rules that match it.
    pub matches: Vec<RuleMatch>,
    /// The interests that it meets.
    pub interests: Vec<&'a Interest>,
}

impl Seen<'_> {
    /// Whether an outline is all that is needed of it.
    fn is_outline(&self, event: &AuditEvent<'_>) -> bool {
        let suffices = |interest: &&Interest| match interest.keeps {
            Keeps::Whole => false,
            Keeps::OutlineOfStatus => event.is_status_of_controller(),
            Keeps::Outline => true,
        };
        self.matches.is_empty() && !self.interests.is_empty() && self.interests.iter().all(suffices)
    }
}

impl Observation {
    /// Keeps an event. Its bodies are kept only if it meets an interest.
    #[must_use]
    pub fn new(event: &AuditEvent<'_>, seen: Seen<'_>, texts: &mut Interner) -> Self {
        let is_outline = seen.is_outline(event);
        let mut record = if is_outline { outline(event, &seen, texts) } else { record(event, &seen, texts) };
        if is_outline {
            record.name = record.name.or_else(|| Some(body::name(event)?.into()));
        } else {
            let bodies = cronjob::read(event);
            record.name = record.name.or_else(|| Some(bodies.name?.into()));
            record.cronjob = bodies.cronjob.map(Box::new);
            record.malformed_fields.extend(bodies.malformed.iter().map(|&field| field.to_owned()));
        }
        let known = seen.category.is_none_or(|category| matches!(category, "kube-audit" | "kube-audit-admin"));
        Observation {
            key: copy_key(event, seen.digest),
            platform_known: seen.origin.platform.is_some(),
            has_bodies: event.request_object.is_some() || event.response_object.is_some(),
            part: event.identity.part,
            leaked_category: seen.category.filter(|_| !known).map(str::to_owned),
            matches: seen.matches,
            is_hit: false,
            is_outline,
            body: if seen.interests.is_empty() { None } else { body::read(event, texts) },
            interests: texts.keep(&seen.interests.iter().map(|interest| &*interest.name).collect::<Vec<_>>().join(",")),
            record: Arc::new(record),
        }
    }

    /// The same object, time and place, without what shows who made the request and how.
    #[must_use]
    pub fn into_outline(mut self) -> Self {
        if !self.is_outline {
            let record = Arc::unwrap_or_clone(self.record);
            self.record = Arc::new(Record {
                account: None,
                region: None,
                response_message: None,
                request_uri: None,
                uid: None,
                groups: Vec::new(),
                impersonated_groups: Vec::new(),
                actor: None,
                source_ips: Vec::new(),
                trusted_ip: None,
                user_agent: None,
                cronjob: None,
                ..record
            });
            self.is_outline = true;
        }
        self
    }

    /// Replaces its texts by equal ones seen before, unless the record as a whole is shared already.
    pub fn share(&mut self, texts: &mut Interner) {
        if Arc::get_mut(&mut self.record).is_some() {
            for text in self.texts_mut() {
                if let Some(known) = text.get().map(|text| texts.keep(text)) {
                    text.set(known);
                }
            }
        }
    }

    /// Drops the state that it shows.
    pub fn forget_state(&mut self) {
        if let Some(body) = &mut self.body {
            body.state = None;
        }
    }

    /// Where its bytes are.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.record.evidence
    }

    /// Whether a rule matches it, before copies and exclusions are considered.
    #[must_use]
    pub fn is_match(&self) -> bool {
        !self.matches.is_empty()
    }

    /// What suppresses its matches, and why; known once `finish` has decided.
    pub(crate) fn suppressions(&self) -> impl Iterator<Item = &Suppression> {
        self.matches.iter().filter_map(|found| found.suppressed.as_ref())
    }

    /// Drops its matches: the rules they come from are not those of this run.
    pub(crate) fn forget_matches(&mut self) {
        self.matches.clear();
    }

    /// Ids of the rules that match it.
    #[must_use]
    pub fn rule_ids(&self) -> Vec<&str> {
        self.matches.iter().map(|found| found.rule_id.as_str()).collect()
    }

    /// Whether it meets an interest.
    #[must_use]
    pub fn meets(&self, interest: &str) -> bool {
        self.interests().any(|met| met == interest)
    }

    /// The interests that it meets.
    pub fn interests(&self) -> impl Iterator<Item = &str> {
        self.interests.split(',').filter(|interest| !interest.is_empty())
    }

    /// Adds what a second pass saw in the same record.
    pub(super) fn seen_again(&mut self, mut other: Self) {
        if self.is_outline && !other.is_outline {
            std::mem::swap(self, &mut other);
        }
        self.interests = self.interests().chain(other.interests()).collect::<Vec<_>>().join(",").into();
        self.matches.extend(other.matches);
        self.body = self.body.take().or(other.body);
    }

    /// Notes that its bytes come from a part of the stream with a wrong checksum.
    pub fn mark_damaged(&mut self) {
        Arc::make_mut(&mut self.record).damaged = true;
    }

    /// An order in which copies are adjacent. Those without a time come last: which ones they belong to depends on all
    /// the others.
    pub(super) fn copy_order(&self, other: &Self) -> Ordering {
        let place = |of: &Self| (of.key.request, of.key.received.is_none(), of.key.received);
        place(self)
            .cmp(&place(other))
            .then_with(|| (&self.key.digest, self.evidence()).cmp(&(&other.key.digest, other.evidence())))
    }

    /// Its section in copy order.
    pub(super) fn section(&self) -> usize {
        usize::from(self.key.request[0]) * SECTIONS / 256
    }

    /// Its section in the order of the runbook. All of one namespace is in one section, because the runbook joins
    /// nothing to a CronJob from another namespace. Looks at little of the name, because every comparison calls it.
    pub(super) fn section_of_namespace(&self) -> usize {
        let namespace = self.record.namespace.as_deref().unwrap_or_default().as_bytes();
        (namespace.len() + usize::from(namespace.last().copied().unwrap_or_default())) % SECTIONS
    }

    /// Order of the runbook: by section, then cluster, then time.
    pub(super) fn runbook_order(&self, other: &Self) -> Ordering {
        let sections = self.section_of_namespace().cmp(&other.section_of_namespace());
        sections.then_with(|| self.record.cluster.cmp(&other.record.cluster)).then_with(|| self.time_order(other))
    }

    /// By time (absent last), then evidence.
    #[must_use]
    pub fn time_order(&self, other: &Self) -> Ordering {
        let order = |record: &Record| (record.time.is_none(), record.time);
        order(&self.record).cmp(&order(&other.record)).then_with(|| self.evidence().cmp(other.evidence()))
    }

    /// Rank among copies: the greatest is kept.
    pub(super) fn rank(&self) -> impl Ord + '_ {
        let stage = match self.record.stage.as_deref() {
            Some("RequestReceived") => 0,
            Some("ResponseStarted") => 1,
            Some("Panic") => 2,
            _ => 3,
        };
        let record = &self.record;
        (stage, !record.truncated, self.has_bodies, !self.is_outline, Reverse(self.part), Reverse(&record.evidence))
    }
}

impl Packed for Observation {
    fn weight(&self) -> usize {
        let texts = |body: &Body| {
            size_of::<Body>()
                + [&body.state, &body.patch, &body.remains].map(|text| own(text.as_ref())).iter().sum::<usize>()
        };
        let body = self.body.as_deref().map_or(0, texts);
        let tuned: usize = self.matches.iter().map(|found| found.tuned.len() * size_of::<Tuned>()).sum();
        let short_texts = if self.is_outline { OUTLINE_TEXTS } else { SHORT_TEXTS };
        size_of::<Self>() + self.record.weight(short_texts) + body + tuned
    }

    fn texts(&self) -> Vec<&dyn Shared> {
        let body = self.body.iter().flat_map(|body| body.texts());
        self.record.texts().into_iter().chain(body).chain([&self.interests as &dyn Shared]).collect()
    }

    fn texts_mut(&mut self) -> Vec<&mut dyn Shared> {
        let Observation { record, body, interests, .. } = self;
        let body = body.iter_mut().flat_map(|body| body.texts_mut());
        let record = Arc::make_mut(record).texts_mut();
        record.into_iter().chain(body).chain([interests as &mut dyn Shared]).collect()
    }
}

fn copy_key(event: &AuditEvent<'_>, digest: String) -> CopyKey {
    let identity = &event.identity;
    let request = match &identity.id {
        // Each part is preceded by its length, so that no part can pass for two, whatever the client wrote.
        Some(id) => [Some(id), identity.action.as_ref(), identity.target.as_ref()]
            .map(|part| part.map_or("", |part| part))
            .iter()
            .flat_map(|part| [&(part.len() as u64).to_le_bytes(), part.as_bytes()].concat())
            .collect(),
        None => digest.clone().into_bytes(),
    };
    CopyKey { request: decode::digest(&request), received: event.request_received, digest }
}

mod in_base64 {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<[u8; 32], D::Error> {
        let mut bytes = [0; 32];
        let text = std::borrow::Cow::<str>::deserialize(input)?;
        let length = STANDARD_NO_PAD.decode_slice(&*text, &mut bytes).map_err(D::Error::custom)?;
        (length == bytes.len()).then_some(bytes).ok_or_else(|| D::Error::custom("not 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::aggregate::{Alert, Hit};
    use crate::spill::{Heard, Spill, Told};

    /// A record in which every field is set: one that Borsh skips and `shared!` does not list would be lost.
    const RECORD: &str = r#"{
        "time": "2026-11-24T03:12:44.123456789Z", "time_source": "stage", "platform": "eks", "cluster": "c", "account": "1",
        "region": "r", "audit_id": "id", "stage": "Panic", "level": "Request", "outcome": "dry_run", "response_code": -1,
        "response_reason": "why", "response_message": "so", "change": "created", "verb": "create", "api_group": "batch",
        "api_version": "v1", "resource": "cronjobs", "subresource": "status", "namespace": "n", "name": "x",
        "request_uri": "/", "username": "\u202e\u00e9", "uid": "u", "groups": ["a", ""],
        "actor": {"arn": "arn:aws:iam::1:user/x"}, "impersonated_user": "i",
        "impersonated_groups": ["b"], "principal_class": "human",
        "source_ips": ["::2", "::1"], "trusted_ip": "::1", "user_agent": "kubectl",
        "cronjob": {"schedule": "* * * * *", "suspend": false, "images": ["i"], "spec_source": "requestObject"},
        "truncated": false, "damaged": true, "malformed_fields": ["user"], "copies": 3,
        "evidence": {"path": "p", "member": "m", "record": 7, "offset": 9, "pointer": "/Records/0"}
    }"#;

    /// The bytes written for an item, after checking that reading them gives it back.
    fn written<T: Spill + Serialize + DeserializeOwned>(told: &Value) -> Vec<u8> {
        let given: T = serde_json::from_value(told.clone()).unwrap();
        assert_eq!(json!(given), *told);
        let mut file = Vec::new();
        given.write(&mut file, &mut Told::default()).unwrap();
        let mut rest = &file[..];
        let read = T::read(&mut rest, &mut Heard::default()).unwrap();
        assert_eq!((json!(read), rest.len()), (json!(given), 0));
        file
    }

    #[test]
    fn a_file_gives_back_what_it_was_given() {
        let record: Value = serde_json::from_str(RECORD).unwrap();
        let told = json!({
            "key": {"request": "A".repeat(42) + "E", "received": "1969-12-31T23:59:59.999999999Z", "digest": "d"},
            "platform_known": true, "has_bodies": true, "part": 2, "leaked_category": "kube-apiserver",
            "matches": [{"rule_id": "r", "title": "t", "dedup_key": "k", "distinct": "v",
                "suppressed": {"by": "b", "reason": "why"},
                "tuned": [{"suppression": {"by": "b", "reason": "why"}, "cluster": "c*",
                    "expires": "2027-01-31T00:00:00Z"}]}],
            "is_hit": true, "is_outline": false, "interests": "cronjob,refused",
            "body": {"state": "{}", "source": "requestObject", "patch": "[]", "remains": "{}", "owner": ["Job", "j"], "note": "n"},
            "record": record,
        });
        let mut little = told.clone();
        for member in ["leaked_category", "body"] {
            little[member] = Value::Null;
        }
        little["key"]["received"] = Value::Null;
        let optional = ["time", "cronjob", "actor", "cluster", "stage", "user_agent"];
        little["record"].as_object_mut().unwrap().retain(|key, _| !optional.contains(&key.as_str()));
        let files = [&told, &little].map(written::<Observation>).concat();
        // Later builds read what a case keeps: whoever changes this must also raise `VERSION` in `case::schema`.
        assert_eq!(decode::sha256(&files)[..16], *"a472671c62401c37");

        let mut hit = json!({"rule_id": "r", "rule_name": "R", "severity": "high", "alert_id": "a", "title": "t", "dedup_key": "k",
            "mitre": ["TA0003:T1053.007"]});
        hit.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
        hit["suppressed_by"] = json!("b");
        hit["distinct"] = json!("v");
        written::<Hit>(&hit);
        written::<Alert>(&json!({"alert_id": "a", "rule_id": "r", "severity": "high", "title": "t", "cluster": "c",
            "namespace": "n", "username": "u", "hits": 2, "first_seen": "2026-11-24T03:12:44Z",
            "last_seen": "2026-11-24T03:12:45Z", "dedup_key": "k", "mitre": ["TA0003:T1053.007"], "verdict": "REVIEW"}));
    }

    #[test]
    fn a_text_weighs_what_it_is_however_many_share_it() {
        for sharing in 1..5 {
            let interned: Arc<str> = "x".repeat(1000).into();
            let texts = vec![Arc::clone(&interned); sharing];
            let weight: usize = texts.iter().map(|text| own(Some(text))).sum();
            assert!((990..=1000).contains(&weight), "{sharing}: {weight}");
        }
    }
}
