//! Which command a command line means.

use std::ffi::OsString;

/// A command and its flags.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Watch.
    Watch(Vec<OsString>),
    /// Tell of the unit of this name.
    Unit(String, Vec<OsString>),
    /// Send what waits.
    Drain(Vec<OsString>),
    /// There is no such command, and why.
    Wrong(String),
}

impl Command {
    /// The first argument is a command, or already a flag. What follows `unit` is a name, also
    /// where it begins with a dash, as that of `-.mount` does.
    pub(crate) fn of(mut args: Vec<OsString>) -> Self {
        let word = |i: usize| args.get(i).and_then(|a| a.to_str()).unwrap_or_default();
        let asks =
            |word: &str| matches!(word, "-h" | "-help" | "--help" | "-version" | "--version");
        let (first, second) = (word(0).to_owned(), word(1).to_owned());
        match first.as_str() {
            "unit" if asks(&second) => Self::Unit(String::new(), args.split_off(1)),
            "unit" if args.len() < 2 => {
                Self::Wrong("unit needs the name of a unit: systemd-watcher unit NAME".to_owned())
            }
            "unit" if args[1].to_str().is_none() => {
                Self::Wrong("unit: the name of the unit is not UTF-8".to_owned())
            }
            "unit" => Self::Unit(second, args.split_off(2)),
            "drain" => Self::Drain(args.split_off(1)),
            other if args.is_empty() || other.starts_with('-') => Self::Watch(args),
            // It may be a secret in the wrong place.
            _ => Self::Wrong(
                "argument 1 is neither a flag nor a command: the commands are unit NAME and drain, and without one it watches"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &[&str]) -> Command {
        Command::of(args.iter().map(OsString::from).collect())
    }

    fn words(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_first_argument_is_a_command_or_a_flag() {
        assert_eq!(of(&[]), Command::Watch(Vec::new()));
        assert_eq!(of(&["-help"]), Command::Watch(words(&["-help"])));
        assert_eq!(of(&["-x", "unit"]), Command::Watch(words(&["-x", "unit"])));
        assert_eq!(of(&["drain", "-x=1"]), Command::Drain(words(&["-x=1"])));
        assert_eq!(
            of(&["unit", "-.mount", "-x=1"]),
            Command::Unit("-.mount".to_owned(), words(&["-x=1"]))
        );
        assert_eq!(
            of(&["unit", "-help"]),
            Command::Unit(String::new(), words(&["-help"]))
        );
        assert!(matches!(of(&["unit"]), Command::Wrong(_)));
        let Command::Wrong(why) = of(&["s3cret"]) else {
            panic!("there is no such command");
        };
        assert!(!why.contains("s3cret"), "{why}");
    }
}
