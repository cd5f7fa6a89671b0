//! Five hundred case files that nobody would write: each is refused with its place, or is a case.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dj_regress::case::Case;
use dj_regress::case::load::load_file;
use dj_regress::error::ErrorKind;
use dj_regress::input::path::InnerPath;
use dj_regress::input::requirement::{PackageName, Release};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use support::Context;

/// How many are made of the cases, beside the files that are no text.
const MUTANTS: usize = 500;

/// How long one may take, and how much memory all of them together.
const TIME: Duration = Duration::from_secs(1);
const MEMORY_KB: u64 = 100 * 1024;

/// What is put in place of a value.
const VALUES: [&str; 48] = [
    "",
    "~",
    "[]",
    "{}",
    "[[]]",
    "{a: {b: c}}",
    "true",
    "0",
    "-1",
    "1e999",
    ".nan",
    "99999999999999999999999999",
    "18446744073709551615",
    "9223372036854775807",
    "1000000000",
    "1000000000s",
    "1e300d",
    "-99999999999d",
    "\"\"",
    "\" \"",
    "\"\\0\"",
    "\"a\\nb\"",
    "\"\\e[31m\"",
    "\"\\u202e\"",
    "/etc/passwd",
    "../../../../etc/passwd",
    "./../outside.txt",
    "a/../../outside.txt",
    "~/.ssh/id_rsa",
    "file:///etc/passwd",
    "-r/etc/passwd",
    "\"-r /etc/passwd\"",
    "\"1.9.0\\n-r /etc/passwd\"",
    "\"1.9.0 ; x\"",
    "\"@ http://127.0.0.1/x.whl\"",
    "--index-url",
    "$",
    "${",
    "$$",
    "$nobody",
    "${redis}",
    "*nobody",
    "&a [*a]",
    "!!binary x",
    "!!python/object/apply:os.system [x]",
    "|",
    "\"",
    "größe",
];

/// A generator with a seed: the same files every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// One change of a text that is a case.
fn mutate(text: &str, dice: &mut Dice) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = dice.below(lines.len());
    match dice.below(16) {
        // A value: of a line, or after a colon or a comma within it.
        0..=6 => {
            let line = lines[at].clone();
            let ends: Vec<usize> = line.match_indices([':', ',', '[', '{']).map(|(index, _)| index + 1).collect();
            if !ends.is_empty() {
                let from = *dice.of(&ends);
                let length = line[from..].find([',', '}', ']']).unwrap_or(line.len() - from);
                lines[at] = format!("{} {}{}", &line[..from], dice.of(&VALUES), &line[from + length..]);
            }
        }
        // A number.
        7 | 8 => {
            let number = lines[at].find(|c: char| c.is_ascii_digit());
            if let Some(from) = number {
                let rest = lines[at][from..].trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
                let numbers = ["0", "-7", "4294967296", "99999999999999999999", "0x10", "1_000", "00"];
                lines[at] = format!("{}{}{rest}", &lines[at][..from], dice.of(&numbers));
            }
        }
        // A character.
        9 | 10 => {
            let places: Vec<usize> = lines[at].char_indices().map(|(index, _)| index).collect();
            let place = if places.is_empty() { 0 } else { *dice.of(&places) };
            let characters =
                ['\0', '\u{1b}', '\u{7f}', '\u{feff}', '\t', '\r', '\u{2028}', '"', '\'', '{', '&', '%', '@'];
            lines[at].insert(place, *dice.of(&characters));
        }
        // Lines.
        11 => drop(lines.remove(at)),
        12 | 13 => {
            let line = lines[at].clone();
            lines.insert(dice.below(lines.len()), line);
        }
        // Sizes.
        14 => match dice.below(6) {
            0 => lines.push(format!("# {}", "x".repeat(400 * 1024))),
            1 => lines.push(format!("vars: {{a: [{}1]}}", "1, ".repeat(60_000))),
            2 => lines.push(format!("vars: {}1", "[".repeat(3_000))),
            3 => lines.push(format!("vars: {}", "{a: ".repeat(60))),
            4 => lines.push(format!("issues: [{}]", "x".repeat(200 * 1024))),
            _ => lines.push(format!("fixes:\n{}", (0..4000).map(|n| format!("  f{n}: {{}}\n")).collect::<String>())),
        },
        // Bombs.
        _ => {
            let wide = ["x"; 10].join(", ");
            let mut bomb = format!("vars:\n  a0: &a0 [{wide}]\n");
            let levels = dice.below(12);
            for level in 1..=levels {
                let before = vec![format!("*a{}", level - 1); 10].join(", ");
                let _ = writeln!(bomb, "  a{level}: &a{level} [{before}]");
            }
            if dice.below(2) == 0 {
                let _ = writeln!(bomb, "  b: &b {}", "y".repeat(100 * 1024));
                let _ = writeln!(bomb, "  c: [{}*b]", "*b, ".repeat(1_000));
            }
            lines.retain(|line| !line.starts_with("vars:"));
            lines.insert(0, bomb);
        }
    }
    lines.join("\n") + "\n"
}

/// Files that are no text, or not there.
fn strange(folder: &Path) -> Vec<PathBuf> {
    let path = |name: &str| folder.join(format!("{name}.yaml"));
    mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
    fs::create_dir(path("folder")).unwrap();
    drop(UnixListener::bind(path("socket")).unwrap());
    for (name, target) in [
        ("zero", "/dev/zero"),
        ("null", "/dev/null"),
        ("terminal", "/dev/tty"),
        ("loop", "loop.yaml"),
        ("gone", "nowhere"),
    ] {
        symlink(target, path(name)).unwrap();
    }
    fs::write(path("empty"), "").unwrap();
    fs::write(path("bytes"), b"title: t\nsteps: [\xff]\n").unwrap();
    fs::write(path("utf16"), b"\xff\xfet\0i\0t\0l\0e\0").unwrap();
    fs::File::create(path("large")).unwrap().set_len(1 << 40).unwrap();
    fs::write(path(&"n".repeat(120)), "title: t\n").unwrap();
    fs::write(path("two\nlines"), "title: t\n").unwrap();
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_yaml(path)).collect()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml")
}

/// The peak of this process's memory so far.
fn peak_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What a case that is accepted may hand to the rest of the program.
fn is_harmless(case: &Case) -> bool {
    let fixes = case.fixes.values().map(|fix| &fix.change);
    let deltas = fixes.chain([&case.base]).chain(case.control.as_ref().map(|control| &control.change));
    let inside = |path: &str| InnerPath::parse(path, "").is_ok_and(|plain| plain.as_str() == path);
    let asked = |name: &str, release: &str| PackageName::parse(name).is_ok() && Release::parse(release).is_ok();
    deltas.into_iter().all(|delta| {
        delta.packages.iter().all(|(name, release)| asked(name, release))
            && delta.edits.values().all(|edit| inside(&edit.file))
            && delta.take.iter().all(|take| asked(&take.package, &take.version))
            && delta.take.iter().flat_map(|take| &take.files).all(|file| inside(file))
    }) && !case.base.packages.is_empty()
        && case.states.state.actors.len() <= 64
        && case.repeat <= 100
}

#[test]
fn a_mutated_case_is_refused_with_its_place_or_is_a_case() {
    let context = Context::new().planted("language").planted("faults");
    fs::write(context.path("outside.txt"), "years of work").unwrap();
    for app in ["ledger", "pages"] {
        let from = if app == "pages" { "tests/planted/language/pages" } else { "cases/django/ledger" };
        support::copy(Path::new(from), &context.path("cases").join(app));
    }
    let mut texts = Vec::new();
    for folder in ["cases/django", "cases/django_q", "tests/planted/language", "tests/planted/faults"] {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        texts.extend(paths.iter().filter(|path| is_yaml(path)).map(|path| fs::read_to_string(path).unwrap()));
    }
    let folder = context.path("cases");
    fs::create_dir(folder.join("strange")).unwrap();
    let mut paths = strange(&folder.join("strange"));
    let strange = paths.len();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for index in 0..MUTANTS {
        let mut text = dice.of(&texts).clone();
        for _ in 0..=dice.below(3) {
            text = mutate(&text, &mut dice);
        }
        paths.push(folder.join(format!("mutant{index}.yaml")));
        fs::write(&paths[strange + index], text).unwrap();
    }
    drop(texts);

    let mut refused = 0;
    for path in &paths {
        let start = Instant::now();
        let loaded = load_file(path, &folder);
        let took = start.elapsed();
        assert!(took < TIME, "{}: {took:?}", path.display());
        match loaded {
            Ok(case) => assert!(is_harmless(&case), "{}", path.display()),
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind, ErrorKind::Usage, "{}: {error}", path.display());
                assert!(has_place(&error.message, path), "{}: {error}", path.display());
            }
        }
    }
    assert!(peak_kb() < MEMORY_KB, "{} kB", peak_kb());
    // Both happen: neither is everything refused, nor does nothing do harm.
    assert!(refused > MUTANTS / 3 && refused < paths.len() - MUTANTS / 20, "{refused} of {}", paths.len());

    // The whole program says the same, and its exit code.
    for path in paths[..strange].iter().chain(paths[strange..].iter().step_by(25)) {
        let expected = if load_file(path, &folder).is_ok() { 0 } else { 3 };
        let mut command = context.command("check");
        let said = support::said(command.arg(path));
        // What a folder is called does not make it a file, and what is not there cannot be selected.
        let named = path.is_file()
            || !["folder", "fifo", "socket", "zero", "null", "terminal", "loop", "gone"]
                .iter()
                .any(|name| path.ends_with(format!("{name}.yaml")));
        assert!(said.took < TIME * 2, "{}: {said}", path.display());
        assert!(
            said.code == Some(expected) || (!named && matches!(said.code, Some(3 | 4))),
            "{}: {said}",
            path.display()
        );
    }
    assert_eq!(fs::read_to_string(context.path("outside.txt")).unwrap(), "years of work");
}

/// `--> FILE:LINE:COLUMN`
fn has_place(message: &str, path: &Path) -> bool {
    let arrow = format!("--> {}:", path.display());
    message.split_once(&arrow).is_some_and(|(_, rest)| {
        let mut numbers = rest.split(['\n', ':']).map(|number| number.trim().parse::<usize>());
        matches!((numbers.next(), numbers.next()), (Some(Ok(1..)), Some(Ok(1..))))
    })
}
