//! A plain tree that html5ever builds, and its printed form: what a browser makes of a page. Must not judge it.

use std::borrow::Cow;
use std::cell::Cell;
use std::cell::RefCell;
use std::fmt::Write;

use html5ever::Attribute;
use html5ever::LocalName;
use html5ever::Namespace;
use html5ever::ParseOpts;
use html5ever::QualName;
use html5ever::interface::ElemName;
use html5ever::interface::ElementFlags;
use html5ever::interface::NodeOrText;
use html5ever::interface::QuirksMode;
use html5ever::interface::TreeSink;
use html5ever::ns;
use html5ever::parse_document;
use html5ever::tendril::StrTendril;
use html5ever::tendril::TendrilSink;
use html5ever::tokenizer::TokenizerOpts;

#[derive(Debug)]
enum Kind {
    /// The document, or a template's contents.
    Root,
    Doctype(String),
    Comment(String),
    Text(String),
    Element {
        name: QualName,
        attributes: Vec<(String, String)>,
        contents: usize,
        integration: bool,
    },
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    parent: Option<usize>,
    children: Vec<usize>,
}

/// A parsed page.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    mode: QuirksMode,
}

/// Parses a page as a browser with scripts on would.
pub(super) fn parse(page: &[u8]) -> Tree {
    let sink = Sink {
        nodes: RefCell::new(vec![Node { kind: Kind::Root, parent: None, children: Vec::new() }]),
        mode: Cell::new(QuirksMode::NoQuirks),
    };
    // html5ever would drop a byte order mark behind every script too; a browser drops the page's first bytes only.
    let options =
        ParseOpts { tokenizer: TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() }, ..ParseOpts::default() };
    let text = page.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(page);
    parse_document(sink, options).from_utf8().one(text)
}

impl Tree {
    /// The page's head element.
    pub(super) fn head(&self) -> usize {
        let html = self.nodes[0].children.iter().copied().find(|node| self.name(*node) == Some("html")).expect("an html element");
        self.nodes[html].children.iter().copied().find(|node| self.name(*node) == Some("head")).expect("a head element")
    }

    /// An element's child elements.
    pub(super) fn elements(&self, parent: usize) -> Vec<usize> {
        self.nodes[parent].children.iter().copied().filter(|node| self.name(*node).is_some()).collect()
    }

    /// All elements of the page that have this name.
    pub(super) fn named(&self, name: &str) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.name(*node) == Some(name)).collect()
    }

    /// An element's name.
    pub(super) fn name(&self, node: usize) -> Option<&str> {
        if let Kind::Element { name, .. } = &self.nodes[node].kind { Some(&name.local) } else { None }
    }

    /// An element's attributes, sorted by name.
    pub(super) fn attributes(&self, node: usize) -> &[(String, String)] {
        if let Kind::Element { attributes, .. } = &self.nodes[node].kind { attributes } else { &[] }
    }

    /// The text inside a node, without that of its elements.
    pub(super) fn text(&self, node: usize) -> String {
        self.nodes[node]
            .children
            .iter()
            .map(|child| if let Kind::Text(text) = &self.nodes[*child].kind { text } else { "" })
            .collect()
    }

    /// Takes an element out; the texts around it become one.
    pub(super) fn take_out(&mut self, node: usize) {
        let parent = self.nodes[node].parent.expect("a parent");
        let at = self.nodes[parent].children.iter().position(|child| *child == node).expect("a child of its parent");
        self.nodes[parent].children.remove(at);
        let around = (at.checked_sub(1).map(|at| self.nodes[parent].children[at]), self.nodes[parent].children.get(at).copied());
        if let (Some(before), Some(after)) = around
            && let Kind::Text(tail) = &self.nodes[after].kind
        {
            let tail = tail.clone();
            if let Kind::Text(text) = &mut self.nodes[before].kind {
                text.push_str(&tail);
                self.nodes[parent].children.remove(at);
            }
        }
    }

    /// Whether head and body hold nothing at all.
    pub(super) fn is_bare(&self) -> bool {
        ["head", "body"].iter().all(|name| self.named(name).iter().all(|node| self.nodes[*node].children.is_empty()))
    }

    /// Takes the white space out that stands directly in the head.
    pub(super) fn trim_head(&mut self) {
        let head = self.head();
        let blank = |node: &usize| matches!(&self.nodes[*node].kind, Kind::Text(text) if text.trim_ascii().is_empty());
        let kept = self.nodes[head].children.iter().copied().filter(|node| !blank(node)).collect();
        self.nodes[head].children = kept;
    }

    /// The tree, a node a line.
    pub(super) fn print(&self) -> String {
        let mut out = format!("{:?}\n", self.mode);
        self.print_children(0, 0, &mut out);
        out
    }

    fn print_children(&self, node: usize, depth: usize, out: &mut String) {
        for child in &self.nodes[node].children {
            let _ = match &self.nodes[*child].kind {
                Kind::Root => Ok(()),
                Kind::Doctype(text) => writeln!(out, "{:depth$}<!{text}>", ""),
                Kind::Comment(text) => writeln!(out, "{:depth$}<!-- {text:?} -->", ""),
                Kind::Text(text) => writeln!(out, "{:depth$}{text:?}", ""),
                Kind::Element { name, attributes, contents, .. } => {
                    let _ = writeln!(out, "{:depth$}<{:?} {} {attributes:?}>", "", name.ns, name.local);
                    self.print_children(*contents, depth + 4, out);
                    Ok(())
                }
            };
            self.print_children(*child, depth + 2, out);
        }
    }
}

struct Sink {
    nodes: RefCell<Vec<Node>>,
    mode: Cell<QuirksMode>,
}

#[derive(Debug)]
struct Name(QualName);

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl Sink {
    fn add(&self, kind: Kind) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { kind, parent: None, children: Vec::new() });
        nodes.len() - 1
    }

    /// Puts a node or text before the child of that number.
    fn insert(&self, parent: usize, at: usize, new: NodeOrText<usize>) {
        let node = match new {
            NodeOrText::AppendNode(node) => {
                self.remove_from_parent(&node);
                node
            }
            NodeOrText::AppendText(text) => {
                let mut nodes = self.nodes.borrow_mut();
                let before = at.checked_sub(1).map(|at| nodes[parent].children[at]);
                if let Some(before) = before
                    && let Kind::Text(old) = &mut nodes[before].kind
                {
                    old.push_str(&text);
                    return;
                }
                drop(nodes);
                self.add(Kind::Text(text.to_string()))
            }
        };
        let mut nodes = self.nodes.borrow_mut();
        nodes[node].parent = Some(parent);
        let at = at.min(nodes[parent].children.len());
        nodes[parent].children.insert(at, node);
    }
}

impl TreeSink for Sink {
    type Handle = usize;
    type Output = Tree;
    type ElemName<'a> = Name;

    fn finish(self) -> Tree {
        Tree { nodes: self.nodes.into_inner(), mode: self.mode.get() }
    }

    fn parse_error(&self, _message: Cow<'static, str>) {}

    fn get_document(&self) -> usize {
        0
    }

    fn elem_name<'a>(&'a self, target: &'a usize) -> Name {
        match &self.nodes.borrow()[*target].kind {
            Kind::Element { name, .. } => Name(name.clone()),
            other => panic!("{other:?} is no element"),
        }
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> usize {
        let mut attributes: Vec<_> =
            attributes.into_iter().map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string())).collect();
        attributes.sort();
        let contents = self.add(Kind::Root);
        self.add(Kind::Element { name, attributes, contents, integration: flags.mathml_annotation_xml_integration_point })
    }

    fn create_comment(&self, text: StrTendril) -> usize {
        self.add(Kind::Comment(text.to_string()))
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> usize {
        self.add(Kind::Comment(format!("?{target} {data}")))
    }

    fn append(&self, parent: &usize, child: NodeOrText<usize>) {
        let end = self.nodes.borrow()[*parent].children.len();
        self.insert(*parent, end, child);
    }

    fn append_based_on_parent_node(&self, element: &usize, previous: &usize, child: NodeOrText<usize>) {
        let parent = self.nodes.borrow()[*element].parent;
        if parent.is_some() { self.append_before_sibling(element, child) } else { self.append(previous, child) }
    }

    fn append_doctype_to_document(&self, name: StrTendril, public: StrTendril, system: StrTendril) {
        let node = self.add(Kind::Doctype(format!("{name} {public:?} {system:?}")));
        self.append(&0, NodeOrText::AppendNode(node));
    }

    fn get_template_contents(&self, target: &usize) -> usize {
        match &self.nodes.borrow()[*target].kind {
            Kind::Element { contents, .. } => *contents,
            other => panic!("{other:?} is no template"),
        }
    }

    fn same_node(&self, one: &usize, other: &usize) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.mode.set(mode);
    }

    fn append_before_sibling(&self, sibling: &usize, new: NodeOrText<usize>) {
        if let NodeOrText::AppendNode(node) = &new {
            self.remove_from_parent(node);
        }
        let (parent, at) = {
            let nodes = self.nodes.borrow();
            let parent = nodes[*sibling].parent.expect("a parent");
            (parent, nodes[parent].children.iter().position(|child| child == sibling).expect("a child"))
        };
        self.insert(parent, at, new);
    }

    fn add_attrs_if_missing(&self, target: &usize, new: Vec<Attribute>) {
        if let Kind::Element { attributes, .. } = &mut self.nodes.borrow_mut()[*target].kind {
            for attribute in new {
                let name = attribute.name.local.to_string();
                if attributes.iter().all(|(old, _)| *old != name) {
                    attributes.push((name, attribute.value.to_string()));
                }
            }
            attributes.sort();
        }
    }

    fn remove_from_parent(&self, target: &usize) {
        let mut nodes = self.nodes.borrow_mut();
        if let Some(parent) = nodes[*target].parent.take() {
            nodes[parent].children.retain(|child| child != target);
        }
    }

    fn reparent_children(&self, node: &usize, new_parent: &usize) {
        let children = std::mem::take(&mut self.nodes.borrow_mut()[*node].children);
        let mut nodes = self.nodes.borrow_mut();
        for child in &children {
            nodes[*child].parent = Some(*new_parent);
        }
        nodes[*new_parent].children.extend(children);
    }

    fn is_mathml_annotation_xml_integration_point(&self, node: &usize) -> bool {
        matches!(&self.nodes.borrow()[*node].kind, Kind::Element { name, integration: true, .. } if name.ns == ns!(mathml))
    }
}
