//! The certificates of a ring: which files they are in, whom they name, whether the other end of a connection has the
//! right one, and what is wrong with it where it has not. For zog and sprog.

mod files;
mod identity;
mod known;
mod verifier;
mod why;

pub use files::{Files, certificates, private_key, private_text};
pub use identity::{Identity, validity};
pub use known::{Known, dial, provider, store};
pub use verifier::Verifier;
pub use why::{begins_tls, date, is_plain, said_plainly, words};
