//! The protocol of the zog message ring as a pure state machine: inputs and time in, outputs out.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod digest;
pub mod event;
pub mod limits;
pub mod node;
mod relay;
pub mod report;
pub mod ring;
mod session;
pub mod settings;
pub mod text;
pub mod time;
pub mod wire;

pub use event::{ConnId, Input, Outputs, Report, Severity, Slice, Source, Span};
pub use node::{Identity, Node};
pub use report::Refusal;
pub use ring::{HostIndex, Ring, RingError, Scheme};
pub use settings::{Connect, Level, Settings};
pub use time::{Now, Stamp, Time};
