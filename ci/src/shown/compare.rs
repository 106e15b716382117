//! What a command says beside what a document shows of it.
//!
//! A line `...` stands for any lines, or none. Nothing else is loose, but for what is another at every run: seconds
//! with a decimal point, and the random part of a folder for a while; and for what runs the guest, at the end of a
//! line, which is another where there is no KVM. What a line has at its end that nobody sees does not count.

/// A line that stands for any lines.
const ANY: &str = "...";

/// What folders for a while begin with; six characters of chance follow.
const FOLDER: &str = "/cxl-sim-";

/// What says by what the guest is run, and why.
const GUEST: &str = ", guest ";

/// The first thing in which they differ, if they do. Where nothing is shown, nothing is compared.
pub(super) fn difference(shown: &[String], said: &str) -> Option<String> {
    let shown: Vec<_> = shown.iter().map(|line| masked(line)).collect();
    let said: Vec<_> = said.trim_end().lines().map(masked).collect();
    let shown = shown.get(..shown.iter().rposition(|line| !line.is_empty())?.saturating_add(1))?;
    let mut runs = shown.split(|line| line == ANY);
    let rest = behind(&said, runs.next()?)?;
    let mut rest = match rest {
        Ok(rest) => rest,
        Err(difference) => return Some(difference),
    };
    let mut runs = runs.peekable();
    if runs.peek().is_none() {
        return rest.first().map(|line| format!("it says more than is shown: {line}"));
    }
    while let Some(run) = runs.next() {
        let is_last = runs.peek().is_none();
        match place(rest, run, is_last) {
            Some(at) => rest = rest.get(at.saturating_add(run.len())..).unwrap_or_default(),
            None => return Some(format!("it does not say: {}", first_missing(rest, run))),
        }
    }
    None
}

/// The lines behind those that must be first.
fn behind<'a>(said: &'a [String], run: &[String]) -> Option<Result<&'a [String], String>> {
    for (index, shown) in run.iter().enumerate() {
        let said = said.get(index).map_or("nothing", String::as_str);
        if said != shown {
            return Some(Err(format!("shown is\n  {shown}\nand it says\n  {said}")));
        }
    }
    said.get(run.len()..).map(Ok)
}

/// Where a run of lines is: at the end if it is the last, else where it is first.
fn place(said: &[String], run: &[String], is_last: bool) -> Option<usize> {
    if run.is_empty() {
        return Some(if is_last { said.len() } else { 0 });
    }
    if is_last {
        return said.len().checked_sub(run.len()).filter(|_| said.ends_with(run));
    }
    said.windows(run.len()).position(|lines| lines == run)
}

/// The first line of a run that is nowhere; if all are somewhere, the first.
fn first_missing<'a>(said: &[String], run: &'a [String]) -> &'a str {
    run.iter().find(|line| !said.contains(line)).or(run.first()).map_or("", String::as_str)
}

/// A line without what is another at every run.
fn masked(line: &str) -> String {
    let line = without_seconds(without_guest(line.trim_end()));
    match line.split_once(FOLDER) {
        Some((before, after)) => {
            let chance = after.chars().take_while(char::is_ascii_alphanumeric).count();
            format!("{before}{FOLDER}_{}", after.get(chance..).unwrap_or_default())
        }
        None => line,
    }
}

/// A line up to what says by what the guest is run.
fn without_guest(line: &str) -> &str {
    line.split_once(GUEST).map_or(line, |(before, _)| before)
}

/// Numbers with a decimal point before ` s` or `s` become `_`, and blanks before them are one.
fn without_seconds(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|character: char| character.is_ascii_digit()) {
        let (before, number) = rest.split_at(start);
        let length = number.find(|character: char| !character.is_ascii_digit() && character != '.');
        let (number, after) = number.split_at(length.unwrap_or(number.len()));
        let unit = after.strip_prefix(' ').unwrap_or(after).strip_prefix('s');
        let ends = unit.is_some_and(|after| !after.starts_with(|next: char| next.is_alphanumeric()));
        out.push_str(before);
        out.push_str(if ends && number.contains('.') { "_" } else { number });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[rstest]
    #[case("a\nb", "a\nb\n")]
    #[case("a\n...\nd", "a\nb\nc\nd\n")]
    #[case("a\n...\nd", "a\nd\n")]
    #[case("a\n...", "a\n")]
    #[case("...\nb\n...\nd\n...", "a\nb\nc\nd\n")]
    #[case("...\na\nb", "a\nb\na\nb\n")]
    #[case("passed x  (0.02 s)", "passed x  (17.50 s)\n")]
    #[case("finished in 0.14s", "finished in 2.99s")]
    #[case(
        "vfio-user:/tmp/cxl-sim-AAAAAA/device.sock: reset",
        "vfio-user:/tmp/cxl-sim-x1Y2z3/device.sock: reset"
    )]
    #[case("1 scenarios, abi v2, guest kvm", "1 scenarios, abi v2, guest soft: /dev/kvm: No such file")]
    #[case("", "anything\n")]
    #[case("a\n\n", "a\n")]
    fn what_is_shown_is_said(#[case] shown: &str, #[case] said: &str) {
        assert_eq!(difference(&lines(shown), said), None);
    }

    #[rstest]
    #[case("a\nb", "a\nc\n", "shown is\n  b\nand it says\n  c")]
    #[case("a\nb", "a\n", "shown is\n  b\nand it says\n  nothing")]
    #[case("a", "a\nb\n", "it says more than is shown: b")]
    #[case("a\n...\nd", "a\nd\ne\n", "it does not say: d")]
    #[case("...\nb\n...\nd\n...", "d\nb\n", "it does not say: d")]
    #[case("...\nb\nc\n...", "b\nx\nc\n", "it does not say: b")]
    #[case("passed 3", "passed 4\n", "shown is\n  passed 3\nand it says\n  passed 4")]
    #[case("takes 5 s", "takes 6 s\n", "shown is\n  takes 5 s\nand it says\n  takes 6 s")]
    #[case("v0.1 same", "v0.2 same", "shown is\n  v0.1 same\nand it says\n  v0.2 same")]
    fn what_is_shown_may_not_be_another(#[case] shown: &str, #[case] said: &str, #[case] told: &str) {
        assert_eq!(difference(&lines(shown), said).as_deref(), Some(told));
    }
}
