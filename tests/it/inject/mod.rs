//! Injection against oracles that are not ours: `lol_html` for the place, html5ever for the tree; every page whole,
//! byte by byte and in random cuts, plain and gzip.

mod body;
mod corpus;
mod documents;
mod feed;
mod markup;
mod pages;
mod tree;
