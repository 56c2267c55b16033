//! Which of several shops a `Host` belongs to. Looked up for each request, so a look-up allocates nothing.
//! Must not know what stands behind a host.

use std::net::Ipv6Addr;

use rustc_hash::FxHashMap;

/// The longest name of DNS in its written form (RFC 1035 section 2.3.4).
const LONGEST: usize = 253;

/// What belongs to hosts, by name: `shop.example`, or `*.shop.example` for names with one label more.
#[derive(Clone, Debug)]
pub struct Hosts<T> {
    exact: FxHashMap<Box<str>, T>,
    below: FxHashMap<Box<str>, T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { exact: FxHashMap::default(), below: FxHashMap::default() }
    }
}

impl<T> Hosts<T> {
    /// Adds a name that [`pattern`] gave; answers what it belonged to before.
    pub fn insert(&mut self, name: &str, value: T) -> Option<T> {
        match name.strip_prefix("*.") {
            Some(parent) => self.below.insert(parent.into(), value),
            None => self.exact.insert(name.into(), value),
        }
    }

    /// What a `Host` field belongs to, whatever its case, port or closing dot.
    pub fn find(&self, field: &str) -> Option<&T> {
        let name = bare(field);
        if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.of(name);
        }
        let mut room = [0; LONGEST];
        let lower = room.get_mut(..name.len())?;
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        self.of(std::str::from_utf8(lower).ok()?)
    }

    fn of(&self, name: &str) -> Option<&T> {
        let below = || name.split_once('.').and_then(|(_, parent)| self.below.get(parent));
        self.exact.get(name).or_else(below)
    }
}

/// A `Host` without its port and closing dot.
fn bare(field: &str) -> &str {
    let name = match field.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => field,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// A host name as an operator writes it, in lower case; `None` where it is none, or a star stands elsewhere than for the first label.
pub fn pattern(text: &str) -> Option<String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if inside.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("[{}]", inside.to_ascii_lowercase()));
    }
    let fits = name.len() <= LONGEST && name.split('.').all(label);
    (fits && (name == text || name.contains('.'))).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts<u8> {
        let mut hosts = Hosts::default();
        for (name, value) in [("shop.example", 1), ("*.shop.example", 2), ("b.shop.example", 3), ("[::1]", 4)] {
            assert_eq!(hosts.insert(name, value), None);
        }
        hosts
    }

    #[test]
    fn a_host_is_found_whatever_its_case_port_or_closing_dot() {
        for field in ["shop.example", "Shop.Example:8443", "shop.example.", "SHOP.EXAMPLE.:1"] {
            assert_eq!(hosts().find(field), Some(&1), "{field}");
        }
        assert_eq!(hosts().find("[::1]:8080"), Some(&4));
    }

    #[test]
    fn a_star_stands_for_one_label_and_a_name_of_its_own_goes_first() {
        assert_eq!((hosts().find("A.shop.example"), hosts().find("b.shop.example")), (Some(&2), Some(&3)));
        assert_eq!((hosts().find("a.a.shop.example"), hosts().find("ashop.example")), (None, None));
        assert_eq!(hosts().find(&format!("{}.shop.example", "A".repeat(4_000))), None);
    }

    #[test]
    fn what_is_no_host_is_no_pattern() {
        for text in ["", "*", "*.", "*.example", "a.*.example", "shop.example:80", "http://shop.example", "-a.example", "a..b"] {
            assert_eq!(pattern(text), None, "{text}");
        }
        assert_eq!(pattern("*.Shop.Example").as_deref(), Some("*.shop.example"));
        assert_eq!(pattern("::1").as_deref(), Some("[::1]"));
    }
}
