//! `clicksieve check`: loads files as the proxy would and prints every fault. Must not start anything.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::app;
use crate::cli::Ended;
use crate::cli::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::fact::FactName;
use crate::fault::Fault;
use crate::proxy::Trust;
use crate::refresh::lists;
use crate::rules::About;
use crate::rules::Policy;
use crate::server::tls::certificates::Certificates;

/// What was found in a sound file.
struct Sound {
    /// What it is, and in which version.
    what: String,
    warnings: Vec<Fault>,
    rules: Option<Policy>,
}

/// Checks files; all faults of all files. Where `list` says so, the rules of sound ones are listed.
pub(super) fn check(files: &[PathBuf], list: bool, out: &mut dyn Write, err: &mut dyn Write) -> Ended {
    let mut ended = Ended::Well;
    for file in files {
        match read(file) {
            Ok(sound) => {
                for warning in &sound.warnings {
                    say(err, format_args!("warning: {warning}"));
                }
                say(out, format_args!("{}: {}, no faults", file.display(), sound.what));
                for (id, about) in sound.rules.iter().filter(|_| list).flat_map(Policy::rules) {
                    say(out, row(id, about));
                }
            }
            Err(faults) => {
                for fault in &faults {
                    say(err, fault);
                }
                say(err, format_args!("{}: {} fault{}", file.display(), faults.len(), if faults.len() == 1 { "" } else { "s" }));
                ended = Ended::Wrong;
            }
        }
    }
    ended
}

/// One rule of the list, its fields apart by tabs.
fn row(id: &str, about: &About) -> String {
    let expires = about.expires.map_or_else(|| "-".to_owned(), |date| date.to_string());
    let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").replace(['\t', '\n'], " ");
    format!("{id}\t{}\t{expires}\t{}\t{}", about.status.name(), text(&about.owner), text(&about.title))
}

fn read(file: &Path) -> Result<Sound, Vec<Fault>> {
    let bytes = std::fs::read(file)
        .map_err(|error| vec![Fault::of_file(&file.display().to_string(), format!("cannot be read: {error}"))])?;
    if is_rule_file(&bytes) {
        let policy = checked(file)?;
        let (what, warnings) = (format!("rules {}", policy.digest()), policy.warnings().to_vec());
        return Ok(Sound { what, warnings, rules: Some(policy) });
    }
    // Secrets need not be set where a file is only checked.
    let config = Config::load(file, &|_| Some("checked".to_owned()))?;
    let rules = config.rules.as_deref().map(checked).transpose();
    let files = config.tls.iter().flat_map(|tls| tls.certificates.iter().cloned()).collect::<Vec<_>>();
    let certificates = if files.is_empty() { Ok(None) } else { Certificates::load(&files, Clock::system().now()).map(Some) };
    let named = config.upstream_ca.iter().chain(config.sites.iter().filter_map(|site| site.upstream_ca.as_ref()));
    let unsound: Vec<Fault> = named.filter_map(|path| Trust::of_file(path).err()).collect();
    let lists = lists::load(&config.lists, &app::lists_folder(&config)).faults;
    let unsound: Vec<Fault> = unsound.into_iter().chain(lists).collect();
    let others = if unsound.is_empty() { Ok(()) } else { Err(unsound) };
    match (rules, certificates, others) {
        (Ok(rules), Ok(certificates), Ok(())) => {
            let mut warnings = rules.as_ref().map(|rules| rules.warnings().to_vec()).unwrap_or_default();
            warnings.extend(rules.as_ref().and_then(|rules| hidden(file, &config, rules)));
            warnings.extend(unnamed(file, &config));
            warnings.extend(certificates.iter().flat_map(|certificates| certificates.warnings().iter().cloned()));
            Ok(Sound { what: "configuration".to_owned(), warnings, rules })
        }
        (rules, certificates, others) => {
            Err(rules.err().into_iter().chain(certificates.err()).chain(others.err()).flatten().collect())
        }
    }
}

/// The rules that say nothing of visitors who come through a proxy in front, since it hides their connection.
fn hidden(file: &Path, config: &Config, rules: &Policy) -> Option<Fault> {
    let of_connection =
        |fact: &&FactName| ["tls.", "h2.", "http.version", "http.name"].iter().any(|from| fact.name().starts_with(from));
    let facts: Vec<FactName> = FactName::ALL.iter().filter(of_connection).copied().collect();
    let silent = rules.asking(&facts);
    if config.trusted_proxies.is_empty() || silent.is_empty() {
        return None;
    }
    let message =
        format!("behind `trusted_proxies` the visitor's own connection is not seen; silent there: {}", silent.join(", "));
    Some(
        Fault::of_file(&file.display().to_string(), message)
            .hint("a JA4 that a proxy vouches for is known: `client_address: { ja4_header: … }`"),
    )
}

/// Nobody but this machine reaches a listener on its loopback address: whoever stands in front must be named.
fn unnamed(file: &Path, config: &Config) -> Option<Fault> {
    if !config.listen.ip().is_loopback() || config.tls.is_some() || !config.trusted_proxies.is_empty() {
        return None;
    }
    let message = format!("only this machine reaches `listen: {}`, and `trusted_proxies` names no proxy in front", config.listen);
    let hint = "for a proxy on this machine: `trusted_proxies: [127.0.0.1, \"::1\"]`";
    Some(Fault::of_file(&file.display().to_string(), message).hint(hint))
}

/// A rule file that loads and whose cases hold.
fn checked(file: &Path) -> Result<Policy, Vec<Fault>> {
    let policy = Policy::load_at(file, Clock::system().now())?;
    let failed = policy.run_cases();
    if failed.is_empty() { Ok(policy) } else { Err(failed) }
}

/// A rule file says so by `schema: clicksieve/rules/…`; so does, by its other keys, one that forgot to.
fn is_rule_file(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut keys = text.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key);
    keys.any(|key| matches!(key, "schema" | "signals" | "classify" | "policy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(text: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clicksieve.yaml");
        std::fs::write(&file, format!("upstream: http://127.0.0.1:3000\n{text}")).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        check(&[file], false, &mut out, &mut err);
        let said = String::from_utf8(err).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("no faults"), "{said}");
        said.contains("`trusted_proxies` names no proxy in front")
    }

    #[test]
    fn a_listener_that_only_this_machine_reaches_needs_a_named_proxy() {
        assert!(warned("listen: 127.0.0.1:8080\n"));
        assert!(warned("listen: \"[::1]:8080\"\n"));
        assert!(!warned("listen: 127.0.0.1:8080\ntrusted_proxies: [127.0.0.1]\n"));
        assert!(!warned("listen: 0.0.0.0:8080\n"));
    }
}
