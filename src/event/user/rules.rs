//! The documentation's rule for each hashed key, one function each. Must not know hashing.

use crate::event::user::Settings;
use crate::event::user::places;

/// Without white space, byte-order marks and zero-width characters at the ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Words that a template leaves behind where it had no value.
pub(super) fn says_nothing(text: &str) -> bool {
    ["null", "undefined", "none"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The normalised value of a trimmed raw one.
pub(super) fn apply(key: &str, text: &str, settings: &Settings) -> Option<String> {
    let normal = match key {
        "em" => mail(text)?,
        "ph" => phone(text, settings)?,
        "fn" | "ln" => name(text),
        "f5first" | "f5last" => name(text).chars().take(5).collect(),
        "fi" => name(text).chars().take(1).collect(),
        "ge" => gender(text)?.to_owned(),
        "db" => birthday(text)?,
        "dobd" => two_digits(text, 31)?,
        "dobm" => two_digits(text, 12)?,
        "doby" => year(text)?,
        "ct" => letters(text),
        "st" => state(text),
        "zp" => zip(text),
        "country" => places::country(&letters(text))?.to_owned(),
        // The same person must have the same id in every channel; only the shop knows whether case matters in it.
        "external_id" => text.to_owned(),
        _ => return None,
    };
    (!normal.is_empty()).then_some(normal)
}

/// The forms that Meta's business SDKs and its param builder give a name, a city or a zip code.
pub(super) fn other_forms(key: &str, text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let without = |unwanted: fn(char) -> bool| lower.chars().filter(|c| !unwanted(*c)).collect::<String>();
    match key {
        "fn" | "ln" => vec![lower.clone(), without(|c| c.is_whitespace() || c.is_ascii_punctuation())],
        "ct" => vec![
            without(|c| c.is_ascii_digit() || c.is_whitespace() || matches!(c, '.' | '-' | '(' | ')')),
            without(|c| !c.is_ascii_alphanumeric()),
        ],
        "zp" => {
            let before_dash = lower.split('-').next().unwrap_or_default();
            vec![before_dash.chars().filter(|c| !c.is_whitespace()).collect(), before_dash.to_owned()]
        }
        _ => Vec::new(),
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}')
}

fn mail(text: &str) -> Option<String> {
    let lower = text.strip_prefix("mailto:").unwrap_or(text).to_lowercase();
    let (local, domain) = lower.split_once('@')?;
    let inner = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>' | '@');
    let (host, top) = domain.rsplit_once('.')?;
    let fits = !local.is_empty() && !host.is_empty() && !top.is_empty() && !local.contains(inner) && !domain.contains(inner);
    (fits && lower.len() <= 254).then_some(lower)
}

/// The digit a character stands for, also full-width, Arabic-Indic, Persian and Devanagari ones.
fn digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let value = match c {
        '0'..='9' => return Some(c),
        '\u{ff10}'..='\u{ff19}' => code - 0xff10,
        '\u{0660}'..='\u{0669}' => code - 0x0660,
        '\u{06f0}'..='\u{06f9}' => code - 0x06f0,
        '\u{0966}'..='\u{096f}' => code - 0x0966,
        _ => return None,
    };
    char::from_digit(value, 10)
}

/// Digits with country code and without leading zeros; 7 to 15 of them (E.164).
fn phone(text: &str, settings: &Settings) -> Option<String> {
    let lower = text.to_lowercase();
    let end = ["ext", ";", "#", "x"].iter().filter_map(|word| lower.find(word)).filter(|at| has_digits(&lower, *at, 7)).min();
    let number = end.and_then(|end| lower.get(..end)).unwrap_or(&lower);
    // A trunk zero in parentheses is dialled only inside the country.
    let number = if number.contains(['+', '＋']) || number.trim_start().starts_with("00") {
        number.replace("(0)", "")
    } else {
        number.to_owned()
    };
    let plus = number.contains(['+', '＋']);
    let all: String = number.chars().filter_map(digit).collect();
    let significant = all.trim_start_matches('0');
    let zeros = all.len() - significant.len();
    let digits = match &settings.default_country_code {
        Some(code) if zeros == 1 && !plus => format!("{}{significant}", code.chars().filter_map(digit).collect::<String>()),
        _ => significant.to_owned(),
    };
    (7..=15).contains(&digits.len()).then_some(digits)
}

fn has_digits(text: &str, before: usize, least: usize) -> bool {
    text.get(..before).is_some_and(|head| head.chars().filter_map(digit).count() >= least)
}

/// Lower case without punctuation; single spaces stay, since the documentation is silent on them.
fn name(text: &str) -> String {
    let bare: String = text.to_lowercase().chars().filter(|c| !is_punctuation(*c) && !is_invisible(*c)).collect();
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lower case without punctuation, spaces and digits.
fn letters(text: &str) -> String {
    let kept = |c: &char| !c.is_whitespace() && !is_punctuation(*c) && !is_invisible(*c) && digit(*c).is_none();
    text.to_lowercase().chars().filter(kept).collect()
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{00a1}' | '\u{00a7}' | '\u{00ab}' | '\u{00b4}' | '\u{00b7}' | '\u{00bb}' | '\u{00bf}')
        || matches!(c, '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}')
        || matches!(c, '\u{060c}' | '\u{061b}' | '\u{061f}' | '\u{ff01}'..='\u{ff0f}' | '\u{02bc}')
}

fn gender(text: &str) -> Option<&'static str> {
    match letters(text).as_str() {
        "f" | "female" | "woman" | "girl" | "femme" | "weiblich" | "frau" | "mujer" | "donna" => Some("f"),
        "m" | "male" | "man" | "boy" | "homme" | "männlich" | "mann" | "hombre" | "uomo" => Some("m"),
        _ => None,
    }
}

/// A date as `YYYYMMDD`. Month first where both orders are possible, as in the documentation's own example.
fn birthday(text: &str) -> Option<String> {
    let folded: String = text.chars().map(|c| digit(c).unwrap_or(c)).collect();
    let date = folded.split(['T', ' ']).next().unwrap_or(&folded);
    let parts: Vec<&str> = date.split(['-', '/', '.']).filter(|part| !part.is_empty()).collect();
    let number = |part: &str| part.parse::<u32>().ok();
    let (year, month, day) = match parts.as_slice() {
        [all] if all.len() == 8 => (number(all.get(..4)?)?, number(all.get(4..6)?)?, number(all.get(6..)?)?),
        [year, month, day] if year.len() == 4 => (number(year)?, number(month)?, number(day)?),
        [first, second, year] if year.len() == 4 => {
            let (first, second) = (number(first)?, number(second)?);
            // Points are European: day first.
            if first > 12 || (date.contains('.') && second <= 12) {
                (number(year)?, second, first)
            } else {
                (number(year)?, first, second)
            }
        }
        _ => return None,
    };
    let checked = jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    (checked.is_ok() && (1_800..=2_200).contains(&year)).then(|| format!("{year:04}{month:02}{day:02}"))
}

fn two_digits(text: &str, most: u32) -> Option<String> {
    let number = folded(text)?.parse::<u32>().ok()?;
    (1..=most).contains(&number).then(|| format!("{number:02}"))
}

fn year(text: &str) -> Option<String> {
    folded(text).filter(|year| year.len() == 4 && year.as_str() >= "1800" && year.as_str() <= "2200")
}

fn folded(text: &str) -> Option<String> {
    text.chars().map(digit).collect()
}

fn state(text: &str) -> String {
    let upper = text.to_uppercase();
    let bare = letters(upper.strip_prefix("US-").unwrap_or(text));
    places::state(&bare).map_or(bare, str::to_owned)
}

/// Lower case without spaces and dashes; of a US ZIP+4 the first five digits.
fn zip(text: &str) -> String {
    let folded: String = text.to_lowercase().chars().map(|c| digit(c).unwrap_or(c)).collect();
    let is_dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{ff0d}');
    let is_digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((five, four)) = folded.split_once(is_dash)
        && is_digits(five.trim(), 5)
        && is_digits(four.trim(), 4)
    {
        return five.trim().to_owned();
    }
    folded.chars().filter(|c| c.is_alphanumeric()).collect()
}
