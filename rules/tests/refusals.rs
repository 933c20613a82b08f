//! Every refusal says which clause forbids it, in plain Japanese and in English (K-40).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod common;

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use expect_test::expect_file;
use jiff::ToSpan;
use rules::{
    Action, Attempts, AuditDraft, AuditEvent, CodeFound, Declaration, DestructionClock,
    DisposalPermit, EmergencyId, EmergencyState, JstDay, ListenPermit, ListenRequest, LoginSession,
    Missing, NewPassword, PasswordAge, PasswordFound, Permit, Purpose, Refusal, RefusalCode, Scope,
    Trial, Unsaid, access_table,
};

use common::{now, receipt};

#[test]
fn every_refusal_names_its_clause_in_japanese_and_english() {
    let mut refusals = [
        acting(),
        missing(),
        proving(),
        permits(),
        emergencies(),
        disposals(),
    ]
    .concat();
    refusals.sort_by_key(|refusal| (refusal.code(), refusal.clause()));
    refusals.dedup();
    let reached: BTreeSet<_> = refusals.iter().map(Refusal::code).collect();
    assert_eq!(
        reached.into_iter().collect::<Vec<_>>(),
        RefusalCode::ALL,
        "every code is reached by an act"
    );
    let mut text = String::new();
    for refusal in refusals {
        let code = refusal.code();
        writeln!(
            text,
            "{} {}\nja {}\nen {}\n",
            code.code(),
            code.status(),
            refusal.japanese(),
            refusal.english()
        )
        .unwrap();
        assert!(
            refusal
                .japanese()
                .starts_with(&format!("{}により、", refusal.clause().japanese()))
        );
        assert!(
            refusal.to_string().contains(&refusal.japanese())
                && refusal.to_string().contains(&refusal.english())
        );
        assert_eq!(
            serde_json::to_string(&code).unwrap(),
            format!("\"{}\"", code.code())
        );
    }
    expect_file!["refusals.table"].assert_eq(&text);
}

/// What an act must say and does not.
fn missing() -> Vec<Refusal> {
    vec![
        Missing::Purpose.refusal(Unsaid::Blank, Action::AddContract),
        Missing::Decision.refusal(Unsaid::Blank, Action::RequestHold),
        Missing::Decision.refusal(Unsaid::Blank, Action::ForgetMonths),
        Missing::Basis.refusal(Unsaid::Blank, Action::RequestHold),
        Missing::Basis.refusal(Unsaid::Blank, Action::Deputise),
        Missing::Basis.refusal(Unsaid::Blank, Action::DecideMeasure),
        Missing::Basis.refusal(Unsaid::Blank, Action::DecideWaiver),
        Missing::Reason.refusal(Unsaid::Blank, Action::ConfirmClock),
        Missing::Reason.refusal(Unsaid::Blank, Action::DecideRequest),
        Missing::Reason.refusal(Unsaid::Blank, Action::DecideHandOver),
        Missing::Particulars.refusal(Unsaid::Blank, Action::RequestHandOver),
        Missing::Particulars.refusal(Unsaid::Blank, Action::GiveHandOver),
        Missing::Particulars.refusal(Unsaid::Blank, Action::Train),
        Missing::Particulars.refusal(Unsaid::Blank, Action::AttestVendor),
        Missing::Particulars.refusal(Unsaid::Blank, Action::DecideMeasure),
        Missing::Particulars.refusal(Unsaid::NotOneLine, Action::AddPerson),
        Missing::Basis.refusal(Unsaid::NotOneLine, Action::OpenRequest),
        Missing::Reason.refusal(Unsaid::NotOneLine, Action::Reveal),
    ]
}

fn disposals() -> Vec<Refusal> {
    vec![
        DestructionClock::default().check().unwrap_err(),
        Refusal::copy_present(),
    ]
}

/// Every refusal of the table.
fn acting() -> Vec<Refusal> {
    access_table()
        .filter_map(|line| line.verdict.err())
        .collect()
}

fn proving() -> Vec<Refusal> {
    let person = "hanako".parse().unwrap();
    let account = rules::Account {
        set_at: now(),
        origin: rules::Origin::Issued,
        second: rules::SecondFactor::None,
    };
    let trial = |account| Trial {
        person: &person,
        account,
        password: PasswordFound::Right,
        code: CodeFound::None,
        age: PasswordAge::default(),
    };
    let attempts = Attempts {
        failures: 9,
        last_at: Some(now()),
    };
    vec![
        trial(None).judge(now()).unwrap_err(),
        trial(Some(account)).judge(now()).unwrap_err(),
        attempts.judge(now()).unwrap_err(),
        LoginSession::over(),
        NewPassword::judge(&person, "short").unwrap_err(),
        NewPassword::judge(&person, "passwordpassword").unwrap_err(),
        NewPassword::reused(),
        "SECONDARY_USE".parse::<Purpose>().unwrap_err(),
    ]
}

fn permits() -> Vec<Refusal> {
    let register = common::register();
    let grant = || {
        let proved = common::proved("hanako");
        let request = ListenRequest {
            petitioner: common::petitioner(&proved),
            action: Action::ListenToFile,
            heard: common::heard(),
            purpose: Some(Purpose::StaffCheck),
            case: None,
            range_ms: None,
        };
        request.judge(&register, now()).unwrap()
    };
    let receipt = |draft: &AuditDraft| receipt(draft, now());
    let other = AuditDraft::system(AuditEvent::ServerStopped { calls_ended: 0 });
    let grant_of_permit = grant();
    let own = receipt(grant_of_permit.entry());
    let permit = ListenPermit::issue(grant_of_permit, own, now()).unwrap();
    vec![
        ListenPermit::issue(grant(), receipt(&other), now()).unwrap_err(),
        permit.check(now() + 15.minutes()).unwrap_err(),
        DisposalPermit::due(JstDay::of(now()), now() + 1.hour(), now(), receipt(&other))
            .unwrap_err(),
    ]
}

fn emergencies() -> Vec<Refusal> {
    let declare = |reason: &str, hours: u64| {
        let declaration = Declaration {
            id: EmergencyId::new(now(), 1),
            scope: Scope::All,
            reason: reason.to_owned(),
            duration: Some(Duration::from_secs(hours * 3600)),
            declared_by: None,
            unix_user: "root".to_owned(),
        };
        EmergencyState::default()
            .declare(declaration, now())
            .map(|emergency| emergency.id())
            .unwrap_err()
            .refusal()
            .unwrap()
    };
    vec![declare("", 4), declare("試験", 25), declare("試験", 0)]
}
