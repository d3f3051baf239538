//! What goes in is what Python's `email` reads, which raises at every defect.

use std::process::Command;

use notifier_testkit::peer;
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use serde_json::json;

use super::cases::{Case, any_case};
use crate::address::unescaped;

/// How many mails are compared.
const CASES: usize = 400;

/// Reads mails and what they have to hold, a JSON object on each line; prints what differs.
const SCRIPT: &str = r#"
import base64, email, email.policy, json, sys
policy = email.policy.default.clone(raise_on_defect=True)
seen = 0
def lines(text):
    return text.replace("\r\n", "\n")
def content(part):
    # The charset is UTF-8, and decoding it must not fail.
    return lines(part.get_payload(decode=True).decode("utf-8"))
for line in open(sys.argv[1], encoding="ascii"):
    case = json.loads(line)
    seen += 1
    def same(what, read, wanted):
        if read != wanted:
            print(f"{seen} {what}: read {read!a}, wanted {wanted!a}")
    try:
        mail = email.message_from_bytes(base64.b64decode(case["data"]), policy=policy)
        same("names", mail.keys(), case["names"])
        same("subject", str(mail["subject"]).strip(), case["subject"].strip())
        for field in ("to", "cc"):
            people = mail[field].addresses if mail[field] else ()
            # It leaves the blanks between encoded words in names, against RFC 2047 section 6.2.
            bare = lambda name: "".join(name.split())
            read = [[bare(a.display_name), a.username, a.domain] for a in people]
            same(field, read, [[bare(name), *address] for name, *address in case[field]])
        same("extra", mail["x-extra"], case["extra"])
        for part in mail.walk():
            same("defects", [str(d) for d in part.defects], [])
            for value in part.values():
                same("defects of a header", [str(d) for d in value.defects], [])
        text = mail.get_body(("plain",))
        same("body", content(text), case["body"])
        html = mail.get_body(("html",))
        same("html", content(html) if html else None, case["html"])
        files = []
        for part in mail.iter_attachments() if mail.is_multipart() else ():
            if part.get_content_disposition() != "attachment":
                continue
            data = part.get_payload(decode=True)
            if part.get_content_type() == "text/plain":
                data = data.replace(b"\r\n", b"\n")
            files.append([part.get_filename(), base64.b64encode(data).decode()])
        same("files", files, case["files"])
    except Exception as e:
        print(f"{seen} {type(e).__name__}: {str(e)!a}")
print("seen", seen)
"#;

/// What Python says of mails, and whether it is there at all.
fn differences(rows: &[serde_json::Value]) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mails");
    let text: String = rows
        .iter()
        .map(|row| format!("{}\n", ascii(&row.to_string())))
        .collect();
    std::fs::write(&file, text).unwrap();
    let run = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(&file)
        .output();
    let Ok(output) = run else {
        peer::skipped("Python's email", "python3 is not installed");
        return None;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    let mut said: Vec<String> = said.lines().map(str::to_owned).collect();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.pop(), Some(format!("seen {}", rows.len())), "{errors}");
    Some(said)
}

/// JSON without a character beyond ASCII.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            out.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

/// Name, local part without its quotes, and domain of each.
fn parts(people: &[(String, String)]) -> Vec<[String; 3]> {
    let parts = people.iter().map(|(name, address)| {
        let (local, domain) = address.rsplit_once('@').unwrap();
        let inner = local.strip_prefix('"').and_then(|l| l.strip_suffix('"'));
        let local = inner.map_or_else(|| local.to_owned(), unescaped);
        [name.clone(), local, domain.to_owned()]
    });
    parts.collect()
}

fn row(case: &Case, data: &[u8]) -> serde_json::Value {
    let log = case.log.iter().filter(|log| !log.is_empty());
    let files: Vec<_> = log.map(|log| json!(["stdout.txt", base64(log)])).collect();
    json!({
        "data": base64(data),
        "names": case.names(),
        "subject": case.read_subject(),
        "to": parts(&Case::shown(&case.to, &[])),
        "cc": parts(&Case::shown(&case.cc, &case.to)),
        "extra": case.extra,
        "body": case.read_body(),
        "html": case.read_html(),
        "files": files,
    })
}

#[test]
fn python_reads_any_mail_as_what_it_was_made_of() {
    let mut runner = TestRunner::deterministic();
    let cases: Vec<Case> = (0..CASES)
        .map(|_| any_case(true).new_tree(&mut runner).unwrap().current())
        .collect();
    let rows: Vec<_> = cases
        .iter()
        .map(|case| row(case, &case.mail().data))
        .collect();
    let Some(differences) = differences(&rows) else {
        return;
    };
    let shown: Vec<String> = differences
        .iter()
        .take(20)
        .map(|text| text.chars().take(600).collect())
        .collect();
    assert!(
        differences.is_empty(),
        "{}\n{}",
        differences.len(),
        shown.join("\n")
    );
    peer::ran("Python's email");
}

#[test]
fn python_sees_what_is_broken() {
    let case = Case {
        subject: "Grüße".to_owned(),
        body: "a body\n".to_owned(),
        html: true,
        to: vec![("Jürgen".to_owned(), "a@b.example".to_owned())],
        cc: Vec::new(),
        extra: "core".to_owned(),
        log: Some(b"a log\n".to_vec()),
    };
    let data = String::from_utf8(case.mail().data).unwrap();
    let mut rows = vec![row(&case, data.as_bytes())];
    let changes = [
        ("Subject: ", "Bcc: x@y\r\nSubject: "),
        ("=C3=BC", "=C3=C3"),
        ("<a@b.example>", "<a@c.example>"),
        ("<a@b.example>", "<a b@b.example>"),
        ("X-Extra: core", "X-Extra: more"),
        ("\r\na body\r\n", "\r\na body \r\n"),
        ("=_0123456789abcdef0123456789abcdefa--", "=_0"),
        ("boundary=", "bound="),
        ("\r\na log\r\n", "\r\na l\r\n"),
    ];
    for (from, to) in changes {
        assert!(data.contains(from), "{from:?} is not in {data}");
        rows.push(row(&case, data.replacen(from, to, 1).as_bytes()));
    }
    let Some(differences) = differences(&rows) else {
        return;
    };
    for n in 1..=rows.len() {
        let start = format!("{n} ");
        let is_seen = differences.iter().any(|d| d.starts_with(&start));
        assert_eq!(is_seen, n > 1, "mail {n}: {differences:#?}");
    }
}
