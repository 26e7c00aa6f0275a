//! The journal against everything that a disk may do to it.
//!
//! `power`: a host lives on a disk that loses its power at any moment, again and again; after each, access.log and
//! what the host takes for known must be what they were, up to what no sync had covered. `rot`: a journal in which
//! any one bit has changed, or whose end is missing.

mod disk;
mod heads;
mod history;
mod host;
mod outside;
mod power;
mod rot;
