//! What a JSON Patch (RFC 6902) says of an object whose state is not known.

use serde_json::{Map, Value as Json};

/// Most steps of a path that is followed: values are read no deeper than 128 levels, and freed by recursion.
const DEEPEST: usize = 100;

/// The parts of an object that operations set. An element of a list that several operations set is there several times:
/// which elements the list has is not known.
pub(super) fn parts(operations: &[Json]) -> Json {
    let mut all = Json::Null;
    operations.iter().filter_map(part).for_each(|part| join(&mut all, part));
    all
}

fn part(operation: &Json) -> Option<Json> {
    let path = operation.get("path")?.as_str()?;
    let is_setting = matches!(operation.get("op")?.as_str()?, "add" | "replace");
    if !is_setting || path.matches('/').count() > DEEPEST {
        return None;
    }
    let value = operation.get("value")?.clone();
    Some(path.strip_prefix('/').map_or(value.clone(), |steps| steps.rsplit('/').fold(value, below)))
}

/// The object or list in which a value is at this step of a path.
fn below(value: Json, step: &str) -> Json {
    if step == "-" || step.parse::<usize>().is_ok() {
        return vec![value].into();
    }
    Json::Object(Map::from_iter([(step.replace("~1", "/").replace("~0", "~"), value)]))
}

fn join(all: &mut Json, part: Json) {
    match (all, part) {
        (Json::Object(all), Json::Object(part)) => {
            part.into_iter().for_each(|(key, value)| join(all.entry(key).or_insert(Json::Null), value));
        }
        (Json::Array(all), Json::Array(part)) => all.extend(part),
        (all, part) => *all = part,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_say_what_they_set() {
        for (operations, expected) in [
            (json!([]), json!(null)),
            (json!([{"op": "add", "path": "", "value": {"a": 1}}]), json!({"a": 1})),
            (json!([{"op": "remove", "path": "/a"}, {"op": "test", "path": "/a", "value": 1}, 5]), json!(null)),
            (json!([{"op": "replace", "path": "/a~1b/~01", "value": 1}]), json!({"a/b": {"~1": 1}})),
            (
                json!([{"op": "add", "path": "/l/0/x", "value": 1}, {"op": "add", "path": "/l/-", "value": {"y": 2}}]),
                json!({"l": [{"x": 1}, {"y": 2}]}),
            ),
            (
                json!([{"op": "add", "path": "/a", "value": {"x": 1}}, {"op": "replace", "path": "/a/x", "value": 2}]),
                json!({"a": {"x": 2}}),
            ),
            (json!([{"op": "add", "path": "/a".repeat(101), "value": 1}]), json!(null)),
        ] {
            assert_eq!(parts(operations.as_array().unwrap()), expected, "{operations}");
        }
    }
}
