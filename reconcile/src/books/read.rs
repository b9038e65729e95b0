//! Reading a ledger.

use std::sync::Mutex;

use spillway_core::ledger::{Line, parse_line};
use spillway_core::receipt::Receipt;

use super::Ledger;
use crate::error::{Error, ErrorKind};
use crate::lines::{Block, for_each_block};
use crate::parallel::{self, lock};
use crate::store::{Object, Store, list_committed};

/// Folder of the ledger in a job's folder.
pub const LEDGER: &str = "ledger/";
/// Folder of the local lane's rows in a job's folder.
pub const LOCAL: &str = "local/";
/// Folder of the partials in a job's folder.
pub const PARTIALS: &str = "partials/";

/// Reads every committed line of the job's ledger, several files at once.
///
/// `on_receipt` gets the first receipt of each batch, with its line, in any order. A line that is
/// not what it should be ends the reading: what the ledger does not say cannot be guessed.
pub fn read(
    store: &dyn Store,
    threads: usize,
    block_bytes: usize,
    on_receipt: impl FnMut(&Receipt, &[u8]) -> Result<(), Error> + Send,
) -> Result<Ledger, Error> {
    let objects = list_committed(store, LEDGER)?;
    if objects.is_empty() {
        let message = format!(
            "there is no committed ledger in {}: check --location, and whether the job has \
             completed a checkpoint",
            store.uri(LEDGER)
        );
        return Err(Error::new(ErrorKind::NoInput, message));
    }
    let state = Mutex::new((Ledger::default(), on_receipt));
    parallel::for_each(threads, objects.into_iter().map(Ok), |object: Object| {
        for_each_block(store, &object, block_bytes, &mut |block| {
            let lines = parse(store, &object, block)?;
            let (ledger, on_receipt) = &mut *lock(&state);
            for (number, text, line) in lines {
                let added = match &line {
                    Line::Books(books) => ledger.add_books(books).map(|()| None),
                    Line::Receipt(receipt) => ledger
                        .add_receipt(receipt)
                        .map(|first| first.then_some(receipt)),
                };
                let first = added.map_err(|error| malformed(store, &object, number, error))?;
                if let Some(receipt) = first {
                    on_receipt(receipt, text)?;
                }
            }
            Ok(())
        })
    })?;
    Ok(state
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .0)
}

/// A line's number, its text, and what it says.
type Parsed<'a> = (u64, &'a [u8], Line);

/// Parses a block's lines; the lock is taken only afterwards.
fn parse<'a>(
    store: &dyn Store,
    object: &Object,
    block: Block<'a>,
) -> Result<Vec<Parsed<'a>>, Error> {
    let parse = |(number, text)| match parse_line(text) {
        Ok(line) => Ok((number, text, line)),
        Err(error) => Err(malformed(store, object, number, error)),
    };
    block.lines().map(parse).collect()
}

fn malformed(
    store: &dyn Store,
    object: &Object,
    line: u64,
    error: impl std::fmt::Display,
) -> Error {
    let message = format!("{}:{line}: {error}", store.uri(&object.key));
    Error::new(ErrorKind::Data, message)
}
