//! Whether what one request says in several places fits together, and fits the browser it claims to be. Each part is unknown
//! where the connection, the scheme or the claimed browser do not tell. Must not know how it is found, nor points.

use serde::Deserialize;
use serde::Serialize;

use crate::fact::FactName;
use crate::fact::Value;
use crate::fact::words::words;

/// Whether a request agrees with itself and with the browser it claims to be; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coherence {
    /// The client hints as such.
    pub hints: Option<HintsForm>,
    /// The made-up brand among them.
    pub brands: Option<Fit>,
    /// The client hints against the user agent.
    pub hints_agent: Option<HintsAgent>,
    /// Fetch metadata.
    pub fetch: Option<FetchMetadata>,
    /// `Accept`.
    pub accept: Option<Accept>,
    /// `Accept-Encoding`.
    pub encodings: Option<Encodings>,
    /// `Accept-Language`.
    pub language: Option<Fit>,
    /// The order of the fields.
    pub order: Option<Fit>,
    /// How their names are written.
    pub case: Option<Fit>,
    /// Which of them are there.
    pub fields: Option<Fields>,
    /// What browsers say over TLS only came over plain HTTP.
    pub secure_only: Option<bool>,
    /// The handshake.
    pub tls: Option<TlsFamily>,
    /// The opening of HTTP/2.
    pub h2: Option<H2Family>,
    /// A plain Chrome names its full version.
    pub full_version: Option<bool>,
}

impl Coherence {
    /// The facts it is made of.
    pub const NAMES: &'static [FactName] = &[
        FactName::HintsForm,
        FactName::HintsBrands,
        FactName::HintsAgent,
        FactName::FetchMetadata,
        FactName::HttpAccept,
        FactName::HttpEncodings,
        FactName::HttpLanguage,
        FactName::HttpOrder,
        FactName::HttpCase,
        FactName::HttpFields,
        FactName::HttpSecureOnly,
        FactName::TlsFamily,
        FactName::H2Family,
        FactName::UaFullVersion,
    ];

    /// The value of one of its facts; of another name unknown.
    pub(super) fn value<'a>(&self, name: FactName) -> Option<Value<'a>> {
        let word = match name {
            FactName::HintsForm => self.hints.map(HintsForm::name),
            FactName::HintsBrands => self.brands.map(Fit::name),
            FactName::HintsAgent => self.hints_agent.map(HintsAgent::name),
            FactName::FetchMetadata => self.fetch.map(FetchMetadata::name),
            FactName::HttpAccept => self.accept.map(Accept::name),
            FactName::HttpEncodings => self.encodings.map(Encodings::name),
            FactName::HttpLanguage => self.language.map(Fit::name),
            FactName::HttpOrder => self.order.map(Fit::name),
            FactName::HttpCase => self.case.map(Fit::name),
            FactName::HttpFields => self.fields.map(Fields::name),
            FactName::TlsFamily => self.tls.map(TlsFamily::name),
            FactName::H2Family => self.h2.map(H2Family::name),
            FactName::HttpSecureOnly => return Some(self.secure_only.map_or(Value::Unknown, Value::Bool)),
            FactName::UaFullVersion => return Some(self.full_version.map_or(Value::Unknown, Value::Bool)),
            _ => return None,
        };
        Some(word.map_or(Value::Unknown, Value::Text))
    }
}

words! {
    /// Whether something is as the claimed browser does it.
    Fit {
        /// It is.
        Ok = "ok",
        /// It is not.
        Wrong = "wrong",
    }
}

words! {
    /// The client hints that every Chromium sends unasked over TLS.
    HintsForm {
        /// As they should be.
        Ok = "ok",
        /// None came.
        Absent = "absent",
        /// Some of the three lack.
        Partial = "partial",
        /// They are no structured fields (RFC 8941).
        Malformed = "malformed",
        /// They came from a browser that sends none: Firefox, Safari, anything on iOS.
        Foreign = "foreign",
    }
}

words! {
    /// Whether client hints and user agent say the same.
    HintsAgent {
        /// They do.
        Ok = "ok",
        /// Another version of Chromium.
        Version = "version",
        /// Another operating system.
        Platform = "platform",
        /// A phone here, none there.
        Device = "device",
    }
}

words! {
    /// Fetch metadata of a request for a page; where several things are wrong, the gravest.
    FetchMetadata {
        /// As they should be.
        Ok = "ok",
        /// None came.
        Absent = "absent",
        /// Some of the three lack.
        Partial = "partial",
        /// Words that the standard does not have.
        Malformed = "malformed",
        /// A document that is not navigated to.
        NotNavigation = "not_navigation",
        /// Nobody sent the visitor, and yet there is a `Referer`.
        NoneWithReferer = "none_with_referer",
        /// From the shop itself, but the `Referer` is another site's.
        ForeignReferer = "foreign_referer",
        /// From the shop itself, without a `Referer`.
        OwnWithoutReferer = "own_without_referer",
    }
}

words! {
    /// `Accept` of a request for a page.
    Accept {
        /// As the claimed browser writes it.
        Ok = "ok",
        /// `*/*` and nothing else.
        Any = "any",
        /// Something else.
        Odd = "odd",
    }
}

words! {
    /// `Accept-Encoding`.
    Encodings {
        /// As the claimed browser writes it.
        Ok = "ok",
        /// Without a coding that it reads, or not there at all.
        Short = "short",
        /// Other codings, or in another order.
        Odd = "odd",
    }
}

words! {
    /// Which fields a request for a page has.
    Fields {
        /// Those of the claimed browser.
        Ok = "ok",
        /// One lacks that it always sends.
        Missing = "missing",
        /// One is there that it never sends.
        Foreign = "foreign",
    }
}

words! {
    /// A handshake, measured by what a whole family does; never by one fingerprint.
    TlsFamily {
        /// Nothing speaks against the claim.
        Ok = "ok",
        /// It does not name the host.
        NoSni = "no_sni",
        /// It does not offer TLS 1.3.
        Old = "old",
        /// It does not offer HTTP/2 first.
        NoH2 = "no_h2",
        /// No GREASE, though Chromium and Safari always send it.
        NoGrease = "no_grease",
        /// GREASE, though Firefox never sends it.
        Grease = "grease",
    }
}

words! {
    /// The opening of an HTTP/2 connection, measured likewise.
    H2Family {
        /// Nothing speaks against the claim.
        Ok = "ok",
        /// The pseudo-header fields stand in another order.
        Order = "order",
        /// Other settings than the family sends.
        Settings = "settings",
        /// A weight that the family never gives.
        Weight = "weight",
    }
}
