//! Numbers for people: sizes with the unit that fits, and addresses in groups of four digits.

/// The units of sizes, the largest first.
const UNITS: [(u64, &str); 6] = [
    (1 << 60, "EiB"),
    (1 << 50, "PiB"),
    (1 << 40, "TiB"),
    (1 << 30, "GiB"),
    (1 << 20, "MiB"),
    (1 << 10, "KiB"),
];

/// A size: `256 MiB`, `2.7 GiB`, `320 B`.
pub fn size(bytes: u64) -> String {
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let half = u128::from(unit / 2);
    let tenths = u128::from(bytes).saturating_mul(10).saturating_add(half) / u128::from(unit);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

/// An address: `0x1_1000_0000`.
pub fn address(number: u64) -> String {
    let digits = format!("{number:x}");
    let mut text = String::from("0x");
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(index);
        if index > 0 && left.is_multiple_of(4) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0 B")]
    #[case(320, "320 B")]
    #[case(0x1000, "4 KiB")]
    #[case(0x1000_0000, "256 MiB")]
    #[case(0xac00_0000, "2.7 GiB")]
    #[case(u64::MAX, "16 EiB")]
    fn a_size_has_the_unit_that_fits(#[case] bytes: u64, #[case] words: &str) {
        assert_eq!(size(bytes), words);
    }

    #[rstest]
    #[case(0, "0x0")]
    #[case(0xe_0000, "0xe_0000")]
    #[case(0xb000_0000, "0xb000_0000")]
    #[case(0x1_1000_0000, "0x1_1000_0000")]
    #[case(u64::MAX, "0xffff_ffff_ffff_ffff")]
    fn an_address_has_its_digits_in_groups_of_four(#[case] number: u64, #[case] words: &str) {
        assert_eq!(address(number), words);
    }
}
