//! Rows as they lie on pages: <https://www.sqlite.org/fileformat2.html#b_tree_pages>.

use rusqlite::types::Value;

use super::pages::Pages;

/// What kind of page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    TableInterior,
    TableLeaf,
    IndexInterior,
    IndexLeaf,
}

/// A row, with its number if it is one of a table that has such.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) rowid: Option<i64>,
    pub(super) values: Vec<Value>,
}

/// A page of a tree, taken apart.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) kind: Kind,
    /// Pages below this one.
    pub(super) children: Vec<u32>,
    pub(super) records: Vec<Record>,
    /// Rows that cannot be read.
    pub(super) bad: u64,
}

impl Page {
    /// Reads a page as one of a tree; `None` if it cannot be one.
    pub(super) fn read(pages: &Pages, number: u32) -> Option<Self> {
        let bytes = pages.read(number)?;
        let start = if number == 1 { 100 } else { 0 };
        let header = bytes.get(start..)?;
        let kind = match header.first()? {
            2 => Kind::IndexInterior,
            5 => Kind::TableInterior,
            10 => Kind::IndexLeaf,
            13 => Kind::TableLeaf,
            _ => return None,
        };
        let is_leaf = matches!(kind, Kind::TableLeaf | Kind::IndexLeaf);
        let cells = usize::from(short(header, 3)?);
        let pointers = start + if is_leaf { 8 } else { 12 };
        let mut page = Self {
            kind,
            children: Vec::new(),
            records: Vec::new(),
            bad: 0,
        };
        let first = pointers + 2 * cells;
        if first > bytes.len() {
            return None;
        }
        for n in 0..cells {
            let at = usize::from(short(&bytes, pointers + 2 * n)?);
            if at < first || page.cell(pages, &bytes, at).is_none() {
                page.bad += 1;
            }
        }
        if !is_leaf {
            page.children.push(long(header, 8)?);
        }
        Some(page)
    }

    fn cell(&mut self, pages: &Pages, bytes: &[u8], mut at: usize) -> Option<()> {
        if matches!(self.kind, Kind::TableInterior | Kind::IndexInterior) {
            self.children.push(long(bytes, at)?);
            at += 4;
        }
        if self.kind == Kind::TableInterior {
            return Some(());
        }
        let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
        let mut rowid = None;
        if self.kind == Kind::TableLeaf {
            rowid = Some(varint(bytes, &mut at)?.cast_signed());
        }
        let payload = payload(pages, bytes, at, length, self.kind)?;
        let values = values(&payload)?;
        self.records.push(Record { rowid, values });
        Some(())
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A number of one to nine bytes.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut n: u64 = 0;
    for i in 0..9 {
        let b = *bytes.get(*at)?;
        *at += 1;
        if i == 8 {
            return Some(n << 8 | u64::from(b));
        }
        n = n << 7 | u64::from(b & 0x7f);
        if b & 0x80 == 0 {
            break;
        }
    }
    Some(n)
}

/// A row's bytes, those on pages of their own included.
fn payload(pages: &Pages, bytes: &[u8], at: usize, length: usize, kind: Kind) -> Option<Vec<u8>> {
    let usable = bytes.len();
    if length > pages.most_bytes() {
        return None;
    }
    let least = (usable - 12) * 32 / 255 - 23;
    let most = if kind == Kind::TableLeaf {
        usable - 35
    } else {
        (usable - 12) * 64 / 255 - 23
    };
    if length <= most {
        return Some(bytes.get(at..at + length)?.to_vec());
    }
    let fit = least + (length - least) % (usable - 4);
    let local = if fit <= most { fit } else { least };
    let mut out = bytes.get(at..at + local)?.to_vec();
    let mut next = long(bytes, at + local)?;
    while out.len() < length {
        let more = pages.read(next)?;
        let take = (length - out.len()).min(usable - 4);
        out.extend_from_slice(more.get(4..4 + take)?);
        next = long(&more, 0)?;
    }
    Some(out)
}

/// The values of a row.
fn values(payload: &[u8]) -> Option<Vec<Value>> {
    let mut at = 0;
    let end = usize::try_from(varint(payload, &mut at)?).ok()?;
    let mut body = payload.get(end..)?;
    let mut out = Vec::new();
    while at < end {
        let kind = varint(payload, &mut at)?;
        let width = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            n => usize::try_from((n - 12) / 2).ok()?,
        };
        let (own, rest) = body.split_at_checked(width)?;
        body = rest;
        out.push(match kind {
            0 => Value::Null,
            1..=6 => Value::Integer(integer(own)),
            7 => Value::Real(f64::from_be_bytes(own.try_into().ok()?)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            n if n % 2 == 0 => Value::Blob(own.to_vec()),
            _ => Value::Text(String::from_utf8(own.to_vec()).ok()?),
        });
    }
    // Nothing is left over in a row that is whole.
    (at == end && body.is_empty()).then_some(out)
}

/// A number of so many bytes, with a sign.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    bytes
        .iter()
        .fold(if negative { -1 } else { 0 }, |n: i64, b| {
            n << 8 | i64::from(*b)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_widths() {
        assert_eq!(integer(&[0xff]), -1);
        assert_eq!(integer(&[0x80, 0]), -32768);
        assert_eq!(integer(&[0, 0x80, 0]), 32768);
        for (bytes, n) in [
            (&[0x7f][..], 127),
            (&[0x81, 0], 128),
            (&[0xff; 9], u64::MAX),
        ] {
            assert_eq!(varint(bytes, &mut 0), Some(n));
        }
        assert_eq!(varint(&[0x80], &mut 0), None);
    }

    #[test]
    fn a_row_that_is_cut_or_too_long_is_none() {
        let row = [3, 1, 17, 7, b'o', b'k'];
        assert_eq!(
            values(&row),
            Some(vec![Value::Integer(7), Value::Text("ok".to_owned())])
        );
        assert_eq!(values(&row[..5]), None);
        assert_eq!(values(&[&row[..], &[0]].concat()), None);
        assert_eq!(values(&[3, 1, 17, 7, 0xff, 0xfe]), None);
        assert_eq!(values(&[]), None);
    }
}
