//! What single steps of the core cost, for criterion (`cargo bench -p micro`, times) and for callgrind
//! (`scripts/counts`, instructions). Each step is written once, in [`steps`]; both measure the same calls.

pub mod baseline;
pub mod callgrind;
pub mod compare;
mod meter;
mod source;
pub mod steps;
mod world;
