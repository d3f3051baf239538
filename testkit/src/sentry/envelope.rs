//! Envelopes, taken apart without any leniency.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::reply::Refusal;
use crate::http::Request;

/// Bytes of an envelope, unpacked.
const MAX_ENVELOPE: usize = 20 << 20;
/// Bytes of an event, unpacked.
pub(crate) const MAX_EVENT: usize = 1 << 20;
/// Items of an envelope.
const MAX_ITEMS: usize = 100;

/// A file that came with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentryAttachment {
    /// Its name.
    pub filename: String,
    /// Its type; empty if none was told.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An envelope with one event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Envelope {
    pub(crate) header: Value,
    pub(crate) event: Value,
    pub(crate) attachments: Vec<SentryAttachment>,
}

/// The body of a request, unpacked.
pub(crate) fn unpack(request: &Request) -> Result<Vec<u8>, Refusal> {
    let body = match request.header("Content-Encoding") {
        None | Some("identity") => request.body.clone(),
        Some(coding) if coding.eq_ignore_ascii_case("gzip") => {
            let mut body = Vec::new();
            MultiGzDecoder::new(request.body.as_slice())
                .take(MAX_ENVELOPE as u64 + 1)
                .read_to_end(&mut body)
                .map_err(|_| Refusal::bad("the body is not gzip"))?;
            body
        }
        Some(_) => return Err(Refusal::new(415, "unsupported content encoding")),
    };
    if body.len() > MAX_ENVELOPE {
        return Err(Refusal::too_large("envelope exceeds the size limit"));
    }
    Ok(body)
}

/// The bytes up to the next line feed, which is left out, or to the end.
fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|b| *b == b'\n');
    let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after.get(1..).unwrap_or_default();
    line
}

fn object(json: &[u8], what: &str) -> Result<Value, Refusal> {
    serde_json::from_slice(json)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| Refusal::bad(format!("{what} is no JSON object")))
}

/// The payload of an item: `length` bytes and a line feed or the end.
fn payload<'a>(header: &Value, rest: &mut &'a [u8]) -> Result<&'a [u8], Refusal> {
    let Some(length) = header.get("length") else {
        return Ok(line(rest));
    };
    let length = length
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| Refusal::bad("an item's length is no number"))?;
    if rest.len() < length {
        return Err(Refusal::bad("an item is shorter than its length"));
    }
    let (payload, after) = rest.split_at(length);
    *rest = match after {
        [] => after,
        [b'\n', after @ ..] => after,
        _ => return Err(Refusal::bad("an item is longer than its length")),
    };
    Ok(payload)
}

/// Takes an envelope apart. The event itself is not judged but for its id.
pub(crate) fn read(body: &[u8]) -> Result<Envelope, Refusal> {
    let mut rest = body;
    let header = object(line(&mut rest), "the envelope's header")?;
    let id = header.get("event_id").and_then(Value::as_str);
    if !id.is_some_and(is_event_id) {
        return Err(Refusal::bad(
            "event_id is not 32 lower-case hexadecimal digits",
        ));
    }
    let mut event = None;
    let mut attachments = Vec::new();
    for n in 0.. {
        if rest.is_empty() {
            break;
        }
        if n == MAX_ITEMS {
            return Err(Refusal::too_large("too many items"));
        }
        let head = object(line(&mut rest), "an item's header")?;
        let text = |name| head.get(name).and_then(Value::as_str).unwrap_or_default();
        let payload = payload(&head, &mut rest)?;
        match text("type") {
            "event" if event.is_some() => return Err(Refusal::bad("there are two events")),
            "event" if payload.len() > MAX_EVENT => {
                return Err(Refusal::too_large("event exceeds the size limit"));
            }
            "event" => event = Some(object(payload, "the event")?),
            "attachment" => {
                if head.get("length").is_none() || text("filename").is_empty() {
                    return Err(Refusal::bad("an attachment lacks its length or name"));
                }
                attachments.push(SentryAttachment {
                    filename: text("filename").to_owned(),
                    content_type: text("content_type").to_owned(),
                    bytes: payload.to_vec(),
                });
            }
            "" => return Err(Refusal::bad("an item has no type")),
            // Of no concern here, as for a server that does not know them.
            _ => {}
        }
    }
    let event = event.ok_or_else(|| Refusal::bad("there is no event"))?;
    if event.get("event_id").and_then(Value::as_str) != id {
        return Err(Refusal::bad(
            "the event and the envelope have different ids",
        ));
    }
    Ok(Envelope {
        header,
        event,
        attachments,
    })
}

pub(crate) fn is_event_id(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn refusal(text: &str) -> String {
        read(text.replace("ID", ID).as_bytes())
            .unwrap_err()
            .detail
            .clone()
    }

    #[test]
    fn reads_events_and_attachments_by_length() {
        let event = format!("{{\"event_id\":\"{ID}\"}}");
        let text = format!(
            "{{\"event_id\":\"{ID}\"}}\n{{\"type\":\"event\",\"length\":{}}}\n{event}\n\
             {{\"type\":\"attachment\",\"length\":4,\"filename\":\"a\"}}\na\n\nb\n\
             {{\"type\":\"client_report\"}}\n{{}}",
            event.len()
        );
        let e = read(text.as_bytes()).unwrap();
        assert_eq!(e.event["event_id"], ID);
        assert_eq!(e.attachments[0].bytes, b"a\n\nb");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let head = "{\"event_id\":\"ID\"}\n";
        for (text, why) in [
            ("", "the envelope's header is no JSON object"),
            ("{}\n", "event_id is not 32 lower-case hexadecimal digits"),
            (head, "there is no event"),
            (
                "{\"event_id\":\"ID\"}\n{\"type\":\"event\",\"length\":99}\n{}",
                "an item is shorter than its length",
            ),
            (
                "{\"event_id\":\"ID\"}\n{\"type\":\"event\",\"length\":1}\n{}\n",
                "an item is longer than its length",
            ),
            (
                "{\"event_id\":\"ID\"}\n{\"type\":\"event\"}\n{}\n",
                "the event and the envelope have different ids",
            ),
            (
                "{\"event_id\":\"ID\"}\n{\"type\":\"attachment\",\"filename\":\"a\"}\nx\n",
                "an attachment lacks its length or name",
            ),
            (
                "{\"event_id\":\"ID\"}\r\n{\"type\":\"event\"}\n[]\n",
                "the event is no JSON object",
            ),
        ] {
            assert_eq!(refusal(text), why, "{text}");
        }
    }
}
