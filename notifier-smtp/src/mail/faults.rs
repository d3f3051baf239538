//! What goes less than well does not lose the mail; what cannot go says why.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use notifier_core::{
    Digest, Error, ErrorKind, FailureRecord, LabelGrammar, LogReader, LogTail, Notice, Report,
    Result, Scope, Subject, jiff::Timestamp, redact::Redactor,
};

use super::{
    Composer, Mail,
    support::{compose, compose_as, nightly, parse, settings, text},
};

fn report(owners: &[&str]) -> Report {
    let mut failure = nightly();
    failure.owners = owners.iter().map(|o| (*o).to_owned()).collect();
    Report::failure(failure)
}

fn people(mail: &Mail) -> Vec<String> {
    mail.recipients.iter().map(ToString::to_string).collect()
}

fn header(mail: &Mail, name: &str) -> Option<String> {
    let start = format!("\r\n{name}: ");
    let data = String::from_utf8_lossy(&mail.data);
    let rest = data.split_once(&start)?.1;
    Some(rest.split("\r\n").next()?.to_owned())
}

/// A mail that was made with one thing to say about it.
fn warned(mail: &Mail, warning: &str) {
    assert_eq!(mail.warnings.len(), 1, "{:?}", mail.warnings);
    assert!(mail.warnings[0].contains(warning), "{:?}", mail.warnings);
}

#[test]
fn owners_get_it_unless_to_is_set() {
    let mail = compose(&report(&["a@x, b@x", "b@X"]), &[]).unwrap();
    assert_eq!(people(&mail), ["a@x", "b@x"]);
    assert_eq!(header(&mail, "To").unwrap(), "a@x, b@x");
    let mail = compose(&report(&["a@x"]), &[("to", "c@x, A@x"), ("cc", "c@x,d@x")]).unwrap();
    assert_eq!(people(&mail), ["c@x", "A@x", "d@x"]);
    assert_eq!(header(&mail, "Cc").unwrap(), "d@x");
    let mail = compose(
        &report(&["a@x"]),
        &[("cc", "d@x"), ("fallback", "f@x, d@x")],
    )
    .unwrap();
    assert_eq!(people(&mail), ["a@x", "d@x"]);
    assert_eq!(mail.fallback.len(), 1);
}

#[test]
fn names_of_owners_stand_for_addresses() {
    let owners = ("owners", "core=a@x, core=b@x");
    let mail = compose(&report(&["core, other"]), &[owners]).unwrap();
    assert_eq!(people(&mail), ["a@x", "b@x"]);
    warned(
        &mail,
        "an owner has no address: \"other\" is no mail address",
    );
}

#[test]
fn only_a_single_owner_has_the_owners_name() {
    let named = |owners: &[&str], name: &str| {
        let mut failure = nightly().with_detail("owner_name", name);
        failure.owners = owners.iter().map(|o| (*o).to_owned()).collect();
        let mail = compose(&Report::failure(failure), &[]).unwrap();
        header(&mail, "To").unwrap()
    };
    assert_eq!(named(&["a@x"], "Ann"), "Ann <a@x>");
    assert_eq!(named(&["a@x"], "Ann\r\nBcc: c@d"), "\"Ann Bcc: c@d\" <a@x>");
    assert_eq!(named(&["Bob <a@x>"], "Ann"), "Bob <a@x>");
    assert_eq!(named(&["a@x,b@x"], "Ann"), "a@x, b@x");
}

#[test]
fn without_anybody_the_fallback_gets_it() {
    let mail = compose(&report(&["nobody"]), &[("fallback", "f@x")]).unwrap();
    assert_eq!(people(&mail), ["f@x"]);
    assert_eq!(header(&mail, "To").unwrap(), "f@x");
    assert!(mail.fallback.is_empty());
    warned(&mail, "\"nobody\"");
}

#[test]
fn with_nobody_at_all_the_options_are_named() {
    let e = compose(&report(&["nobody"]), &[]).unwrap_err();
    assert_eq!((e.kind(), e.scope()), (ErrorKind::Config, Scope::Target));
    let text = e.to_string();
    for word in [
        "nobody to write to",
        "-smtp.to",
        "-smtp.fallback",
        "-smtp.owners",
        "\"nobody\"",
    ] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!e.is_retryable());
}

#[test]
fn what_is_no_failure_goes_to_to_or_the_fallback() {
    let notice = Arc::new(Notice::new("slack:#a", "it says no", Timestamp::UNIX_EPOCH));
    let fallback = ("fallback", "f@x");
    for subject in [
        Subject::Notice(Arc::clone(&notice)),
        Subject::Recovery(notice),
    ] {
        let report = Report::new(subject);
        let mail = compose(
            &report,
            &[fallback, ("format", "chronos"), ("html_format", "<b>a</b>")],
        )
        .unwrap();
        assert_eq!(people(&mail), ["f@x"]);
        assert!(text(&mail).contains("it says no\n"), "{}", text(&mail));
        assert_eq!(parse(&mail).html_body_count(), 1);
        assert!(
            header(&mail, "Content-Type")
                .unwrap()
                .starts_with("text/plain")
        );
        let mail = compose(&report, &[fallback, ("to", "t@x")]).unwrap();
        assert_eq!(people(&mail), ["t@x"]);
        assert!(compose(&report, &[]).is_err());
    }
    let mut example = nightly();
    example.owners = vec!["o@x".to_owned()];
    let digest = Digest::new("d", "f", 3, example);
    let mail = compose(&Report::new(Subject::Digest(Arc::new(digest))), &[fallback]).unwrap();
    assert_eq!(people(&mail), ["o@x"]);
    assert_eq!(
        header(&mail, "Subject").unwrap(),
        "[3 more] nightly-report TASK_FAILED"
    );
}

fn labelled(label: &str, value: &str, values: &[(&str, &str)]) -> Result<Mail> {
    let settings = settings(values);
    let labels = BTreeMap::from([(format!("complainer_smtp_{label}"), value.to_owned())]);
    let grammar = LabelGrammar::default();
    let instance = settings.resolve(&grammar.scope(&labels), "default");
    compose_as(&report(&["o@x"]), &settings, &instance, None)
}

#[test]
fn a_wrong_label_does_not_lose_the_mail() {
    let mail = labelled("to", "alice, b@x, c@x\r\nRCPT TO:<d@x>", &[]).unwrap();
    assert_eq!(people(&mail), ["b@x"]);
    assert_eq!(mail.warnings.len(), 2);
    assert!(
        mail.warnings
            .iter()
            .all(|w| w.starts_with("smtp.to: ") && !w.contains('\n'))
    );
    // Whom it would have gone to without the label.
    let mail = labelled("to", "alice", &[("fallback", "f@x")]).unwrap();
    assert_eq!(people(&mail), ["o@x"]);
    warned(&mail, "smtp.to: \"alice\"");
    let mail = labelled("to", ",", &[("to", "t@x")]).unwrap();
    assert_eq!(people(&mail), ["t@x"]);
    let mail = labelled("from", "alice", &[]).unwrap();
    assert_eq!(mail.sender.to_string(), "alerts@example.com");
    warned(&mail, "smtp.from: \"alice\"");
    let mail = labelled("reply_to", "alice", &[]).unwrap();
    assert_eq!(header(&mail, "Reply-To"), None);
    warned(&mail, "smtp.reply_to: ");
    let mail = labelled("reply_to", "jürgen@x", &[]).unwrap();
    assert_eq!(header(&mail, "Reply-To"), None);
    assert!(!mail.needs_utf8);
    warned(&mail, "smtp.reply_to: ");
    let mail = labelled("reply_to", "jürgen@x", &[("from", "ä@x")]).unwrap();
    assert_eq!(header(&mail, "Reply-To").unwrap(), "jürgen@x");
    let mail = labelled("attach", "stdin", &[]).unwrap();
    warned(&mail, "smtp.attach: \"stdin\"");
    let mail = labelled("format", "{{ .failure.Nam }}", &[]).unwrap();
    warned(&mail, "smtp.format: ");
    assert!(
        text(&mail).contains("(the template failed: "),
        "{}",
        text(&mail)
    );
    let mail = labelled("subject", "{{ .failure.Nam }}", &[]).unwrap();
    warned(&mail, "smtp.subject: ");
    assert!(
        header(&mail, "Subject")
            .unwrap()
            .starts_with("Task nightly-report")
    );
    let mail = labelled("html_format", "{{ .failure.Nam }}", &[]).unwrap();
    warned(&mail, "smtp.html_format: ");
}

#[test]
fn a_template_that_says_nothing_does_not_either() {
    let blank = "{{ .failure.Image }} {{ .nl }}";
    let mail = compose(&report(&["o@x"]), &[("subject", blank)]).unwrap();
    warned(&mail, "empty subject");
    let mail = compose(&report(&["o@x"]), &[("format", blank)]).unwrap();
    warned(&mail, "empty text");
    assert_eq!(
        text(&mail),
        "Task nightly-report (ct:1767323040000:0:nightly-report:) died with status TASK_FAILED\n"
    );
    let mail = compose(&report(&["o@x"]), &[("html_format", blank)]).unwrap();
    warned(&mail, "the text was sent alone");
}

#[test]
fn the_subject_follows_the_format() {
    let subject = |values: &[(&str, &str)]| {
        let mail = compose(&report(&["o@x"]), values).unwrap();
        header(&mail, "Subject").unwrap()
    };
    let (ours, theirs) = (
        "[TASK_FAILED] nightly-report",
        " [Chronos] job 'nightly-report' failed!",
    );
    assert_eq!(subject(&[]), ours);
    assert_eq!(subject(&[("format", "a text of one's own")]), ours);
    assert_eq!(subject(&[("format", "chronos")]), theirs);
    assert_eq!(
        subject(&[("format", "chronos"), ("subject", "default")]),
        ours
    );
    assert_eq!(subject(&[("subject", "chronos")]), theirs);
    assert_eq!(
        subject(&[("subject", "a\n{{ .failure.State }}\n")]),
        "a TASK_FAILED"
    );
}

#[test]
fn what_is_set_wrongly_is_told_at_the_start() {
    for (key, value, wanted) in [
        ("from", "alice", "smtp.from: \"alice\" is no mail address"),
        ("to", "a@x, bob", "smtp.to: \"bob\" is no mail address"),
        ("cc", "bob", "smtp.cc: \"bob\""),
        ("fallback", "bob", "smtp.fallback: \"bob\""),
        ("reply_to", "a@x, b@x", "smtp.reply_to: "),
        (
            "owners",
            "a@x",
            "smtp.owners: \"a@x\" is not of the form NAME=ADDRESS",
        ),
        (
            "headers",
            "Bcc: a@x",
            "smtp.headers: number 1: Bcc is not to be set here",
        ),
        ("headers", "X-A: a\nX-B", "smtp.headers: number 2: "),
        (
            "attach",
            "stdout,log",
            "smtp.attach: \"log\" is neither stdout nor stderr",
        ),
        ("format", "{{ .failure", "smtp.format: "),
        ("subject", "{{ end }}", "smtp.subject: "),
        ("html_format", "{{ end }}", "smtp.html_format: "),
    ] {
        let e = Composer::new(&settings(&[(key, value)])).unwrap_err();
        assert!(e.to_string().starts_with(wanted), "{key}: {e}");
    }
    let composer = Composer::new(&settings(&[])).unwrap();
    assert!(composer.check(&settings(&[]).instance("default")).is_ok());
    let none = notifier_core::BackendSettings::new(crate::OPTIONS).instance("default");
    let e = composer.check(&none).unwrap_err().to_string();
    assert!(e.contains("-smtp.from"), "{e}");
}

#[test]
fn an_address_in_utf8_keeps_the_mail_from_nobody_else() {
    let mail = compose(&report(&["jürgen@bücher.example, a@x"]), &[]).unwrap();
    assert_eq!(people(&mail), ["jürgen@xn--bcher-kva.example", "a@x"]);
    assert_eq!(header(&mail, "To").unwrap(), "a@x");
    assert!(mail.data.is_ascii() && !mail.needs_utf8);
    let mail = compose(&report(&["jürgen@bücher.example"]), &[]).unwrap();
    assert_eq!(header(&mail, "To").unwrap(), "jürgen@xn--bcher-kva.example");
    assert!(mail.needs_utf8);
    // Nor from the fallback, if this one is refused.
    let mail = compose(&report(&["jürgen@x"]), &[("fallback", "f@x")]).unwrap();
    assert_eq!(header(&mail, "To").unwrap(), "undisclosed-recipients:;");
    assert_eq!((people(&mail).len(), mail.needs_utf8), (1, false));
    assert!(mail.data.is_ascii());
    let mail = compose(&report(&["a@x"]), &[("from", "jürgen@x")]).unwrap();
    assert!(mail.needs_utf8);
}

#[test]
fn a_crowd_of_owners_takes_no_long_header_and_no_long_warning() {
    let owners: Vec<String> = (0..5_000).map(|n| format!("o{n}@x")).collect();
    let owners: Vec<&str> = owners.iter().map(String::as_str).collect();
    let mail = compose(&report(&owners), &[("format", "x")]).unwrap();
    assert_eq!(mail.recipients.len(), owners.len());
    warned(&mail, "have no room in the header To");
    assert!(mail.data.len() < 20_000, "{}", mail.data.len());
    let none = vec!["nobody"; 5_000];
    let mail = compose(&report(&none), &[("fallback", "f@x")]).unwrap();
    assert_eq!(people(&mail), ["f@x"]);
    assert!(mail.warnings.len() < 20, "{}", mail.warnings.len());
    let e = compose(&report(&none), &[]).unwrap_err().to_string();
    assert!(e.len() < 3000 && e.contains("4990 more"), "{e}");
}

#[test]
fn secrets_are_masked_in_names_of_owners_and_in_warnings() {
    let redactor = Redactor::new(["hunter2"]);
    let report = report(&["Ann hunter2 <a@x>", "hunter2"]).with_redactor(redactor);
    let mail = compose(&report, &[]).unwrap();
    assert_eq!(header(&mail, "To").unwrap(), "Ann *** <a@x>");
    warned(&mail, "\"***\"");
    assert!(!String::from_utf8_lossy(&mail.data).contains("hunter2"));
}

#[test]
fn secrets_are_masked() {
    let mut failure = nightly().with_detail("owner_name", "hunter2 & co");
    failure.message = Some("the password hunter2 is wrong".to_owned());
    let report = Report::failure(failure).with_redactor(Redactor::new(["hunter2"]));
    let html = ("html_format", "{{ .failure.Message }} hunter2");
    let subject = ("subject", "hunter2 {{ .failure.Message }}");
    let mail = compose(&report, &[html, subject]).unwrap();
    let data = String::from_utf8(mail.data).unwrap();
    assert!(
        !data.contains("hunter2") && data.contains("the password *** is wrong"),
        "{data}"
    );
}

/// Logs of these bytes; of none for a log that cannot be read.
#[derive(Debug)]
struct Logs {
    stdout: Option<&'static [u8]>,
    stderr: Option<&'static [u8]>,
}

#[async_trait]
impl LogReader for Logs {
    async fn tail(&self, name: &str, most: usize) -> Result<Option<LogTail>> {
        let log = if name == "stdout" {
            self.stdout
        } else {
            self.stderr
        };
        let log =
            log.ok_or_else(|| Error::new(ErrorKind::Unavailable, "the agent does\nnot answer"))?;
        let start = log.len().saturating_sub(most);
        Ok((!log.is_empty()).then(|| LogTail::new(&log[start..], start > 0)))
    }
}

fn with_logs(stdout: Option<&'static [u8]>, stderr: Option<&'static [u8]>) -> Report {
    report(&["o@x"]).with_logs(Arc::new(Logs { stdout, stderr }))
}

#[test]
fn the_last_lines_are_those_of_stderr_or_of_stdout() {
    let show = [("format", "{{ .logTail }}|"), ("log_lines", "2")];
    let shown = |report: &Report| text(&compose(report, &show).unwrap());
    assert_eq!(shown(&with_logs(Some(b"a\n"), Some(b"1\n2\n3\n"))), "2\n3|");
    assert_eq!(shown(&with_logs(Some(b"a\n"), Some(b""))), "a|");
    let mail = compose(&with_logs(Some(b"a\n"), None), &show).unwrap();
    assert_eq!(
        text(&mail),
        "a|\n(the log stderr cannot be read: the agent does not answer)\n"
    );
    warned(&mail, "the log stderr cannot be read");
    // Nothing shows it, so nobody reads it.
    let mail = compose(&with_logs(None, None), &[("format", "x")]).unwrap();
    assert!(mail.warnings.is_empty());
}

#[test]
fn logs_are_attached() {
    let attach = [
        ("attach", "stderr,stdout"),
        ("format", "chronos"),
        ("attach_size", "4"),
    ];
    let mail = compose(&with_logs(Some(b"one\n"), Some(b"1\n2\n3\n")), &attach).unwrap();
    let parsed = parse(&mail);
    let files: Vec<&[u8]> = parsed.attachments().map(|part| part.contents()).collect();
    assert_eq!(files, [&b"one\r\n"[..], b"3\r\n"]);
    let mail = compose(&with_logs(Some(b"one\n"), None), &attach).unwrap();
    assert_eq!(parse(&mail).attachment_count(), 1);
    assert!(
        text(&mail).ends_with("\n(the log stderr cannot be read: the agent does not answer)\n")
    );
}

#[test]
fn a_mail_fits_the_relay() {
    static LOG: [u8; 50_000] = [b'x'; 50_000];
    let settings = settings(&[("attach", "stdout")]);
    let instance = settings.instance("default");
    let report = with_logs(Some(&LOG), Some(b""));
    let mail = compose_as(&report, &settings, &instance, Some(20_000)).unwrap();
    assert!(
        mail.data.len() <= 20_000 && mail.data.len() > 5000,
        "{}",
        mail.data.len()
    );
    warned(&mail, "the attached stdout is cut");
    let mail = compose_as(&report, &settings, &instance, Some(1500)).unwrap();
    assert!(mail.data.len() <= 1500, "{}", mail.data.len());
}

#[test]
fn a_mail_is_the_same_on_every_attempt() {
    let mail = || {
        compose(&report(&["o@x"]), &[("html_format", "<p>a</p>")])
            .unwrap()
            .data
    };
    assert_eq!(mail(), mail());
}

#[test]
fn the_date_is_that_of_the_attempt() {
    let at: Timestamp = "2026-11-22T00:29:50Z".parse().unwrap();
    let date = |at| {
        let mail = compose(&report(&["o@x"]).with_now(at), &[]).unwrap();
        String::from_utf8(mail.data)
            .unwrap()
            .split("\r\n")
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(date(at), "Date: Sun, 22 Nov 2026 00:29:50 +0000");
    assert_eq!(
        date(Timestamp::MIN),
        "Date: Thu, 01 Jan 1970 00:00:00 +0000"
    );
    let failure = FailureRecord::new("a", "b", "c", Timestamp::MAX);
    assert!(compose(&Report::failure(failure), &[("to", "a@x")]).is_ok());
}
