//! Where the shop is, as the operator writes it. Must not know connections.

use http::HeaderValue;

use crate::proxy::framing;

/// Where the shop is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    authority: String,
    port: u16,
    tls: bool,
    /// HTTP/2 without being asked (RFC 9113 section 3.3).
    h2c: bool,
    /// HTTP/2 by ALPN, if the shop chooses it.
    offers: bool,
    field: HeaderValue,
}

/// Why a text is no place of a shop.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It begins with none of `http://`, `https://` and `h2c://`.
    #[error("expected `http://host:port`, `https://host:port` or `h2c://host:port`, found `{0}`")]
    Scheme(String),
    /// What follows is no host with an optional port.
    #[error("expected a host with an optional port after `//`, found `{0}`\nhint: leave out user, path and query")]
    Authority(String),
}

impl Origin {
    /// Reads `http://host`, `https://host` or `h2c://host`, each with a port or without.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| OriginError::Scheme(text.to_owned()))?;
        let (tls, h2c) = match scheme {
            "http" => (false, false),
            "https" => (true, false),
            "h2c" => (false, true),
            _ => return Err(OriginError::Scheme(text.to_owned())),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let wrong = || OriginError::Authority(authority.to_owned());
        if !framing::is_authority(authority.as_bytes()) {
            return Err(wrong());
        }
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !authority.ends_with(']') => port.parse().map_err(|_| wrong())?,
            _ if tls => 443,
            _ => 80,
        };
        let field = HeaderValue::from_str(authority).map_err(|_| wrong())?;
        Ok(Self { authority: authority.to_owned(), port, tls, h2c, offers: false, field })
    }

    /// A shop on this machine.
    pub fn local(port: u16) -> Self {
        let authority = format!("127.0.0.1:{port}");
        Self {
            field: HeaderValue::from_str(&authority).unwrap_or(HeaderValue::from_static("localhost")),
            authority,
            port,
            tls: false,
            h2c: false,
            offers: false,
        }
    }

    /// Host and port as they were written.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The same as a `Host` field.
    pub fn field(&self) -> &HeaderValue {
        &self.field
    }

    /// Whether it is reached by TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether it speaks HTTP/2 without TLS, by prior knowledge.
    pub fn is_h2c(&self) -> bool {
        self.h2c
    }

    /// The same place, to which HTTP/2 is offered where it is reached by TLS; it need not choose it.
    #[must_use]
    pub fn offering_http2(self) -> Self {
        Self { offers: self.tls, ..self }
    }

    /// Whether HTTP/2 is offered to it.
    pub fn offers_http2(&self) -> bool {
        self.offers
    }

    /// What is looked up, with the port.
    pub fn place(&self) -> (&str, u16) {
        let host = match self.authority.rsplit_once(':') {
            Some((host, _)) if !self.authority.ends_with(']') => host,
            _ => self.authority.as_str(),
        };
        (host.trim_start_matches('[').trim_end_matches(']'), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_with_and_without_a_port() {
        assert_eq!(Origin::parse("http://shop.internal").unwrap().place(), ("shop.internal", 80));
        assert_eq!(Origin::parse("http://127.0.0.1:3000/").unwrap(), Origin::local(3000));
        assert_eq!(Origin::parse("http://[::1]:8080").unwrap().place(), ("::1", 8080));
        assert_eq!(Origin::parse("http://[::1]").unwrap().place(), ("::1", 80));
        assert_eq!(Origin::parse("https://shop.internal").unwrap().place(), ("shop.internal", 443));
        assert!(Origin::parse("https://[::1]:8443").unwrap().is_tls() && !Origin::local(1).is_tls());
        let h2c = Origin::parse("h2c://127.0.0.1:50051").unwrap();
        assert!(h2c.is_h2c() && !h2c.is_tls() && h2c.place() == ("127.0.0.1", 50_051));
    }

    #[test]
    fn a_place_with_more_than_host_and_port_is_refused() {
        assert!(matches!(Origin::parse("ftp://shop.internal"), Err(OriginError::Scheme(_))));
        for text in ["http://", "http://u@shop", "http://shop/path", "http://shop:70000", "http://shop:"] {
            assert!(matches!(Origin::parse(text), Err(OriginError::Authority(_))), "{text}");
        }
    }
}
