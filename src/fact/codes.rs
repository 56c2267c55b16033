//! Facts as small numbers, for whoever compares or remembers many of them at once: 0 is unknown, 1 missing, from 2 on `false`
//! and `true` or the words of the fact in their order. Promises: a code stands for the value that the fact has. Must not know
//! who remembers what.

use std::time::Duration;

use crate::fact::AgentKind;
use crate::fact::AsWords;
use crate::fact::FactName;
use crate::fact::Facts;
use crate::fact::Identity;
use crate::fact::NetworkKind;
use crate::fact::Value;
use crate::fact::names::Type;

const UNKNOWN: u8 = 0;
const MISSING: u8 = 1;
/// The code of `false` and of a fact's first word.
const FIRST: u8 = 2;

/// The code of a word that may be unknown.
macro_rules! word {
    ($word:expr) => {
        match $word {
            Some(word) => FIRST + word as u8,
            None => UNKNOWN,
        }
    };
}

macro_rules! coded {
    ($facts:ident; $($name:ident = $code:expr;)+) => {
        impl FactName {
            /// The facts that have codes, in the order of [`Facts::codes`].
            pub const CODED: &'static [Self] = &[$(Self::$name,)+];
        }

        impl Facts<'_> {
            /// The codes of all facts that have them.
            pub fn codes(&self) -> [u8; FactName::CODED.len()] {
                let $facts = self;
                [$($code,)+]
            }
        }
    };
}

// What lies together in `Facts` is read together.
coded! { facts;
    NetKind = if facts.network.kind == NetworkKind::Unknown { UNKNOWN } else { FIRST + facts.network.kind as u8 };
    NetStale = if facts.network.kind == NetworkKind::Unknown { UNKNOWN } else { flag(Some(facts.network.stale)) };
    NetAsWords = match facts.network.words {
        Some(AsWords::Hosting) => FIRST,
        Some(AsWords::Nothing) => MISSING,
        None => UNKNOWN,
    };
    UaKind = if facts.agent.kind == AgentKind::Unknown { UNKNOWN } else { FIRST + facts.agent.kind as u8 };
    UaEngine = word!(facts.agent.engine);
    UaOs = word!(facts.agent.os);
    UaMobile = flag(facts.agent.os.map(|_| facts.agent.mobile));
    UaRobot = match (facts.agent.form.known_browser, facts.agent.kind) {
        (None, AgentKind::Unknown) => UNKNOWN,
        _ => flag(Some(facts.agent.robot.is_some())),
    };
    ClientInApp = match (facts.agent.in_app, facts.agent.kind) {
        (Some(app), _) => FIRST + app as u8,
        (None, AgentKind::Unknown) => UNKNOWN,
        (None, _) => MISSING,
    };
    UaDevice = word!(facts.agent.form.device);
    UaFuture = flag(facts.agent.form.future);
    UaImpossible = flag(facts.agent.form.impossible);
    UaAltered = flag(facts.agent.form.altered);
    UaKnownBrowser = flag(facts.agent.form.known_browser);
    IdentityImpostor = match facts.identity {
        Identity::Unverifiable => UNKNOWN,
        Identity::Impostor(_) => flag(Some(true)),
        Identity::None | Identity::Verified(_) => flag(Some(false)),
    };
    IdentityUnverified = flag(Some(facts.identity == Identity::Unverifiable));
    AgentSigned = word!(facts.signed);
    ClientChallenge = match facts.challenge.passed {
        Some(true) => FIRST,
        Some(false) => FIRST + 1,
        None => UNKNOWN,
    };
    HttpPurpose = word!(facts.purpose);
    HttpScheme = word!(facts.scheme);
    ClickFbclidShape = word!(facts.fbclid);
    ClickGclidShape = word!(facts.gclid);
    HttpVersion = word!(facts.shown.version);
    SpoofedForwarding = flag(facts.shown.spoofed_forwarding);
    TlsGrease = flag(facts.shown.tls.and_then(|tls| tls.grease));
    TlsVersion = word!(facts.shown.tls.and_then(|tls| tls.version));
    TlsSni = flag(facts.shown.tls.and_then(|tls| tls.sni));
    HintsForm = word!(facts.coherence.hints);
    HintsBrands = word!(facts.coherence.brands);
    HintsAgent = word!(facts.coherence.hints_agent);
    FetchMetadata = word!(facts.coherence.fetch);
    HttpAccept = word!(facts.coherence.accept);
    HttpEncodings = word!(facts.coherence.encodings);
    HttpLanguage = word!(facts.coherence.language);
    HttpOrder = word!(facts.coherence.order);
    HttpCase = word!(facts.coherence.case);
    HttpFields = word!(facts.coherence.fields);
    HttpSecureOnly = flag(facts.coherence.secure_only);
    TlsFamily = word!(facts.coherence.tls);
    H2Family = word!(facts.coherence.h2);
    UaFullVersion = flag(facts.coherence.full_version);
    ClientReturning = flag(facts.visit.returning);
    EventPayment = word!(facts.event.map(|event| event.payment));
    EventFromBrowser = flag(facts.event.map(|event| event.from_browser));
    VisitAssets = flag(facts.behaviour.assets);
    PageProof = word!(facts.page.proof);
    PageWebdriver = flag(facts.page.webdriver);
    PageInteraction = flag(facts.page.interaction);
    PageDriver = flag(facts.page.driver);
    PageWebdriverOdd = flag(facts.page.webdriver_odd);
    PagePlatform = word!(facts.page.platform);
    PageAgent = word!(facts.page.agent);
    PageWorker = word!(facts.page.worker);
    PageLanguages = word!(facts.page.languages);
    PageWindow = word!(facts.page.window);
    PagePointer = word!(facts.page.pointer);
    PagePatched = flag(facts.page.patched);
    PageClickMoves = word!(facts.page.click_moves);
    PageUntrusted = flag(facts.page.untrusted);
    PageSoftwareGl = flag(facts.page.software_gl);
    PageInteractionKind = word!(facts.page.interaction_kind);
    PageVisible = flag(facts.page.visible);
    PageReplayed = flag(facts.page.replayed);
    TrapLink = flag(facts.page.trap_link);
    TrapForm = flag(facts.page.trap_form);
}

fn flag(flag: Option<bool>) -> u8 {
    match flag {
        Some(flag) => FIRST + u8::from(flag),
        None => UNKNOWN,
    }
}

impl FactName {
    /// The value that a code of this fact stands for.
    pub fn of_code(self, code: u8) -> Value<'static> {
        match (code, self.kind()) {
            (MISSING, _) => Value::Missing,
            (FIRST.., Type::Bool) => Value::Bool(code > FIRST),
            (FIRST.., Type::Word(words)) => words.get(usize::from(code - FIRST)).map_or(Value::Unknown, |word| Value::Text(word)),
            _ => Value::Unknown,
        }
    }

    /// The code of a value of this fact.
    pub fn code_of(self, value: Value<'_>) -> u8 {
        let codes = FIRST..=u8::MAX;
        match value {
            Value::Missing => MISSING,
            Value::Bool(known) => flag(Some(known)),
            Value::Text(_) => codes.clone().find(|code| self.of_code(*code) == value).unwrap_or(UNKNOWN),
            Value::Unknown | Value::Number(_) | Value::Address(_) => UNKNOWN,
        }
    }

    /// The facts that [`Facts::number`] tells.
    pub const NUMBERS: &'static [Self] = &[
        Self::NetAsn,
        Self::UaMajor,
        Self::UaBehind,
        Self::SessionPages,
        Self::SessionAge,
        Self::PageAge,
        Self::PageFirstInteraction,
        Self::EventValue,
        Self::EventSinceClick,
        Self::EventSincePage,
        Self::EventRepeats,
        Self::VisitSecondPageAfter,
        Self::VisitCadence,
        Self::VisitFastestStep,
        Self::VisitMedianStep,
        Self::BurstCampaignAsn,
    ];
}

impl Facts<'_> {
    /// The number that a fact of [`FactName::NUMBERS`] is, durations in milliseconds; `None` where it is not known.
    pub fn number(&self, name: FactName) -> Option<i64> {
        match name {
            FactName::NetAsn => self.network.asn.map(i64::from),
            FactName::UaMajor => self.agent.major.map(i64::from),
            FactName::UaBehind => self.agent.form.behind.map(i64::from),
            FactName::SessionPages => self.visit.pages.map(i64::from),
            FactName::SessionAge => self.visit.age.map(millis),
            FactName::PageAge => self.visit.page_age.map(millis),
            FactName::PageFirstInteraction => self.page.first_interaction.map(millis),
            FactName::EventValue => self.event.and_then(|event| event.value),
            FactName::EventSinceClick => self.event.and_then(|event| event.since_click).map(millis),
            FactName::EventSincePage => self.behaviour.since_page.map(millis),
            FactName::EventRepeats => self.behaviour.repeats.map(i64::from),
            FactName::VisitSecondPageAfter => self.behaviour.second_page_after.map(millis),
            FactName::VisitCadence => self.behaviour.cadence.map(i64::from),
            FactName::VisitFastestStep => self.behaviour.fastest_step.map(millis),
            FactName::VisitMedianStep => self.behaviour.median_step.map(millis),
            FactName::BurstCampaignAsn => self.behaviour.burst,
            _ => None,
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::fact::Agent;
    use crate::fact::Network;
    use crate::fact::drawn::Drawn;

    use super::*;

    /// The greatest code that may be of use: callers keep a bit for each.
    const GREATEST: u8 = 63;

    proptest! {
        #[test]
        fn a_code_stands_for_the_value_of_its_fact(lot in any::<u64>()) {
            let drawn = Drawn::of(lot);
            let facts = drawn.facts();
            for (name, code) in FactName::CODED.iter().zip(facts.codes()) {
                prop_assert!(code <= GREATEST);
                prop_assert_eq!(name.of_code(code), facts.value(*name), "{}", name.name());
                prop_assert_eq!(name.code_of(facts.value(*name)), code, "{}", name.name());
            }
            for name in FactName::NUMBERS {
                let number = facts.number(*name).map_or(Value::Unknown, Value::Number);
                prop_assert_eq!(number, facts.value(*name), "{}", name.name());
            }
        }
    }

    #[test]
    fn every_fact_of_words_but_names_of_others_has_a_code() {
        let others = [FactName::Identity, FactName::IdentityClaim, FactName::ClickNetwork, FactName::HttpNameCase];
        for name in FactName::ALL.iter().filter(|name| matches!(name.kind(), Type::Bool | Type::Word(_))) {
            assert_ne!(FactName::CODED.contains(name), others.contains(name), "{}", name.name());
        }
        let (network, agent) = (Network::default(), Agent::default());
        assert_eq!(Facts::unknown(&network, &agent).codes().len(), FactName::CODED.len());
    }
}
