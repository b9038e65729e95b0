//! Listing: prefix, delimiter, pages. Pure.

use super::object::Object;

/// What to list.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pub(crate) prefix: &'a str,
    /// Not empty.
    pub(crate) delimiter: Option<&'a str>,
    /// Only what comes after this key or common prefix.
    pub(crate) after: &'a str,
    /// Keys and common prefixes on a page.
    pub(crate) limit: usize,
}

/// A page of a listing.
#[derive(Debug, Default)]
pub(crate) struct Page<'a> {
    pub(crate) objects: Vec<&'a Object>,
    pub(crate) prefixes: Vec<String>,
    /// Where the next page starts, if there is one: `after` of its query.
    pub(crate) next: Option<String>,
}

/// Lists `objects`, which start at the first key that is ≥ both `prefix` and `after`, and are sorted
/// by their keys as bytes.
pub(crate) fn list<'a>(objects: impl Iterator<Item = &'a Object>, query: &Query<'_>) -> Page<'a> {
    let mut page = Page::default();
    let mut last = String::new();
    for object in objects {
        let Some(rest) = object.key.strip_prefix(query.prefix) else {
            break;
        };
        let group = query.delimiter.and_then(|delimiter| {
            let end = query.prefix.len() + rest.find(delimiter)? + delimiter.len();
            Some(&object.key[..end])
        });
        // What is at hand: a common prefix stands for all its keys.
        let name = group.unwrap_or(&object.key);
        if name <= query.after
            || (group.is_some() && page.prefixes.last().is_some_and(|last| last == name))
        {
            continue;
        }
        if page.objects.len() + page.prefixes.len() == query.limit {
            page.next = Some(last);
            break;
        }
        name.clone_into(&mut last);
        match group {
            Some(group) => page.prefixes.push(group.to_owned()),
            None => page.objects.push(object),
        }
    }
    page
}

/// Percent-encodes a name for `encoding-type=url`, all but unreserved characters and `/`.
pub(crate) fn url_encode(name: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::object::{Attributes, Checksums, Stamp};

    fn objects(keys: &[&str]) -> Vec<Object> {
        let mut keys: Vec<&str> = keys.to_vec();
        keys.sort_unstable();
        let stamp = Stamp {
            size: 0,
            modified_ns: 0,
        };
        let object = |key: &&str| Object {
            key: (*key).to_owned(),
            stamp,
            e_tag: String::new(),
            aside: None,
            attributes: Attributes::default(),
            checksums: Checksums::default(),
        };
        keys.iter().map(object).collect()
    }

    /// All pages, keys and common prefixes in the order in which they come.
    fn pages(
        objects: &[Object],
        prefix: &str,
        delimiter: Option<&str>,
        limit: usize,
    ) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut after = String::new();
        loop {
            let page = list(
                objects.iter(),
                &Query {
                    prefix,
                    delimiter,
                    after: &after,
                    limit,
                },
            );
            let mut names: Vec<String> = page
                .objects
                .iter()
                .map(|object| object.key.clone())
                .collect();
            names.extend(page.prefixes);
            names.sort_unstable();
            pages.push(names);
            match page.next {
                Some(next) => after = next,
                None => return pages,
            }
        }
    }

    #[test]
    fn keys_below_a_delimiter_are_rolled_up_once() {
        let objects = objects(&["a", "a/1", "a/2", "a0", "b/x/1", "b/x/2", "c"]);
        assert_eq!(
            pages(&objects, "", Some("/"), 100),
            [vec!["a", "a/", "a0", "b/", "c"]]
        );
    }

    #[test]
    fn pages_of_any_size_add_up_to_the_whole() {
        let objects = objects(&["a", "a/1", "a/2", "a0", "b/x/1", "b/x/2", "c", "ü/1", "ü/2"]);
        for delimiter in [None, Some("/"), Some("x/")] {
            let whole = pages(&objects, "", delimiter, 100).concat();
            for limit in 1..10 {
                let paged = pages(&objects, "", delimiter, limit);
                assert!(paged.iter().all(|page| page.len() <= limit));
                assert_eq!(paged.concat(), whole, "{delimiter:?} {limit}");
            }
        }
    }

    #[test]
    fn a_last_page_that_is_just_full_promises_no_other() {
        let objects = objects(&["a", "b"]);
        assert_eq!(pages(&objects, "", None, 2).len(), 1);
    }

    #[test]
    fn names_are_encoded_so_that_java_decodes_them() {
        assert_eq!(url_encode("a/b c+d%ü"), "a/b%20c%2Bd%25%C3%BC");
    }
}
