//! Big blobs in several parts at once.

use std::io::Read;

use super::*;

/// Bytes that differ everywhere.
fn bytes(count: u32) -> Vec<u8> {
    (0..count / 4).flat_map(u32::to_le_bytes).collect()
}

fn part(bytes: &[u8], range: &str) -> Reply {
    let (from, to) =
        range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).expect("a range");
    let from: usize = from.parse().expect("a number");
    let to = if to.is_empty() { bytes.len() } else { to.parse::<usize>().expect("a number") + 1 };
    let to = to.min(bytes.len());
    let reply = Reply::new(206, &bytes[from..to]);
    reply.header("Content-Range", format!("bytes {from}-{}/{}", to - 1, bytes.len()))
}

fn serve(bytes: &[u8], seen: &Seen) -> Reply {
    seen.header("range").map_or_else(|| Reply::new(200, bytes), |range| part(bytes, range))
}

fn small_parts() -> Options {
    let ranges = Ranges { over: 1 << 20, window: 1 << 20, at_once: 4, ahead: 6 };
    Options { ranges, ..options() }
}

fn layer(bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, Digest::of(bytes), bytes.len() as u64)
}

fn open(
    server: &Server,
    options: Options,
    layer: &Descriptor,
) -> Result<BlobReader, RegistryError> {
    client(options).open_blob(&reference(server, "app:1").repository(), layer)
}

#[test]
fn a_big_blob_is_read_in_parts_and_in_order() {
    let blob = bytes(12_000_000);
    let descriptor = layer(&blob);
    let server = Server::start(move |seen| serve(&blob, seen));
    let reader = open(&server, small_parts(), &descriptor).expect("opened");
    assert_eq!(Digest::of(&read_all(reader).expect("read")), descriptor.digest);
    let mut starts: Vec<usize> = server
        .seen()
        .iter()
        .map(|seen| seen.header("range").expect("a range")[6..].split('-').next().expect("one"))
        .map(|start| start.parse().expect("a number"))
        .collect();
    starts.sort_unstable();
    let expected: Vec<_> = (0..12).map(|number| number << 20).collect();
    assert_eq!(starts, expected);
}

#[test]
fn a_registry_without_ranges_sends_the_blob_in_one_piece() {
    for (status, requests) in [(200, 1), (416, 2), (400, 2), (501, 2)] {
        let blob = bytes(3_000_000);
        let descriptor = layer(&blob);
        let server = Server::start(move |seen| match seen.header("range") {
            Some(_) if status != 200 => Reply::new(status, ""),
            _ => Reply::new(200, blob.clone()),
        });
        let reader = open(&server, small_parts(), &descriptor).expect("opened");
        assert_eq!(Digest::of(&read_all(reader).expect("read")), descriptor.digest);
        assert_eq!(server.lines().len(), requests, "{status}");
    }
}

#[test]
fn a_part_that_breaks_is_resumed_and_a_whole_answer_to_a_part_is_cut() {
    let blob = bytes(8_000_000);
    let descriptor = layer(&blob);
    let requests = Counter::default();
    let server = Server::start(move |seen| match requests.next() {
        2 => serve(&blob, seen).cut(300_000),
        4 => Reply::new(503, ""),
        5 => Reply::new(200, blob.clone()),
        _ => serve(&blob, seen),
    });
    let reader = open(&server, small_parts(), &descriptor).expect("opened");
    assert_eq!(Digest::of(&read_all(reader).expect("read")), descriptor.digest);
    assert!(server.lines().len() >= 10, "{:?}", server.lines());
}

#[test]
fn a_blob_of_another_registry_state_is_an_error_that_names_it() {
    let blob = bytes(4_000_000);
    let descriptor = layer(&blob);
    let mut other = blob.clone();
    other[3_999_999] ^= 1;
    let server = Server::start(move |seen| serve(&other, seen));
    let reader = open(&server, small_parts(), &descriptor).expect("opened");
    let text = read_all(reader).expect_err("damaged").to_string();
    for part in [&descriptor.digest.to_string(), &server.host(), "damaged"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let missing = Server::start(|_| Reply::new(404, ""));
    assert!(open(&missing, small_parts(), &descriptor).expect_err("missing").is_not_found());
    let failing = Server::start(|seen| match seen.header("range") {
        Some(range) if range.starts_with("bytes=0-") => part(&bytes(4_000_000), range),
        _ => Reply::new(500, ""),
    });
    let reader = open(&failing, small_parts(), &descriptor).expect("opened");
    read_all(reader).expect_err("no end");
}

/// Readers that do not read hold up the network, whatever the size of the blobs.
#[test]
fn what_waits_in_memory_is_bounded() {
    let blob = bytes(48 << 20);
    let descriptor = layer(&blob);
    let server = Server::start(move |seen| serve(&blob, seen));
    let ranges = Ranges { over: 1 << 20, window: 4 << 20, at_once: 4, ahead: 2 };
    let client = client(Options { ranges, ..options() });
    let repository = reference(&server, "app:1").repository();
    let mut readers: Vec<_> =
        (0..3).map(|_| client.open_blob(&repository, &descriptor).expect("opened")).collect();
    std::thread::sleep(Duration::from_millis(400));
    // Of 36 parts: those that wait, and what goes into the channels on the way to each reader.
    assert!(server.lines().len() <= 2 + 3 * 4, "{}", server.lines().len());
    // In an order that would stand still if one waited for the others' room.
    for reader in readers.iter_mut().rev() {
        let mut count = 0;
        let mut buffer = vec![0; 1 << 20];
        while let Ok(got @ 1..) = reader.read(&mut buffer) {
            count += got as u64;
        }
        assert_eq!(count, descriptor.size);
    }
}

/// More often than kiln tries without progress, and each time less than what counts as some.
#[test]
fn small_steps_lead_to_the_end() {
    const STEP: usize = 300_000;
    let blob = bytes(4_000_000);
    let descriptor = layer(&blob);
    let cut = move |seen: &Seen| {
        let left = match seen.header("range") {
            None => blob.len(),
            Some(range) => {
                let from = range.trim_start_matches("bytes=").trim_end_matches('-');
                blob.len() - from.parse::<usize>().expect("a number")
            }
        };
        let whole = serve(&blob, seen);
        if left > STEP { whole.cut(STEP) } else { whole }
    };
    let server = Server::start(move |seen| cut(seen));
    let reader = open(&server, options(), &descriptor).expect("opened");
    assert_eq!(Digest::of(&read_all(reader).expect("read")), descriptor.digest);
    assert_eq!(server.seen().len(), 4_000_000_usize.div_ceil(STEP));
}
