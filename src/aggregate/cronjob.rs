//! What the body of a request says of a CronJob.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body;
use crate::event::AuditEvent;
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
        match text.as_deref().map(body::value) {
            Some(Ok(body)) => bodies.take(&body, field),
            Some(Err(_)) => bodies.malformed.push(field),
            None => {}
        }
    }
    bodies
}

impl Bodies {
    fn take(&mut self, body: &Value, field: &str) {
        let name =
            || text(body, "/metadata/name").filter(|_| body.get("kind").and_then(Value::as_str) != Some("Status"));
        self.name = self.name.take().or_else(name);
        let is_whole = body.pointer("/spec/jobTemplate").is_some() && body.pointer("/spec/schedule").is_some();
        if self.cronjob.is_none() && is_whole {
            self.cronjob = Some(CronJob::of(body, field));
        }
    }
}

impl CronJob {
    /// Reads a CronJob, or what there is of one.
    #[must_use]
    pub fn of(body: &Value, source: &str) -> Self {
        let pod = body.pointer("/spec/jobTemplate/spec/template/spec").unwrap_or(&Value::Null);
        let lists = ["initContainers", "containers"].iter().filter_map(|list| pod.get(list)?.as_array());
        let containers: Vec<&Value> = lists.flatten().collect();
        let words = |container: &Value| {
            let lists = ["command", "args"].iter().filter_map(|list| container.get(list)?.as_array());
            lists.flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let schedule = text(body, "/spec/schedule");
        CronJob {
            schedule_text: schedule.as_deref().and_then(|text| Schedule::parse(text).ok()).map(|parsed| parsed.words()),
            schedule,
            suspend: body.pointer("/spec/suspend").and_then(Value::as_bool),
            service_account: text(pod, "/serviceAccountName").or_else(|| text(pod, "/serviceAccount")),
            images: containers.iter().filter_map(|container| text(container, "/image")).collect(),
            commands: containers
                .iter()
                .map(|container| words(container))
                .filter(|command| !command.is_empty())
                .collect(),
            spec_source: source.to_owned(),
        }
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
