//! From a block whose digests differ to the smallest case that shows why.

use crate::generate::Case;

/// The first case of a block that differs by itself. `differ` says whether cases give different
/// digests. `None` if they differ only together, which means that a side keeps something from one
/// case to the next.
pub(crate) fn first<E>(
    block: &[Case],
    differ: &mut impl FnMut(&[Case]) -> Result<bool, E>,
) -> Result<Option<Case>, E> {
    let mut rest = block;
    while rest.len() > 1 {
        let (left, right) = rest.split_at(rest.len() / 2);
        rest = if differ(left)? { left } else { right };
    }
    Ok(if differ(rest)? {
        rest.first().cloned()
    } else {
        None
    })
}

/// The case without every stretch of bytes that it can do without, and at the time 0 in a window
/// of a second if that will do.
pub(crate) fn shrink<E>(
    mut case: Case,
    differ: &mut impl FnMut(&[Case]) -> Result<bool, E>,
) -> Result<Case, E> {
    let plain = Case {
        event_time_ms: 0,
        window_size_ms: 1000,
        record: case.record.clone(),
    };
    if differ(std::slice::from_ref(&plain))? {
        case = plain;
    }
    let mut stretch = case.record.len();
    while stretch > 0 {
        let mut at = 0;
        while at < case.record.len() {
            let mut shorter = case.clone();
            let end = (at + stretch).min(shorter.record.len());
            shorter.record.drain(at..end);
            if differ(std::slice::from_ref(&shorter))? {
                case = shorter;
            } else {
                at = end;
            }
        }
        stretch /= 2;
    }
    Ok(case)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::generate::Generator;
    use crate::side::RustSide;

    /// A side that knows nothing of the Kelvin sign, beside one that does.
    fn careless(cases: &[Case]) -> bool {
        let mut blind = cases.to_vec();
        for case in &mut blind {
            let text: Vec<u8> = case.record.clone();
            case.record.clear();
            let mut rest = &text[..];
            while let Some((byte, tail)) = rest.split_first() {
                rest = rest.strip_prefix(b"\xe2\x84\xaa").map_or(tail, |tail| {
                    case.record.push(b' ');
                    tail
                });
                if rest.len() == tail.len() {
                    case.record.push(*byte);
                }
            }
        }
        RustSide::default().digest(cases) != RustSide::default().digest(&blind)
    }

    #[test]
    fn a_difference_is_found_and_cut_down_to_what_makes_it() {
        let kinds = Generator::kinds().count();
        let block = Generator::new(1, &[]).block(0, 2000, &mut vec![0; kinds]);
        let mut differ = |cases: &[Case]| Ok::<_, Infallible>(careless(cases));
        let Ok(found) = first(&block, &mut differ);
        let Ok(small) = shrink(found.unwrap(), &mut differ);
        assert_eq!(small.record, "\u{212a}".as_bytes());
        assert_eq!((small.event_time_ms, small.window_size_ms), (0, 1000));
    }

    #[test]
    fn a_difference_that_no_case_shows_alone_is_said_to_be_one() {
        let kinds = Generator::kinds().count();
        let block = Generator::new(1, &[]).block(0, 64, &mut vec![0; kinds]);
        let Ok(found) = first(&block, &mut |cases: &[Case]| {
            Ok::<_, Infallible>(cases.len() == 64)
        });
        assert_eq!(found, None);
    }
}
