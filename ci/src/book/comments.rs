//! What the sources say of their own: the comment of each field of a structure, each variant, each field of a register.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syn::Attribute;
use syn::Expr;
use syn::Fields;
use syn::File;
use syn::Item;
use syn::Lit;
use syn::Meta;
use syn::Type;

use super::markdown::sentence;

/// A member of a structure or an enumeration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its name in the source.
    pub(super) name: String,
    /// Its type, where it has a name.
    pub(super) kind: String,
    /// What its comment says.
    pub(super) about: String,
    /// A file may leave it out.
    pub(super) is_optional: bool,
}

/// Reads a source.
///
/// # Errors
/// If it cannot be read or is no Rust.
pub(super) fn source(root: &Path, path: &str) -> Result<File, String> {
    let text = fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
    syn::parse_file(&text).map_err(|error| format!("{path}: {error}"))
}

/// The members of the structure or the enumeration of this name.
///
/// # Errors
/// If there is none.
pub(super) fn members(file: &File, name: &str) -> Result<Vec<Member>, String> {
    let found = file.items.iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == name => Some(of_fields(&item.fields, has_default(&item.attrs))),
        Item::Enum(item) if item.ident == name => {
            let variants = item.variants.iter();
            let member = |variant: &syn::Variant| Member {
                name: variant.ident.to_string(),
                kind: variant.fields.iter().next().map(|field| kind(&field.ty)).unwrap_or_default(),
                about: about(&variant.attrs),
                is_optional: false,
            };
            Some(variants.map(member).collect())
        }
        _ => None,
    });
    found.ok_or_else(|| format!("no source says what {name} is"))
}

fn of_fields(fields: &Fields, all_optional: bool) -> Vec<Member> {
    let member = |field: &syn::Field| Member {
        name: field.ident.as_ref().map(ToString::to_string).unwrap_or_default(),
        kind: kind(&field.ty),
        about: about(&field.attrs),
        is_optional: all_optional || has_default(&field.attrs) || kind(&field.ty) == "Option",
    };
    fields.iter().map(member).collect()
}

/// Whether the parser has a default for what has these attributes.
fn has_default(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("serde") && list.tokens.to_string().contains("default"),
        _ => false,
    })
}

/// A type by its path, or as `[word; number]`.
fn kind(kind: &Type) -> String {
    match kind {
        Type::Path(path) => {
            let words = path.path.segments.iter().map(|segment| segment.ident.to_string());
            words.collect::<Vec<_>>().join("::")
        }
        Type::Array(array) => match &array.len {
            Expr::Lit(length) => match &length.lit {
                Lit::Int(length) => format!("[{}; {length}]", self::kind(&array.elem)),
                _ => String::new(),
            },
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// The comment in front of something, as one line.
pub(super) fn about(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(text) => match &text.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    sentence(&lines.collect::<Vec<_>>().join(" "))
}

/// What is said of the fields of registers: by the register's name and the field's.
pub(super) type OfFields = BTreeMap<(String, String), String>;

/// Adds what a source says of the fields of the registers that it declares.
pub(super) fn of_registers(text: &str, told: &mut OfFields) {
    let mut register = String::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            comment.push(words);
            continue;
        }
        let title = line.strip_prefix("pub struct ").and_then(|rest| rest.split('"').nth(1));
        if let Some(title) = title {
            title.clone_into(&mut register);
        } else if let Some((field, rest)) = line.split_once(": ") {
            let is_field = rest.contains(" = ") && rest.ends_with(';');
            let is_name = field.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            if is_field && is_name && !comment.is_empty() {
                let key = (register.clone(), field.to_owned());
                told.entry(key).or_insert_with(|| sentence(&comment.join(" ")));
            }
        }
        comment.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_their_names_their_types_and_what_is_said_of_them() {
        let text = "/// X.\nstruct A {\n    /// The [`first`].\n    /// And more.\n    a: U32,\n    b: [u8; 3],\n    \
                    #[serde(default)]\n    c: u8,\n    d: Option<u8>,\n}\n\
                    enum B {\n    /// One.\n    One(u8),\n}\n";
        let file = syn::parse_file(text).unwrap();
        let member = |name: &str, kind: &str, about: &str| Member {
            name: name.to_owned(),
            kind: kind.to_owned(),
            about: about.to_owned(),
            is_optional: ["c", "d"].contains(&name),
        };
        let a = [
            member("a", "U32", "The `first`. And more."),
            member("b", "[u8; 3]", ""),
            member("c", "u8", ""),
            member("d", "Option", ""),
        ];
        assert_eq!(members(&file, "A").unwrap(), a);
        assert_eq!(members(&file, "B").unwrap(), [member("One", "u8", "One.")]);
        assert!(members(&file, "C").is_err());
    }

    #[test]
    fn a_field_of_a_register_has_the_comment_before_it() {
        let text = "pub struct Lock(\"DVSEC CXL Lock\"): u16 {\n    /// Nothing can be\n    /// written.\n    \
                    config_lock: bool = 0:0, Rwo;\n    bare: bool = 1:1, Ro;\n}\n";
        let mut told = OfFields::new();
        of_registers(text, &mut told);
        let key = ("DVSEC CXL Lock".to_owned(), "config_lock".to_owned());
        assert_eq!(told, OfFields::from([(key, "Nothing can be written.".to_owned())]));
    }
}
