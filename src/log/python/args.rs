//! Parses the arguments of a handler in Python's logging configuration, such as
//! `('/var/log/g.log', 'a')`.

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::log) enum Arg {
    /// A quoted text.
    Text(String),
    /// A bare word or number: `sys.stdout`, `1024`, `None`.
    Word(String),
}

/// Parses a tuple of plain arguments. Returns `None` for an expression that Python would evaluate.
pub(in crate::log) fn parse(text: &str) -> Option<Vec<Arg>> {
    let mut rest = text.trim().strip_prefix('(')?.strip_suffix(')')?.trim();
    let mut args = Vec::new();
    while !rest.is_empty() {
        let (arg, after) = argument(rest)?;
        args.push(arg);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(args)
}

fn argument(text: &str) -> Option<(Arg, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (inside, after) = quoted.split_once(quote)?;
            // Escape sequences of Python are not supported.
            let plain = !inside.contains('\\');
            return plain.then(|| (Arg::Text(inside.to_owned()), after));
        }
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    (!word.is_empty()).then(|| (Arg::Word(word.to_owned()), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Arg {
        Arg::Text(text.into())
    }

    fn word(word: &str) -> Arg {
        Arg::Word(word.into())
    }

    #[test]
    fn tuples_of_plain_arguments_are_parsed() {
        assert_eq!(parse("()"), Some(vec![]));
        assert_eq!(parse("(sys.stdout,)"), Some(vec![word("sys.stdout")]));
        assert_eq!(
            parse(" ( '/a, b.log' , \"a\",1024, None ) "),
            Some(vec![
                text("/a, b.log"),
                text("a"),
                word("1024"),
                word("None")
            ])
        );
    }

    #[test]
    fn python_expressions_are_rejected() {
        for bad in [
            "",
            "sys.stdout",
            "('a' 'b')",
            "('a\\n',)",
            "(os.path.join('a'),)",
            "('a)",
            "(,)",
            "(a+b)",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
