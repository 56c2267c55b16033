//! Country and autonomous system of an address from a MaxMind DB file. Promises: a broken file is refused when it is
//! loaded; what slips through answers "not known"; no panic, no endless loop. Must not know networks' kinds.

use std::collections::HashSet;
use std::net::IpAddr;

use maxminddb::LookupResult;
use maxminddb::MaxMindDbError;
use maxminddb::PathElement;
use maxminddb::Reader;
use maxminddb::WithinOptions;
use serde::de::IgnoredAny;

use crate::fault::Fault;

/// Largest file in bytes; the largest commercial databases of country or ASN are below 100 MB.
const FILE: usize = 512 << 20;

/// What is known of an address that hides somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the four flags of the database's record, independent of one another")]
pub struct Anonymity {
    /// A Tor exit.
    pub tor: bool,
    /// A VPN's exit.
    pub vpn: bool,
    /// A public or residential proxy.
    pub proxy: bool,
    /// A hosting provider's network.
    pub hosting: bool,
}

/// A database of addresses, checked when it was loaded.
#[derive(Debug)]
pub struct Mmdb {
    reader: Reader<Vec<u8>>,
}

impl Mmdb {
    /// Takes a database that came with the program: only its head is checked, its content by a test.
    ///
    /// # Errors
    /// The file is no MaxMind DB.
    pub fn embedded(path: &str, bytes: Vec<u8>) -> Result<Self, Fault> {
        Self::open(path, bytes)
    }

    /// Takes an operator's database: its whole search tree and every record are walked, bounded by the file's size.
    ///
    /// # Errors
    /// The file is no MaxMind DB or is damaged.
    pub fn load(path: &str, bytes: Vec<u8>) -> Result<Self, Fault> {
        let database = Self::open(path, bytes)?;
        database.walk().map_err(|error| refused(path, &error))?;
        Ok(database)
    }

    /// Visits every network and decodes every record once. The reader's own `verify` also asks for a description, which
    /// free databases leave out.
    fn walk(&self) -> Result<(), MaxMindDbError> {
        let mut seen = HashSet::new();
        let most = usize::try_from(self.reader.metadata().node_count).unwrap_or(usize::MAX).saturating_mul(3);
        for (count, network) in self.reader.networks(WithinOptions::default())?.enumerate() {
            let found = network?;
            if count > most {
                return Err(MaxMindDbError::invalid_database("the search tree runs in a circle"));
            }
            if found.offset().is_some_and(|offset| seen.insert(offset)) {
                found.decode::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn open(path: &str, bytes: Vec<u8>) -> Result<Self, Fault> {
        if bytes.len() > FILE {
            return Err(Fault::of_file(path, format!("file of {} bytes", bytes.len()))
                .hint(format!("databases have at most {FILE} bytes")));
        }
        Reader::from_source(bytes).map(|reader| Self { reader }).map_err(|error| refused(path, &error))
    }

    /// What the database holds of an address, found by one walk through its tree; `None` where it holds nothing.
    pub fn record(&self, address: IpAddr) -> Option<Record<'_>> {
        self.reader.lookup(address.to_canonical()).ok().filter(LookupResult::has_data).map(Record)
    }

    /// The number of the autonomous system that announces an address; `None` where it is not known.
    pub fn asn(&self, address: IpAddr) -> Option<u32> {
        self.record(address)?.asn()
    }

    /// The name of the organisation behind the autonomous system of an address.
    pub fn organisation(&self, address: IpAddr) -> Option<&str> {
        self.record(address)?.organisation()
    }

    /// ISO 3166 alpha-2 country of an address, upper case; flat `country_code` records and `country.iso_code` ones.
    pub fn country(&self, address: IpAddr) -> Option<[u8; 2]> {
        let record = self.record(address)?;
        let code: &str = record
            .field(&[PathElement::Key("country_code")])
            .or_else(|| record.field(&[PathElement::Key("country"), PathElement::Key("iso_code")]))?;
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_alphabetic).then(|| code.map(|letter| letter.to_ascii_uppercase()))
    }

    /// What a database of anonymous networks (`GeoIP2` Anonymous IP and those of its shape) says of an address.
    pub fn anonymity(&self, address: IpAddr) -> Anonymity {
        let Some(record) = self.record(address) else { return Anonymity::default() };
        let is = |key: &str| record.field(&[PathElement::Key(key)]).unwrap_or(false);
        Anonymity {
            tor: is("is_tor_exit_node"),
            vpn: is("is_anonymous_vpn"),
            proxy: is("is_public_proxy") || is("is_residential_proxy"),
            hosting: is("is_hosting_provider"),
        }
    }

    /// How whoever has an address is connected, as `GeoIP2` Connection-Type says it (`Cellular`, `Cable/DSL`, …).
    pub fn connection(&self, address: IpAddr) -> Option<&str> {
        self.record(address)?.field(&[PathElement::Key("connection_type")])
    }
}

/// What a database holds of one address; each part is read when it is asked for.
#[derive(Debug)]
pub struct Record<'a>(LookupResult<'a, Vec<u8>>);

impl<'a> Record<'a> {
    /// The number of the autonomous system that announces the address; `None` where it is not known.
    pub fn asn(&self) -> Option<u32> {
        self.field(&[PathElement::Key("autonomous_system_number")]).filter(|number| *number > 0)
    }

    /// The name of the organisation behind the autonomous system.
    pub fn organisation(&self) -> Option<&'a str> {
        self.field(&[PathElement::Key("autonomous_system_organization")])
    }

    fn field<T: serde::Deserialize<'a>>(&self, path: &[PathElement<'_>]) -> Option<T> {
        self.0.decode_path(path).ok().flatten()
    }
}

fn refused(path: &str, error: &MaxMindDbError) -> Fault {
    Fault::of_file(path, format!("not a sound MaxMind DB: {error}")).hint("download the file again and compare its checksum")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::shipped;

    fn folder() -> std::path::PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests", "it", "data", "mmdb"].iter().collect()
    }

    fn load(name: &str) -> Result<Mmdb, Fault> {
        Mmdb::load(name, std::fs::read(folder().join(name)).unwrap())
    }

    #[test]
    fn both_shapes_of_country_records_are_read() {
        let nested = load("GeoLite2-Country-Test.mmdb").unwrap();
        assert_eq!(nested.country("81.2.69.160".parse().unwrap()), Some(*b"GB"));
        assert_eq!(nested.country("::ffff:81.2.69.160".parse().unwrap()), Some(*b"GB"));
        let flat = Mmdb::embedded("country", shipped("country/user-country.mmdb").unwrap().bytes().unwrap()).unwrap();
        assert_eq!(flat.country("217.0.0.1".parse().unwrap()), Some(*b"DE"));
        assert_eq!(flat.country("127.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn the_announcing_system_is_read() {
        let database = load("GeoLite2-ASN-Test.mmdb").unwrap();
        assert_eq!(database.asn("1.128.0.1".parse().unwrap()), Some(1_221));
        assert_eq!(database.organisation("1.128.0.1".parse().unwrap()), Some("Telstra Pty Ltd"));
        assert_eq!(database.asn("10.0.0.1".parse().unwrap()), None);
    }

    /// Sound databases of the folder; all others are broken or hostile.
    const SOUND: [&str; 11] = [
        "GeoIP-Anonymous-Plus-Test.mmdb",
        "GeoIP-Residential-Proxy-Test.mmdb",
        "GeoIP2-Anonymous-IP-Test.mmdb",
        "GeoIP2-City-Test.mmdb",
        "GeoIP2-Connection-Type-Test.mmdb",
        "GeoIP2-Country-Test.mmdb",
        "GeoIP2-ISP-Test.mmdb",
        "GeoLite2-ASN-Test.mmdb",
        "GeoLite2-Country-Test.mmdb",
        "MaxMind-DB-test-ipv4-24.mmdb",
        "MaxMind-DB-test-ipv6-32.mmdb",
    ];

    #[test]
    fn databases_of_every_maker_and_shape_are_read() {
        let of = |name: &str| load(name).unwrap();
        assert!(SOUND.iter().all(|name| load(name).is_ok()));
        let british = "81.2.69.160".parse().unwrap();
        assert_eq!(of("GeoIP2-Country-Test.mmdb").country(british), Some(*b"GB"));
        assert_eq!(of("GeoIP2-City-Test.mmdb").country(british), Some(*b"GB"));
        assert_eq!(of("GeoIP2-Connection-Type-Test.mmdb").country(british), None);
        assert_eq!(of("GeoIP2-ISP-Test.mmdb").asn("1.128.0.1".parse().unwrap()), Some(1_221));
        // A database of IPv4 alone answers nothing for IPv6.
        assert_eq!(of("MaxMind-DB-test-ipv4-24.mmdb").asn("2001:db8::1".parse().unwrap()), None);
    }

    #[test]
    fn what_hides_somebody_is_told_apart() {
        let plain = Anonymity::default();
        let database = load("GeoIP2-Anonymous-IP-Test.mmdb").unwrap();
        for (address, expected) in [
            ("1.2.0.1", Anonymity { vpn: true, ..plain }),
            ("65.0.0.1", Anonymity { tor: true, ..plain }),
            ("71.160.223.1", Anonymity { hosting: true, ..plain }),
            ("186.30.236.1", Anonymity { proxy: true, ..plain }),
            ("abcd:1000::1", Anonymity { proxy: true, ..plain }),
            ("81.2.69.1", Anonymity { tor: true, vpn: true, proxy: true, hosting: true }),
            ("8.8.8.8", plain),
        ] {
            assert_eq!(database.anonymity(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn broken_databases_are_refused_or_answer_nothing() {
        let mut refused = 0;
        for entry in std::fs::read_dir(folder()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.contains(".mmdb") || SOUND.contains(&name.as_str()) {
                continue;
            }
            match load(&name) {
                Err(fault) => {
                    refused += 1;
                    assert!(fault.hint.is_some(), "{fault}");
                }
                Ok(database) => {
                    for address in ["1.1.1.1", "81.2.69.160", "::", "2001:db8::1", "255.255.255.255"] {
                        let address = address.parse().unwrap();
                        let known = (database.asn(address), database.country(address), database.anonymity(address));
                        assert_eq!(known, (None, None, Anonymity::default()), "{name}");
                    }
                }
            }
        }
        assert!(refused >= 10, "{refused}");
    }

    #[test]
    fn half_a_database_is_refused() {
        let whole = std::fs::read(folder().join("GeoLite2-Country-Test.mmdb")).unwrap();
        for kept in [0, 1, whole.len() / 4, whole.len() / 2, whole.len() - 200] {
            let fault = Mmdb::load("half.mmdb", whole[..kept].to_vec()).unwrap_err();
            assert!(fault.hint.is_some_and(|hint| hint.contains("download")), "{kept}");
        }
        for page in [&b"<!doctype html><title>Sign in</title>"[..], &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0]] {
            assert!(Mmdb::load("page.mmdb", page.to_vec()).is_err());
        }
    }

    #[test]
    fn the_databases_that_come_with_the_program_are_whole() {
        for path in ["asn/origin-asn.mmdb", "country/user-country.mmdb"] {
            let file = shipped(path).unwrap();
            assert_eq!(Mmdb::load(path, file.bytes().unwrap()).err(), None);
        }
    }

    #[test]
    fn a_database_cut_short_anywhere_never_panics() {
        let bytes = std::fs::read(folder().join("GeoLite2-ASN-Test.mmdb")).unwrap();
        for length in (0..bytes.len()).step_by(97) {
            if let Ok(database) = Mmdb::load("cut.mmdb", bytes[..length].to_vec()) {
                database.asn("1.128.0.1".parse().unwrap());
            }
        }
    }
}
