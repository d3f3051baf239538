//! The list of parts that ends an upload.

use super::Refusal;

/// The longest list, in bytes: 10,000 parts with room to spare.
pub(super) const MAX_LIST: usize = 2 * 1024 * 1024;

const MALFORMED: Refusal = Refusal(400, "MalformedXML");

/// Number and tag of each part, in order.
pub(super) fn parts(xml: &[u8]) -> Result<Vec<(usize, String)>, Refusal> {
    let xml = std::str::from_utf8(xml).map_err(|_| MALFORMED)?;
    let list = element(xml, "CompleteMultipartUpload").ok_or(MALFORMED)?.0;
    let mut rest = list;
    let mut parts: Vec<(usize, String)> = Vec::new();
    while let Some((part, after)) = element(rest, "Part") {
        let number = element(part, "PartNumber").and_then(|(n, _)| n.trim().parse().ok());
        let tag = element(part, "ETag").map(|(t, _)| plain(t));
        let (Some(number), Some(tag)) = (number, tag) else {
            return Err(MALFORMED);
        };
        if parts.last().is_some_and(|(last, _)| *last >= number) {
            return Err(Refusal(400, "InvalidPartOrder"));
        }
        parts.push((number, tag));
        rest = after;
    }
    if parts.is_empty() {
        return Err(MALFORMED);
    }
    Ok(parts)
}

/// What is in the first element of this name, and what comes after it.
fn element<'a>(xml: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let open = xml.match_indices('<').find_map(|(at, _)| {
        let after = xml[at + 1..].strip_prefix(name)?;
        after
            .starts_with(['>', ' ', '\n', '\r', '\t'])
            .then_some(after)
    })?;
    let (_, content) = open.split_once('>')?;
    content.split_once(&format!("</{name}>"))
}

/// A tag, with which quotes may go or not.
fn plain(tag: &str) -> String {
    let tag = tag.trim().replace("&quot;", "\"");
    tag.trim_matches('"').to_owned()
}
