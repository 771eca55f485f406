//! What log tools write before the JSON in a line.
//!
//! Only these forms are accepted: a line of another program may hold JSON that an attacker wrote.

use super::{Framing, cri};
use crate::json::{self, Skip};
use crate::time;

/// How far from the start of a line its JSON may begin.
pub(super) const MAX_PREFIX: usize = 1024;

/// A recognised prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prefix<'a> {
    pub framing: Framing,
    /// Where the content after the prefix starts.
    pub content: usize,
    pub time: Option<&'a str>,
}

impl Prefix<'_> {
    /// Whether it shows by itself that a line begins here.
    pub(super) fn begins_a_line(&self) -> bool {
        matches!(self.framing, Framing::CloudWatchExport | Framing::CloudWatchTail | Framing::CloudWatchText)
    }
}

/// Recognises the prefix of a line that does not start with JSON.
pub(super) fn find(line: &[u8]) -> Option<Prefix<'_>> {
    let head = &line[..line.len().min(MAX_PREFIX)];
    let head = std::str::from_utf8(head).unwrap_or_else(|error| valid_part(head, error));
    if let Some(cri) = cri::parse(head) {
        return Some(Prefix { framing: Framing::Cri, content: cri.content, time: Some(cri.time) });
    }
    let start = head.find('{')?;
    let (prefix, labels) = (&head[..start], labels(&head[start..]));
    let content = start + labels.unwrap_or(0);
    // `grep -H` writes the name of the file in front of what it finds.
    let is_grepped = prefix.ends_with(':') && prefix.contains(['/', '.']);
    if !prefix.ends_with([' ', '\t']) && !is_grepped {
        return None;
    }
    let tokens: Vec<&str> = prefix.split_ascii_whitespace().collect();
    let is_time = |token: &&str| token.contains('T') && time::parse(token).is_some();
    let plain = tokens.iter().all(|token| token.bytes().all(is_token));
    let (framing, time) = match tokens.as_slice() {
        _ if !plain => return None,
        [time] if is_time(time) && labels.is_some() => (Framing::Loki, Some(*time)),
        _ if labels.is_some() => return None,
        _ if is_grepped && tokens.len() > 1 => return None,
        [time] if is_time(time) => (Framing::CloudWatchExport, Some(*time)),
        ["EVENTS", _] | ["EVENTS", _, _] | ["EVENTS", _, _, _] => (Framing::CloudWatchText, None),
        [time, _] if is_time(time) && prefix.contains('\t') => (Framing::Fluentd, Some(*time)),
        [time, _] if is_time(time) => (Framing::CloudWatchTail, Some(*time)),
        [_] => (Framing::Node, None),
        _ => return None,
    };
    Some(Prefix { framing, content, time })
}

/// The length of the stream labels that `logcli query` prints between time and line, with the blanks after them.
fn labels(text: &str) -> Option<usize> {
    let mut rest = &text[1..];
    while let Some(pair) = label(rest) {
        rest = rest[pair..].strip_prefix(", ").unwrap_or(&rest[pair..]);
    }
    let rest = rest.strip_prefix('}')?;
    let line = rest.trim_start_matches([' ', '\t']);
    (line.starts_with('{') && line.len() < rest.len()).then(|| text.len() - line.len())
}

/// The length of `name="value"`, whose value is quoted as Go quotes it and may hold anything.
fn label(text: &str) -> Option<usize> {
    let equals = text.find("=\"").filter(|end| text[..*end].bytes().all(is_token))?;
    match json::skip_lenient(text.as_bytes(), equals + 1) {
        Skip::End(end) => Some(end),
        _ => None,
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte)
}

fn valid_part(head: &[u8], error: std::str::Utf8Error) -> &str {
    std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_prefixes_are_found() {
        for (line, framing) in [
            ("2026-11-24T03:16:43.101Z {\"a\":1}", Some(Framing::CloudWatchExport)),
            ("2026-11-24T03:16:43.101000+00:00 kube-apiserver-audit-7197 {}", Some(Framing::CloudWatchTail)),
            ("EVENTS\t3655\t1795490175101\tkube-apiserver-audit-1\t{}", Some(Framing::CloudWatchText)),
            ("2026-11-24T03:16:43Z {app=\"audit\", node=\"a\"}   {\"a\":1}", Some(Framing::Loki)),
            ("2026-11-24T03:16:43Z {} {\"a\":1}", Some(Framing::Loki)),
            ("2026-11-24T03:16:43Z {a=\"b, c} {\\\"\", d=\"e\"} {\"a\":1}", Some(Framing::Loki)),
            ("master-0.example.com {}", Some(Framing::Node)),
            ("2024-10-21T16:18:00.555019251+08:00 stdout P {\"level", Some(Framing::Cri)),
            ("2026-11-24T03:16:43Z\tkube.audit\t{}", Some(Framing::Fluentd)),
            ("I0710 20:27:25.673734 1 tlsconfig.go:240] {}", None),
            ("msg=\"bad\" {}", None),
            ("logs/audit.log:{\"a\":1}", Some(Framing::Node)),
            ("msg received:{}", None),
            ("user-agent:{}", None),
            (":{}", None),
        ] {
            assert_eq!(find(line.as_bytes()).map(|prefix| prefix.framing), framing, "{line}");
        }
    }
}
