#![doc = include_str!("../README.md")]

mod answer;
mod client;
mod error;
mod guest;
mod login;
mod options;
mod request;
mod retry_after;
mod tls;

pub use ipnet::IpNet;
pub use reqwest::Method;

pub use crate::{
    answer::{Answer, StreamAnswer},
    client::{
        CONNECT_TIMEOUT, HttpClient, HttpClientBuilder, IDLE_TIMEOUT, MAX_ANSWER, TIMEOUT,
        USER_AGENT,
    },
    error::status_error,
    guest::{GuestPolicy, Refused},
    login::BasicLogin,
    options::{HttpSettings, OPTIONS},
    request::Request,
    retry_after::{MAX_RETRY_AFTER, retry_after},
};
