//! Starting a function's process.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::function::FunctionConfig;

/// Starts the function's binary, which will poll `runtime_api`.
///
/// It gets Lambda's environment and nothing of ours, writes its log to our standard error, and is a
/// process group of its own, so that Ctrl-C at the terminal reaches us alone and we stop it in order.
///
/// # Errors
/// The binary is missing or cannot be executed.
pub(crate) fn start(
    config: &FunctionConfig,
    id: u64,
    runtime_api: SocketAddr,
) -> io::Result<Child> {
    let mut command = Command::new(&config.binary);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "en_US.UTF-8")
        .env("TZ", ":UTC")
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", &config.name)
        .env(
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            config.memory_mb.to_string(),
        )
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env(
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", config.name),
        )
        .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("local/[$LATEST]{id}"))
        .env("_HANDLER", "bootstrap")
        .envs(config.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?))
        .process_group(0)
        .kill_on_drop(true);
    die_with_parent(&mut command);
    command.spawn()
}

/// Has the kernel kill the child when we die, however we die.
///
/// The signal comes when the *thread* that started the child ends, which is the thread that runs
/// Lambda: it lives as long as we do.
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let hook = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // We may have died between fork and prctl; then there will be no signal.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::CHILD.raw_os_error(),
            ));
        }
        Ok(())
    };
    // SAFETY: the hook runs in the child between fork and exec, where only async-signal-safe things
    // are allowed. It makes two system calls (prctl, getppid) without going through libc state, and
    // neither allocates, locks nor panics: an `io::Error` of an error number is a plain integer.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(hook);
    }
}
