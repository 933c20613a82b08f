//! `denwaban vendors` and `denwaban contracts`: contractors, what they attested, and what their contracts cover.

use clap::{Args, Subcommand};
use rules::{Attestation, ContractId, Fact, JstDay, Recipient, StaffId, VendorId};

use super::{
    Exit, Person, Place, Terminal,
    people::{Days, ask_as},
};
use crate::{
    people::{RegisterAsk, WishedContract},
    said::Said,
};

#[derive(Debug, Subcommand)]
pub(super) enum Vendors {
    /// 委託事業者を登録します / take a contractor in
    Add(Add),
    /// 遵守の証明を記録します / record what the contractor attested
    Attest(Attest),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// 委託事業者の id / the contractor's id
    id: VendorId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 受け渡しの公開鍵 / to which packages are encrypted: an age public key
    #[arg(long, value_name = "age1…")]
    recipient: Recipient,
}

#[derive(Debug, Args)]
pub(super) struct Attest {
    /// 委託事業者の id / the contractor's id
    id: VendorId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 証明の種類（必須）/ what is attested: security-policy (情報セキュリティポリシー等の遵守), encrypted-storage (記憶領域の暗号化), disposal (委託期間終了後の廃棄); required
    #[arg(long, default_value = "", hide_default_value = true)]
    kind: Said<Attestation>,
    /// 有効期限 / the last day on which it counts
    #[arg(long, value_name = "DATE")]
    until: JstDay,
}

#[derive(Debug, Subcommand)]
pub(super) enum Contracts {
    /// 契約を登録します / enter a contract of the own unit
    Add(AddContract),
    /// 契約の監督者を承認します / approve a contract's supervisor
    Approve(Approve),
}

#[derive(Debug, Args)]
pub(super) struct AddContract {
    /// 契約の id / the contract's id
    id: ContractId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 委託事業者 / the contractor
    #[arg(long)]
    vendor: VendorId,
    /// 対象とする市の番号 / a number of the city; may be repeated
    #[arg(long = "number", value_name = "NUMBER", num_args = 1.., required = true)]
    numbers: Vec<String>,
    #[command(flatten)]
    days: Days,
    /// 目的（必須）/ what for; required, and may be repeated
    #[arg(long = "purpose", value_name = "PURPOSE", num_args = 1..)]
    purposes: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Approve {
    /// 契約の id / the contract's id
    id: ContractId,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    person: Person,
    /// 監督者 / the supervisor
    #[arg(long, value_name = "ID")]
    supervisor: StaffId,
}

pub(super) fn vendors(command: Vendors, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Vendors::Add(arguments) => {
            let fact = Fact::VendorAdded {
                vendor: arguments.id,
                recipient: arguments.recipient,
            };
            ask_as(
                &arguments.place,
                &arguments.person,
                RegisterAsk::Record(fact),
                out,
            )
        }
        Vendors::Attest(arguments) => {
            let ask = RegisterAsk::Attest {
                vendor: arguments.id,
                kind: arguments.kind,
                until: arguments.until,
            };
            ask_as(&arguments.place, &arguments.person, ask, out)
        }
    }
}

pub(super) fn contracts(command: Contracts, out: &mut Terminal) -> Result<(), Exit> {
    match command {
        Contracts::Add(arguments) => {
            let ask = RegisterAsk::AddContract(WishedContract {
                contract: arguments.id,
                vendor: arguments.vendor,
                numbers: arguments.numbers,
                period: arguments.days.period(out)?,
                purposes: arguments.purposes,
            });
            ask_as(&arguments.place, &arguments.person, ask, out)
        }
        Contracts::Approve(arguments) => {
            let fact = Fact::SupervisorApproved {
                contract: arguments.id,
                person: arguments.supervisor,
            };
            ask_as(
                &arguments.place,
                &arguments.person,
                RegisterAsk::Record(fact),
                out,
            )
        }
    }
}
