//! The protocol of the zog message ring as a pure state machine: inputs and time in, outputs out.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod ack;
mod broadcast;
mod client;
mod data;
mod digest;
pub mod event;
pub mod limits;
mod link;
pub mod node;
mod peer;
mod relay;
pub mod report;
pub mod ring;
mod session;
pub mod settings;
mod slots;
mod stream;
pub mod text;
pub mod time;
mod watermark;
pub mod wire;

pub use event::{ConnId, Input, Outputs, Report, Severity, Slice, Source, Span};
pub use node::{Counters, Identity, Node};
pub use report::Refusal;
pub use ring::{HostIndex, Ring, RingError, Scheme};
pub use settings::{Connect, Level, Settings};
pub use time::{Now, Stamp, Time};
