//! What watches this host asks over HTTP: whether it lives, whether it is ready, what it has counted, how it stands.
//!
//! GET and HEAD alone, no bodies, one request a connection, nothing that changes anything. A connection is a task of
//! its own beside those of the ring, and takes none of their turns: what it answers is read off the node at once. It
//! listens from before the journal is read to the end of the process, so that a host that is not ready can say why.

mod metrics;
mod pages;
mod request;
mod response;
mod standing;
mod status;
mod system;

pub(crate) use standing::{Life, Standing};

use crate::listener;
use crate::rt::{self, Async, Task, Timer};
use futures_lite::future;
use pzog::Severity;
use request::{Head, Step};
use response::{Response, Status};
use ringfile::{Host, HttpListen};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

/// Bytes of a request's head; those of browsers and Prometheus have less than a tenth of it.
const HEAD_MAX: usize = 8 << 10;

/// A request is whole within this time, and its answer taken within as long again.
const DEADLINE: Duration = Duration::from_secs(5);

/// Connections at one time. One more ends the oldest: who asks in earnest is answered long before.
const CONNECTIONS_MAX: usize = 32;

/// What else a client sends is thrown away for so long and up to so many bytes, since closing before would reset the
/// connection, and the answer might be lost with it.
const DRAIN_WITHIN: Duration = Duration::from_millis(500);
const DRAINED_MAX: usize = 64 << 10;

/// A port that cannot be had is tried again after this time.
const OPEN_AGAIN: Duration = Duration::from_secs(30);

/// Where connections cannot be taken, it is tried again after this time.
const ACCEPT_AGAIN: Duration = Duration::from_millis(250);

/// Answers to the end of the process. A port that is taken is no reason for a ring to stand still: that is reported,
/// and tried again.
pub(crate) async fn answer_for_ever(standing: Rc<Standing>, host: Host, listen: HttpListen) {
    let Some(port) = host.http_port else { return };
    let address = listen_address(&host, listen);
    let listener = loop {
        match listener::open(&address, port, "HTTP").await {
            Ok(listener) => break listener,
            Err(failed) => standing.tell(Severity::Error, &format!("HTTP: {}", failed.message)),
        }
        Timer::after(OPEN_AGAIN).await;
    };
    accept(&standing, &listener).await;
}

fn listen_address(host: &Host, listen: HttpListen) -> String {
    let is_loopback = host.address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match listen {
        HttpListen::Loopback if !is_loopback => Ipv4Addr::LOCALHOST.to_string(),
        _ => host.address.clone(),
    }
}

async fn accept(standing: &Rc<Standing>, listener: &Async<TcpListener>) {
    let mut tasks: VecDeque<Task> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                tasks.retain(|task| !task.is_finished());
                if tasks.len() >= CONNECTIONS_MAX
                    && let Some(oldest) = tasks.pop_front()
                {
                    oldest.cancel().await;
                }
                tasks.push_back(rt::spawn(serve(standing.clone(), socket)));
            }
            Err(e) if e.kind() == ErrorKind::ConnectionAborted => {} // gone before we took it
            Err(e) => {
                log::debug!("HTTP: connections cannot be taken: {e}");
                Timer::after(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// One connection: one request, one answer.
async fn serve(standing: Rc<Standing>, socket: Async<TcpStream>) {
    let served = async {
        if let Some((response, is_head)) = converse(&standing, &socket).await? {
            standing.count(response.status);
            within(DEADLINE, write_all(&socket, &response.bytes(is_head))).await?;
            socket.get_ref().shutdown(Shutdown::Write)?;
            within(DRAIN_WITHIN, drain(&socket)).await?;
        }
        io::Result::Ok(())
    };
    if let Err(e) = served.await {
        log::debug!("HTTP: {e}");
    }
}

/// Reads a request and finds the answer; none where nothing was asked.
async fn converse(
    standing: &Rc<Standing>,
    socket: &Async<TcpStream>,
) -> io::Result<Option<(Response, bool)>> {
    let mut buffer = vec![0; HEAD_MAX];
    let mut filled = 0;
    let read = within(DEADLINE, read_head(socket, &mut buffer, &mut filled, standing)).await;
    let head = match read {
        Err(e) if e.kind() == ErrorKind::TimedOut && filled > 0 => Err(Status::RequestTimeout),
        read => match read? {
            Some(head) => head,
            None => return Ok(None),
        },
    };
    Ok(Some(match head {
        Ok(head) => (pages::answer(standing, &head.path).await, head.is_head),
        Err(status) => (Response::refusal(status), false),
    }))
}

/// The head of a request, or why it is refused; none where the connection ended before it began.
async fn read_head(
    socket: &Async<TcpStream>,
    buffer: &mut [u8],
    filled: &mut usize,
    standing: &Standing,
) -> io::Result<Option<Result<Head, Status>>> {
    loop {
        match socket.read_some(&mut buffer[*filled..]).await? {
            0 if *filled == 0 => return Ok(None),
            0 => return Ok(Some(Err(Status::BadRequest))),
            read => *filled += read,
        }
        match request::step(&buffer[..*filled], |name| standing.is_host(name)) {
            Step::More if *filled < buffer.len() => {}
            Step::More => return Ok(Some(Err(Status::HeadTooLarge))),
            Step::Refused(status) => return Ok(Some(Err(status))),
            Step::Whole(head) => return Ok(Some(Ok(head))),
        }
    }
}

async fn write_all(socket: &Async<TcpStream>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.write_now(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => poll_fn(|cx| socket.poll_writable(cx)).await,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

async fn drain(socket: &Async<TcpStream>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let mut drained = 0;
    while drained < DRAINED_MAX {
        match socket.read_some(&mut buffer).await? {
            0 => return Ok(()),
            read => drained += read,
        }
    }
    Ok(())
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::after(time).await;
        Err(ErrorKind::TimedOut.into())
    };
    future::or(work, late).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(address: &str) -> Host {
        Host {
            name: "A".into(),
            address: address.into(),
            client_address: address.into(),
            ring_port: 1,
            client_port: 2,
            http_port: Some(3),
            is_retired: false,
        }
    }

    #[test]
    fn it_listens_at_loopback_unless_told_otherwise() {
        for (address, listen, expected) in [
            ("10.0.0.1", HttpListen::Loopback, "127.0.0.1"),
            ("a.example", HttpListen::Loopback, "127.0.0.1"),
            ("127.0.0.3", HttpListen::Loopback, "127.0.0.3"),
            ("10.0.0.1", HttpListen::Host, "10.0.0.1"),
        ] {
            assert_eq!(listen_address(&host(address), listen), expected, "{address}");
        }
    }
}
