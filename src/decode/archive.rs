//! What tar and zip have in common: every regular member becomes an input of its own.

use std::io::{self, Read};

use super::{Budgeted, Damage, Hashing, Place, Walker, Window};

impl Walker<'_> {
    /// The place of a member.
    pub(super) fn inner(&mut self, place: &Place, name: &str) -> Place {
        let mut inner = place.member(name);
        inner.member = inner.member.map(|member| self.told_apart(&member));
        inner
    }

    /// The name itself, or with the first number that makes it a name which no member has.
    pub(super) fn told_apart(&mut self, name: &str) -> String {
        let mut told = name.to_owned();
        while self.seen.contains_key(&told) {
            let count = self.seen.entry(name.to_owned()).or_insert(1);
            *count += 1;
            told = format!("{name}#{count}");
        }
        self.seen.insert(told.clone(), 1);
        told
    }

    /// Visits one member. Always reads it to its end, and reports its hash if all of it could be read.
    pub(super) fn member(&mut self, part: &mut Part<'_>, place: &Place) {
        let mut hashed = Hashing::new(&mut *part);
        self.descend(Window::new(Box::new(&mut hashed)), place);
        let mut limited = Budgeted { inner: &mut hashed, left: self.budget };
        let is_drained = loop {
            match io::copy(&mut limited, &mut io::sink()) {
                Err(error) if Damage::of(&error).is_some() => {}
                drained => break drained.is_ok(),
            }
        };
        let (bytes, sha256) = hashed.finish();
        if let Some(member) = place.member.as_ref().filter(|_| is_drained && part.is_whole()) {
            self.visitor.hashed(member, bytes, sha256);
        }
    }

    /// Why no further member is read: everything in an archive counts towards `--max-bytes`, text or not.
    pub(super) fn spent(&self) -> Option<String> {
        let is_spent = self.budget.get() == 0;
        is_spent.then(|| "more bytes than --max-bytes allows; further members were not read".to_owned())
    }
}

/// The bytes of one member. If they stop early, that is reported once, as [`Damage`], and nothing follows.
pub(super) struct Part<'r> {
    inner: &'r mut dyn Read,
    /// Bytes still to come, if the archive states the size.
    left: Option<u64>,
    given: u64,
    /// Reported before any bytes.
    begins_with: Option<Damage>,
    /// Where the member begins in the text of the archive; `None` if the member has its own checksum.
    start: Option<u64>,
    /// What ended it, with offsets in the archive's text.
    pub(super) lost: Option<Damage>,
}

impl<'r> Part<'r> {
    /// A member that is part of a stream.
    pub(super) fn of_stream(inner: &'r mut dyn Read, size: Option<u64>, start: u64) -> Self {
        Part { inner, left: size, given: 0, begins_with: None, start: Some(start), lost: None }
    }

    /// A member with its own checksum, which its reader verifies.
    pub(super) fn checked(inner: &'r mut dyn Read) -> Self {
        Part { inner, left: None, given: 0, begins_with: None, start: None, lost: None }
    }

    /// The same member, preceded by damage.
    pub(super) fn behind(self, damage: Damage) -> Self {
        Part { begins_with: Some(damage), ..self }
    }

    fn is_whole(&self) -> bool {
        self.lost.is_none() && self.left.is_none_or(|left| left == 0)
    }

    /// Ends the member. The returned error counts offsets in the member's text, `lost` in the archive's.
    fn stop(&mut self, damage: Damage) -> io::Error {
        let text_start = damage.text_start.saturating_sub(self.start.unwrap_or(0));
        let told = Damage { text_start, ..damage.clone() };
        self.lost = Some(damage);
        told.into()
    }

    fn damage(&self, error: &io::Error) -> Damage {
        let at = self.given;
        match Damage::of(error) {
            Some(damage) => damage.clone(),
            None if self.start.is_none() => Damage { what: format!("archive member: {error}"), at, text_start: 0 },
            None => Damage { what: error.to_string(), at, text_start: u64::MAX },
        }
    }
}

impl Read for Part<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(damage) = self.begins_with.take() {
            return Err(damage.into());
        }
        if self.lost.is_some() || out.is_empty() {
            return Ok(0);
        }
        let room = self.left.map_or(out.len(), |left| usize::try_from(left).unwrap_or(usize::MAX).min(out.len()));
        match self.inner.read(&mut out[..room]) {
            Ok(0) if room > 0 && self.left.is_some() => {
                let what = "the archive ends inside the member".to_owned();
                Err(self.stop(Damage { what, at: self.given, text_start: u64::MAX }))
            }
            Ok(count) => {
                self.given += count as u64;
                self.left = self.left.map(|left| left - count as u64);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let damage = self.damage(&error);
                Err(self.stop(damage))
            }
        }
    }
}
