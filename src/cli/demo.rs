//! `clicksieve demo`: builds the demo's pieces and the proxy between them. Must not know how either works.

use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use secrecy::SecretString;
use tokio::runtime::Runtime;

use crate::app;
use crate::app::Running;
use crate::cli::Ended;
use crate::cli::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::demo::Places;
use crate::demo::Scenery;
use crate::demo::Stand;
use crate::demo::board::Records;
use crate::demo::graph::Account;
use crate::demo::shop::Backend;
use crate::demo::tour;

const PIXEL: &str = "100200300400500";
/// Tokens of a shop that does not exist; the mock is the only one that takes them.
const TOKEN: &str = "demo-access-token";
const KEY: &str = "demo-back-end-key";

/// What the command was told.
pub(super) struct Asked {
    pub(super) tour: bool,
    pub(super) port: u16,
    pub(super) board_port: u16,
    pub(super) rules: Option<PathBuf>,
}

/// Runs the demo until it is told to stop, or the tour to its end.
pub(super) fn demo(asked: &Asked, out: &mut (dyn Write + Send), err: &mut dyn Write) -> Ended {
    let state = std::env::temp_dir().join(format!("clicksieve-demo-{}", std::process::id()));
    let ended = stand(asked, &state, out).unwrap_or_else(|reason| {
        say(err, reason);
        Ended::Failed
    });
    // What is left of a demo is nobody's data; a folder that cannot be removed harms nobody either.
    let _ = std::fs::remove_dir_all(&state);
    ended
}

fn stand(asked: &Asked, state: &Path, out: &mut (dyn Write + Send)) -> Result<Ended, String> {
    let runtime = Runtime::new().map_err(|error| format!("the demo's runtime cannot be made: {error}"))?;
    let proxy: Arc<Mutex<Option<Running>>> = Arc::default();
    let records: Records = {
        let proxy = Arc::clone(&proxy);
        Arc::new(move || held(&proxy).as_ref().map(Running::records).unwrap_or_default())
    };
    let port = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, if asked.tour { 0 } else { port }));
    let places = Places { shop: port(0), graph: port(0), board: port(asked.board_port) };
    let account = Account { pixel: PIXEL.to_owned(), token: SecretString::from(TOKEN) };
    let scenery = runtime
        .block_on(Scenery::start(places, account, Arc::clone(&records), Clock::system()))
        .map_err(|error| format!("the demo cannot listen: {error}\nhint: choose other ports with `--port` and `--board-port`"))?;
    let config = config(asked, state, &scenery, port(asked.port))?;
    let running = app::start(&config, app::Options::default()).map_err(|error| error.to_string())?;
    let graph_endpoint = format!("http://{}", running.graph());
    let shop_url = format!("http://{}", running.shop());
    let key = SecretString::from(KEY);
    scenery.shop.report_to(Backend { endpoint: graph_endpoint.clone(), key: key.clone() });
    *held(&proxy) = Some(running);
    let stand = Stand { scenery, shop_url, graph_endpoint, graph_key: key, records, forwarded: true };
    if asked.tour {
        let passed = runtime.block_on(tour::run(&stand, &mut &mut *out)).map_err(|error| error.to_string());
        stop(&proxy);
        return passed.map(|passed| if passed { Ended::Well } else { Ended::Wrong });
    }
    stand.scenery.board.link("The shop, through clicksieve", &stand.shop_url);
    say(
        out,
        format_args!("the shop, through clicksieve   {}/?fbclid=IwAR0-demo-click-00000000&utm_content=demo", stand.shop_url),
    );
    say(out, format_args!("both halves of every event     {}", stand.scenery.board.url()));
    say(out, format_args!("Graph-compatible endpoint      {}/v26.0/{PIXEL}/events", stand.graph_endpoint));
    say(out, "stop with Ctrl-C");
    let _ = runtime.block_on(tokio::signal::ctrl_c());
    stop(&proxy);
    Ok(Ended::Well)
}

fn held(proxy: &Mutex<Option<Running>>) -> MutexGuard<'_, Option<Running>> {
    proxy.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the proxy here, outside of the demo's own runtime.
fn stop(proxy: &Mutex<Option<Running>>) {
    let running = held(proxy).take();
    if let Some(running) = running {
        running.stop();
    }
}

/// The configuration that an operator would write for this shop, with the tokens in the environment.
fn config(asked: &Asked, state: &Path, scenery: &Scenery, listen: SocketAddr) -> Result<Config, String> {
    let rules = asked.rules.as_deref().map(|rules| format!("rules: {}\n", rules.display())).unwrap_or_default();
    let text = format!(
        "listen: {listen}\nupstream: {site}\nmode: warn\ncores: 1\nstate: {state}\n{rules}trusted_proxies: [127.0.0.1]\n\
         destinations:\n  - name: meta\n    pixel_id: \"{PIXEL}\"\n    access_token: ${{TOKEN}}\n    key: ${{KEY}}\n    host: {graph}\n\
         graph: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\nrecords: {{ pages: true }}\n",
        site = scenery.shop.url(),
        state = state.display(),
        graph = scenery.graph.url(),
    );
    let environment = |name: &str| match name {
        "TOKEN" => Some(TOKEN.to_owned()),
        "KEY" => Some(KEY.to_owned()),
        _ => None,
    };
    let here = std::env::current_dir().unwrap_or_default();
    let faults = |faults: Vec<crate::fault::Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Config::parse("demo", text.as_bytes(), &here, &environment).map_err(faults)
}
