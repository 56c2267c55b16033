//! `clicksieve normalise`: JSON Lines with `field` and `input` in, the same lines with the normalised value and what goes on
//! the wire out. For finding out why match quality is low. Must not keep or log a value.

use std::io::Read;
use std::io::Write;

use serde_json::Map;
use serde_json::Value;

use crate::cli::Ended;
use crate::cli::lines;
use crate::cli::say;
use crate::event::user;

/// Normalises a stream; ends wrong where a value cannot be used.
pub(super) fn normalise(
    country_code: Option<String>,
    input: Box<dyn Read + Send>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Ended {
    if country_code.as_deref().is_some_and(|code| !(1..=3).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_digit())) {
        say(err, "`--country-code` must be a calling code of 1 to 3 digits\nhint: 49 for Germany, 1 for the United States");
        return Ended::Failed;
    }
    let settings = user::Settings { default_country_code: country_code, ..user::Settings::default() };
    let done = lines::pump(input, out, || |fields: &mut Map<String, Value>| enrich(&settings, fields));
    lines::ended(done, err)
}

fn enrich(settings: &user::Settings, fields: &mut Map<String, Value>) -> Result<(), String> {
    let Some(Value::String(field)) = fields.get("field") else { return Err("`field` is not a text".to_owned()) };
    let input = match fields.get("input") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        None | Some(Value::Null) => String::new(),
        Some(_) => return Err("`input` is not a text".to_owned()),
    };
    let normal = user::value(field, &input, settings).map_err(|why| why.to_string())?;
    let (normalized, output) = normal.map(|normal| (normal.normalized, normal.output)).unzip();
    fields.insert("normalized".to_owned(), Value::from(normalized));
    fields.insert("output".to_owned(), Value::from(output));
    Ok(())
}
