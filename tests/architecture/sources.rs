//! The crate's own sources, read as Rust: which file names what of which other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// A path from the crate's root, without `crate`.
type FullPath = Vec<String>;

/// All modules that are files of `src`, programs apart.
pub struct Crate {
    modules: BTreeMap<FullPath, Module>,
}

/// One file.
pub struct Module {
    pub path: FullPath,
    pub lines: usize,
    file: PathBuf,
    docs: String,
    /// What it names, tests apart.
    imports: Vec<FullPath>,
    /// What its tests name.
    test_imports: Vec<FullPath>,
    /// What it passes on from elsewhere under a name of its own.
    reexports: BTreeMap<String, FullPath>,
    globs: Vec<String>,
    /// Whether it is compiled for unit tests only.
    test_only: bool,
}

impl Crate {
    pub fn read() -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut modules = BTreeMap::new();
        read_module(&src.join("lib.rs"), &src, Vec::new(), &mut modules);
        Self { modules }
    }

    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    pub fn folders(&self) -> Vec<String> {
        let folders = self
            .modules
            .values()
            .filter(|module| module.path.len() == 1 && !module.test_only);
        folders.map(|module| module.path[0].clone()).collect()
    }

    pub fn docs_of_lib(&self) -> &str {
        &self.modules[&Vec::new()].docs
    }

    /// The files that a file depends on, tests apart; itself is not one of them.
    pub fn targets(&self, module: &Module) -> impl Iterator<Item = &Module> {
        let targets = module.imports.iter().map(|import| self.owner_of(import));
        targets.filter(|target| target.path != module.path)
    }

    /// The file in which a name is declared, through the re-exports on the way.
    fn owner_of(&self, import: &[String]) -> &Module {
        let mut known = import.len();
        while !self.modules.contains_key(&import[..known]) {
            known -= 1;
        }
        let module = &self.modules[&import[..known]];
        let name = import.get(known);
        match name.and_then(|name| module.reexports.get(name)) {
            Some(origin) if origin[..] != *import => self.owner_of(origin),
            _ => module,
        }
    }
}

impl Module {
    /// The folder it is in; none for the root.
    pub fn folder(&self) -> Option<&str> {
        self.path.first().map(String::as_str)
    }

    pub fn file(&self) -> String {
        self.file.display().to_string()
    }

    /// Everything it names of this crate, in its tests too.
    pub fn imports_with_tests(&self) -> impl Iterator<Item = &FullPath> {
        self.imports.iter().chain(&self.test_imports)
    }

    /// Glob imports, apart from those of tests.
    pub fn globs(&self) -> impl Iterator<Item = String> {
        self.globs
            .iter()
            .map(|glob| format!("{}: {glob}", self.file()))
    }
}

/// Reads a file and the files of the modules it declares. `folder` is where those are.
fn read_module(
    file: &Path,
    folder: &Path,
    path: FullPath,
    modules: &mut BTreeMap<FullPath, Module>,
) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let mut reader = Reader::new(&path, &syntax);
    reader.visit_file(&syntax);
    for (child, is_test) in declared(&syntax) {
        let (flat, nested) = (folder.join(format!("{child}.rs")), folder.join(&child));
        let file = if flat.exists() {
            flat
        } else {
            nested.join("mod.rs")
        };
        let mut child_path = path.clone();
        child_path.push(child);
        read_module(&file, &nested, child_path.clone(), modules);
        if is_test && let Some(child) = modules.get_mut(&child_path) {
            let imports = std::mem::take(&mut child.imports);
            child.test_imports.extend(imports);
            child.globs.clear();
            child.test_only = true;
        }
    }
    let module = Module {
        lines: text.lines().count(),
        file: file.to_owned(),
        docs: docs(&syntax.attrs),
        imports: reader.imports,
        test_imports: reader.test_imports,
        reexports: reader.reexports,
        globs: reader.globs,
        test_only: false,
        path,
    };
    modules.insert(module.path.clone(), module);
}

/// The modules of a file that are files, and whether each is for tests only.
fn declared(syntax: &syn::File) -> Vec<(String, bool)> {
    let modules = syntax.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() => {
            Some((module.ident.to_string(), is_for_tests(&module.attrs)))
        }
        _ => None,
    });
    modules.collect()
}

fn docs(attrs: &[syn::Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        syn::Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(line),
                ..
            }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn is_for_tests(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        meta => meta.path().is_ident("test"),
    })
}

/// Collects what a file names.
struct Reader {
    /// Where in the crate we are, inline modules included.
    here: FullPath,
    children: Vec<String>,
    in_tests: bool,
    imports: Vec<FullPath>,
    test_imports: Vec<FullPath>,
    reexports: BTreeMap<String, FullPath>,
    globs: Vec<String>,
}

impl Reader {
    fn new(path: &[String], syntax: &syn::File) -> Self {
        let children = declared(syntax).into_iter().map(|(child, _)| child);
        let mut reader = Self {
            here: path.to_vec(),
            children: children.collect(),
            in_tests: false,
            imports: Vec::new(),
            test_imports: Vec::new(),
            reexports: BTreeMap::new(),
            globs: Vec::new(),
        };
        // First, since a name may be used above the line that brings it in.
        for item in &syntax.items {
            if let syn::Item::Use(item) = item
                && !matches!(item.vis, syn::Visibility::Inherited)
            {
                reader.note_reexports(&item.tree);
            }
        }
        reader
    }

    fn note_reexports(&mut self, tree: &syn::UseTree) {
        for (words, name) in leaves(tree, Vec::new()) {
            if let Some(origin) = self.full_path(&words) {
                self.reexports.insert(name, origin);
            }
        }
    }

    /// From words as they are written to the crate's root; `None` for other crates.
    fn full_path(&self, words: &[String]) -> Option<FullPath> {
        let first = words.first()?;
        // A single word of that name is a variable.
        if words.len() > 1 && self.children.contains(first) {
            return Some([&self.here[..], words].concat());
        }
        if let Some(origin) = self.reexports.get(first) {
            return Some([&origin[..], &words[1..]].concat());
        }
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.here.clone(),
            _ => return None,
        };
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            match word.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = after;
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    fn note(&mut self, words: &[String]) {
        let Some(path) = self.full_path(words) else {
            return;
        };
        if self.in_tests {
            self.test_imports.push(path);
        } else {
            self.imports.push(path);
        }
    }

    fn within(&mut self, attrs: &[syn::Attribute], look: impl FnOnce(&mut Self)) {
        let before = self.in_tests;
        self.in_tests |= is_for_tests(attrs);
        look(self);
        self.in_tests = before;
    }
}

/// Every name of a use tree: its words, and the name it has here. A glob has the name `*`.
fn leaves(tree: &syn::UseTree, mut words: FullPath) -> Vec<(FullPath, String)> {
    match tree {
        syn::UseTree::Path(path) => {
            words.push(path.ident.to_string());
            leaves(&path.tree, words)
        }
        syn::UseTree::Name(name) => {
            let name = name.ident.to_string();
            let own = if name == "self" {
                words.last().cloned().unwrap_or_default()
            } else {
                words.push(name.clone());
                name
            };
            vec![(words, own)]
        }
        syn::UseTree::Rename(rename) => {
            words.push(rename.ident.to_string());
            vec![(words, rename.rename.to_string())]
        }
        syn::UseTree::Glob(_) => vec![(words, "*".to_owned())],
        syn::UseTree::Group(group) => {
            let trees = group.items.iter();
            trees.flat_map(|tree| leaves(tree, words.clone())).collect()
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.within(&item.attrs, |reader| {
            for (words, name) in leaves(&item.tree, Vec::new()) {
                if name == "*" && !reader.in_tests {
                    reader.globs.push(format!("use {}::*", words.join("::")));
                }
                // Passing a name on is not using it.
                if matches!(item.vis, syn::Visibility::Inherited) {
                    reader.note(&words);
                }
            }
        });
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within(&item.attrs, |reader| {
            if item.content.is_some() {
                reader.here.push(item.ident.to_string());
                visit::visit_item_mod(reader, item);
                reader.here.pop();
            }
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(&item.attrs, |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(&item.attrs, |reader| {
            visit::visit_impl_item_fn(reader, item)
        });
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.within(&item.attrs, |reader| visit::visit_item_impl(reader, item));
    }

    /// Who may see a name is no use of the names in `pub(super)`.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: FullPath = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        self.note(&words);
        visit::visit_path(self, path);
    }

    /// A macro's own text is compiled where it is called.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if !item.mac.path.is_ident("macro_rules") {
            visit::visit_item_macro(self, item);
        }
    }

    /// What is in a macro's arguments is not parsed; its paths are looked for as words.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string().replace(" :: ", "::");
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
            let words: FullPath = word.split("::").map(str::to_owned).collect();
            if words.len() > 1 {
                self.note(&words);
            }
        }
        visit::visit_macro(self, item);
    }
}
