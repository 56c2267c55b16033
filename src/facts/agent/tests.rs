use super::*;

#[test]
fn an_agent_of_spaces_is_empty() {
    assert_eq!(bounded("  "), "");
}
