//! The checked-in matrix is what the marks in the code say.

use std::fs;

use conformance::matrix;

#[test]
fn the_matrix_is_up_to_date_and_each_section_in_the_code_has_a_test() {
    let expected = matrix::text().unwrap();
    let found = fs::read_to_string(matrix::file()).unwrap();
    let stale = expected
        .lines()
        .find(|line| !found.lines().any(|one| one == *line));
    assert!(
        expected == found,
        "conformance/matrix.md is stale; run `just matrix`; first line that is new: {stale:?}"
    );
}
