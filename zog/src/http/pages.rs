//! Which path shows what.

use super::response::{Response, Status};
use super::standing::{Seen, Standing};
use super::{metrics, status};
use serde::Serialize;

const JSON: &str = "application/json";

/// The answer to a request for this path.
pub(super) async fn answer(standing: &Standing, path: &str) -> Response {
    match path {
        "/healthz" => json(Status::Ok, &Health { alive: true }),
        "/readyz" => ready(&standing.see()),
        "/metrics" => {
            let system = standing.system().await;
            let body = metrics::exposition(&standing.see(), system.as_ref());
            Response { status: Status::Ok, kind: metrics::KIND, body }
        }
        "/status.json" => json(Status::Ok, &status::page(&standing.see())),
        _ => Response::refusal(Status::NotFound),
    }
}

/// Whoever gets it knows that the loop, which takes all turns of the ring, goes round.
#[derive(Serialize)]
struct Health {
    alive: bool,
}

/// Whether messages are taken.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<Reason>,
}

/// Why they are not.
#[derive(Serialize)]
pub(super) struct Reason {
    reason: &'static str,
    text: &'static str,
}

/// The reasons as JSON has them.
pub(super) fn reasons(seen: &Seen) -> Vec<Reason> {
    seen.reasons.iter().map(|(reason, text)| Reason { reason, text }).collect()
}

fn ready(seen: &Seen) -> Response {
    let ready = seen.reasons.is_empty();
    let status = if ready { Status::Ok } else { Status::Unavailable };
    json(status, &Ready { ready, reasons: reasons(seen) })
}

fn json(status: Status, page: &impl Serialize) -> Response {
    let mut body = serde_json::to_string_pretty(page).expect("plain data, written to memory");
    body.push('\n');
    Response { status, kind: JSON, body }
}
