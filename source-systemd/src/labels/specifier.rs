//! Specifiers such as `%i` (systemd.unit(5)).

/// Of which unit, on which host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) unit: &'a str,
    pub(crate) host: &'a str,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(unit: &'a str, host: &'a str) -> Self {
        Self { unit, host }
    }

    /// The name without its type: `web@blue`.
    fn name(&self) -> &'a str {
        self.unit.rsplit_once('.').map_or(self.unit, |(n, _)| n)
    }

    /// What stands before the `@`, or the whole name: `web`.
    fn prefix(&self) -> &'a str {
        self.name().split_once('@').map_or(self.name(), |(p, _)| p)
    }

    /// What stands behind the `@`: `blue`.
    fn instance(&self) -> &'a str {
        self.name().split_once('@').map_or("", |(_, i)| i)
    }

    /// A text with `%n %N %p %P %i %I %j %J %H %l %%` replaced. Others stay as they are.
    pub(crate) fn expand(&self, text: &str) -> String {
        if !text.contains('%') {
            return text.to_owned();
        }
        let last = |text: &'a str| text.rsplit_once('-').map_or(text, |(_, l)| l);
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('n') => out.push_str(self.unit),
                Some('N') => out.push_str(self.name()),
                Some('p') => out.push_str(self.prefix()),
                Some('P') => out.push_str(&unescape(self.prefix())),
                Some('i') => out.push_str(self.instance()),
                Some('I') => out.push_str(&unescape(self.instance())),
                Some('j') => out.push_str(last(self.prefix())),
                Some('J') => out.push_str(&unescape(last(self.prefix()))),
                Some('H') => out.push_str(self.host),
                Some('l') => out.push_str(self.host.split('.').next().unwrap_or_default()),
                Some('%') => out.push('%'),
                Some(c) => out.extend(['%', c]),
                None => out.push('%'),
            }
        }
        out
    }
}

/// A name as it was before systemd-escape(1): `-` is `/`, `\x2d` is `-`.
pub(crate) fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'-', _) => bytes.push(b'/'),
            (b'\\', [b'x', a, b, ..]) => match (hex(*a), hex(*b)) {
                (Some(a), Some(b)) => {
                    bytes.push(a << 4 | b);
                    rest = &tail[3..];
                }
                _ => bytes.push(b'\\'),
            },
            (c, _) => bytes.push(*c),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(c: u8) -> Option<u8> {
    char::from(c)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifiers_are_those_of_the_unit() {
        let scope = Scope::new("a-web@b\\x2dc-d.service", "node.example");
        assert_eq!(
            scope.expand("%n|%N|%p|%P|%i|%I|%j|%J|%H|%l|%%|%z|%"),
            "a-web@b\\x2dc-d.service|a-web@b\\x2dc-d|a-web|a/web|b\\x2dc-d|b-c/d|web|web|node.example|node|%|%z|%"
        );
        let plain = Scope::new("web.service", "");
        assert_eq!(plain.expand("%p|%i|%N"), "web||web");
        assert_eq!(Scope::new("", "").expand("%n%p%i%j"), "");
    }

    #[test]
    fn what_is_no_escape_stays() {
        assert_eq!(unescape("a\\x2"), "a\\x2");
        assert_eq!(unescape("a\\xzz\\"), "a\\xzz\\");
        assert_eq!(unescape("\\xc3\\xa4"), "ä");
    }
}
