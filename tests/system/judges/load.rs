//! h2load: many streams at once over a few connections of HTTP/2.

use std::process::Command;

use crate::judges::Judged;
use crate::judges::run;

#[test]
fn every_one_of_20000_requests_over_20_connections_of_50_streams_is_answered() {
    let judged = Judged::start();
    let output = run(Command::new("h2load").args(["-n", "20000", "-c", "20", "-m", "50"]).arg(judged.url("/")));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Application protocol: h2"), "{said}");
    let wanted = "20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout";
    assert!(said.contains(wanted), "{said}");
    assert!(said.contains("status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
    assert!(judged.is_ready());
}
