//! A fake of Sentry's ingestion.
