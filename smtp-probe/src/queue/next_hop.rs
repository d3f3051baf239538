//! Where main.cf sends mail on to, and as whom.

use std::path::{Path, PathBuf};

use crate::main_cf;

/// The largest table that is read.
const MOST_OCTETS: u64 = 1024 * 1024;

/// What main.cf says of the way on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NextHop {
    /// As it is written: `[smtp.example]:587`. Empty if mail goes to each domain's own servers.
    pub(super) relayhost: String,
    /// Whether Postfix logs in there, and where the logins are: `hash:/etc/postfix/sasl_passwd`.
    pub(super) logs_in: bool,
    pub(super) by_sender: bool,
    pub(super) logins: Vec<Table>,
    /// `none`, `may`, `encrypt`, `secure` and so on.
    pub(super) tls_level: String,
    /// TLS from the first byte on.
    pub(super) is_wrapped: bool,
    pub(super) ca: Option<PathBuf>,
    /// What the certificate's name is compared with.
    pub(super) names: Vec<String>,
    pub(super) helo: String,
    pub(super) source: Option<std::net::IpAddr>,
}

/// A table of Postfix: its kind and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) kind: String,
    pub(super) path: PathBuf,
}

impl Table {
    fn read(text: &str) -> Option<Self> {
        let (kind, path) = text.split_once(':')?;
        path.starts_with('/').then(|| Self {
            kind: kind.to_owned(),
            path: PathBuf::from(path),
        })
    }

    /// The file that Postfix reads instead of the text; postmap(1).
    pub(super) fn compiled(&self) -> Option<PathBuf> {
        let ending = match self.kind.as_str() {
            "hash" | "btree" => ".db",
            "lmdb" => ".lmdb",
            "cdb" => ".cdb",
            "dbm" | "sdbm" => ".pag",
            _ => return None,
        };
        let mut name = self.path.clone().into_os_string();
        name.push(ending);
        Some(name.into())
    }

    /// Its keys and values, if it is a text that can be read.
    pub(super) fn entries(&self) -> Option<Vec<(String, String)>> {
        let kinds = ["hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash"];
        if !kinds.contains(&self.kind.as_str()) {
            return None;
        }
        let bytes = smtp_wire::bounded(&self.path, MOST_OCTETS).ok()?;
        Some(entries(&String::from_utf8_lossy(&bytes)))
    }
}

/// `key value` by line; one that begins with a blank goes on with the last one; postmap(1).
fn entries(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        match found.last_mut() {
            Some((_, value)) if line.starts_with([' ', '\t']) => {
                if !value.is_empty() {
                    value.push(' ');
                }
                value.push_str(bare);
            }
            _ => {
                let (key, value) = bare.split_once(char::is_whitespace).unwrap_or((bare, ""));
                found.push((key.to_owned(), value.trim().to_owned()));
            }
        }
    }
    found
}

impl NextHop {
    /// Reads main.cf; nothing if it cannot be read.
    pub(super) fn read(main_cf: &Path) -> Option<Self> {
        let [
            relayhost,
            logs_in,
            by_sender,
            logins,
            tls_level,
            use_tls,
            enforce_tls,
            wrapped,
            ca,
            secure,
            verify,
            helo,
            source,
        ] = main_cf::values(
            main_cf,
            [
                "relayhost",
                "smtp_sasl_auth_enable",
                "smtp_sender_dependent_authentication",
                "smtp_sasl_password_maps",
                "smtp_tls_security_level",
                "smtp_use_tls",
                "smtp_enforce_tls",
                "smtp_tls_wrappermode",
                "smtp_tls_CAfile",
                "smtp_tls_secure_cert_match",
                "smtp_tls_verify_cert_match",
                "smtp_helo_name",
                "smtp_bind_address",
            ],
        )?;
        let is_yes = |value: &str| value.eq_ignore_ascii_case("yes");
        // The old parameters count where the new one is empty; postconf(5).
        let tls_level = match tls_level.as_str() {
            "" if is_yes(&enforce_tls) => "verify".to_owned(),
            "" if is_yes(&use_tls) => "may".to_owned(),
            "" => "none".to_owned(),
            _ => tls_level,
        };
        let words = |text: &str| -> Vec<String> {
            let words = text.split([',', ' ', '\t', '\n']);
            words.filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        let names = match tls_level.as_str() {
            "verify" => words(&verify),
            _ => words(&secure),
        };
        Some(Self {
            relayhost,
            logs_in: is_yes(&logs_in),
            by_sender: is_yes(&by_sender),
            logins: words(&logins)
                .iter()
                .filter_map(|w| Table::read(w))
                .collect(),
            tls_level,
            is_wrapped: is_yes(&wrapped),
            ca: (!ca.is_empty()).then(|| PathBuf::from(ca)),
            names,
            helo,
            source: source.parse().ok(),
        })
    }

    /// Host, port (25 unless said), and whether the name is looked up as a host: it stands in brackets.
    pub(super) fn place(&self) -> Option<(String, u16, bool)> {
        let (host, port) = match self.relayhost.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                (host, after.strip_prefix(':'))
            }
            None => smtp_wire::place::split(&self.relayhost),
        };
        let port = match port {
            None => 25,
            Some(name) => match (smtp_wire::place::port(name), name) {
                (Some(port), _) => port,
                (None, "smtp") => 25,
                (None, "submission") => 587,
                (None, "submissions" | "smtps") => 465,
                (None, _) => return None,
            },
        };
        // An address may be written `[IPv6:2001:db8::1]`.
        let bare = host.strip_prefix("IPv6:").unwrap_or(host);
        let is_host = self.relayhost.starts_with('[') || bare.parse::<std::net::IpAddr>().is_ok();
        Some((smtp_wire::place::host(bare)?, port, is_host))
    }

    /// Whether Postfix looks at the next server's certificate.
    pub(super) fn verifies(&self) -> bool {
        matches!(
            self.tls_level.as_str(),
            "verify" | "secure" | "fingerprint" | "dane-only"
        )
    }

    /// The name and the password at the next server: under its own name as it is written, else
    /// under its host's; smtp(8).
    pub(super) fn login(&self) -> Option<(String, String)> {
        let host = self.place().map(|(host, ..)| host);
        let keys = [Some(self.relayhost.clone()), host];
        keys.into_iter().flatten().find_map(|key| {
            let mut tables = self.logins.iter().filter_map(Table::entries);
            let value = tables.find_map(|entries| {
                let mut entries = entries.into_iter();
                entries.find(|(k, _)| k.eq_ignore_ascii_case(&key))
            });
            let (user, password) = value?
                .1
                .split_once(':')
                .map(|(u, p)| (u.to_owned(), p.to_owned()))?;
            Some((user, password))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relayhosts_are_read_as_they_are_written() {
        for (text, want) in [
            ("[smtp.example]:587", Some(("smtp.example", 587, true))),
            ("[127.0.0.1]:2587", Some(("127.0.0.1", 2587, true))),
            ("[2001:db8::1]", Some(("2001:db8::1", 25, true))),
            ("[IPv6:2001:db8::1]:25", Some(("2001:db8::1", 25, true))),
            ("smtp.example", Some(("smtp.example", 25, false))),
            (
                "smtp.example:submission",
                Some(("smtp.example", 587, false)),
            ),
            ("[smtp.example", None),
            ("[smtp.example]:x", None),
            ("", None),
        ] {
            let next = NextHop {
                relayhost: text.to_owned(),
                ..NextHop::default()
            };
            let place = next.place();
            let place = place.as_ref().map(|(h, p, b)| (h.as_str(), *p, *b));
            assert_eq!(place, want, "{text}");
        }
    }

    #[test]
    fn a_table_is_keys_and_values_with_comments_and_long_lines() {
        let found = entries(
            "# logins\n[a.example]:587  user:pass word\n\nb.example\n\tuser:x\n  # not this\n",
        );
        let want = [
            ("[a.example]:587", "user:pass word"),
            ("b.example", "user:x"),
        ];
        let found: Vec<_> = found
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, want);
    }

    #[test]
    fn tables_that_are_compiled_say_into_what() {
        for (text, want) in [
            ("hash:/etc/sasl", Some("/etc/sasl.db")),
            ("lmdb:/etc/sasl", Some("/etc/sasl.lmdb")),
            ("texthash:/etc/sasl", None),
        ] {
            let table = Table::read(text).unwrap();
            assert_eq!(table.compiled(), want.map(PathBuf::from), "{text}");
        }
        assert_eq!(Table::read("inline:{ a=b }"), None);
    }
}
