//! Patterns of unit names.

/// Whether a name fits a pattern with `*` (any characters, also none) and `?` (one character).
/// Everything else stands for itself.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // The last star, and how much of the name it stands for so far ends there.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Which units are watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// One of these must fit; all do if there is none.
    pub(crate) units: Vec<String>,
    /// None of these may.
    pub(crate) ignore: Vec<String>,
}

impl Choice {
    pub(crate) fn takes(&self, name: &str) -> bool {
        let any = |of: &[String]| of.iter().any(|p| fits(p, name));
        (self.units.is_empty() || any(&self.units)) && !any(&self.ignore)
    }

    /// The one unit that is watched, where it is one by name.
    pub(crate) fn only(&self) -> Option<&str> {
        match self.units.as_slice() {
            [name] if !name.contains(['*', '?']) => Some(name),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, is) in [
            ("*", "", true),
            ("web@*.service", "web@1.service", true),
            ("web@*.service", "web.service", false),
            ("web@?.service", "web@12.service", false),
            ("web@?.service", "web@1.service", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab-", false),
            ("a\\x2d*", "a\\x2db.service", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, name), is, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_taken() {
        let of = |t: &[&str]| t.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let choice = Choice {
            units: of(&["web@*", "db.service"]),
            ignore: of(&["*-notify@*"]),
        };
        assert!(choice.takes("web@1.service") && choice.takes("db.service"));
        assert!(!choice.takes("web@x-notify@1.service") && !choice.takes("a.service"));
        assert!(Choice::default().takes("a.timer"));
        assert_eq!(choice.only(), None);
        let units = of(&["db.service"]);
        let ignore = Vec::new();
        assert_eq!(Choice { units, ignore }.only(), Some("db.service"));
    }
}
