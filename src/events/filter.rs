//! Which events are wanted, as a condition that the prefilter understands.

use crate::rule::{Condition, FIELDS, Interest, Keeps, Operand, Path, Step, ValueTest};

/// Values of one kind are alternatives; different kinds must all match. `*` stands for any text.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The user who made the request, or who was impersonated.
    pub users: Vec<String>,
    /// objectRef.namespace.
    pub namespaces: Vec<String>,
    /// verb.
    pub verbs: Vec<String>,
    /// `pods` with any subresource, or `pods/exec`.
    pub resources: Vec<String>,
    /// objectRef.name.
    pub names: Vec<String>,
    /// Any of sourceIPs; a block such as `10.0.0.0/8` is allowed.
    pub source_ips: Vec<String>,
    /// auditID.
    pub audit_ids: Vec<String>,
}

impl Filter {
    /// The interest of a sweep with this filter; without any value, every event meets it.
    #[must_use]
    pub fn interest(&self) -> Interest {
        let users = |user: &String| Condition::Any(vec![text("username", user), text("impersonated_user", user)]);
        let kinds = [
            any(&self.users, users),
            any(&self.namespaces, |value| text("namespace", value)),
            any(&self.verbs, |value| text("verb", value)),
            any(&self.resources, |value| resource(value)),
            any(&self.names, |value| text("name", value)),
            any(&self.source_ips, |value| address(value)),
            any(&self.audit_ids, |value| text("auditID", value)),
        ];
        let mut conditions: Vec<Condition> = kinds.into_iter().flatten().collect();
        if conditions.is_empty() {
            conditions.push(Condition::AlwaysTrue);
        }
        Interest { name: "events".into(), condition: Condition::All(conditions), keeps: Keeps::Whole }
    }

    /// Whether the filter has no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Filter { users, namespaces, verbs, resources, names, source_ips, audit_ids } = self;
        [users, namespaces, verbs, resources, names, source_ips, audit_ids].iter().all(|values| values.is_empty())
    }
}

fn any(values: &[String], condition: impl Fn(&String) -> Condition) -> Option<Condition> {
    (!values.is_empty()).then(|| Condition::Any(values.iter().map(condition).collect()))
}

fn text(field: &str, value: &str) -> Condition {
    test(field, Vec::new(), of_text(value))
}

/// How a value is compared, and with what.
fn of_text(value: &str) -> (ValueTest, Operand) {
    (if value.contains('*') { ValueTest::Fits } else { ValueTest::Equals }, Operand::One(value.into()))
}

fn test(field: &str, steps: Vec<Step>, (test, operand): (ValueTest, Operand)) -> Condition {
    let path = Path::new(FIELDS.iter().find(|known| known.name == field), steps);
    Condition::Test { path, test, negated: false, operand, fold: false }
}

fn resource(value: &str) -> Condition {
    match value.split_once('/') {
        Some((resource, subresource)) => {
            Condition::All(vec![text("resource", resource), text("subresource", subresource)])
        }
        None => text("resource", value),
    }
}

fn address(value: &str) -> Condition {
    let block = Operand::any_block_of(vec![value.into()]).map(|block| (ValueTest::InCidr, block));
    test("sourceIPs", vec![Step::Each], block.unwrap_or_else(|| of_text(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::literals_of_interest;

    #[test]
    fn filters_become_literals() {
        let one = |value: &str| vec![value.to_owned()];
        let literals = |filter: &Filter| {
            let literals = literals_of_interest(&filter.interest())?;
            Some(literals.into_iter().collect::<Vec<_>>().join(" "))
        };
        for (filter, expected) in [
            (Filter::default(), None),
            (Filter { users: one("alice@corp"), ..Filter::default() }, Some("alice")),
            (Filter { users: one("*:argo*-controller"), ..Filter::default() }, Some("-controller")),
            // No record contains Panther's word for an unknown user.
            (Filter { users: one("*ACTOR*"), ..Filter::default() }, None),
            (Filter { verbs: one("create"), ..Filter::default() }, Some("create")),
            (Filter { resources: one("pods/exec"), ..Filter::default() }, Some("exec")),
            (Filter { source_ips: one("10.0.0.0/8"), ..Filter::default() }, None),
            (Filter { audit_ids: vec!["a-123".into(), "b-123".into()], ..Filter::default() }, Some("a-123 b-123")),
        ] {
            assert_eq!(literals(&filter).as_deref(), expected, "{filter:?}");
        }
    }
}
