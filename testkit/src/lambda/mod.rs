//! A fake of the runtime API of AWS Lambda.
