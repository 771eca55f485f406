//! What the body of a request says of a CronJob.

use std::borrow::Cow;
use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
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
    /// The schedule in plain words.
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

/// How many images and commands to show for a CronJob when they come from other records, since every hit on it repeats
/// them.
const SHOWN: usize = 20;

impl CronJob {
    /// The same, shortened for a hit whose own record does not show it.
    pub(crate) fn recovered(mut self) -> Self {
        for list in [&mut self.images, &mut self.commands] {
            let more = list.len().saturating_sub(SHOWN);
            if more > 0 {
                list.truncate(SHOWN);
                list.push(format!("and {more} more"));
            }
        }
        self
    }

    /// Approximate size in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let lists = [&self.images, &self.commands].map(|list| list.iter().map(|text| text.len() + 32).sum::<usize>());
        size_of::<Self>() + 256 + lists.iter().sum::<usize>()
    }
}

/// A CronJob as its request left it, and its name for when objectRef has none.
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
        if serde_json::from_slice::<Sound>(text).is_err() {
            bodies.malformed.push(field);
        } else if let Some(object) = Fields::read(text) {
            let may_be_whole = may_be_whole(event, &object, field);
            bodies.take(&object, field, may_be_whole);
        }
    }
    bodies
}

impl Bodies {
    fn take(&mut self, object: &Fields<'_>, field: &str, may_be_whole: bool) {
        let name = || object.inside(&["metadata", "name"]).filter(|_| object.text("kind").as_deref() != Some("Status"));
        self.name = self.name.take().or_else(|| text(name()));
        let cronjob = || Some(CronJob::of(&whole_spec(object).filter(|_| may_be_whole)?, field));
        self.cronjob = self.cronjob.take().or_else(cronjob);
    }
}

/// The spec of a whole CronJob. A patch has only part of one, and a Status has none.
pub(super) fn whole_spec<'b>(object: &Fields<'b>) -> Option<Fields<'b>> {
    object.object("spec").filter(|spec| spec.get("jobTemplate").is_some() && spec.get("schedule").is_some())
}

/// Whether a body may be a whole CronJob. The request of a patch may have everything a whole one must have and still be
/// a part: what server-side apply sends names its kind, and an image for every container.
pub(super) fn may_be_whole(event: &AuditEvent<'_>, object: &Fields<'_>, field: &str) -> bool {
    if field != "requestObject" || event.verb.as_deref() != Some("patch") {
        return true;
    }
    let pod =
        object.object("spec").and_then(|spec| spec.inside(&POD_OF_SPEC).and_then(Fields::read)).unwrap_or_default();
    let mut containers = json::elements(pod.get("containers").unwrap_or_default()).map(Fields::read).peekable();
    let is_whole = |container: Option<Fields<'_>>| container.is_some_and(|container| container.get("image").is_some());
    object.text("kind").as_deref() == Some("CronJob") && containers.peek().is_some() && containers.all(is_whole)
}

impl CronJob {
    /// Reads the spec of a CronJob, whole or in part.
    #[must_use]
    pub fn of(spec: &Fields<'_>, source: &str) -> Self {
        let pod = spec.inside(&POD_OF_SPEC).and_then(Fields::read).unwrap_or_default();
        let schedule = text(spec.get("schedule"));
        let mut cronjob = CronJob {
            schedule_text: schedule.as_deref().and_then(|text| Schedule::parse(text).ok()).map(|parsed| parsed.words()),
            schedule,
            suspend: spec.get("suspend").and_then(|raw| serde_json::from_slice(raw).ok()),
            service_account: text(pod.get("serviceAccountName")).or_else(|| text(pod.get("serviceAccount"))),
            spec_source: source.to_owned(),
            ..CronJob::default()
        };
        let lists = ["initContainers", "containers"].into_iter().filter_map(|list| pod.get(list));
        for container in lists.flat_map(json::elements).filter_map(Fields::read) {
            cronjob.images.extend(text(container.get("image")));
            cronjob.commands.extend(Some(command(&container)).filter(|command| !command.is_empty()));
        }
        cronjob
    }
}

/// The path from the spec of a CronJob to that of its pods.
pub const POD_OF_SPEC: [&str; 4] = ["jobTemplate", "spec", "template", "spec"];

fn command(container: &Fields<'_>) -> String {
    let lists = ["command", "args"].into_iter().filter_map(|list| container.get(list));
    lists.flat_map(json::elements).filter_map(json::string).collect::<Vec<_>>().join(" ")
}

fn text(raw: Option<Raw<'_>>) -> Option<String> {
    raw.and_then(json::string).filter(|text| !text.is_empty()).map(Cow::into_owned)
}

/// JSON that serde_json's `Value` accepts: no lone surrogate, no number out of range, no deep nesting.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Sound)
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = Sound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_str<E>(self, _: &str) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Sound, A::Error> {
        while elements.next_element::<Sound>()?.is_some() {}
        Ok(Sound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Sound, A::Error> {
        while members.next_entry::<Sound, Sound>()?.is_some() {}
        Ok(Sound)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::Value;

    use super::*;

    /// Reading a body as text gives the same as reading its value; an invalid one is named as malformed.
    fn expected(body: &str) -> (bool, Option<String>, Option<CronJob>) {
        let Ok(value) = serde_json::from_str::<Value>(body) else { return (true, None, None) };
        let text = |value: Option<&Value>| value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text(value.pointer("/metadata/name")).filter(|_| value["kind"] != "Status");
        let spec = &value["spec"];
        let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
        let lists = ["initContainers", "containers"].map(|list| pod[list].as_array().cloned().unwrap_or_default());
        let containers = lists.concat().into_iter().filter(Value::is_object).collect::<Vec<_>>();
        let words = |container: &Value| {
            let lists = ["command", "args"].map(|list| container[list].as_array().cloned().unwrap_or_default());
            lists.concat().iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        let schedule = text(spec.get("schedule"));
        let cronjob = CronJob {
            schedule_text: schedule.as_ref().and_then(|text| Some(Schedule::parse(text).ok()?.words())),
            schedule,
            suspend: spec["suspend"].as_bool(),
            service_account: text(pod.get("serviceAccountName")).or_else(|| text(pod.get("serviceAccount"))),
            images: containers.iter().filter_map(|container| text(container.get("image"))).collect(),
            commands: containers.iter().map(words).filter(|words| !words.is_empty()).collect(),
            spec_source: "requestObject".to_owned(),
        };
        let is_whole = ["jobTemplate", "schedule"].iter().all(|key| spec.get(key).is_some());
        (false, name, is_whole.then_some(cronjob))
    }

    fn body() -> impl Strategy<Value = String> {
        // Invalid values are rare: one is enough to spoil a whole body.
        let none = prop_oneof![
            select(vec!["1e999", r#""\ud800""#, "tru"]).prop_map(str::to_owned),
            Just("[".repeat(200) + &"]".repeat(200)),
        ];
        let sound =
            vec!["null", "[1,{}]", "{}", r#""""#, "-0.5", r#""\ud83d\ude00\n""#, r#""x""#, r#"["sh","-c"]"#, "true"];
        let odd = prop_oneof![60 => select(sound).prop_map(str::to_owned), 1 => none];
        let list = prop::collection::vec(odd.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(" , ")));
        let value = prop_oneof![odd, list].boxed();
        let members = |keys: Vec<&'static str>, value: BoxedStrategy<String>| {
            let member = (select(keys), value).prop_map(|(key, value)| format!("\"{key}\": {value}"));
            prop::collection::vec(member, 0..5).prop_map(|all| format!("{{{}}}", all.join(","))).boxed()
        };
        let container = members(vec!["image", "command", "args", "\\u0069mage"], value.clone());
        let containers = prop::collection::vec(container, 0..3).prop_map(|all| format!("[{}]", all.join(","))).boxed();
        let or = |strategy: BoxedStrategy<String>| prop_oneof![6 => strategy, 1 => value.clone()].boxed();
        let pod = members(vec!["containers", "initContainers"], or(containers));
        let pod = (pod, select(vec!["", r#""serviceAccount":"a","#, r#""serviceAccountName":"b","#]))
            .prop_map(|(pod, account)| format!("{{{account}\"z\":0,{}", &pod[1..]).replace(",}", "}"));
        let template = or(pod.boxed()).prop_map(|pod| format!(r#"{{"spec":{{"template":{{"spec":{pod}}}}}}}"#)).boxed();
        let spec = (or(template), value.clone(), members(vec!["schedule", "suspend", "jobTemplate"], value.clone()))
            .prop_map(|(template, schedule, rest)| {
                format!(r#"{{"jobTemplate":{template},"schedule":{schedule},"z":0,{}"#, &rest[1..]).replace(",}", "}")
            });
        let metadata = members(vec!["name", "labels"], value.clone());
        (or(spec.boxed()), or(metadata), select(vec!["CronJob", "Status"]))
            .prop_map(|(spec, metadata, kind)| format!(r#"{{"kind":"{kind}","metadata":{metadata},"spec":{spec}}}"#))
    }

    proptest! {
        #[test]
        fn text_tells_what_values_tell(body in body()) {
            let event = AuditEvent { request_object: Some(body.as_bytes().into()), ..AuditEvent::default() };
            let told = read(&event);
            let malformed = !told.malformed.is_empty();
            prop_assert_eq!((malformed, told.name, told.cronjob), expected(&body));
        }
    }
}
