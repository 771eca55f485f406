//! Patches applied to a known state: JSON Patch (RFC 6902) by a crate, objects as the API server merges them.
//!
//! An audit event does not name the type of a patch. A list is a JSON Patch. An object is treated as a strategic merge
//! patch, which differs from a merge patch (RFC 7396) only for lists of named things.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

/// Lists merged by a key of their elements (`patchMergeKey` in k8s.io/api/core/v1). All others are replaced.
const MERGE_KEYS: [(&str, &str); 10] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("imagePullSecrets", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("ports", "containerPort"),
    ("hostAliases", "ip"),
];

/// Most bytes that the operations of one patch may copy or move, because each could double the state, or nest it
/// deeper. The API server refuses copies beyond 3 MiB (k8s.io/apiserver, `JSONPatchMaxCopyBytes`).
const MOVED: usize = 16 << 10;
/// Most operations of a JSON Patch that is applied; the API server refuses longer ones (k8s.io/apiserver,
/// `maxJSONPatchOperations`), and each may shift a long list.
const OPERATIONS: usize = 10_000;
/// Most steps of a JSON Pointer that is followed: values are read no deeper than 128 levels, and freed by recursion.
const DEEPEST: usize = 100;

/// The state after a patch; `None` if the patch does not fit the state, or is longer than the API server takes.
pub(super) fn apply(state: &Value, patch: &Value) -> Option<Value> {
    let mut after = state.clone();
    match patch {
        Value::Array(operations) if operations.len() > OPERATIONS => return None,
        Value::Array(operations) => {
            let mut room = MOVED;
            operations.iter().try_for_each(|operation| operate(&mut after, operation, &mut room))?;
        }
        patch => merge(&mut after, patch),
    }
    Some(after)
}

/// Applies one operation of a JSON Patch. Metadata is not kept, so operations on it are skipped, and values from it are
/// unknown. A logged test has passed.
fn operate(state: &mut Value, operation: &Value, room: &mut usize) -> Option<()> {
    let path = |key: &str| operation[key].as_str();
    let is_of_spec = |path: &str| path == "/spec" || path.starts_with("/spec/");
    let target = path("path")?;
    if operation["op"] == "test"
        || !target.is_empty() && !is_of_spec(target) && path("from").is_none_or(|from| !is_of_spec(from))
    {
        return Some(());
    }
    if is_too_deep(target) {
        return None;
    }
    let is_add = operation["op"] != "remove" && operation["op"] != "replace";
    let mut resolved = operation.clone();
    resolved["path"] = counted(state, target, is_add).into();
    if let Some(from) = path("from") {
        if !is_of_spec(from) || !is_of_spec(target) || is_too_deep(from) {
            return None;
        }
        let from = counted(state, from, false);
        *room = room.checked_sub(state.pointer(&from)?.to_string().len())?;
        resolved["from"] = from.into();
    }
    let operations: json_patch::Patch = serde_json::from_value(vec![resolved].into()).ok()?;
    json_patch::patch(state, &operations).ok()
}

fn is_too_deep(pointer: &str) -> bool {
    pointer.matches('/').count() > DEEPEST
}

/// A JSON Pointer whose negative indexes are replaced by positive ones, as the API server's library reads them
/// (evanphx/json-patch, `SupportNegativeIndices`). For an addition, -1 means after the last element.
fn counted(state: &Value, pointer: &str, is_add: bool) -> String {
    let keys: Vec<&str> = pointer.split('/').skip(1).collect();
    let mut counted = String::new();
    for (at, key) in keys.iter().enumerate() {
        let list = state.pointer(&counted).and_then(Value::as_array);
        let back = list.zip(key.strip_prefix('-').and_then(|back| back.parse::<usize>().ok()));
        let behind = usize::from(is_add && at + 1 == keys.len());
        let index = back.and_then(|(list, back)| (list.len() + behind).checked_sub(back));
        counted.push('/');
        counted.push_str(&index.map_or_else(|| (*key).to_owned(), |index| index.to_string()));
    }
    counted
}

/// The parts of a CronJob that a patch itself contains.
pub(super) fn alone(patch: &Value) -> Value {
    let Value::Array(operations) = patch else { return patch.clone() };
    let mut object = Value::Null;
    for operation in operations.iter().filter(|operation| operation["op"] == "add" || operation["op"] == "replace") {
        if let Some(path) = operation["path"].as_str().filter(|path| path.starts_with('/') && !is_too_deep(path)) {
            *place(&mut object, &path[1..]) = operation["value"].clone();
        }
    }
    object
}

/// The value at a JSON Pointer, created if missing. Lists have only the elements that are named.
fn place<'v>(value: &'v mut Value, path: &str) -> &'v mut Value {
    path.split('/').map(|key| key.replace("~1", "/").replace("~0", "~")).fold(value, |value, key| {
        let is_index = key == "-" || key.parse::<isize>().is_ok();
        if !(value.is_array() && is_index || value.is_object()) {
            *value = if is_index { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        }
        match value {
            Value::Array(elements) => {
                let at = key.parse::<usize>().map_or(elements.len(), |at| at.min(elements.len()));
                if at == elements.len() {
                    elements.push(Value::Null);
                }
                &mut elements[at]
            }
            other => &mut other[key],
        }
    })
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() || changes.get("$patch").is_some_and(|directive| directive == "replace") {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    if changes.get("$patch").is_some_and(|directive| directive == "delete") {
        members.clear();
        return;
    }
    if let Some(Value::Array(kept)) = changes.get("$retainKeys") {
        let kept: BTreeSet<&str> = kept.iter().filter_map(Value::as_str).collect();
        members.retain(|key, _| kept.contains(key.as_str()));
    }
    members.retain(|key, _| !changes.get(key).is_some_and(Value::is_null));
    for (key, change) in changes.iter().filter(|(key, change)| !key.starts_with('$') && !change.is_null()) {
        let merge_key = MERGE_KEYS.iter().find(|(list, _)| list == key).map(|(_, merge_key)| *merge_key);
        match (merge_key, change) {
            (Some(merge_key), Value::Array(elements)) => {
                let list = members.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(list, elements, merge_key);
            }
            _ => merge(members.entry(key.clone()).or_insert(Value::Null), change),
        }
    }
    for (key, gone) in changes {
        if let (Some(list), Value::Array(gone)) = (key.strip_prefix("$deleteFromPrimitiveList/"), gone)
            && let Some(Value::Array(kept)) = members.get_mut(list)
        {
            let gone: BTreeSet<String> = gone.iter().map(Value::to_string).collect();
            kept.retain(|element| !gone.contains(&element.to_string()));
        }
    }
}

fn merge_list(list: &mut Value, changes: &[Value], key: &str) {
    if changes.iter().any(|change| change.get(key).is_none() && change["$patch"] == "replace") {
        *list = Value::Array(Vec::new());
    }
    let Value::Array(elements) = list else {
        *list = Value::Array(changes.to_vec());
        return;
    };
    // A list may have as many elements as fit in a request.
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, element) in elements.iter().enumerate() {
        if let Some(name) = element.get(key) {
            places.entry(name.to_string()).or_insert(at);
        }
    }
    let mut gone = BTreeSet::new();
    for (change, name) in changes.iter().filter_map(|change| Some((change, change.get(key)?.to_string()))) {
        match (places.get(&name).copied(), change["$patch"] == "delete") {
            (Some(at), true) => {
                gone.insert(at);
                places.remove(&name);
            }
            (Some(at), false) => merge(&mut elements[at], change),
            (None, false) => {
                places.insert(name, elements.len());
                elements.push(change.clone());
            }
            (None, true) => {}
        }
    }
    let mut at = 0..;
    elements.retain(|_| at.next().is_none_or(|at| !gone.contains(&at)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_alone_shows_what_it_names() {
        let patch = json!([{"op": "test", "path": "/spec/suspend", "value": true}, {"op": "remove", "path": "/spec/x"},
            {"op": "replace", "path": "/spec/containers/3/image", "value": "a"},
            {"op": "add", "path": "/spec/containers/-", "value": {"image": "b"}},
            {"op": "add", "path": "/metadata/annotations/a~1b", "value": "c"}, {"op": "add", "path": "no pointer", "value": 1}]);
        let expected = json!({"spec": {"containers": [{"image": "a"}, {"image": "b"}]}, "metadata": {"annotations": {"a/b": "c"}}});
        assert_eq!(alone(&patch), expected);
    }

    #[test]
    fn patches_merge_as_the_api_server_merges_them() {
        let state = json!({"spec": {"schedule": "0 1 * * *", "suspend": true, "containers": [
            {"name": "a", "image": "x:1", "args": ["1"]}, {"name": "b", "image": "y:1"}]}});
        for (patch, pointer, expected) in [
            (json!({"spec": {"containers": [{"name": "a", "image": "z"}]}}), "/spec/containers/0/args/0", json!("1")),
            (json!({"spec": {"containers": [{"name": "a", "image": "z"}]}}), "/spec/containers/0/image", json!("z")),
            (
                json!({"spec": {"containers": [{"$patch": "delete", "name": "a"}]}}),
                "/spec/containers/0/name",
                json!("b"),
            ),
            (json!({"spec": {"containers": [{"name": "c", "image": "z"}]}}), "/spec/containers/2/image", json!("z")),
            (
                json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}),
                "/spec/containers/0/name",
                json!("c"),
            ),
            (
                json!({"spec": {"suspend": null, "schedule": "@daily"}}),
                "/spec",
                json!({"schedule": "@daily", "containers": state["spec"]["containers"]}),
            ),
            (
                json!([{"op": "replace", "path": "/spec/schedule", "value": "@hourly"}]),
                "/spec/schedule",
                json!("@hourly"),
            ),
        ] {
            let after = apply(&state, &patch).unwrap();
            assert_eq!(after.pointer(pointer), Some(&expected), "{patch}");
        }
        assert_eq!(apply(&state, &json!([{"op": "remove", "path": "/spec/nowhere"}])), None);
        let of_metadata = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}]);
        assert_eq!(apply(&state, &of_metadata), Some(state));
    }

    #[test]
    fn a_patch_longer_than_the_api_server_takes_does_not_fit() {
        let state = json!({"spec": {"args": []}});
        let add = json!({"op": "add", "path": "/spec/args/0", "value": "x"});
        let added = |count| apply(&state, &vec![add.clone(); count].into());
        assert_eq!(
            added(OPERATIONS).map(|after| after["spec"]["args"].as_array().map(Vec::len)),
            Some(Some(OPERATIONS))
        );
        assert_eq!(added(OPERATIONS + 1), None);
    }
}
