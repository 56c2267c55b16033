//! A table of comma-, semicolon- or tab-separated values, read by one column (RFC 4180, without breaks of line in a cell). Promises:
//! a row without that column is a fault. Must not know what the column holds.

use std::cell::OnceCell;

use crate::fault::Fault;
use crate::lists::Column;
use crate::lists::text::Wrong;
use crate::lists::text::entries;
use crate::lists::text::shown;

/// How the table's first row says that the rest is read.
struct Head {
    mark: char,
    /// The column's place, from 0; `None` where there is no such column.
    place: Option<usize>,
}

/// Reads one column; empty cells are left out, and so are lines that begin with `#`.
///
/// # Errors
/// Rows without the column or with a quotation that does not end, and what `read` refuses.
pub(super) fn column<T>(
    path: &str,
    bytes: &[u8],
    column: &Column,
    read: impl Fn(&str) -> Result<T, Wrong>,
) -> Result<Vec<T>, Vec<Fault>> {
    let head: OnceCell<Head> = OnceCell::new();
    entries(path, bytes, |line| {
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let is_first = head.get().is_none();
        let mark = head.get().map_or_else(|| mark_of(line), |head| head.mark);
        let cells = cells(line, mark)?;
        if is_first && let Column::Name(name) = column {
            let place = cells.iter().position(|cell| cell.eq_ignore_ascii_case(name));
            let _ = head.set(Head { mark, place });
            let hint = "the first line names the columns; or give the column's number, from 1";
            return if place.is_some() {
                Ok(None)
            } else {
                Err(Wrong::new(format!("there is no column `{}`", shown(name)), hint))
            };
        }
        let place = match column {
            Column::Number(number) => number.checked_sub(1),
            Column::Name(_) => head.get().and_then(|head| head.place),
        };
        let _ = head.set(Head { mark, place });
        // That there is no such column was told of the first line.
        let Some(place) = place else { return Ok(None) };
        match cells.get(place).map(|cell| cell.trim()) {
            None => Err(Wrong::new(format!("no column {} in this row", place + 1), "half a download ends like this")),
            Some("") => Ok(None),
            Some(cell) => match read(cell) {
                Ok(value) => Ok(Some(value)),
                // A table read by a number may have a line of names all the same.
                Err(_) if is_first => Ok(None),
                Err(wrong) => Err(wrong),
            },
        }
    })
}

fn mark_of(line: &str) -> char {
    [',', ';', '\t'].into_iter().max_by_key(|mark| line.matches(*mark).count()).unwrap_or(',')
}

/// The cells of a row; in quotation marks a mark is text, and two quotation marks are one.
fn cells(line: &str, mark: char) -> Result<Vec<String>, Wrong> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '"' => {
                // The second of two inside a quotation.
                if !quoted && cell.ends_with('\u{0}') {
                    cell.pop();
                    cell.push('"');
                }
                quoted = !quoted;
                if !quoted {
                    cell.push('\u{0}');
                }
            }
            letter if letter == mark && !quoted => cells.push(std::mem::take(&mut cell).replace('\u{0}', "")),
            letter => cell.push(letter),
        }
    }
    if quoted {
        return Err(Wrong::new("a quotation that does not end".to_owned(), "cells with breaks of line are not read"));
    }
    cells.push(cell.replace('\u{0}', ""));
    Ok(cells)
}
