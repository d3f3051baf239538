//! A fake of the API of fleet.
