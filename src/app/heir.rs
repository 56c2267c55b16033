//! What passes between a process and the one that succeeds it, over a socket that is the successor's standard input: the
//! listening sockets with their names, and three words. Must not know what is done about them.
//!
//! ```text
//! old  -> new   sockets and names
//! new  -> old   `checked`   configuration, rules, lists and certificates are sound; nothing was opened yet
//! old  -> new   `free`      the state folder belongs to nobody
//! new  -> old   `ready`     everything is open and accepted from
//! ```

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::io::Write;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;

use crate::app::sockets::Sockets;

/// Set for a process that succeeds another.
pub(super) const SUCCEEDS: &str = "CLICKSIEVE_SUCCEEDS";
/// Sockets that are handed over at most; the kernel takes 253 at a time.
const MOST: usize = 250;
/// Bytes of their names at most.
const NAMES: usize = 16 << 10;
/// How long the new process waits for the old one, which may have to wait for an answer of Meta's.
const PATIENCE: Duration = Duration::from_mins(1);

const CHECKED: &str = "checked";
const FREE: &str = "free";
const READY: &str = "ready";

/// The new process's end.
#[derive(Debug)]
pub struct Heir(BufReader<UnixStream>);

impl Heir {
    /// Takes the sockets, where this process succeeds another.
    ///
    /// # Errors
    /// The process was started as a successor by something that is not clicksieve.
    pub fn arrive() -> io::Result<Option<(Self, Sockets)>> {
        if std::env::var_os(SUCCEEDS).is_none() {
            return Ok(None);
        }
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_read_timeout(Some(PATIENCE))?;
        let sockets = receive(&stream)?;
        Ok(Some((Self(BufReader::new(stream)), Sockets::of(sockets))))
    }

    /// Says that all is sound, and waits until the state folder is free.
    pub(super) fn checked(&mut self) -> io::Result<()> {
        say(self.0.get_mut(), CHECKED)?;
        hear(&mut self.0, FREE)
    }

    /// Says that connections are accepted.
    pub(super) fn ready(mut self) {
        // An old process that is gone has nothing left to do.
        let _ = say(self.0.get_mut(), READY);
    }
}

/// The old process's end.
#[derive(Debug)]
pub(super) struct Testator(BufReader<UnixStream>);

impl Testator {
    /// Sends the sockets.
    pub(super) fn send(stream: UnixStream, sockets: &[(&str, TcpListener)]) -> io::Result<Self> {
        if sockets.len() > MOST {
            return Err(io::Error::other("too many listening sockets to hand over"));
        }
        let names: Vec<&str> = sockets.iter().map(|(name, _)| *name).collect();
        let names = names.join(" ") + "\n";
        let borrowed: Vec<BorrowedFd<'_>> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&borrowed));
        rustix::net::sendmsg(&stream, &[IoSlice::new(names.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Waits until the new process has checked everything.
    pub(super) fn until_checked(&mut self, patience: Duration) -> io::Result<()> {
        self.0.get_ref().set_read_timeout(Some(patience))?;
        hear(&mut self.0, CHECKED)
    }

    /// Says that the state folder is free, and waits until the new process accepts.
    pub(super) fn until_ready(&mut self, patience: Duration) -> io::Result<()> {
        self.0.get_ref().set_read_timeout(Some(patience))?;
        say(self.0.get_mut(), FREE)?;
        hear(&mut self.0, READY)
    }
}

fn receive(stream: &UnixStream) -> io::Result<Vec<(String, TcpListener)>> {
    let mut names = vec![0; NAMES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(stream, &mut [IoSliceMut::new(&mut names)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let names = String::from_utf8_lossy(names.get(..received.bytes).unwrap_or_default()).into_owned();
    let mut sockets: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(given) = message {
            sockets.extend(given);
        }
    }
    if !names.ends_with('\n') || names.split_whitespace().count() != sockets.len() {
        return Err(io::Error::other("the sockets did not come whole"));
    }
    Ok(names.split_whitespace().map(str::to_owned).zip(sockets.into_iter().map(TcpListener::from)).collect())
}

fn say(stream: &mut UnixStream, word: &str) -> io::Result<()> {
    stream.write_all(format!("{word}\n").as_bytes())
}

fn hear(stream: &mut BufReader<UnixStream>, word: &str) -> io::Result<()> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other process has ended"));
    }
    if line.trim_end() == word { Ok(()) } else { Err(io::Error::other("the other process speaks otherwise")) }
}
