//! The city's rules, clause by clause: whatever function, test and command the document names is there.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, path::Path};

const DOCUMENT: &str = include_str!("../../docs/handling-rules.md");
const COMMANDS: &str = include_str!("commands.table");

/// What stands between backticks.
fn named() -> impl Iterator<Item = &'static str> {
    DOCUMENT.split('`').skip(1).step_by(2)
}

/// Whether a file has an item of this name.
fn has_item(text: &str, name: &str) -> bool {
    ["fn", "struct", "enum"].into_iter().any(|kind| {
        let begin = format!("{kind} {name}");
        text.match_indices(&begin).any(|(at, _)| {
            let behind = text[at + begin.len()..].chars().next();
            behind.is_some_and(|behind| !behind.is_alphanumeric() && behind != '_')
        })
    })
}

#[test]
fn every_function_test_and_command_of_the_document_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut missing = Vec::new();
    let mut items = 0;
    for name in named() {
        if let Some(command) = name.strip_prefix("denwaban ") {
            let is_there = |line: &str| line.starts_with(&format!("{command:<30}"));
            if !COMMANDS.lines().any(is_there) {
                missing.push(name);
            }
            continue;
        }
        let (file, item) = name.split_once("::").unwrap_or((name, ""));
        if !file.ends_with(".rs") {
            continue;
        }
        items += 1;
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        if text.is_empty() || !item.is_empty() && !has_item(&text, item) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "not there: {missing:#?}");
    assert!(items > 50, "the document names {items} items");
}

/// Whether a file has a test of this name: what stands before the function says so.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let begin = format!("fn {name}(");
    let function = lines
        .iter()
        .position(|line| line.trim_start_matches("async ").starts_with(&begin));
    let Some(function) = function else {
        return false;
    };
    let attributes = lines[..function].iter().rev();
    { attributes }
        .take_while(|line| line.starts_with("#["))
        .any(|line| line.ends_with("test]"))
}

#[test]
fn what_shows_a_clause_is_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| "));
    let mut wrong = Vec::new();
    for row in rows {
        let shown_by = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for name in shown_by.split('`').skip(1).step_by(2) {
            let (file, test) = name.split_once("::").unwrap_or((name, ""));
            let text = fs::read_to_string(root.join(file)).unwrap_or_default();
            if !has_test(&text, test) {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "no test: {wrong:#?}");
}

#[test]
fn every_article_and_section_has_its_line() {
    for clause in [
        "収集する情報項目",
        "機微情報",
        "4①",
        "4②",
        "4③",
        "4④",
        "4⑤",
        "6 想定件数",
        "7(1) ログイン",
        "7(1) ファイヤーウォール",
        "7(1) コンピュータウイルス",
        "7(1) 入退室制限",
        "7(1) 証跡",
        "7(1) 一定期間で削除",
        "7(2) ログイン情報の証跡",
        "7(2) 市職員のみ",
        "7(2) 監督者権限",
        "7(2) 研修及び指導",
        "7(2) 電子記録媒体",
        "7(3) 契約約款",
        "7(3) 委託先での暗号化",
        "7(3) 委託終了後の廃棄",
        "第1条",
        "第2条",
        "第3条第1項",
        "第3条第2項",
        "第4条第1項",
        "第4条第2項",
        "第5条第1項",
        "第5条第2項",
        "第5条第3項",
        "第5条第4項",
        "第5条第5項",
        "第5条第6項",
        "第6条",
    ] {
        let line = format!("\n| {clause}");
        assert!(DOCUMENT.contains(&line), "{clause} has no line");
    }
    assert!(DOCUMENT.contains("要領第5条第6項（保存期間は3か月以内）は例外を定めていません"));
}
