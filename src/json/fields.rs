//! The members of an object, and the elements of an array.

use std::borrow::Cow;

use super::Raw;
use super::skip::{Skip, is_blank, skip_lenient, skip_plain_key, skip_strict, skip_string};
use super::strings::{decode, string};

/// The members of one object, in document order, duplicates kept.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a> {
    entries: Vec<(Key<'a>, Raw<'a>)>,
    /// The member whose string value has no closing quote, because the text ends in it.
    cut: Option<(Key<'a>, Raw<'a>)>,
    whole: bool,
}

/// A decoded key in UTF-8. A borrowed one is ASCII.
type Key<'a> = Cow<'a, [u8]>;

impl<'a> Fields<'a> {
    /// Reads the members of the object that `text` starts with; `None` if it starts with anything else.
    ///
    /// If the text ends inside a member, the members before it are kept, and so is a cut array or object (its own whole
    /// members can be read). A cut string, number or literal is left out, because what is left of it would be another
    /// value.
    #[must_use]
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let text = text.trim_ascii_start();
        if text.first() != Some(&b'{') {
            return None;
        }
        let mut fields = Fields { entries: Vec::with_capacity(capacity(text)), cut: None, whole: false };
        let (mut at, mut legible) = (1, true);
        loop {
            at = skip_blank(text, at, b',');
            if text.get(at) == Some(&b'}') {
                fields.whole = legible;
                return Some(fields);
            }
            let Some((key, key_end)) = key::<false>(text, at) else { return Some(fields) };
            legible &= is_legible(&key);
            at = skip_blank(text, key_end, b':');
            legible &= text[key_end..at].contains(&b':');
            let Skip::End(end) = skip_lenient(text, at) else {
                match text.get(at) {
                    Some(b'{' | b'[') => fields.entries.push((key, &text[at..])),
                    // A quote at the end of a cut string is escaped. Left there, it would look like the closing quote.
                    Some(b'"') => {
                        let left = &text[at..];
                        let open = left.strip_suffix(b"\"").filter(|open| !open.is_empty());
                        fields.cut = Some((key, open.unwrap_or(left)));
                    }
                    _ => {}
                }
                return Some(fields);
            };
            // A number followed by anything else was cut, and something else took the place of its rest.
            let is_atom = !matches!(text.get(at), Some(b'"' | b'{' | b'['));
            if is_atom && !matches!(text.get(skip_blank(text, end, b' ')), Some(b',' | b'}' | b'"')) {
                return Some(fields);
            }
            fields.entries.push((key, &text[at..end]));
            at = end;
        }
    }

    /// Reads the object that all of `text` is, if [`skip_strict`] finds it sound and it is written as encoders write.
    /// `None` does not mean that it is not an object.
    #[must_use]
    pub fn read_sound(text: &'a [u8]) -> Option<Self> {
        let blanks = |at: usize| at + text[at..].iter().take_while(|byte| is_blank(byte)).count();
        let next = |at: usize, byte: u8| (text.get(at) == Some(&byte)).then(|| blanks(at + 1));
        let mut fields = Fields { entries: Vec::with_capacity(capacity(text)), cut: None, whole: true };
        let mut at = next(0, b'{')?;
        while text.get(at) != Some(&b'}') {
            let (key, key_end) = key::<true>(text, at).filter(|(key, _)| is_legible(key))?;
            at = next(blanks(key_end), b':')?;
            let Skip::End(end) = skip_strict(text, at) else { return None };
            fields.entries.push((key, &text[at..end]));
            at = blanks(end);
            // A comma must be followed by another member, and another member must follow a comma.
            at = match (next(at, b','), text.get(at)) {
                (Some(behind), _) if text.get(behind) == Some(&b'"') => behind,
                (None, Some(b'}')) => at,
                _ => return None,
            };
        }
        (at + 1 == text.len()).then_some(fields)
    }

    /// Members from other sources, such as a CSV row.
    #[must_use]
    pub fn from_entries(entries: Vec<(Cow<'a, str>, Raw<'a>)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (into_key(key), value)).collect();
        Fields { entries, cut: None, whole: true }
    }

    /// Whether the closing brace was reached, and no key lost bytes that UTF-8 needs: nobody knows what it named.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The same members of a text that is known to be broken, wherever its braces close.
    #[must_use]
    pub fn of_broken(self) -> Self {
        Fields { whole: false, ..self }
    }

    /// The members in document order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> + Clone {
        self.entries.iter().map(|(key, value)| (text_of(key), *value))
    }

    /// The last member of exactly this key.
    #[must_use]
    #[inline]
    pub fn get(&self, key: &str) -> Option<Raw<'a>> {
        self.entries.iter().rev().find(|(name, _)| **name == *key.as_bytes()).map(|(_, value)| *value)
    }

    /// The last member of exactly this key; failing that, the last with the spelling of the first key that is equal
    /// ignoring case.
    #[must_use]
    pub fn get_folded(&self, key: &str) -> Option<Raw<'a>> {
        self.get(key).or_else(|| {
            let spelling = self.entries.iter().map(|(name, _)| name).find(|name| is_folded(name, key))?;
            self.get(text_of(spelling))
        })
    }

    /// The member of this key (ignoring case), even if it is a cut string: an envelope may have been cut inside the
    /// record it holds.
    #[must_use]
    pub fn get_even_cut(&self, key: &str) -> Option<Raw<'a>> {
        let cut = || self.cut.as_ref().filter(|(name, _)| is_folded(name, key)).map(|(_, value)| *value);
        self.get_folded(key).or_else(cut)
    }

    /// The key, as spelled here, of the member that [`get_even_cut`](Self::get_even_cut) gives.
    #[must_use]
    pub fn spelling(&self, key: &str) -> Option<&str> {
        let names = || self.entries.iter().map(|(name, _)| name).chain(self.cut.iter().map(|(name, _)| name));
        let exact = names().find(|name| ***name == *key.as_bytes());
        exact.or_else(|| names().find(|name| is_folded(name, key))).map(text_of)
    }

    /// The string member of this key, decoded; `None` for any other type.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(string)
    }

    /// The value at this path of keys, through nested objects.
    #[must_use]
    pub fn inside(&self, keys: &[&str]) -> Option<Raw<'a>> {
        let (key, rest) = keys.split_first()?;
        let value = self.get(key)?;
        if rest.is_empty() { Some(value) } else { Fields::read(value)?.inside(rest) }
    }

    /// The list member of this key; `None` for any other type.
    #[must_use]
    pub fn list(&self, key: &str) -> Option<Raw<'a>> {
        self.get(key).filter(|raw| raw.first() == Some(&b'['))
    }

    /// The members of the object under this key; `None` for any other type.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Fields<'a>> {
        self.get(key).and_then(Fields::read)
    }
}

/// Capacity that suffices for most objects of this length, to avoid growing.
fn capacity(text: &[u8]) -> usize {
    (text.len() / 24).clamp(4, 24)
}

/// The key that starts at `at`, if one does, and where it ends.
#[inline]
fn key<const STRICT: bool>(text: &[u8], at: usize) -> Option<(Key<'_>, usize)> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    if let Some(end) = skip_plain_key(text, at) {
        return Some((Cow::Borrowed(&text[at + 1..end - 1]), end));
    }
    let Skip::End(end) = skip_string::<STRICT>(text, at) else { return None };
    Some((into_key(decode(&text[at..end]).text), end))
}

fn into_key(key: Cow<'_, str>) -> Key<'_> {
    match key {
        Cow::Borrowed(key) if key.is_ascii() => Cow::Borrowed(key.as_bytes()),
        key => Cow::Owned(key.into_owned().into_bytes()),
    }
}

fn is_legible(key: &Key<'_>) -> bool {
    matches!(key, Cow::Borrowed(_)) || !text_of(key).contains(char::REPLACEMENT_CHARACTER)
}

fn text_of<'k>(key: &'k Key<'_>) -> &'k str {
    std::str::from_utf8(key).unwrap_or_default()
}

/// Whether a key is equal to another ignoring case.
fn is_folded(name: &Key<'_>, key: &str) -> bool {
    match name {
        Cow::Borrowed(name) => name.eq_ignore_ascii_case(key.as_bytes()),
        Cow::Owned(_) => equal_folded(text_of(name), key),
    }
}

/// Whether two keys are equal ignoring case.
#[must_use]
pub fn equal_folded(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right) || (!left.is_ascii() && left.to_lowercase() == right.to_lowercase())
}

fn skip_blank(text: &[u8], mut at: usize, also: u8) -> usize {
    while text.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == also) {
        at += 1;
    }
    at
}

/// The elements of the array that `text` starts with. A cut last element is kept if it is an array or object.
pub fn elements(text: Raw<'_>) -> impl Iterator<Item = Raw<'_>> {
    let mut at = usize::from(text.first() == Some(&b'['));
    let array = at == 1;
    std::iter::from_fn(move || {
        if !array {
            return None;
        }
        at = skip_blank(text, at, b',');
        let start = at;
        match skip_lenient(text, at) {
            Skip::End(end) => {
                at = end;
                Some(&text[start..end])
            }
            Skip::Incomplete if matches!(text.get(at), Some(b'{' | b'[')) => {
                at = text.len();
                Some(&text[start..])
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::skip::tests::nearly_sound;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn sound_objects_are_read_as_all_are(text in nearly_sound()) {
            let text = text.as_bytes();
            if let Some(fields) = Fields::read_sound(text) {
                prop_assert_eq!(skip_strict(text, 0), Skip::End(text.len()));
                let all = Fields::read(text).unwrap();
                prop_assert!(all.is_whole() && fields.is_whole());
                prop_assert!(fields.iter().eq(all.iter()));
            } else {
                // Sound objects must be read, or the fast path gains nothing.
                let is_sound = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
                prop_assert!(!is_sound || !text.starts_with(b"{"), "sound: {:?}", text);
            }
        }
    }

    #[test]
    fn cut_objects_keep_what_is_certain() {
        let read = |text: &'static str| {
            let fields = Fields::read(text.as_bytes()).unwrap();
            let names: Vec<String> = fields.iter().map(|(name, _)| name.to_owned()).collect();
            (names.join(","), fields.is_whole())
        };
        assert_eq!(read(r#"{"a":1,"b":"cu"#), ("a".to_owned(), false));
        assert_eq!(read(r#"{"a":1,"b":20"#), ("a".to_owned(), false));
        assert_eq!(read(r#"{"a":1,"b":2[Truncated...]"#), ("a".to_owned(), false));
        assert_eq!(read("{\"a\":1,\"b\":2\0"), ("a".to_owned(), false));
        assert_eq!(read(r#"{"a":1,"b":{"c":2,"d":"#), ("a,b".to_owned(), false));
        let cut = Fields::read(br#"{"a":"{\""#).unwrap();
        assert!(!super::super::is_string(cut.get_even_cut("a").unwrap()));
        assert_eq!(read(r#"{"a":NaN,"b":1}"#), ("a,b".to_owned(), true));
    }
}
