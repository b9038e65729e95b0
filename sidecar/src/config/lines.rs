//! Finds the lines of a file in which the keys stand that something is wrong with.

use toml::de::DeTable;

use super::keys::{Key, by_path};

/// The line of a byte, from 1.
pub(crate) fn line_of(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// The keys that a problem finds fault with, in its order. Those that only its advice names are none of
/// them, nor is what a value has in it.
pub(super) fn faulted(problem: &str) -> impl Iterator<Item = &'static Key> {
    let fault = ["; ", ": ", "\""]
        .iter()
        .fold(problem, |text, end| text.split(end).next().unwrap_or(text));
    fault
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
        .filter_map(by_path)
}

/// The line of `text` that sets the key of this path, if one does.
pub(crate) fn key_line(text: &str, path: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut names = path.split('.').peekable();
    loop {
        let name = names.next()?;
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        if names.peek().is_none() {
            return Some(line_of(text, key.span().start));
        }
        table = value.get_ref().as_table()?;
    }
}

/// The line of the first key that `problem` finds fault with and `text` sets.
pub(crate) fn fault_line(text: &str, problem: &str) -> Option<usize> {
    faulted(problem).find_map(|key| key_line(text, key.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "grace = \"1s\"\npublish.region = \"x\"\n\n[divert]\nmax_concurrency = 3\n\
                        [policy]\n  \"max_concurrency\" = 4\n[lambda]\n";

    #[test]
    fn a_key_is_found_in_its_own_section_however_it_is_written() {
        for (path, line) in [
            ("grace", Some(1)),
            ("publish.region", Some(2)),
            ("divert.max_concurrency", Some(5)),
            ("policy.max_concurrency", Some(7)),
            ("policy.lease", None),
            ("lambda.region", None),
            ("grace.more", None),
        ] {
            assert_eq!(key_line(FILE, path), line, "{path}");
        }
        assert_eq!(
            key_line("policy = {lease = \"1h\"}", "policy.lease"),
            Some(1)
        );
        assert_eq!(key_line("not TOML", "grace"), None);
    }

    #[test]
    fn a_key_that_only_the_advice_or_a_value_names_is_not_at_fault() {
        let paths = |problem| faulted(problem).map(|key| key.path).collect::<Vec<_>>();
        assert_eq!(
            paths("policy.max_concurrency is 0; give at least 1, or set policy.mode to local"),
            ["policy.max_concurrency"]
        );
        assert_eq!(
            paths("policy.release_lag (5s) must be below policy.engage_lag (1s)"),
            ["policy.release_lag", "policy.engage_lag"]
        );
        assert_eq!(
            paths("flink.rest_url is \"grace\": give a URL"),
            ["flink.rest_url"]
        );
        assert!(paths("both are set").is_empty());
    }
}
