//! What the local lane writes: text lines
//! `window_start_ms  records  malformed  <measures…>  key`, split by TAB.

use std::borrow::Cow;

use memchr::memchr;

/// One line of the local lane, without its measures (those go into the caller's slice).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRow<'a> {
    /// Start of the window, in milliseconds since the epoch.
    pub window_start_ms: i64,
    /// Records that this row stands for.
    pub records: u64,
    /// Those of them that the workload could not read.
    pub malformed: u64,
    /// The key, unescaped. Empty in a row that is there for counting only.
    pub key: Cow<'a, [u8]>,
}

/// Why a line is not one of the local lane's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalRowError {
    /// There are fewer columns than the workload has.
    #[error(
        "a column is missing: expected window_start_ms, records, malformed, {0} measure(s), key"
    )]
    MissingColumn(usize),
    /// There are more columns than the workload has.
    #[error("there is a TAB in the key: it should be written \\t")]
    ExtraColumn,
    /// A column is not a number, or out of range.
    #[error("column {0} is not a number in range")]
    Number(usize),
    /// More malformed records than records.
    #[error("more malformed records than records")]
    Malformed,
    /// A backslash that is followed by none of `\`, `t`, `n`, `r`, or a bare line break.
    #[error("the key is not escaped as it should be")]
    Escape,
}

/// Reads one line without its `\n`; `measures` has one slot for each of the workload's and is
/// overwritten.
pub fn parse<'a>(line: &'a [u8], measures: &mut [i64]) -> Result<LocalRow<'a>, LocalRowError> {
    let mut columns = Columns {
        rest: line,
        index: 0,
        measures: measures.len(),
    };
    let window_start_ms = columns.signed()?;
    let records = columns.unsigned()?;
    let malformed = columns.unsigned()?;
    for measure in measures {
        *measure = columns.signed()?;
    }
    if malformed > records {
        return Err(LocalRowError::Malformed);
    }
    Ok(LocalRow {
        window_start_ms,
        records,
        malformed,
        key: unescape(columns.rest)?,
    })
}

/// Appends a row as one line with its `\n`.
pub fn format(row: &LocalRow<'_>, measures: &[i64], out: &mut Vec<u8>) {
    let head = format!(
        "{}\t{}\t{}\t",
        row.window_start_ms, row.records, row.malformed
    );
    out.extend_from_slice(head.as_bytes());
    for measure in measures {
        out.extend_from_slice(format!("{measure}\t").as_bytes());
    }
    for &byte in row.key.iter() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => out.push(byte),
        }
    }
    out.push(b'\n');
}

struct Columns<'a> {
    rest: &'a [u8],
    index: usize,
    measures: usize,
}

impl<'a> Columns<'a> {
    fn next(&mut self) -> Result<&'a [u8], LocalRowError> {
        let tab = memchr(b'\t', self.rest).ok_or(LocalRowError::MissingColumn(self.measures))?;
        let column = &self.rest[..tab];
        self.rest = &self.rest[tab + 1..];
        self.index += 1;
        Ok(column)
    }

    fn signed(&mut self) -> Result<i64, LocalRowError> {
        let column = self.next()?;
        let (negative, digits) = match column {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let magnitude = magnitude(digits).ok_or(LocalRowError::Number(self.index))?;
        // -2^63 has no positive twin, so negate before narrowing.
        let value = if negative {
            -i128::from(magnitude)
        } else {
            i128::from(magnitude)
        };
        i64::try_from(value).map_err(|_| LocalRowError::Number(self.index))
    }

    fn unsigned(&mut self) -> Result<u64, LocalRowError> {
        let column = self.next()?;
        magnitude(column).ok_or(LocalRowError::Number(self.index))
    }
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn unescape(key: &[u8]) -> Result<Cow<'_, [u8]>, LocalRowError> {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r');
    let Some(first) = key.iter().position(special) else {
        return Ok(Cow::Borrowed(key));
    };
    let mut out = key[..first].to_vec();
    let mut rest = key[first..].iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'\\' => match rest.next() {
                Some(b'\\') => b'\\',
                Some(b't') => b'\t',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => return Err(LocalRowError::Escape),
            },
            b'\t' => return Err(LocalRowError::ExtraColumn),
            b'\n' | b'\r' => return Err(LocalRowError::Escape),
            _ => byte,
        });
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_read_column_by_column() {
        let mut measures = [0; 2];
        let row = parse(
            b"-1000\t3\t1\t-7\t9223372036854775807\tto\\tbe",
            &mut measures,
        )
        .unwrap();
        assert_eq!(row.window_start_ms, -1000);
        assert_eq!((row.records, row.malformed), (3, 1));
        assert_eq!(measures, [-7, i64::MAX]);
        assert_eq!(&*row.key, b"to\tbe");
    }

    #[test]
    fn a_key_without_escapes_is_borrowed_and_may_be_empty() {
        let row = parse(b"0\t1\t0\t0\t", &mut [0]).unwrap();
        assert!(matches!(row.key, Cow::Borrowed(b"")));
        let row = parse(b"0\t1\t0\t1\tword", &mut [0]).unwrap();
        assert!(matches!(row.key, Cow::Borrowed(b"word")));
    }

    #[test]
    fn lines_of_another_shape_are_refused() {
        use LocalRowError::{Escape, ExtraColumn, Malformed, MissingColumn, Number};
        for (line, error) in [
            ("", MissingColumn(1)),
            ("0\t1\t0\tword", MissingColumn(1)),
            ("0\t1\t0\t1\tword\tmore", ExtraColumn),
            ("x\t1\t0\t1\tword", Number(1)),
            ("9223372036854775808\t1\t0\t1\tword", Number(1)),
            ("0\t-1\t0\t1\tword", Number(2)),
            ("0\t1\t\t1\tword", Number(3)),
            ("0\t1\t0\t--1\tword", Number(4)),
            ("0\t1\t0\t+1\tword", Number(4)),
            ("0\t1\t2\t1\tword", Malformed),
            ("0\t1\t0\t1\two\\rd\\", Escape),
            ("0\t1\t0\t1\t\\x", Escape),
            ("0\t1\t0\t1\tword\r", Escape),
            ("0\t1\t0\t1\tword\n", Escape),
        ] {
            assert_eq!(parse(line.as_bytes(), &mut [0]), Err(error), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn any_row_reads_back_what_was_written(
            window_start_ms: i64,
            malformed in 0..1000_u64,
            more in 0..u64::MAX / 2,
            measures: [i64; 3],
            key: Vec<u8>,
        ) {
            let records = malformed + more;
            let row = LocalRow { window_start_ms, records, malformed, key: key.into() };
            let mut line = Vec::new();
            format(&row, &measures, &mut line);
            prop_assert_eq!(line.pop(), Some(b'\n'));
            prop_assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
            let mut read = [0; 3];
            prop_assert_eq!(parse(&line, &mut read), Ok(row));
            prop_assert_eq!(read, measures);
        }

        #[test]
        fn no_bytes_make_it_panic(line: Vec<u8>) {
            let _ = parse(&line, &mut [0]);
        }
    }
}
