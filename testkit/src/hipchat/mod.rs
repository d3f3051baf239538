//! A fake HipChat server.
