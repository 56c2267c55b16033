//! The words of judgement: score, band, class, category, reasons, and what follows from them for a click, the Pixel
//! and a conversion event. Must not know how a verdict is reached.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod action;

pub use action::Challenge;
pub use action::ClickAction;
pub use action::Rate;
pub use action::Redirect;
pub use action::Share;
pub use action::Trial;

/// Points from 0 (a person) to 100 (certainly not).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(u8);

impl Score {
    /// The score nearest to a sum of points.
    pub fn clamped(points: i32) -> Self {
        Self(u8::try_from(points.clamp(0, 100)).unwrap_or(100))
    }

    /// The score as a number from 0 to 100.
    pub fn points(self) -> u8 {
        self.0
    }
}

/// The class of a score. The bounds are a rule file's; the defaults are 0, 30, 60 and 85.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Band {
    /// A person, as far as can be seen.
    #[default]
    Human,
    /// Something is odd.
    Suspect,
    /// More likely automation than a person.
    LikelyInvalid,
    /// Automation or fraud.
    Invalid,
}

impl Band {
    /// All bands, mildest first.
    pub const ALL: [Self; 4] = [Self::Human, Self::Suspect, Self::LikelyInvalid, Self::Invalid];

    /// The name used in rules, records, headers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Suspect => "suspect",
            Self::LikelyInvalid => "likely_invalid",
            Self::Invalid => "invalid",
        }
    }

    /// The band of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|band| band.name() == name)
    }
}

/// What a request is, before its score counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Somebody's visit: scored and counted.
    #[default]
    Visit,
    /// Nobody's visit (verified crawler, prefetch, internal): served, never counted, never sent.
    Skip,
    /// Trusted by a `classify` row: served and counted, its score stands at 0.
    Allow,
    /// Refused by a `classify` row: counted as `invalid`.
    Deny,
}

impl Class {
    /// The name used in rules and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Visit => "visit",
            Self::Skip => "skip",
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// The class of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Visit, Self::Skip, Self::Allow, Self::Deny].into_iter().find(|class| class.name() == name)
    }
}

macro_rules! categories {
    ($($variant:ident = $name:literal: $says:literal,)+) => {
        /// Why traffic is invalid, in the MRC's words (General and Sophisticated Invalid Traffic).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Category {
            $(#[doc = $says] $variant,)+
        }

        impl Category {
            /// All categories.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code used in rules and records.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

categories! {
    Datacenter = "givt.datacenter": "Known datacenter traffic.",
    KnownCrawler = "givt.known_crawler": "Declared bots, spiders, crawlers, monitors.",
    Activity = "givt.activity": "Activity-based filtration: rates, repeats, duplicates.",
    NonBrowserAgent = "givt.non_browser_ua": "Non-browser or unknown user agents.",
    Prefetch = "givt.prefetch": "Prefetch or prerender that nobody followed.",
    NonRendering = "givt.non_rendering": "Clients that cannot render.",
    Internal = "givt.internal": "Own staff, tests, monitoring.",
    MasqueradingBot = "sivt.masquerading_bot": "Automation that poses as a person.",
    HijackedDevice = "sivt.hijacked_device": "Hijacked devices, botnets.",
    InvalidProxy = "sivt.invalid_proxy": "Proxies that exist to manipulate counts.",
    AdwareMalware = "sivt.adware_malware": "Adware, malware, injected clicks.",
    Incentivised = "sivt.incentivised": "Paid manipulation: click farms.",
    ParamForgery = "sivt.param_forgery": "Forged click ids and events.",
    LocationFalsification = "sivt.location_falsification": "Falsified location.",
    MixedSource = "sivt.mixed_source": "Human and invalid traffic from one source.",
    Nothing = "none": "Valid.",
}

impl Category {
    /// The category of that code.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|category| category.name() == name)
    }
}

impl fmt::Display for Category {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One rule that spoke, and what it added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule's id.
    pub rule: Arc<str>,
    /// Points as the rule states them, before its group's cap; negative for trust.
    pub points: i16,
    /// The category the rule gives.
    pub category: Category,
}

/// What is done with the browser's Pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelAction {
    /// It fires as the page says.
    #[default]
    Leave,
    /// Its calls wait for proof.
    Gate,
    /// Its calls are swallowed.
    Withhold,
}

impl PixelAction {
    /// The name used in rules, records and towards the tag.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Gate => "gate",
            Self::Withhold => "withhold",
        }
    }
}

/// The judgement of one click or of a visit's newest state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What the request is.
    pub class: Class,
    /// Its score; 0 for `skip` and `allow`, 100 for `deny`.
    pub score: Score,
    /// The band of the score.
    pub band: Band,
    /// The rules that spoke, heaviest first; the classify row first of all where one matched.
    pub reasons: Arc<[Reason]>,
    /// The score if the rules that are only tried counted too.
    pub shadow: Score,
    /// What is done with the click, before the operating mode is applied.
    pub click: ClickAction,
    /// Where that is for a share of visits only.
    pub share: Option<Share>,
    /// What is done with the Pixel, before the operating mode is applied.
    pub pixel: PixelAction,
}

impl Verdict {
    /// What is done with the click of this visit, before the operating mode is applied.
    pub fn click_of(&self, visit: Uuid) -> &ClickAction {
        match &self.share {
            Some(share) if !share.holds(visit) => &share.otherwise,
            _ => &self.click,
        }
    }

    /// The category of the heaviest adverse reason, or `none`.
    pub fn category(&self) -> Category {
        self.reasons
            .iter()
            .find(|reason| reason.category != Category::Nothing)
            .map_or(Category::Nothing, |reason| reason.category)
    }
}

/// How far verdicts reach, for the whole process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decide and record, change nothing: the Pixel is left, every event is forwarded.
    #[default]
    Observe,
    /// Gate the Pixel and decide events.
    Warn,
    /// The same, and the rules' click actions.
    Strict,
}

impl Mode {
    /// The name used in configuration, records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Warn => "warn",
            Self::Strict => "strict",
        }
    }

    /// Whether decisions take effect or are only recorded.
    pub fn enforces(self) -> bool {
        self != Self::Observe
    }
}

/// How far the visitor agreed to measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// The site asks for none; measurement goes on.
    #[default]
    NotRequired,
    /// It is required and not given yet: no cookie, no Pixel, no event leaves.
    Waiting,
    /// It was given.
    Granted,
}

/// What a held event waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The page's script proves that a browser shows it.
    JsProof,
    /// The visitor grants consent.
    Consent,
}

/// What is done with one conversion event towards one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is sent.
    Forward,
    /// It is never sent.
    Suppress,
    /// It waits.
    Hold {
        /// For what.
        until: Until,
        /// How long at most.
        patience: Duration,
        /// What happens when the time is over.
        then: AfterHold,
        /// An event name of the same visit whose forwarding releases this one.
        replay_on: Option<Arc<str>>,
    },
    /// It is sent changed.
    Modify(Arc<Change>),
}

impl Decision {
    /// The name used in records and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Suppress => "suppress",
            Self::Hold { .. } => "hold",
            Self::Modify(_) => "modify",
        }
    }
}

/// What becomes of a held event when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterHold {
    /// It is sent.
    Forward,
    /// It is never sent.
    Suppress,
}

/// How a modified event differs from what the shop reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// The event's new name.
    pub rename: Option<String>,
    /// Paths such as `user_data.fbc` that are left out.
    pub drop: Vec<String>,
    /// Paths such as `custom_data.traffic_quality` and the values they get; `{band}` and `{score}` in a text are filled in.
    pub set: Vec<(String, serde_json::Value)>,
    /// Meta uses the event for attribution only.
    pub opt_out: bool,
}

impl Eq for Change {}

/// A decision and the rule that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What is done.
    pub decision: Decision,
    /// The policy row's id.
    pub rule: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_points_is_held_between_0_and_100() {
        assert_eq!((Score::clamped(-4).points(), Score::clamped(55).points(), Score::clamped(500).points()), (0, 55, 100));
    }

    #[test]
    fn a_share_of_visits_is_about_as_large_as_it_says_and_grows_by_adding() {
        let visits: Vec<Uuid> =
            (0..10_000_u128).map(|n| Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + n * 7)).collect();
        let among = |percent| move |visit: &&Uuid| Share { percent, otherwise: ClickAction::Tag }.holds(**visit);
        let tenth = visits.iter().filter(among(10)).count();
        assert!((800..1_200).contains(&tenth), "{tenth}");
        assert!(visits.iter().filter(among(10)).all(|visit| among(40)(&visit)));
        assert_eq!((visits.iter().filter(among(0)).count(), visits.iter().filter(among(100)).count()), (0, 10_000));
    }

    #[test]
    fn bands_are_ordered_by_severity_and_found_by_name() {
        assert!(Band::Human < Band::Suspect && Band::LikelyInvalid < Band::Invalid);
        assert_eq!(Band::of_name("likely_invalid"), Some(Band::LikelyInvalid));
    }
}
