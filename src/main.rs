//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(command), Some(directory)) if command == dj_regress::service::keeper::COMMAND => {
            dj_regress::service::keeper::run(directory.as_ref())
        }
        _ => ExitCode::from(3),
    }
}
