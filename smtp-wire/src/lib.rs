#![doc = include_str!("../README.md")]

pub mod auth;
mod dialogue;
mod dots;
mod fault;
mod file;
mod hello;
mod hidden;
mod link;
mod offers;
mod password;
pub mod place;
mod reply;
pub mod roots;
mod unchecked;

pub use crate::{
    dialogue::Dialogue,
    dots::stuff,
    fault::Fault,
    file::bounded,
    hello::hello,
    hidden::Hidden,
    link::{Link, Sent, Stream},
    offers::Offers,
    password::Password,
    reply::{LONGEST_LINE, MOST_LINES, MOST_OCTETS, Parts, Reply},
    unchecked::Unchecked,
};
