//! Country and autonomous system of an address from a MaxMind DB file. Promises: a broken file is refused when it is
//! loaded; what slips through answers "not known"; no panic, no endless loop. Must not know networks' kinds.

use std::borrow::Cow;
use std::net::IpAddr;

use maxminddb::PathElement;
use maxminddb::Reader;

use crate::fault::Fault;

/// Largest file in bytes; the largest commercial databases of country or ASN are below 100 MB.
const FILE: usize = 512 << 20;

/// A database of addresses, checked when it was loaded.
#[derive(Debug)]
pub struct Mmdb {
    reader: Reader<Cow<'static, [u8]>>,
}

impl Mmdb {
    /// Takes a database that came with the program: only its head is checked, its content by a test.
    ///
    /// # Errors
    /// The file is no MaxMind DB.
    pub fn embedded(path: &str, bytes: &'static [u8]) -> Result<Self, Fault> {
        Self::open(path, Cow::Borrowed(bytes))
    }

    /// Takes an operator's database: its whole search tree and every record are walked, bounded by the file's size.
    ///
    /// # Errors
    /// The file is no MaxMind DB or is damaged.
    pub fn load(path: &str, bytes: Vec<u8>) -> Result<Self, Fault> {
        let database = Self::open(path, Cow::Owned(bytes))?;
        database.reader.verify().map_err(|error| refused(path, &error))?;
        Ok(database)
    }

    fn open(path: &str, bytes: Cow<'static, [u8]>) -> Result<Self, Fault> {
        if bytes.len() > FILE {
            return Err(Fault::of_file(path, format!("file of {} bytes", bytes.len()))
                .hint(format!("databases have at most {FILE} bytes")));
        }
        Reader::from_source(bytes).map(|reader| Self { reader }).map_err(|error| refused(path, &error))
    }

    /// The number of the autonomous system that announces an address; `None` where it is not known.
    pub fn asn(&self, address: IpAddr) -> Option<u32> {
        self.field(address, &[PathElement::Key("autonomous_system_number")]).filter(|number| *number > 0)
    }

    /// The name of the organisation behind the autonomous system of an address.
    pub fn organisation(&self, address: IpAddr) -> Option<&str> {
        self.field(address, &[PathElement::Key("autonomous_system_organization")])
    }

    /// ISO 3166 alpha-2 country of an address, upper case; flat `country_code` records and `country.iso_code` ones.
    pub fn country(&self, address: IpAddr) -> Option<[u8; 2]> {
        let code: &str = self
            .field(address, &[PathElement::Key("country_code")])
            .or_else(|| self.field(address, &[PathElement::Key("country"), PathElement::Key("iso_code")]))?;
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_alphabetic).then(|| code.map(|letter| letter.to_ascii_uppercase()))
    }

    fn field<'a, T: serde::Deserialize<'a>>(&'a self, address: IpAddr, path: &[PathElement<'_>]) -> Option<T> {
        self.reader.lookup(address.to_canonical()).ok()?.decode_path(path).ok().flatten()
    }
}

fn refused(path: &str, error: &maxminddb::MaxMindDbError) -> Fault {
    Fault::of_file(path, format!("not a sound MaxMind DB: {error}")).hint("download the file again and compare its checksum")
}
