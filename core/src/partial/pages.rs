//! The pages of a column, believed only as far as their bytes go.

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

/// What each value of a dictionary takes of its page at least: the length that precedes a key.
const LEAST_BYTES: usize = 4;

/// Refuses a dictionary that says it has more values than its bytes can hold. The Parquet library makes room for as
/// many as it says before it reads the first, which some bytes of damage can turn into gigabytes.
pub(super) struct CheckedPages(pub(super) Box<dyn PageReader>);

fn checked(page: Page) -> Result<Page> {
    match &page {
        Page::DictionaryPage {
            buf, num_values, ..
        } if *num_values as usize > buf.len() / LEAST_BYTES => Err(ParquetError::General(format!(
            "its dictionary says that it has {num_values} values in {} bytes",
            buf.len()
        ))),
        _ => Ok(page),
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.0.get_next_page()?.map(checked).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.0.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.0.at_record_boundary()
    }
}
