//! Multipart uploads. They live on disk only, so that a restart does not lose them: Flink may
//! complete an upload long after it was begun.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::CompletedPart;
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::draft::{Draft, Written};
use super::object::{Attributes, Stamp, hex};

/// Every part but the last is at least this large.
const MIN_PART_BYTES: u64 = 5 << 20;

/// The file that says what an upload is for.
const HEAD: &str = "upload.json";

/// An upload that was begun.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) id: String,
    /// Nanoseconds since the epoch.
    begun_ns: u64,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) attributes: Attributes,
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip)]
    parts: Mutex<BTreeMap<i32, Part>>,
}

/// One part: a file named `{number}-{md5}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) md5: [u8; 16],
    pub(crate) stamp: Stamp,
}

impl Upload {
    /// Begins an upload.
    pub(crate) fn begin(
        disk: &Disk,
        bucket: String,
        key: String,
        attributes: Attributes,
    ) -> io::Result<Self> {
        let begun_ns = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let begun_ns = u64::try_from(begun_ns).unwrap_or_default();
        // The number tells uploads of one process apart, the time those of several.
        let id = format!("{begun_ns:016x}{:08x}", disk.number());
        let folder = disk.uploads().join(&id);
        fs::create_dir(&folder)?;
        let upload = Self {
            id,
            begun_ns,
            bucket,
            key,
            attributes,
            folder,
            parts: Mutex::default(),
        };
        fs::write(upload.folder.join(HEAD), serde_json::to_vec(&upload)?)?;
        Ok(upload)
    }

    /// The uploads that an earlier process left.
    pub(crate) fn load_all(disk: &Disk) -> io::Result<Vec<Self>> {
        let mut uploads = Vec::new();
        for entry in fs::read_dir(disk.uploads())? {
            let folder = entry?.path();
            match Self::load(&folder) {
                Ok(upload) => uploads.push(upload),
                // It was never told to anybody, or was being removed.
                Err(error) => {
                    tracing::warn!(upload = %folder.display(), %error, "an unfinished upload is dropped");
                    fs::remove_dir_all(&folder)?;
                }
            }
        }
        Ok(uploads)
    }

    fn load(folder: &Path) -> io::Result<Self> {
        let mut upload: Self = serde_json::from_slice(&fs::read(folder.join(HEAD))?)?;
        folder.clone_into(&mut upload.folder);
        let mut parts: BTreeMap<i32, Part> = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((number, md5)) = name.to_str().and_then(part_of_name) else {
                continue;
            };
            let part = Part {
                md5,
                stamp: Stamp::of(&entry.metadata()?),
            };
            // Of two with one number, the later replaced the other.
            let newer = parts
                .get(&number)
                .is_none_or(|other| other.stamp.modified_ns < part.stamp.modified_ns);
            if newer {
                parts.insert(number, part);
            }
        }
        upload.parts = Mutex::new(parts);
        Ok(upload)
    }

    fn parts_mut(&self) -> MutexGuard<'_, BTreeMap<i32, Part>> {
        // The map is whole at every step.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begun(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.begun_ns)
    }

    /// The parts, by number.
    pub(crate) fn parts(&self) -> BTreeMap<i32, Part> {
        self.parts_mut().clone()
    }

    fn path(&self, number: i32, md5: &[u8; 16]) -> PathBuf {
        self.folder.join(format!("{number}-{}", hex(md5)))
    }

    /// Adds a part, in place of an earlier one of the same number.
    pub(crate) fn add(&self, number: i32, written: Written) -> io::Result<()> {
        let part = Part {
            md5: written.md5,
            stamp: written.draft.stamp()?,
        };
        let mut parts = self.parts_mut();
        written.draft.place(&self.path(number, &part.md5))?;
        let old = parts.insert(number, part);
        match old {
            Some(old) if old.md5 != part.md5 => fs::remove_file(self.path(number, &old.md5)),
            _ => Ok(()),
        }
    }

    /// The parts that the client lists, checked.
    ///
    /// # Errors
    /// `MalformedXML` (none), `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`.
    pub(crate) fn select(&self, listed: &[CompletedPart]) -> S3Result<Vec<(i32, Part)>> {
        let parts = self.parts_mut();
        let mut selected: Vec<(i32, Part)> = Vec::with_capacity(listed.len());
        for wanted in listed {
            let number = wanted.part_number.ok_or(S3ErrorCode::MalformedXML)?;
            if selected.last().is_some_and(|(before, _)| *before >= number) {
                return Err(S3ErrorCode::InvalidPartOrder.into());
            }
            let part = parts.get(&number).ok_or(S3ErrorCode::InvalidPart)?;
            if wanted
                .e_tag
                .as_ref()
                .is_some_and(|e_tag| e_tag.value() != hex(&part.md5))
            {
                return Err(S3ErrorCode::InvalidPart.into());
            }
            selected.push((number, *part));
        }
        let Some((_, all_but_last)) = selected.split_last() else {
            return Err(S3ErrorCode::MalformedXML.into());
        };
        if all_but_last
            .iter()
            .any(|(_, part)| part.stamp.size < MIN_PART_BYTES)
        {
            return Err(S3ErrorCode::EntityTooSmall.into());
        }
        Ok(selected)
    }

    /// Puts the parts together in a new draft. They stay, until the upload is removed.
    pub(crate) fn join(&self, disk: &Disk, selected: &[(i32, Part)]) -> S3Result<(Draft, String)> {
        let mut draft = disk.draft().map_err(S3Error::internal_error)?;
        let mut of_all = Md5::new();
        for (number, part) in selected {
            let mut file = File::open(self.path(*number, &part.md5)).map_err(gone)?;
            // The kernel copies, where the file system allows without moving the bytes.
            io::copy(&mut file, &mut draft.file).map_err(S3Error::internal_error)?;
            of_all.update(&part.md5);
        }
        draft
            .file
            .set_modified(SystemTime::now())
            .map_err(S3Error::internal_error)?;
        Ok((
            draft,
            format!("{}-{}", hex(&of_all.finalize()), selected.len()),
        ))
    }

    /// Removes all that is on disk of it.
    pub(crate) fn discard(&self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(upload = %self.folder.display(), %error, "cannot remove an upload");
        }
    }
}

/// A part's file is missing: the upload was completed or aborted in the meantime.
fn gone(error: io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::NotFound => S3Error::new(S3ErrorCode::NoSuchUpload),
        _ => S3Error::internal_error(error),
    }
}

fn part_of_name(name: &str) -> Option<(i32, [u8; 16])> {
    let (number, digits) = name.split_once('-')?;
    let mut md5 = [0; 16];
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in md5.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some((number.parse().ok()?, md5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_name_tells_its_number_and_digest() {
        let md5 = [0xab; 16];
        assert_eq!(part_of_name(&format!("17-{}", hex(&md5))), Some((17, md5)));
        for other in [
            "upload.json",
            "17-",
            "x-abababababababababababababababab",
            "1-ßßßßßßßßßßßßßßßß",
        ] {
            assert_eq!(part_of_name(other), None, "{other}");
        }
    }
}
