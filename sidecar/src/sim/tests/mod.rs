//! What must hold whatever the controller decides, scenario files, and bad ones.

mod cloud;
mod conservation;
mod files;
mod scenarios;

use super::*;

/// A scenario from its text; it names no CSV.
fn scenario(text: &str) -> Scenario {
    Scenario::parse(text, "test.toml", |path| {
        Err(format!("no {}", path.display()))
    })
    .unwrap()
}

fn refused(text: &str) -> String {
    Scenario::parse(text, "test.toml", |_| {
        Ok("minute,requests\n0,10\n1,-5\n".into())
    })
    .unwrap_err()
    .to_string()
}
