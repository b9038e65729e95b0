//! Making the result visible, and finding it again.

use std::path::Path;

use bytes::Bytes;

use super::{MARKER, Manifest, Part};
use crate::error::{Error, ErrorKind};
use crate::store::{Body, Store};

/// No marker is larger.
const MAX_MARKER_BYTES: usize = 1 << 30;

/// Puts the files in `folder` into `store` in place of whatever result is there, then the marker
/// with this content.
///
/// The marker goes first and comes last: whoever waits for it never sees a mixture, and if this is
/// interrupted, it is missing, and running again repairs it.
pub fn publish(
    store: &dyn Store,
    folder: &Path,
    parts: &[Part],
    marker: Vec<u8>,
) -> Result<(), Error> {
    store.delete(MARKER)?;
    for part in parts {
        store.put(&part.name, Body::File(&folder.join(&part.name)))?;
    }
    let mut stale = Vec::new();
    store.list("", &mut |object| {
        if Part::is_name(&object.key) && !parts.iter().any(|part| part.name == object.key) {
            stale.push(object.key);
        }
        Ok(())
    })?;
    for key in stale {
        store.delete(&key)?;
    }
    store.put(MARKER, Body::Bytes(marker.into()))
}

/// What the marker in `store` says.
pub fn open(store: &dyn Store) -> Result<Manifest, Error> {
    let marker: Option<Bytes> = store.read(MARKER, 0, MAX_MARKER_BYTES)?;
    let uri = store.uri(MARKER);
    let marker = marker.ok_or_else(|| {
        let message = format!("there is no finished result: no {uri}: make one with `run`");
        Error::new(ErrorKind::NoInput, message)
    })?;
    serde_json::from_slice(&marker)
        .map_err(|error| Error::new(ErrorKind::Data, format_args!("{uri}: {error}")))
}
