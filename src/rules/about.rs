//! What a row says of itself for people, and what follows from that: whether it takes effect, is only tried, or is past its
//! date. Must not know conditions.

use std::sync::Arc;

use jiff::civil::Date;

use crate::rules::read::word;
use crate::rules::row::RuleMode;
use crate::yaml::Faults;
use crate::yaml::Node;
use crate::yaml::Section;
use crate::yaml::Value;

const STATUSES: [&str; 4] = ["draft", "shadow", "stable", "deprecated"];

/// How far a row has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It is being written: recorded, without effect.
    Draft,
    /// It is being tried: recorded, without effect.
    Shadow,
    /// It takes effect.
    #[default]
    Stable,
    /// It takes effect and is to be taken out.
    Deprecated,
}

impl Status {
    /// The name used in rule files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Shadow => "shadow",
            Self::Stable => "stable",
            Self::Deprecated => "deprecated",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        [Self::Draft, Self::Shadow, Self::Stable, Self::Deprecated].into_iter().find(|status| status.name() == name)
    }
}

/// What a row says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its title.
    pub title: Option<Arc<str>>,
    /// How far it has come.
    pub status: Status,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// Why it is there.
    pub why: Option<Arc<str>>,
    /// Whom it could hit by mistake.
    pub false_positives: Option<Arc<str>>,
    /// The day from which it is past its time.
    pub expires: Option<Date>,
    /// It has no effect from that day on.
    pub ends: bool,
    /// That day has come.
    pub disabled: bool,
}

impl About {
    /// Reads the fields; `today` is not known where a file is only parsed.
    pub(super) fn read(section: &Section<'_>, node: &Node, today: Option<Date>, warnings: &Faults) -> Self {
        let status = word(section, "status", &STATUSES, Status::of_name).unwrap_or_default();
        let text = |key: &'static str| section.text(key).map(Arc::from);
        let expires = section.parsed("expires", "a date such as `2027-01-31`", |date| date.parse::<Date>().ok());
        let off = word(section, "on_expiry", &["warn", "disable"], |name| match name {
            "warn" => Some(false),
            "disable" => Some(true),
            _ => None,
        });
        if let (Some(at), None) = (section.node("on_expiry"), section.node("expires")) {
            section.faults().at(at, "`on_expiry` without `expires`", None);
        }
        let past = expires.zip(today).is_some_and(|(last, today)| last <= today);
        let ends = expires.is_some() && off == Some(true);
        let disabled = past && ends;
        if let (true, Some(at), Some(date)) = (past, section.node("expires"), expires) {
            let what = if disabled { "has no effect any more" } else { "still takes effect" };
            let hint = Some("give it a new date or take it out; `on_expiry: disable` ends it by itself".to_owned());
            warnings.at(at, format!("this row expired on {date} and {what}"), hint.filter(|_| !disabled));
        }
        if status == Status::Deprecated {
            warnings.at(section.node("status").unwrap_or(node), "this row is deprecated", Some("take it out".to_owned()));
        }
        // Of references nothing follows; they are only checked.
        joined(section, "references");
        Self {
            title: text("title"),
            status,
            owner: text("owner"),
            why: text("why"),
            false_positives: joined(section, "false_positives").map(Arc::from),
            expires,
            ends,
            disabled,
        }
    }

    /// Whether the row takes effect; `own` is its `mode`.
    pub(super) fn mode(&self, own: RuleMode) -> RuleMode {
        match self.status {
            _ if self.disabled => RuleMode::Off,
            Status::Draft | Status::Shadow => RuleMode::Shadow,
            Status::Stable | Status::Deprecated => own,
        }
    }
}

/// A text, or a list of texts.
fn joined(section: &Section<'_>, key: &'static str) -> Option<String> {
    match section.node(key).map(|node| &node.value) {
        Some(Value::List(items)) => {
            let texts = items.iter().filter_map(|item| match &item.value {
                Value::Text(text) => Some(text.as_str()),
                other => {
                    section.faults().at(item, format!("expected text, found {}", other.kind()), None);
                    None
                }
            });
            Some(texts.collect::<Vec<_>>().join("; "))
        }
        _ => section.text(key),
    }
}
