//! Takes what is published, and holds it to the documented limits.
