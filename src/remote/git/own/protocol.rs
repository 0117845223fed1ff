//! The talk: what the server can and has, and the request for objects. Version 2
//! (gitprotocol-v2(5)), and what servers answer that know only 0 or 1 (gitprotocol-pack(5)).

use std::io::Read;

use super::id::Id;
use super::pkt::{Band, Packet, Packets, delimiter, flush, line};
use super::transport::Server;
use super::wrong::{Wrong, unusable};
use crate::registry::{Client, Secret};
use crate::remote::git::resolve::Ref;

const AGENT: &str = concat!("agent=kiln/", env!("CARGO_PKG_VERSION"));
/// As many refs as are listened to.
const REFS_MAX: usize = 1_000_000;
/// The longest name of a ref, in bytes; Linux has no longer path.
const NAME_MAX: usize = 4096;
/// As many commits as may be without their past: as many as were asked for, of a kind server.
const SHALLOW_MAX: usize = 100_000;
/// As many lines as a server may say of itself.
const CAPABILITIES_MAX: usize = 1000;

/// A server, and what it said of itself.
pub(super) struct Session<'a> {
    server: Server<'a>,
    said: Said,
}

/// What it said.
enum Said {
    /// Lines of capabilities.
    Two(Vec<String>),
    /// Words of capabilities, and all refs.
    Old(Vec<String>, Vec<Ref>),
}

impl<'a> Session<'a> {
    /// Asks the repository's server what it is.
    pub(super) fn open(
        client: &'a Client,
        url: &str,
        authorization: Option<&Secret>,
    ) -> Result<Self, Wrong> {
        let (server, answer) = Server::find(client, url, authorization)?;
        let said = advertised(&mut Packets::new(std::io::BufReader::new(answer)))?;
        let session = Self { server, said };
        match session.capability("object-format").as_deref() {
            None | Some("sha1") => Ok(session),
            Some(other) => unusable(format!(
                "the repository names its objects by {other}, which kiln reads with the program git: \
                 install git where kiln runs"
            )),
        }
    }

    /// A capability's value; empty where it has none.
    fn capability(&self, name: &str) -> Option<String> {
        let (Said::Two(words) | Said::Old(words, _)) = &self.said;
        words.iter().find_map(|word| {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            (key == name).then(|| value.to_owned())
        })
    }

    /// The refs whose names begin so; of an old server, all.
    pub(super) fn refs(&self, prefixes: &[String]) -> Result<Vec<Ref>, Wrong> {
        if let Said::Old(_, refs) = &self.said {
            return Ok(refs.clone());
        }
        let mut body = Vec::new();
        line(&mut body, "command=ls-refs\n");
        self.introduce(&mut body);
        line(&mut body, "symrefs\n");
        for prefix in prefixes {
            line(&mut body, &format!("ref-prefix {prefix}\n"));
        }
        flush(&mut body);
        let answer = self.server.ask("version=2", body)?;
        let mut packets = Packets::new(std::io::BufReader::new(answer));
        let mut refs = Vec::new();
        while let Some(text) = packets.text()? {
            let mut words = text.split(' ');
            let (Some(object), Some(name)) = (words.next(), words.next()) else {
                return unusable("the server lists a ref without a name");
            };
            let target = words.find_map(|word| word.strip_prefix("symref-target:"));
            keep(&mut refs, object, name, target)?;
        }
        Ok(refs)
    }

    fn introduce(&self, body: &mut Vec<u8>) {
        line(body, &format!("{AGENT}\n"));
        if self.capability("object-format").is_some() {
            line(body, "object-format=sha1\n");
        }
        delimiter(body);
    }

    /// Asks for objects, and for all that they need: without the past of commits if `alone` and if the
    /// server can do that. What comes back is the pack; the commits that it left the past out of are
    /// in the list.
    pub(super) fn fetch(
        &self,
        wants: &[String],
        alone: bool,
    ) -> Result<(Vec<Id>, Band<impl Read + use<>>), Wrong> {
        match &self.said {
            Said::Two(_) => self.fetch_two(wants, alone),
            Said::Old(..) => self.fetch_old(wants, alone),
        }
    }

    fn fetch_two(&self, wants: &[String], alone: bool) -> Result<(Vec<Id>, Band<Body>), Wrong> {
        let features = self.capability("fetch").unwrap_or_default();
        let alone = alone && features.split(' ').any(|feature| feature == "shallow");
        let mut body = Vec::new();
        line(&mut body, "command=fetch\n");
        self.introduce(&mut body);
        line(&mut body, "ofs-delta\n");
        line(&mut body, "no-progress\n");
        if alone {
            line(&mut body, "deepen 1\n");
        }
        for want in wants {
            line(&mut body, &format!("want {want}\n"));
        }
        line(&mut body, "done\n");
        flush(&mut body);
        let mut packets = self.ask("version=2", body)?;
        let (mut shallow, mut has_shallow) = (Vec::new(), false);
        loop {
            match packets.text()?.as_deref() {
                Some("packfile") => return Ok((shallow, Band::new(packets))),
                Some("shallow-info") if !has_shallow => {
                    has_shallow = true;
                    shallow = cut_off(&mut packets)?;
                }
                other => {
                    let other = other.unwrap_or_default();
                    return unusable(format!("the server sends a section `{other}`, not a pack"));
                }
            }
        }
    }

    fn fetch_old(&self, wants: &[String], alone: bool) -> Result<(Vec<Id>, Band<Body>), Wrong> {
        let bands = ["side-band-64k", "side-band"];
        let Some(band) = bands.into_iter().find(|name| self.capability(name).is_some()) else {
            return unusable(
                "the server speaks git's protocol as before 2006 (without side-band): install git \
                 where kiln runs",
            );
        };
        let alone = alone && self.capability("shallow").is_some();
        let mut words = vec![band];
        let offered = |name: &&str| self.capability(name).is_some();
        words.extend(["ofs-delta", "no-progress"].iter().filter(|name| offered(name)));
        let mut body = Vec::new();
        for (number, want) in wants.iter().enumerate() {
            let words =
                if number == 0 { format!(" {} {AGENT}", words.join(" ")) } else { "".into() };
            line(&mut body, &format!("want {want}{words}\n"));
        }
        if alone {
            line(&mut body, "deepen 1\n");
        }
        flush(&mut body);
        line(&mut body, "done\n");
        let mut packets = self.ask("", body)?;
        let shallow = if alone { cut_off(&mut packets)? } else { Vec::new() };
        match packets.text()?.as_deref() {
            Some("NAK") => Ok((shallow, Band::new(packets))),
            other => {
                let other = other.unwrap_or_default();
                unusable(format!("the server says `{other}` where the pack was to begin"))
            }
        }
    }

    fn ask(&self, version: &str, body: Vec<u8>) -> Result<Packets<Body>, Wrong> {
        let answer = self.server.ask(version, body)?;
        let answer: Box<dyn Read> = Box::new(answer);
        Ok(Packets::new(std::io::BufReader::with_capacity(64 << 10, answer)))
    }
}

/// An answer, buffered.
type Body = std::io::BufReader<Box<dyn Read>>;

/// The commits that a server leaves the past out of: a section of its own.
fn cut_off<R: Read>(packets: &mut Packets<R>) -> Result<Vec<Id>, Wrong> {
    let mut found = Vec::new();
    while let Some(text) = packets.text()? {
        let Some(name) = text.strip_prefix("shallow ") else { continue };
        let Some(id) = Id::parse(name) else {
            return unusable("the server says that something is shallow which is no commit");
        };
        if found.len() >= SHALLOW_MAX {
            return unusable(format!("the server names more than {SHALLOW_MAX} shallow commits"));
        }
        found.push(id);
    }
    Ok(found)
}

fn keep(refs: &mut Vec<Ref>, object: &str, name: &str, target: Option<&str>) -> Result<(), Wrong> {
    if refs.len() >= REFS_MAX {
        return unusable(format!("the server has more than {REFS_MAX} refs"));
    }
    if name.len().max(target.map_or(0, str::len)) > NAME_MAX {
        return unusable("the server lists a ref whose name is longer than kiln takes");
    }
    refs.push(Ref {
        object: object.to_owned(),
        name: name.to_owned(),
        target: target.map(str::to_owned),
    });
    Ok(())
}

/// Reads what a server says first.
fn advertised<R: Read>(packets: &mut Packets<R>) -> Result<Said, Wrong> {
    let mut first = packets.text()?;
    if first.as_deref().is_some_and(|text| text.starts_with("# service=")) {
        // A flush stands behind it.
        if packets.next()? != Packet::Flush {
            return unusable("the server does not speak git's protocol");
        }
        first = packets.text()?;
    }
    match first {
        Some(text) if text == "version 2" => {
            let mut words = Vec::new();
            while let Some(word) = packets.text()? {
                words.push(word);
                if words.len() > CAPABILITIES_MAX {
                    return unusable("the server says too much of itself");
                }
            }
            Ok(Said::Two(words))
        }
        Some(text) if text == "version 1" => {
            let first = packets.text()?;
            old(first, packets)
        }
        first => old(first, packets),
    }
}

/// The refs of a server of version 0: behind the first one stands what it can.
fn old<R: Read>(first: Option<String>, packets: &mut Packets<R>) -> Result<Said, Wrong> {
    let (mut refs, mut words) = (Vec::new(), Vec::new());
    let mut next = first;
    while let Some(text) = next {
        let text = match text.split_once('\0') {
            Some((text, said)) if refs.is_empty() => {
                words = said.split(' ').map(str::to_owned).take(CAPABILITIES_MAX).collect();
                text.to_owned()
            }
            _ => text,
        };
        match text.split_once(' ') {
            // What an empty repository has instead of refs.
            Some((_, "capabilities^{}")) | Some(("shallow", _)) => {}
            // What a tag leads to.
            Some((_, name)) if name.ends_with("^{}") => {}
            Some((object, name)) => keep(&mut refs, object, name, None)?,
            None => return unusable("the server lists a ref without a name"),
        }
        next = packets.text()?;
    }
    let links: Vec<(&str, &str)> =
        words.iter().filter_map(|word| word.strip_prefix("symref=")?.split_once(':')).collect();
    for (name, target) in links.into_iter().filter(|(_, target)| target.len() <= NAME_MAX) {
        if let Some(found) = refs.iter_mut().find(|found| found.name == name) {
            found.target = Some(target.to_owned());
        }
    }
    Ok(Said::Old(words, refs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Result<Said, Wrong> {
        let mut bytes = Vec::new();
        for text in lines {
            if text.is_empty() { flush(&mut bytes) } else { line(&mut bytes, text) }
        }
        advertised(&mut Packets::new(bytes.as_slice()))
    }

    #[test]
    fn all_versions_are_understood() {
        let one = "1".repeat(40);
        let heads = format!("{one} HEAD\0shallow symref=HEAD:refs/heads/main agent=x\n");
        let main = format!("{one} refs/heads/main\n");
        let peeled = format!("{one} refs/tags/v1^{{}}\n");
        for lines in [
            &["# service=git-upload-pack\n", "", &heads, &main, &peeled, ""][..],
            &["version 1\n", &heads, &main, ""],
        ] {
            let Ok(Said::Old(words, refs)) = said(lines) else { panic!("{lines:?}") };
            assert!(words.contains(&"shallow".to_owned()));
            let names: Vec<_> = refs.iter().map(|found| found.name.as_str()).collect();
            assert_eq!(names, ["HEAD", "refs/heads/main"]);
            assert_eq!(refs[0].target.as_deref(), Some("refs/heads/main"));
        }
        for lines in [
            &["# service=git-upload-pack\n", "", "version 2\n", "ls-refs=unborn\n", ""][..],
            &["version 2\n", "ls-refs=unborn\n", ""],
        ] {
            let Ok(Said::Two(words)) = said(lines) else { panic!("{lines:?}") };
            assert_eq!(words, ["ls-refs=unborn"]);
        }
        let empty = format!("{} capabilities^{{}}\0shallow\n", "0".repeat(40));
        assert!(matches!(said(&[&empty, ""]), Ok(Said::Old(_, refs)) if refs.is_empty()));
        assert!(matches!(said(&["nonsense\n", ""]), Err(Wrong::Unusable(_))));
        let long = format!("{} refs/heads/{}\n", "1".repeat(40), "x".repeat(NAME_MAX));
        let wrong = said(&[&long, ""]).map(drop).expect_err("long").to_string();
        assert!(wrong.contains("longer than kiln takes"), "{wrong}");
        assert!(matches!(said(&["version 2\n"]), Err(Wrong::Short)));
    }

    #[test]
    fn shallow_commits_are_commits_and_few() {
        let read = |lines: &[String]| {
            let mut bytes = Vec::new();
            lines.iter().for_each(|text| line(&mut bytes, text));
            flush(&mut bytes);
            cut_off(&mut Packets::new(bytes.as_slice())).map_err(|wrong| wrong.to_string())
        };
        let one = format!("shallow {}\n", "1".repeat(40));
        assert_eq!(read(&[one.clone(), "unshallow x\n".into()]).expect("one").len(), 1);
        for bad in ["shallow \n", "shallow ../x\n", "shallow 11\n"] {
            assert!(read(&[bad.into()]).expect_err(bad).contains("no commit"));
        }
        let wrong = read(&vec![one; SHALLOW_MAX + 1]).expect_err("many");
        assert!(wrong.contains("more than 100000 shallow commits"), "{wrong}");
    }
}
