use super::action::Verb;
use super::auth;
use super::script::Script;
use super::session::Session;
use super::wire::End;

impl Session {
    /// AUTH, from the command to its last answer.
    pub(crate) async fn log_in(&mut self, argument: &str, script: &Script) -> Result<(), End> {
        let (mechanism, initial) = match argument.split_once(' ') {
            Some((mechanism, initial)) => (mechanism, Some(initial.to_owned())),
            None => (argument, None),
        };
        let mechanism = mechanism.to_ascii_uppercase();
        let offered = script.mechanisms.contains(&mechanism);
        let encrypted = self.wire.is_tls() || script.auth_before_tls;
        let refused = match (&script.login, &self.greeting) {
            (None, _) => Some("503 5.5.1 Error: authentication not enabled"),
            (_, None) => Some("503 5.5.1 Error: send EHLO first"),
            _ if self.login.is_some() => Some("503 5.5.1 Error: already authenticated"),
            _ if self.transaction.is_some() => {
                Some("503 5.5.1 Error: MAIL transaction in progress")
            }
            _ if !encrypted => {
                Some("538 5.7.11 Encryption required for requested authentication mechanism")
            }
            _ if !offered => Some("504 5.5.4 Unrecognized authentication type"),
            _ => None,
        };
        if let Some(usual) = refused {
            self.answer(Verb::Auth, usual).await?;
            return Ok(());
        }
        let mut verb = Verb::Auth;
        let mut tokens = Vec::new();
        if let Some(initial) = initial {
            tokens.push(initial);
        }
        loop {
            let judged = auth::judge(&mechanism, &tokens, script);
            let (usual, login) = match judged {
                auth::Judged::Challenge(text) => (text, None),
                auth::Judged::Login(login) => (
                    "235 2.7.0 Authentication successful".to_owned(),
                    Some(login),
                ),
                auth::Judged::Refused(text) => (text.to_owned(), None),
            };
            let asked_for = usual.starts_with("334");
            let sent = self.answer(verb, &usual).await?;
            if sent.0 == 235 {
                // Believed because the script says so, whoever it was.
                self.login = login.or_else(|| script.login.clone());
            }
            if sent.0 != 334 {
                return Ok(());
            }
            if !asked_for {
                // The script asks for what was said already.
                tokens.clear();
            }
            let line = self.command().await?;
            if self.wire.has_more().await {
                self.fault("more was sent before the answer to a token of AUTH");
            }
            verb = Verb::AuthAnswer;
            let token = String::from_utf8_lossy(&line).into_owned();
            if token == "*" {
                self.answer(verb, "501 5.7.0 Authentication aborted")
                    .await?;
                return Ok(());
            }
            tokens.push(token);
        }
    }
}
