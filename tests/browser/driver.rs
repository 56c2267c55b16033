//! A `WebDriver` client as small as these tests need (the W3C's protocol, JSON over HTTP), with its own driver, browser and
//! profile each time, all of which end with it. Chromium by Debian's chromedriver, Firefox by geckodriver, which is looked for
//! in `GECKODRIVER` and then on the path.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

/// Which browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Chromium,
    Firefox,
}

impl Make {
    /// Every browser the tests know.
    pub(crate) const ALL: [Self; 2] = [Self::Chromium, Self::Firefox];

    /// Its driver on a port that it chooses, with its files below `folder`.
    fn driver(self, folder: &std::path::Path) -> Command {
        match self {
            Self::Chromium => {
                let mut command = Command::new("chromedriver");
                command.arg("--port=0");
                command
            }
            Self::Firefox => {
                let path = std::env::var_os("GECKODRIVER").unwrap_or_else(|| "geckodriver".into());
                let mut command = Command::new(path);
                command.args(["--port", "0", "--profile-root"]).arg(folder);
                command
            }
        }
    }

    /// Starts the driver and waits for its port; nothing if it ends before.
    fn tells_its_port(self, folder: &std::path::Path) -> Option<(Child, u16)> {
        let mut driver = self
            .driver(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("no driver for {self:?} ({error}); `tests/run` installs both"));
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| self.port(&line));
        if port.is_none() {
            driver.wait().unwrap();
        }
        // What it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        port.map(|port| (driver, port))
    }

    /// The port in a line that the driver says, if it is there.
    fn port(self, line: &str) -> Option<u16> {
        let before = match self {
            Self::Chromium => "successfully on port ",
            Self::Firefox => "Listening on 127.0.0.1:",
        };
        line.split_once(before)?.1.trim_end_matches('.').parse().ok()
    }

    /// What the browser is asked to be; `agent` replaces the user agent.
    fn options(self, agent: Option<&str>, folder: &std::path::Path) -> Value {
        match self {
            Self::Chromium => {
                let mut flags = [
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-quic",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-sync",
                    "--disable-dev-shm-usage",
                ]
                .map(str::to_owned)
                .to_vec();
                flags.push(format!("--user-data-dir={}", folder.display()));
                flags.extend(agent.map(|agent| format!("--user-agent={agent}")));
                json!({ "goog:chromeOptions": { "args": flags } })
            }
            Self::Firefox => {
                let mut prefs = json!({ "network.captive-portal-service.enabled": false,
                    "network.connectivity-service.enabled": false,
                    // A JSON answer is shown as text, as in Chromium.
                    "devtools.jsonview.enabled": false });
                if let Some(agent) = agent {
                    prefs["general.useragent.override"] = agent.into();
                }
                json!({ "moz:firefoxOptions": { "args": ["-headless"], "prefs": prefs } })
            }
        }
    }
}

/// One running browser.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    http: reqwest::Client,
    session: String,
    _profile: tempfile::TempDir,
}

/// The user agent of an ordinary Chrome of the installed Chromium's own version, reduced as Chrome reduces it.
fn ordinary() -> String {
    let told = Command::new("chromium").arg("--version").stderr(Stdio::null()).output().unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    let major = told.split([' ', '.']).find(|word| word.parse::<u32>().is_ok()).unwrap_or_else(|| panic!("no version: {told}"));
    format!("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36")
}

impl Browser {
    /// A Chromium that says it is an ordinary Chrome; to the page it still says that it is driven.
    pub(crate) async fn ordinary() -> Self {
        Self::of(Make::Chromium).await
    }

    /// A browser that says it is an ordinary one of its kind. Firefox says nothing else when it has no screen.
    pub(crate) async fn of(make: Make) -> Self {
        match make {
            Make::Chromium => Self::launch(make, Some(&ordinary())).await,
            Make::Firefox => Self::launch(make, None).await,
        }
    }

    /// A browser that says what it is, which in Chromium is that it has no screen.
    pub(crate) async fn bare(make: Make) -> Self {
        Self::launch(make, None).await
    }

    /// Starts Chromium; `agent` replaces the user agent.
    pub(crate) async fn start(agent: Option<&str>) -> Self {
        Self::launch(Make::Chromium, agent).await
    }

    async fn launch(make: Make, agent: Option<&str>) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // A port that is free in one family of addresses may be taken in the other; then chromedriver ends at once.
        let (driver, port) = (0..5).find_map(|_| make.tells_its_port(profile.path())).expect("the driver tells its port");
        let mut wanted = make.options(agent, profile.path());
        // Certificates of the tests are nobody's.
        wanted["acceptInsecureCerts"] = json!(true);
        // Looking for an element waits for it, as the page before may still be there.
        wanted["timeouts"] = json!({ "implicit": 60_000, "script": 60_000 });
        let http = crate::client();
        let base = format!("http://127.0.0.1:{port}/session");
        let asked = json!({ "capabilities": { "alwaysMatch": wanted } });
        let answer: Value = http.post(&base).json(&asked).send().await.unwrap().json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        Self { driver, port, http, session: format!("{base}/{id}"), _profile: profile }
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let answer: Value =
            self.http.post(format!("{}/{path}", self.session)).json(&body).send().await.unwrap().json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{path}: {answer}");
        answer["value"].clone()
    }

    /// Opens a page and waits until it has loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.command("url", json!({ "url": url })).await;
    }

    /// The back button.
    pub(crate) async fn back(&self) {
        self.command("back", json!({})).await;
    }

    /// The reload button.
    pub(crate) async fn reload(&self) {
        self.command("refresh", json!({})).await;
    }

    /// Runs a script before any of the page's own, on each page from now on.
    pub(crate) async fn before_each_page(&self, script: &str) {
        let asked = json!({ "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": { "source": script } });
        self.command("goog/cdp/execute", asked).await;
    }

    /// Runs a script in the page and gives what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Clicks the first element that the selector finds, with true pointer events.
    pub(crate) async fn click(&self, selector: &str) {
        let id = self.find(selector).await;
        self.command(&format!("element/{id}/click"), json!({})).await;
    }

    /// Types into the first element that the selector finds.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let id = self.find(selector).await;
        self.command(&format!("element/{id}/value"), json!({ "text": text })).await;
    }

    /// The text of the first element that the selector finds.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let path = format!("{}/element/{}/text", self.session, self.find(selector).await);
        let answer: Value = self.http.get(path).send().await.unwrap().json().await.unwrap();
        answer["value"].as_str().unwrap_or_else(|| panic!("{selector}: {answer}")).to_owned()
    }

    async fn find(&self, selector: &str) -> String {
        let found = self.command("element", json!({ "using": "css selector", "value": selector })).await;
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    /// Forgets all cookies of the page's host.
    pub(crate) async fn forget(&self) {
        self.http.delete(format!("{}/cookie", self.session)).send().await.unwrap();
    }

    /// Ends the browser in an orderly way.
    pub(crate) async fn close(self) {
        drop(self.http.delete(&self.session).send().await);
    }
}

impl Drop for Browser {
    /// A driver that is only killed would leave its browser behind where a test failed. What is closed already answers
    /// that there is no such session.
    fn drop(&mut self) {
        let path = self.session.split_once("/session").unwrap_or_default().1;
        let request = format!("DELETE /session{path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n", self.port);
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
            drop(stream.write_all(request.as_bytes()));
            drop(stream.read_to_end(&mut Vec::new()));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
