//! `--redact`: masks secrets in finished results, before any report is made from them.
//!
//! Places that hold secrets are masked completely: values of environment variables, data of Secrets, last-applied
//! annotations, members named like a secret, titles of rules that quote one of these. Elsewhere known forms are masked,
//! in base64 too: tokens, keys, `password=…` and what follows `--token`. When in doubt, text is masked. A secret that
//! fits neither stays, so a redacted report is safer, but not proven to be free of secrets. Evidence is never changed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::{Captures, Regex};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::aggregate::{Finished, Group};
use crate::event::LAST_APPLIED;
use crate::runbook::Runbook;
use crate::spill::{Sorted, Spill};

const MASK: &str = "[redacted]";
/// Parts of the names that secrets have.
const NAMES: &str =
    r"(?:passw(?:or)?d|passphrase|pass\b|pwd|secret|token|(?:api|access|private|account)[-_]?key|credential|signature)";
/// Text in quotes. A quote after a backslash does not end it; in JSON inside a string, the quotes themselves follow a
/// backslash.
const QUOTED: &str = r#"(?:\\+"(?:[^"\\]|\\\\\\"|\\\\|\\[^"\\])*(?:\\+")?|"(?:[^"\\]|\\.)*"?|'[^']*'?)"#;
/// Quotes and brackets that begin inside a word, with their content; not those that end the text around the word.
const INSIDE: &str = r#"(?:\\.|"[^\s"';&|)},\]][^"]*"|'[^\s"';&|)},\]][^']*'|\([^)]*\)|`[^`]*`)"#;
/// A value: quoted text and what directly follows it, or a word.
const VALUE: &str = r#"(?:QUOTED(?:QUOTED|[^\s"'&;,|)}\]])*|(?:INSIDE|[^\s"'&;])+)"#;
/// Members of a finding or a difference that quote the value at its place.
const QUOTES: [&str; 4] = ["match", "text", "before", "after"];
/// Members filled from a rule's templates.
const FROM_TEMPLATES: [&str; 3] = ["title", "dedup_key", "upstream"];
/// Members that, inside one named like a secret, identify the secret without containing it.
const REFERENCES: [&str; 6] = ["name", "namespace", "secretName", "path", "kind", "apiVersion"];

/// Forms of secrets in any text, and their replacements. Words in capitals stand for the expressions above.
const FORMS: [(&str, &str); 22] = [
    (r"(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END[A-Z -]*|$)", "${1}[redacted]"),
    (r"(?s)(last-applied-configuration\W+)\w.*", "${1}[redacted]"),
    // A header ends with its line or its quotes.
    (
        r#"(?i)(authorization\\*["']?\s*[:=]\s*\\*["']?(?:(?:basic|bearer|token|digest)\s+)?)[^\s"'][^"'\n]*"#,
        "${1}[redacted]",
    ),
    (r#"(?i)(\bcookie\\*["']?\s*:\s*\\*["']?)[^\s"'][^"'\n]*"#, "${1}[redacted]"),
    (r"(?i)\b(bearer\s+)[\w.~+/=-]{6,}", "${1}[redacted]"),
    (r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", MASK),
    (r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", MASK),
    (r"\b(?:gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[a-z]-[\w-]{10,}|AIza[\w-]{35})", MASK),
    // A password may contain characters that end a host.
    (r#"(://)(?:[^\s/:@"']+:x-oauth-basic|[^\s/:@"']{20,})@"#, "${1}[redacted]@"),
    (r#"(://[^\s/:@"']*:)[^\s"']+@"#, "${1}[redacted]@"),
    (r#"(?s)("value\\*"\s*:\s*)(?:QUOTED|[\d.eE+-]+)"#, "${1}[redacted]"),
    // A YAML block.
    (r"(?i)([\w./-]*NAMES[\w.-]*:[ \t]+[|>][-+\d]*)[ \t]*(?:\n+[ \t]+.*)+", "${1}[redacted]"),
    // After a colon, a value may contain spaces: it ends with its line or its quotes.
    (
        r#"(?is)([\w.-]*NAMES[\w.-]*(?:\\*["']\s*:\s*|:\s+))(?:QUOTED(?:QUOTED|[^\s"'&;,|)}\]])*|[^"'\n]+)"#,
        "${1}[redacted]",
    ),
    (r"(?is)([\w.-]*NAMES[\w.-]*:)QUOTED", "${1}[redacted]"),
    (r#"(?is)([\w.-]*NAMES[\w.-]*\\*["']?\s*(?:=>|:=|=)\s*)VALUE"#, "${1}[redacted]"),
    (
        r"(?is)((?:^|\s)--?[\w-]*NAMES[\w-]*\s+)(?:--?[\w-]*NAMES[\w-]*\s+)*(?:QUOTED(?:QUOTED|\S)*|(?:INSIDE|\S)+)",
        "${1}[redacted]",
    ),
    (r#"(?i)((?:^|\s)(?:-u|--user)[\s=]*["'][^\s:"']+:)[^"']+"#, "${1}[redacted]"),
    (r#"(?i)((?:^|\s)(?:(?:-u|--user)[\s=]+[^\s:"']+|-u[\w.@%+-]+):)[^\s/"'][^\s"']*"#, "${1}[redacted]"),
    (r#"([?&]sig=)[^\s"'&]+"#, "${1}[redacted]"),
    // `aws configure set` names a secret and then gives it.
    (
        r"(?is)(\bconfigure\s+set\s+(?:\S+\s+){0,4}?\S*NAMES\S*\s+)(?:QUOTED(?:QUOTED|\S)*|(?:INSIDE|\S)+)",
        "${1}[redacted]",
    ),
    // MySQL clients take a password directly after the option; `-P` is a port.
    (r#"(\b(?:mysql|mariadb)[\w-]*(?:\s(?:QUOTED|\\\r?\n|[^\n;|&"'])*?)??\s\\*["']?-p)VALUE"#, "${1}[redacted]"),
    (r#"(\bsshpass\s+(?:-[^p\s]\S*\s+)*\\*["']?-p\s*)VALUE"#, "${1}[redacted]"),
];
/// The name of a program that takes a password directly after `-p`, as an argument of its own.
const CLIENT: &str = r"(?:^|/)(?:(?:mysql|mariadb)[\w-]*|sshpass)$";

/// Masks secrets.
#[derive(Debug, Clone)]
pub struct Redactor {
    forms: Vec<(Regex, &'static str)>,
    /// What may be base64 of text.
    base64: Regex,
    /// An option whose value is the next argument.
    option: Regex,
    /// What may be the name of a secret, as a separate argument.
    named: Regex,
    /// A program that takes a password behind `-p`.
    client: Regex,
    /// A member that holds a secret.
    member: Regex,
    /// A place inside a CronJob or ConfigMap that holds a secret.
    place: Regex,
    /// Ids of rules whose templates quote a secret.
    quoting: BTreeSet<String>,
}

impl Redactor {
    /// A redactor that knows all forms.
    ///
    /// # Errors
    /// None that tests would not find: the forms are embedded.
    pub fn new() -> Result<Self, regex::Error> {
        let regex = |form: &str| {
            Regex::new(
                &form
                    .replace("VALUE", VALUE)
                    .replace("QUOTED", QUOTED)
                    .replace("INSIDE", INSIDE)
                    .replace("NAMES", NAMES),
            )
        };
        let forms = FORMS.iter().map(|(form, mask)| Ok((regex(form)?, *mask))).collect::<Result<_, regex::Error>>()?;
        Ok(Redactor {
            forms,
            base64: regex(r"[A-Za-z0-9+/_-]{12,}")?,
            option: regex(r"(?i)^--?[\w-]*NAMES[\w-]*$")?,
            named: regex(r"(?i)^[\w.-]*NAMES[\w.-]*$")?,
            client: regex(CLIENT)?,
            member: regex(
                r"(?i)(?:NAMES|secret[_-]?key|access[_-]?key[_-]?id)s?$|(?:^|[^a-z])(?:auth|cookie|authorization)s?$",
            )?,
            place: regex(r"(?i)(?:^|[./])(?:env\[\d+\]|env/\d+|env|data|stringdata)(?:[.\[/ ]|$)|last-applied")?,
            quoting: BTreeSet::new(),
        })
    }

    /// Masks everything that reports are made from.
    ///
    /// # Errors
    /// A temporary file cannot be read or written.
    pub fn results(&self, report: Finished, runbook: Option<Runbook>) -> io::Result<(Finished, Option<Runbook>)> {
        let quotes_secret = |(_, path): &&(String, String)| self.is_secret(path) || self.is_set_secret(path);
        let quoting = report.quotes.iter().filter(quotes_secret).map(|(rule, _)| rule.clone()).collect();
        Redactor { quoting, ..self.clone() }.masked(report, runbook)
    }

    fn masked(&self, mut report: Finished, runbook: Option<Runbook>) -> io::Result<(Finished, Option<Runbook>)> {
        report.hits = self.sorted(report.hits)?;
        report.suppressed = self.sorted(report.suppressed)?;
        report.activity = self.sorted(report.activity)?;
        report.alerts = self.sorted(report.alerts)?;
        let group = |mut group: Group| {
            group.keys.iter_mut().flatten().for_each(|key| *key = self.text(key).into());
            group
        };
        report.summary = self.all(&report.summary)?.into_iter().map(group).collect();
        for input in &mut report.inputs {
            input.error = input.error.as_deref().map(|error| self.text(error));
        }
        let runbook = runbook.map(|mut runbook| {
            runbook.about.users = self.all(&runbook.about.users)?;
            runbook.about.controller_only = self.all(&runbook.about.controller_only)?;
            runbook.about.suppressed = self.all(&runbook.about.suppressed)?;
            runbook.change_pages(&mut |page| self.value(page))
        });
        Ok((report, runbook.transpose()?))
    }

    fn sorted<T: Spill + Serialize + DeserializeOwned>(&self, items: Sorted<T>) -> io::Result<Sorted<T>> {
        items.change(|item| {
            *item = self.item(item)?;
            Ok(())
        })
    }

    fn all<T: Serialize + DeserializeOwned>(&self, items: &[T]) -> io::Result<Vec<T>> {
        items.iter().map(|item| self.item(item)).collect()
    }

    fn item<T: Serialize + DeserializeOwned>(&self, item: &T) -> io::Result<T> {
        let mut value = serde_json::to_value(item)?;
        self.value(&mut value);
        Ok(serde_json::from_value(value)?)
    }

    /// Masks every secret in a value, except in evidence.
    pub fn value(&self, value: &mut Value) {
        self.inside(value, false);
    }

    /// `of_secret`: whether the value belongs to a Secret, whose data is masked.
    fn inside(&self, value: &mut Value, of_secret: bool) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => self.list(items, of_secret),
            Value::Object(members) => self.members(members, of_secret),
            _ => {}
        }
    }

    fn members(&self, members: &mut Map<String, Value>, of_secret: bool) {
        let text = |key: &str| members.get(key).and_then(Value::as_str);
        let of_secret = of_secret
            || matches!(text("kind"), Some("Secret" | "SecretList"))
            || members.get("objectRef").is_some_and(|object| object["resource"] == "secrets");
        let quotes = self.quotes_secret(members);
        // An operation of a JSON Patch (RFC 6902).
        let set = text("path").filter(|_| members.contains_key("op"));
        let (sets_data, sets) =
            (set.is_some_and(|path| self.is_secret(path)), set.is_some_and(|path| self.is_set_secret(path)));
        let from_template = text("rule_id").is_some_and(|rule| self.quoting.contains(rule));
        // A container has its program in one list and the arguments in another.
        let client = members.get("command").is_some_and(|command| self.runs_client(command));
        for (key, member) in members.iter_mut().filter(|(key, member)| !is_evidence(key, member)) {
            match key.as_str() {
                "env" | "httpHeaders" => variables(member),
                "args" if client => member.as_array_mut().into_iter().flatten().for_each(attached),
                "value" if sets_data => mask(member, &[]),
                "value" if sets => mask(member, &REFERENCES),
                "data" | "stringData" if of_secret => mask(member, &[]),
                LAST_APPLIED => mask(member, &[]),
                key if quotes && QUOTES.contains(&key) => mask(member, &[]),
                key if from_template && FROM_TEMPLATES.contains(&key) => mask(member, &[]),
                key if self.member.is_match(key) => mask(member, &REFERENCES),
                _ => {}
            }
            self.inside(member, of_secret);
        }
    }

    /// Whether an object is a finding or a difference that quotes a secret.
    fn quotes_secret(&self, members: &Map<String, Value>) -> bool {
        let text = |key: &str| members.get(key).and_then(Value::as_str);
        let is_at_secret = text("where").or(text("path")).is_some_and(|place| self.is_secret(place));
        // A path without an operation is that of a change that a page shows.
        let is_changed_secret =
            !members.contains_key("op") && text("path").is_some_and(|path| self.is_set_secret(path));
        // A composite quotes one of its findings, but not its place.
        is_at_secret || is_changed_secret || text("category") == Some("composite")
    }

    fn list(&self, items: &mut [Value], of_secret: bool) {
        let (mut follows, mut sets, mut client, mut sshpass) = (false, false, false, false);
        for item in items {
            // The argument after one option may look like another option.
            let text = item.as_str().unwrap_or_default();
            let is_option = self.option.is_match(text) || sets && self.named.is_match(text) || sshpass && text == "-p";
            sets |= text == "set";
            sshpass |= text.ends_with("sshpass");
            if client {
                attached(item);
            }
            client |= item.as_str().is_some_and(|text| self.client.is_match(text));
            if follows {
                mask(item, &[]);
            }
            self.inside(item, of_secret);
            follows = is_option;
        }
    }

    /// Whether one of these words is a program that takes a password after `-p`.
    fn runs_client(&self, command: &Value) -> bool {
        let mut words = command.as_array().into_iter().flatten().filter_map(Value::as_str);
        words.any(|word| self.client.is_match(word))
    }

    /// Whether a path leads into a member named like a secret, but not to a reference to one.
    fn is_set_secret(&self, path: &str) -> bool {
        let mut keys = path.split(['/', '.', '[']).rev().peekable();
        let is_reference = keys.peek().is_some_and(|last| REFERENCES.contains(last));
        !is_reference && keys.any(|key| self.member.is_match(key))
    }

    /// Whether a place holds a secret. The name of a variable does not.
    fn is_secret(&self, place: &str) -> bool {
        self.place.is_match(place) && !place.ends_with("name")
    }

    /// Masks secrets in a text. JSON text is parsed and masked inside.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if text.trim_start().starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str::<Value>(text)
            && (value.is_object() || value.is_array())
        {
            let mut masked = value.clone();
            self.value(&mut masked);
            return if masked == value { text.to_owned() } else { masked.to_string() };
        }
        let mask = |text: String, (form, mask): &(Regex, &str)| match form.replace_all(&text, *mask) {
            Cow::Borrowed(_) => text,
            Cow::Owned(masked) => masked,
        };
        let masked = self.forms.iter().fold(text.to_owned(), mask);
        self.base64.replace_all(&masked, |run: &Captures<'_>| self.encoded(&run[0])).into_owned()
    }

    /// A run of base64, or the mask if it contains a secret.
    fn encoded(&self, run: &str) -> String {
        let bytes = [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].iter().find_map(|engine| engine.decode(run).ok());
        let inner = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let is_secret = inner.is_some_and(|inner| self.text(&inner) != inner);
        if is_secret { MASK.to_owned() } else { run.to_owned() }
    }
}

/// Whether this is evidence: it is not a secret, and would lead nowhere if changed.
fn is_evidence(key: &str, member: &Value) -> bool {
    key == "evidence" && member["path"].is_string() && member["record"].is_u64()
}

/// Masks what directly follows `-p` in an argument.
fn attached(argument: &mut Value) {
    if argument.as_str().is_some_and(|text| text.len() > 2 && text.starts_with("-p")) {
        *argument = format!("-p{MASK}").into();
    }
}

/// Masks the values of environment variables or headers: a list of names and values, or a map.
fn variables(list: &mut Value) {
    match list {
        Value::Array(variables) => {
            let values = variables.iter_mut().filter_map(|variable| variable.get_mut("value"));
            values.for_each(|value| mask(value, &[]));
        }
        Value::Object(values) => values.values_mut().for_each(|value| mask(value, &[])),
        _ => {}
    }
}

/// Masks all texts and numbers in a value, except in some members.
fn mask(value: &mut Value, but: &[&str]) {
    match value {
        Value::String(text) if text.is_empty() => {}
        Value::String(_) | Value::Number(_) => *value = MASK.into(),
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, but)),
        Value::Object(members) => {
            let members = members.iter_mut().filter(|(key, _)| !but.contains(&key.as_str()));
            members.for_each(|(_, member)| mask(member, but));
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn forms_of_secrets_are_masked_and_what_is_around_them_stays() {
        let redactor = Redactor::new().unwrap();
        for (text, expected) in [
            ("curl -H 'Authorization: Bearer abc.def' x", "curl -H 'Authorization: [redacted] x"),
            ("Authorization: Basic dXNlcjpw", "Authorization: Basic [redacted]"),
            ("see bearer abcdef123", "see bearer [redacted]"),
            ("x eyJhbGciOiJI.eyJzdWIi.sig y", "x [redacted] y"),
            ("key AKIAIOSFODNN7EXAMPLE", "key [redacted]"),
            ("AWS_SECRET_ACCESS_KEY=wJalr/K7 run", "AWS_SECRET_ACCESS_KEY=[redacted] run"),
            ("/api/v1/pods?token=abc%2F&limit=5", "/api/v1/pods?token=[redacted]&limit=5"),
            ("mysql --password hunter2 -h db", "mysql --password [redacted] -h db"),
            ("mysql --password=hunter2 -h db", "mysql --password=[redacted] -h db"),
            ("curl -u eve:hunter2 https://x", "curl -u eve:[redacted] https://x"),
            ("git clone https://eve:hunter2@host/x", "git clone https://eve:[redacted]@host/x"),
            (r#"{"password":"hunter2","a":1}"#, r#"{"password":"[redacted]","a":1}"#),
            ("\n{\"password\":[\"a b\"]}", r#"{"password":["[redacted]"]}"#),
            (r#"cut {"password":"hunter2","#, r#"cut {"password":[redacted],"#),
            (r#"cut "env":[{"name":"A","value":"b\"c"#, r#"cut "env":[{"name":"A","value":[redacted]"#),
            (r#"cut "env":[{"value":"b\"c","name":"A""#, r#"cut "env":[{"value":[redacted],"name":"A""#),
            (r#"export PASSWORD="one two" ; id"#, "export PASSWORD=[redacted] ; id"),
            (r"mysql --password='ab,c;d' -h db", "mysql --password=[redacted] -h db"),
            (r#"mysql --password "ab cd" -h db"#, "mysql --password [redacted] -h db"),
            (r#"PASSWORD='a b'"'"'c d' run"#, "PASSWORD=[redacted] run"),
            (r"PASSWORD=a\ b run", "PASSWORD=[redacted] run"),
            (r"mysql --password -hunter2 -h db", "mysql --password [redacted] -h db"),
            (r"x --token --password hunter2 -h db", "x --token [redacted] -h db"),
            (r#"curl -d '{"password":"a\"b c","d":1}' x"#, r#"curl -d '{"password":[redacted],"d":1}' x"#),
            (r#"curl -d "{\"password\": \"a b\",\"d\":1}" x"#, r#"curl -d "{\"password\": [redacted],\"d\":1}" x"#),
            (r#"curl -d "{\"password\":\"a\\\"b c\"}" x"#, r#"curl -d "{\"password\":[redacted]}" x"#),
            ("x: {password:'a b', c: d}", "x: {password:[redacted], c: d}"),
            ("a: 1\npassword: one two\nb: 2", "a: 1\npassword: [redacted]\nb: 2"),
            ("a: 1\n  token: |\n    one\n\n    two\nb: 2", "a: 1\n  token: [redacted]\nb: 2"),
            ("curl -H 'X-Auth-Token: one two' x", "curl -H 'X-Auth-Token: [redacted]' x"),
            ("PASSWORD=$(cat a b) run", "PASSWORD=[redacted] run"),
            (r#"PASSWORD=ab"c d"e run"#, "PASSWORD=[redacted] run"),
            (r#"bash -c "x --password=ab" && curl "y""#, r#"bash -c "x --password=[redacted]" && curl "y""#),
            ("x --password=ab,cd --tokens ef,gh;ij k", "x --password=[redacted] --tokens [redacted] k"),
            ("password => 'a b', c", "password => [redacted], c"),
            (r#"secret=["a b","c"] d"#, "secret=[redacted] d"),
            ("MYSQL_PASS=hunter2 run", "MYSQL_PASS=[redacted] run"),
            ("AccountKey=abc==;EndpointSuffix=x", "AccountKey=[redacted];EndpointSuffix=x"),
            (
                "https://x.blob.corp.example/a?sv=1&sig=abc&se=2",
                "https://x.blob.corp.example/a?sv=1&sig=[redacted]&se=2",
            ),
            ("curl -u 'eve:one two' https://x", "curl -u 'eve:[redacted]' https://x"),
            ("git clone https://eve:a/b@host/x", "git clone https://eve:[redacted]@host/x"),
            ("git clone https://hunter2:x-oauth-basic@host/x", "git clone https://[redacted]@host/x"),
            ("curl -u 'eve:hunter2' https://x", "curl -u 'eve:[redacted]' https://x"),
            ("curl -ueve:hunter2 https://x", "curl -ueve:[redacted] https://x"),
            ("curl -H 'Cookie: a=b; c=d' x", "curl -H 'Cookie: [redacted]' x"),
            ("curl -H 'Authorization: Own abc def' x", "curl -H 'Authorization: [redacted]' x"),
            (
                "aws configure set aws_secret_access_key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY; ls",
                "aws configure set aws_secret_access_key [redacted] ls",
            ),
            (
                "aws configure set --profile p aws_session_token 'a b' c",
                "aws configure set --profile p aws_session_token [redacted] c",
            ),
            ("mysql -uroot -phunter2 -P 3306 db", "mysql -uroot -p[redacted] -P 3306 db"),
            ("sh -c '/usr/bin/mysqldump -h db -phunter2'", "sh -c '/usr/bin/mysqldump -h db -p[redacted]'"),
            ("mysql -e \"a;b\" -p'hunter 2' db", "mysql -e \"a;b\" -p[redacted] db"),
            ("mysqladmin -h db \\\n  -phunter2 ping", "mysqladmin -h db \\\n  -p[redacted] ping"),
            ("mariadb -phunter2", "mariadb -p[redacted]"),
            ("sshpass -phunter2 ssh h", "sshpass -p[redacted] ssh h"),
            ("sshpass -v -p hunter2 ssh h", "sshpass -v -p [redacted] ssh h"),
            ("echo ghp_abcdefghijklmnopqrst1", "echo [redacted]"),
            ("echo ZXhwb3J0IHBhc3N3b3JkPWh1bnRlcjI7IHJ1bg | base64 -d", "echo [redacted] | base64 -d"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII\n", "-----BEGIN RSA PRIVATE KEY-----[redacted]"),
        ] {
            assert_eq!(redactor.text(text).replace("Bearer [redacted]'", "[redacted]"), expected, "{text}");
        }
        for same in [
            "system:serviceaccount:secret-manager:default",
            "registry.corp.example/token-cleaner:1.2",
            "kubectl/v1.31.2 (linux/amd64)",
            "echo aGVsbG8sIHdvcmxkISBob3cgYXJlIHlvdQ | base64 -d",
            "/apis/batch/v1/namespaces/n/cronjobs?fieldManager=kubectl-create",
            "secrets \"db-password\" is forbidden",
            r#"{ "a" : [1, 2] }"#,
            "mysql -u root -p db; mkdir -pv dir",
            "mysql -h db -P 3306 --protocol=tcp",
            "nc -p80 -port 1",
            "mkdir -p /var/lib/mysql/a -m 700",
            "curl -url=http://203.0.113.7/x http://h:8080/a",
            "docker pull registry.corp.example:5000/a@sha256:0123",
        ] {
            assert_eq!(redactor.text(same), same);
        }
    }

    #[test]
    fn places_of_secrets_are_masked_and_evidence_is_not() {
        let redactor = Redactor::new().unwrap();
        let mut value = json!({
            "args": ["--token", "abc", "x"],
            "aws": ["aws", "configure", "set", "aws_secret_access_key", "abc"],
            "container": {"command": ["/bin/mysqldump"], "args": ["-h", "db", "-pabc", "-p"]},
            "command": ["sshpass", "-p", "abc", "mysql", "-pabc", "-P3306"],
            "env": [{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
            "indicators": [{"where": "spec.containers[0].env[1].value (base64-decoded)", "match": "b"},
                           {"where": "spec.containers[0].args[0] with spec.containers[0].env[1].value", "match": "b"},
                           {"where": "CJ-CMD-01 + CJ-CMD-09", "category": "composite", "match": "b"},
                           {"where": "spec.containers[0].env[1].name", "match": "LD_PRELOAD"}],
            "diff": [{"path": "spec.env[0]", "before": "{\"name\":\"A\",\"value\":\"b\"}"},
                {"path": "spec.metadata.annotations.db-password", "before": "x1", "after": "x2"}],
            "annotations": {LAST_APPLIED: "{}"},
            "actor": {"access_key_id": "x"},
            "responseObject": {"kind": "Secret", "data": {"k": "v"}},
            "evidence": {"path": "token=a/x", "record": 1},
        });
        redactor.value(&mut value);
        let expected = json!({
            "args": ["--token", MASK, "x"],
            "aws": ["aws", "configure", "set", "aws_secret_access_key", MASK],
            "container": {"command": ["/bin/mysqldump"], "args": ["-h", "db", "-p[redacted]", "-p"]},
            "command": ["sshpass", "-p", MASK, "mysql", "-p[redacted]", "-P3306"],
            "env": [{"name": "A", "value": MASK}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
            "indicators": [{"where": "spec.containers[0].env[1].value (base64-decoded)", "match": MASK},
                           {"where": "spec.containers[0].args[0] with spec.containers[0].env[1].value", "match": MASK},
                           {"where": "CJ-CMD-01 + CJ-CMD-09", "category": "composite", "match": MASK},
                           {"where": "spec.containers[0].env[1].name", "match": "LD_PRELOAD"}],
            "diff": [{"path": "spec.env[0]", "before": MASK},
                {"path": "spec.metadata.annotations.db-password", "before": MASK, "after": MASK}],
            "annotations": {LAST_APPLIED: MASK},
            "actor": {"access_key_id": MASK},
            "responseObject": {"kind": "Secret", "data": {"k": MASK}},
            "evidence": {"path": "token=a/x", "record": 1},
        });
        assert_eq!(value, expected);
        let mut patch = json!({"objectRef": {"resource": "secrets"}, "requestObject": {"stringData": {"k": "v"}}});
        redactor.value(&mut patch);
        assert_eq!(patch["requestObject"]["stringData"]["k"], MASK);
    }

    #[test]
    fn members_named_like_a_secret_are_masked_and_references_are_not() {
        let redactor = Redactor::new().unwrap();
        let mut value = json!({
            "adminPassword": "a", "dbPassword": 9_182_736_455_u64, "accessToken": "a", "passwords": ["a", 1], "secretKey": "a",
            "password": {"value": "a", "name": "n"}, "vault.corp.example/token": "a", "oauth-cookie": "a",
            "env": [{"value": 8_675_309_001_u64, "name": "PIN"}],
            "args": ["--password", "-hunter2", "--token", "--password", "x", "y"],
            "patch": [{"op": "add", "path": "/spec/adminPassword/plain", "value": "a"},
                      {"op": "add", "path": "/spec/volumes/0/secret/secretName", "value": "s"}],
            "volumes": [{"secret": {"secretName": "s", "optional": true}}], "imagePullSecrets": [{"name": "s"}],
            "automountServiceAccountToken": false, "secretRef": {"name": "s"}, "tokens_used": 3, "author": "eve",
        });
        redactor.value(&mut value);
        let expected = json!({
            "adminPassword": MASK, "dbPassword": MASK, "accessToken": MASK, "passwords": [MASK, MASK], "secretKey": MASK,
            "password": {"value": MASK, "name": "n"}, "vault.corp.example/token": MASK, "oauth-cookie": MASK,
            "env": [{"value": MASK, "name": "PIN"}],
            "args": ["--password", MASK, "--token", MASK, MASK, "y"],
            "patch": [{"op": "add", "path": "/spec/adminPassword/plain", "value": MASK},
                      {"op": "add", "path": "/spec/volumes/0/secret/secretName", "value": "s"}],
            "volumes": [{"secret": {"secretName": "s", "optional": true}}], "imagePullSecrets": [{"name": "s"}],
            "automountServiceAccountToken": false, "secretRef": {"name": "s"}, "tokens_used": 3, "author": "eve",
        });
        assert_eq!(value, expected);
    }
}
