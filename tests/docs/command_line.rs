//! The reference of the command line, from what clap knows.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};
use dj_regress::cli::Cli;

/// The page.
pub fn page() -> String {
    let mut command = Cli::command().term_width(0);
    command.build();
    let mut page = String::from(
        "# Command-line reference\n\nGenerated from the program; `dj-regress help COMMAND` prints the same.\n\n\
         Without a command, `dj-regress` does what `dj-regress run` does.\n",
    );
    for command in command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        section(&mut page, command);
    }
    page
}

fn section(page: &mut String, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n## `dj-regress {}`\n\n{about}.\n\n```console\n{usage}\n```\n", command.get_name());
    let arguments: Vec<&Arg> = command.get_arguments().filter(|argument| is_told(argument)).collect();
    if arguments.is_empty() {
        return;
    }
    page.push_str("\n| argument | what it does |\n|---|---|\n");
    for argument in arguments {
        let _ = writeln!(page, "| {} | {} |", name(argument), what(argument));
    }
}

fn is_told(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

/// As it is typed.
fn name(argument: &Arg) -> String {
    let value = match argument.get_value_names() {
        Some(names) if argument.get_action().takes_values() => format!(" {}", names.join(" ")),
        _ => String::new(),
    };
    match (argument.get_short(), argument.get_long()) {
        (_, None) => format!("`{}`", value.trim()),
        (None, Some(long)) => format!("`--{long}{value}`"),
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
    }
}

/// Its help, its values and its default, in one cell.
fn what(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut what = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let takes_values = argument.get_action().takes_values();
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| takes_values && !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}`: {help}", value.get_name()),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        let _ = write!(what, ". One of {}", values.join("; "));
    }
    let defaults = argument.get_default_values();
    if takes_values && !defaults.is_empty() {
        let defaults: Vec<String> = defaults.iter().map(|value| value.to_string_lossy().into_owned()).collect();
        let _ = write!(what, ". Default: `{}`", defaults.join(", "));
    }
    what.replace('|', "\\|")
}
