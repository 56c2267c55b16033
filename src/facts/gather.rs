//! Puts the facts of one request together: what the click says, who a declared crawler really is, whether ad
//! identifiers have their network's shape. No allocation. Must not know where network and agent come from.

use std::ops::RangeInclusive;

use crate::click::AdNetwork;
use crate::click::Click;
use crate::click::Field;
use crate::fact::Agent;
use crate::fact::Facts;
use crate::fact::IdShape;
use crate::fact::Identity;
use crate::fact::Network;
use crate::facts::identities::Operator;
use crate::facts::identities::operator;

/// Lengths of an `fbclid`: seen are 61 to about 250 characters; Meta changes the format without notice.
const FBCLID: RangeInclusive<usize> = 20..=400;
/// Lengths of a `gclid`: seen are 26 to 120 characters.
const GCLID: RangeInclusive<usize> = 20..=200;

/// Who a declared crawler really is, by the published ranges of its operator.
/// Where nothing at all is known of the address nobody is called an impostor.
pub fn identity(network: &Network, agent: &Agent) -> Identity {
    match agent.claims {
        None => Identity::None,
        Some(name) if network.crawler == Some(name) => Identity::Verified(name),
        // Ranges that are too old may lack where it comes from today.
        Some(name) if network.aged.has(name) => Identity::Unverifiable,
        Some(name) if operator(name).is_some_and(Operator::is_ranged) && *network != Network::default() => {
            Identity::Impostor(name)
        }
        Some(_) => Identity::Unverifiable,
    }
}

/// All facts that one request shows.
pub fn gather<'a>(click: &Click<'a>, network: &'a Network, agent: &'a Agent) -> Facts<'a> {
    let host = click.sent.text(Field::Host).map(without_port);
    Facts {
        address: click.address,
        user_agent: click.user_agent(),
        identity: identity(network, agent),
        sent: Some(click.sent),
        scheme: Some(click.scheme),
        host: host.filter(|host| !host.bytes().any(|byte| byte.is_ascii_uppercase())),
        path: Some(click.path),
        purpose: Some(click.purpose),
        click_id: click.ad_ids.iter().next(),
        fbclid: Some(shape(click.ad_ids.of(AdNetwork::Meta), FBCLID)),
        gclid: Some(shape(click.ad_ids.of(AdNetwork::Google), GCLID)),
        utm_source: click.campaign.source,
        utm_campaign: click.campaign.campaign,
        ..Facts::unknown(network, agent)
    }
}

/// The shape of an identifier as sent: base64url, with appendices behind `.` (Meta's `_aem_…` is base64url itself);
/// template text, percent-encoding and other lengths are malformed.
pub fn shape(id: Option<&str>, lengths: RangeInclusive<usize>) -> IdShape {
    let Some(id) = id else { return IdShape::Absent };
    if id.len() > *lengths.end() || !lengths.contains(&memchr::memchr(b'.', id.as_bytes()).unwrap_or(id.len())) {
        return IdShape::Malformed;
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    // No early end, so that many are looked at in one step.
    let letters = id.bytes().fold(true, |all, byte| all & is_letter(byte));
    if letters { IdShape::Ok } else { IdShape::Malformed }
}

/// A `Host` without its port; an IPv6 literal keeps its brackets.
fn without_port(host: &str) -> &str {
    // Most have none, and then no colon is looked for.
    if !host.bytes().next_back().is_some_and(|byte| byte.is_ascii_digit()) {
        return host;
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::click::Scheme;
    use http::HeaderMap;
    use http::HeaderValue;

    #[test]
    fn identifiers_are_told_from_template_text_and_noise() {
        let real = "IwZXh0bgNhZW0BMABhZGlkAasVg1yQ2aQBHSx_k-9Q_aem_AbCdEf0123456789";
        assert_eq!(shape(Some(real), FBCLID), IdShape::Ok);
        assert_eq!(shape(Some(&format!("{real}.appendix")), FBCLID), IdShape::Ok);
        assert_eq!(shape(None, FBCLID), IdShape::Absent);
        for wrong in
            ["{{fbclid}}", "{gclid}", "%7B%7Bfbclid%7D%7D-and-more-text", "123", "IwAR0 with spaces in it okay", &"a".repeat(401)]
        {
            assert_eq!(shape(Some(wrong), FBCLID), IdShape::Malformed, "{wrong}");
        }
        assert_eq!(shape(Some(&"a".repeat(201)), GCLID), IdShape::Malformed);
    }

    #[test]
    fn a_request_shows_its_facts() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("shop.example:8443"));
        let click = Click::read(None, Scheme::Https, "/p", "gclid=x&utm_source=fb&utm_campaign=c", &headers);
        let (network, agent) = (Network::default(), Agent::default());
        let facts = gather(&click, &network, &agent);
        assert_eq!(facts.host, Some("shop.example"));
        assert_eq!(facts.click_id, Some((AdNetwork::Google, "x")));
        assert_eq!((facts.fbclid, facts.gclid), (Some(IdShape::Absent), Some(IdShape::Malformed)));
        assert_eq!((facts.utm_source, facts.utm_campaign, facts.path), (Some("fb"), Some("c"), Some("/p")));
    }
}
