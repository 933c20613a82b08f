//! What recordings are used for: a closed list, required on every access (K-08).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    refusal::{Clause, Refusal, RefusalCode},
    text::{OneLine, TextFault},
};

/// What recordings are used for: a closed list. 二次利用 (any other use) has no code, so it cannot be typed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// 問い合わせ内容の分析 (consultation 4③).
    AnalysisInquiry,
    /// 苦情となった通話内容の原因分析 (consultation 4③).
    AnalysisComplaint,
    /// 電話交換業務を所管する市職員の確認 (consultation 4④).
    StaffCheck,
    /// 不当要求行為 (要領 5-2, 5-4); needs a case and the manager's decision.
    UnreasonableDemand,
    /// 法令又は条例の規定 (要領 5-2); needs a case and a decision.
    Statute,
    /// 開示請求: a kind of statute, with a case and a decision.
    SubjectRights,
    /// 廃棄 (要領 5-6).
    Disposal,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Purpose; 7] = [
        Purpose::AnalysisInquiry,
        Purpose::AnalysisComplaint,
        Purpose::StaffCheck,
        Purpose::UnreasonableDemand,
        Purpose::Statute,
        Purpose::SubjectRights,
        Purpose::Disposal,
    ];

    /// The purpose that was typed in.
    ///
    /// # Errors
    /// `PURPOSE_REQUIRED` where none was, `PURPOSE_NOT_PERMITTED` where it is not on the list.
    pub fn given(text: Option<&str>) -> Result<Purpose, Refusal> {
        text.unwrap_or_default().parse()
    }

    /// Whether it is permitted for the recordings of an approved request only (要領 5-2, 5-4).
    pub fn needs_case(self) -> bool {
        match self {
            Purpose::UnreasonableDemand | Purpose::Statute | Purpose::SubjectRights => true,
            Purpose::AnalysisInquiry
            | Purpose::AnalysisComplaint
            | Purpose::StaffCheck
            | Purpose::Disposal => false,
        }
    }

    /// As it is typed in and written down.
    pub fn code(self) -> &'static str {
        match self {
            Purpose::AnalysisInquiry => "ANALYSIS_INQUIRY",
            Purpose::AnalysisComplaint => "ANALYSIS_COMPLAINT",
            Purpose::StaffCheck => "STAFF_CHECK",
            Purpose::UnreasonableDemand => "UNREASONABLE_DEMAND",
            Purpose::Statute => "STATUTE",
            Purpose::SubjectRights => "SUBJECT_RIGHTS",
            Purpose::Disposal => "DISPOSAL",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Purpose {
    type Err = Refusal;

    /// A purpose that is not on the list is refused by the clause that closes the list; white space is none.
    fn from_str(text: &str) -> Result<Purpose, Refusal> {
        let line = OneLine::read(text);
        let code = match line {
            Err(TextFault::Blank) => RefusalCode::PurposeRequired,
            Ok(_) | Err(_) => RefusalCode::PurposeNotPermitted,
        };
        Purpose::ALL
            .into_iter()
            .find(|purpose| line.is_ok_and(|line| line.as_str() == purpose.code()))
            .ok_or(Refusal::new(code, Clause::Rules5Use))
    }
}
