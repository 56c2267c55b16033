//! Meta's own tools over the same inputs: where they agree and the documentation does not differ, so do we; where they do
//! not, one of them is followed. Every exception is listed here and has its reason in `docs/normalisation.md`.

use clicksieve::event::user;
use clicksieve::event::user::Forms;
use clicksieve::event::user::Settings;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// Inputs where the documentation's rule differs from both tools; the reasons stand in `docs/normalisation.md`.
const DEVIATIONS: [&str; 11] = [
    "1770",
    "0000",
    "O'Brien",
    "Mary\u{200b}",
    "null",
    "+44 (0)20 7946 0958",
    "12",
    "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f.ABcDEFGh",
    "EC1A-1BB",
    "〒100-0001",
    "94035–1234",
];

/// Inputs on which the tools differ, and for which the documentation's rule gives what none of them gives.
const ALONE: [&str; 10] = [
    "٥",
    "١٩٩٧",
    "Anne  Marie",
    "Anne  Marie",
    "Smith, Jr.",
    "1 650 555 1212 ext. 5",
    "１６５０５５５１２１２",
    "US-CA",
    "-1234",
    "D-10115",
];

/// The vectors of hashed keys: field, input, and what the Python SDK, the Node SDK and the param builder make of it. A tool
/// that raises an error and one that drops the value both give nothing.
fn vectors() -> Vec<(String, String, [Option<String>; 3])> {
    let file: Value = serde_json::from_str(include_str!("../data/capi/vectors.json")).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let read = |vector: &Value| {
        let python = text(&vector["output"]);
        let node = vector.get("node").map_or(python.clone(), |node| text(&node["output"]));
        // What it takes for a hash already it passes on, with a suffix of its own.
        let built = |built: &Value| text(&built["sha256"]).or_else(|| text(&built["passthrough"]));
        let builder = vector.get("param_builder").map_or(python.clone(), built);
        (text(&vector["field"]).unwrap(), text(&vector["input"]).unwrap(), [python, node, builder])
    };
    let all = file["vectors"].as_array().unwrap().iter().map(read);
    all.filter(|(field, ..)| !matches!(field.as_str(), "external_id" | "currency")).collect()
}

#[test]
fn where_metas_tools_disagree_one_of_them_is_followed() {
    let mut alone = Vec::new();
    for (field, input, tools) in vectors() {
        let disputed = tools.iter().any(|tool| *tool != tools[0]);
        let ours = user::hashed(&field, &input, &Settings::default());
        // What we leave out, as an error of a tool would, is no wrong hash; what is one already is kept as it is.
        let speaks = ours.is_some() && user::as_hash(&input).is_none();
        if (disputed || tools[0].is_none()) && speaks && !tools.contains(&ours) {
            alone.push(input);
        }
    }
    assert_eq!(alone, ALONE);
}

#[test]
fn every_form_of_a_name_a_city_or_a_zip_code_is_sent_where_the_operator_wants_it() {
    let settings = Settings { forms: Forms::Every, ..Settings::default() };
    let mut sent = 0;
    for (field, input, tools) in vectors() {
        let forms = matches!(field.as_str(), "fn" | "ln" | "ct" | "zp") && user::normalise(&field, &input, &settings).is_some();
        if !forms || DEVIATIONS.contains(&input.as_str()) || ALONE.contains(&input.as_str()) {
            continue;
        }
        let raw = Map::from_iter([(field.clone(), Value::from(input.as_str()))]);
        let ours = user::clean(&raw, &settings).user_data[&field].clone();
        let ours: Vec<String> =
            if ours.is_string() { vec![serde_json::from_value(ours).unwrap()] } else { serde_json::from_value(ours).unwrap() };
        assert_eq!(Some(&ours[0]), user::hashed(&field, &input, &settings).as_ref(), "{field} {input}");
        for tool in tools.iter().flatten() {
            assert!(ours.contains(tool), "{field} `{input}`: {ours:?} lacks {tool}");
            sent += 1;
        }
    }
    assert!(sent > 150, "{sent}");
}

#[test]
fn the_documentations_own_examples_hash_as_it_says() {
    let file: Value = serde_json::from_str(include_str!("../data/capi/vectors.json")).unwrap();
    for example in file["doc_examples"].as_array().unwrap() {
        let (field, input) = (example["field"].as_str().unwrap(), example["input"].as_str().unwrap());
        let ours = user::hashed(field, input, &Settings::default()).map_or(Value::Null, Value::from);
        // Its telephone number has no country code, which it adds in silence.
        let expected = if field == "ph" { json!(user::digest("6505551212")) } else { example["output"].clone() };
        assert_eq!(ours, expected, "{field} {input}");
    }
}

#[test]
fn values_that_all_of_metas_tools_agree_on_hash_the_same_here() {
    let vectors: Value = serde_json::from_str(include_str!("../data/capi/vectors.json")).unwrap();
    let mut different = Vec::new();
    let mut agreed = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let disputed = ["error", "node", "param_builder"].iter().any(|key| vector.get(*key).is_some());
        let (field, input) = (vector["field"].as_str().unwrap(), vector["input"].as_str().unwrap());
        if disputed || field == "external_id" || field == "currency" {
            continue;
        }
        let ours = user::hashed(field, input, &Settings::default());
        if ours.as_deref() == vector["output"].as_str() {
            agreed += 1;
        } else {
            different.push(input);
        }
    }
    assert_eq!(different, DEVIATIONS);
    assert_eq!(agreed, 135);
}
