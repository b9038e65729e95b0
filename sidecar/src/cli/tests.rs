use super::*;

fn each(command: &Command, path: &str, look: &mut impl FnMut(&str, &Command)) {
    look(path, command);
    for sub in command.get_subcommands() {
        each(sub, &format!("{path} {}", sub.get_name()), look);
    }
}

#[test]
fn the_command_line_is_sound() {
    command().debug_assert();
}

#[test]
fn every_flag_has_an_environment_twin_and_a_help_text() {
    let keys: Vec<_> = crate::config::keys::KEYS
        .iter()
        .map(|key| key.path)
        .collect();
    let mut flags = 0;
    each(&command(), "spillway", &mut |path, command| {
        assert!(command.get_about().is_some(), "{path} has no help");
        for arg in command.get_arguments() {
            let name = arg.get_id().as_str();
            assert!(arg.get_help().is_some(), "{path} {name} has no help");
            // The keys' variables are read together with the file.
            let twin = arg.get_env().is_some() || keys.contains(&name);
            if arg.get_long().is_some() && !matches!(name, "help" | "version") {
                flags += 1;
                assert!(twin, "{path} --{name} has no environment twin");
            }
        }
    });
    assert!(flags > 30);
}

#[test]
fn no_flag_takes_a_token() {
    each(&command(), "spillway", &mut |path, command| {
        for arg in command.get_arguments() {
            assert_ne!(arg.get_long(), Some("token"), "{path}");
        }
    });
}
