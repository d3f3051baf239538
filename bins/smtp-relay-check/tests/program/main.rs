//! The built program against fakes: what it prints, its exit codes, its HTTP interface, and
//! whom it tells of changes.

mod listen;
mod once;
mod settings;
mod support;
mod watch;
