//! `denwaban check`: looks at configuration, prompts, staff, ports, keys, database and audit, and changes nothing.

use std::{os::unix::fs::PermissionsExt, sync::Arc};

use jiff::{Timestamp, ToSpan};
use rules::{
    DestructionClock, JstDay, Overdue, PolicyDifference, Recovery, Register, Reminder, jst_rfc3339,
};
use serde_json::json;
use storage::{
    Catalogue, CatalogueFault, Compared, Disk, Duty, Group, KeyFault, KeyStatus, Layout, OsDisk,
    Restoration, Sealer, Standing, verifier_keys,
};
use tokio::runtime;

use super::{Exit, Place, Terminal, audit};
use crate::{
    config::{Config, secret},
    descriptors,
    office::kept_clock,
    people, prompts,
    wire::TlsFiles,
};

pub(super) fn check(place: &Place, out: &mut Terminal) -> Result<(), Exit> {
    let config = place.load(out)?;
    let mut found = Found {
        out,
        worst: Exit::Done,
    };
    found.good(&format!(
        "設定は正しく読めます / configuration: {}",
        config.file.display()
    ))?;
    found.ports(&config)?;
    found.tls(&config)?;
    found.secrets(&config)?;
    found.prompts(&config)?;
    let layout = config.layout();
    found.keys(&layout)?;
    found.root(&layout)?;
    found.mirrors(&layout)?;
    found.signing(&layout)?;
    found.restoration(&layout)?;
    found.vault(&layout)?;
    found.clock(&layout)?;
    found.catalogue(&config, &layout)?;
    found.audit(&layout)?;
    match found.worst {
        Exit::Done => Ok(()),
        worst => Err(worst),
    }
}

/// What was found so far, and the worst of it.
struct Found<'out> {
    out: &'out mut Terminal,
    worst: Exit,
}

impl Found<'_> {
    fn good(&mut self, text: &str) -> Result<(), Exit> {
        self.tell("ok", "良", text)
    }

    /// Something that a person should look at, and that stops nothing.
    fn note(&mut self, text: &str) -> Result<(), Exit> {
        self.tell("note", "注", text)
    }

    fn bad(&mut self, exit: Exit, text: &str) -> Result<(), Exit> {
        self.worst = if self.worst == Exit::Unverified {
            Exit::Unverified
        } else {
            exit
        };
        self.tell("fault", "否", text)
    }

    fn tell(&mut self, state: &'static str, mark: &str, text: &str) -> Result<(), Exit> {
        let object = json!({ "state": state, "text": text });
        self.out
            .result(&object, || format!("{mark} {state:<5} {text}"))
    }

    /// What only the configuration says about a number's notice, and what nobody has looked at in time.
    fn waivers(
        &mut self,
        config: &Config,
        register: &Register,
        now: Timestamp,
    ) -> Result<(), Exit> {
        for decision in register.waivers().unconfirmed(&config.numbers) {
            self.note(&format!(
                "番号 {} の決定 {}「{}」（{}）は未確認です。numbers confirm または withdraw / the decision of this number stands by configuration, unconfirmed",
                decision.number().e164(),
                decision.id(),
                decision.reference(),
                decision.decided_on(),
            ))?;
        }
        for (id, waiver) in register.waivers().lapsed(now) {
            self.note(&format!(
                "番号 {} の決定 {id} は見直しの日 {} を過ぎ、告知しています。numbers confirm、decide または withdraw / this decision is past its review and its number announces",
                waiver.terms().number.e164(),
                waiver.terms().review,
            ))?;
        }
        Ok(())
    }

    /// Files for calls that say something else than the register. One that is not there keeps what calls know.
    fn told(&mut self, layout: &Layout, register: &Register) -> Result<(), Exit> {
        let (notices, days) = (register.waivers().notices(), register.policy().days());
        let files = [
            (layout.notices(), storage::tells(&OsDisk, layout, &notices)),
            (layout.policy_days(), storage::tells(&OsDisk, layout, &days)),
        ];
        for (file, _) in files.iter().filter(|(file, is_so)| !is_so && file.exists()) {
            self.bad(
                Exit::Unverified,
                &format!(
                    "{} は登録簿の決定と一致しません。run が10秒以内に書き直し、証跡に残します / this file for calls is not what was decided; a running office writes it anew within 10 s and says so in the trail",
                    file.display()
                ),
            )?;
        }
        Ok(())
    }

    fn ports(&mut self, config: &Config) -> Result<(), Exit> {
        match descriptors::shortage(&config.rtp) {
            Some(short) => self.note(&short),
            None => self.good(&format!(
                "音声ポート / media ports: {} ({} 通話 calls)",
                descriptors::text_of(&config.rtp),
                config.limits.calls
            )),
        }
    }

    /// A password or a key that others can read is no secret.
    fn secrets(&mut self, config: &Config) -> Result<(), Exit> {
        for path in &config.secrets {
            let shown = path.display();
            match secret::is_open_to_others(path) {
                Ok(false) => self.good(&format!("秘密のファイル / secret: {shown}"))?,
                Ok(true) => self.bad(
                    Exit::Usage,
                    &format!("秘密のファイルを他の人が読めます。chmod 600 {shown} / others can read this password or key"),
                )?,
                // Whoever needs the file has told of it already.
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn tls(&mut self, config: &Config) -> Result<(), Exit> {
        match config.sip.tls.as_ref().map(TlsFiles::check) {
            None => Ok(()),
            Some(Ok(())) => self.good("証明書 / certificates of [sip.tls]"),
            Some(Err(fault)) => self.bad(Exit::Usage, &format!("証明書 / [sip.tls]: {fault}")),
        }
    }

    fn prompts(&mut self, config: &Config) -> Result<(), Exit> {
        let (library, faults) = prompts::open(&config.folders.prompts);
        for fault in &faults {
            self.bad(Exit::Usage, &format!("音声案内 / prompt: {fault}"))?;
        }
        self.good(&format!("音声案内 / prompts: {}", library.iter().count()))
    }

    /// What the policy says is in force; the service does what configuration and prompts say, so they must agree.
    fn policy(&mut self, config: &Config, register: &Register) -> Result<(), Exit> {
        let version = register.policy().version();
        let played = match prompts::played(config) {
            Ok(played) => played,
            Err(fault) => {
                self.note(&format!(
                    "通話の係が読み込んだ音声案内を確かめられません。フォルダのものと比べます / what calls have loaded is not known ({fault}); compared is what lies in the folder"
                ))?;
                prompts::on_disk(config)
            }
        };
        for difference in register.policy().differences(&played) {
            let ja = match &difference {
                PolicyDifference::PromptMissing(prompt) => {
                    format!("方針の音声案内 {prompt} がありません")
                }
                PolicyDifference::PromptOther(prompt) => {
                    format!("音声案内 {prompt} は方針のものと異なります")
                }
                PolicyDifference::PromptUnlisted(prompt) => {
                    format!("音声案内 {prompt} は方針にありません")
                }
            };
            self.note(&format!("方針 第{version}版: {ja} / policy: {difference}"))?;
        }
        Ok(())
    }

    /// A copy outside the vault is gone by its time.
    fn copies(&mut self, register: &Register, now: Timestamp) -> Result<(), Exit> {
        for (id, copy) in register.copies().iter() {
            let waits = match copy.reminder(now) {
                None => continue,
                Some(Reminder::Week) => "廃棄の期限まで7日以内です / must be gone within 7 days",
                Some(Reminder::Day) => "廃棄の期限まで1日以内です / must be gone within a day",
                Some(Reminder::Overdue) => "廃棄の期限を過ぎています / should be gone",
            };
            let by = jst_rfc3339(copy.destroy_by());
            self.note(&format!("写し copy {id}（{by}）: {waits}"))?;
        }
        Ok(())
    }

    /// Each month's report is looked at and signed (K-27).
    fn supervision(&mut self, register: &Register, now: Timestamp) -> Result<(), Exit> {
        let Some(month) = register.supervision_due(now) else {
            return Ok(());
        };
        self.note(&format!(
            "{month} の監督報告に管理責任者の署名がありません。report supervision --month {month} --sign / the supervision report of {month} waits for the manager's signature"
        ))
    }

    /// Whom the register knows; the first version's file is no register any more.
    fn people(&mut self, config: &Config, register: &Register) -> Result<(), Exit> {
        let file = config.folders.staff.display();
        let is_left = people::is_left_behind(&config.folders.staff);
        if !register.is_founded() {
            return self.note(&format!(
                "まだ職員が登録されていません。people bootstrap で管理責任者とシステム管理者を定めてください / nobody is registered: run people bootstrap{}",
                if is_left { "; it takes staff.toml in" } else { "" }
            ));
        }
        if is_left {
            self.bad(
                Exit::Usage,
                &format!("職員名簿 {file} はもう読まれません。削除してください / nobody reads {file} any more: people are registered; delete it"),
            )?;
        }
        for person in register.people() {
            if let Some(Recovery::Open { at }) = person.recovery() {
                self.note(&format!(
                    "{} は root の権限で管理責任者になりました（{}）。監査の確認（people acknowledge-recovery）が必要です / became manager by recovery, no auditor has acknowledged it",
                    person.id(),
                    jst_rfc3339(at)
                ))?;
            }
        }
        self.good(&format!("職員 / people: {}", register.people().count()))
    }

    /// A day's public half is all that calls need; it is made a week ahead.
    fn keys(&mut self, layout: &Layout) -> Result<(), Exit> {
        let sealer = Sealer::new(Arc::new(OsDisk), layout);
        let now = Timestamp::now();
        match sealer.day(JstDay::of(now)) {
            Ok(_) => self.good("今日の鍵 / today's key")?,
            Err(fault) => self.bad(
                Exit::Unavailable,
                &format!("今日の鍵を使えないため、録音できません / no recording: {fault}"),
            )?,
        }
        let tomorrow = now.checked_add(24.hours()).map_or(now, |tomorrow| tomorrow);
        if let Err(fault) = sealer.day(JstDay::of(tomorrow)) {
            self.note(&format!(
                "明日の鍵がまだありません / no key for tomorrow yet: {fault}"
            ))?;
        }
        Ok(())
    }

    /// Whoever reads both opens every recording (K-18).
    fn readable_keys(&mut self, layout: &Layout) -> Result<(), Exit> {
        // What cannot be listed was told of where it is opened.
        let roots = std::fs::read_dir(layout.root()).into_iter().flatten();
        let roots = roots.flatten().map(|root| root.path());
        for path in roots.chain([layout.key_store()]) {
            let mode = std::fs::metadata(&path).map_or(0, |found| found.permissions().mode());
            if mode & 0o077 != 0 {
                let path = path.display();
                self.bad(
                    Exit::Usage,
                    &format!("鍵のファイルを他の人が読めます。chmod 600 {path} / others can read this file of keys"),
                )?;
            }
        }
        Ok(())
    }

    /// Every half is opened once: keys that are there and open nothing are no keys.
    fn root(&mut self, layout: &Layout) -> Result<(), Exit> {
        let path = layout.root().display();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        match KeyStatus::try_open(&disk, layout) {
            Ok(()) => {
                self.good("鍵束 / key store")?;
                self.good("鍵の根 / root")?;
            }
            Err(fault) if fault.is_forbidden() => self.note(&format!(
                "鍵束と鍵の根を読む権限がないため、開けるかどうかを確かめていません。root か事務の利用者で行ってください / not looked whether key store and root open: run check as root or as the office's user: {fault}"
            ))?,
            Err(fault) => self.bad(
                Exit::Unavailable,
                &format!("鍵束か鍵の根を使えません / key store or root: {fault}"),
            )?,
        }
        self.readable_keys(layout)?;
        let mode =
            std::fs::metadata(layout.root()).map_or(0, |found| found.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            self.note(&format!("鍵の根のフォルダを他の人が開けます。chmod 700 {path} / others can enter the root's folder"))?;
        }
        Ok(())
    }

    /// Whoever loses the root and all mirrors loses every recording.
    fn mirrors(&mut self, layout: &Layout) -> Result<(), Exit> {
        if layout.mirrors().is_empty() {
            self.note("鍵の写しがありません。根を失うと録音はすべて失われます。[keys] mirrors に別ボリュームのフォルダを書いてください / no mirror of the keys: whoever loses the root loses every recording; write [keys] mirrors")?;
        }
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let Ok(status) = KeyStatus::read(&disk, layout) else {
            return Ok(()); // The key store was told of above.
        };
        for (folder, standing) in &status.mirrors {
            let shown = folder.display();
            match standing {
                Standing::Current => self.good(&format!("鍵の写し / mirror: {shown}"))?,
                Standing::Behind(fault @ KeyFault::MirrorNewer { .. }) => self.bad(
                    Exit::Unavailable,
                    &format!("鍵の写しのほうが新しく、鍵の作業を止めています / the mirror is newer, no work on keys is done: {fault}"),
                )?,
                Standing::Behind(fault) => self.note(&format!(
                    "鍵の写しが最新ではありません。廃棄は完了になりません / a mirror has not followed, no disposal is complete: {fault}"
                ))?,
            }
        }
        Ok(())
    }

    /// Mirrors that were ended by decision, as long as a day has keys that they may hold.
    fn mirror_ends(&mut self, register: &Register, layout: &Layout) -> Result<(), Exit> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        // A key store that cannot be read was told of above.
        let groups = KeyStatus::read(&disk, layout).map_or_else(|_| Vec::new(), |read| read.groups);
        for end in register.mirror_ends() {
            let days = groups.iter().filter(|status| match status.group {
                Group::Day(day) => storage::concerns(end, day),
                Group::Case(_) | Group::Register(_) => false,
            });
            match days.count() {
                0 => {}
                days => self.note(&format!(
                    "鍵の写し {} は {} の決定で終了しました。そこに鍵が残りうる {days} 日の廃棄証明書に記します / mirror ended by decision: the certificates of {days} days, whose keys it may hold, will say so",
                    end.mirror, end.on,
                ))?,
            }
        }
        Ok(())
    }

    /// A restore that is not at its end.
    fn restoration(&mut self, layout: &Layout) -> Result<(), Exit> {
        let restoration = match Restoration::read(&OsDisk, layout) {
            Ok(None) => return Ok(()),
            Ok(Some(restoration)) => restoration,
            Err(fault) => return self.bad(Exit::Unavailable, &format!("復元 / restore: {fault}")),
        };
        let from = restoration.from().display();
        match restoration.has_rows() {
            true => self.note(&format!(
                "{} 日分の音声がバックアップ {from} からの復元を待っています。denwaban restore --audio / audio of these days is still awaited from the backup",
                restoration.days().len()
            )),
            false => self.bad(Exit::Unavailable, &format!(
                "{from} からの復元が途中で切れ、記録は開けません。サービスを止めて restore --from を / a restore was cut off before its rows were there; stop denwaban and restore --from it again"
            )),
        }
    }

    /// Where it is not there a volume may not be mounted: nothing is recorded then, and nothing can be heard.
    fn vault(&mut self, layout: &Layout) -> Result<(), Exit> {
        let vault = layout.vault();
        match vault.is_dir() {
            true => self.good(&format!("保管庫 / vault: {}", vault.display())),
            false => self.bad(Exit::Unavailable, &format!(
                "保管庫のフォルダ {} がありません。ボリュームのマウントを確かめてください / the vault's folder is not there: see whether its volume is mounted",
                vault.display()
            )),
        }
    }

    /// A clock that is not believed destroys nothing, and nothing else stands still.
    fn clock(&mut self, layout: &Layout) -> Result<(), Exit> {
        match kept_clock(layout) {
            Ok(DestructionClock::Believed { .. } | DestructionClock::Unread) => {
                self.good("廃棄の時計 / clock of disposals")
            }
            Ok(DestructionClock::Frozen { .. } | DestructionClock::Lost) => self.bad(
                Exit::Unavailable,
                "CLOCK_FROZEN: 時計が信頼できないため、廃棄が止まっています。時刻を確かめ、管理責任者が dispose --due --confirm-clock 理由 / the clock is not believed and nothing is destroyed: look at the time, then let the manager give `dispose --due --confirm-clock REASON`",
            ),
            Err(fault) => self.note(&format!(
                "廃棄の時計を見られません。事務の係のユーザーか root で / the clock of disposals cannot be looked at: {fault}"
            )),
        }
    }

    /// Whoever reads this key can sign heads of another trail.
    fn signing(&mut self, layout: &Layout) -> Result<(), Exit> {
        let path = layout.signing_key();
        let shown = path.display();
        let mode = match std::fs::metadata(&path) {
            Ok(found) => found.permissions().mode() & 0o777,
            Err(fault) => {
                return self.note(&format!(
                    "署名の鍵がありません。次の起動で作ります / no key that signs yet, the next start makes it: {shown}: {fault}"
                ));
            }
        };
        if mode & 0o077 != 0 {
            self.bad(
                Exit::Usage,
                &format!("署名の鍵を他の人が読めます。chmod 600 {shown} / others can read the key that signs"),
            )?;
        }
        match verifier_keys(&OsDisk, layout) {
            Ok(keys) => self.good(&format!("署名の鍵 / key that signs: {} 番目", keys.len())),
            Err(fault) => self.bad(Exit::Unverified, &format!("署名の鍵の履歴 / {fault}")),
        }
    }

    fn catalogue(&mut self, config: &Config, layout: &Layout) -> Result<(), Exit> {
        let Ok(runtime) = runtime::Builder::new_current_thread().enable_all().build() else {
            return self.bad(
                Exit::Failed,
                "スレッドを作れません / the system gives no thread",
            );
        };
        let read = runtime.block_on(async {
            let mut catalogue = Catalogue::open_read_only(layout).await?;
            catalogue.list(true, Some(1)).await?.page().await?;
            let compared = catalogue.compare_whole(&OsDisk, layout).await?;
            Ok((compared, catalogue.recorded_register().await?))
        });
        match read {
            Ok((compared, register)) => {
                self.good("データベース / database")?;
                self.compared(compared)?;
                self.waivers(config, &register, Timestamp::now())?;
                self.told(layout, &register)?;
                self.holds(&register, layout)?;
                self.mirror_ends(&register, layout)?;
                self.copies(&register, Timestamp::now())?;
                self.people(config, &register)?;
                self.policy(config, &register)?;
                self.supervision(&register, Timestamp::now())
            }
            Err(fault) => {
                // Of what nobody can look up nothing is confirmed.
                self.waivers(config, &Register::default(), Timestamp::now())?;
                self.unreadable(&fault)
            }
        }
    }

    fn unreadable(&mut self, fault: &CatalogueFault) -> Result<(), Exit> {
        match fault {
            CatalogueFault::Register(_) => self.bad(
                Exit::Unverified,
                &format!("職員の登録と証跡 / register and trail: {fault}"),
            ),
            _ => self.bad(
                Exit::Unavailable,
                &format!("データベース / database: {fault}"),
            ),
        }
    }

    /// What a case is to hold and the keys do not, and what it holds beyond its review or its end, waits for a person.
    fn holds(&mut self, register: &Register, layout: &Layout) -> Result<(), Exit> {
        let now = Timestamp::now();
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        // A key store that cannot be read was told of above.
        let status = KeyStatus::read(&disk, layout).ok();
        let unsettled = status.map(|status| register.holds().unsettled(&status.held));
        for (case, recording) in unsettled.unwrap_or_default() {
            self.note(&format!(
                "案件 {case} の録音 {recording}: 決定された保全が鍵にありません。その日は期限が来ても廃棄しません / a hold that was decided is not in the keys: its day is not destroyed before"
            ))?;
        }
        for (id, hold) in register.holds().iter() {
            let waits = match hold.overdue(now) {
                None => continue,
                Some(Overdue::Review) => "見直しの日を過ぎています / is past its review",
                Some(Overdue::End) => {
                    "期限を過ぎています。holds release で解除するか、改めて決定を受けてください / is past its end: let it go, or decide anew"
                }
            };
            self.note(&format!("保全 hold {id}: {waits}"))?;
        }
        Ok(())
    }

    /// Beside an office that records something this very moment a fact may lack its row.
    fn compared(&mut self, Compared { facts, lacking }: Compared) -> Result<(), Exit> {
        if lacking > 0 {
            self.note(&format!(
                "証跡にあり、職員の登録にないものがあります。次の起動で補います / facts of the trail are not in the register, the next start takes them up: {lacking}"
            ))?;
        }
        self.good(&format!(
            "職員の登録は証跡と一致します / register as the trail says: {facts} 件 facts"
        ))
    }

    fn audit(&mut self, layout: &Layout) -> Result<(), Exit> {
        for duty in [Duty::Calls, Duty::Office] {
            let name = duty.name();
            match audit::verify(layout, duty, &[]) {
                Ok(report) => match &report.first_bad {
                    None if let Some(why) = audit::not_as_signed(&report) => {
                        self.bad(Exit::Unverified, &format!("証跡 / audit {name}: {why}"))?;
                    }
                    None => {
                        let entries = report.entries();
                        self.good(&format!("証跡 / audit {name}: {entries} 件 entries"))?;
                    }
                    Some(bad) => {
                        self.bad(Exit::Unverified, &format!("証跡 / audit {name}: {bad}"))?;
                    }
                },
                Err(fault) => {
                    self.bad(Exit::Unavailable, &format!("証跡 / audit {name}: {fault}"))?;
                }
            }
        }
        Ok(())
    }
}
