//! An object or part that is being written: a temporary file, and what is computed on the way.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use http_body_util::BodyExt;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::StreamingBlob;
use s3s::{Body, S3Error, S3ErrorCode, S3Result, TrailingHeaders};

use super::object::{Checksums, Stamp, hex};

/// How much is read at once when bytes come from a file.
const COPY_BUFFER_BYTES: usize = 256 << 10;

/// What the client says about the bytes that it sends.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// `Content-MD5`, base64.
    pub(crate) md5: Option<String>,
    /// The algorithm that it asks for, whether or not it says the sum.
    pub(crate) algorithm: Option<String>,
    /// Sums from headers.
    pub(crate) sums: Checksums,
}

impl Claims {
    /// Adds the sums that came after the body.
    fn add_trailers(&mut self, trailers: Option<&TrailingHeaders>) {
        let Some(trailers) = trailers.and_then(TrailingHeaders::take) else {
            return;
        };
        let value = |name: &str| {
            trailers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let sums = &mut self.sums;
        for (sum, name) in [
            (&mut sums.crc32, "x-amz-checksum-crc32"),
            (&mut sums.crc32c, "x-amz-checksum-crc32c"),
            (&mut sums.crc64nvme, "x-amz-checksum-crc64nvme"),
            (&mut sums.sha1, "x-amz-checksum-sha1"),
            (&mut sums.sha256, "x-amz-checksum-sha256"),
        ] {
            if let Some(value) = value(name) {
                *sum = Some(value);
            }
        }
    }

    fn hasher(&self) -> ChecksumHasher {
        let wanted =
            |sum: &Option<String>, name| sum.is_some() || self.algorithm.as_deref() == Some(name);
        ChecksumHasher {
            crc32: wanted(&self.sums.crc32, "CRC32").then(Default::default),
            crc32c: wanted(&self.sums.crc32c, "CRC32C").then(Default::default),
            crc64nvme: wanted(&self.sums.crc64nvme, "CRC64NVME").then(Default::default),
            sha1: wanted(&self.sums.sha1, "SHA1").then(s3s::crypto::Sha1::new),
            sha256: wanted(&self.sums.sha256, "SHA256").then(s3s::crypto::Sha256::new),
        }
    }
}

/// A temporary file; removed unless it is moved to its place.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) file: File,
    path: PathBuf,
    placed: bool,
}

/// What was computed while a draft was written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) draft: Draft,
    pub(crate) md5: [u8; 16],
    pub(crate) sums: Checksums,
}

impl Draft {
    pub(crate) fn new(path: PathBuf) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self {
            file,
            path,
            placed: false,
        })
    }

    /// Size and time as they will be at the file's place.
    pub(crate) fn stamp(&self) -> io::Result<Stamp> {
        Ok(Stamp::of(&self.file.metadata()?))
    }

    /// Moves the file to `target`; what was there before is replaced in one step.
    pub(crate) fn place(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.placed = true;
        Ok(())
    }

    /// Writes a request's body and checks it against what the client said of it.
    ///
    /// # Errors
    /// The body ends early or does not fit its checksums. Nothing is left behind.
    pub(crate) async fn receive(
        mut self,
        body: Option<StreamingBlob>,
        mut claims: Claims,
        trailers: Option<&TrailingHeaders>,
    ) -> S3Result<Written> {
        let mut md5 = Md5::new();
        let mut hasher = claims.hasher();
        let mut body = body.map(Body::from).unwrap_or_default();
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            md5.update(&data);
            hasher.update(&data);
            self.file
                .write_all(&data)
                .map_err(S3Error::internal_error)?;
        }
        claims.add_trailers(trailers);
        let sums = hasher.finalize();
        let sums = Checksums {
            crc32: sums.checksum_crc32,
            crc32c: sums.checksum_crc32c,
            crc64nvme: sums.checksum_crc64nvme,
            sha1: sums.checksum_sha1,
            sha256: sums.checksum_sha256,
        };
        let md5 = md5.finalize();
        check("CRC32", claims.sums.crc32.as_ref(), sums.crc32.as_ref())?;
        check("CRC32C", claims.sums.crc32c.as_ref(), sums.crc32c.as_ref())?;
        check(
            "CRC64NVME",
            claims.sums.crc64nvme.as_ref(),
            sums.crc64nvme.as_ref(),
        )?;
        check("SHA1", claims.sums.sha1.as_ref(), sums.sha1.as_ref())?;
        check("SHA256", claims.sums.sha256.as_ref(), sums.sha256.as_ref())?;
        if claims.md5.is_some() {
            check("Content-MD5", claims.md5.as_ref(), Some(&base64(&md5)))?;
        }
        Ok(Written {
            draft: self,
            md5,
            sums,
        })
    }

    /// Writes up to `length` bytes of `source` from where it stands.
    ///
    /// # Errors
    /// The file system's, and `UnexpectedEof` if `source` is shorter.
    pub(crate) fn copy_from(mut self, source: &mut File, length: u64) -> io::Result<Written> {
        let mut md5 = Md5::new();
        let mut buffer = vec![0; COPY_BUFFER_BYTES];
        let mut left = length;
        while left > 0 {
            let wanted = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let piece = &mut buffer[..wanted];
            source.read_exact(piece)?;
            md5.update(piece);
            self.file.write_all(piece)?;
            left -= piece.len() as u64;
        }
        Ok(Written {
            draft: self,
            md5: md5.finalize(),
            sums: Checksums::default(),
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a temporary file");
        }
    }
}

impl Written {
    /// The `ETag` of an object that was written in one go.
    pub(crate) fn e_tag(&self) -> String {
        hex(&self.md5)
    }
}

fn check(what: &str, claimed: Option<&String>, computed: Option<&String>) -> S3Result<()> {
    match claimed {
        Some(claimed) if Some(claimed) != computed => {
            let computed = computed.map_or("nothing", String::as_str);
            let message = format!("{what}: the request says {claimed}, the body has {computed}");
            Err(S3Error::with_message(S3ErrorCode::BadDigest, message))
        }
        _ => Ok(()),
    }
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = if place > chunk.len() {
                b'='
            } else {
                DIGITS[(bits >> (18 - 6 * place) & 63) as usize]
            };
            text.push(char::from(digit));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_draft_that_is_not_placed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Draft::new(folder.path().join("1")).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
