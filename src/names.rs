//! The names of an event's fields, as databases, consoles and forwarders spell them: `objectref`, `OBJECTREF`,
//! `object_ref`, `json.objectRef.resource`.

use std::borrow::Cow;

/// Fields of an event, and what its objects hold: nothing for a text, an empty list for what has any keys.
const FIELDS: [(&str, Option<&[&str]>); 18] = [
    ("auditID", None),
    ("stage", None),
    ("level", None),
    ("verb", None),
    ("kind", None),
    ("apiVersion", None),
    ("requestURI", None),
    ("userAgent", None),
    ("requestReceivedTimestamp", None),
    ("stageTimestamp", None),
    ("user", USER),
    ("impersonatedUser", USER),
    ("objectRef", Some(&["resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "subresource"])),
    ("responseStatus", Some(&["code", "status", "reason", "message"])),
    ("sourceIPs", Some(&[])),
    ("requestObject", Some(&[])),
    ("responseObject", Some(&[])),
    ("annotations", Some(&[])),
];
const USER: Option<&[&str]> = Some(&["username", "uid", "groups", "extra"]);
/// What separates the words of a name.
const SEPARATORS: [char; 6] = ['.', '_', '-', '@', '/', ' '];
/// Fields of which one must stand beside the object for a record to be an event.
const BESIDE: [&str; 4] = ["verb", "auditID", "requestURI", "user.username"];

/// The dotted path of the field that a name stands for, or that it is part of.
pub(crate) fn path(name: &str) -> Option<Cow<'static, str>> {
    let fields = FIELDS.iter().filter_map(|(field, inner)| Some((*field, *inner, behind(name, field)?)));
    // `user_agent` is no part of `user`.
    let (field, inner, rest) = fields.min_by_key(|(.., rest)| rest.len())?;
    match (rest.is_empty(), inner) {
        (true, _) => Some(Cow::Borrowed(field)),
        (false, None) => None,
        (false, Some(inner)) => {
            let rest = rest.strip_prefix(SEPARATORS).unwrap_or(rest);
            let dot = if rest.starts_with('{') { "" } else { "." };
            Some(Cow::Owned(format!("{field}{dot}{}", spelled(rest, inner))))
        }
    }
}

/// The key of an object in an event as audit.k8s.io spells it; `field` is the name of the object.
pub(crate) fn key(field: &str, key: &str) -> String {
    let inner = FIELDS.iter().find(|(name, _)| *name == field).and_then(|(_, inner)| *inner);
    spelled(key, inner.unwrap_or_default())
}

fn spelled(name: &str, words: &[&str]) -> String {
    let word = words.iter().find_map(|word| Some((word, behind(name, word)?)));
    word.map_or_else(|| name.to_owned(), |(word, rest)| format!("{word}{}", rest.replacen(SEPARATORS, ".", 1)))
}

/// What stands in front of the fields in the names of an event's columns: `kubernetes.audit.`, `json.`, `@` or nothing.
/// `None` if these are not the columns of an event: its object and another field must have the same in front.
pub(crate) fn prefix<'n>(names: &(impl Iterator<Item = &'n str> + Clone)) -> Option<&'n str> {
    let is_field = |name: &str, prefix: &str| {
        let path = name.strip_prefix(prefix).and_then(path);
        path.is_some_and(|path| BESIDE.contains(&path.as_ref()))
    };
    let prefixes = names.clone().filter_map(of_object);
    prefixes.filter(|prefix| names.clone().any(|name| is_field(name, prefix))).min_by_key(|prefix| prefix.len())
}

/// What stands in front of `objectRef` or `objectRef.resource` in a name. Nothing that is part of an event itself: its
/// bodies are written by users.
fn of_object(name: &str) -> Option<&str> {
    // Most members of other logs are shorter.
    (name.len() >= "objectRef".len()).then_some(())?;
    let starts = std::iter::once(0).chain(name.match_indices(SEPARATORS).map(|(at, separator)| at + separator.len()));
    let mut paths = starts.take(MAX_WORDS).map(|start| (start, path(&name[start..])));
    let (start, path) = paths.find_map(|(start, path)| Some((start, path?)))?;
    matches!(path.as_ref(), "objectRef" | "objectRef.resource").then_some(&name[..start])
}

/// Most words in front of a field.
const MAX_WORDS: usize = 8;

/// What follows a field at the start of a name, whatever the case and the separators of its words.
fn behind<'n>(name: &'n str, field: &str) -> Option<&'n str> {
    let mut rest = name;
    for byte in field.bytes() {
        let plain = if rest.len() < name.len() { rest.strip_prefix(SEPARATORS).unwrap_or(rest) } else { rest };
        rest = plain.get(1..).filter(|_| plain.as_bytes()[0].eq_ignore_ascii_case(&byte))?;
    }
    (rest.is_empty() || rest.starts_with(SEPARATORS) || rest.starts_with('{')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_spelling() {
        for (name, expected) in [
            ("AUDITID", Some("auditID")),
            ("audit_id", Some("auditID")),
            ("user_agent", Some("userAgent")),
            ("user_username", Some("user.username")),
            ("User Username", Some("user.username")),
            ("stage_timestamp", Some("stageTimestamp")),
            ("OBJECTREF_APIGROUP", Some("objectRef.apiGroup")),
            ("object_ref_api_group", Some("objectRef.apiGroup")),
            ("objectref.resource", Some("objectRef.resource")),
            ("user.groups.0", Some("user.groups.0")),
            ("user.groups{}", Some("user.groups{}")),
            ("sourceIPs{}", Some("sourceIPs{}")),
            ("sourceIPs.0", Some("sourceIPs.0")),
            ("annotations.a.b/c", Some("annotations.a.b/c")),
            ("verb.x", None),
            ("users", None),
            ("", None),
        ] {
            assert_eq!(path(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn prefixes_are_those_of_two_fields() {
        for (names, expected) in [
            (&["json.verb", "json.objectRef.resource"][..], Some("json.")),
            (&["log_processed.verb", "log_processed.objectRef.resource"], Some("log_processed.")),
            (&["@verb", "@objectRef.resource"], Some("@")),
            (&["VERB", "OBJECTREF"], Some("")),
            (&["x", "verb", "json.objectRef.resource"], None),
            (&["requestObject.verb", "requestObject.objectRef.resource"], None),
            (&["objectRef.name", "verb"], None),
            (&["objectRef.resource"], None),
        ] {
            assert_eq!(prefix(&names.iter().copied()), expected, "{names:?}");
        }
    }
}
