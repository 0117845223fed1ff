//! A layer's tar as it is, without anybody's idea of what it means.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use testkit::Registry;
use testkit::image::Image;

/// One entry with its PAX records.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// With the slash of a directory.
    pub path: String,
    pub kind: u8,
    pub link: String,
    /// Of the content.
    pub size: u64,
    pub magic: [u8; 8],
    pub user: String,
    pub group: String,
    pub pax: BTreeMap<String, String>,
}

/// The entries of an image's layer.
pub fn entries(registry: &Registry, image: &Image, layer: usize) -> Vec<Entry> {
    let path = registry.blob_path(&image.layers[layer]).unwrap();
    let mut bytes = Vec::new();
    MultiGzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let mut magic = [0; 8];
        magic.copy_from_slice(&header.as_bytes()[257..265]);
        let text =
            |field: Option<&[u8]>| String::from_utf8_lossy(field.unwrap_or_default()).into_owned();
        let link = entry.link_name_bytes().unwrap_or_default();
        let mut found = Entry {
            path: String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
            kind: header.entry_type().as_byte(),
            link: String::from_utf8_lossy(&link).into_owned(),
            size: entry.size(),
            magic,
            user: text(header.username_bytes()),
            group: text(header.groupname_bytes()),
            pax: BTreeMap::new(),
        };
        for record in entry.pax_extensions().unwrap().into_iter().flatten() {
            let record = record.unwrap();
            let value = String::from_utf8_lossy(record.value_bytes()).into_owned();
            found.pax.insert(record.key().unwrap().to_owned(), value);
        }
        found
    };
    archive.entries().unwrap().map(read).collect()
}
