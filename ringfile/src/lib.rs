//! ring.toml: read, checked, and explained where it is wrong.
