//! A fake of S3-compatible stores.
