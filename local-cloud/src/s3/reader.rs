//! Reading an object's file piece by piece, as the body of an answer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use s3s::Body;
use s3s::dto::StreamingBlob;

/// How much is read at once. An object up to this size is read before the answer begins.
const PIECE_BYTES: u64 = 256 << 10;

/// Bytes `start..end` of `file`.
pub(crate) fn body(file: File, start: u64, end: u64) -> io::Result<StreamingBlob> {
    let mut reader = Reader {
        file,
        at: start,
        end,
    };
    if end - start <= PIECE_BYTES {
        return Ok(StreamingBlob::from(Body::from(reader.piece()?)));
    }
    Ok(StreamingBlob::from(Body::http_body(reader)))
}

struct Reader {
    file: File,
    at: u64,
    end: u64,
}

impl Reader {
    fn piece(&mut self) -> io::Result<Bytes> {
        let length =
            usize::try_from((self.end - self.at).min(PIECE_BYTES)).map_err(io::Error::other)?;
        let mut piece = vec![0; length];
        self.file.read_exact_at(&mut piece, self.at)?;
        self.at += length as u64;
        Ok(piece.into())
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // A file on disk is always ready; S3 has its thread to itself.
        Poll::Ready((self.at < self.end).then(|| self.piece().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}
