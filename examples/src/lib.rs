//! Short programs that use the library; see `examples/examples`.
