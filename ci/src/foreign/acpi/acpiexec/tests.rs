use super::*;

#[test]
fn a_question_is_asked_in_acpiexecs_words() {
    let osc = Question::Osc("\\_SB.PC0C", (CXL, 1), &[1, 0x11f, 0x1ff], &[]);
    let said = "evaluate \\_SB.PC0C._OSC (0B D5 F2 68 69 C4 8A 4D BD 3D 94 1A 10 3F D3 FC) 1 3 \
                (01 00 00 00 1F 01 00 00 FF 01 00 00)";
    assert_eq!(osc.command(), said);
    let dsm = Question::Dsm("\\_SB.PC0C", (DSM, 2, 5), Answer::Integer(0));
    let said = "evaluate \\_SB.PC0C._DSM (D0 37 C9 E5 53 35 7A 4D 91 17 EA 4D 19 C3 43 4D) 2 5 [0]";
    assert_eq!(dsm.command(), said);
    assert_eq!(Question::Resources("\\_SB.PC0C", &[]).command(), "resources \\_SB.PC0C");
}

const SAID: &str = "\
Initializing General Purpose Events (GPEs):
Evaluating \\_SB.PC0C._OSC
0x1 Outstanding allocations after evaluation of \\_SB.PC0C._OSC
Evaluation of \\_SB.PC0C._OSC returned object 0x560053e44d60, external buffer length 30
  [Buffer] Length 14 = \n    0000: 10 00 00 00 1F 01 00 00 1F 00 00 00 03 00 00 00  // ................
    0010: 01 00 00 00                                      // ....

Evaluating \\_SB.PC00._DSM
Evaluation of \\_SB.PC00._DSM returned object 0x55ffadc2dd60, external buffer length 28
  [Buffer] Length 03 =     0000: 03 0A 00                                      // ...

Evaluating \\_SB.PC0C.CTRL
Evaluation of \\_SB.PC0C.CTRL returned object 0x560053e44d60, external buffer length 18
  [Integer] = 000000000000001F

Evaluating \\_SB.CXLM._STA
Evaluation of \\_SB.CXLM._STA failed with status AE_NOT_FOUND

Device: \\_SB.PC0C
Evaluating _CRS
[00] 16-Bit WORD Address Space Resource
              Resource Type : Bus Number Range
            Address Minimum : 000C
            Address Maximum : 0013
[01] 64-Bit QWORD Address Space Resource
              Resource Type : Memory Range
            Address Minimum : 0000010000000000
            Address Maximum : 000001007FFFFFFF
Evaluating \\_SB.PC0C._DSM
ACPI Warning: \\_SB.PC0C._DSM: Insufficient arguments
Evaluation of \\_SB.PC0C._DSM returned object 0x560053e44d60, external buffer length 18
  [Integer] = 0000000000000000
ACPI: No outstanding allocations
";

#[test]
fn answers_are_found_in_what_acpiexec_says() {
    let with = |path: &str, answer| Ok((path.to_owned(), answer));
    let osc = vec![0x10, 0, 0, 0, 0x1f, 1, 0, 0, 0x1f, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0];
    let resources = vec![(BUS, 12, 19), (MEMORY, 0x100_0000_0000, 0x100_7fff_ffff)];
    let expected = [
        with("\\_SB.PC0C._OSC", Answer::Buffer(osc)),
        with("\\_SB.PC00._DSM", Answer::Buffer(vec![3, 10, 0])),
        with("\\_SB.PC0C.CTRL", Answer::Integer(0x1f)),
        with("\\_SB.CXLM._STA", Answer::Failed("AE_NOT_FOUND".to_owned())),
        with("\\_SB.PC0C", Answer::Resources(resources)),
        Err("ACPI Warning: \\_SB.PC0C._DSM: Insufficient arguments".to_owned()),
    ];
    assert_eq!(answers(SAID), expected);
}

#[test]
fn an_answer_may_not_be_another_or_missing_or_of_another_object_or_too_many() {
    let said = "Evaluating \\_SB.X\n  [Integer] = 000000000000001F\n";
    let is = |path, value| vec![Question::Object(path, Answer::Integer(value))];
    assert_eq!(judge(&is("\\_SB.X", 0x1f), said), Ok(()));
    let told = judge(&is("\\_SB.X", 0x1e), said).unwrap_err();
    assert_eq!(told, "evaluate \\_SB.X: acpiexec says \\_SB.X: Integer(1f), not Integer(1e)");
    assert!(judge(&is("\\_SB.Y", 0x1f), said).is_err());
    let told = judge(&is("\\_SB.X", 0x1f), "").unwrap_err();
    assert_eq!(told, "evaluate \\_SB.X: acpiexec says nothing");
    let told = judge(&vec![], said).unwrap_err();
    assert_eq!(told, "nobody asked: Ok((\"\\\\_SB.X\", Integer(1f)))");
}

#[test]
fn an_object_that_returns_nothing_is_no_answer() {
    assert_eq!(answers("Evaluating \\_SB.X\n"), [Err("nothing".to_owned())]);
}

#[test]
fn a_range_without_a_kind_is_not_understood() {
    let said = answers("Device: \\_SB.X\n  Address Minimum : 0\n  Address Maximum : 1\n");
    assert_eq!(said, [Err("a range of no kind or without a beginning: Address Maximum : 1".to_owned())]);
}
