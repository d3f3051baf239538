//! What the settings make of a request.

use std::{fmt, time::Duration};

use notifier_core::{Error, Origin, Result, Secret, Settings, redact::Redactor};
use notifier_http::{HttpClient, Method, Request};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::{
    codes::Codes,
    headers::{self, is_value},
    signature::Signer,
};

/// The shortest piece of an address that is masked where it stands alone.
const PIECE: usize = 8;

/// Who sends, as HTTP knows it.
enum Credentials {
    None,
    Basic(String, Secret),
    Bearer(Secret),
}

/// Everything about a request but its address and its body.
pub(crate) struct Manner {
    method: Method,
    headers: Vec<(String, Secret)>,
    credentials: Credentials,
    signer: Signer,
    pub(crate) success: Codes,
    pub(crate) retry: Codes,
    timeout: Option<Duration>,
    /// The address is a task's, who must not have what is the operator's.
    is_guest: bool,
}

impl Manner {
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) with the option's name and no value of it.
    pub(crate) fn read(settings: &Settings) -> Result<Self> {
        let headers = headers::read(settings.text("headers"))?;
        let credentials = credentials(settings)?;
        let has_own = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if has_own && !matches!(credentials, Credentials::None) {
            return Err(Error::config(
                "webhook.headers: Authorization is set by webhook.token or webhook.user already",
            ));
        }
        Ok(Self {
            method: match settings.text("method") {
                "PUT" => Method::PUT,
                "PATCH" => Method::PATCH,
                _ => Method::POST,
            },
            headers,
            credentials,
            signer: Signer::read(settings)?,
            success: Codes::read("webhook.success", settings.list("success"))?,
            retry: Codes::read("webhook.retry", settings.list("retry"))?,
            timeout: settings.duration("timeout").filter(|d| !d.is_zero()),
            is_guest: settings.origin("url") == Some(Origin::Label),
        })
    }

    pub(crate) fn is_guest(&self) -> bool {
        self.is_guest
    }

    /// True if something of the operator's is not sent, since the address is a task's.
    pub(crate) fn holds_back(&self) -> bool {
        self.is_guest
            && (!self.headers.is_empty()
                || !matches!(self.credentials, Credentials::None)
                || !matches!(self.signer, Signer::None))
    }

    /// A request with this body. The signature is of exactly these bytes.
    pub(crate) fn request(
        &self,
        http: &HttpClient,
        url: &str,
        id: &str,
        content_type: &str,
        body: Vec<u8>,
        more: &[(String, String)],
    ) -> Request {
        let http = if self.is_guest {
            http.guarded()
        } else {
            http.clone()
        };
        let timestamp = http.now().as_second();
        let mut request = http.request(self.method.clone(), url).secret_url();
        if !self.is_guest {
            for (name, value) in &self.headers {
                request = request.secret_header(name, value);
            }
            request = match &self.credentials {
                Credentials::None => request,
                Credentials::Basic(user, password) => request.basic(user, password),
                Credentials::Bearer(token) => request.bearer(token),
            };
        }
        request = request
            .header("webhook-id", id)
            .header("idempotency-key", id)
            .header("webhook-timestamp", &timestamp.to_string());
        for (name, value) in more {
            request = request.header(name, value);
        }
        if !self.is_guest {
            for (name, value) in self.signer.sign(id, timestamp, &body) {
                request = request.header(&name, &value);
            }
        }
        if self.timeout.is_some() {
            request = request.timeout(self.timeout);
        }
        request.body(content_type, body)
    }
}

/// No value is shown.
impl fmt::Debug for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manner")
            .field("method", &self.method)
            .field("signer", &self.signer)
            .field("is_guest", &self.is_guest)
            .finish_non_exhaustive()
    }
}

fn credentials(settings: &Settings) -> Result<Credentials> {
    let password = settings.secret("password");
    match (settings.get("user"), settings.secret("token")) {
        (Some(_), Some(_)) => Err(Error::config(
            "webhook.token and webhook.user are both set; a request has one of them",
        )),
        (None, _) if password.is_some() => Err(Error::config(
            "webhook.password is set without webhook.user",
        )),
        // RFC 7617 §2: what stands behind the first colon would be the password.
        (Some(user), None) if user.contains(':') => Err(Error::config(
            "webhook.user has a colon in it, which HTTP Basic has no room for",
        )),
        (Some(user), None) => Ok(Credentials::Basic(
            user.to_owned(),
            password.unwrap_or_default(),
        )),
        (None, Some(token)) if !is_value(token.expose()) => Err(Error::config(
            "webhook.token has other characters than visible ASCII",
        )),
        (None, Some(token)) => Ok(Credentials::Bearer(token)),
        (None, None) => Ok(Credentials::None),
    }
}

/// Masks what nobody is to see in what the other side says: an address is often quoted in parts.
pub(crate) fn redactor(settings: &Settings) -> Redactor {
    let mut secrets: Vec<String> = ["url", "signing_key", "token", "password"]
        .into_iter()
        .filter_map(|key| settings.get(key).map(str::to_owned))
        .collect();
    secrets.extend(
        settings
            .text("signing_key")
            .split_whitespace()
            .flat_map(|key| [key, key.trim_start_matches("whsec_")])
            .map(str::to_owned),
    );
    secrets.extend(
        settings
            .text("headers")
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned()),
    );
    if let Ok(url) = Url::parse(settings.text("url")) {
        let path = url.path().trim_matches('/').to_owned();
        secrets.extend(Some(path).filter(|path| path.len() >= PIECE));
        let segments = url.path().split('/').map(str::to_owned);
        let values = url.query_pairs().map(|(_, value)| value.into_owned());
        secrets.extend(segments.chain(values).filter(|piece| piece.len() >= PIECE));
        // As it stands there, as it is meant, and as the header Authorization has it, in base64.
        let meant = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (url.username(), url.password().unwrap_or_default());
        if !(user.is_empty() && password.is_empty()) {
            secrets.push(format!("{}:{}", meant(user), meant(password)));
        }
        // A token may stand where a user does.
        for text in [Some(user).filter(|_| password.is_empty()), Some(password)] {
            let text = text.unwrap_or_default();
            secrets.extend([text.to_owned(), meant(text)]);
        }
    }
    Redactor::new(secrets)
}

/// The host of an address, for people.
pub(crate) fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(|url| {
        let host = url.host_str()?;
        Some(match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    });
    host.unwrap_or_else(|| "webhook".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use notifier_core::{BackendSettings, LabelGrammar};

    use super::*;
    use crate::OPTIONS;

    fn settings(set: &[(&str, &str)]) -> Settings {
        let mut s = BackendSettings::new(OPTIONS);
        for (key, value) in set {
            s.set(Origin::Flag, key, value).unwrap();
        }
        s.instance("default")
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (set, why) in [
            (vec![("user", "a"), ("token", "s3cret")], "both set"),
            (vec![("password", "s3cret")], "without webhook.user"),
            (vec![("user", "a:b")], "has a colon"),
            (vec![("token", "s3\ncret")], "visible ASCII"),
            (
                vec![("headers", "Authorization: s3cret"), ("token", "x")],
                "is set by webhook.token",
            ),
            (vec![("success", "ok")], "webhook.success: \"ok\""),
            (vec![("retry", "9")], "webhook.retry: \"9\""),
        ] {
            let e = Manner::read(&settings(&set)).unwrap_err().to_string();
            assert!(e.contains(why), "{e}");
            assert!(!e.contains("s3"), "{e}");
        }
    }

    #[test]
    fn nothing_of_the_operators_shows_or_goes_to_a_tasks_address() {
        let mut s = BackendSettings::new(OPTIONS);
        s.set(Origin::Flag, "token", "s3cret-token").unwrap();
        s.set(Origin::Flag, "headers", "X-Key: s3cret-key").unwrap();
        s.set(Origin::Flag, "url", "https://a.example/s3cret")
            .unwrap();
        let labels = BTreeMap::from([(
            "complainer_webhook_url".to_owned(),
            "https://b.example/".to_owned(),
        )]);
        let grammar = LabelGrammar::default();
        let own = Manner::read(&s.instance("default")).unwrap();
        let guest = Manner::read(&s.resolve(&grammar.scope(&labels), "default")).unwrap();
        assert!(!own.is_guest() && !own.holds_back());
        assert!(guest.is_guest() && guest.holds_back());
        assert!(!format!("{own:?}").contains("s3cret"));
        let http = HttpClient::new().unwrap();
        let shown = |manner: &Manner| {
            let request = manner.request(&http, "https://b.example/", "1", "a/b", vec![], &[]);
            format!("{request:?}")
        };
        assert!(shown(&own).contains("authorization") && shown(&own).contains("x-key"));
        assert!(!shown(&guest).contains("authorization") && !shown(&guest).contains("x-key"));
        assert!(shown(&guest).contains("webhook-id"));
    }

    #[test]
    fn parts_of_what_is_secret_are_masked() {
        let r = redactor(&settings(&[
            ("url", "https://a.example/in/s3cretpath?key=qu3ryvalue&a=1"),
            ("signing_key", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"),
            ("headers", "X-Key: h3adervalue\nX-B: an0thervalue"),
            ("token", "b3arertoken"),
        ]));
        let said = "no s3cretpath, /in/s3cretpath?key=qu3ryvalue, AAECAwQFBgcICQoLDA0ODxAREhMUFRYX, h3adervalue an0thervalue b3arertoken in";
        let masked = r.redact(said);
        for secret in ["s3cret", "qu3ry", "AAEC", "h3ader", "an0ther", "b3arer"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        assert!(masked.ends_with(" in"), "{masked}");
    }

    #[test]
    fn who_sends_is_masked_in_every_form() {
        for (url, said) in [
            ("https://m3:s3cr%2Ft@a.example/", "Basic bTM6czNjci90"),
            ("https://m3:s3cr%2Ft@a.example/", "s3cr/t or s3cr%2Ft"),
            ("https://t0ken99@a.example/", "Basic dDBrZW45OTo="),
            ("https://t0ken99@a.example/", "t0ken99"),
        ] {
            let masked = redactor(&settings(&[("url", url)]))
                .redact(said)
                .into_owned();
            assert!(masked.contains("***"), "{masked}");
            for secret in ["s3cr", "bTM6", "czNj", "dDBr", "t0k"] {
                assert!(!masked.contains(secret), "{masked}");
            }
        }
    }

    #[test]
    fn people_see_the_host_alone() {
        for (url, shown) in [
            ("https://u:p@a.example/s3cret?x", "a.example"),
            ("http://127.0.0.1:81/", "127.0.0.1:81"),
            ("s3cret", "webhook"),
        ] {
            assert_eq!(host(url), shown);
        }
    }
}
