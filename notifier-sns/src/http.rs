//! The HTTP client beneath the SDK: rustls with ring, and nothing else.

use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// A client that trusts the system's certificates. With `proxy` it uses the proxies that
/// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name.
pub(crate) fn client(proxy: bool) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder();
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|c| c.sleep_impl()));
        builder.set_proxy_config(proxy.then(ProxyConfig::from_env));
        builder
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build()
    })
}
