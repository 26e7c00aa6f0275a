//! What is answered, as bytes.

use std::fmt::Write as _;

/// How a request went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Status {
    Ok = 200,
    BadRequest = 400,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    BodyTooLarge = 413,
    Misdirected = 421,
    HeadTooLarge = 431,
    Unavailable = 503,
    VersionNotSupported = 505,
}

impl Status {
    /// The words behind the code (RFC 9110).
    fn words(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::BadRequest => "Bad Request",
            Status::NotFound => "Not Found",
            Status::MethodNotAllowed => "Method Not Allowed",
            Status::RequestTimeout => "Request Timeout",
            Status::BodyTooLarge => "Content Too Large",
            Status::Misdirected => "Misdirected Request",
            Status::HeadTooLarge => "Request Header Fields Too Large",
            Status::Unavailable => "Service Unavailable",
            Status::VersionNotSupported => "HTTP Version Not Supported",
        }
    }

    /// What to do about it.
    fn remedy(self) -> &'static str {
        match self {
            Status::NotFound => "ask for /healthz, /readyz, /metrics or /status.json",
            Status::MethodNotAllowed => "GET and HEAD alone are answered",
            Status::RequestTimeout => "a request has to be whole within 5 s",
            Status::BodyTooLarge => "requests have no body here",
            Status::Misdirected => {
                "ask by a loopback address, or by this host's address or name in ring.toml"
            }
            Status::HeadTooLarge => "a request has at most 8 KiB and 64 headers",
            Status::VersionNotSupported => "HTTP/1.1 and HTTP/1.0 are spoken here",
            Status::Ok | Status::BadRequest | Status::Unavailable => {
                "this is no HTTP request that is understood"
            }
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: Status,
    /// What the body is (a media type).
    pub(super) kind: &'static str,
    pub(super) body: String,
}

impl Response {
    /// An answer that says no.
    pub(super) fn refusal(status: Status) -> Response {
        Response { status, kind: "text/plain; charset=utf-8", body: format!("{}\n", status.remedy()) }
    }

    /// As it goes over the wire. An answer to HEAD has the same head and no body.
    pub(super) fn bytes(&self, is_head: bool) -> Vec<u8> {
        let Response { status, kind, body } = self;
        let mut text = String::with_capacity(body.len() + 512);
        let _ = write!(
            text,
            "HTTP/1.1 {} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n",
            *status as u16,
            status.words(),
            body.len()
        );
        if *status == Status::MethodNotAllowed {
            text.push_str("Allow: GET, HEAD\r\n");
        }
        text.push_str(
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nConnection: close\r\n\r\n",
        );
        if !is_head {
            text.push_str(body);
        }
        text.into_bytes()
    }
}
