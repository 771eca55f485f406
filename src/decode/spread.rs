//! A tar on standard input: its members are separate sources, read as a walk would read the original files.

use tar::EntryType;

use super::archive::Part;
use super::{Content, Full, Hashing, Place, Walker, Window};

/// How a member ended.
#[derive(Debug)]
pub struct Ended {
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of these bytes; `None` if they are not read.
    pub sha256: Option<String>,
    /// Why not all of them arrived.
    pub problem: Option<String>,
}

impl Walker<'_> {
    /// Whether the members of a tar at this place are sources.
    pub(super) fn spreads(&self, place: &Place) -> bool {
        self.visitor.spreads() && place.member.is_none()
    }

    /// Visits a member of `size` bytes as a source, reads it to its end, and returns its name.
    pub(super) fn source(&mut self, name: &str, kind: EntryType, size: u64, part: &mut Part<'_>) -> String {
        let name = self.told_apart(&as_walked(name));
        let unread = match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => None,
            EntryType::Symlink => Some("a symbolic link, not followed"),
            EntryType::Link => Some("a hard link; its bytes stand under another name"),
            _ => Some("not a regular file"),
        };
        let mut hashed = Hashing::new(&mut *part);
        let is_wanted = self.visitor.begin(&name, size);
        // Each source has a budget of its own.
        let budget = self.limits.max_bytes.unwrap_or(u64::MAX);
        self.budget.set(budget);
        let place = Place::named(name.clone());
        match unread {
            _ if !is_wanted => {}
            Some(what) => self.emit(&place, Content::Foreign(what)),
            None => {
                // Archives in other sources may have members of the same names.
                let others = std::mem::take(&mut self.seen);
                self.descend(Window::new(Box::new(Full::new(&mut hashed))), &place);
                self.seen = others;
            }
        }
        self.budget.set(budget);
        let drained = hashed.drain();
        let (bytes, sha256) = hashed.finish();
        if is_wanted {
            let problem = drained.err().map(|error| format!("reading stopped at byte {bytes} of {size}: {error}"));
            let problem = problem.or_else(|| part.lost.as_ref().map(ToString::to_string));
            let sha256 = unread.is_none().then_some(sha256);
            self.visitor.end(Ended { bytes, sha256, problem });
        }
        name
    }
}

/// The name that a walk of the directory would give: `tar -C DIR .` prefixes `./`.
fn as_walked(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_as_walked() {
        for (name, expected) in [("./a/b", "a/b"), ("a//b/./c", "a/b/c"), ("/a", "a"), ("../a", "../a"), (".", "-")] {
            assert_eq!(as_walked(name), expected);
        }
    }
}
