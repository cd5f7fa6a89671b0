//! Which file of a crate uses what of which other file.
//!
//! A path (in a `use`, in code, or among the tokens of a macro call) is followed to the file that defines its name: through
//! modules, through `use` under another name, and through re-exports. So `use crate::judge::Verdict` is an import of the file
//! with `enum Verdict`, not of `judge/mod.rs`. `mod` declarations and a module's re-exports of what is below it are no
//! imports, nor is what stands under `#[cfg(test)]`.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Attribute, Item, UseTree, Visibility};

/// The path of a module below the crate's root.
type Module = Vec<String>;

/// One import: `file` uses on `line` a name that `target` defines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// Who uses it.
    pub file: String,
    /// Where, 1-based.
    pub line: usize,
    /// The path as it is written.
    pub path: String,
    /// The file that defines it.
    pub target: String,
}

/// A crate's modules.
#[derive(Debug, Default)]
pub struct Crate {
    /// Names that count as the crate itself, beside `crate`: what its binary calls it.
    name: String,
    modules: BTreeMap<Module, Names>,
}

/// What a module has.
#[derive(Debug, Default)]
struct Names {
    file: String,
    /// Defined here.
    items: BTreeSet<String>,
    /// By the name that it has here.
    uses: BTreeMap<String, Vec<String>>,
    /// Modules whose names are all here.
    globs: Vec<Vec<String>>,
    /// What is used here, and in which line; whether it is only re-exported.
    paths: Vec<(Vec<String>, usize, bool)>,
}

/// Where a path leads.
enum Found {
    /// To a name, in this module.
    Name(Module),
    /// To a module.
    Module(Module),
}

impl Crate {
    /// Reads the files of a crate: their paths below `src`, and their texts.
    pub fn read<'t>(name: &str, files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut found = Self { name: name.to_owned(), ..Self::default() };
        for (path, text) in files {
            let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{path} is no Rust: {error}"));
            found.add(module(path), path, parsed.items);
        }
        found
    }

    fn add(&mut self, module: Module, file: &str, items: Vec<Item>) {
        let mut names = Names { file: file.to_owned(), ..Names::default() };
        for item in items {
            if is_test(attributes(&item)) {
                continue;
            }
            match item {
                Item::Use(used) => {
                    let is_shown = !matches!(used.vis, Visibility::Inherited);
                    let line = used.use_token.span.start().line;
                    names.import(Vec::new(), &used.tree, line, is_shown);
                }
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    if let Some((_, items)) = inner.content {
                        self.add([module.clone(), vec![name]].concat(), file, items);
                    }
                }
                item => {
                    names.items.extend(name(&item));
                    scan(item.to_token_stream(), &mut names.paths);
                }
            }
        }
        self.modules.insert(module, names);
    }

    /// All imports of other files.
    pub fn imports(&self) -> Vec<Import> {
        let mut imports = BTreeSet::new();
        for (module, names) in &self.modules {
            for (path, line, is_shown) in &names.paths {
                let Some(found) = self.resolve(module, path, 0) else { continue };
                let (Found::Name(target) | Found::Module(target)) = &found;
                let is_reexport = *is_shown && target.starts_with(module);
                // What is used of a module is found where it is used.
                let Found::Name(target) = &found else { continue };
                let target = &self.modules[target].file;
                if !is_reexport && *target != names.file {
                    let (file, path) = (names.file.clone(), path.join("::"));
                    imports.insert(Import { file, line: *line, path, target: target.clone() });
                }
            }
        }
        imports.into_iter().collect()
    }

    /// Where a path leads that is written in this module; nowhere, where it is of another crate.
    fn resolve(&self, module: &Module, path: &[String], depth: usize) -> Option<Found> {
        // Two globs may name each other.
        if depth > 16 {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let parent = || module.split_last().map(|(_, parent)| parent.to_vec());
        match first.as_str() {
            "crate" => self.walk(Vec::new(), rest, depth),
            first if first == self.name => self.walk(Vec::new(), rest, depth),
            "self" => self.walk(module.clone(), rest, depth),
            "super" => self.walk(parent()?, rest, depth),
            _ => self.step(module, path, depth),
        }
    }

    fn walk(&self, module: Module, path: &[String], depth: usize) -> Option<Found> {
        match path.first().map(String::as_str) {
            None => Some(Found::Module(module)),
            Some("self") => self.walk(module, &path[1..], depth),
            Some("super") => self.walk(module.split_last()?.1.to_vec(), &path[1..], depth),
            Some(_) => self.step(&module, path, depth),
        }
    }

    /// One name further.
    fn step(&self, module: &Module, path: &[String], depth: usize) -> Option<Found> {
        let (name, rest) = path.split_first()?;
        let names = self.modules.get(module)?;
        if names.items.contains(name) {
            return Some(Found::Name(module.clone()));
        }
        let child = [module.clone(), vec![name.clone()]].concat();
        if self.modules.contains_key(&child) {
            return self.walk(child, rest, depth + 1);
        }
        if let Some(used) = names.uses.get(name) {
            return self.resolve(module, &[used.as_slice(), rest].concat(), depth + 1);
        }
        names.globs.iter().find_map(|glob| self.resolve(module, &[glob.as_slice(), path].concat(), depth + 1))
    }
}

impl Names {
    fn import(&mut self, before: Vec<String>, tree: &UseTree, line: usize, is_shown: bool) {
        let with = |name: &dyn ToString| [before.clone(), vec![name.to_string()]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.import(with(&path.ident), &path.tree, line, is_shown),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(before.clone(), tree, line, is_shown));
            }
            UseTree::Glob(_) => return self.globs.push(before),
            UseTree::Name(name) if name.ident == "self" => (before.clone(), before.last().cloned().unwrap_or_default()),
            UseTree::Name(name) => (with(&name.ident), name.ident.to_string()),
            UseTree::Rename(rename) if rename.ident == "self" => (before.clone(), rename.rename.to_string()),
            UseTree::Rename(rename) => (with(&rename.ident), rename.rename.to_string()),
        };
        self.paths.push((path.clone(), line, is_shown));
        // `use crate::x;` names itself: what leads nowhere else is not followed.
        if path != [name.clone()] {
            self.uses.insert(name, path);
        }
    }
}

/// Collects the paths of at least two names.
fn scan(tokens: TokenStream, paths: &mut Vec<(Vec<String>, usize, bool)>) {
    let mut path: Vec<String> = Vec::new();
    let (mut line, mut colons) = (0, 0);
    let mut end = |path: &mut Vec<String>, line: usize| {
        if path.len() > 1 {
            paths.push((std::mem::take(path), line, false));
        }
        path.clear();
    };
    let mut groups = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                if colons != 2 {
                    end(&mut path, line);
                    line = name.span().start().line;
                }
                path.push(name.to_string());
                colons = 0;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' && (colons == 1 || mark.spacing() == Spacing::Joint) => {
                colons += 1;
            }
            TokenTree::Group(group) => {
                end(&mut path, line);
                colons = 0;
                groups.push(group.stream());
            }
            _ => {
                end(&mut path, line);
                colons = 0;
            }
        }
    }
    end(&mut path, line);
    for group in groups {
        scan(group, paths);
    }
}

/// `runner/session/mod.rs` is `runner::session`.
fn module(file: &str) -> Module {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| !matches!(*part, "lib" | "mod")).map(str::to_owned).collect()
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.to_token_stream().to_string().replace(' ', "").contains("(test)")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// What an item is called.
fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
