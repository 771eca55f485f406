//! An outline as it is spilled: without the names of its members, and without those that no outline has.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::observation::{CopyKey, Evidence, Observation, Record};
use crate::event::{Change, Outcome, Platform};
use crate::normalize::TimeSource;
use crate::rule::Class;

type Text<'o> = Cow<'o, str>;

/// An outline that no rule matches. Most of what is spilled is one, so its members are written in order, not by name.
#[derive(Serialize, Deserialize)]
pub(super) struct Outline<'o> {
    key: Cow<'o, CopyKey>,
    flags: [bool; 4],
    part: u64,
    leaked_category: Option<Text<'o>>,
    interests: Cow<'o, [String]>,
    body: Option<BodyTexts<'o>>,
    time: Option<(Timestamp, Option<TimeSource>)>,
    platform: Platform,
    outcome: Outcome,
    response_code: Option<i64>,
    change: Option<Change>,
    principal_class: Class,
    texts: [Option<Text<'o>>; 8],
    malformed_fields: Cow<'o, [String]>,
    copies: u64,
    path: Arc<str>,
    member: Option<Arc<str>>,
    place: (u64, Option<u64>),
    pointer: Text<'o>,
}

/// State, source, patch, owner, note.
type BodyTexts<'o> =
    (Option<Arc<str>>, Option<Text<'o>>, Option<Arc<str>>, Option<Cow<'o, (String, String)>>, Option<Text<'o>>);

impl<'o> Outline<'o> {
    /// `None` where it has more than an outline.
    pub(super) fn of(observation: &'o Observation) -> Option<Self> {
        if !observation.is_outline || observation.is_match() || observation.is_hit {
            return None;
        }
        let Record {
            time,
            time_source,
            platform,
            cluster,
            account: None,
            region: None,
            audit_id: None,
            stage,
            level: None,
            outcome,
            response_code,
            response_reason: None,
            response_message: None,
            change,
            verb,
            api_group: None,
            api_version: None,
            resource,
            subresource,
            namespace,
            name,
            request_uri: None,
            username,
            uid: None,
            groups,
            actor: None,
            impersonated_user: None,
            principal_class,
            source_ips,
            trusted_ip: None,
            user_agent: None,
            cronjob: None,
            truncated,
            damaged,
            malformed_fields,
            copies,
            evidence,
        } = &*observation.record
        else {
            return None;
        };
        if !groups.is_empty() || !source_ips.is_empty() {
            return None;
        }
        Some(Outline {
            key: Cow::Borrowed(&observation.key),
            flags: [observation.platform_known, observation.has_bodies, *truncated, *damaged],
            part: observation.part,
            leaked_category: text(observation.leaked_category.as_ref()),
            interests: Cow::Borrowed(&observation.interests),
            body: observation.body.as_deref().map(texts_of),
            time: time.map(|time| (time, *time_source)),
            platform: *platform,
            outcome: *outcome,
            response_code: *response_code,
            change: *change,
            principal_class: *principal_class,
            texts: [cluster, stage, verb, resource, subresource, namespace, name, username]
                .map(|own| text(own.as_ref())),
            malformed_fields: Cow::Borrowed(malformed_fields),
            copies: *copies,
            path: Arc::clone(&evidence.path),
            member: evidence.member.clone(),
            place: (evidence.record, evidence.offset),
            pointer: Cow::Borrowed(&evidence.pointer),
        })
    }
}

impl From<Outline<'_>> for Observation {
    fn from(outline: Outline<'_>) -> Self {
        let [platform_known, has_bodies, truncated, damaged] = outline.flags;
        let alone = |text: Option<Text<'_>>| text.map(Cow::into_owned);
        let [cluster, stage, verb, resource, subresource, namespace, name, username] = outline.texts.map(alone);
        let (record, offset) = outline.place;
        let (path, member, pointer) = (outline.path, outline.member, outline.pointer.into_owned());
        let (time, time_source) = outline.time.unzip();
        let body = outline.body.map(|(state, source, patch, owner, note)| {
            let (source, owner, note) = (alone(source), owner.map(Cow::into_owned), alone(note));
            Box::new(Body { state, source, patch, owner, note })
        });
        let record = Record {
            time,
            time_source: time_source.flatten(),
            platform: outline.platform,
            cluster,
            stage,
            outcome: outline.outcome,
            response_code: outline.response_code,
            change: outline.change,
            verb,
            resource,
            subresource,
            namespace,
            name,
            username,
            principal_class: outline.principal_class,
            truncated,
            damaged,
            malformed_fields: outline.malformed_fields.into_owned(),
            copies: outline.copies,
            ..Record::at(Evidence { path, member, record, offset, pointer })
        };
        Observation {
            key: outline.key.into_owned(),
            platform_known,
            has_bodies,
            part: outline.part,
            leaked_category: alone(outline.leaked_category),
            matches: Vec::new(),
            is_hit: false,
            is_outline: true,
            interests: outline.interests.into_owned(),
            body,
            record: Arc::new(record),
        }
    }
}

fn text(text: Option<&String>) -> Option<Text<'_>> {
    text.map(|text| Cow::Borrowed(text.as_str()))
}

fn texts_of(body: &Body) -> BodyTexts<'_> {
    let Body { state, source, patch, owner, note } = body;
    (state.clone(), text(source.as_ref()), patch.clone(), owner.as_ref().map(Cow::Borrowed), text(note.as_ref()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::spill::Spill;

    /// What is read of an observation that was spilled, and how long it was.
    fn spilled(observation: &Value) -> (Value, usize) {
        let observation: Observation = serde_json::from_value(observation.clone()).unwrap();
        let mut written = Vec::new();
        observation.write(&mut written).unwrap();
        let mut rest = written.as_slice();
        let read = json!(Observation::read(&mut rest).unwrap().unwrap());
        assert!(Observation::read(&mut rest).unwrap().is_none());
        (read, written.len())
    }

    #[test]
    fn what_is_spilled_comes_back() {
        let outline = json!({
            "key": {"request": ["id", "create", "/x"], "received": "2026-11-24T03:00:00.5Z", "digest": "d"},
            "platform_known": true, "has_bodies": true, "part": 2, "leaked_category": "kube-apiserver", "matches": [],
            "is_hit": false, "is_outline": true, "interests": ["job_of_cronjob"],
            "body": {"state": "{}", "source": "requestObject", "patch": "[]", "owner": ["Job", "j"], "note": "n"},
            "record": {
                "time": "2026-11-24T03:00:00.5Z", "time_source": "stage", "platform": "aks", "cluster": "c",
                "stage": "ResponseComplete", "outcome": "failed", "response_code": 409, "change": "created",
                "verb": "create", "resource": "jobs", "subresource": "status", "namespace": "n", "name": "j",
                "username": "u", "principal_class": "controller", "truncated": true, "damaged": true,
                "malformed_fields": ["user"], "copies": 3,
                "evidence": {"path": "p", "member": "m", "record": 7, "offset": 9, "pointer": "/a/0"},
            },
        });
        let (read, length) = spilled(&outline);
        assert_eq!(read, outline);
        // What no outline has makes it a whole one.
        for (key, value) in [("account", json!("1")), ("groups", json!(["g"])), ("user_agent", json!("kubectl"))] {
            let mut whole = outline.clone();
            whole["record"][key] = value;
            let (read, longer) = spilled(&whole);
            assert_eq!(read, whole);
            assert!(longer > 2 * length, "{longer} {length}");
        }
        let mut hit = outline;
        hit["is_hit"] = json!(true);
        assert_eq!(spilled(&hit).0, hit);
    }
}
