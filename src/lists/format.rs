//! The form a list comes in, where its operator says so, and its readers. Promises: what is not of that form is refused with
//! file, line and reason. Must not know where the bytes come from.

use ipnetwork::IpNetwork;

use crate::fault::Fault;
use crate::lists::feed;
use crate::lists::network;
use crate::lists::network::Line;
use crate::lists::parse_numbers;
use crate::lists::parse_prefixes;
use crate::lists::table;
use crate::lists::text;

/// The form a list comes in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The content tells: JSON, a table, or lines.
    #[default]
    Auto,
    /// Lines: one network, address, range or number each; a `netset`, too.
    Text,
    /// A table, read by one column.
    Csv(Column),
    /// JSON or JSON Lines; where a key is named, only what stands below keys of that name, and all of it.
    Json(Option<String>),
    /// A warning list of MISP.
    Misp,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By its place, from 1.
    Number(usize),
    /// By its name in the first line.
    Name(String),
}

impl Format {
    /// Reads networks.
    ///
    /// # Errors
    /// All that is no network, and files of another form.
    pub fn networks(&self, path: &str, bytes: &[u8]) -> Result<Vec<IpNetwork>, Vec<Fault>> {
        let bytes = text::without_mark(bytes);
        match self {
            Self::Text if feed::is_feed(bytes) => Err(vec![other_form(path, "JSON, not lines of text", "text")]),
            Self::Auto | Self::Text => parse_prefixes(path, bytes),
            Self::Csv(column) => {
                let networks = table::column(path, bytes, column, |cell| match network::cell(cell) {
                    Line::Networks(networks) => Ok(networks),
                    wrong => Err(text::no_network(cell, &wrong)),
                })?;
                Ok(networks.into_iter().flatten().collect())
            }
            Self::Json(_) | Self::Misp if bytes.len() > text::FILE => parse_prefixes(path, bytes),
            Self::Json(_) | Self::Misp if !feed::is_feed(bytes) => {
                // Pages of HTML and their like are told for what they are.
                let fault = text::no_list(path, bytes).unwrap_or_else(|| other_form(path, "not JSON", "json"));
                Err(vec![fault])
            }
            Self::Json(field) => feed::read(path, bytes, field.as_deref()),
            Self::Misp => feed::read_warning_list(path, bytes),
        }
    }

    /// Reads numbers of autonomous systems, from lines or a table's column.
    ///
    /// # Errors
    /// All that is no such number, and files of another form.
    pub fn numbers(&self, path: &str, bytes: &[u8]) -> Result<Vec<u32>, Vec<Fault>> {
        match self {
            Self::Auto | Self::Text => parse_numbers(path, bytes),
            Self::Csv(column) => table::column(path, bytes, column, text::number),
            Self::Json(_) | Self::Misp => Err(vec![other_form(path, "numbers are read from text or a table", "text")]),
        }
    }
}

fn other_form(path: &str, message: &str, form: &str) -> Fault {
    Fault::of_file(path, message).hint(format!("the list's `format` is `{form}`; leave it out to let the content tell"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &Format, text: &str) -> Result<Vec<String>, String> {
        match format.networks("l", text.as_bytes()) {
            Ok(networks) => Ok(networks.iter().map(ToString::to_string).collect()),
            Err(faults) => {
                Err(faults.first().map(|fault| fault.to_string().lines().next().unwrap_or_default().to_owned()).unwrap())
            }
        }
    }

    #[test]
    fn lists_are_read_as_their_publishers_write_them() {
        let two = vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()];
        let csv = |name: &str| Format::Csv(Column::Name(name.to_owned()));
        let json = |key: &str| Format::Json(Some(key.to_owned()));
        for (what, format, text) in [
            ("netset", Format::Text, "# firehol\n;other\n192.0.2.0/24\n\n2001:db8::/32 # x\n"),
            ("Spamhaus DROP", Format::Text, "; Spamhaus\n192.0.2.0/24 ; SBL1\n2001:db8::/32 ; SBL2\n"),
            ("ranges", Format::Auto, "192.0.2.0-192.0.2.255\n2001:db8::/32\n"),
            ("DB-IP", Format::Auto, "192.0.2.0,192.0.2.255,AU\n2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,DE\n"),
            ("a named column", csv("network"), "asn,\"network\",name\n1,192.0.2.0/24,\"A, Inc.\"\n2,\"2001:db8::/32\",B\n"),
            ("a numbered column", Format::Csv(Column::Number(2)), "1;192.0.2.0/24;A\n2;2001:db8::/32;B\n"),
            ("a numbered column with a head", Format::Csv(Column::Number(2)), "n\tnet\n1\t192.0.2.0/24\n2\t2001:db8::/32\n"),
            (
                "AWS",
                json("ip_prefix"),
                r#"{"syncToken":"1","prefixes":[{"ip_prefix":"192.0.2.0/24","region":"x","service":"EC2"},{"ip_prefix":"2001:db8::/32"}]}"#,
            ),
            (
                "Google and Googlebot",
                Format::Auto,
                r#"{"creationTime":"2026","prefixes":[{"ipv4Prefix":"192.0.2.0/24"},{"ipv6Prefix":"2001:db8::/32","scope":"a"}]}"#,
            ),
            (
                "Azure",
                json("addressPrefixes"),
                r#"{"values":[{"name":"A","properties":{"region":"","addressPrefixes":["192.0.2.0/24","2001:db8::/32"]}}]}"#,
            ),
            (
                "Cloudflare",
                Format::Auto,
                r#"{"result":{"ipv4_cidrs":["192.0.2.0/24"],"ipv6_cidrs":["2001:db8::/32"]},"success":true}"#,
            ),
            ("Fastly", Format::Auto, r#"{"addresses":["192.0.2.0/24"],"ipv6_addresses":["2001:db8::/32"]}"#),
            (
                "Oracle",
                json("cidr"),
                r#"{"regions":[{"region":"r","cidrs":[{"cidr":"192.0.2.0/24","tags":["OCI"]},{"cidr":"2001:db8::/32"}]}]}"#,
            ),
            (
                "MISP",
                Format::Misp,
                r#"{"name":"n","version":1,"type":"cidr","list":["192.0.2.0/24","2001:db8::/32"],"matching_attributes":["ip-src"]}"#,
            ),
            (
                "MISP, told by its content",
                Format::Auto,
                r#"{"name":"n","version":1,"type":"cidr","list":["192.0.2.0/24","2001:db8::/32"]}"#,
            ),
        ] {
            assert_eq!(read(&format, text), Ok(two.clone()), "{what}");
        }
    }

    #[test]
    fn what_is_of_another_form_is_refused_with_its_place() {
        let csv = |name: &str| Format::Csv(Column::Name(name.to_owned()));
        for (format, text, said) in [
            (Format::Text, "{\"a\":\"192.0.2.0/24\"}", "l: JSON, not lines of text"),
            (Format::Text, "192.0.2.0/24\nhello\n", "l:2:1: `hello` is no network"),
            (Format::Text, "<!doctype html>", "l:1:1: an HTML or XML page, not a list"),
            (Format::Json(None), "\n<html>", "l:1:1: an HTML or XML page, not a list"),
            (Format::Json(None), "192.0.2.0/24", "l: not JSON"),
            (
                Format::Json(None),
                "{\"prefixes\":[{\"ip\":\"192.0.2.0/24\"},{\"ip\":\"2",
                "l:1:43: broken JSON: EOF while parsing a string",
            ),
            (Format::Json(None), "{\"message\":\"Not Found\"}", "l: no network in this JSON"),
            (Format::Json(Some("ip".to_owned())), "{\"ip\":\"here\"}", "l: `here` is no network"),
            (Format::Json(None), "[\"192.0.2.9-192.0.2.1\"]", "l: `192.0.2.9-192.0.2.1` ends before it begins"),
            (Format::Misp, "{\"prefixes\":[\"192.0.2.0/24\"]}", "l: not a MISP warning list"),
            (
                Format::Misp,
                r#"{"name":"n","version":1,"type":"hostname","list":["a.example"]}"#,
                "l: a warning list of type `hostname`",
            ),
            (
                Format::Auto,
                r#"{"name":"n","version":1,"type":"cidr","list":["192.0.2.1","x"]}"#,
                "l: entry 2: `\"x\"` is no network",
            ),
            (csv("net"), "a,b\n1,192.0.2.1\n", "l:1:1: there is no column `net`"),
            (csv("b"), "a,b\n1,192.0.2.1\n2\n", "l:3:1: no column 2 in this row"),
            (csv("b"), "a,b\n1,192.0.2.1\n2,x\n", "l:3:1: `x` is no network"),
            (csv("b"), "a,b\n1,\"192.0.2.1\n", "l:2:1: a quotation that does not end"),
            (csv("b"), "a,b\n1,192.0.2.1/24\n", "l:2:1: `192.0.2.1/24` has bits set behind its prefix"),
        ] {
            assert_eq!(read(&format, text), Err(said.to_owned()), "{text}");
        }
    }

    #[test]
    fn numbers_come_from_lines_or_a_column() {
        let table = Format::Csv(Column::Name("asn".to_owned()));
        assert_eq!(table.numbers("l", b"name,asn\n\"A, B\",AS64500\nC,64501\n").unwrap(), [64_500, 64_501]);
        assert_eq!(Format::Auto.numbers("l", b"AS64500 # a\n64501\n").unwrap(), [64_500, 64_501]);
        assert_eq!(table.numbers("l", b"name,asn\nA,x\n").unwrap_err()[0].line, 2);
        assert!(Format::Misp.numbers("l", b"1\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_few_faults(text in "[0-9a-f.,;:/\\\\\"{}\\[\\]\n\t# x-]{0,120}|(\\{\"(version|name|type|list|cidr)\":(1|\"cidr\"|\\[\"192.0.2.1\"\\])[,}]){0,4}") {
            let column = |name: &str| Format::Csv(Column::Name(name.to_owned()));
            let forms = [Format::Auto, Format::Text, Format::Csv(Column::Number(2)), column("x"), Format::Json(Some("cidr".to_owned())), Format::Misp];
            for form in forms {
                let faults = [form.networks("l", text.as_bytes()).err(), form.numbers("l", text.as_bytes()).err()];
                assert!(faults.iter().flatten().all(|faults| !faults.is_empty() && faults.len() <= 22));
            }
        }
    }
}
