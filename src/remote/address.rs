//! Addresses as people may see them.

/// The address without what is before its host, and without its query: signed addresses carry their
/// signature there.
pub fn without_secrets(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => address.to_owned(),
    }
}

/// The address without a password and whose it is; a user alone stays. For what goes out with an image,
/// where the rest has to say what was taken.
pub fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((user, host)) if user.contains(':') => format!("{scheme}://{host}{}", &rest[end..]),
        _ => address.to_owned(),
    }
}

/// Percent-decodes; what is no escape, or no UTF-8, stays as it is.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = if bytes[at] == b'%' { text.get(at + 1..at + 3) } else { None };
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_passwords_nor_signatures_are_shown() {
        for (address, shown) in [
            ("https://u:p@h:1/a/b?x=y#z", "https://…@h:1/a/b"),
            ("https://token@h/a@b", "https://…@h/a@b"),
            ("https://h/a@b?sig=x", "https://h/a@b"),
            ("https://u:p@h", "https://…@h"),
            ("git@h:a", "git@h:a"),
        ] {
            assert_eq!(without_secrets(address), shown);
        }
    }

    #[test]
    fn passwords_stay_out_of_the_history() {
        for (address, shown) in [
            ("https://u:p@h/f?x=1#y", "https://h/f?x=1#y"),
            ("https://u:p@q@h", "https://h"),
            ("ssh://git@h/r.git", "ssh://git@h/r.git"),
            ("git@h:r.git", "git@h:r.git"),
            ("https://h/a@b:c", "https://h/a@b:c"),
        ] {
            assert_eq!(without_password(address), shown);
        }
    }
}
