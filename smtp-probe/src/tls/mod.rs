//! TLS with the server, and what its certificate is worth.

mod certificate;
mod chain;
mod judge;
mod links;
mod shake;

pub(crate) use self::{
    judge::{judge, version},
    shake::{Session, shake},
};
