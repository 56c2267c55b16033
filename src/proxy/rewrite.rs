//! Rewrites what a shop says of its own place: `Location` and the domain of its cookies. Both only when asked for.
//! Must not know when that is.

use http::HeaderMap;
use http::HeaderValue;
use http::header;

use crate::click::Scheme;
use crate::proxy::CookieDomain;

/// Turns a `Location` on the upstream's own origin (`authority` without scheme) into one on the visitor's.
pub fn location(headers: &mut HeaderMap, authority: &str, scheme: Scheme, host: &HeaderValue) {
    let rest = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).and_then(|target| {
        let after = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"))?;
        let rest = after
            .get(..authority.len())
            .filter(|name| name.eq_ignore_ascii_case(authority))
            .and_then(|name| after.get(name.len()..))?;
        (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
    });
    let written = rest.zip(host.to_str().ok()).map(|(rest, host)| format!("{}://{host}{rest}", scheme.name()));
    if let Some(value) = written.and_then(|target| HeaderValue::from_str(&target).ok()) {
        headers.insert(header::LOCATION, value);
    }
}

/// Changes the `Domain` of cookies that name the domain in question; all other cookies stay byte for byte.
pub fn cookies(headers: &mut HeaderMap, domain: &CookieDomain) {
    if !headers.contains_key(header::SET_COOKIE) {
        return;
    }
    let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().map(|cookie| change(cookie, domain)).collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
}

fn change(cookie: &HeaderValue, domain: &CookieDomain) -> HeaderValue {
    let Ok(text) = cookie.to_str() else { return cookie.clone() };
    let names_it = |attribute: &str| {
        attribute.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("domain") && value.trim().trim_start_matches('.').eq_ignore_ascii_case(&domain.from)
        })
    };
    // The first part is the cookie's own name and value, whatever it looks like.
    if !text.split(';').skip(1).any(names_it) {
        return cookie.clone();
    }
    let mut written = String::with_capacity(text.len() + domain.to.len());
    for (number, part) in text.split(';').enumerate() {
        if number == 0 || !names_it(part) {
            written.push_str(if number == 0 { "" } else { ";" });
            written.push_str(part);
        } else if !domain.to.is_empty() {
            written.push_str("; Domain=");
            written.push_str(&domain.to);
        }
    }
    HeaderValue::from_str(&written).unwrap_or_else(|_| cookie.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(target: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("location", target.parse().unwrap());
        location(&mut headers, "shop.internal:3000", Scheme::Https, &HeaderValue::from_static("shop.example"));
        headers["location"].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_location_on_the_upstream_is_one_on_the_visitors_host() {
        assert_eq!(moved("http://shop.internal:3000/cart?a#b"), "https://shop.example/cart?a#b");
        assert_eq!(moved("http://SHOP.internal:3000"), "https://shop.example");
    }

    #[test]
    fn every_other_location_stays() {
        for target in ["/cart", "http://shop.internal:30001/", "http://shop.internal:3000.evil.example/", "https://pay.example/"]
        {
            assert_eq!(moved(target), target);
        }
    }

    #[test]
    fn only_the_named_domain_of_a_cookie_changes() {
        let domain = CookieDomain { from: "shop.internal".to_owned(), to: "shop.example".to_owned() };
        let changed = |cookie: &str| change(&cookie.parse().unwrap(), &domain).to_str().unwrap().to_owned();
        assert_eq!(changed("a=b; Path=/; domain=.shop.internal; Secure"), "a=b; Path=/; Domain=shop.example; Secure");
        assert_eq!(changed("domain=shop.internal; Path=/"), "domain=shop.internal; Path=/");
        assert_eq!(changed("a=b; Domain=other.example"), "a=b; Domain=other.example");
    }

    #[test]
    fn an_empty_new_domain_gives_the_cookie_to_the_host() {
        let domain = CookieDomain { from: "shop.internal".to_owned(), to: String::new() };
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", "a=b; Domain=shop.internal; Path=/".parse().unwrap());
        headers.append("set-cookie", "c=d".parse().unwrap());
        cookies(&mut headers, &domain);
        let all: Vec<_> = headers.get_all("set-cookie").iter().collect();
        assert_eq!(all, ["a=b; Path=/", "c=d"]);
    }
}
