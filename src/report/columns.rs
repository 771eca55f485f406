//! The columns of hits.csv: the keys of hits.jsonl, nested ones dotted, and the text each has for a hit.

use std::borrow::Cow;
use std::fmt::Display;

use super::csv::joined;
use crate::aggregate::{Actor, CronJob, Hit};
use crate::event::{Change, Outcome};
use crate::normalize::TimeSource;

/// A column: its name, and its text before escaping.
pub(super) type Column = (&'static str, for<'h> fn(&'h Hit) -> Cow<'h, str>);

pub(super) const HIT: [Column; 60] = [
    ("rule_id", |hit| text(hit.rule_id.as_deref())),
    ("rule_name", |hit| text(hit.rule_name.as_deref())),
    ("severity", |hit| shown(hit.severity)),
    ("alert_id", |hit| text(hit.alert_id.as_deref())),
    ("title", |hit| text(hit.title.as_deref())),
    ("dedup_key", |hit| text(hit.dedup_key.as_deref())),
    ("mitre", |hit| joined(&hit.mitre)),
    ("time", |hit| shown(hit.record.time)),
    ("time_source", |hit| text(hit.record.time_source.map(TimeSource::name))),
    ("platform", |hit| shown(Some(hit.record.platform))),
    ("cluster", |hit| text(hit.record.cluster.as_deref())),
    ("account", |hit| text(hit.record.account.as_deref())),
    ("region", |hit| text(hit.record.region.as_deref())),
    ("audit_id", |hit| text(hit.record.audit_id.as_deref())),
    ("stage", |hit| text(hit.record.stage.as_deref())),
    ("level", |hit| text(hit.record.level.as_deref())),
    ("outcome", |hit| text(Some(Outcome::name(hit.record.outcome)))),
    ("response_code", |hit| shown(hit.record.response_code)),
    ("response_reason", |hit| text(hit.record.response_reason.as_deref())),
    ("response_message", |hit| text(hit.record.response_message.as_deref())),
    ("change", |hit| text(hit.record.change.map(Change::name))),
    ("verb", |hit| text(hit.record.verb.as_deref())),
    ("api_group", |hit| text(hit.record.api_group.as_deref())),
    ("api_version", |hit| text(hit.record.api_version.as_deref())),
    ("resource", |hit| text(hit.record.resource.as_deref())),
    ("subresource", |hit| text(hit.record.subresource.as_deref())),
    ("namespace", |hit| text(hit.record.namespace.as_deref())),
    ("name", |hit| text(hit.record.name.as_deref())),
    ("request_uri", |hit| text(hit.record.request_uri.as_deref())),
    ("username", |hit| text(hit.record.username.as_deref())),
    ("uid", |hit| text(hit.record.uid.as_deref())),
    ("groups", |hit| joined(&hit.record.groups)),
    ("actor.arn", |hit| of_actor(hit, |actor| actor.arn.as_deref())),
    ("actor.canonical_arn", |hit| of_actor(hit, |actor| actor.canonical_arn.as_deref())),
    ("actor.session", |hit| of_actor(hit, |actor| actor.session.as_deref())),
    ("actor.access_key_id", |hit| of_actor(hit, |actor| actor.access_key_id.as_deref())),
    ("actor.principal_id", |hit| of_actor(hit, |actor| actor.principal_id.as_deref())),
    ("impersonated_user", |hit| text(hit.record.impersonated_user.as_deref())),
    ("impersonated_groups", |hit| joined(&hit.record.impersonated_groups)),
    ("principal_class", |hit| shown(Some(hit.record.principal_class))),
    ("source_ips", |hit| joined(&hit.record.source_ips)),
    ("trusted_ip", |hit| text(hit.record.trusted_ip.as_deref())),
    ("user_agent", |hit| text(hit.record.user_agent.as_deref())),
    ("cronjob.schedule", |hit| text(cronjob(hit).and_then(|cronjob| cronjob.schedule.as_deref()))),
    ("cronjob.schedule_text", |hit| text(cronjob(hit).and_then(|cronjob| cronjob.schedule_text.as_deref()))),
    ("cronjob.suspend", |hit| shown(cronjob(hit).and_then(|cronjob| cronjob.suspend))),
    ("cronjob.service_account", |hit| text(cronjob(hit).and_then(|cronjob| cronjob.service_account.as_deref()))),
    ("cronjob.images", |hit| cronjob(hit).map(|cronjob| joined(&cronjob.images)).unwrap_or_default()),
    ("cronjob.commands", |hit| cronjob(hit).map(|cronjob| joined(&cronjob.commands)).unwrap_or_default()),
    ("cronjob.spec_source", |hit| text(cronjob(hit).map(|cronjob| cronjob.spec_source.as_str()))),
    ("indicators", indicators),
    ("truncated", |hit| shown(Some(hit.record.truncated))),
    ("damaged", |hit| shown(Some(hit.record.damaged))),
    ("malformed_fields", |hit| joined(&hit.record.malformed_fields)),
    ("copies", |hit| shown(Some(hit.record.copies))),
    ("evidence.path", |hit| text(Some(&hit.record.evidence.path))),
    ("evidence.member", |hit| text(hit.record.evidence.member.as_deref())),
    ("evidence.record", |hit| shown(Some(hit.record.evidence.record))),
    ("evidence.offset", |hit| shown(hit.record.evidence.offset)),
    ("evidence.pointer", |hit| text(Some(&hit.record.evidence.pointer))),
];

/// Additional columns of suppressed.csv.
pub(super) const SUPPRESSION: [Column; 2] =
    [("suppressed_by", |hit| text(hit.suppressed_by.as_deref())), ("reason", |hit| text(hit.reason.as_deref()))];

fn text(text: Option<&str>) -> Cow<'_, str> {
    Cow::Borrowed(text.unwrap_or_default())
}

fn shown<'h>(value: Option<impl Display>) -> Cow<'h, str> {
    value.map_or(Cow::Borrowed(""), |value| Cow::Owned(value.to_string()))
}

fn of_actor(hit: &Hit, member: fn(&Actor) -> Option<&str>) -> Cow<'_, str> {
    text(hit.record.actor.as_deref().and_then(member))
}

fn cronjob(hit: &Hit) -> Option<&CronJob> {
    hit.record.cronjob.as_deref()
}

/// Each indicator as in hits.jsonl.
fn indicators(hit: &Hit) -> Cow<'_, str> {
    let objects: Vec<String> = hit.indicators.iter().filter_map(|found| serde_json::to_string(found).ok()).collect();
    joined(&objects).into_owned().into()
}
