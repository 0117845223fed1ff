//! The comma-separated values of `RUN --mount` and `RUN --device`.

/// Why a text is no list of fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// A quote within a field that does not begin with one.
    #[error("bare \" in non-quoted field of {0:?}")]
    BareQuote(String),
    /// A quoted field does not end, or does not end with its quote.
    #[error("extraneous or missing \" in quoted field of {0:?}")]
    Quote(String),
}

/// Cuts a line of CSV: commas separate; a field in double quotes may hold commas, and a doubled
/// quote stands for one (RFC 4180).
///
/// # Errors
///
/// The quotes do not fit.
pub fn split(text: &str) -> Result<Vec<String>, FieldsError> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = field(rest, text)?;
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// The first field, and what follows its comma.
fn field<'a>(rest: &'a str, text: &str) -> Result<(String, Option<&'a str>), FieldsError> {
    let Some(quoted) = rest.strip_prefix('"') else {
        let (field, after) = match rest.split_once(',') {
            Some((field, after)) => (field, Some(after)),
            None => (rest, None),
        };
        if field.contains('"') {
            return Err(FieldsError::BareQuote(text.to_owned()));
        }
        return Ok((field.to_owned(), after));
    };
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let wrong = || FieldsError::Quote(text.to_owned());
        let (part, after) = rest.split_once('"').ok_or_else(wrong)?;
        field.push_str(part);
        if let Some(after) = after.strip_prefix('"') {
            field.push('"');
            rest = after;
        } else if after.is_empty() {
            return Ok((field, None));
        } else {
            return Ok((field, Some(after.strip_prefix(',').ok_or_else(wrong)?)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_together() {
        for (text, expected) in [
            ("a,b=c", Some(vec!["a", "b=c"])),
            ("", Some(vec![""])),
            ("a,", Some(vec!["a", ""])),
            ("\"a,b\",c", Some(vec!["a,b", "c"])),
            ("\"a\"\"b\"", Some(vec!["a\"b"])),
            ("a\"b", None),
            ("\"a", None),
            ("\"a\"b", None),
        ] {
            let found = split(text).ok();
            assert_eq!(
                found,
                expected.map(|v| v.into_iter().map(String::from).collect()),
                "{text}"
            );
        }
    }
}
