//! What events of one issue have in common.

use std::collections::HashMap;

use notifier_core::{
    BackendSettings, Error, Markup, MessageTemplates, OptionGroup, OptionKind, OptionSpec, Report,
    Result, Settings,
};

use crate::{
    limits::{Cuts, FINGERPRINT, FINGERPRINTS, one_line},
    options::SCHEME,
};

const KEY: &str = "fingerprint";
/// The word for Sentry's own grouping, which is written like a template there.
const DEFAULT: (&str, &str) = ("default", "{{ default }}");

/// One template for each element, so that no value can make two of one.
const PART: OptionGroup = OptionGroup::new(
    SCHEME,
    &[OptionSpec::new(KEY, "an element").kind(OptionKind::Template)],
);

/// The fingerprints of all instances, compiled.
#[derive(Debug)]
pub(crate) struct Fingerprints {
    /// The elements of each value that the option has.
    lists: HashMap<String, Vec<String>>,
    /// Each element, an instance of its own that is named as it reads.
    parts: BackendSettings,
    templates: MessageTemplates,
}

impl Fingerprints {
    /// Compiles what the option is in any instance.
    pub(crate) fn compile(settings: &BackendSettings) -> Result<Self> {
        let mut lists = HashMap::new();
        let mut parts = BackendSettings::new(PART);
        for text in settings.all_values(KEY) {
            let list: Vec<String> = elements(&text).map(str::to_owned).collect();
            if list.len() > FINGERPRINTS {
                return Err(Error::config(format!(
                    "{SCHEME}.{KEY} has {} elements, at most {FINGERPRINTS} may be",
                    list.len()
                )));
            }
            for element in list.iter().filter(|e| *e != DEFAULT.0) {
                parts.set_instance(element, KEY, element)?;
            }
            lists.insert(text, list);
        }
        Ok(Self {
            lists,
            templates: MessageTemplates::compile(&parts, KEY, Markup::Plain)?,
            parts,
        })
    }

    /// The elements for one failure, without empty ones. An element whose template fails is
    /// left out, with a warning.
    pub(crate) fn render(
        &self,
        settings: &Settings,
        report: &Report,
        cuts: &mut Cuts,
        warnings: &mut Vec<Error>,
    ) -> Vec<String> {
        let list = self.lists.get(settings.text(KEY)).into_iter().flatten();
        list.filter_map(|element| {
            if element == DEFAULT.0 {
                return Some(DEFAULT.1.to_owned());
            }
            let rendered = self.templates.render(&self.parts.instance(element), report);
            if let Some(fault) = rendered.fault {
                warnings.push(fault);
                return None;
            }
            let line = one_line(&rendered.text);
            (!line.is_empty()).then(|| cuts.chars(KEY, &line, FINGERPRINT))
        })
        .collect()
    }
}

/// The parts between semicolons or line breaks that are not within `{{ }}`, without empty ones.
fn elements(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = end(text);
        rest = text.get(end + 1..);
        Some(text[..end].trim())
    })
    .filter(|e| !e.is_empty())
}

/// Where the first element ends.
fn end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut is_action = false;
    while at < bytes.len() {
        match bytes[at] {
            b'{' if !is_action && bytes[at..].starts_with(b"{{") => {
                is_action = true;
                at += 1;
            }
            b'}' if is_action && bytes[at..].starts_with(b"}}") => {
                is_action = false;
                at += 1;
            }
            quote @ (b'"' | b'`') if is_action => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    // Only in double quotes is a backslash special.
                    at += 1 + usize::from(quote == b'"' && bytes[at] == b'\\');
                }
            }
            b';' | b'\n' if !is_action => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use notifier_core::{ErrorKind, FailureRecord, Origin, jiff::Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::OPTIONS;

    fn render(option: &str, f: &FailureRecord) -> (Vec<String>, usize) {
        let mut s = BackendSettings::new(OPTIONS);
        s.set(Origin::Flag, KEY, option).unwrap();
        let mut warnings = Vec::new();
        let list = Fingerprints::compile(&s).unwrap().render(
            &s.instance("default"),
            &Report::failure(f.clone()),
            &mut Cuts::default(),
            &mut warnings,
        );
        (list, warnings.len())
    }

    fn failure(name: &str) -> FailureRecord {
        let mut f = FailureRecord::new("web.1", name, "TASK_FAILED", Timestamp::UNIX_EPOCH);
        f.framework = "marathon".to_owned();
        f
    }

    #[test]
    fn unless_set_it_is_framework_name_state_and_reason() {
        let s = BackendSettings::new(OPTIONS);
        let prints = Fingerprints::compile(&s).unwrap();
        let mut f = failure("web");
        let of = |f: &FailureRecord| {
            prints.render(
                &s.instance("default"),
                &Report::failure(f.clone()),
                &mut Cuts::default(),
                &mut Vec::new(),
            )
        };
        assert_eq!(of(&f), ["marathon", "web", "TASK_FAILED"]);
        f.reason = Some("REASON_OOM".to_owned());
        f.id = "another".to_owned();
        assert_eq!(of(&f), ["marathon", "web", "TASK_FAILED", "REASON_OOM"]);
    }

    #[test]
    fn elements_are_told_apart_in_the_option_and_never_in_data() {
        let list = |o| render(o, &failure("a;b\ndefault")).0;
        assert_eq!(
            list("x; {{ .failure.Name }}\ndefault;;"),
            ["x", "a;b default", "{{ default }}"]
        );
        assert_eq!(list(r#"{{ print "a;b\";" `;` }};c"#), [r#"a;b";;"#, "c"]);
        assert_eq!(
            render("{{ .failure.Name }}", &failure("default")).0,
            ["default"]
        );
        assert_eq!(list(";\n ;"), [""; 0]);
    }

    #[test]
    fn what_fails_is_left_out_and_told() {
        let (list, warnings) = render("a;{{ .failure.Nope }};b", &failure("web"));
        assert_eq!((list, warnings), (vec!["a".to_owned(), "b".to_owned()], 1));
        let mut s = BackendSettings::new(OPTIONS);
        s.set(Origin::Flag, KEY, "a;{{ .failure.Name").unwrap();
        let e = Fingerprints::compile(&s).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Template);
        assert!(e.to_string().starts_with("sentry.fingerprint: "), "{e}");
        s.set(Origin::Flag, KEY, &"a;".repeat(17)).unwrap();
        assert_eq!(
            Fingerprints::compile(&s).unwrap_err().to_string(),
            "sentry.fingerprint has 17 elements, at most 16 may be"
        );
    }

    #[test]
    fn an_element_that_is_too_long_is_cut_and_told() {
        let mut s = BackendSettings::new(OPTIONS);
        s.set(Origin::Flag, KEY, "{{ .failure.Name }}").unwrap();
        let prints = Fingerprints::compile(&s).unwrap();
        for (length, told) in [
            (FINGERPRINT, None),
            (FINGERPRINT + 1, Some("cut: fingerprint")),
        ] {
            let mut cuts = Cuts::default();
            let list = prints.render(
                &s.instance("default"),
                &Report::failure(failure(&"n".repeat(length))),
                &mut cuts,
                &mut Vec::new(),
            );
            assert_eq!(list[0].chars().count(), FINGERPRINT);
            assert_eq!(
                (list[0].ends_with('…'), cuts.told().as_deref()),
                (told.is_some(), told)
            );
        }
    }

    proptest! {
        #[test]
        fn no_option_panics(text in "(\\PC|[;\n\"`{}]|\\{\\{|\\}\\}|\\\\){0,40}") {
            let joined: usize = elements(&text).map(str::len).sum();
            prop_assert!(joined <= text.len());
        }
    }
}
