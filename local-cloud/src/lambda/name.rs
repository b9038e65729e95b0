//! The function's name in an Invoke request: plain, partial ARN or full ARN, with or without qualifier.

/// The function's name in `identifier`, which is percent-decoded already. The qualifier (version or
/// alias) is dropped: there is only `$LATEST` here.
///
/// `None` if `identifier` has none of the shapes that Lambda takes:
/// `name[:qualifier]`, `account:function:name[:qualifier]`,
/// `arn:aws…:lambda:region:account:function:name[:qualifier]`.
pub(crate) fn function_name(identifier: &str) -> Option<&str> {
    let parts: Vec<&str> = identifier.split(':').collect();
    let name = match parts.as_slice() {
        [name] | [name, _] => name,
        [account, "function", name] | [account, "function", name, _] if is_account(account) => name,
        ["arn", partition, "lambda", _, account, "function", name]
        | ["arn", partition, "lambda", _, account, "function", name, _]
            if partition.starts_with("aws") && is_account(account) =>
        {
            name
        }
        _ => return None,
    };
    let valid = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    valid.then_some(name)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Decodes `%XX`; `None` if an escape is malformed or the result is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_function_gives_its_name() {
        for identifier in [
            "spillway-burst",
            "spillway-burst:$LATEST",
            "spillway-burst:live",
            "123456789012:function:spillway-burst",
            "123456789012:function:spillway-burst:7",
            "arn:aws:lambda:us-east-1:123456789012:function:spillway-burst",
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:spillway-burst:live",
        ] {
            assert_eq!(
                function_name(identifier),
                Some("spillway-burst"),
                "{identifier}"
            );
        }
    }

    #[test]
    fn what_is_no_function_is_refused() {
        for identifier in [
            "",
            ":x",
            "a/b",
            "arn:aws:s3:::bucket",
            "1:function:f",
            "a b",
            "..",
            "a:b:c",
        ] {
            assert_eq!(function_name(identifier), None, "{identifier}");
        }
    }

    #[test]
    fn percent_escapes_are_decoded_and_broken_ones_refused() {
        assert_eq!(percent_decode("a%3Ab%20%C3%A9").as_deref(), Some("a:b é"));
        for broken in ["%", "%1", "%zz", "%ff"] {
            assert_eq!(percent_decode(broken), None, "{broken}");
        }
    }
}
