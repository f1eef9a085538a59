//! The modules of a crate, and which of them each one uses.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::tokens::{Token, tokens};

/// How many re-exports are followed for a name before it is given up: some go in circles.
const REEXPORTS_MAX: usize = 16;

/// The modules of a crate that are files of their own, the root first.
pub(super) struct Modules {
    modules: Vec<Module>,
    by_path: HashMap<Vec<String>, usize>,
}

struct Module {
    /// Its name from the root, which has none.
    path: Vec<String>,
    imports: Vec<Import>,
    /// The paths that its code names beside its imports.
    paths: Vec<Named>,
    /// The items that it defines.
    items: HashSet<String>,
    /// It defines something, and does not only hand on what its children define.
    has_code: bool,
}

/// A path, as it stands in a module inside `depth` blocks `mod … { }`.
struct Named {
    path: Vec<String>,
    depth: usize,
}

struct Import {
    named: Named,
    /// The name that it brings in; `*` for all.
    name: String,
}

/// What a path leads to.
enum Target {
    Module(usize),
    /// Something that this module defines.
    Item(usize),
}

impl Modules {
    /// Reads the modules of a crate's `src` folder.
    pub(super) fn read(src: &Path) -> anyhow::Result<Self> {
        let roots: Vec<_> = ["lib.rs", "main.rs"]
            .iter()
            .map(|name| src.join(name))
            .filter(|p| p.exists())
            .collect();
        let mut sources = Vec::new();
        for root in roots {
            read_module(&root, src, &mut Vec::new(), &mut sources)?;
        }
        Ok(Self::of(sources))
    }

    /// Returns the modules with these paths and texts.
    pub(super) fn of(sources: impl IntoIterator<Item = (Vec<String>, Vec<Token>)>) -> Self {
        let mut modules: Vec<Module> = Vec::new();
        let mut by_path = HashMap::new();
        for (path, tokens) in sources {
            let module = Module::of(path, &tokens);
            by_path.entry(module.path.clone()).or_insert(modules.len());
            modules.push(module);
        }
        Self { modules, by_path }
    }

    /// Returns the name of a module.
    pub(super) fn name(&self, module: usize) -> String {
        match &self.modules[module].path[..] {
            [] => "the root".to_owned(),
            path => path.join("::"),
        }
    }

    /// Returns the modules that are directly in the root.
    pub(super) fn top_level(&self) -> BTreeSet<&str> {
        let paths = self.modules.iter().map(|module| &module.path);
        paths.filter_map(|path| Some(path.first()?.as_str())).collect()
    }

    /// Returns the module directly in the root that a module is, or is in.
    pub(super) fn top_of(&self, module: usize) -> Option<&str> {
        self.modules[module].path.first().map(String::as_str)
    }

    /// Returns for each module which others it uses. What a module without code of its own hands on
    /// is used where it is defined.
    pub(super) fn uses(&self) -> Vec<Vec<usize>> {
        let used = |(at, module): (usize, &Module)| {
            if !module.has_code {
                return Vec::new();
            }
            let imports = module.imports.iter().filter(|import| import.name != "*");
            let named = imports.map(|import| &import.named).chain(&module.paths);
            let items = named.filter_map(|named| match self.resolve(at, named, REEXPORTS_MAX)? {
                Target::Item(used) => Some(used),
                Target::Module(_) => None,
            });
            let all = module.imports.iter().filter(|import| import.name == "*");
            let all =
                all.filter_map(|import| match self.resolve(at, &import.named, REEXPORTS_MAX)? {
                    Target::Item(used) | Target::Module(used) => Some(used),
                });
            let used: BTreeSet<_> = items.chain(all).filter(|used| *used != at).collect();
            used.into_iter().collect()
        };
        self.modules.iter().enumerate().map(used).collect()
    }

    /// Returns what a path in a module leads to; `None` out of the crate.
    fn resolve(&self, module: usize, named: &Named, reexports: usize) -> Option<Target> {
        let own = &self.modules[module].path;
        let (first, rest) = named.path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(self.root_of(module), rest, reexports),
            "self" => self.descend(module, rest, reexports),
            "super" => {
                let (mut base, mut depth, mut rest) = (own.clone(), named.depth, &named.path[..]);
                while let Some(("super", behind)) =
                    rest.split_first().map(|(first, behind)| (first.as_str(), behind))
                {
                    match depth {
                        0 => drop(base.pop()),
                        _ => depth -= 1,
                    }
                    rest = behind;
                }
                self.descend(*self.by_path.get(&base)?, rest, reexports)
            }
            name if self.child(module, name).is_some() || self.imports(module, name).is_some() => {
                self.descend(module, &named.path, reexports)
            }
            _ => None,
        }
    }

    /// Returns what a path leads to that begins in a module.
    fn descend(&self, module: usize, path: &[String], reexports: usize) -> Option<Target> {
        let Some((name, rest)) = path.split_first() else { return Some(Target::Module(module)) };
        if let Some(child) = self.child(module, name) {
            return self.descend(child, rest, reexports);
        }
        let found = &self.modules[module];
        if found.items.contains(name) || reexports == 0 {
            return Some(Target::Item(module));
        }
        if let Some(import) = self.imports(module, name) {
            let path = import.named.path.iter().chain(rest).cloned().collect();
            let named = Named { path, depth: import.named.depth };
            // What is imported from another crate is not followed.
            return self.resolve(module, &named, reexports - 1);
        }
        for all in found.imports.iter().filter(|import| import.name == "*") {
            if let Some(Target::Module(from)) = self.resolve(module, &all.named, reexports - 1)
                && self.modules[from].items.contains(name)
            {
                return Some(Target::Item(from));
            }
        }
        Some(Target::Item(module))
    }

    fn child(&self, module: usize, name: &str) -> Option<usize> {
        let mut path = self.modules[module].path.clone();
        path.push(name.to_owned());
        self.by_path.get(&path).copied()
    }

    fn imports(&self, module: usize, name: &str) -> Option<&Import> {
        self.modules[module].imports.iter().find(|import| import.name == name)
    }

    fn root_of(&self, module: usize) -> usize {
        // A package's program has a root of its own, which is read behind the library's modules.
        let roots = self.modules.iter().enumerate().filter(|(_, module)| module.path.is_empty());
        roots.map(|(at, _)| at).filter(|at| *at <= module).max().unwrap_or_default()
    }
}

impl Module {
    fn of(path: Vec<String>, tokens: &[Token]) -> Self {
        let mut module = Self {
            path,
            imports: Vec::new(),
            paths: Vec::new(),
            items: HashSet::new(),
            has_code: tokens.iter().any(|token| token.is("impl")),
        };
        // For each open brace, whether it is a module's.
        let mut blocks: Vec<bool> = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let depth = blocks.iter().filter(|is_module| **is_module).count();
            match &tokens[at] {
                Token::Mark('{') => {
                    let named = at.checked_sub(2).is_some_and(|before| tokens[before].is("mod"));
                    blocks.push(named);
                    at += 1;
                }
                Token::Mark('}') => {
                    blocks.pop();
                    at += 1;
                }
                Token::Word(word) if word == "use" && !follows(tokens, at, '<') => {
                    let end = tokens[at..].iter().position(|token| token.is_mark(';'));
                    let end = end.map_or(tokens.len(), |length| at + length);
                    module.add_imports(&tokens[at + 1..end], &[], depth);
                    at = end + 1;
                }
                Token::Word(word) if defines(word) => {
                    if let Some(Token::Word(item)) = tokens.get(at + 1) {
                        module.items.insert(item.clone());
                        module.has_code = true;
                    }
                    at += 1;
                }
                Token::Word(word) if word == "macro_rules" => {
                    if let Some(Token::Word(item)) = tokens.get(at + 2) {
                        module.items.insert(item.clone());
                        module.has_code = true;
                    }
                    at += 1;
                }
                // Behind `::` alone is another crate, or a name of what is before it.
                Token::Path => at += path_at(&tokens[at..]).1,
                Token::Word(_) => {
                    let (path, length) = path_at(&tokens[at..]);
                    if path.len() > 1 {
                        module.paths.push(Named { path, depth });
                    }
                    at += length;
                }
                _ => at += 1,
            }
        }
        module
    }

    /// Adds what a tree of imports brings in.
    fn add_imports(&mut self, tree: &[Token], before: &[String], depth: usize) {
        if tree.first() == Some(&Token::Path) {
            return;
        }
        let (own, length) = path_at(tree);
        let mut path = before.to_vec();
        path.extend(own);
        match tree.get(length) {
            Some(Token::Mark('{')) => {
                let inside = &tree[length + 1..tree.len().saturating_sub(1)];
                split_at_commas(inside)
                    .into_iter()
                    .for_each(|part| self.add_imports(part, &path, depth));
            }
            Some(Token::Mark('*')) => {
                self.imports.push(Import { named: Named { path, depth }, name: "*".to_owned() });
            }
            behind => {
                if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
                    path.pop();
                }
                let renamed = behind.filter(|token| token.is("as")).and(tree.get(length + 1));
                let name = match renamed {
                    Some(Token::Word(name)) => name.clone(),
                    _ => match path.last() {
                        Some(last) => last.clone(),
                        None => return,
                    },
                };
                self.imports.push(Import { named: Named { path, depth }, name });
            }
        }
    }
}

/// Returns the names of a path, and how many tokens it has.
fn path_at(tokens: &[Token]) -> (Vec<String>, usize) {
    let (mut path, mut at) = (Vec::new(), 0);
    // A path from the root of all crates.
    at += usize::from(tokens.first() == Some(&Token::Path));
    while let Some(Token::Word(word)) = tokens.get(at) {
        path.push(word.clone());
        at += 1;
        if tokens.get(at) != Some(&Token::Path) {
            break;
        }
        at += 1;
    }
    (path, at)
}

fn split_at_commas(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => depth -= 1,
            Token::Mark(',') if depth == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

fn follows(tokens: &[Token], at: usize, mark: char) -> bool {
    tokens.get(at + 1).is_some_and(|token| token.is_mark(mark))
}

fn defines(word: &str) -> bool {
    matches!(word, "struct" | "enum" | "trait" | "union" | "fn" | "const" | "static" | "type")
}

/// Reads a module's file and those of the modules that it declares.
fn read_module(
    file: &Path,
    children: &Path,
    path: &mut Vec<String>,
    sources: &mut Vec<(Vec<String>, Vec<Token>)>,
) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let tokens = tokens(&text);
    let declared: BTreeMap<String, PathBuf> = tokens
        .windows(3)
        .filter_map(|three| match three {
            [first, Token::Word(name), Token::Mark(';')] if first.is("mod") => Some(name),
            _ => None,
        })
        .filter_map(|name| {
            let files = [children.join(format!("{name}.rs")), children.join(name).join("mod.rs")];
            Some((name.clone(), files.into_iter().find(|file| file.exists())?))
        })
        .collect();
    sources.push((path.clone(), tokens));
    for (name, file) in declared {
        path.push(name.clone());
        read_module(&file, &children.join(name), path, sources)?;
        path.pop();
    }
    Ok(())
}
