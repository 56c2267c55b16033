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

use tokio::runtime::Runtime;

use crate::app;
use crate::app::Running;
use crate::cli::Ended;
use crate::cli::say;
use crate::clock::Clock;
use crate::demo::Places;
use crate::demo::Scenery;
use crate::demo::Stand;
use crate::demo::board::Records;
use crate::demo::front;
use crate::demo::front::Front;
use crate::demo::tour;

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
    let scenery = runtime
        .block_on(Scenery::start(places, front::account(), Arc::clone(&records), Clock::system()))
        .map_err(|error| format!("the demo cannot listen: {error}\nhint: choose other ports with `--port` and `--board-port`"))?;
    let front = Front {
        listen: port(asked.port),
        site: &scenery.shop.url(),
        graph: &scenery.graph.url(),
        state,
        rules: asked.rules.as_deref(),
        more: "",
    };
    let config = front.config().map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let running = app::start(&config, app::Options::default()).map_err(|error| error.to_string())?;
    let graph_endpoint = format!("http://{}", running.graph());
    let shop_url = format!("http://{}", running.shop());
    *held(&proxy) = Some(running);
    let stand = Stand { scenery, shop_url, graph_endpoint, records, forwarded: true };
    stand.connect();
    if asked.tour {
        let passed = runtime.block_on(tour::run(&stand, &mut &mut *out)).map_err(|error| error.to_string());
        stop(&proxy);
        return passed.map(|passed| if passed { Ended::Well } else { Ended::Wrong });
    }
    say(
        out,
        format_args!("the shop, through clicksieve   {}/?fbclid=IwAR0-demo-click-00000000&utm_content=demo", stand.shop_url),
    );
    say(out, format_args!("both halves of every event     {}", stand.scenery.board.url()));
    say(out, format_args!("Graph-compatible endpoint      {}/v26.0/{}/events", stand.graph_endpoint, front::PIXEL));
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
