//! What a shell makes of a command: variables become their values, escapes become characters, and quotes disappear.

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
            match self.value(after) {
                // Each value may be long.
                Some((value, place, behind)) if cut(&expanded).len() == expanded.len() => {
                    expanded.push_str(value);
                    used.extend(place);
                    rest = behind;
                }
                _ => expanded.push('$'),
            }
        }
        expanded + rest
    }

    /// The value of the variable behind a `$`, its place, and the text behind it. `${NAME:-other}` is the other text if
    /// nothing is known of the variable; so is `${NAME:+other}` in any case.
    fn value<'t>(&'t self, after: &'t str) -> Option<(&'t str, Option<&'v str>, &'t str)> {
        let brackets = [("{", "}"), ("(", ")")].into_iter().find(|(open, _)| after.starts_with(open));
        let (open, close) = brackets.unwrap_or_default();
        let (name, behind) = split_name(&after[open.len()..]);
        let known = self.0.get(name);
        if let Some(behind) = behind.strip_prefix(close) {
            return known.map(|(value, place)| (*value, *place, behind));
        }
        let operator = behind.strip_prefix(':').unwrap_or(behind);
        let operand = operator.strip_prefix(['-', '=', '+']).filter(|_| open == "{" && !name.is_empty())?;
        let (other, behind) = operand.split_once(close)?;
        let known = known.filter(|_| !operator.starts_with('+'));
        Some(known.map_or((other, None, behind), |(value, place)| (*value, *place, behind)))
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

/// The text without quotes, backslashes and broken lines: `c''url x | s\h` is `curl x | sh`. Escapes that printf, `echo
/// -e` and `$'…'` read become what these make of them: `\x73\150` is `sh`.
pub(super) fn unquoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' | '\'' => {}
            '$' if chars.as_str().starts_with('\'') => {}
            '\\' => match escaped(chars.as_str()) {
                Some((char, behind)) => {
                    plain.push(char);
                    chars = behind.chars();
                }
                None => plain.extend(chars.next().filter(|next| *next != '\n')),
            },
            other => plain.push(other),
        }
    }
    plain
}

/// How characters are escaped: what stands before their digits, the base of these, and how many there are.
const ESCAPES: [(&str, u32, usize); 4] = [("x", 16, 2), ("u00", 16, 2), ("0", 8, 3), ("", 8, 3)];

/// The printable character whose escape starts behind a backslash, and the text behind it. Within quotes the backslash
/// may be doubled.
fn escaped(text: &str) -> Option<(char, &str)> {
    let text = text.strip_prefix('\\').unwrap_or(text);
    ESCAPES.into_iter().find_map(|(mark, base, count)| {
        let (digits, behind) = text.strip_prefix(mark)?.split_at_checked(count)?;
        let is_number = digits.chars().all(|digit| digit.is_digit(base));
        let char = char::from_u32(u32::from_str_radix(digits, base).ok().filter(|_| is_number)?)?;
        (char == ' ' || char.is_ascii_graphic()).then_some((char, behind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_their_values() {
        let given = [("CMD", "curl $URL", Some("env[0]")), ("URL", "http://x", Some("env[1]")), ("NONE", "", None)];
        let text = "c=cu; d='rl' $c$d ${CMD} $(CMD)${IFS}${CMD:+x} $NONE $5 $";
        let variables = Variables::new(given.into_iter().chain(assigned(text)));
        let (expanded, used) = variables.expand(text);
        assert_eq!(expanded, "c=cu; d='rl' curl curl http://x curl http://x x $NONE $5 $");
        assert_eq!(used.into_iter().collect::<Vec<_>>(), ["env[0]", "env[1]"]);
    }

    #[test]
    fn variables_have_defaults() {
        let variables = Variables::new([("CMD", "curl", None), ("NONE", "", None)].into_iter());
        for (text, expected) in [
            ("${CMD:-wget} ${CMD-x}", "curl curl"),
            ("${X:-wget} ${X-a b} ${X:=c} ${NONE:-d} ${1:-e}", "wget a b c d e"),
            ("${X:-${Y:-wget}}/${X:-$CMD}", "wget/curl"),
            ("${X:?unset} ${X:0:4} ${X%.*} ${:-x} ${X:-wget", "${X:?unset} ${X:0:4} ${X%.*} ${:-x} ${X:-wget"),
        ] {
            assert_eq!(variables.expand(text).0, expected);
        }
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

    #[test]
    fn escapes_become_characters() {
        for (text, expected) in [
            (r"printf '\x63\165\u0072\0154'", "printf curl"),
            (r"$'\x73\x68' $HOME", "sh $HOME"),
            (r#"printf "\\x73\\150""#, "printf sh"),
            // No printable characters, or too few digits.
            (r"\033[0m \x1b \xff \x7 \12 \x+3 \x", "033[0m x1b xff x7 12 x+3 x"),
        ] {
            assert_eq!(unquoted(text), expected);
        }
    }
}
