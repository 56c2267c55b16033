//! An earlier verdict and what is known now -> the verdict now. A request's own facts are gone once it is over; what was
//! concluded from them stays. Must not know files, or why a visit is judged again.

use crate::fact::Facts;
use crate::rules::Policy;
use crate::rules::condition::Source;
use crate::rules::condition::Truth;
use crate::rules::declared::Known;
use crate::rules::row::Certainty;
use crate::rules::row::Rows;
use crate::rules::row::RuleMode;
use crate::rules::score::reached;
use crate::verdict::Class;
use crate::verdict::Verdict;

/// Judges anew.
pub(super) fn rescore(policy: &Policy, facts: &Facts<'_>, earlier: &Verdict) -> Verdict {
    // A verdict from a page token says how much, and not why.
    let bare = earlier.reasons.is_empty();
    if bare && earlier.class != Class::Visit {
        return earlier.clone();
    }
    let rows = &policy.rows;
    let mut room = Known::default();
    let source = rows.declared.source(facts, &mut room);
    // Where the request at hand falls into no part of the shop, or there is none, the part is the one that it was.
    let scope = rows.scopes.find(source).or_else(|| rows.scopes.of(earlier));
    let mut speaking = rows.index.holding(facts, source);
    for number in earlier.reasons.iter().filter_map(|reason| rows.number(&reason.rule)) {
        if !speaking.has(number) && still_speaks(rows, number, source) {
            speaking.insert(number);
        }
    }
    reached(policy, source, scope, &speaking, Some(earlier))
}

/// Whether a row that spoke earlier and is not known to hold now speaks all the same.
fn still_speaks(rows: &Rows, number: usize, source: Source<'_>) -> bool {
    if let Some(row) = rows.classify.get(number) {
        return row.mode == RuleMode::Enforce && row.condition.truth(source) == Truth::Unknown;
    }
    let signal = number.checked_sub(rows.classify.len()).and_then(|place| rows.signals.get(place));
    signal.is_some_and(|signal| match signal.condition.truth(source) {
        // Who was caught once does not get away by doing otherwise on the next page.
        Truth::False => signal.certainty == Certainty::Proof,
        Truth::True | Truth::Unknown => true,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use http::HeaderMap;
    use proptest::prelude::*;

    use crate::fact::Agent;
    use crate::fact::AgentKind;
    use crate::fact::Behaviour;
    use crate::fact::Network;
    use crate::fact::Page;
    use crate::fact::Proof;
    use crate::verdict::Band;
    use crate::verdict::Category;
    use crate::verdict::Reason;
    use crate::verdict::Score;

    use super::*;

    const RULES: &str = "schema: clicksieve/rules/v1
counters:
  ids: { count_distinct: click.id, by: client.fp, window: 10m }
classify:
  - { id: ahead, match: { http.purpose: prefetch }, as: skip, category: givt.prefetch }
score:
  groups: { agent: 60, protocol: 40, page: 60, behaviour: 55, trust: -40 }
signals:
  - { id: bare, match: { http.header(\"accept-language\"): { missing: true } }, points: 35, group: protocol, category: givt.activity }
  - { id: headless, match: { ua.kind: headless }, points: 60, group: agent, category: givt.activity, certainty: proof }
  - { id: silent, match: { page.proof: absent }, points: 20, group: page, category: givt.activity }
  - { id: ids, match: { counter.ids: { gte: 4 } }, points: 25, group: behaviour, category: givt.activity }
  - { id: more, match: { counter.ids: { gte: 7 } }, points: 59, group: behaviour, category: givt.activity }
  - { id: ran, match: { page.proof: present }, points: -15, group: trust }
policy:
  pixel:
    - { id: bad, band: { any_of: [likely_invalid, invalid] }, do: withhold }
    - { id: rest, do: leave }
";

    fn policy() -> Policy {
        Policy::parse("r.yaml", RULES, Path::new(".")).unwrap()
    }

    fn earlier(score: i32, rules: &[&str]) -> Verdict {
        let reason = |id: &&str| Reason { rule: Arc::from(*id), points: 0, category: Category::Nothing };
        Verdict { score: Score::clamped(score), reasons: rules.iter().map(reason).collect(), ..Verdict::default() }
    }

    fn rules(verdict: &Verdict) -> Vec<&str> {
        verdict.reasons.iter().map(|reason| &*reason.rule).collect()
    }

    #[test]
    fn what_nobody_can_tell_any_more_still_counts_and_what_is_known_to_be_otherwise_does_not() {
        let (network, agent, policy) = (Network::default(), Agent::default(), policy());
        let mut facts = Facts::unknown(&network, &agent);
        let before = earlier(55, &["bare", "silent"]);
        let verdict = policy.rescore(&facts, &before);
        assert_eq!((verdict.score.points(), rules(&verdict)), (55, vec!["bare", "silent"]));
        facts.page = Page { proof: Some(Proof::Present), ..Page::default() };
        let verdict = policy.rescore(&facts, &before);
        assert_eq!((verdict.score.points(), rules(&verdict)), (20, vec!["bare", "ran"]));
        let headers: HeaderMap = [("accept-language".parse().unwrap(), "de".parse().unwrap())].into_iter().collect();
        facts.sent = Some(crate::click::Sent::of(&headers));
        assert_eq!(rules(&policy.rescore(&facts, &before)), ["ran"]);
    }

    #[test]
    fn who_was_proven_a_robot_once_stays_in_that_band() {
        let (network, policy) = (Network::default(), policy());
        let browser = Agent { kind: AgentKind::Browser, ..Agent::default() };
        let mut facts = Facts::unknown(&network, &browser);
        facts.page.proof = Some(Proof::Present);
        let verdict = policy.rescore(&facts, &earlier(60, &["headless"]));
        assert_eq!((verdict.score.points(), verdict.band, rules(&verdict)), (60, Band::LikelyInvalid, vec!["headless", "ran"]));
        assert_eq!(verdict.pixel.name(), "withhold");
    }

    #[test]
    fn caps_hold_over_earlier_and_newer_signals_together() {
        let (network, agent, policy) = (Network::default(), Agent::default(), policy());
        let mut facts = Facts::unknown(&network, &agent);
        facts.behaviour = Behaviour { counts: &[Some(7)], ..Behaviour::default() };
        let verdict = policy.rescore(&facts, &earlier(25, &["ids"]));
        assert_eq!((verdict.score.points(), rules(&verdict)), (55, vec!["more", "ids"]));
        // A counter that was not asked leaves what it said; one that fell takes it back.
        facts.behaviour = Behaviour { counts: &[None], ..Behaviour::default() };
        assert_eq!(policy.rescore(&facts, &verdict).score.points(), 55);
        facts.behaviour = Behaviour { counts: &[Some(1)], ..Behaviour::default() };
        assert_eq!(policy.rescore(&facts, &verdict).score.points(), 0);
    }

    #[test]
    fn a_page_fetched_ahead_is_nobodys_until_it_is_known_to_be_viewed() {
        let (network, agent, policy) = (Network::default(), Agent::default(), policy());
        let mut facts = Facts::unknown(&network, &agent);
        let ahead = Verdict { class: Class::Skip, ..earlier(0, &["ahead"]) };
        assert_eq!(policy.rescore(&facts, &ahead).class, Class::Skip);
        facts.purpose = Some(crate::click::Purpose::View);
        assert_eq!(policy.rescore(&facts, &ahead).class, Class::Visit);
    }

    #[test]
    fn nobody_is_cleared_by_having_a_page_fetched_ahead() {
        let (network, policy) = (Network::default(), policy());
        let browser = Agent { kind: AgentKind::Browser, ..Agent::default() };
        let headers = HeaderMap::new();
        let mut ahead = Facts::unknown(&network, &browser);
        (ahead.purpose, ahead.sent) = (Some(crate::click::Purpose::Prefetch), Some(crate::click::Sent::of(&headers)));
        let mut viewed = Facts::unknown(&network, &browser);
        (viewed.purpose, viewed.page.proof) = (Some(crate::click::Purpose::View), Some(Proof::Present));
        // What the request itself shows.
        let verdict = policy.score(&ahead);
        assert_eq!((verdict.class, verdict.score.points()), (Class::Skip, 0));
        assert_eq!(policy.rescore(&Facts::unknown(&network, &browser), &verdict), verdict);
        let verdict = policy.rescore(&viewed, &verdict);
        assert_eq!((verdict.class, verdict.score.points(), rules(&verdict)), (Class::Visit, 20, vec!["bare", "ran"]));
        // What pages before it showed.
        let verdict = policy.rescore(&viewed, &policy.rescore(&ahead, &earlier(60, &["headless"])));
        assert_eq!((verdict.band, rules(&verdict)), (Band::LikelyInvalid, vec!["headless", "bare", "ran"]));
        // An app's own means of fetching are not its browser.
        let app = Agent { kind: AgentKind::InApp, ..Agent::default() };
        ahead.agent = &app;
        assert_eq!(rules(&policy.score(&ahead)), ["ahead"]);
    }

    #[test]
    fn a_verdict_that_only_says_how_much_is_never_made_milder() {
        let (network, agent, policy) = (Network::default(), Agent::default(), policy());
        let mut facts = Facts::unknown(&network, &agent);
        facts.page.proof = Some(Proof::Present);
        let verdict = policy.rescore(&facts, &earlier(70, &[]));
        assert_eq!((verdict.score.points(), verdict.band), (70, Band::LikelyInvalid));
        let skip = Verdict { class: Class::Skip, ..Verdict::default() };
        assert_eq!(policy.rescore(&facts, &skip).class, Class::Skip);
    }

    proptest! {
        #[test]
        fn judged_again_by_the_same_facts_a_visit_is_worth_the_same(
            kind in prop::sample::select(AgentKind::ALL.to_vec()),
            proof in prop::option::of(prop::sample::select(Proof::ALL.to_vec())),
            ids in prop::option::of(0_u32..12),
        ) {
            let (network, agent, policy) = (Network::default(), Agent { kind, ..Agent::default() }, policy());
            let mut facts = Facts::unknown(&network, &agent);
            facts.page.proof = proof;
            let counts = [ids];
            facts.behaviour.counts = &counts;
            let once = policy.score(&facts);
            prop_assert_eq!(&policy.rescore(&facts, &once), &once);
            // And where nothing is known any more, too.
            let nobody = Agent::default();
            let again = policy.rescore(&Facts::unknown(&network, &nobody), &once);
            prop_assert_eq!(again.score, once.score);
        }
    }
}
