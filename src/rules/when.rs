//! The `when:` line of a row -> the same compiled condition that a `match:` map gives: names, operators and values go
//! through the checks of `matching`. What binds most: comparisons, `not`, `and`, `or`. A fault in one part leaves the
//! other parts to be checked. Length and depth are bounded. Must not know rows or points.

use crate::fact::Type;
use crate::fault::nearest;
use crate::rules::condition::Condition;
use crate::rules::condition::Literal;
use crate::rules::condition::Subject;
use crate::rules::condition::Test;
use crate::rules::matching::Scope;
use crate::rules::matching::kind_of;
use crate::rules::matching::name_of;
use crate::rules::matching::says;
use crate::rules::token;
use crate::rules::token::Kind;
use crate::rules::token::Token;
use crate::yaml::Node;
use crate::yaml::Value;

/// The most letters of one expression; longer ones are better read as `conditions:`.
const LONGEST: usize = 4_096;
/// The most brackets and `not` within each other.
const DEEPEST: u8 = 32;
const OPERATORS: [&str; 7] = ["in", "not", "contains", "starts_with", "ends_with", "is", "and"];

/// Compiles an expression; its faults are noted, and what they touch is left out.
pub(super) fn compile(scope: &Scope<'_>, node: &Node) -> Condition {
    let Value::Text(text) = &node.value else {
        let hint = Some("write `when: ua.kind == library and net.kind in [cloud, tor]`".to_owned());
        scope.faults.at(node, format!("`when` must be text, found {}", node.value.kind()), hint);
        return Condition::always();
    };
    let letters = text.chars().count();
    if letters > LONGEST {
        let hint = Some("name its parts under `conditions`".to_owned());
        scope.faults.at(node, format!("the expression has {letters} letters, more than {LONGEST}"), hint);
        return Condition::always();
    }
    let (tokens, end) = token::tokens(scope.file, node, text, scope.faults);
    if tokens.is_empty() {
        let hint = Some("leave `when` out to match always".to_owned());
        scope.faults.at(node, "the expression is empty", hint);
        return Condition::always();
    }
    let mut parser = Parser { scope, tokens: &tokens, at: 0, end, too_deep: false };
    let condition = parser.expression(0, 0);
    parser.rest();
    condition
}

struct Parser<'a> {
    scope: &'a Scope<'a>,
    tokens: &'a [Token],
    at: usize,
    end: (u32, u32),
    /// The rest was left unread.
    too_deep: bool,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Kind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn take(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    fn is_word(&self, wanted: &str) -> bool {
        matches!(self.peek(), Some(Kind::Word(word)) if word == wanted)
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let there = self.is_word(wanted);
        self.at += usize::from(there);
        there
    }

    fn take_mark(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(&Kind::Mark(wanted));
        self.at += usize::from(there);
        there
    }

    /// What a connective binds, if one comes next.
    fn binds(&self) -> Option<u8> {
        if self.is_word("or") {
            Some(1)
        } else if self.is_word("and") {
            Some(2)
        } else {
            None
        }
    }

    /// Parts joined by connectives that bind more than `least`.
    fn expression(&mut self, least: u8, depth: u8) -> Condition {
        let mut left = self.operand(depth);
        while let Some(power) = self.binds().filter(|power| *power > least) {
            self.at += 1;
            let right = self.expression(power, depth);
            left = join(power, left, right);
        }
        left
    }

    fn operand(&mut self, depth: u8) -> Condition {
        if depth >= DEEPEST {
            let hint = Some("name its parts under `conditions`".to_owned());
            self.fault(format!("more than {DEEPEST} brackets and `not` within each other"), hint);
            (self.at, self.too_deep) = (self.tokens.len(), true);
            return Condition::always();
        }
        let Some(token) = self.take() else {
            self.fault("the expression ends where a fact is expected".to_owned(), None);
            return Condition::always();
        };
        match &token.kind {
            Kind::Word(word) if word == "not" => Condition::None([self.operand(depth + 1)].into()),
            Kind::Mark('(') => {
                let inner = self.expression(0, depth + 1);
                if !self.take_mark(')') && !self.too_deep {
                    self.scope.faults.at(&token.node(Value::Null), "the bracket is not closed", None);
                    self.skip();
                    self.take_mark(')');
                }
                inner
            }
            Kind::Named(name) => {
                let condition = self.scope.named(&token.key(name.as_str()));
                self.stop();
                condition.unwrap_or_else(Condition::always)
            }
            Kind::Word(word) if !matches!(word.as_str(), "and" | "or") => {
                let condition = self.comparison(token, word);
                self.stop();
                condition.unwrap_or_else(Condition::always)
            }
            other => {
                let message = format!("expected a fact, found `{}`", other.shown());
                self.scope.faults.at(&token.node(Value::Null), message, None);
                // A connective or closing bracket in a fact's place is read as such, so that what is behind it is checked too.
                self.at -= usize::from(matches!(other, Kind::Word(_) | Kind::Mark(')')));
                self.skip();
                Condition::always()
            }
        }
    }

    /// A fact and the test of it.
    fn comparison(&mut self, token: &Token, word: &str) -> Option<Condition> {
        let subject = self.subject(token, word);
        let negated = self.is_word("not") && self.follows_in();
        self.at += usize::from(negated);
        let Some(operator) = self.tokens.get(self.at) else { return self.bare(token, subject?) };
        let test = match &operator.kind {
            Kind::Compare(sign) => {
                self.at += 1;
                self.compare(subject.as_ref(), operator, sign)
            }
            Kind::Word(word) if word == "in" => {
                self.at += 1;
                self.within(subject.as_ref(), operator, negated)
            }
            Kind::Word(word) if word == "is" => {
                self.at += 1;
                let missing = !self.take_word("not");
                if !self.take_word("missing") {
                    self.fault("expected `missing` behind `is`".to_owned(), Some("compare values by `==`".to_owned()));
                    self.skip();
                    return None;
                }
                Some(Test::Missing(missing))
            }
            Kind::Word(word) if matches!(word.as_str(), "contains" | "starts_with" | "ends_with") => {
                self.at += 1;
                let value = self.value()?;
                subject.as_ref().and_then(|subject| self.scope.operator(subject, &operator.key(word.as_str()), &value))
            }
            Kind::Word(word) if !matches!(word.as_str(), "and" | "or") => {
                let hint = match nearest(word, OPERATORS) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "a fact is followed by `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `contains`, `starts_with`, `ends_with` or `is missing`".to_owned(),
                };
                self.fault(format!("unknown operator `{word}`"), Some(hint));
                self.skip();
                return None;
            }
            _ => return self.bare(token, subject?),
        };
        Some(Condition::Test(subject?, test?))
    }

    fn follows_in(&self) -> bool {
        matches!(self.tokens.get(self.at + 1).map(|token| &token.kind), Some(Kind::Word(word)) if word == "in")
    }

    /// The fact or field that a word begins.
    fn subject(&mut self, token: &Token, word: &str) -> Option<Subject> {
        let mut name = word.to_owned();
        if word == "http.header" && self.take_mark('(') {
            if let Some(Kind::Quoted(field) | Kind::Word(field)) = self.peek() {
                self.at += 1;
                name = format!("{word}(\"{field}\")");
            } else {
                name = format!("{word}()");
            }
            if !self.take_mark(')') {
                self.fault("the bracket of `http.header` is not closed".to_owned(), None);
                self.skip();
                return None;
            }
        }
        self.scope.subject(&token.key(name))
    }

    /// A fact alone: one that is yes or no.
    fn bare(&mut self, token: &Token, subject: Subject) -> Option<Condition> {
        if kind_of(&subject) == Type::Bool {
            return Some(Condition::Test(subject, Test::AnyOf([Literal::Bool(true)].into())));
        }
        let name = name_of(&subject);
        let hint = Some(format!("compare it, or write `{name} is missing`"));
        let message = format!("`{name}` is {}, and it is not said which", says(kind_of(&subject)));
        self.scope.faults.at(&token.node(Value::Null), message, hint);
        None
    }

    fn compare(&mut self, subject: Option<&Subject>, operator: &Token, sign: &str) -> Option<Test> {
        let value = self.value()?;
        let subject = subject?;
        let list = |value: Node| operator.node(Value::List(vec![value]));
        let name = match sign {
            "==" => return self.scope.operator(subject, &operator.key("any_of"), &list(value)),
            "!=" => return self.scope.operator(subject, &operator.key("none_of"), &list(value)),
            "<" => "lt",
            "<=" => "lte",
            ">" => "gt",
            _ => "gte",
        };
        let kind = kind_of(subject);
        if !matches!(kind, Type::Number | Type::Duration) {
            let message = format!("`{}` is {}, `{sign}` is for numbers and durations", name_of(subject), says(kind));
            self.scope.faults.at_key(&operator.key(name), message, None);
            return None;
        }
        self.scope.operator(subject, &operator.key(name), &value)
    }

    /// `in @list` or `in [a, b]`.
    fn within(&mut self, subject: Option<&Subject>, operator: &Token, negated: bool) -> Option<Test> {
        let (of_list, of_values) = if negated { ("not_in", "none_of") } else { ("in", "any_of") };
        if let (Some(Kind::List(name)), Some(token)) = (self.peek(), self.tokens.get(self.at)) {
            self.at += 1;
            let node = token.node(Value::Text(format!("@{name}")));
            return self.scope.operator(subject?, &operator.key(of_list), &node);
        }
        let open = self.tokens.get(self.at);
        if !self.take_mark('[') {
            self.fault("expected a list behind `in`".to_owned(), Some("write `in @name` or `in [a, b]`".to_owned()));
            self.skip();
            return None;
        }
        let mut values = Vec::new();
        while !self.take_mark(']') {
            values.push(self.value()?);
            if !self.take_mark(',') && self.peek() != Some(&Kind::Mark(']')) {
                self.fault("expected `,` or `]`".to_owned(), None);
                self.skip();
                return None;
            }
        }
        self.scope.operator(subject?, &operator.key(of_values), &open?.node(Value::List(values)))
    }

    /// A value, as YAML would read it.
    fn value(&mut self) -> Option<Node> {
        let token = self.tokens.get(self.at);
        let value = match token.map(|token| &token.kind) {
            Some(Kind::Quoted(text)) => Value::Text(text.clone()),
            Some(Kind::Word(word)) if !matches!(word.as_str(), "and" | "or" | "not") => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                word => word.parse().map_or_else(|_| Value::Text(word.to_owned()), Value::Number),
            },
            _ => {
                self.fault("expected a value".to_owned(), None);
                self.skip();
                return None;
            }
        };
        self.at += 1;
        token.map(|token| token.node(value))
    }

    /// Behind a part: a connective, a closing bracket or the end.
    fn stop(&mut self) {
        let hint = match self.peek() {
            None | Some(Kind::Mark(')')) => return,
            Some(_) if self.binds().is_some() => return,
            Some(Kind::Compare(_)) => Some("comparisons cannot be chained; join two by `and`".to_owned()),
            Some(_) => None,
        };
        let found = self.peek().map(Kind::shown).unwrap_or_default();
        self.fault(format!("expected `and` or `or`, found `{found}`"), hint);
        self.skip();
    }

    /// Behind the whole expression.
    fn rest(&mut self) {
        while self.peek().is_some() {
            self.fault("this bracket closes nothing".to_owned(), None);
            self.at += 1;
            if self.binds().is_some() {
                self.at += 1;
                self.expression(0, 0);
            }
        }
    }

    /// Goes on to where the next part can begin.
    fn skip(&mut self) {
        let mut open = 0_usize;
        while let Some(kind) = self.peek() {
            match kind {
                Kind::Mark('(' | '[') => open += 1,
                Kind::Mark(')') if open == 0 => return,
                Kind::Mark(')' | ']') => open = open.saturating_sub(1),
                Kind::Word(word) if open == 0 && matches!(word.as_str(), "and" | "or") => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Notes a fault at the next token.
    fn fault(&self, message: String, hint: Option<String>) {
        let (line, column) = self.tokens.get(self.at).map_or(self.end, |token| (token.line, token.column));
        self.scope.faults.at(&Node { line, column, value: Value::Null }, message, hint);
    }
}

/// Joins two parts; parts of one connective stand side by side.
fn join(power: u8, left: Condition, right: Condition) -> Condition {
    if power == 1 {
        let parts = |condition| match condition {
            Condition::Any(parts) => parts.into_vec(),
            other => vec![other],
        };
        return Condition::Any(parts(left).into_iter().chain(parts(right)).collect());
    }
    let parts = |condition| match condition {
        Condition::All(parts) if !parts.is_empty() => parts.into_vec(),
        other => vec![other],
    };
    Condition::All(parts(left).into_iter().chain(parts(right)).collect())
}
