//! The head of a request: whole, unfinished or refused. Pure, so that any bytes can be tried.

use super::response::Status;
use httparse::{EMPTY_HEADER, Error, Request};

/// Headers of a request.
const HEADERS_MAX: usize = 64;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Without a query.
    pub(super) path: String,
    /// Whether the answer is to have no body (HEAD).
    pub(super) is_head: bool,
}

/// What the bytes so far are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The beginning of a request.
    More,
    /// A request, whatever follows it.
    Whole(Head),
    /// No request that is answered.
    Refused(Status),
}

/// Looks at what came of a request so far. `is_host` says whether this host may be called so: a page of somebody else
/// whose name was made to mean this address (DNS rebinding) is told nothing.
pub(super) fn step(bytes: &[u8], is_host: impl Fn(&str) -> bool) -> Step {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(status) if status.is_partial() => Step::More,
        Ok(_) => match check(&request, is_host) {
            Ok(head) => Step::Whole(head),
            Err(status) => Step::Refused(status),
        },
        Err(Error::TooManyHeaders) => Step::Refused(Status::HeadTooLarge),
        Err(Error::Version) => Step::Refused(Status::VersionNotSupported),
        Err(_) => Step::Refused(Status::BadRequest),
    }
}

fn check(request: &Request<'_, '_>, is_host: impl Fn(&str) -> bool) -> Result<Head, Status> {
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Status::MethodNotAllowed),
    };
    let (in_target, path) = split_target(request.path.unwrap_or_default())?;
    let named = in_target.or(only(request, "Host")?);
    match named {
        Some(name) if !is_host(without_port(name)) => return Err(Status::Misdirected),
        None if request.version == Some(1) => return Err(Status::BadRequest),
        _ => {}
    }
    let length = only(request, "Content-Length")?;
    if length.is_some_and(|length| length != "0") || only(request, "Transfer-Encoding")?.is_some() {
        return Err(Status::BodyTooLarge);
    }
    Ok(Head { path: path.to_owned(), is_head })
}

/// Host and path of `/path?query` or `http://host/path?query`.
fn split_target(target: &str) -> Result<(Option<&str>, &str), Status> {
    let (host, path) = match target.strip_prefix("http://") {
        Some(rest) => {
            let (host, _) = rest.split_once('/').ok_or(Status::BadRequest)?;
            (Some(host), &rest[host.len()..])
        }
        None => (None, target),
    };
    if !path.starts_with('/') {
        return Err(Status::BadRequest);
    }
    Ok((host, path.split(['?', '#']).next().unwrap_or_default()))
}

/// The value of a header that may stand there once.
fn only<'h>(request: &Request<'_, 'h>, name: &str) -> Result<Option<&'h str>, Status> {
    let mut values = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Status::BadRequest);
    }
    let text = |header: &httparse::Header<'h>| str::from_utf8(header.value).map(str::trim);
    first.map(text).transpose().map_err(|_| Status::BadRequest)
}

/// `name`, `name:port`, `[address]` or `[address]:port` without port and brackets.
fn without_port(name: &str) -> &str {
    match name.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => name.rsplit_once(':').map_or(name, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Step {
        step(text.as_bytes(), |name| name == "localhost" || name == "::1")
    }

    fn whole(path: &str, is_head: bool) -> Step {
        Step::Whole(Head { path: path.to_owned(), is_head })
    }

    #[test]
    fn what_is_asked_for_is_found() {
        for (text, step) in [
            ("GET /metrics HTTP/1.1\r\nHost: localhost:55550\r\n\r\n", whole("/metrics", false)),
            ("HEAD /a?b=/c HTTP/1.1\r\nhost:localhost\r\n\r\nGET / HTTP", whole("/a", true)),
            ("GET / HTTP/1.0\r\n\r\n", whole("/", false)),
            ("GET / HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0\r\n\r\n", whole("/", false)),
            ("GET http://localhost:1/x?y HTTP/1.1\r\nHost: elsewhere\r\n\r\n", whole("/x", false)),
            ("GET / HTTP/1.1\r\nHost: loc", Step::More),
            ("", Step::More),
        ] {
            assert_eq!(of(text), step, "{text:?}");
        }
    }

    #[test]
    fn all_else_is_refused_with_its_reason() {
        let many = (0..=HEADERS_MAX).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
        for (text, status) in [
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", Status::MethodNotAllowed),
            ("get / HTTP/1.1\r\nHost: localhost\r\n\r\n", Status::MethodNotAllowed),
            ("GET / HTTP/1.1\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n", Status::Misdirected),
            ("GET / HTTP/1.0\r\nHost: rebound.example\r\n\r\n", Status::Misdirected),
            ("GET http://rebound.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", Status::Misdirected),
            ("GET metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", Status::BadRequest),
            ("GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", Status::BodyTooLarge),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", Status::BodyTooLarge),
            ("GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", Status::BadRequest),
            ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", Status::VersionNotSupported),
            ("MSG hello\r\n", Status::BadRequest),
            (&format!("GET / HTTP/1.1\r\n{many}\r\n"), Status::HeadTooLarge),
        ] {
            assert_eq!(of(text), Step::Refused(status), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_something(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            step(&bytes, |_| true);
        }

        /// Bytes that look like a request, so that more than the first line is looked at.
        #[test]
        fn any_request_is_something_and_however_it_is_cut(
            method in "[A-Z]{0,7}", target in "[ -~]{0,40}",
            names in prop::collection::vec("(Host|Content-Length|Transfer-Encoding|[A-Za-z-]{1,9})", 0..4),
            value in "\\PC{0,30}", cut in 0..400_usize,
        ) {
            let headers: String = names.iter().map(|name| format!("{name}: {value}\r\n")).collect();
            let text = format!("{method} {target} HTTP/1.1\r\n{headers}\r\n");
            let whole = step(text.as_bytes(), |_| true);
            prop_assert_ne!(&whole, &Step::More);
            if let Step::Whole(_) = whole {
                prop_assert_eq!(step(&text.as_bytes()[..cut.min(text.len() - 1)], |_| true), Step::More);
            }
        }
    }
}
