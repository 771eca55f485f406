//! The prefilter: finds the raw records that may match a rule, or may not be what they seem, in one pass over their
//! bytes.
//!
//! Base64 and compression must be undone first.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, Input, MatchKind, packed};

use super::mark::{Mark, Text};
use super::need::Need;
use super::{Interest, Logic, Rule};

/// What a record must contain one of, found by one search for the rarest marks of each need.
#[derive(Debug, Clone)]
pub struct Prefilter {
    searcher: Searcher,
    /// What a find of each pattern may be part of.
    finds: Vec<Vec<Anchor>>,
    /// What else a record must contain.
    rests: Vec<Need>,
}

/// A mark that a find may be part of.
#[derive(Debug, Clone)]
struct Anchor {
    mark: Mark,
    /// Offset of the pattern in the mark.
    offset: usize,
    /// Index in `rests` of what else must be present.
    rest: usize,
}

/// Texts of records that must be parsed whatever the rules ask, because their first and last bytes do not show what
/// they are: records truncated or skipped on their way, rows to which Panther added columns, and rows whose column
/// names are paths.
const ODD: [&str; 5] = ["runcated", "skipped-too-big", "p_log_type", "objectRef_", "objectRef."];

impl Prefilter {
    /// The prefilter of rules and interests; `None` if one of them may match any record.
    #[must_use]
    pub fn new(rules: &[Rule], interests: &[Interest]) -> Option<Self> {
        let mut needs: Vec<Need> = Vec::new();
        for rule in rules {
            needs.push(of_rule(rule)?);
        }
        needs.extend(interests.iter().map(|interest| Need::of(&interest.condition)));
        let split = |need| if let Need::Any(inside) = need { inside } else { vec![need] };
        let odd = ODD.map(|text| Mark::Text(Box::new(Text::new(text, false, false))));
        let odd = odd.into_iter().chain([Mark::Escape, Mark::Event]).map(Need::Mark);
        let needs: Vec<Need> = needs.into_iter().flat_map(split).chain(odd).collect();
        let mut anchors = Vec::new();
        for (rest, need) in needs.iter().enumerate() {
            anchors.extend(need.anchors()?.into_iter().map(|mark| (mark, rest)));
        }
        let (patterns, finds) = index(&anchors);
        let searcher = Searcher::new(&patterns)?;
        Some(Prefilter { searcher, finds, rests: needs.iter().map(Need::behind_anchors).collect() })
    }

    /// Whether this raw record, an event of audit.k8s.io or a LogEntry of GKE, as JSON or as JSON in JSON strings, must
    /// be parsed. False only if no rule can match it, no second event starts in it, and nothing suggests that it is
    /// cut.
    #[must_use]
    pub fn may_match(&self, raw: &[u8]) -> bool {
        let mut refuted = Refuted::default();
        let mut in_event = false;
        let mut from = 0;
        while let Some((pattern, at)) = self.searcher.find(raw, from) {
            for anchor in &self.finds[pattern] {
                let stands = || at >= anchor.offset && anchor.mark.stands_at(raw, at - anchor.offset);
                if !refuted.contains(anchor.rest) && stands() {
                    if matches!(anchor.mark, Mark::Event) && !std::mem::replace(&mut in_event, true) {
                        continue;
                    }
                    if self.rests[anchor.rest].is_in(raw) {
                        return true;
                    }
                    refuted.insert(anchor.rest);
                }
            }
            // Finds may overlap.
            from = at + 1;
        }
        false
    }
}

/// The marks, in readable form, of which every record that the rule matches contains one; `None` if there are none.
#[must_use]
pub fn literals_of(rule: &Rule) -> Option<BTreeSet<String>> {
    literals(&of_rule(rule)?)
}

/// The same for an interest.
#[cfg(test)]
pub(crate) fn literals_of_interest(interest: &Interest) -> Option<BTreeSet<String>> {
    literals(&Need::of(&interest.condition))
}

fn literals(need: &Need) -> Option<BTreeSet<String>> {
    Some(need.anchors()?.into_iter().map(ToString::to_string).collect())
}

fn of_rule(rule: &Rule) -> Option<Need> {
    match &rule.logic {
        Logic::Panther { detection } => Some(Need::of(detection)),
        // Only its engine knows what a Sigma rule looks at.
        Logic::Sigma(_) => None,
    }
}

/// The patterns to search for, none of which contains another, and what a find of each may be part of.
fn index(anchors: &[(&Mark, usize)]) -> (Vec<String>, Vec<Vec<Anchor>>) {
    let all: Vec<&str> = anchors.iter().flat_map(|(mark, _)| mark.patterns()).collect();
    // A rule may list thousands of values.
    let inside = AhoCorasick::new(&all).ok();
    let shortest = |text: &str| {
        let found = inside.as_ref()?.find_overlapping_iter(text).map(|found| all[found.pattern().as_usize()]);
        found.min_by_key(|other| other.len())
    };
    let mut finds: BTreeMap<&str, Vec<Anchor>> = BTreeMap::new();
    for (mark, rest) in anchors {
        for text in mark.patterns() {
            // The shortest pattern contains no other, or that one would be the shortest.
            let pattern = shortest(text).unwrap_or(text);
            let offset = text.find(pattern).unwrap_or(0);
            finds.entry(pattern).or_default().push(Anchor { mark: (*mark).clone(), offset, rest: *rest });
        }
    }
    finds.into_iter().map(|(pattern, finds)| (pattern.to_owned(), finds)).unzip()
}

/// Needs that a record is known not to meet. Has room for the first 256; nothing is recorded of the others.
#[derive(Default)]
struct Refuted([u64; 4]);

impl Refuted {
    fn contains(&self, need: usize) -> bool {
        self.0.get(need / 64).is_some_and(|word| word >> (need % 64) & 1 == 1)
    }

    fn insert(&mut self, need: usize) {
        if let Some(word) = self.0.get_mut(need / 64) {
            *word |= 1 << (need % 64);
        }
    }
}

/// A search for several texts, by vector instructions if possible: an automaton is some thirty times slower.
#[derive(Debug, Clone)]
pub(crate) struct Searcher(Search);

#[derive(Debug, Clone)]
enum Search {
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl Searcher {
    /// `None` if there are too many patterns, or one is too long.
    pub(crate) fn new(patterns: &[String]) -> Option<Self> {
        let config = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).only_teddy(true).clone();
        let packed = config.builder().extend(patterns).build();
        let search = packed.map(Search::Packed).or_else(|| {
            let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(patterns);
            automaton.ok().map(Search::Automaton)
        });
        search.map(Searcher)
    }

    /// The first find that starts at `from` or later: the number of the pattern, and where it starts.
    pub(crate) fn find(&self, raw: &[u8], from: usize) -> Option<(usize, usize)> {
        let found = match &self.0 {
            Search::Packed(packed) => packed.find_in(raw, (from..raw.len()).into()),
            Search::Automaton(automaton) => automaton.find(Input::new(raw).range(from..)),
        };
        found.map(|found| (found.pattern().as_usize(), found.start()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::interest;

    fn prefilter(text: &str) -> Prefilter {
        Prefilter::new(&[], &interest::compile("test", text).unwrap()).unwrap()
    }

    #[test]
    fn escapes_that_may_hide_a_literal_pass() {
        let prefilter = prefilter("cronjob: {Key: resource, Condition: Equals, Value: cronjobs}");
        for (raw, passes) in [
            (r#"{"resource":"cronjobs"}"#, true),
            (r#"{"resource":"\u0063ronjobs"}"#, true),
            (r#"{"log":"{\"resource\":\"\\u0063ronjobs\"}"}"#, true),
            (r#"{"log":"\u005cu0063ronjobs"}"#, true),
            (r#"{"user":"job\u002Dcontroller"}"#, true),
            (r#"{"uri":"a\u0026b\u003cc"}"#, false),
            (r#"{"name":"k\u0131r \u0161"}"#, false),
            (r#"{"resource":"pods"}"#, false),
        ] {
            assert_eq!(prefilter.may_match(raw.as_bytes()), passes, "{raw}");
        }
    }

    #[test]
    fn a_second_event_passes() {
        let prefilter = prefilter("jobs: {Key: resource, Condition: Equals, Value: jobs}");
        let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1"}"#;
        let quoted = serde_json::Value::from(event).to_string();
        let inner = format!(r#"{{"log":{quoted}}}"#);
        for one in [event, &inner, &inner.replace('/', r"\/"), &format!("{event} of kube-audit.k8s.io")] {
            assert!(!prefilter.may_match(one.as_bytes()), "{one}");
            for other in [event, &quoted, quoted.trim_matches('"')] {
                assert!(prefilter.may_match(format!("{one}{other}").as_bytes()), "{one}{other}");
            }
        }
    }

    #[test]
    fn words_are_whole_where_values_are() {
        let equals = "e: {Key: resource, Condition: Equals, Value: jobs}";
        let ends = "e: {Key: username, Condition: EndsWith, Value: ':job-controller'}";
        let starts = "e: {Key: name, Condition: StartsWith, Value: node-a}";
        let contains = "e: {Key: name, Condition: Contains, Value: ode-a}";
        for (text, raw, passes) in [
            (equals, r#"{"resource":"jobs"}"#, true),
            (equals, r"a\/jobs\/b", true),
            (equals, r"\u002fjobs", true),
            (equals, r"\u0022jobs\u0022", true),
            (equals, r"\njobs", true),
            (equals, "jobs", true),
            (equals, r#"{"resource":"cronjobs"}"#, false),
            (equals, r#"{"resource":"jobs-of-mine"}"#, false),
            (equals, r#"{"a":"cronjobs","resource":"jobs"}"#, true),
            (ends, r#""system:serviceaccount:kube-system:job-controller""#, true),
            (ends, r#""system:serviceaccount:kube-system:cronjob-controller""#, false),
            (ends, r#""system:serviceaccount:kube-system:job-controller-2""#, false),
            (starts, r#""node-abc""#, true),
            (starts, r#""my-node-abc""#, false),
            (contains, r#""my-node-abc""#, true),
        ] {
            assert_eq!(prefilter(text).may_match(raw.as_bytes()), passes, "{text} {raw}");
        }
    }

    #[test]
    fn keys_stand_in_the_paths_of_json_patches() {
        let label = "e: {KeyPath: pod_spec.nodeSelector.x/long-name, Condition: Exists}";
        let host = "e: {KeyPath: pod_spec.hostPID, Condition: Equals, Value: true}";
        for (text, raw, passes) in [
            (label, r#"[{"op":"add","path":"/spec/nodeSelector/x~1long-name","value":""}]"#, true),
            (label, r#"{"spec":{"nodeSelector":{"x/long-name":""}}}"#, true),
            (label, r#"{"spec":{"nodeName":"x"}}"#, false),
            (host, r#"[{"op":"add","path":"/spec/template/spec/hostPID","value":true}]"#, true),
            (host, r#"{"spec":{"template":{"spec":{"hostPID":true}}}}"#, true),
            (host, r#"{"hostPID":true}"#, false),
        ] {
            assert_eq!(prefilter(text).may_match(raw.as_bytes()), passes, "{text} {raw}");
        }
    }

    #[test]
    fn codes_are_told_however_they_are_written() {
        let prefilter = prefilter("denied: {Key: response_code, Condition: IsIn, Values: [401, 403]}");
        for (raw, passes) in [
            (r#"{"code":403}"#, true),
            (r#"{"code" : "403"}"#, true),
            (r#"{"log":"{\"code\":\"403\"}"}"#, true),
            (r#"{"Code":401,"x":1}"#, true),
            (r#"{"cODE":401}"#, true),
            (r#"{"code":403.0}"#, true),
            (r#"{"code":4.01e2}"#, true),
            (r#"{"code":"+403"}"#, true),
            (r#"{"code":"\t403"}"#, true),
            (r#"{"code":"0403\n"}"#, true),
            (r#"{"code":200,"code":403}"#, true),
            (r#"{"code":200}"#, false),
            (r#"{"code":404}"#, false),
            (r#"{"code":"Forbidden","x":403}"#, false),
            (r#"{"encoding":"code"}"#, false),
            (r#"{"x":403}"#, false),
        ] {
            assert_eq!(prefilter.may_match(raw.as_bytes()), passes, "{raw}");
        }
    }
}
