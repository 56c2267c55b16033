//! Whole documents with html5ever as the oracle: the injected page's tree is the page's own tree with our script as the
//! first element of its head. Documents are the tree construction cases of html5lib-tests, and made from pieces that matter
//! before a head.

use clicksieve::inject::Coding;
use proptest::proptest;
use proptest::sample::select;

use super::feed::Cuts;
use super::feed::gunzip;
use super::feed::gzip;
use super::feed::inject;
use super::tree::parse;

/// What a page may hold before and around its head; openings, oddities and what only looks like a tag.
const PIECES: [&str; 86] = [
    "<!DOCTYPE html>",
    "<!doctype HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">",
    "<!doctype>",
    "<!DOCTYPE html SYSTEM 'a>b'>",
    "<!doct",
    "<!DOCTYPEhtml>",
    "<html>",
    "<HTML lang='a>b' class=x/y>",
    "<html a=\"<head>\">",
    "<html/>",
    "<html\n",
    "<htmlx>",
    "</html>",
    "<html =a>",
    "<html a='",
    "<head>",
    "<HEAD\tdata-x=\">\">",
    "<head/>",
    "<head/ id=1>",
    "</head>",
    "<header>",
    "<head",
    "</head ",
    "<head a=b\u{C}c>",
    "<hea",
    "<head\0>",
    "<body>",
    "<body class=y>",
    "</body>",
    "<frameset>",
    "<frame>",
    "</frameset>",
    "<noframes><head></noframes>",
    "<!-- c -->",
    "<!-->",
    "<!--->",
    "<!-- <head> --!>",
    "<!--a--b-->",
    "<!---!>",
    "<!--",
    "--",
    "!",
    "-->",
    "<!--<!-- x -->",
    "<!-x>",
    "<!>",
    "<?xml version='1.0'?>",
    "<?",
    "<![CDATA[<x]]>",
    "</>",
    "</ x>",
    "</p>",
    "</br>",
    "</a b='>'>",
    "</head/>",
    "</html a=\">\">",
    "</1>",
    "</",
    "<title>t<head></title>",
    "<meta charset=utf-8>",
    "<base href=/>",
    "<script>1<head></script>",
    "<style><head></style>",
    "<template><head></template>",
    "<noscript><head></noscript>",
    "<link rel=a>",
    "<p>",
    "<table><tr>x",
    "<svg><head></svg>",
    "<plaintext>",
    "<textarea>",
    "<select><option>",
    "<math><mi>",
    " ",
    "\n",
    "\t\u{C}\r\n",
    "x",
    "é",
    "\u{FEFF}",
    "&amp;",
    "\0",
    "<",
    ">",
    "< p>",
    "='\"",
    "/",
];

/// Whether the page was injected; fails where the tree is not the page's own with the script first in its head.
fn check(page: &[u8]) -> bool {
    let name = String::from_utf8_lossy(page);
    let mut own = parse(page);
    let whole = inject(page, Cuts::Whole, Coding::Identity, true).unwrap();
    for cuts in [Cuts::Bytes(usize::MAX), Cuts::Random(page.len() as u64 * 0x9E37_79B9 + 1)] {
        assert!(inject(page, cuts, Coding::Identity, true).unwrap() == whole, "{name:?} {cuts:?}");
    }
    if whole == page {
        // A page that ends within `<` or `</` shows them as text; nothing else is in it.
        let cut = page.ends_with(b"<") || page.ends_with(b"</");
        assert!(own.is_bare() || cut, "{name:?} went without the script\n{}", own.print());
        return false;
    }
    let mut ours = parse(&whole);
    let first = ours.elements(ours.head()).first().copied().expect("an element in the head");
    assert!(ours.attributes(first) == [("data-cs".to_owned(), "x".to_owned())], "{name:?}\n{}", ours.print());
    ours.take_out(first);
    assert_eq!(ours.print(), own.print(), "{name:?} became {:?}", String::from_utf8_lossy(&whole));

    let packed = gzip(page);
    assert!(gunzip(&inject(&packed, Cuts::Random(7), Coding::Gzip, false).unwrap()) == whole, "{name:?} encoded again");
    // The splice may move white space into the head and nothing else.
    let mut spliced = parse(&gunzip(&inject(&packed, Cuts::Whole, Coding::Gzip, true).unwrap()));
    let first = spliced.elements(spliced.head()).first().copied().expect("an element in the head");
    spliced.take_out(first);
    spliced.trim_head();
    own.trim_head();
    assert_eq!(spliced.print(), own.print(), "{name:?} spliced");
    true
}

proptest! {
    #[test]
    fn the_tree_gains_our_script_and_nothing_else(pieces in proptest::collection::vec(select(&PIECES[..]), 0..9)) {
        check(pieces.concat().as_bytes());
    }

    #[test]
    fn an_ordinary_opening_with_oddities_behind_it_keeps_its_tree(pieces in proptest::collection::vec(select(&PIECES[..]), 0..6)) {
        check(format!("<!DOCTYPE html>\n<html lang=en>\n<head>{}", pieces.concat()).as_bytes());
    }
}

/// The inputs of one file of cases that are whole documents.
fn cases(file: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let (mut data, mut part): (Vec<&[u8]>, &[u8]) = (Vec::new(), b"");
    let mut fragment = false;
    for line in file.split(|byte| *byte == b'\n').chain([&b"#data"[..]]) {
        match line {
            b"#data" => {
                if !part.is_empty() && !fragment {
                    found.push(data.join(&b'\n'));
                }
                (data, part, fragment) = (Vec::new(), line, false);
            }
            b"#errors" => part = line,
            b"#document-fragment" if part == b"#errors" => fragment = true,
            _ if part == b"#data" => data.push(line),
            _ => {}
        }
    }
    found
}

#[test]
fn the_cases_of_html5lib_keep_their_tree() {
    let (injected, bare): (Vec<_>, Vec<_>) =
        cases(include_bytes!("../data/html5lib/documents.dat")).into_iter().partition(|page| check(page));
    println!("{} injected, {} end before their head begins", injected.len(), bare.len());
    assert!(injected.len() > 1_000);
}
