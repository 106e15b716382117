//! Functions: how long they are, and how much they want to be told.

use proc_macro2::Delimiter;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use syn::Block;
use syn::FnArg;
use syn::ImplItemFn;
use syn::ItemFn;
use syn::Macro;
use syn::Signature;
use syn::TraitItemFn;
use syn::visit::Visit;

use super::breach::Breach;
use super::source::Source;
use super::source::group;
use super::source::is_mark;
use super::source::word;

/// The most lines of a function, from the line of its `fn` to its closing brace.
const MOST_LINES: usize = 70;

/// The most parameters beside `self`.
const MOST_PARAMETERS: usize = 5;

/// A function, a method, or what a macro makes into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    name: String,
    line: usize,
    /// How many lines it takes; none if it is only declared.
    pub(super) lines: Option<usize>,
    /// How many parameters it has beside `self`. Inside a macro they are not Rust yet, and none are counted.
    parameters: usize,
}

/// The functions that are too long or have too many parameters.
pub(super) fn check(path: &str, functions: &[Function]) -> Vec<Breach> {
    functions.iter().flat_map(|function| function.breaches(path)).collect()
}

/// All functions of a file, those inside macros too.
pub(super) fn functions(source: &Source) -> Vec<Function> {
    let mut found = Functions(Vec::new());
    found.visit_file(&source.tree);
    found.0
}

impl Function {
    fn new(signature: &Signature, body: Option<&Block>) -> Self {
        let line = signature.fn_token.span.start().line;
        let length = |body: &Block| lines_between(line, body.brace_token.span.close().end().line);
        let typed = |parameter: &&FnArg| matches!(parameter, FnArg::Typed(_));
        Self {
            name: signature.ident.to_string(),
            line,
            lines: body.map(length),
            parameters: signature.inputs.iter().filter(typed).count(),
        }
    }

    fn breaches(&self, path: &str) -> Vec<Breach> {
        let Self { name, line, lines, parameters } = self;
        let lines = lines.unwrap_or_default();
        let mut breaches = Vec::new();
        if lines > MOST_LINES {
            let what = format!("function {name} has {lines} lines, more than {MOST_LINES}");
            breaches.push(Breach::at(path, *line, what));
        }
        if *parameters > MOST_PARAMETERS {
            let what = format!("function {name} has {parameters} parameters, more than {MOST_PARAMETERS}");
            breaches.push(Breach::at(path, *line, what));
        }
        breaches
    }
}

struct Functions(Vec<Function>);

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.0.push(Function::new(&function.sig, Some(&function.block)));
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.0.push(Function::new(&function.sig, Some(&function.block)));
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.0.push(Function::new(&function.sig, function.default.as_ref()));
        syn::visit::visit_trait_item_fn(self, function);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        in_macro(called.tokens.clone(), &mut self.0);
    }
}

/// Finds what looks like functions among the tokens of a macro: `fn`, a name, and later a body in braces.
fn in_macro(tokens: TokenStream, found: &mut Vec<Function>) {
    let row: Vec<_> = tokens.into_iter().collect();
    for (at, token) in row.iter().enumerate() {
        match token {
            TokenTree::Group(group) => in_macro(group.stream(), found),
            TokenTree::Ident(ident) if ident == "fn" => found.extend(function_at(&row, at)),
            _ => {}
        }
    }
}

fn function_at(row: &[TokenTree], at: usize) -> Option<Function> {
    let after = at.saturating_add(1);
    // Inside a macro's definition the name may be one of its variables.
    let named = if is_mark(row, after, '$') { after.saturating_add(1) } else { after };
    let name = word(row, named)?;
    let body = (named..row.len())
        .take_while(|place| !is_mark(row, *place, ';'))
        .find_map(|place| group(row, place, Delimiter::Brace))?;
    let line = row.get(at)?.span().start().line;
    let lines = lines_between(line, body.span_close().end().line);
    Some(Function { name, line, lines: Some(lines), parameters: 0 })
}

/// How many lines there are from the first to the last, both counted.
fn lines_between(first: usize, last: usize) -> usize {
    last.saturating_sub(first).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn found(text: &str) -> Vec<Function> {
        functions(&Source::parse("a.rs", text.to_owned()).ok().unwrap())
    }

    fn breaches(text: &str) -> Vec<String> {
        check("a.rs", &found(text)).iter().map(Breach::to_string).collect()
    }

    /// A function of so many lines.
    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    ();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_may_have_seventy_lines() {
        assert_eq!(breaches(&function(70)), [""; 0]);
    }

    #[test]
    fn a_function_may_not_have_seventy_one_lines() {
        let breach = "a.rs:3: function f has 71 lines, more than 70";
        assert_eq!(breaches(&format!("/// Why.\n#[test]\n{}", function(71))), [breach]);
    }

    #[rstest]
    #[case::method("impl A {", "}")]
    #[case::provided("trait A {", "}")]
    #[case::inner("fn outer() {", "}")]
    #[case::module("mod tests {", "}")]
    #[case::property("proptest! {", "}")]
    #[case::macro_in_a_function("fn outer() { made!(", "); }")]
    fn a_long_function_is_found_wherever_it_stands(#[case] before: &str, #[case] after: &str) {
        let text = format!("{before}\n{}\n{after}", function(71));
        let breach = "a.rs:2: function f has 71 lines, more than 70".to_owned();
        assert!(breaches(&text).contains(&breach));
    }

    #[test]
    fn attributes_and_comments_before_a_function_do_not_count() {
        let text = "/// One.\n/// Two.\n#[inline]\nfn f() -> u8 {\n    1\n}\n";
        let function = Function { name: "f".to_owned(), line: 4, lines: Some(3), parameters: 0 };
        assert_eq!(found(text), [function]);
    }

    #[test]
    fn a_declaration_has_no_lines() {
        assert_eq!(found("trait A { fn f(&self); }")[0].lines, None);
    }

    #[test]
    fn a_type_of_functions_is_no_function() {
        assert_eq!(found("made! { type F = fn(u8); struct S {} }"), []);
        assert_eq!(found("made! { fn declared(); struct S {} }"), []);
    }

    #[test]
    fn a_variable_of_a_macro_may_be_the_name() {
        let text = "macro_rules! made { ($name:ident) => { fn $name() {\n} } }";
        assert_eq!(found(text)[0].name, "name");
    }

    #[rstest]
    #[case("fn f(a: u8, b: u8, c: u8, d: u8, e: u8) {}")]
    #[case("impl A { fn f(&self, a: u8, b: u8, c: u8, d: u8, e: u8) {} }")]
    fn a_function_may_have_five_parameters_beside_self(#[case] text: &str) {
        assert_eq!(breaches(text), [""; 0]);
    }

    #[rstest]
    #[case("fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}")]
    #[case("trait A { fn f(self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8); }")]
    fn a_function_may_not_have_six_parameters_beside_self(#[case] text: &str) {
        assert_eq!(breaches(text), ["a.rs:1: function f has 6 parameters, more than 5"]);
    }
}
