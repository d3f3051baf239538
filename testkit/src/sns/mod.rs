//! A fake SNS: who takes what is published, and who sends signed notifications.

mod publish;
mod sender;
