//! Secrets of a configuration: an environment variable by `${NAME}`, or a file of their own. Must not print any.

use std::path::Path;

use secrecy::SecretString;

use crate::config::Environment;
use crate::yaml::Section;

/// Where secrets are looked up.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a> {
    pub(super) folder: &'a Path,
    pub(super) environment: Environment<'a>,
}

impl Secrets<'_> {
    /// The secret below `key` (as `${NAME}`) or in the file below `file_key`.
    pub(super) fn read(self, section: &Section<'_>, key: &'static str, file_key: &'static str) -> Option<SecretString> {
        let filed = self.file(section, file_key);
        let Some(node) = section.node(key) else { return filed };
        let text = section.text(key)?;
        let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            let hint = format!("use `${{NAME}}` for an environment variable, or `{file_key}`");
            section.faults().at(node, format!("`{key}` is written into the file"), Some(hint));
            return None;
        };
        let value = (self.environment)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if value.is_none() {
            let hint = format!("export {name}=… before the start");
            section.faults().at(node, format!("the environment variable `{name}` is not set"), Some(hint));
        }
        value.map(SecretString::from)
    }

    fn file(self, section: &Section<'_>, key: &'static str) -> Option<SecretString> {
        let name = section.text(key)?;
        let node = section.node(key)?;
        match std::fs::read_to_string(self.folder.join(&name)) {
            Ok(text) if !text.trim().is_empty() => Some(SecretString::from(text.trim().to_owned())),
            Ok(_) => {
                section.faults().at(node, format!("`{name}` is empty"), None);
                None
            }
            Err(error) => {
                section.faults().at(node, format!("`{name}` cannot be read: {error}"), None);
                None
            }
        }
    }
}
