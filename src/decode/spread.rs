//! A tar on standard input: its members are sources of their own, read as a walk would read the files they were.

use std::io::{self, Read};

use tar::EntryType;

use super::{Content, Full, Hashing, Place, Walker, Window};

/// How a member ended.
#[derive(Debug)]
pub struct Ended {
    /// Bytes that it has.
    pub bytes: u64,
    /// Of these; `None` where they are none to be read.
    pub sha256: Option<String>,
    /// Why not all of them came.
    pub problem: Option<String>,
}

impl Walker<'_> {
    /// Whether the members of a tar at this place are sources.
    pub(super) fn spreads(&self, place: &Place) -> bool {
        self.visitor.spreads() && place.member.is_none()
    }

    /// Visits a member of so many bytes as a source.
    pub(super) fn source(&mut self, name: &str, kind: EntryType, size: u64, reader: &mut dyn Read) -> io::Result<bool> {
        let unread = match kind {
            EntryType::Directory => return Ok(false),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => None,
            EntryType::Symlink => Some("a symbolic link, not followed"),
            EntryType::Link => Some("a hard link; its bytes stand under another name"),
            _ => Some("not a regular file"),
        };
        let name = self.told_apart(as_walked(name));
        if !self.visitor.begin(&name, size) {
            return Ok(true);
        }
        let place = Place::default();
        if let Some(what) = unread {
            self.emit(&place, Content::Foreign(what));
            self.visitor.end(Ended { bytes: 0, sha256: None, problem: None });
            return Ok(true);
        }
        self.budget.set(self.limits.max_bytes.unwrap_or(u64::MAX));
        let mut hashed = Hashing::new(reader);
        self.descend(Window::new(Box::new(Full::new(&mut hashed))), &place);
        let drained = hashed.drain();
        let (bytes, sha256) = hashed.finish();
        let is_whole = bytes == size || kind != EntryType::Regular;
        let problem = drained.as_ref().err().map(|error| format!("reading stopped at byte {bytes}: {error}"));
        let problem = problem.or_else(|| (!is_whole).then(|| format!("the stream ends at byte {bytes} of {size}")));
        self.visitor.end(Ended { bytes, sha256: Some(sha256), problem });
        drained.map(|()| true)
    }
}

/// The name that a walk of the directory would give: `tar -C DIR .` writes `./` in front.
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
