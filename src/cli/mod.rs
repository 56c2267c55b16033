//! The commands. Data goes to `out`, everything else to `err`. Exit codes: 0 fine, 1 the checked thing is wrong, 2 it could
//! not be done. Must not do a command's work itself.

mod check;
mod classify;
mod demo;
mod lines;
mod lists;
mod normalise;
mod run;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Fine.
    Well,
    /// The checked thing is wrong.
    Wrong,
    /// It could not be done.
    Failed,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Well => Self::SUCCESS,
            Ended::Wrong => Self::from(1),
            Ended::Failed => Self::from(2),
        }
    }
}

#[derive(Debug, Parser)]
#[command(name = "clicksieve", version, about = "A reverse proxy that keeps invalid ad traffic out of a shop's conversion data")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand in front of a shop.
    Run {
        /// The configuration file; docs/clicksieve.example.yaml shows every key.
        #[arg(long, value_name = "FILE", default_value = "clicksieve.yaml")]
        config: PathBuf,
    },
    /// Check configuration and rule files; every fault with its place.
    Check {
        /// List the rules too: id, status, day of expiry, owner and title.
        #[arg(long)]
        rules: bool,
        /// Files to check; a file with `schema: clicksieve/rules/v1` is a rule file.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Say what is known of addresses and user agents: JSON Lines `{"ip": …, "ua": …}` in, the same lines out with `network`
    /// and `agent`.
    Classify {
        /// A folder whose lists replace the shipped ones, as `data:` in the configuration.
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
        /// The file to read; `-` or none for standard input.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show how personal data is normalised and hashed: JSON Lines `{"field": …, "input": …}` in, the same lines out with
    /// `normalized` and `output`, or `error`.
    Normalise {
        /// The calling code for phone numbers written without one, as `phone_country_code` in the configuration.
        #[arg(long, value_name = "DIGITS")]
        country_code: Option<String>,
        /// The file to read; `-` or none for standard input.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// The lists of networks, numbers and robots: fetch, show, look up, check.
    Lists {
        #[command(subcommand)]
        command: lists::Command,
    },
    /// A demo shop, a stand-in for Meta's API and the proxy, in one process.
    Demo {
        /// Let scripted visitors come, print what happened, and end with 0 or 1.
        #[arg(long)]
        tour: bool,
        /// Where the shop is served through the proxy.
        #[arg(long, value_name = "PORT", default_value_t = 8080)]
        port: u16,
        /// Where the page that shows both halves of every event is served.
        #[arg(long, value_name = "PORT", default_value_t = 8090)]
        board_port: u16,
        /// A rule file in place of the shipped rules.
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
    },
}

/// Runs the program.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    input: Box<dyn Read + Send>,
    out: &mut (dyn Write + Send),
    err: &mut dyn Write,
) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error, out, err),
    };
    let ended = match arguments.command {
        Command::Run { config } => run::run(&config, err),
        Command::Check { rules, files } => check::check(&files, rules, out, err),
        Command::Classify { data, file } => match source(file, input) {
            Ok(input) => classify::classify(data, input, out, err),
            Err(error) => not_read(&error, err),
        },
        Command::Normalise { country_code, file } => match source(file, input) {
            Ok(input) => normalise::normalise(country_code, input, out, err),
            Err(error) => not_read(&error, err),
        },
        Command::Lists { command } => lists::run(command, out, err),
        Command::Demo { tour, port, board_port, rules } => demo::demo(&demo::Asked { tour, port, board_port, rules }, out, err),
    };
    ended.into()
}

/// What a batch command reads.
fn source(file: Option<PathBuf>, input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>, String> {
    match file.filter(|file| file.as_os_str() != "-") {
        None => Ok(input),
        Some(file) => match File::open(&file) {
            Ok(opened) => Ok(Box::new(opened)),
            Err(error) => Err(format!("{}: cannot be read: {error}", file.display())),
        },
    }
}

fn not_read(error: &str, err: &mut dyn Write) -> Ended {
    say(err, error);
    Ended::Failed
}

/// Help and version are answers; everything else is a wrong call.
fn usage(error: &clap::Error, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let text = error.render().to_string();
    let written = if error.use_stderr() { err.write_all(text.as_bytes()) } else { out.write_all(text.as_bytes()) };
    if error.use_stderr() || written.is_err() { Ended::Failed.into() } else { Ended::Well.into() }
}

/// Writes a line for a person; a closed pipe is nobody's fault.
fn say(to: &mut dyn Write, line: impl std::fmt::Display) {
    let _ = writeln!(to, "{line}");
}
