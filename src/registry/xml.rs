//! As much XML as the errors of clouds need.

/// The text of the first element of a name, up to its first line's end: Azure's messages have an id
/// and a time on further lines.
pub(super) fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let inner = inner.trim();
    if let Some(verbatim) = inner.strip_prefix("<![CDATA[") {
        let line = verbatim.trim_end_matches("]]>").trim().lines().next()?;
        return Some(line.to_owned());
    }
    let line = inner.lines().next()?;
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'")];
    let line = plain.iter().fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
    Some(line.replace("&amp;", "&"))
}
