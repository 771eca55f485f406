//! What the body of a request says of a CronJob.

use std::borrow::Cow;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::event::AuditEvent;
use crate::json::{self, Fields, Raw};
use crate::schedule::Schedule;

/// The parts of a CronJob that reports show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, BorshSerialize, BorshDeserialize)]
pub struct CronJob {
    /// `spec.schedule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The same in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_text: Option<String>,
    /// `spec.suspend`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Service account of its pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Images of all containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Command and arguments of each container that has any, joined by spaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// The field it was read from, or what it was recovered from.
    pub spec_source: String,
}

/// A CronJob as its request left it, with its name where objectRef has none.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    pub cronjob: Option<CronJob>,
    pub name: Option<String>,
    pub malformed: Vec<&'static str>,
}

/// Reads the bodies, the response first: it is the state after the change.
pub(super) fn read(event: &AuditEvent<'_>) -> Bodies {
    let mut bodies = Bodies::default();
    for (field, text) in [("responseObject", &event.response_object), ("requestObject", &event.request_object)] {
        let Some(text) = text.as_deref() else { continue };
        if serde_json::from_slice::<IgnoredAny>(text).is_err() {
            bodies.malformed.push(field);
        } else if let Some(object) = Fields::read(text) {
            bodies.take(&object, field);
        }
    }
    bodies
}

impl Bodies {
    fn take(&mut self, object: &Fields<'_>, field: &str) {
        let name = || object.inside(&["metadata", "name"]).filter(|_| object.text("kind").as_deref() != Some("Status"));
        self.name = self.name.take().or_else(|| text(name()));
        let has = |key: &str| object.inside(&["spec", key]).is_some();
        if self.cronjob.is_none() && has("jobTemplate") && has("schedule") {
            self.cronjob = Some(CronJob::of(object, field));
        }
    }
}

impl CronJob {
    /// Reads a CronJob, or what there is of one.
    #[must_use]
    pub fn of(object: &Fields<'_>, source: &str) -> Self {
        let spec = object.object("spec").unwrap_or_default();
        let pod = spec.inside(&POD_OF_SPEC).and_then(Fields::read).unwrap_or_default();
        let lists = ["initContainers", "containers"].into_iter().filter_map(|list| pod.get(list));
        let containers: Vec<_> = lists.flat_map(json::elements).filter_map(Fields::read).collect();
        let schedule = text(spec.get("schedule"));
        CronJob {
            schedule_text: schedule.as_deref().and_then(|text| Schedule::parse(text).ok()).map(|parsed| parsed.words()),
            schedule,
            suspend: spec.get("suspend").and_then(|raw| serde_json::from_slice(raw).ok()),
            service_account: text(pod.get("serviceAccountName")).or_else(|| text(pod.get("serviceAccount"))),
            images: containers.iter().filter_map(|container| text(container.get("image"))).collect(),
            commands: containers.iter().map(command).filter(|command| !command.is_empty()).collect(),
            spec_source: source.to_owned(),
        }
    }
}

/// From the spec of a CronJob to that of its pods.
const POD_OF_SPEC: [&str; 4] = ["jobTemplate", "spec", "template", "spec"];

fn command(container: &Fields<'_>) -> String {
    let lists = ["command", "args"].into_iter().filter_map(|list| container.get(list));
    lists.flat_map(json::elements).filter_map(json::string).collect::<Vec<_>>().join(" ")
}

fn text(raw: Option<Raw<'_>>) -> Option<String> {
    raw.and_then(json::string).filter(|text| !text.is_empty()).map(Cow::into_owned)
}
