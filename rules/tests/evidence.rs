//! Evidence cannot be forged or copied: each file in `ui` must not compile, and for the reason that stands beside it.

#[test]
fn evidence_cannot_be_forged_or_cloned() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
