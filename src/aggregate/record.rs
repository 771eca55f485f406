//! A request as reports print it, and how an event becomes one.

use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::body::Interner;
use super::cronjob::CronJob;
use super::observation::Seen;
use crate::event::{AuditEvent, Change, Outcome, Platform, Text};
use crate::json::{self, Fields};
use crate::normalize::TimeSource;
use crate::rule::{Class, classify};
use crate::spill::{self, Shared, shared};

/// Where the bytes are that prove a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct Evidence {
    /// Path of the file, relative to the PATH argument.
    #[borsh(skip)]
    pub path: Arc<str>,
    /// Member of the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub member: Option<Arc<str>>,
    /// Number of the line, document or row, from 1.
    pub record: u64,
    /// Offset of the line or document in the decoded text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// JSON Pointer from there to the event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pointer: String,
}

/// The AWS identity behind an EKS user, from `user.extra`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[expect(missing_docs, reason = "the names of user.extra, snake-cased")]
pub struct Actor {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<String>,
}

/// A request as reports print it; absent values are left out. Texts common to many records are shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
#[expect(missing_docs, reason = "the fields of hits.jsonl, described in docs/reports.md")]
pub struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(serialize_with = "spill::time::write", deserialize_with = "spill::time::read")]
    pub time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_source: Option<TimeSource>,
    pub platform: Platform,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub cluster: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub account: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub region: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub stage: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub level: Option<Arc<str>>,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub response_reason: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub verb: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub api_group: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub api_version: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub resource: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub subresource: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub namespace: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub username: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Box<Actor>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub impersonated_user: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub impersonated_groups: Vec<String>,
    pub principal_class: Class,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<String>,
    /// The last of `source_ips`: the one the API server itself saw. Those before it are claims of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub trusted_ip: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[borsh(skip)]
    pub user_agent: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cronjob: Option<Box<CronJob>>,
    pub truncated: bool,
    pub damaged: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub malformed_fields: Vec<String>,
    pub copies: u64,
    pub evidence: Evidence,
}

impl Record {
    // Names are not interned: those of Jobs and Pods rarely repeat.
    shared!(
        cluster,
        account,
        region,
        stage,
        level,
        response_reason,
        verb,
        api_group,
        api_version,
        resource,
        subresource,
        namespace,
        username,
        impersonated_user,
        trusted_ip,
        user_agent,
        evidence.path,
        evidence.member
    );

    /// Whether the request is on CronJobs.
    #[must_use]
    pub fn is_on_cronjobs(&self) -> bool {
        self.resource.as_deref() == Some("cronjobs")
    }

    /// Whether it was refused: 401 and 403, and google.rpc's PERMISSION_DENIED and UNAUTHENTICATED.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.response_code, Some(401 | 403 | 7 | 16))
    }

    /// Approximate size in memory, in bytes: the struct itself, `short_texts` for its short texts, and the texts that a
    /// log may make long.
    pub(super) fn weight(&self, short_texts: usize) -> usize {
        let kept = [&self.username, &self.name, &self.namespace, &self.user_agent].map(|text| own(text.as_ref()));
        let texts = [&self.request_uri, &self.response_message].map(|text| text.as_ref().map_or(0, String::len));
        let commands = self.cronjob.as_ref().map_or(&[][..], |cronjob| &cronjob.commands);
        let lists = [&self.groups, &self.impersonated_groups, &self.source_ips, commands]
            .map(|list| list.iter().map(String::len).sum::<usize>());
        short_texts + size_of::<Self>() + kept.iter().chain(&texts).chain(&lists).sum::<usize>()
    }
}

/// This record's share of an interned text: its size divided by its owners, not counting the interner.
pub(super) fn own(text: Option<&Arc<str>>) -> usize {
    text.map_or(0, |text| text.len() / (Arc::strong_count(text) - 1).max(1))
}

/// What an event shows of an object.
pub(super) fn outline(event: &AuditEvent<'_>, seen: &Seen<'_>, texts: &mut Interner) -> Record {
    let mut kept = |text: &Option<Text<'_>>| text.as_deref().map(|text| texts.keep(text));
    let (object, origin) = (&event.object_ref, &seen.origin);
    Record {
        time: seen.time.map(|(time, _)| time),
        time_source: seen.time.map(|(_, source)| source),
        platform: origin.platform.unwrap_or(Platform::Kubernetes),
        cluster: kept(&origin.cluster),
        account: None,
        region: None,
        audit_id: None,
        stage: kept(&event.stage),
        level: None,
        outcome: Outcome::of(event),
        response_code: event.response_status.code,
        response_reason: None,
        response_message: None,
        change: Change::of(event),
        verb: kept(&event.verb),
        api_group: None,
        api_version: None,
        resource: kept(&object.resource),
        subresource: kept(&object.subresource),
        namespace: kept(&object.namespace),
        name: kept(&object.name).filter(|_| !object.name_is_namespace),
        request_uri: None,
        username: kept(&event.user.username),
        uid: None,
        groups: Vec::new(),
        actor: None,
        impersonated_user: None,
        impersonated_groups: Vec::new(),
        principal_class: classify(&event.user),
        source_ips: Vec::new(),
        trusted_ip: None,
        user_agent: None,
        cronjob: None,
        truncated: event.truncated,
        damaged: false,
        malformed_fields: Vec::new(),
        copies: 1,
        evidence: seen.evidence.clone(),
    }
}

/// Everything that reports print.
pub(super) fn record(event: &AuditEvent<'_>, seen: &Seen<'_>, texts: &mut Interner) -> Record {
    let outline = outline(event, seen, texts);
    let trusted_ip = event.source_ips.last().map(|ip| texts.keep(ip));
    let mut kept = |text: &Option<Text<'_>>| text.as_deref().map(|text| texts.keep(text));
    let owned = |text: &Option<Text<'_>>| text.as_deref().map(str::to_owned);
    let list = |texts: &[Text<'_>]| texts.iter().map(|text| text.clone().into_owned()).collect();
    let (object, status, origin) = (&event.object_ref, &event.response_status, &seen.origin);
    Record {
        account: kept(&origin.account),
        region: kept(&origin.region),
        audit_id: owned(&event.audit_id),
        level: kept(&event.level),
        response_reason: kept(&status.reason),
        response_message: owned(&status.message),
        api_group: kept(&object.api_group),
        api_version: kept(&object.api_version),
        request_uri: owned(&event.request_uri),
        uid: owned(&event.user.uid),
        groups: list(&event.user.groups),
        actor: event.user.extra.and_then(Fields::read).and_then(|extra| actor(&extra)),
        impersonated_user: event.impersonated_user.as_ref().and_then(|user| kept(&user.username)),
        impersonated_groups: event.impersonated_user.as_ref().map_or_else(Vec::new, |user| list(&user.groups)),
        source_ips: list(&event.source_ips),
        trusted_ip,
        user_agent: kept(&event.user_agent),
        malformed_fields: event.malformed_fields.iter().map(|&field| field.to_owned()).collect(),
        ..outline
    }
}

/// Reads the AWS identity. The values of `user.extra` are lists; the first element is used.
fn actor(extra: &Fields<'_>) -> Option<Box<Actor>> {
    let first = |key: &str| {
        let raw = extra.get(key)?;
        json::string(raw).or_else(|| json::elements(raw).next().and_then(json::string)).map(Text::into_owned)
    };
    let actor = Actor {
        arn: first("arn"),
        canonical_arn: first("canonicalArn"),
        session: first("sessionName"),
        access_key_id: first("accessKeyId"),
        principal_id: first("principalId"),
    };
    (actor != Actor::default()).then(|| Box::new(actor))
}
