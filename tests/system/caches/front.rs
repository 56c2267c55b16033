//! nginx and Varnish as processes of their own, each listening on a socket in a folder of its own, so that no port is taken.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::harness::PATIENCE;
use crate::harness::visitor::Visitor;

/// A cache in front; dropping it ends it.
pub(super) struct Front {
    child: Child,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Front {
    /// nginx that keeps every 200 for ten minutes, as most guides have it; `more` stands in its `location`.
    pub(super) fn nginx(behind: SocketAddr, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/log;\n\
             events {{ worker_connections 256; }}\n\
             http {{\n\
               access_log off;\n\
               client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
               proxy_cache_path {at}/cache levels=1:2 keys_zone=shop:1m max_size=64m inactive=60m use_temp_path=off;\n\
               server {{\n\
                 listen unix:{at}/socket;\n\
                 location / {{\n\
                   proxy_pass http://{behind};\n\
                   proxy_http_version 1.1;\n\
                   proxy_set_header Host $host;\n\
                   proxy_set_header X-Forwarded-For $http_x_forwarded_for;\n\
                   proxy_set_header Connection \"\";\n\
                   proxy_cache shop;\n\
                   proxy_cache_key $scheme$host$request_uri;\n\
                   proxy_cache_valid 200 10m;\n\
                   proxy_cache_valid 301 302 10m;\n\
                   proxy_cache_lock on;\n\
                   proxy_cache_revalidate on;\n\
                   proxy_cache_use_stale error timeout updating http_500 http_502;\n\
                   add_header X-Cache $upstream_cache_status;\n\
                   {more}\n\
                 }}\n\
               }}\n\
             }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .arg("-e")
            .arg(folder.path().join("log"));
        Self::start(command, folder)
    }

    /// Varnish that keeps what says nothing about caching for ten minutes; `more` is its VCL beside the built-in one.
    pub(super) fn varnish(behind: SocketAddr, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vcl = format!(
            "vcl 4.1;\nbackend default {{ .host = \"{}\"; .port = \"{}\"; }}\n{more}\
             sub vcl_deliver {{ if (obj.hits > 0) {{ set resp.http.X-Cache = \"HIT\"; }} else {{ set resp.http.X-Cache = \"MISS\"; }} }}\n",
            behind.ip(),
            behind.port()
        );
        std::fs::write(folder.path().join("shop.vcl"), vcl).unwrap();
        let mut command = Command::new("varnishd");
        // Without a jail it runs as whoever started it, in a container, too.
        command.args(["-j", "none", "-F", "-t", "600", "-s", "malloc,32m", "-T", "none", "-n"]).arg(folder.path().join("work"));
        command.arg("-a").arg(folder.path().join("socket")).arg("-f").arg(folder.path().join("shop.vcl"));
        Self::start(command, folder)
    }

    fn start(mut command: Command, folder: tempfile::TempDir) -> Self {
        let said = std::fs::File::create(folder.path().join("said")).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}\nhint: tests/run installs it"));
        let mut front = Self { child, socket: folder.path().join("socket"), _folder: folder };
        front.wait();
        front
    }

    /// Waits until somebody answers at the socket.
    fn wait(&mut self) {
        let said = self.socket.with_file_name("said");
        while UnixStream::connect(&self.socket).is_err() {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the cache ended with {status}:\n{}", std::fs::read_to_string(said).unwrap());
            }
            std::thread::yield_now();
        }
    }

    pub(super) fn visitor(&self) -> Visitor<UnixStream> {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Visitor::over(stream)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Told and not killed: Varnish ends its worker only then.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
