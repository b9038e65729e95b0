//! A PNG file around pixels (ISO/IEC 15948): three chunks, the pixels deflated.

use std::io::Write as _;

use flate2::{Compression, Crc, write::ZlibEncoder};

/// The file of an image with three bytes a pixel, row by row.
pub(super) fn encode(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    for side in [width, height] {
        header.extend_from_slice(&u32::try_from(side).unwrap_or(u32::MAX).to_be_bytes());
    }
    // Eight bits a channel, red green blue, the only compression, filters and interlacing there are: none.
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    chunk(&mut out, *b"IHDR", &header);
    let mut deflated = ZlibEncoder::new(Vec::new(), Compression::best());
    for row in pixels.chunks(width * 3) {
        // Each row says how it is filtered: not at all. Writing to a Vec does not fail.
        let _ = deflated
            .write_all(&[0])
            .and_then(|()| deflated.write_all(row));
    }
    chunk(&mut out, *b"IDAT", &deflated.finish().unwrap_or_default());
    chunk(&mut out, *b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    out.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    let mut sum = Crc::new();
    for part in [&name[..], data] {
        out.extend_from_slice(part);
        sum.update(part);
    }
    out.extend_from_slice(&sum.sum().to_be_bytes());
}
