//! Canaries through real Postfix and Dovecot servers, healthy and broken.

mod end;
mod listen;
mod mailbox;
mod past;
mod rig;
mod stop;
