use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use spillway_core::row::Row;
use spillway_core::workload::WorkloadKind;

use super::*;
use crate::budget::Budget;
use crate::store::{DirectoryStore, Store};

fn tiny() -> Budget {
    Budget {
        row_group_rows: 10,
        row_group_key_bytes: 1000,
        part_bytes: 600,
        ..Budget::new(Budget::MIN_MEMORY_BYTES, 1)
    }
}

fn write(folder: &Path, rows: i64, budget: &Budget) -> Vec<Part> {
    let mut writer = ResultWriter::new(folder, WorkloadKind::Wordcount, budget).unwrap();
    for n in 0..rows {
        let key = format!("key-{n:04}");
        writer
            .write(&Row {
                window_start_ms: 1000,
                key: key.as_bytes(),
                measures: &[n],
            })
            .unwrap();
    }
    writer.finish().unwrap()
}

fn read(folder: &Path, parts: &[Part]) -> Vec<(i64, String, i64)> {
    let mut rows = Vec::new();
    for part in parts {
        let reader = PartReader::open(&folder.join(&part.name), WorkloadKind::Wordcount).unwrap();
        reader
            .for_each(&mut |row| {
                let key = String::from_utf8(row.key.to_vec()).unwrap();
                rows.push((row.window_start_ms, key, row.measures[0]));
                Ok(())
            })
            .unwrap();
    }
    rows
}

#[test]
fn rows_read_back_over_row_groups_and_parts() {
    let folder = tempfile::tempdir().unwrap();
    let parts = write(folder.path(), 95, &tiny());
    assert!(parts.len() > 2, "{parts:?}");
    assert_eq!(parts.iter().map(|part| part.rows).sum::<u64>(), 95);
    let expected: Vec<_> = (0..95).map(|n| (1000, format!("key-{n:04}"), n)).collect();
    assert_eq!(read(folder.path(), &parts), expected);
}

#[test]
fn a_result_without_rows_still_has_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let parts = write(folder.path(), 0, &tiny());
    assert_eq!(parts.len(), 1);
    assert!(read(folder.path(), &parts).is_empty());
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let files = [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        let parts = write(folder.path(), 95, &tiny());
        parts
            .into_iter()
            .map(|part| {
                (
                    part.name.clone(),
                    fs::read(folder.path().join(part.name)).unwrap(),
                )
            })
            .collect::<BTreeMap<_, _>>()
    });
    assert_eq!(files[0], files[1]);
}

#[test]
fn a_shorter_result_replaces_a_longer_one_and_nothing_else() {
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = DirectoryStore::new(out.path().into());
    let marker = |parts: &[Part]| {
        let marker = serde_json::json!({"parts": parts, "workload": "wordcount"});
        marker.to_string().into_bytes()
    };
    let long = write(folder.path(), 95, &tiny());
    publish(&store, folder.path(), &long, marker(&long)).unwrap();
    fs::write(out.path().join("notes.txt"), "mine").unwrap();
    fs::write(out.path().join("part-x.parquet"), "mine").unwrap();

    let short = write(folder.path(), 5, &tiny());
    publish(&store, folder.path(), &short, marker(&short)).unwrap();
    let mut names = Vec::new();
    store
        .list("", &mut |object| {
            names.push(object.key);
            Ok(())
        })
        .unwrap();
    assert_eq!(
        names,
        [MARKER, "notes.txt", "part-00000.parquet", "part-x.parquet"]
    );
    assert_eq!(open(&store).unwrap().parts, short);
}

#[test]
fn without_a_marker_there_is_no_result() {
    let out = tempfile::tempdir().unwrap();
    let error = open(&DirectoryStore::new(out.path().into())).unwrap_err();
    assert_eq!(error.kind(), crate::error::ErrorKind::NoInput);
}
