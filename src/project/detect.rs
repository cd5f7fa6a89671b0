//! What a project says of itself: where its `manage.py` is, and which settings that names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::input::inside;
use crate::input::limit::SOURCE;

/// What starts every Django project.
const MANAGE: &str = "manage.py";

/// The variable that names the settings, and that `manage.py` gives a value to.
pub const SETTINGS_VARIABLE: &str = "DJANGO_SETTINGS_MODULE";

const QUOTES: [char; 2] = ['"', '\''];

/// Folders below a project's that are not its own.
const NOT_OURS: [&str; 4] = ["node_modules", "site-packages", "venv", "env"];

/// The folders with a `manage.py`: this one, else those up to two below.
pub fn roots(folder: &Path) -> Vec<PathBuf> {
    if folder.join(MANAGE).is_file() {
        return vec![folder.to_owned()];
    }
    let mut found = Vec::new();
    let mut level = vec![folder.to_owned()];
    for _ in 0..2 {
        level = level.iter().flat_map(|folder| folders(folder)).collect();
        found.extend(level.iter().filter(|folder| folder.join(MANAGE).is_file()).cloned());
    }
    found
}

/// The settings that `manage.py` names, with the line where it does, if it names one module only.
pub fn settings(root: &Path) -> Option<(String, PathBuf, usize)> {
    let file = root.join(MANAGE);
    let text = inside::read_text(&file, SOURCE).ok()?;
    let mut found = text.lines().enumerate().filter_map(|(number, line)| Some((module(line)?, number + 1)));
    let (module, line) = found.next()?;
    found.all(|(other, _)| other == module).then(|| (module.to_owned(), file, line))
}

/// The module that a line gives the variable: `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")`.
fn module(line: &str) -> Option<&str> {
    let line = line.split('#').next()?;
    let rest = line.split_once(SETTINGS_VARIABLE)?.1.strip_prefix(QUOTES)?;
    let (module, _) = rest.trim_start_matches([']', ' ', ',', '=']).strip_prefix(QUOTES)?.split_once(QUOTES)?;
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    module.split('.').all(is_name).then_some(module)
}

/// The folders of a project in this one, by name.
pub fn folders(folder: &Path) -> Vec<PathBuf> {
    let is_ours = |name: &str| !name.starts_with('.') && !NOT_OURS.contains(&name);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // Not following links: they may lead anywhere.
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut folders: Vec<PathBuf> =
        entries.filter(|entry| is_ours(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')", Some("mysite.settings"))]
    #[case(
        "os.environ[\"DJANGO_SETTINGS_MODULE\"] = \"config.settings.local\"  # for us",
        Some("config.settings.local")
    )]
    #[case("# os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'old.settings')", None)]
    #[case("os.environ.setdefault('DJANGO_SETTINGS_MODULE', module)", None)]
    #[case("os.environ.setdefault('DJANGO_SETTINGS_MODULE', f'{name}.settings')", None)]
    #[case("if 'DJANGO_SETTINGS_MODULE' not in os.environ:", None)]
    fn the_settings_of_manage_py_are_read_where_they_are_plain(#[case] line: &str, #[case] expected: Option<&str>) {
        assert_eq!(module(line), expected);
    }

    #[test]
    fn a_project_is_found_below_and_settings_that_depend_are_not_guessed() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        let line = |module: &str| format!("os.environ.setdefault('DJANGO_SETTINGS_MODULE', '{module}')\n");
        write("src/site/manage.py", &format!("import os\n\n{}", line("mysite.settings")));
        write("venv/x/manage.py", "");
        write(".git/manage.py", "");
        assert_eq!(roots(folder.path()), [folder.path().join("src/site")]);
        let (module, _, number) = settings(&folder.path().join("src/site")).expect("they are plain");
        assert_eq!((module.as_str(), number), ("mysite.settings", 3));
        write("other/manage.py", &format!("if test:\n    {}else:\n    {}", line("a.test"), line("a.settings")));
        assert_eq!(roots(folder.path()).len(), 2);
        assert_eq!(settings(&folder.path().join("other")), None);
        write("manage.py", "");
        assert_eq!(roots(folder.path()), [folder.path()]);
    }
}
