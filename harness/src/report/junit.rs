//! A run as JUnit's XML, for the pages of GitHub, GitLab and Jenkins.
//!
//! A folder of scenarios is a suite, and a scenario is a test case. What XML cannot have (a control character in what a
//! device said, for example) is written by its number, so that the file can be read whatever a device says.

use std::fmt::Write;
use std::time::Duration;

use quick_junit::NonSuccessKind;
use quick_junit::Property;
use quick_junit::Report;
use quick_junit::SerializeError;
use quick_junit::TestCase;
use quick_junit::TestCaseStatus;
use quick_junit::TestSuite;
use quick_junit::XmlString;

use super::Outcome;
use super::ScenarioReport;

/// What the whole is called.
const NAME: &str = "cxl-sim";

/// The report of a run. Suites are in the order of their first scenario.
///
/// # Errors
/// If the writer of XML refuses.
pub fn render(scenarios: &[ScenarioReport]) -> Result<String, SerializeError> {
    let mut folders: Vec<&str> = Vec::new();
    for one in scenarios {
        if !folders.contains(&folder(one)) {
            folders.push(folder(one));
        }
    }
    let mut report = Report::new(NAME);
    report.set_time(time(scenarios.iter()));
    for name in folders {
        let inside = || scenarios.iter().filter(|one| folder(one) == name);
        let mut suite = TestSuite::new(shown(name));
        suite.set_time(time(inside()));
        suite.add_test_cases(inside().map(|one| case(one, name)));
        report.add_test_suite(suite);
    }
    report.to_string()
}

/// The folder that a scenario's name begins with. What is in none is in one that is called as the whole.
fn folder(report: &ScenarioReport) -> &str {
    // The values of a matrix may have a slash in them.
    let path = report.name.split('[').next().unwrap_or_default();
    path.rsplit_once('/').map_or(NAME, |(folder, _)| folder)
}

fn time<'a>(scenarios: impl Iterator<Item = &'a ScenarioReport>) -> Duration {
    scenarios.map(took).fold(Duration::ZERO, Duration::saturating_add)
}

/// How long it took. A report that was read from a file may say anything.
fn took(report: &ScenarioReport) -> Duration {
    Duration::try_from_secs_f64(report.duration_s).unwrap_or_default()
}

fn case(report: &ScenarioReport, folder: &str) -> TestCase {
    let name = report.name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    let mut case = TestCase::new(shown(name.unwrap_or(&report.name)), status(report));
    case.set_classname(shown(&folder.replace('/', ".")));
    case.set_time(took(report));
    case.extra.insert("file".into(), shown(&report.file));
    for (name, value) in [("abi", &report.abi), ("guest", &report.guest), ("proves", &report.proves)] {
        case.add_property(Property::new(name, shown(value)));
    }
    case
}

fn status(report: &ScenarioReport) -> TestCaseStatus {
    let mut status = match report.outcome {
        Outcome::Passed => return TestCaseStatus::success(),
        Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Skipped => TestCaseStatus::skipped(),
    };
    status.set_message(shown(report.reason.as_deref().unwrap_or_default()));
    if report.outcome == Outcome::Failed {
        status.set_type(report.outcome.word());
        status.set_description(shown(&told(report)));
    }
    status
}

/// What a reader of the failure wants to know: what should be, and what became of each step.
fn told(report: &ScenarioReport) -> String {
    let mut text = format!("{}\n{}\n", report.proves, report.file);
    for (index, step) in report.steps.iter().enumerate() {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{:6} step {} {}: {}", step.outcome.word(), index + 1, step.step, step.detail);
    }
    text
}

/// A text with everything that XML 1.0 cannot have in place of which its number is written.
fn shown(text: &str) -> XmlString {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\t' | '\n' => shown.push(char),
            '\u{fffe}' | '\u{ffff}' => shown.extend(char.escape_unicode()),
            _ if char.is_control() => shown.extend(char.escape_unicode()),
            _ => shown.push(char),
        }
    }
    XmlString::new(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_junit::Report;

    use super::super::StepReport;
    use super::super::story::Story;
    use super::*;

    fn scenario(name: &str, outcome: Outcome, said: &str) -> ScenarioReport {
        ScenarioReport {
            name: name.to_owned(),
            file: format!("scenarios/{name}.toml"),
            proves: "a guest sees what is there".to_owned(),
            outcome,
            reason: (outcome != Outcome::Passed).then(|| said.to_owned()),
            guest: "soft".to_owned(),
            abi: "v2".to_owned(),
            duration_s: 0.25,
            steps: vec![StepReport {
                step: "load".to_owned(),
                outcome,
                detail: said.to_owned(),
                differs: None,
                cause: None,
            }],
            story: Story::default(),
        }
    }

    #[test]
    fn a_folder_is_a_suite_and_a_scenario_a_case() {
        let scenarios = [
            scenario("a/b/one", Outcome::Passed, ""),
            scenario("c/two", Outcome::Failed, "read 0x1 & expected <0x2>"),
            scenario("a/b/three[abi=v2/3]", Outcome::Skipped, "needs the guest kvm"),
            scenario("four", Outcome::Passed, ""),
        ];
        let text = render(&scenarios).unwrap();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
<testsuites name=\"cxl-sim\" tests=\"4\" skipped=\"1\" failures=\"1\" errors=\"0\" time=\"1.000\">\n    \
    <testsuite name=\"a/b\" tests=\"2\" skipped=\"1\" errors=\"0\" failures=\"0\" time=\"0.500\">\n        \
        <testcase name=\"one\" classname=\"a.b\" time=\"0.250\" file=\"scenarios/a/b/one.toml\">\n            \
            <properties>\n                \
                <property name=\"abi\" value=\"v2\"/>\n                \
                <property name=\"guest\" value=\"soft\"/>\n                \
                <property name=\"proves\" value=\"a guest sees what is there\"/>\n            \
            </properties>\n        \
        </testcase>\n        \
        <testcase name=\"three[abi=v2/3]\" classname=\"a.b\" time=\"0.250\" \
file=\"scenarios/a/b/three[abi=v2/3].toml\">\n            \
            <properties>\n                \
                <property name=\"abi\" value=\"v2\"/>\n                \
                <property name=\"guest\" value=\"soft\"/>\n                \
                <property name=\"proves\" value=\"a guest sees what is there\"/>\n            \
            </properties>\n            \
            <skipped message=\"needs the guest kvm\"/>\n        \
        </testcase>\n    \
    </testsuite>\n    \
    <testsuite name=\"c\" tests=\"1\" skipped=\"0\" errors=\"0\" failures=\"1\" time=\"0.250\">\n        \
        <testcase name=\"two\" classname=\"c\" time=\"0.250\" file=\"scenarios/c/two.toml\">\n            \
            <properties>\n                \
                <property name=\"abi\" value=\"v2\"/>\n                \
                <property name=\"guest\" value=\"soft\"/>\n                \
                <property name=\"proves\" value=\"a guest sees what is there\"/>\n            \
            </properties>\n            \
            <failure message=\"read 0x1 &amp; expected &lt;0x2&gt;\" type=\"failed\">\
a guest sees what is there\nscenarios/c/two.toml\nfailed step 1 load: read 0x1 &amp; expected &lt;0x2&gt;\n\
</failure>\n        \
        </testcase>\n    \
    </testsuite>\n    \
    <testsuite name=\"cxl-sim\" tests=\"1\" skipped=\"0\" errors=\"0\" failures=\"0\" time=\"0.250\">\n        \
        <testcase name=\"four\" classname=\"cxl-sim\" time=\"0.250\" file=\"scenarios/four.toml\">\n            \
            <properties>\n                \
                <property name=\"abi\" value=\"v2\"/>\n                \
                <property name=\"guest\" value=\"soft\"/>\n                \
                <property name=\"proves\" value=\"a guest sees what is there\"/>\n            \
            </properties>\n        \
        </testcase>\n    \
    </testsuite>\n\
</testsuites>\n"
        );
    }

    #[test]
    fn what_xml_cannot_have_is_told_by_its_number() {
        let said = "\u{1b}[31mred\u{0}\u{7f}\u{85}\u{fffe} ]]> \"'&amp;";
        let text = render(&[scenario("x", Outcome::Failed, said)]).unwrap();
        let report = Report::deserialize_from_str(&text).unwrap();
        let TestCaseStatus::NonSuccess { message, .. } = &report.test_suites[0].test_cases[0].status else {
            panic!("{report:?}")
        };
        assert_eq!(
            message.as_ref().unwrap().as_str(),
            "\\u{1b}[31mred\\u{0}\\u{7f}\\u{85}\\u{fffe} ]]> \"'&amp;"
        );
    }

    #[test]
    fn a_time_that_cannot_be_is_none() {
        for duration_s in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let text =
                render(&[ScenarioReport { duration_s, ..scenario("x", Outcome::Passed, "") }]).unwrap();
            assert!(text.contains("time=\"0.000\""), "{text}");
        }
    }

    /// A character that XML 1.0 has.
    fn is_xml(char: char) -> bool {
        matches!(char,
            '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
    }

    proptest! {
        #[test]
        fn whatever_is_said_the_report_can_be_read(said in "\\PC{0,8}[\\x00-\\x7f\u{fffe}\u{ffff}]{0,40}") {
            let mut one = scenario(&said, Outcome::Failed, &said);
            one.file = said.clone();
            one.proves = said;
            let text = render(&[one]).unwrap();
            prop_assert!(text.chars().all(is_xml), "{text:?}");
            let report = Report::deserialize_from_str(&text).unwrap();
            prop_assert_eq!((report.tests, report.failures), (1, 1));
        }
    }
}
