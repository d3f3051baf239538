//! Short programs that use the library; see `examples/examples`.

/// The README's own code is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
