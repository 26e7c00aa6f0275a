//! The protocol of the zog message ring as a pure state machine: inputs and time in, outputs out.
#![no_std]

extern crate alloc;

pub mod event;
pub mod limits;
pub mod node;
pub mod ring;
pub mod settings;
pub mod time;

pub use event::{ConnId, Input, Outputs, Report, Severity, Slice, Source, Span};
pub use node::{Identity, Node};
pub use ring::{HostIndex, Ring, RingError, Scheme};
pub use settings::{Connect, Level, Settings};
pub use time::{Now, Stamp, Time};
