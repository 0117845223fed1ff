//! Several values in one flag, separated by commas, as Docker's flags have them: CSV (RFC 4180), so that
//! a value with a comma stands in quotes: `type=image,"name=a,b"`.

/// Takes a flag's text apart.
pub(super) fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        all.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(all),
        }
    }
}

/// Up to the next comma.
fn plain_field(text: &str) -> Result<(String, Option<&str>), String> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') {
        return Err("a quote stands around a whole part: \"name=a,b\"".into());
    }
    Ok((field.to_owned(), after))
}

/// Up to the closing quote; a quote that is doubled is one.
fn quoted_field(text: &str) -> Result<(String, Option<&str>), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or("a quote is not closed")?;
        field.push_str(part);
        rest = after;
        if let Some(after) = rest.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if rest.is_empty() {
            return Ok((field, None));
        } else if let Some(after) = rest.strip_prefix(',') {
            return Ok((field, Some(after)));
        } else {
            return Err("after a closing quote comes a comma".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_separate_and_quotes_keep_together() {
        for (text, expected) in [
            ("a", Some(vec!["a"])),
            ("type=x,dest=y z", Some(vec!["type=x", "dest=y z"])),
            (
                "type=image,\"name=a,b\",push=true",
                Some(vec!["type=image", "name=a,b", "push=true"]),
            ),
            ("\"a\"\"b\"", Some(vec!["a\"b"])),
            ("a,", Some(vec!["a", ""])),
            ("name=\"a,b\"", None),
            ("\"a", None),
            ("\"a\"b", None),
        ] {
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(fields(text).ok(), expected, "{text}");
        }
    }
}
