//! Values of fields, and the tests that conditions apply to them.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

use serde_json::Value as Json;

use super::tune::glob;

/// What a path leads to. Text and numbers of an event are borrowed; bodies are JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'v> {
    /// Nothing there.
    Missing,
    /// JSON null, in a body.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number. Codes and the like are exact.
    Number(f64),
    /// Text.
    Text(Cow<'v, str>),
    /// Several values.
    List(Vec<Value<'v>>),
    /// An object or array of a body.
    Json(&'v Json),
}

impl<'v> From<&'v Json> for Value<'v> {
    fn from(json: &'v Json) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Value::Text(text.into()),
            Json::Array(_) | Json::Object(_) => Value::Json(json),
        }
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Value::Text(text.into())
    }
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(text: Option<&'v str>) -> Self {
        text.map_or(Value::Missing, Into::into)
    }
}

impl<'v> Value<'v> {
    /// The elements, if this is a list of any kind.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Value<'v>>> {
        match self {
            Value::List(items) => Some(items.clone()),
            Value::Json(Json::Array(items)) => Some(items.iter().map(Value::from).collect()),
            _ => None,
        }
    }

    /// The member of an object.
    #[must_use]
    pub fn member(&self, key: &str) -> Value<'v> {
        match self {
            Value::Json(Json::Object(members)) => members.get(key).map_or(Value::Missing, Value::from),
            _ => Value::Missing,
        }
    }

    /// As a template prints it; `None` if missing or null.
    #[must_use]
    pub fn print(&self) -> Option<String> {
        match self {
            Value::Missing | Value::Null => None,
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(number) => Some(number.to_string()),
            Value::Text(text) => Some(text.clone().into_owned()),
            Value::List(items) => Some(items.iter().filter_map(Value::print).collect::<Vec<_>>().join(", ")),
            Value::Json(json) => Some(json.to_string()),
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number, or text that is one.
    fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    fn is_present(&self) -> bool {
        *self != Value::Missing
    }

    fn is_nothing(&self) -> bool {
        match self {
            Value::Missing | Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Json(Json::Array(items)) => items.is_empty(),
            Value::Json(Json::Object(members)) => members.is_empty(),
            _ => false,
        }
    }
}

/// What a condition compares with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// One value.
    One(Json),
    /// Any of several.
    Many(Vec<Json>),
    /// Any of many texts, sorted for binary search.
    Texts(Vec<Json>),
    /// Any of several blocks of addresses, as written and as read.
    Blocks(Vec<Json>, Vec<Cidr>),
    /// Nothing.
    None,
}

/// From this many texts on they are sorted. Fewer are printed in their original order.
const LONG: usize = 32;

impl Operand {
    /// Any of several values.
    pub(crate) fn any_of(mut values: Vec<Json>) -> Self {
        if values.len() < LONG || values.iter().any(|value| !value.is_string()) {
            return Operand::Many(values);
        }
        values.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
        Operand::Texts(values)
    }

    /// Any of several blocks of addresses; `None` if one of them is something else.
    pub(crate) fn any_block_of(values: Vec<Json>) -> Option<Self> {
        let blocks = values.iter().map(|value| Cidr::parse(value.as_str()?)).collect::<Option<_>>()?;
        Some(Operand::Blocks(values, blocks))
    }

    pub(crate) fn all(&self) -> &[Json] {
        match self {
            Operand::One(value) => std::slice::from_ref(value),
            Operand::Many(values) | Operand::Texts(values) | Operand::Blocks(values, _) => values,
            Operand::None => &[],
        }
    }

    fn blocks(&self) -> &[Cidr] {
        match self {
            Operand::Blocks(_, blocks) => blocks,
            _ => &[],
        }
    }
}

/// A test of one value. A negated condition negates the test, so it holds if the field is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Equal to the operand, or to one of several.
    Equals,
    /// Text that contains the operand, or a list with an element equal to it.
    Contains,
    /// Text that starts with it.
    StartsWith,
    /// Text that ends with it.
    EndsWith,
    /// Text that fits the operand, a pattern in which `*` stands for any text.
    Fits,
    /// Greater than it.
    Greater,
    /// Greater or equal.
    GreaterOrEquals,
    /// Less than it.
    Less,
    /// Less or equal.
    LessOrEquals,
    /// Present, even if null.
    Exists,
    /// Present, and null.
    IsNull,
    /// Present, and not null.
    IsNotNull,
    /// Missing, null or empty.
    IsNullOrEmpty,
    /// An IP address.
    IsIp,
    /// An IPv4 address.
    IsIpv4,
    /// An IPv6 address.
    IsIpv6,
    /// An address inside one of the blocks that the operand consists of.
    InCidr,
    /// An address that is routed on the internet.
    IsPublic,
    /// An address that is not.
    IsPrivate,
}

impl Test {
    /// Whether the test holds for a value.
    #[must_use]
    pub fn holds(self, value: &Value<'_>, operand: &Operand, fold: bool) -> bool {
        let texts = |holds| some_text(value, operand, fold, holds);
        let numbers = |holds| some_number(value, operand, holds);
        let address = || value.text().and_then(|text| text.parse::<IpAddr>().ok());
        match self {
            Test::Equals => is_equal(value, operand, fold),
            Test::Contains => match value.elements() {
                Some(items) => items.iter().any(|item| operand.all().iter().any(|with| equal(item, with, fold))),
                None => texts(|text, with| text.contains(with)),
            },
            Test::StartsWith => texts(|text, with| text.starts_with(with)),
            Test::EndsWith => texts(|text, with| text.ends_with(with)),
            Test::Fits => texts(|text, pattern| glob(pattern, text)),
            Test::Greater => numbers(|number, with| number > with),
            Test::GreaterOrEquals => numbers(|number, with| number >= with),
            Test::Less => numbers(|number, with| number < with),
            Test::LessOrEquals => numbers(|number, with| number <= with),
            Test::Exists => value.is_present(),
            Test::IsNull => *value == Value::Null,
            Test::IsNotNull => value.is_present() && *value != Value::Null,
            Test::IsNullOrEmpty => value.is_nothing(),
            Test::IsIp => address().is_some(),
            Test::IsIpv4 => address().is_some_and(|ip| ip.is_ipv4()),
            Test::IsIpv6 => address().is_some_and(|ip| ip.is_ipv6()),
            Test::InCidr => address().is_some_and(|ip| operand.blocks().iter().any(|block| block.contains(ip))),
            Test::IsPublic => address().is_some_and(is_public),
            Test::IsPrivate => address().is_some_and(|ip| !is_public(ip)),
        }
    }
}

fn is_equal(value: &Value<'_>, operand: &Operand, fold: bool) -> bool {
    match (value, operand) {
        (Value::Text(text), Operand::Texts(texts)) if !fold => {
            texts.binary_search_by(|with| with.as_str().cmp(&Some(&**text))).is_ok()
        }
        _ => operand.all().iter().any(|with| equal(value, with, fold)),
    }
}

/// Whether something holds for a text and some text of the operand.
fn some_text(value: &Value<'_>, operand: &Operand, fold: bool, holds: fn(&str, &str) -> bool) -> bool {
    let Some(text) = value.text() else { return false };
    let texts = || operand.all().iter().filter_map(Json::as_str);
    if fold {
        let text = text.to_lowercase();
        return texts().any(|with| holds(&text, &with.to_lowercase()));
    }
    texts().any(|with| holds(text, with))
}

/// Whether something holds for a number and some number of the operand.
fn some_number(value: &Value<'_>, operand: &Operand, holds: fn(f64, f64) -> bool) -> bool {
    let Some(number) = value.number() else { return false };
    operand.all().iter().filter_map(|with| Value::from(with).number()).any(|with| holds(number, with))
}

/// Numbers and numeric texts are equal by value; everything else by type and value.
fn equal(value: &Value<'_>, with: &Json, fold: bool) -> bool {
    match (value, with) {
        (Value::Text(text), Json::String(with)) => text == with || fold && text.to_lowercase() == with.to_lowercase(),
        (Value::Json(Json::Array(items)), Json::Array(with)) => {
            items.len() == with.len()
                && items.iter().zip(with).all(|(item, with)| equal(&Value::from(item), with, fold))
        }
        (Value::Json(json), with) => *json == with,
        (Value::List(items), Json::Array(with)) => {
            items.len() == with.len() && items.iter().zip(with).all(|(item, with)| equal(item, with, fold))
        }
        (Value::Null, Json::Null) => true,
        (Value::Bool(value), Json::Bool(with)) => value == with,
        (Value::Bool(_) | Value::Missing | Value::Null, _) | (_, Json::Bool(_) | Json::Null) => false,
        (value, with) => match (value.number(), Value::from(with).number()) {
            (Some(left), Some(right)) => left.total_cmp(&right).is_eq() || left == 0.0 && right == 0.0,
            _ => false,
        },
    }
}

/// Whether two fields are present and equal.
pub(crate) fn same(left: &Value<'_>, right: &Value<'_>, fold: bool) -> bool {
    left.is_present() && right.is_present() && equal(left, &to_json(right), fold)
}

fn to_json(value: &Value<'_>) -> Json {
    match value {
        Value::Missing | Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => (*number).into(),
        Value::Text(text) => text.as_ref().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Json(json) => (*json).clone(),
    }
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u32,
}

impl Cidr {
    fn parse(text: &str) -> Option<Cidr> {
        let (network, bits) = text.split_once('/')?;
        let network: IpAddr = network.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= if network.is_ipv4() { 32 } else { 128 })?;
        Some(Cidr { network, bits })
    }

    fn contains(&self, ip: IpAddr) -> bool {
        // An IPv4 address mapped into IPv6 is that IPv4 address.
        let ip = if self.network.is_ipv4() { ip.to_canonical() } else { ip };
        let shifted = |left: u128, right: u128, width: u32| {
            let shift = width - self.bits;
            shift >= 128 || left >> shift == right >> shift
        };
        match (self.network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                shifted(u128::from(u32::from(network)), u128::from(u32::from(ip)), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => shifted(network.into(), ip.into(), 128),
            _ => false,
        }
    }
}

/// Whether text is a CIDR block.
pub(crate) fn is_cidr(text: &str) -> bool {
    Cidr::parse(text).is_some()
}

/// Blocks that are not routed on the internet: RFC 1918, shared address space (RFC 6598), loopback, link-local,
/// unspecified, multicast and reserved; for IPv6 unique local (RFC 4193) and the like. Documentation blocks count
/// as public.
static NOT_PUBLIC: LazyLock<Vec<Cidr>> = LazyLock::new(|| {
    let blocks = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/127",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ];
    blocks.into_iter().filter_map(Cidr::parse).collect()
});

/// Whether an address is routed on the internet. An IPv4 address mapped into IPv6 counts as IPv4.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !NOT_PUBLIC.iter().any(|block| block.contains(ip))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(test: Test, value: &Json, operand: Json) -> bool {
        let operand = match test {
            Test::InCidr => Operand::any_block_of(vec![operand]).unwrap(),
            _ => Operand::One(operand),
        };
        test.holds(&Value::from(value), &operand, false)
    }

    #[test]
    fn missing_values_hold_nothing_positive() {
        let all = [
            Test::Equals,
            Test::Contains,
            Test::StartsWith,
            Test::EndsWith,
            Test::Greater,
            Test::GreaterOrEquals,
            Test::Less,
            Test::LessOrEquals,
            Test::Exists,
            Test::IsNull,
            Test::IsNotNull,
            Test::IsIp,
            Test::IsIpv4,
            Test::IsIpv6,
            Test::InCidr,
            Test::IsPublic,
            Test::IsPrivate,
        ];
        for test in all {
            assert!(!test.holds(&Value::Missing, &Operand::One(json!("a")), false), "{test:?}");
        }
        assert!(Test::IsNullOrEmpty.holds(&Value::Missing, &Operand::None, false));
    }

    #[test]
    fn tests_know_null_lists_numbers_and_case() {
        let cases = [
            (Test::Equals, json!("a"), json!("a"), true),
            (Test::Equals, json!("A"), json!("a"), false),
            (Test::Equals, json!(403), json!("403"), true),
            (Test::Equals, json!("403"), json!(403), true),
            (Test::Equals, json!(403.0), json!(403), true),
            (Test::Equals, json!(true), json!(1), false),
            (Test::Equals, json!(null), json!("null"), false),
            (Test::Equals, json!(null), json!(null), true),
            (Test::Equals, json!(["a"]), json!(["a"]), true),
            (Test::Equals, json!(["a"]), json!("a"), false),
            (Test::Contains, json!("abc"), json!("b"), true),
            (Test::Contains, json!(["abc"]), json!("b"), false),
            (Test::Contains, json!(["a", "b"]), json!("b"), true),
            (Test::Contains, json!([1]), json!(1), true),
            (Test::Contains, json!(null), json!("b"), false),
            (Test::StartsWith, json!("abc"), json!("ab"), true),
            (Test::StartsWith, json!(["abc"]), json!("ab"), false),
            (Test::EndsWith, json!("abc"), json!("bc"), true),
            (Test::EndsWith, json!(5), json!("5"), false),
            (Test::Greater, json!(5), json!(4), true),
            (Test::Greater, json!("5"), json!(4), true),
            (Test::Greater, json!(true), json!(0), false),
            (Test::GreaterOrEquals, json!(4), json!(4), true),
            (Test::Less, json!(3), json!(4), true),
            (Test::Less, json!("x"), json!(4), false),
            (Test::LessOrEquals, json!(4.0), json!(4), true),
            (Test::IsNull, json!(null), json!(null), true),
            (Test::IsNull, json!(""), json!(null), false),
            (Test::IsNotNull, json!(0), json!(null), true),
            (Test::IsNotNull, json!(null), json!(null), false),
            (Test::IsNullOrEmpty, json!([]), json!(null), true),
            (Test::IsNullOrEmpty, json!({}), json!(null), true),
            (Test::IsNullOrEmpty, json!("x"), json!(null), false),
            (Test::IsIp, json!("10.0.0.1"), json!(null), true),
            (Test::IsIp, json!("private"), json!(null), false),
            (Test::IsIpv4, json!("::1"), json!(null), false),
            (Test::IsIpv6, json!("::1"), json!(null), true),
            (Test::InCidr, json!("10.1.2.3"), json!("10.0.0.0/8"), true),
            (Test::InCidr, json!("11.1.2.3"), json!("10.0.0.0/8"), false),
            (Test::InCidr, json!("2001:db8::1"), json!("2001:db8::/32"), true),
            (Test::InCidr, json!("10.1.2.3"), json!("0.0.0.0/0"), true),
            (Test::IsPublic, json!("198.51.100.9"), json!(null), true),
            (Test::IsPublic, json!("100.64.1.1"), json!(null), false),
            (Test::IsPublic, json!("::ffff:10.0.0.1"), json!(null), false),
            (Test::IsPrivate, json!("fe80::1"), json!(null), true),
            (Test::IsPrivate, json!("x"), json!(null), false),
        ];
        for (test, value, operand, expected) in cases {
            assert_eq!(holds(test, &value, operand.clone()), expected, "{test:?} {value} {operand}");
        }
    }

    #[test]
    fn folding_ignores_case() {
        for test in [Test::Equals, Test::Contains, Test::StartsWith, Test::EndsWith] {
            assert!(test.holds(&Value::from("AbC"), &Operand::One(json!("aBc")), true), "{test:?}");
            assert!(!test.holds(&Value::from("AbC"), &Operand::One(json!("aBc")), false), "{test:?}");
        }
    }
}
