//! Conditions, compiled: a tree of tests on facts, evaluated in three-valued logic, in which what is not known neither
//! holds nor fails. Must not know files or points.

use std::sync::Arc;

use http::header::HeaderName;

use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::Value;
use crate::rules::counters::Asked;
use crate::rules::declared::Known;
use crate::rules::list::List;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// A fact it asks for is not known.
    Unknown,
}

impl Truth {
    fn of(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }

    /// Whether the contrary holds.
    pub(super) fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// What a test looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// A fact.
    Fact(FactName),
    /// A request field.
    Header(HeaderName),
    /// A counter of the policy.
    Counter(Asked),
}

/// A value of a rule file or a case.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// Known to be missing; in cases only.
    Missing,
    /// Yes or no.
    Bool(bool),
    /// A number, or milliseconds.
    Number(i64),
    /// Text or a word.
    Text(Box<str>),
    /// An address; in cases only.
    Address(std::net::IpAddr),
}

impl Literal {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Missing => Value::Missing,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(text),
            Self::Address(address) => Value::Address(*address),
        }
    }
}

/// One test of one value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// It is one of these.
    AnyOf(Box<[Literal]>),
    /// It is none of these; what is missing is none of them.
    NoneOf(Box<[Literal]>),
    /// It lies in this range, both ends included.
    Within(i64, i64),
    /// It is on the list.
    In(Arc<List>),
    /// It is not on the list; what is missing is on none.
    NotIn(Arc<List>),
    /// The text has this part.
    Contains(Box<str>),
    /// The text begins so.
    StartsWith(Box<str>),
    /// The text ends so.
    EndsWith(Box<str>),
    /// Whether it is missing.
    Missing(bool),
}

/// A condition.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// All hold; an empty one always holds.
    All(Box<[Condition]>),
    /// At least one holds.
    Any(Box<[Condition]>),
    /// None holds.
    None(Box<[Condition]>),
    /// A test of one value.
    Test(Subject, Test),
}

/// Where values come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// A request's or event's facts.
    Facts(&'a Facts<'a>),
    /// The same, seen with what the rule file declares of the address and the agent.
    Declared(&'a Facts<'a>, &'a Known<'a>),
    /// A case's values; all else is unknown.
    Given(&'a [(Subject, Literal)]),
}

impl<'a> Source<'a> {
    /// The value of a fact or field.
    pub(super) fn value(self, subject: &Subject) -> Value<'a> {
        match (self, subject) {
            (Self::Facts(facts), Subject::Fact(name)) => facts.value(*name),
            (Self::Declared(facts, known), Subject::Fact(name)) => known.value(*name).unwrap_or_else(|| facts.value(*name)),
            (Self::Facts(facts) | Self::Declared(facts, _), Subject::Header(name)) => facts.header(name),
            (Self::Facts(facts) | Self::Declared(facts, _), Subject::Counter(asked)) => facts.behaviour.count(asked.place),
            (Self::Given(given), _) => {
                given.iter().find(|(of, _)| of == subject).map_or(Value::Unknown, |(_, literal)| literal.value())
            }
        }
    }
}

impl Condition {
    /// The condition that always holds.
    pub(super) fn always() -> Self {
        Self::All(Box::default())
    }

    /// Whether it holds whatever the facts are.
    pub(super) fn is_always(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// Whether it is known to hold.
    pub(super) fn holds(&self, source: Source<'_>) -> bool {
        self.truth(source) == Truth::True
    }

    /// Adds the facts it asks for.
    pub(super) fn asks(&self, asked: &mut Vec<FactName>) {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::None(parts) => parts.iter().for_each(|part| part.asks(asked)),
            Self::Test(Subject::Fact(name), _) if !asked.contains(name) => asked.push(*name),
            Self::Test(..) => {}
        }
    }

    /// Adds its tests.
    pub(super) fn tests<'a>(&'a self, into: &mut Vec<(&'a Subject, &'a Test)>) {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::None(parts) => parts.iter().for_each(|part| part.tests(into)),
            Self::Test(subject, test) => into.push((subject, test)),
        }
    }

    /// Kleene's three-valued evaluation.
    pub(super) fn truth(&self, source: Source<'_>) -> Truth {
        match self {
            Self::All(parts) => all(parts, |part| part.truth(source)),
            Self::Any(parts) => any(parts, |part| part.truth(source)),
            Self::None(parts) => any(parts, |part| part.truth(source)).not(),
            Self::Test(subject, test) => test.truth(source.value(subject)),
        }
    }

    /// The number of its tests.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::None(parts) => 1 + parts.iter().map(Self::size).sum::<usize>(),
            Self::Test(..) => 1,
        }
    }
}

/// Whether all parts hold.
pub(super) fn all<P>(parts: &[P], truth: impl FnMut(&P) -> Truth) -> Truth {
    settle(parts, truth, Truth::False, Truth::True)
}

/// Whether any part holds.
pub(super) fn any<P>(parts: &[P], truth: impl FnMut(&P) -> Truth) -> Truth {
    settle(parts, truth, Truth::True, Truth::False)
}

/// `deciding` if any part is that, else unknown if any part is unknown, else `otherwise`.
fn settle<P>(parts: &[P], mut truth: impl FnMut(&P) -> Truth, deciding: Truth, otherwise: Truth) -> Truth {
    let mut result = otherwise;
    for part in parts {
        let truth = truth(part);
        if truth == deciding {
            return deciding;
        }
        if truth == Truth::Unknown {
            result = Truth::Unknown;
        }
    }
    result
}

impl Test {
    /// Whether it holds of a value.
    pub(super) fn truth(&self, value: Value<'_>) -> Truth {
        match (self, value) {
            (_, Value::Unknown) => Truth::Unknown,
            (Self::Missing(wanted), value) => Truth::of(*wanted == (value == Value::Missing)),
            (Self::NoneOf(_) | Self::NotIn(_), Value::Missing) => Truth::True,
            (_, Value::Missing) => Truth::False,
            (Self::AnyOf(values), value) => Truth::of(values.iter().any(|literal| literal.value() == value)),
            (Self::NoneOf(values), value) => Truth::of(!values.iter().any(|literal| literal.value() == value)),
            (Self::Within(low, high), Value::Number(number)) => Truth::of((*low..=*high).contains(&number)),
            (Self::In(list), value) => Truth::of(list.holds(value)),
            (Self::NotIn(list), value) => Truth::of(!list.holds(value)),
            (Self::Contains(part), Value::Text(text)) => Truth::of(text.contains(&**part)),
            (Self::StartsWith(part), Value::Text(text)) => Truth::of(text.starts_with(&**part)),
            (Self::EndsWith(part), Value::Text(text)) => Truth::of(text.ends_with(&**part)),
            (Self::Within(..) | Self::Contains(_) | Self::StartsWith(_) | Self::EndsWith(_), _) => Truth::False,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(test: Test) -> Condition {
        Condition::Test(Subject::Fact(FactName::UaKind), test)
    }

    fn is(word: &str) -> Condition {
        kind(Test::AnyOf([Literal::Text(word.into())].into()))
    }

    fn given(word: Option<&str>) -> Vec<(Subject, Literal)> {
        vec![(Subject::Fact(FactName::UaKind), word.map_or(Literal::Missing, |word| Literal::Text(word.into())))]
    }

    #[test]
    fn what_is_unknown_neither_holds_nor_fails() {
        for condition in [is("library"), kind(Test::NoneOf([Literal::Text("x".into())].into())), kind(Test::Missing(true))] {
            assert_eq!(condition.truth(Source::Given(&[])), Truth::Unknown);
            assert_eq!(Condition::None([condition].into()).truth(Source::Given(&[])), Truth::Unknown);
        }
    }

    #[test]
    fn one_known_part_can_settle_all_and_any() {
        let known = given(Some("library"));
        let unknown = Condition::Test(Subject::Fact(FactName::PageWebdriver), Test::AnyOf([Literal::Bool(true)].into()));
        let source = Source::Given(&known);
        assert_eq!(Condition::All([unknown.clone(), is("browser")].into()).truth(source), Truth::False);
        assert_eq!(Condition::All([unknown.clone(), is("library")].into()).truth(source), Truth::Unknown);
        assert_eq!(Condition::Any([unknown.clone(), is("library")].into()).truth(source), Truth::True);
        assert_eq!(Condition::Any([unknown, is("browser")].into()).truth(source), Truth::Unknown);
    }

    #[test]
    fn what_is_missing_is_none_of_anything_and_equal_to_nothing() {
        let missing = given(None);
        assert!(kind(Test::Missing(true)).holds(Source::Given(&missing)));
        assert!(kind(Test::NoneOf([Literal::Text("x".into())].into())).holds(Source::Given(&missing)));
        assert_eq!(is("x").truth(Source::Given(&missing)), Truth::False);
        assert_eq!(kind(Test::Missing(false)).truth(Source::Given(&missing)), Truth::False);
    }
}
