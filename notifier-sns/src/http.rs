//! The HTTP client beneath the SDK: rustls with ring, and nothing else. What it reads has a bound.

use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// The longest answer, in bytes. Those of SNS, of STS and of whoever has keys are of a few thousand.
const MAX_ANSWER: usize = 1024 * 1024;

/// A client that trusts the system's certificates. With `proxy` it uses the proxies that
/// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name.
pub(crate) fn client(proxy: bool) -> SharedHttpClient {
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder();
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|c| c.sleep_impl()));
        builder.set_proxy_config(proxy.then(ProxyConfig::from_env));
        builder
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build()
    });
    SharedHttpClient::new(Bounded(client))
}

/// The SDK itself reads whatever comes.
#[derive(Debug)]
struct Bounded<T>(T);

impl HttpClient for Bounded<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Bounded(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Bounded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let bounded = |body| SdkBody::from_body_1_x(Limited::new(body, MAX_ANSWER));
            Ok(answer.await?.map(bounded))
        })
    }
}
