//! What a shell makes of a command: variables become their values, and quotes disappear.

use std::collections::{BTreeMap, BTreeSet};

use super::pattern::cut;

/// Variables by name: their value, and its place unless the command itself assigns it.
#[derive(Default)]
pub(super) struct Variables<'v>(BTreeMap<&'v str, (&'v str, Option<&'v str>)>);

impl<'v> Variables<'v> {
    /// From name, value and place. An empty one is unknown: a loop or `read` may set it before it is used.
    pub(super) fn new(given: impl Iterator<Item = (&'v str, &'v str, Option<&'v str>)>) -> Self {
        let separator = [("IFS", (" ", None))];
        let given = given.filter(|(_, value, _)| !value.is_empty()).map(|(name, value, place)| (name, (value, place)));
        Variables(separator.into_iter().chain(given).collect())
    }

    /// The text with the values of variables in their place, and of those in these; with the places of values. `$(NAME)`
    /// is how Kubernetes writes it, all others how shells do.
    pub(super) fn expand(&self, text: &str) -> (String, BTreeSet<&'v str>) {
        let mut used = BTreeSet::new();
        let once = self.once(text, &mut used);
        (self.once(&once, &mut used), used)
    }

    fn once(&self, text: &str, used: &mut BTreeSet<&'v str>) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            rest = after;
            let brackets = [("{", "}"), ("(", ")")].into_iter().find(|(open, _)| after.starts_with(open));
            let (open, close) = brackets.unwrap_or_default();
            let (name, behind) = split_name(&after[open.len()..]);
            match (self.0.get(name), behind.strip_prefix(close)) {
                // Each value may be long.
                (Some((value, place)), Some(behind)) if cut(&expanded).len() == expanded.len() => {
                    expanded.push_str(value);
                    used.extend(place);
                    rest = behind;
                }
                _ => expanded.push('$'),
            }
        }
        expanded + rest
    }
}

/// What a command assigns: `c=cu; d="rl"`, but not the output of other commands.
pub(super) fn assigned(text: &str) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
    let words = text.split(|char: char| char.is_whitespace() || matches!(char, ';' | '&' | '|' | '('));
    words.filter_map(|word| {
        let (name, rest) = split_name(word.trim_start_matches(['"', '\'']));
        let value = rest.strip_prefix('=')?.trim_matches(['"', '\'']);
        let is_known = !name.is_empty() && !value.ends_with('$') && !value.contains('`');
        is_known.then_some((name, value, None))
    })
}

/// The name of a variable at the start of a text, and the rest.
fn split_name(text: &str) -> (&str, &str) {
    let is_of_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    text.split_at(text.find(|char| !is_of_name(char)).unwrap_or(text.len()))
}

/// The text without quotes, backslashes and broken lines: `c''url x | s\h` is `curl x | sh`.
pub(super) fn unquoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' | '\'' => {}
            '\\' => plain.extend(chars.next().filter(|next| *next != '\n')),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_their_values() {
        let given = [("CMD", "curl $URL", Some("env[0]")), ("URL", "http://x", Some("env[1]")), ("NONE", "", None)];
        let text = "c=cu; d='rl' $c$d ${CMD} $(CMD)${IFS}${CMD:-x} $NONE $5 $";
        let variables = Variables::new(given.into_iter().chain(assigned(text)));
        let (expanded, used) = variables.expand(text);
        assert_eq!(expanded, "c=cu; d='rl' curl curl http://x curl http://x ${CMD:-x} $NONE $5 $");
        assert_eq!(used.into_iter().collect::<Vec<_>>(), ["env[0]", "env[1]"]);
    }

    #[test]
    fn values_that_double_end() {
        let value = "$A".repeat(1000);
        let (expanded, _) = Variables::new([("A", &*value, None)].into_iter()).expand(&value);
        assert!(expanded.len() < 3 << 20);
        let long = "x".repeat(1 << 20);
        let (expanded, _) = Variables::new([("A", &*long, None)].into_iter()).expand(&value);
        assert!(expanded.len() < 3 << 20);
    }

    #[test]
    fn quotes_disappear() {
        assert_eq!(unquoted("c''url \"x\" |\\\n s\\h 'é\\"), "curl x | sh é");
    }
}
