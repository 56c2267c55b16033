//! `clicksieve check`: loads files as the proxy would and prints every fault. Must not start anything.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::cli::Ended;
use crate::cli::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::fault::Fault;
use crate::proxy::Trust;
use crate::rules::Policy;
use crate::server::tls::certificates::Certificates;

/// Checks files; all faults of all files.
pub(super) fn check(files: &[PathBuf], out: &mut dyn Write, err: &mut dyn Write) -> Ended {
    let mut ended = Ended::Well;
    for file in files {
        match file_faults(file) {
            Ok((what, warnings)) => {
                for warning in &warnings {
                    say(err, format_args!("warning: {warning}"));
                }
                say(out, format_args!("{}: {what}, no faults", file.display()));
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

fn file_faults(file: &Path) -> Result<(String, Vec<Fault>), Vec<Fault>> {
    let bytes = std::fs::read(file)
        .map_err(|error| vec![Fault::of_file(&file.display().to_string(), format!("cannot be read: {error}"))])?;
    if is_rule_file(&bytes) {
        let policy = checked(file)?;
        return Ok((format!("rules {}", policy.digest()), policy.warnings().to_vec()));
    }
    // Secrets need not be set where a file is only checked.
    let config = Config::load(file, &|_| Some("checked".to_owned()))?;
    let rules = config.rules.as_deref().map(checked).transpose();
    let files = config.tls.iter().flat_map(|tls| tls.certificates.iter().cloned()).collect::<Vec<_>>();
    let certificates = if files.is_empty() { Ok(None) } else { Certificates::load(&files, Clock::system().now()).map(Some) };
    let named = config.upstream_ca.iter().chain(config.sites.iter().filter_map(|site| site.upstream_ca.as_ref()));
    let unsound: Vec<Fault> = named.filter_map(|path| Trust::of_file(path).err()).collect();
    let authorities = if unsound.is_empty() { Ok(()) } else { Err(unsound) };
    match (rules, certificates, authorities) {
        (Ok(_), Ok(certificates), Ok(())) => {
            let warnings = certificates.map(|certificates| certificates.warnings().to_vec()).unwrap_or_default();
            Ok(("configuration".to_owned(), warnings))
        }
        (rules, certificates, authorities) => {
            Err(rules.err().into_iter().chain(certificates.err()).chain(authorities.err()).flatten().collect())
        }
    }
}

/// A rule file that loads and whose cases hold.
fn checked(file: &Path) -> Result<Policy, Vec<Fault>> {
    let policy = Policy::load(file)?;
    let failed = policy.run_cases();
    if failed.is_empty() { Ok(policy) } else { Err(failed) }
}

/// A rule file says so by `schema: clicksieve/rules/…`; so does, by its other keys, one that forgot to.
fn is_rule_file(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut keys = text.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key);
    keys.any(|key| matches!(key, "schema" | "signals" | "classify" | "policy"))
}
