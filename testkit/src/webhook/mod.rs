//! Who takes webhooks, and checks their signatures.
