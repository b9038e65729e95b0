//! What lies behind an error, in one line.

use std::error::Error;

/// The first cause: it says "connection refused" where the error itself says "connect".
pub(crate) fn root(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The error and its causes, outermost first. The AWS SDK hides what happened in the causes, and its own way of
/// showing them (`DisplayErrorContext`) has the whole of every structure behind it, the answer's headers too.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = first_line(&error.to_string()).to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        let words = first_line(&words);
        if !text.ends_with(words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// What AWS says, without what follows: when a signature does not match, that is the request that should have been
/// signed, with the session token in it.
pub(crate) fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    fn layers(texts: &[&'static str]) -> Layer {
        let (last, outer) = texts.split_last().unwrap();
        outer.iter().rfold(Layer(last, None), |inner, text| {
            Layer(text, Some(Box::new(inner)))
        })
    }

    #[test]
    fn a_chain_has_every_cause_once_and_of_each_the_first_line() {
        let error = layers(&[
            "dispatch failure",
            "io error\nbacktrace",
            "io error",
            "refused",
        ]);
        assert_eq!(chain(&error), "dispatch failure: io error: refused");
        assert_eq!(root(&error), "refused");
    }
}
