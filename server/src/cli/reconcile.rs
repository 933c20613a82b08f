//! `denwaban reconcile`: whether every answered call has a recording or a reason, every row its file, and every file its row (K-06).

use std::{collections::BTreeMap, sync::Arc};

use rules::{Discrepancy, JstDay, Reason};
use serde::Serialize;

use super::{Exit, Place, Terminal, recordings::with_office};
use crate::{export::Request, office::Comparison};

/// The object of `--json`.
#[derive(Serialize)]
struct Shown<'a> {
    days: u64,
    calls: u64,
    recorded: u64,
    unrecorded: u64,
    missing: u64,
    orphan_files: u64,
    orphan_rows: u64,
    incomplete: u64,
    unread_days: u64,
    awaited: u64,
    reasons: &'a BTreeMap<Reason, u64>,
    discrepancies: Vec<Named<'a>>,
    unread: &'a BTreeMap<JstDay, String>,
}

#[derive(Serialize)]
struct Named<'a> {
    day: JstDay,
    #[serde(flatten)]
    discrepancy: &'a Discrepancy,
}

pub(super) fn reconcile(place: &Place, out: &mut Terminal) -> Result<(), Exit> {
    let config = Arc::new(place.load(out)?);
    let answer = with_office(&config, &Request::Reconcile, |conversation| {
        conversation.answer()
    });
    let comparison: Comparison = out.settle(answer)?;
    let Comparison {
        days,
        counts,
        discrepancies,
        unread,
    } = &comparison;
    let shown = Shown {
        days: *days,
        calls: counts.calls,
        recorded: counts.recorded,
        unrecorded: counts.unrecorded.values().sum(),
        missing: counts.missing,
        orphan_files: counts.orphan_files,
        orphan_rows: counts.orphan_rows,
        incomplete: counts.incomplete,
        unread_days: unread.len() as u64,
        awaited: counts.awaited,
        reasons: &counts.unrecorded,
        discrepancies: discrepancies
            .iter()
            .map(|(day, discrepancy)| Named {
                day: *day,
                discrepancy,
            })
            .collect(),
        unread,
    };
    out.result(&shown, || text(&shown))?;
    match comparison.is_explained() {
        true => Ok(()),
        false => Err(Exit::Unverified),
    }
}

fn text(shown: &Shown<'_>) -> String {
    let mut lines = vec![format!(
        "応答した通話 / answered calls {} = 録音 / recorded {} + 理由のある録音なし / unrecorded with a reason {} + 不明 / missing {}",
        shown.calls, shown.recorded, shown.unrecorded, shown.missing
    )];
    let reasons = shown.reasons.iter();
    lines.extend(reasons.map(|(reason, count)| format!("  {reason} {count}")));
    lines.push(format!(
        "行のない音声 / files without a row {}、音声のない行 / rows without a file {}、一部が失われた録音 / recordings that are not whole {}",
        shown.orphan_files, shown.orphan_rows, shown.incomplete
    ));
    if shown.awaited > 0 {
        lines.push(format!(
            "復元を待つ音声 / recordings whose audio a restore has still to bring {}（`denwaban restore --audio`）",
            shown.awaited
        ));
    }
    let named = shown
        .discrepancies
        .iter()
        .map(|named| match named.discrepancy {
            Discrepancy::NoReason { call } => {
                let call = call.map_or_else(String::new, |call| call.to_string());
                format!(
                    "  {} 通話 {call} に録音も理由もありません / a call with neither recording nor reason",
                    named.day
                )
            }
            Discrepancy::NoFile { recording } => format!(
                "  {} 録音 {recording} の音声がありません / the file of a recording is not there",
                named.day
            ),
            Discrepancy::NotWhole {
                recording,
                kept_bytes,
                found_bytes,
            } => format!(
                "  {} 録音 {recording} の一部が失われています / a recording is not whole: {found_bytes} of {kept_bytes} bytes are there",
                named.day
            ),
            Discrepancy::NoRow { recording } => format!(
                "  {} 録音 {recording} の行がありません / the row of a recording is not there",
                named.day
            ),
            Discrepancy::NoDisposal { recording } => format!(
                "  {} 録音 {recording} の行は廃棄済みですが、証跡に廃棄がありません / a row says disposed of, the trail knows of no disposal",
                named.day
            ),
            Discrepancy::WasRecorded { call } => {
                let call = call.map_or_else(String::new, |call| call.to_string());
                format!(
                    "  {} 通話 {call} の行は録音なしですが、録音があった跡があります / a row says unrecorded and describes a recording",
                    named.day
                )
            }
            Discrepancy::FewerCalls { counted, found } => format!(
                "  {} 集計では {counted} 通話でしたが、{found} 通話しかありません / fewer calls than the day had counted: {found} of {counted} have a row",
                named.day
            ),
            Discrepancy::FewerRecordings { counted, found } => format!(
                "  {} 集計では録音が {counted} 件でしたが、{found} 件しかありません / fewer recordings than the day had counted: {found} of {counted}",
                named.day
            ),
        });
    lines.extend(named);
    let unread = shown.unread.iter();
    lines.extend(
        unread.map(|(day, fault)| format!("  {day} は読めませんでした / cannot be read: {fault}")),
    );
    lines.join("\n")
}
