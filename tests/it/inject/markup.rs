//! The markup against html5ever: whatever its values, a browser finds our one or two scripts in the page, their data
//! unchanged, and nothing else.

use clicksieve::inject::PageData;
use clicksieve::inject::Settings;
use clicksieve::inject::Way;
use clicksieve::inject::snippet;
use clicksieve::inject::tag;
use clicksieve::verdict::Consent;
use clicksieve::verdict::PixelAction;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::tree::parse;

/// Text made to break out of its place.
fn hostile() -> impl Strategy<Value = String> {
    const PIECES: [&str; 24] = [
        "\"",
        "'",
        "<",
        ">",
        "&",
        "</script",
        "</script>",
        "<script>",
        "<!--",
        "-->",
        "\u{2028}",
        "\u{2029}",
        "\0",
        "\u{1}",
        "\u{7F}",
        "\r\n",
        "\t",
        "&quot;",
        "&#34",
        "\\",
        "\\u0022",
        "%22",
        "\u{1F600}",
        "]]>",
    ];
    prop_oneof![
        proptest::collection::vec(
            prop_oneof![select(&PIECES[..]).prop_map(str::to_owned), any::<char>().prop_map(String::from)],
            0..12
        )
        .prop_map(|pieces| pieces.concat()),
        "[A-Za-z0-9+/_-]{1,40}={0,2}",
        (1_usize..600).prop_map(|len| "\"<é".repeat(len)),
    ]
}

fn ways() -> impl Strategy<Value = Way> {
    prop_oneof![
        proptest::option::of(hostile()).prop_map(|nonce| Way::Inline { nonce }),
        select(vec![Way::External, Way::Fetched, Way::Nothing]),
    ]
}

proptest! {
    #[test]
    fn a_browser_sees_our_scripts_and_nothing_else(
        way in ways(),
        token in hostile(),
        prefix in hostile(),
        page in any::<u128>(),
        pixel in select(vec![PixelAction::Leave, PixelAction::Gate, PixelAction::Withhold]),
        worker in any::<bool>(),
        consent in select(vec![Consent::NotRequired, Consent::Waiting, Consent::Granted]),
    ) {
        let page = Uuid::from_u128(page);
        let settings = Settings { prefix: prefix.clone(), form_trap: worker, ..Settings::default() };
        let markup = snippet(&settings, &PageData { page, token: &token, pixel, consent, worker }, &way);
        prop_assert!(markup.is_ascii(), "it reads the same in every encoding that extends ASCII");
        let (before, behind) = ("<!doctype html><html><head>", "<title>t</title></head><body><p>x</p></body></html>");
        let mut tree = parse(&[before.as_bytes(), &markup, behind.as_bytes()].concat());
        let scripts = tree.named("script");
        let wanted = match &way {
            Way::Inline { .. } | Way::Fetched => 3,
            Way::External => 1,
            Way::Nothing => 0,
        };
        prop_assert_eq!(scripts.len(), wanted);
        prop_assert_eq!(&tree.elements(tree.head())[..wanted], &scripts[..]);
        if let Some(trap) = scripts.get(2) {
            prop_assert_eq!(tree.attributes(*trap), vec![("type".to_owned(), "text/plain".to_owned())]);
            let text = tree.text(*trap);
            prop_assert!(text.ends_with(&format!("/{}\"></a>", page.simple())) && text.starts_with("<a rel="), "{}", text);
        }
        for (number, script) in scripts.iter().take(2).enumerate() {
            let attributes = tree.attributes(*script);
            let names: Vec<&str> = attributes.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "nonce").collect();
            let value = |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
            let file = match (&way, number) {
                (Way::Inline { .. }, 0) | (Way::Fetched, _) => None,
                (Way::Inline { .. }, _) => Some("/t.js"),
                _ => Some("/s.js"),
            };
            prop_assert_eq!(names, match (&way, number) {
                (Way::Inline { .. } | Way::Fetched, 0) => vec!["data-cs"],
                (Way::Fetched, _) => vec![],
                (Way::Inline { .. }, _) => vec!["async", "src"],
                _ => vec!["data-cs", "src"],
            });
            if matches!((&way, number), (Way::Fetched, 1)) {
                let address = format!("fetch(__cs.j.u+\"/t.js?v={}\")", tag::script_hash());
                prop_assert!(tree.text(*script).starts_with(&address) && tree.text(*script).len() < 220);
            } else {
                prop_assert_eq!(tree.text(*script), if file.is_none() { tag::stub() } else { "" });
            }
            if let Some(file) = file {
                let source = value("src").expect("an address");
                prop_assert!(source.ends_with(&format!("{file}?v={}", tag::script_hash())), "{}", source);
                prop_assert!(source.bytes().all(|byte| matches!(byte, b'!'..=b'~')) && source.matches(['?', '#']).count() == 1);
            }
            if let (Some(given), Way::Inline { nonce }) = (value("nonce"), &way) {
                prop_assert_eq!(Some(given), nonce.as_deref());
            }
            if let Some(data) = value("data-cs") {
                let data: Value = serde_json::from_str(data).expect("JSON");
                let mut wanted = json!({
                    "p": page.simple().to_string(), "t": token, "x": pixel.name(), "c": serde_json::to_value(consent).unwrap(), "u": prefix,
                });
                if worker {
                    wanted["w"] = json!(1);
                    wanted["h"] = json!(1);
                }
                prop_assert_eq!(data, wanted);
            }
        }
        for script in scripts {
            tree.take_out(script);
        }
        prop_assert_eq!(tree.print(), parse([before, behind].concat().as_bytes()).print());
    }
}

#[test]
fn the_short_markup_leaves_a_meta_charset_its_room() {
    let data = PageData {
        page: Uuid::nil(),
        token: &"t".repeat(100),
        pixel: PixelAction::Withhold,
        consent: Consent::NotRequired,
        worker: true,
    };
    let len = snippet(&Settings::default(), &data, &Way::External).len();
    assert!(len + 60 < 500, "{len} bytes");
}
