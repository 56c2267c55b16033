//! A `WebDriver` client as small as these tests need (the W3C's protocol, JSON over HTTP), with its own chromedriver, Chromium
//! and profile per browser, all of which end with it.

use std::io::BufRead as _;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;

/// One running browser.
pub(crate) struct Browser {
    driver: Child,
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
    /// A browser that says it is an ordinary Chrome; to the page it still says that it is driven.
    pub(crate) async fn ordinary() -> Self {
        Self::start(Some(&ordinary())).await
    }

    /// Starts Debian's chromedriver and Chromium; `agent` replaces the user agent.
    pub(crate) async fn start(agent: Option<&str>) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (apt-get install chromium chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().expect("chromedriver tells its port").unwrap();
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').parse::<u16>().unwrap();
            }
        };
        // What it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
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
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        flags.extend(agent.map(|agent| format!("--user-agent={agent}")));
        let http = crate::client();
        let base = format!("http://127.0.0.1:{port}/session");
        let asked = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": flags },
            // Looking for an element waits for it, as the page before may still be there.
            "timeouts": { "implicit": 15_000 } } } });
        let answer: Value = http.post(&base).json(&asked).send().await.unwrap().json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        Self { driver, http, session: format!("{base}/{id}"), _profile: profile }
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

    /// Ends the browser in an orderly way.
    pub(crate) async fn close(mut self) {
        drop(self.http.delete(&self.session).send().await);
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
