//! Whether a request agrees with itself and with the browser it claims to be. Every check is gated on what the visitor's
//! scheme, connection and claimed version let one know; where that is not enough the fact stays unknown. No allocation,
//! work bounded by the request's head. Must not know rules or points.

mod claim;
mod connection;
mod fetch;
mod fields;
mod hints;
mod near;

use crate::click::Sent;
use crate::fact::AgentKind;
use crate::fact::Coherence;
use crate::fact::Facts;
use crate::facts::coherence::claim::Claim;

/// What is coherent in a request for a page, and what is not.
pub fn coherence(facts: &Facts<'_>) -> Coherence {
    let claims = matches!(facts.agent.kind, AgentKind::Browser | AgentKind::InApp);
    let Some(sent) = facts.sent.filter(|_| claims) else { return Coherence::default() };
    near::remembered(facts, &sent, || found(facts, sent))
}

fn found(facts: &Facts<'_>, sent: Sent<'_>) -> Coherence {
    let Some(claim) = Claim::of(facts, sent) else { return Coherence::default() };
    Coherence {
        hints: hints::form(&claim),
        brands: hints::brands(&claim),
        hints_agent: hints::agent(&claim),
        fetch: fetch::metadata(&claim),
        accept: fields::accept(&claim),
        encodings: fields::encodings(&claim),
        language: fields::language(&claim),
        order: fields::order(&claim),
        case: fields::case(&claim),
        fields: fields::presence(&claim),
        secure_only: fields::secure_only(&claim),
        tls: connection::tls(&claim),
        h2: connection::h2(&claim),
        full_version: claim.names_full_version(),
    }
}

#[cfg(test)]
mod tests;
